"""A configuration file: its name and its lines. Reading it from disk is the command's business.

Lines are separated by LF; a CR before it is no part of the line. What cannot be a configuration is refused here, once and with
a place: a file that is too large, a line that is too long, a NUL byte, a byte-order mark, a last line without its line feed (the file was
probably cut).
Sans-io.
Source: HAProxy configuration manual 2.1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.config.diagnostics import Diagnostic, Report, Severity
from common.config.lexer import decode
from common.model import Place

FILE_BYTES_MAX = 32 << 20
LINE_BYTES_MAX = 1 << 16
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))


@dataclass(frozen=True, slots=True)
class Line:
    """One line as written, without its line feed. number counts from 1."""

    file: str
    number: int
    text: str


def lines_of(name: str, data: bytes, report: Report, *, bytes_max: int, line_bytes_max: int) -> Iterator[Line]:
    """The lines that can be parsed; what is wrong with the file as such goes to the report."""
    if len(data) > bytes_max:
        hint = "Is this the file that you mean?"
        _refuse(report, Place(name, 1), f"file too large: {len(data)} bytes, at most {bytes_max} are read", "file-too-large", hint=hint)
        return
    checked = _without_mark(name, data, report)
    if checked is None:
        return
    data = checked
    start, number = 0, 0
    while start < len(data):
        number += 1
        end = data.find(b"\n", start)
        last = end < 0
        end = len(data) if last else end
        line = _line(name, number, data[start:end], report, line_bytes_max)
        if line is None:
            return
        if last:
            _refuse(
                report,
                Place(name, number, end - start + 1),
                f"Missing LF on last line, file might have been truncated at position {end - start + 1}.",
                "missing-line-feed",
                text=line.text,
                hint="End the last line with a line feed.",
            )
        yield line
        start = end + 1


def _line(name: str, number: int, data: bytes, report: Report, line_bytes_max: int) -> Line | None:
    """One checked line; None when the rest of the file cannot be trusted either."""
    nul = data.find(b"\0")
    if nul >= 0:
        message = "NUL byte: this is no text file, or a damaged one"
        _refuse(report, Place(name, number, nul + 1), message, "nul-byte", hint="Nothing after this line was read.")
        return None
    if len(data) > line_bytes_max:
        message = f"line too long: {len(data)} bytes, at most {line_bytes_max} are read"
        _refuse(report, Place(name, number), message, "line-too-long", hint="Put long lists into a file. Nothing after this line was read.")
        return None
    return Line(name, number, decode(data.removesuffix(b"\r")))


def _without_mark(name: str, data: bytes, report: Report) -> bytes | None:
    """The data after an UTF-8 byte-order mark (which is refused, but the rest can be checked); None for other encodings."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            hint = "Save the file as UTF-8 without a byte-order mark."
            _refuse(report, Place(name, 1, 1), f"the file starts with a byte-order mark ({encoding})", "byte-order-mark", hint=hint)
            return data[len(mark) :] if encoding == "UTF-8" else None
    return data


def _refuse(report: Report, place: Place, message: str, slug: str, *, text: str = "", hint: str = "") -> None:
    report.add(Diagnostic(Severity.ALERT, place, message, hint=hint, text=text, slug=slug))
