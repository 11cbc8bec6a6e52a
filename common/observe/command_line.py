"""What operators type, as commands: lines, `;`, backslashes, payloads. Sans-io.

A line holds commands separated by `;`. A backslash keeps the next character (a space, `;`, a backslash) in its word. When the
last word of a line begins with `<<`, the lines after it are the payload of the last command, up to a line that says what
follows `<<` (usually nothing: an empty line).

Source: HAProxy management guide 9.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from common.errors import UsherError

LINE_BYTES_MAX: Final = 16384  # tune.bufsize, as in HAProxy
PAYLOAD_BYTES_MAX: Final = 1 << 20
PAYLOAD_MARK: Final = "<<"


class TooLong(UsherError):
    """More than any command has."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command. words: never empty in what the reader gives, but for a line that is empty as a whole."""

    words: tuple[str, ...]
    payload: str | None = None
    line: str = ""  # as it is passed on to another process


class CommandReader:
    """Takes bytes as they come and gives the commands of one line after the other."""

    __slots__ = ("_buffer", "_commands", "_end", "_payload")

    def __init__(self) -> None:
        self._buffer = b""
        self._commands: list[Command] = []  # of the line whose payload is being read
        self._payload: list[str] | None = None
        self._end = ""

    def feed(self, data: bytes) -> None:
        """More bytes. Raises TooLong when a line or a payload grows beyond its limit."""
        self._buffer += data
        waiting = len(self._buffer) - (self._buffer.rfind(b"\n") + 1)
        payload = sum(map(len, self._payload)) if self._payload is not None else 0
        if waiting > LINE_BYTES_MAX or payload + len(self._buffer) > PAYLOAD_BYTES_MAX:
            raise TooLong(f"a command line has at most {LINE_BYTES_MAX} bytes")

    @property
    def in_payload(self) -> bool:
        return self._payload is not None

    @property
    def has_line(self) -> bool:
        """Whether a whole line waits to be taken."""
        return b"\n" in self._buffer

    def take(self) -> list[Command] | None:
        """The commands of the next whole line (with its payload); None when more bytes are needed.

        An empty line gives one command without words. While a payload is read, each call takes one line of it: `in_payload` says so.
        """
        line = self._next_line()
        if line is None:
            return None
        if self._payload is not None:
            return self._take_payload(line)
        commands = [Command(tuple(words), line=text) for words, text in _split(line)]
        if commands and commands[-1].words and commands[-1].words[-1].startswith(PAYLOAD_MARK):
            last = commands[-1]
            self._end = last.words[-1].removeprefix(PAYLOAD_MARK)
            text = last.line.rpartition(PAYLOAD_MARK)[0].rstrip()
            self._commands, self._payload = [*commands[:-1], Command(last.words[:-1], "", text)], []
            return []
        return commands or [Command(())]

    def _take_payload(self, line: str) -> list[Command]:
        assert self._payload is not None
        if line != self._end:
            self._payload.append(line)
            return []
        commands, payload = self._commands, "\n".join(self._payload)
        self._commands, self._payload = [], None
        return [*commands[:-1], Command(commands[-1].words, payload, commands[-1].line)]

    def _next_line(self) -> str | None:
        line, end, rest = self._buffer.partition(b"\n")
        if not end:
            return None
        self._buffer = rest
        return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")


def split_words(line: str) -> list[str]:
    """The words of one command. A `;` does not end it here."""
    return [word for words, _text in _split(line, ends="") for word in words]


def _split(line: str, ends: str = ";") -> list[tuple[list[str], str]]:
    """The commands of a line, each as words and as text; empty ones between `;` are left out. ends: what ends a command."""
    commands: list[tuple[list[str], str]] = []
    words: list[str] = []
    word: str | None = None
    start = position = 0
    while position <= len(line):
        character = line[position] if position < len(line) else ""
        if character == "\\" and position + 1 < len(line):
            word = (word or "") + line[position + 1]
            position += 1
        elif character in (" ", "\t", "", *ends):
            if word is not None:
                words.append(word)
                word = None
            if character in ("", *ends):
                if words:
                    commands.append((words, line[start:position].strip()))
                words, start = [], position + 1
        else:
            word = (word or "") + character
        position += 1
    return commands
