"""The last message of each proxy that broke the protocol, and how `show errors` shows it. Sans-io.

Source: HAProxy management guide 9.3 `show errors`. Where in the message it broke is found when it is asked for: the reader itself
only knows that it does not fit the grammar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

KEPT_BYTES_MAX: Final = 16384
BYTES_PER_LINE: Final = 60
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_REQUEST_LINE = re.compile(rb"(?:\r?\n)*" + _TOKEN + rb" [\x21-\x7e]+ HTTP/[12]\.[0-9]\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/[12]\.[0-9] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?\r?\n")
_FIELD = re.compile(_TOKEN + rb":[\t\x20-\x7e\x80-\xff]*\r?\n")
_ENDINGS: Final = tuple(text[start:] for text in (b": \n", b"x / HTTP/1.1\n", b"HTTP/1.1 200\n") for start in range(len(text)))
_ESCAPES: Final = {9: r"\t", 10: r"\n", 13: r"\r", 27: r"\e", 92: r"\\"}


class BadMessage(NamedTuple):
    """at: wall clock. reason: the slug. server: "" for a request. number: how many events came before it in this process."""

    at: str
    proxy: str
    proxy_id: int
    is_response: bool
    reason: str
    source: str
    session: int
    frontend: str
    frontend_id: int
    backend: str
    backend_id: int
    server: str
    server_id: int
    number: int
    data: bytes


def fault_position(data: bytes, *, is_response: bool) -> int:
    """The first byte that does not fit; the end of the data if each line for itself is right."""
    line = (_STATUS_LINE if is_response else _REQUEST_LINE).match(data)
    if line is None:
        return _stop(_STATUS_LINE if is_response else _REQUEST_LINE, data, 0)
    position = line.end()
    while position < len(data) and data[position : position + 1] not in (b"\r", b"\n"):
        field = _FIELD.match(data, position)
        if field is None:
            return _stop(_FIELD, data, position)
        position = field.end()
    return len(data)


def _stop(grammar: re.Pattern[bytes], data: bytes, start: int) -> int:
    """How far a line can be right: the longest beginning that some end completes."""
    end = data.find(b"\n", start)
    line = data[start : end + 1 if end >= 0 else len(data)]
    for length in range(len(line), 0, -1):
        if any(grammar.match(line[:length] + ending) for ending in _ENDINGS):
            return start + length
    return start


def show(now: str, total: int, messages: Iterable[BadMessage]) -> str:
    """The answer to `show errors`. total: events since the start."""
    return f"Total events captured on [{now}] : {total}\n" + "".join(map(_shown, messages))


def _shown(bad: BadMessage) -> str:
    kind = "response" if bad.is_response else "request"
    side = "backend" if bad.is_response else "frontend"
    other = f"frontend {bad.frontend} (#{bad.frontend_id})" if bad.is_response else f"backend {bad.backend} (#{bad.backend_id})"
    position = fault_position(bad.data, is_response=bad.is_response)
    lines = "".join(f"  {start:05d}{'' if whole else '+'} {text}\n" for start, whole, text in _lines(bad.data))
    return (
        f" \n[{bad.at}] {side} {bad.proxy} (#{bad.proxy_id}): invalid {kind}\n"
        f"  {other}, server {bad.server or '<NONE>'} (#{bad.server_id}), event #{bad.number}, src {bad.source}\n"
        f"  session #{bad.session}, reason {bad.reason}\n"
        f"  {kind} length {len(bad.data)} bytes, error at position {position}:\n \n{lines}"
    )


def _lines(data: bytes) -> Iterable[tuple[int, bool, str]]:
    """(offset, begins a line of the message, text), cut where a line is long."""
    start, whole = 0, True
    while start < len(data):
        end = data.find(b"\n", start)
        stop = min(len(data) if end < 0 else end + 1, start + BYTES_PER_LINE)
        yield start, whole, " " * whole + "".join(_escaped(byte) for byte in data[start:stop])
        whole = data[stop - 1 : stop] == b"\n"
        start = stop


def _escaped(byte: int) -> str:
    return _ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02X}")
