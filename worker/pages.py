"""Error messages of a proxy: errorfile, errorfiles, errorloc, or the built-in ones.

Files are read when the worker starts; a missing one stops the start, not a client.
Source: HAProxy manual 4.2 "errorfile", "errorfiles", "errorloc302", "errorloc303".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import model
from common.errors import ConfigError, WireError
from worker.http.answers import SILENT, Answer, built_in
from worker.http.head import Limits, parse_response

if TYPE_CHECKING:
    from worker.exchange import Exchange

_LIMITS = Limits(65536, 1000)
_FOUND = {302: b"Found", 303: b"See Other"}


class ErrorPages:
    """status -> Answer for one proxy."""

    __slots__ = ("_answers",)

    def __init__(self, proxy: model.Proxy) -> None:
        """Raises ConfigError for a file that cannot be read or is no HTTP response."""
        self._answers: dict[int, Answer] = {}
        for status, (code, location) in proxy.error_locations.items():
            fields = ((b"content-length", b"0"), (b"location", location.encode()), (b"cache-control", b"no-cache"))
            self._answers[status] = Answer(code, _FOUND[code], fields)
        for status, path in proxy.error_files.items():
            self._answers[status] = load_page(path) if path and path != "/dev/null" else SILENT

    def answer(self, status: int, _exchange: Exchange) -> Answer:
        return self._answers.get(status) or built_in(status)


def load_page(path: str) -> Answer:
    """A file with a whole HTTP response in it. Raises ConfigError."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise ConfigError(f"error file '{path}' cannot be read: {error.strerror}") from error
    return page_of(data, path)


def page_of(data: bytes, path: str) -> Answer:
    """A whole HTTP response as an answer; an empty file means silence. Raises ConfigError."""
    if not data:
        return SILENT
    try:
        found = parse_response(data, 0, _LIMITS, b"GET")
    except WireError as error:
        raise ConfigError(f"error file '{path}' is not an HTTP response: {error.slug}") from error
    if found is None:
        raise ConfigError(f"error file '{path}' has no end of its headers (an empty line)")
    response, end = found
    body = data[end:]
    dropped = (b"connection", b"content-length", b"transfer-encoding", b"keep-alive")
    fields = [(b"content-length", b"%d" % len(body))]
    fields += [(name, value) for name, value in response.fields if name.lower() not in dropped]
    return Answer(response.status, response.reason, tuple(fields), body)
