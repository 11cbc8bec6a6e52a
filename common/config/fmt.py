"""`usher fmt`: a file in its canonical layout. Words stay exactly as they were written, quotes and escapes included; comments are kept.

The layout: section lines at the left, everything in them four columns in, the lines of an `.if` block four more; one blank between
words, two before a comment; one empty line before a section (and before the comments that lead to it), never two; no blanks at ends of
lines; one line feed at the end. A line that cannot be cut into words keeps its text.
Formatting twice is formatting once, and the words that HAProxy sees are the same.
Sans-io.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.config.lexer import LexError, decode, encode, split_line
from common.config.table import SECTION_WORDS

INDENT = "    "
_OPENING, _MIDDLE, _CLOSING = (".if",), (".elif", ".else"), (".endif",)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line in parts. first: its first word, "" for a comment or an empty line."""

    first: str
    text: str
    comment: str

    @property
    def empty(self) -> bool:
        return not self.text and not self.comment


def formatted(data: bytes) -> bytes:
    """The file in canonical layout."""
    lines = [_parts(line.removesuffix("\r")) for line in decode(data).split("\n")]
    return encode("\n".join([*_laid_out(lines), ""])) if any(not line.empty for line in lines) else b""


def _parts(text: str) -> _Line:
    """Cut by the same lexer that the parser uses; what the words are made of is copied from the source."""
    try:
        words = split_line(text, lambda name: "")
    except LexError:
        return _Line(_first_word(text), text.strip(), "")
    if not words:
        return _Line("", "", text.strip())
    spans = _spans(text)
    shown = " ".join(text[start:end] for start, end in spans)
    comment = text[spans[-1][1] :].strip()
    return _Line(words[0].text, shown, comment)


def _spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each word as written. Not from the words themselves: one variable can make several of them, or none."""
    spans: list[tuple[int, int]] = []
    position, length = 0, len(text)
    while position < length:
        if text[position] in " \t":
            position += 1
            continue
        if text[position] in "#\r":
            break
        start = position
        position = _word_end(text, position)
        spans.append((start, position))
    return spans


def _word_end(text: str, position: int) -> int:
    """Past the last character of the word that starts here; the line is known to have balanced quotes."""
    while position < len(text) and text[position] not in " \t#\r":
        letter = text[position]
        if letter == "'":
            position = text.index("'", position + 1) + 1
        elif letter == '"':
            position += 1
            while text[position] != '"':
                position += 2 if text[position] == "\\" and position + 1 < len(text) else 1
            position += 1
        elif letter == "\\" and text[position + 1 : position + 2] not in ("", "\r"):
            position += 2
        else:
            position += 1
    return position


def _first_word(text: str) -> str:
    words = text.split()
    return words[0] if words else ""


def _laid_out(lines: list[_Line]) -> list[str]:
    """Every line with its indent, and the empty lines between."""
    out: list[str] = []
    around: list[bool] = []  # for each open .if: whether it stands inside a section
    inside, gap, after_directive = False, False, True
    for index, line in enumerate(lines):
        if line.empty:
            gap = bool(out)
            continue
        heading = _is_heading(lines, index)
        if line.first in _OPENING and heading:
            inside = False
        if line.first in (*_MIDDLE, *_CLOSING) and around:
            inside = around[-1]
        if line.first in SECTION_WORDS:
            inside = True
        level = len(around) - (line.first in (*_MIDDLE, *_CLOSING) and bool(around))
        level += inside and not heading
        begins = heading and (index == 0 or lines[index - 1].empty or not _is_heading(lines, index - 1))
        if out and (gap or (begins and not after_directive)):
            out.append("")
        out.append(INDENT * level + "  ".join(part for part in (line.text, line.comment) if part))
        if line.first in _OPENING:
            around.append(inside)
        elif line.first in _CLOSING and around:
            inside = around.pop()
        gap, after_directive = False, line.first in (*_OPENING, *_MIDDLE)
    return out


def _is_heading(lines: list[_Line], index: int) -> bool:
    """A section line, or comments and `.if` lines that lead to one without an empty line between."""
    for line in lines[index:]:
        if line.empty:
            return False
        if line.first and line.first not in _OPENING:
            return line.first in SECTION_WORDS
    return False
