"""Custom error messages: what the content of an `errorfile` must be, and the answer that it makes. Sans-io: bytes in.

Source: HAProxy manual 4.2, `errorfile`, `errorloc`, `http-error`; what is refused and how the answer looks was observed from HAProxy 2.6.
"""

from __future__ import annotations

from common.errors import ConfigError, WireError
from worker.http.answers import SILENT, Answer
from worker.http.framing import content_length
from worker.http.head import Limits, parse_response

_LOCATION_REASONS = {302: b"Found", 303: b"See Other"}
_OF_THE_CONNECTION = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"upgrade"})


def read_error_file(content: bytes, limits: Limits) -> Answer:
    """The answer that a whole HTTP response, as a file holds it, makes. An empty file means to close without an answer.

    Without Content-Length in the file, the connection closes after it. Raises ConfigError with what is wrong.
    """
    if not content:
        return SILENT
    try:
        found = parse_response(content, 0, limits, b"GET")
    except WireError as error:
        raise ConfigError(f"not a valid HTTP response ({error.slug})") from None
    if found is None:
        raise ConfigError("not a valid HTTP response: the empty line behind its header fields is missing")
    response, end = found
    body = content[end:]
    if response.status < 200:
        raise ConfigError(f"{response.status} is not the status of an error message")
    if b"transfer-encoding" in response.special:
        raise ConfigError("a chunked payload cannot be used here: write the payload as it is")
    announced = response.special.get(b"content-length")
    if announced is not None and content_length(announced) != len(body):
        raise ConfigError(f"its payload has {len(body)} bytes, but its Content-Length says {announced.decode('ascii')}")
    if body and response.status in (204, 304):
        raise ConfigError(f"a {response.status} response has no payload")
    if len(content) > limits.head_bytes_max:
        raise ConfigError(f"larger than {limits.head_bytes_max} bytes (tune.bufsize - tune.maxrewrite)")
    fields = [field for field in response.fields if field[0].lower() not in _OF_THE_CONNECTION]
    return Answer(response.status, response.reason, tuple(fields), body)


def error_location(url: bytes, code: int = 302) -> Answer:
    """The answer of `errorloc`, `errorloc302` and `errorloc303`."""
    fields = ((b"cache-control", b"no-cache"), (b"content-length", b"0"), (b"location", url))
    return Answer(code, _LOCATION_REASONS[code], fields)
