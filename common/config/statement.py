"""One line in the parser's hands: its words, the keyword they start with, and where to complain.

Parsers read `arguments`; a fault that makes the line useless is raised (`raise statement.fault(…)`), anything else is reported with
`alert`, `warn` or `note` and parsing goes on. Positions are indexes into `arguments`, -1 is the keyword itself.
Sans-io.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from common.config.diagnostics import Diagnostic, Report, Severity
from common.config.lexer import Word
from common.config.source import Line
from common.model import Condition, Place

KEYWORD = -1  # position of the keyword itself


class Prefix(Enum):
    """`no KEYWORD …` and `default KEYWORD …`."""

    NONE = ""
    NO = "no"
    DEFAULT = "default"


class Fault(Exception):
    """What makes a line useless. position: see the module docstring."""

    def __init__(self, message: str, position: int = KEYWORD, hint: str = "", slug: str = "bad-argument") -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.hint = hint
        self.slug = slug


@dataclass(slots=True)
class Statement:
    """words: the line without its `no`/`default`. length: how many words the keyword has ("timeout connect": 2)."""

    line: Line
    words: Sequence[Word]
    length: int
    report: Report
    prefix: Prefix = Prefix.NONE

    @property
    def keyword(self) -> str:
        return " ".join(word.text for word in self.words[: self.length])

    @property
    def arguments(self) -> list[str]:
        return [word.text for word in self.words[self.length :]]

    @property
    def place(self) -> Place:
        return self.place_of(KEYWORD)

    def argument(self, position: int) -> str:
        """The argument at that position, "" when the line is shorter."""
        index = self.length + position
        return self.words[index].text if index < len(self.words) else ""

    def place_of(self, position: int) -> Place:
        """Where an argument stands; one that is missing stands after the last word."""
        index = self.length + position if position >= 0 else 0
        if index < len(self.words):
            return Place(self.line.file, self.line.number, self.words[index].column)
        return Place(self.line.file, self.line.number, self.words[-1].end if self.words else 1)

    def fault(self, message: str, position: int = KEYWORD, hint: str = "") -> Fault:
        return Fault(message, position, hint)

    def alert(self, message: str, position: int = KEYWORD, hint: str = "", slug: str = "bad-argument") -> None:
        self._add(Severity.ALERT, message, position, hint, slug)

    def warn(self, message: str, position: int = KEYWORD, hint: str = "", slug: str = "") -> None:
        self._add(Severity.WARNING, message, position, hint, slug)

    def note(self, message: str, position: int = KEYWORD, hint: str = "", slug: str = "") -> None:
        self._add(Severity.NOTICE, message, position, hint, slug)

    def _add(self, severity: Severity, message: str, position: int, hint: str, slug: str) -> None:
        index = self.length + position if position >= 0 else 0
        if position < 0 and self.words:
            width = self.words[min(self.length, len(self.words)) - 1].end - self.words[0].column
        else:
            width = self.words[index].width if index < len(self.words) else 1
        self.report.add(
            Diagnostic(severity, self.place_of(position), message, hint=hint, text=self.line.text, width=max(width, 1), slug=slug)
        )


class Words:
    """A cursor over the words of a line that is a list of settings (`bind`, `server`, `stick-table` …)."""

    __slots__ = ("position", "statement", "texts")

    def __init__(self, statement: Statement, position: int = 0) -> None:
        self.statement = statement
        self.texts = statement.arguments
        self.position = position

    def __bool__(self) -> bool:
        return self.position < len(self.texts)

    def peek(self) -> str:
        """The next word, "" at the end."""
        return self.texts[self.position] if self else ""

    def next(self) -> str:
        """Take the next word; the caller knows that there is one."""
        self.position += 1
        return self.texts[self.position - 1]

    def required(self, what: str) -> str:
        """Take the argument of the word just taken; its absence is a fault."""
        if not self:
            name = self.texts[self.position - 1] if self.position else self.statement.keyword
            raise self.statement.fault(f"'{name}' : missing {what}", self.position)
        return self.next()

    def fault(self, message: str, hint: str = "") -> Fault:
        """A fault at the word that was taken last."""
        return self.statement.fault(message, self.position - 1, hint)


def split_condition(statement: Statement, start: int) -> tuple[list[str], Condition | None]:
    """The arguments up to `if` or `unless`, and the condition behind it. The first `start` arguments are never a condition."""
    arguments = statement.arguments
    for position in range(start, len(arguments)):
        if arguments[position] in ("if", "unless"):
            words = tuple(arguments[position + 1 :])
            if not words:
                raise statement.fault(
                    f"'{arguments[position]}' expects a condition", position, "Write ACL names or { … } after it, or drop it."
                )
            return arguments[:position], Condition(arguments[position] == "unless", words)
    return arguments, None
