"""Heads that the strict grammar does not match: not complete yet, repairable, or refused with a reason. Sans-io. Cold path.

RFC 9112 lets a recipient repair a few things, and HAProxy does; each repair here ends in a head that the strict grammar accepts,
and only that normalised head is ever forwarded:

- empty lines before a request (section 2.2);
- lines that end in LF alone (section 2.2);
- several SP or HTAB between the parts of the request line (section 3);
- folded field lines: the fold becomes one SP (section 5.2);
- control characters other than NUL, CR and LF in a field value (RFC 9110 section 5.5) become one SP each, but in the fields
  that mean something for the message itself they are refused: SP there would be OWS, and a nonsense length a length;
- HTTP/1.2 to 1.9, which mean 1.1 (RFC 9110 section 2.5).

`strict` refuses all of these but the empty lines. `accept_invalid` (`option accept-invalid-http-request` and `-response`) has
h11 read what is left.

Refused at once, complete or not: a first line that can no longer become one. Otherwise a TLS hello sent to a plain port
would wait for the request timeout.
"""

from __future__ import annotations

from typing import NamedTuple

from common.errors import WireError
from worker.http import lenient
from worker.http.fields import field_lines, fields_of, split_lines
from worker.http.grammar import (
    EMPTY_LINES,
    HEAD_END,
    HTTP_VERSION,
    REQUEST_LINE_BEGUN,
    STATUS_LINE_BEGUN,
    TARGET_ONLY,
    TOKEN_ONLY,
    TOLERANT_REQUEST_LINE,
    TOLERANT_STATUS_LINE,
)

_BEGINNING_BYTES = 256


class Repaired(NamedTuple):
    """A complete head in the strict spelling. end: index behind what was received for it. invalid: only h11 could read it, so its
    target and values may hold what the strict grammar does not."""

    raw: bytes
    end: int
    invalid: bool = False


def repair_request(data: bytes, start: int, head_bytes_max: int, *, strict: bool, accept_invalid: bool) -> Repaired | None:
    """The head at `start`, repaired; None when it is not complete and may still become one. Raises WireError."""
    begin = _empty_lines_end(data, start)
    match = HEAD_END.search(data, begin)
    if match is None:
        _check_unfinished_request(data, start, begin, head_bytes_max, accept_invalid=accept_invalid)
        return None
    head, end = data[begin : match.start() + 1], match.end()
    if end - start > head_bytes_max:
        raise WireError("head_too_big", 414 if head.find(b"\n") > head_bytes_max else 431)
    try:
        return Repaired(_read_request(head, data[match.start() : end], strict=strict), end)
    except WireError:
        raw = lenient.read_request(data[begin:end]) if accept_invalid and not strict else None
        if raw is None:
            raise
        return Repaired(raw, end, invalid=True)


def repair_response(data: bytes, start: int, head_bytes_max: int, *, strict: bool, accept_invalid: bool) -> Repaired | None:
    """The head at `start`, repaired; None when it is not complete and may still become one. Raises WireError (502)."""
    match = HEAD_END.search(data, start)
    if match is None:
        _check_unfinished_response(data, start, head_bytes_max)
        return None
    head, end = data[start : match.start() + 1], match.end()
    if end - start > head_bytes_max:
        raise WireError("head_too_big", 502)
    try:
        return Repaired(_read_response(head, data[match.start() : end], strict=strict), end)
    except WireError as error:
        raw = lenient.read_response(data[start:end]) if accept_invalid and not strict else None
        if raw is None:
            raise WireError(error.slug, 502) from None
        return Repaired(raw, end, invalid=True)


def _empty_lines_end(data: bytes, at: int) -> int:
    """The index of the first byte that does not belong to an empty line."""
    match = EMPTY_LINES.match(data, at)
    assert match is not None
    return match.end()


def _check_unfinished_request(data: bytes, start: int, begin: int, head_bytes_max: int, *, accept_invalid: bool) -> None:
    """Raises WireError if these bytes cannot become an acceptable head.

    Looks at the first line only, and at no more than its beginning while it is not complete: a client that sends byte by byte
    must not make us read everything again each time.
    """
    if len(data) - start > head_bytes_max:
        raise WireError("head_too_big", 431 if data.find(b"\n", begin, begin + head_bytes_max) >= 0 else 414)
    if accept_invalid:
        return
    newline = data.find(b"\n", begin)
    if newline >= 0:
        _read_request_line(data[begin:newline].removesuffix(b"\r"))
        return
    line = data[begin : begin + _BEGINNING_BYTES]
    if line != b"\r" and REQUEST_LINE_BEGUN.fullmatch(line) is None:
        raise WireError("bad_request_line")


def _check_unfinished_response(data: bytes, start: int, head_bytes_max: int) -> None:
    """As _check_unfinished_request."""
    newline = data.find(b"\n", start, start + head_bytes_max)
    if newline >= 0:
        _read_status_line(data[start:newline])
    elif STATUS_LINE_BEGUN.fullmatch(data, start, min(len(data), start + _BEGINNING_BYTES)) is None:
        raise WireError("bad_status_line", 502)
    if len(data) - start > head_bytes_max:
        raise WireError("head_too_big", 502)


def _read_request(head: bytes, ending: bytes, *, strict: bool) -> bytes:
    """The head in the strict spelling. head: its lines, the last with its LF; ending: from that LF to the end of the empty line."""
    first, *rest = split_lines(head, ending, strict=strict)
    method, target, version = _read_request_line(first)
    line = b"%s %s HTTP/1.%d" % (method, target, version - 10)
    if strict and (b"\t" in first or first.count(b" ") != 2):
        raise WireError("bad_request_line")
    return line + b"\r\n" + field_lines(fields_of(rest, strict=strict))


def _read_request_line(line: bytes) -> tuple[bytes, bytes, int]:
    match = TOLERANT_REQUEST_LINE.fullmatch(line)
    if match is None:
        method = line.partition(b" ")[0]
        raise WireError("bad_method" if TOKEN_ONLY.fullmatch(method) is None else "bad_request_line")
    method, target, name = match.groups()
    version = _version(name, 505)
    if TARGET_ONLY.fullmatch(target) is None:
        raise WireError("bad_target")
    return method, target, version


def _version(name: bytes, unsupported: int) -> int:
    """10 or 11. Raises WireError: 400 if this is no HTTP version, `unsupported` if it is one that cannot be served here."""
    match = HTTP_VERSION.fullmatch(name)
    if match is None:
        raise WireError("bad_version")
    major, minor = match.groups()
    if major != b"1":
        raise WireError("version_not_supported", unsupported)
    return 10 if minor == b"0" else 11


def _read_response(head: bytes, ending: bytes, *, strict: bool) -> bytes:
    first, *rest = split_lines(head, ending, strict=strict)
    status, reason, version = _read_status_line(first)
    return b"HTTP/1.%d %s %s\r\n" % (version - 10, status, reason) + field_lines(fields_of(rest, strict=strict))


def _read_status_line(line: bytes) -> tuple[bytes, bytes, int]:
    match = TOLERANT_STATUS_LINE.fullmatch(line.removesuffix(b"\r"))
    if match is None:
        raise WireError("bad_status_line", 502)
    name, status, reason = match.groups()
    return status, reason or b"", _version(name, 502)
