"""What the parser has to say about a configuration, and how it is printed.

Every fault is one `Diagnostic`: where, what, and what to do. All of them are collected in one `Report`, so that one run of
`usher -c` shows everything there is to repair. Two renderings: HAProxy's own (`[ALERT]    (pid) : config : parsing [file:line] : …`),
so that tools which read HAProxy's output read ours, with the line, a caret and the cure below; and JSON for editors.
Sans-io.
Source: HAProxy management guide section 3 (what -c prints), configuration manual 2.4 (levels).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from common.model import Place

DIAGNOSTICS_MAX = 1000  # a binary file must not print a million faults; the rest is counted
SHOWN_LINE_MAX = 200  # characters of a long line that are shown around the caret


class Severity(Enum):
    """ALERT refuses the file, WARNING is what HAProxy itself warns about, NOTICE is a finding of ours, DIAG is for -dD only."""

    ALERT = "alert"
    WARNING = "warning"
    NOTICE = "notice"
    DIAG = "diag"


_LABELS = {
    Severity.ALERT: "[ALERT]    ",
    Severity.WARNING: "[WARNING]  ",
    Severity.NOTICE: "[NOTICE]   ",
    Severity.DIAG: "[DIAG]     ",
}


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. place.line 0: about the whole configuration. text: the line as written, "" when there is none to show.

    width: how many characters the caret underlines, from place.column on.
    slug: a stable name of the kind of finding, for editors and for suppressing.
    """

    severity: Severity
    place: Place
    message: str
    hint: str = ""
    text: str = ""
    width: int = 1
    slug: str = ""
    whole: bool = False  # found by looking at the whole configuration: the place shows where to act, not what was being parsed


class Report:
    """The findings so far, in the order in which they were made; the same finding at the same place is kept once."""

    __slots__ = ("_files", "_seen", "diagnostics", "dropped")

    def __init__(self, files: Iterable[str] = ()) -> None:
        self._files = {name: index for index, name in enumerate(files)}
        self.diagnostics: list[Diagnostic] = []
        self.dropped = 0
        self._seen: set[tuple[Severity, Place, str]] = set()

    def add(self, diagnostic: Diagnostic) -> None:
        key = (diagnostic.severity, diagnostic.place, diagnostic.message)
        if key in self._seen:
            return
        if len(self.diagnostics) >= DIAGNOSTICS_MAX:
            self.dropped += 1
            # An alert decides over the exit status, so one always finds its place, whatever came before it.
            if diagnostic.severity is not Severity.ALERT or self.fatal:
                return
        self._seen.add(key)
        self.diagnostics.append(diagnostic)

    @property
    def fatal(self) -> bool:
        """Whether the configuration must be refused."""
        return any(diagnostic.severity is Severity.ALERT for diagnostic in self.diagnostics)

    def in_order(self) -> list[Diagnostic]:
        """All findings: line by line in the order of the files, then those about the whole configuration."""
        found = sorted(self.diagnostics, key=self._rank)
        if self.dropped:
            found.append(Diagnostic(Severity.NOTICE, Place(), f"{self.dropped} more findings are not shown", slug="too-many-findings"))
        return found

    def _rank(self, diagnostic: Diagnostic) -> tuple[bool, int, int]:
        place = diagnostic.place
        if diagnostic.whole or not place.line:
            return (True, 0, 0)
        return (False, self._files.get(place.file, len(self._files)), place.line)


def render(diagnostic: Diagnostic, pid: int) -> str:
    """One finding in HAProxy's form, without the final line feed; line, caret and hint follow on lines of their own."""
    place = diagnostic.place
    where = f"parsing [{place.file}:{place.line}] : " if place.line and not diagnostic.whole else ""
    lines = [f"{_LABELS[diagnostic.severity]}({pid}) : config : {where}{diagnostic.message}"]
    if diagnostic.text and place.line:
        lines += _pointer(diagnostic)
    lines += [f"   | {line}" for line in diagnostic.hint.splitlines()]
    return "\n".join(printable(line) for line in lines)


def render_json(diagnostics: Iterable[Diagnostic]) -> str:
    """All findings as one JSON array for editors; line and column count from 1, 0 means "not at one place"."""
    rows = [
        {
            "severity": diagnostic.severity.value,
            "file": printable(diagnostic.place.file),
            "line": diagnostic.place.line,
            "column": diagnostic.place.column,
            "width": diagnostic.width,
            "message": printable(diagnostic.message),
            "hint": printable(diagnostic.hint, keep="\n"),
            "slug": diagnostic.slug,
        }
        for diagnostic in diagnostics
    ]
    return json.dumps(rows, indent=2)


def printable(text: str, keep: str = "") -> str:
    """The text with every character that a terminal may act upon, or that is no character at all, written as \\xNN."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() or letter in keep else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8 (see lexer.py)
        code -= 0xDC00
    return f"\\x{code:02x}"


def _pointer(diagnostic: Diagnostic) -> list[str]:
    """The line with its place, and a caret below; a long line is cut around the caret, blanks at its start are not shown."""
    place, text = diagnostic.place, diagnostic.text.replace("\t", " ")
    start = len(text) - len(text.lstrip(" "))
    column = max(place.column - 1, start) if place.column else start
    if column - start > SHOWN_LINE_MAX // 2:
        start = column - SHOWN_LINE_MAX // 2
    shown = text[start : start + SHOWN_LINE_MAX]
    before = "".join(printable(letter) for letter in shown[: column - start])
    width = min(max(diagnostic.width, 1), max(len(shown) - (column - start), 1))
    marks = len(printable(shown[column - start : column - start + width])) if place.column else 0
    at = f"{place.file}:{place.line}:{place.column}" if place.column else f"{place.file}:{place.line}"
    lead = f"   | {printable(at)}: "
    lines = [f"{lead}{printable(shown)}"]
    if place.column:
        lines.append(f"   | {' ' * (len(lead) - 5 + len(before))}{'^' * max(marks, 1)}")
    return lines
