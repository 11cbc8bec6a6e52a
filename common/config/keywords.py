"""What a row of the keyword table is, and how a line finds its row.

There is one table for everything: the rows stand in the modules `table_*.py`, `table.py` joins them. The parser, the checks, "did you
mean" and docs/configuration.md all read these rows, so a keyword cannot be known to one of them and not to another.

A row says who may use the keyword (sections), how it is written (syntax and number of arguments), what reads it (parse), what holds when
it is absent (default), what it means (our own words), and where HAProxy's manual describes it. Its status is one of three:

- SUPPORTED: does what the manual says.
- NOTICED: a tuning word of HAProxy's memory, threads or build that has no meaning here: accepted, said in a notice.
- REFUSED: a function that we do not have: an error that says so and what to use instead.

Sans-io.
Source: HAProxy configuration manual 3, 4.1, 5.1, 5.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, Flag
from typing import Any, Generic, TypeVar

from common.config.diagnostics import Severity
from common.config.lexer import Word

KEYWORD_WORDS_MAX = 3  # "capture request header"


class Section(Flag):
    """Where a keyword may stand; BIND, SERVER and the like are the settings on such lines."""

    GLOBAL = 1 << 0
    DEFAULTS = 1 << 1
    FRONTEND = 1 << 2
    LISTEN = 1 << 3
    BACKEND = 1 << 4
    USERLIST = 1 << 5
    PEERS = 1 << 6
    HTTP_ERRORS = 1 << 7
    RESOLVERS = 1 << 8
    CRT_STORE = 1 << 9
    LOG_PROFILE = 1 << 10
    BIND = 1 << 11
    SERVER = 1 << 12
    DEFAULT_SERVER = 1 << 13
    TOP = 1 << 14  # the words that start sections

    @property
    def title(self) -> str:
        """As written in a file: "frontend", "http-errors", "crt-store"."""
        return (self.name or "").lower().replace("_", "-")


FRONTENDS = Section.FRONTEND | Section.LISTEN
BACKENDS = Section.BACKEND | Section.LISTEN
PROXIES = FRONTENDS | BACKENDS
D_FRONTENDS = Section.DEFAULTS | FRONTENDS
D_BACKENDS = Section.DEFAULTS | BACKENDS
D_PROXIES = Section.DEFAULTS | PROXIES
SERVERS = Section.SERVER | Section.DEFAULT_SERVER


class Status(Enum):
    SUPPORTED = "supported"
    NOTICED = "accepted, no effect"
    REFUSED = "refused"


ParserT = TypeVar("ParserT")


@dataclass(frozen=True, slots=True)
class Keyword(Generic[ParserT]):
    """One row. name: one to three words. least, most: how many arguments; most None = any number.

    no: takes the prefixes `no` and `default`. named_defaults: in a defaults section only if that has a name.
    elsewhere: what it is to put the keyword into a proxy that lacks the capability (HAProxy ignores most with a warning, refuses some).
    mode: "http" or "tcp" where it has an effect in that mode only. instead: for REFUSED and NOTICED, what to use or why it is so.
    """

    name: str
    sections: Section
    syntax: str
    parse: ParserT
    meaning: str
    manual: str = "4.2"
    least: int = 0
    most: int | None = 0
    default: str = ""
    no: bool = False
    named_defaults: bool = False
    elsewhere: Severity = Severity.WARNING
    mode: str = ""
    status: Status = Status.SUPPORTED
    instead: str = ""
    ours: bool = False
    since: str = "0.1"

    @property
    def inherited(self) -> bool:
        """Whether a defaults section can preset it."""
        return bool(self.sections & Section.DEFAULTS)


class Table(Generic[ParserT]):
    """Rows by section and name."""

    __slots__ = ("_first_words", "_rows", "rows")

    def __init__(self, rows: Iterable[Keyword[ParserT]]) -> None:
        self.rows = tuple(rows)
        self._rows: dict[tuple[Section, str], Keyword[ParserT]] = {}
        self._first_words: dict[tuple[Section, str], list[str]] = {}
        for row in self.rows:
            for section in row.sections:
                assert (section, row.name) not in self._rows, f"two rows for {row.name} in {section.title}"
                self._rows[section, row.name] = row
                first, _, rest = row.name.partition(" ")
                if rest and row.status is not Status.REFUSED:
                    self._first_words.setdefault((section, first), []).append(rest)

    def get(self, section: Section, name: str) -> Keyword[ParserT] | None:
        return self._rows.get((section, name))

    def find(self, section: Section, words: Sequence[Word]) -> tuple[Keyword[ParserT], int] | None:
        """The row of a line in that section, and how many words its keyword has; the longest keyword wins.

        A row "set-var()" is found for any "set-var(…)".
        """
        for length in range(min(KEYWORD_WORDS_MAX, len(words)), 0, -1):
            if length > 1 and "(" in "".join(word.text for word in words[: length - 1]):
                continue  # blanks inside parentheses are no part of a keyword
            name = " ".join(word.text for word in words[:length])
            row = self._rows.get((section, name)) or (self._rows.get((section, name.partition("(")[0] + "()")) if "(" in name else None)
            if row is not None:
                return row, length
        return None

    def names(self, section: Section) -> list[str]:
        """Every keyword of that section."""
        return [name for (known, name) in self._rows if known is section]

    def first_words(self, section: Section) -> list[str]:
        """The words that a line of that section may start with, without those of refused rows."""
        firsts = {name.split(" ")[0]: None for (known, name), row in self._rows.items() if known is section}
        return list(firsts)

    def second_words(self, section: Section, first: str) -> list[str]:
        """What may follow a word such as `timeout` or `option`; [] when it is no such word."""
        return self._first_words.get((section, first), [])


AnyKeyword = Keyword[Any]

OtherT = TypeVar("OtherT")


def retargeted(rows: Iterable[Keyword[ParserT]], sections: Section, adapt: Callable[[ParserT], OtherT]) -> list[Keyword[OtherT]]:
    """The rows that hold in these sections, with their parsers made to fit another kind of line (TLS words on bind lines)."""
    return [
        replace(row, parse=adapt(row.parse), sections=row.sections & sections)  # type: ignore[arg-type, misc]
        for row in rows
        if row.sections & sections
    ]
