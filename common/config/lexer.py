"""One line of a configuration to words, each with the exact columns it came from.

Facts (all tried against HAProxy 2.6, whose manual says less):

- Words end at blanks. `#` starts a comment anywhere outside quotes, also in the middle of a word. There is no continuation.
- Outside quotes and inside double quotes a backslash protects blank, `#`, `\\`, `'`, `"`; `\\n \\r \\t \\xNN` make a character; `\\$` is a
  dollar inside double quotes only. Any other backslash stays what it is (`\\.` in a regular expression needs no doubling).
- Inside single quotes nothing is special. Inside double quotes `$NAME`, `${NAME}`, `${NAME-default}` are replaced; the default ends
  at the first `}` and is taken literally; a variable that is set but empty is empty. `${NAME[*]}` becomes several words.
- A variable's text is not looked at again: blanks, quotes and `#` in it mean nothing (but for `[*]`).

Bytes and text: lines are UTF-8 where they can be; a byte that is not becomes a lone surrogate (Python's surrogateescape), so that
`word.encode("utf-8", "surrogateescape")` gives back exactly what was written, `\\xNN` included.
Sans-io.
Source: HAProxy configuration manual 2.1, 2.2, 2.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

WORDS_MAX = 4096  # HAProxy stops at 64; long ACLs need not
LENGTH_MAX = 1 << 16  # characters that variables may make of one line

_BLANKS = " \t"
_PLAIN = re.compile(r"[^ \t#\\'\"\r\n]+")
_PLAIN_IN_DOUBLE = re.compile(r"[^\\\"$]+")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|\.[A-Za-z_][A-Za-z0-9_]*")
_HEX = re.compile(r"[0-9a-fA-F]{2}")
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t"}
_PSEUDO = (".FILE", ".LINE", ".SECTION")

Lookup = Callable[[str], "str | None"]


@dataclass(frozen=True, slots=True)
class Word:
    """One word: its text after quotes and variables, and the columns (from 1) of its first and past its last source character."""

    text: str
    column: int
    end: int

    @property
    def width(self) -> int:
        return max(self.end - self.column, 1)


class LexError(Exception):
    """A line that cannot be cut into words. column counts from 1."""

    def __init__(self, message: str, column: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.column = column
        self.hint = hint


def split_line(line: str, lookup: Lookup, *, comments: bool = True) -> list[Word]:
    """The words of one line (without its line feed); [] for an empty line or a comment. lookup: a variable's text, or None.

    comments: whether `#` starts one.

    Raises LexError: unmatched quotes or braces, bad escapes, bad variable names, far too many words.
    """
    return _Splitter(line, lookup, comments).run()


def decode(data: bytes) -> str:
    """A file's bytes as text; see the module docstring for bytes that are no UTF-8."""
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    """The exact bytes of a word; reverses `decode`. Characters that no file can hold (other lone surrogates) become `?`."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


class _Splitter:
    """The state of one pass over one line: finished words, and the pieces of the word under construction."""

    __slots__ = ("at", "endings", "line", "lookup", "pieces", "size", "start", "words")

    def __init__(self, line: str, lookup: Lookup, comments: bool) -> None:
        self.line = line
        self.endings = "#\r\n" if comments else "\r\n"
        self.lookup = lookup
        self.words: list[Word] = []
        self.pieces: list[str] | None = None  # None: between words; [] is an empty word ("")
        self.start = 0
        self.at = 0
        self.size = 0

    def run(self) -> list[Word]:
        line, length = self.line, len(self.line)
        while self.at < length:
            letter = line[self.at]
            if letter in _BLANKS:
                self._finish()
                self.at += 1
            elif letter in self.endings:
                break
            elif letter == "#":
                self._put(letter)
                self.at += 1
            elif letter == "'":
                self._single_quoted()
            elif letter == '"':
                self._double_quoted()
            elif letter == "\\":
                self._escape(dollar=False)
            else:
                match = _PLAIN.match(line, self.at)
                assert match  # every other letter is handled above
                self._put(match[0])
                self.at = match.end()
        self._finish()
        return self.words

    def _put(self, text: str) -> None:
        if self.pieces is None:
            self.pieces, self.start = [], self.at
        self.pieces.append(text)
        self.size += len(text)
        if self.size > LENGTH_MAX:
            raise LexError("line too long after its variables were replaced", self.start + 1, "Shorten the variables' values.")

    def _finish(self) -> None:
        if self.pieces is None:
            return
        if len(self.words) >= WORDS_MAX:
            raise LexError(f"too many words, stopping at word {WORDS_MAX + 1}", self.start + 1, "Put long lists into a file (-f FILE).")
        self.words.append(Word(_settled("".join(self.pieces)), self.start + 1, self.at + 1))
        self.pieces = None

    def _single_quoted(self) -> None:
        end = self.line.find("'", self.at + 1)
        if end < 0:
            raise LexError(
                f"unmatched quote at position {self.at + 1}", self.at + 1, "Close the single quote, or write \\' if you mean the character."
            )
        self._put(self.line[self.at + 1 : end])
        self.at = end + 1

    def _double_quoted(self) -> None:
        opened = self.at
        self._put("")  # "" is a word too
        self.at += 1
        while self.at < len(self.line):
            letter = self.line[self.at]
            if letter == '"':
                self.at += 1
                return
            if letter == "\\":
                self._escape(dollar=True)
            elif letter == "$":
                self._variable()
            else:
                match = _PLAIN_IN_DOUBLE.match(self.line, self.at)
                assert match
                self._put(match[0])
                self.at = match.end()
        raise LexError(
            f"unmatched quote at position {opened + 1}", opened + 1, 'Close the double quote, or write \\" if you mean the character.'
        )

    def _escape(self, *, dollar: bool) -> None:
        """A backslash and what it protects; alone, or before anything without a meaning, it stands for itself."""
        letter = self.line[self.at + 1 : self.at + 2]
        if letter == "x":
            match = _HEX.match(self.line, self.at + 2)
            if not match:
                raise LexError(
                    f"truncated or invalid hexadecimal sequence at position {self.at + 1}",
                    self.at + 1,
                    "Write two hexadecimal digits, as in \\x0a, or \\\\x for the characters themselves.",
                )
            code = int(match[0], 16)
            self._put(chr(code) if code < 0x80 else chr(0xDC00 + code))
            self.at += 4
            return
        if letter and letter in _CONTROLS:
            self._put(_CONTROLS[letter])
        elif letter and (letter in " \t#\\'\"" or (dollar and letter == "$")):
            self._put(letter)
        else:
            self._put("\\")
            self.at += 1
            return
        self.at += 2

    def _variable(self) -> None:
        """`$NAME` or `${NAME…}` inside double quotes."""
        dollar = self.at
        braced = self.line.startswith("{", dollar + 1)
        name_at = dollar + (2 if braced else 1)
        match = _NAME.match(self.line, name_at)
        if not match or (match[0].startswith(".") and match[0] not in _PSEUDO):
            raise LexError(
                f"forbidden first char in environment variable name at position {name_at + 1}",
                name_at + 1,
                "Names start with a letter or an underscore; write \\$ for a dollar.",
            )
        value = self.lookup(match[0])
        self.at = match.end()
        if not braced:
            self._put(value or "")
            return
        several = False
        if self.line.startswith("[", self.at):
            if not self.line.startswith("[*]", self.at):
                raise LexError(
                    f"truncated or invalid word expansion sequence at position {self.at + 1}", self.at + 1, "Only [*] may stand here."
                )
            several, self.at = True, self.at + 3
        if self.line.startswith("-", self.at):
            end = self.line.find("}", self.at)
            if end >= 0:
                value = self.line[self.at + 1 : end] if value is None else value
                self.at = end
        if not self.line.startswith("}", self.at):
            raise LexError(f"unmatched brace in environment variable name at position {dollar + 2}", dollar + 2, "Close it as in ${NAME}.")
        if several:
            self._put_several(value or "")
        else:
            self._put(value or "")
        self.at += 1

    def _put_several(self, text: str) -> None:
        """A list in a variable: its first item joins what stands before, its last one what follows."""
        items = text.split()
        start = self.start
        for number, item in enumerate(items):
            if number:
                self._finish()
                self._put(item)
                self.start = start
            else:
                self._put(item)


def _settled(text: str) -> str:
    """Bytes given as \\xNN may complete a UTF-8 sequence: read the whole word as bytes once more."""
    if text.isascii():
        return text
    return decode(encode(text))
