"""`usher fmt`: a configuration file in canonical layout, comments kept.

Sections start at the margin with one blank line before them, their lines are indented by four blanks, words stand one blank
apart exactly as they were written (quotes, escapes and variables untouched), comments keep their place: alone on a line, or two
blanks after the last word. `.if` and its kind are indented with what they enclose. What a file means is never changed.

A line that the lexer cannot read is left as it is; `usher -c` says what is wrong with it.

Source: HAProxy configuration manual 2.1, 2.2, 2.4.
"""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.config.lexer import LexError, decode, encode, split_line
from common.config.table import SECTION_WORDS
from common.control.console import write

INDENT = "    "
_BLANKS = " \t"
_OPENS = {".if"}
_CONTINUES = {".elif", ".else"}
_CLOSES = {".endif"}


def main(argv: Sequence[str]) -> int:
    words = argparse.ArgumentParser(prog="usher fmt", description="Prints a configuration file in canonical layout.", allow_abbrev=False)
    words.add_argument("files", nargs="+", metavar="FILE")
    words.add_argument("-w", dest="rewrite", action="store_true", help="rewrite the files instead of printing them")
    words.add_argument("-d", dest="difference", action="store_true", help="print what would change; exit code 1 if anything would")
    given = words.parse_args(argv)
    changed = False
    for name in given.files:
        try:
            with open(name, "rb") as file:
                before = decode(file.read())
            after = formatted(before)
            changed = changed or before != after
            _deliver(name, before, after, rewrite=given.rewrite, difference=given.difference)
        except OSError as error:
            write(2, f"usher fmt: {name}: {error.strerror}\n")
            return 2
    return int(changed and given.difference)


def _deliver(name: str, before: str, after: str, *, rewrite: bool, difference: bool) -> None:
    if difference:
        lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), name, name)
        _print("".join(lines))
    elif not rewrite:
        _print(after)
    elif before != after:
        # Written beside it and renamed over it: a service that reloads meanwhile reads the one or the other.
        temporary = f"{name}.{os.getpid()}.tmp"
        with open(temporary, "xb") as file:
            file.write(encode(after))
        os.chmod(temporary, os.stat(name).st_mode & 0o7777)
        os.rename(temporary, os.path.realpath(name))


def _print(text: str) -> None:
    content = encode(text)
    while content:
        content = content[os.write(1, content) :]


def formatted(text: str) -> str:
    """The whole file in canonical layout. Formatting it again changes nothing."""
    lines = [_Line.of(line) for line in text.replace("\r\n", "\n").split("\n")]
    return "".join(line + "\n" for line in _without_blank_ends(_laid_out(lines)))


@dataclass(frozen=True, slots=True)
class _Line:
    """words as written; comment with its `#`, "" if there is none. raw: the line as it was, for one that cannot be read."""

    words: tuple[str, ...]
    comment: str
    raw: str | None = None

    @staticmethod
    def of(text: str) -> _Line:
        raw = text.lstrip(_BLANKS).rstrip(_BLANKS + "\r")
        try:
            words = split_line(text, lambda _variable: None)
        except LexError:
            return _Line((), "", raw)
        rest = text[words[-1].end - 1 if words else 0 :].strip(_BLANKS + "\r")
        if rest and not rest.startswith("#"):
            return _Line((), "", raw)  # a stray carriage return ends the line for the lexer
        return _Line(tuple(text[word.column - 1 : word.end - 1] for word in words), rest)

    @property
    def blank(self) -> bool:
        return not self.words and not self.comment and self.raw is None

    @property
    def opens_section(self) -> bool:
        return bool(self.words) and self.words[0] in SECTION_WORDS

    def __str__(self) -> str:
        if self.raw is not None:
            return self.raw
        return "  ".join(part for part in (" ".join(self.words), self.comment) if part)


def _laid_out(lines: Sequence[_Line]) -> Iterator[str]:
    in_section, depth = False, 0
    for position, line in enumerate(lines):
        if line.blank:
            yield ""
            continue
        first = line.words[0] if line.words else ""
        if first in _CLOSES | _CONTINUES:
            depth = max(0, depth - 1)
        heading = line.opens_section or (not line.words and line.raw is None and _heads_a_section(lines, position))
        if heading and depth == 0:
            if not _heads_after_comment(lines, position):
                yield ""
            in_section = in_section and not line.opens_section
        yield INDENT * (depth + int(in_section and not heading)) + str(line)
        if line.opens_section:
            in_section = True
        if first in _OPENS | _CONTINUES:
            depth += 1


def _heads_a_section(lines: Sequence[_Line], position: int) -> bool:
    """Whether a comment stands right above a section, and so belongs to it."""
    for line in lines[position:]:
        if line.blank or (line.words and not line.opens_section):
            return False
        if line.opens_section:
            return True
    return False


def _heads_after_comment(lines: Sequence[_Line], position: int) -> bool:
    """Whether the line above is a comment of the same heading."""
    above = lines[position - 1] if position else None
    return above is not None and not above.blank and not above.words and above.raw is None


def _without_blank_ends(lines: Iterator[str]) -> Iterator[str]:
    """No blank lines at either end, and no two in a row."""
    waiting, started = False, False
    for line in lines:
        if not line:
            waiting = started
            continue
        if waiting:
            yield ""
        waiting, started = False, True
        yield line
