"""One row per sample fetch, converter and ACL keyword: what the compiler checks against and what the docs are made from. Sans-io.

A row names a *maker*: called once with the environment and the checked arguments, it returns the closure that runs. Modules named
fetches_*.py and converters_*.py fill a `Table` each, with the row as a decorator right over its maker; fetches.py and
converters.py join them.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from common.acl.environment import Needs
from common.acl.facts import Facts
from common.acl.types import SampleType

Getter = Callable[[Facts], Any]  # a Value, a Typed if the expression's type is ANY, or None
EachGetter = Callable[[Facts], Iterable[Any]]  # every occurrence, for ACLs
Step = Callable[[Any], Any]  # value -> value or None
FactsStep = Callable[[Any, Facts], Any]


class ArgumentKind(Enum):
    STRING = "string"
    INTEGER = "integer"
    VARIABLE = "variable"
    INTEGER_OR_VARIABLE = "integer or variable"
    STRING_OR_VARIABLE = "string or variable"
    REGEX = "regex"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    MASK4 = "mask4"
    MASK6 = "mask6"
    FRONTEND = "frontend"
    BACKEND = "backend"
    SERVER = "server"
    TABLE = "table"
    USERLIST = "userlist"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    kind: ArgumentKind


@dataclass(frozen=True, slots=True)
class Row:
    """What fetches and converters have in common. required: how many of the arguments must be there. Arguments that are left out or
    empty reach the maker as None. many: the last argument may repeat."""

    name: str
    arguments: tuple[Argument, ...]
    required: int
    section: str
    doc: str
    many: bool = False

    @property
    def signature(self) -> str:
        """`name(<a>[,<b>])`, as the manual writes it."""
        if not self.arguments:
            return self.name
        text = ""
        for index, argument in enumerate(self.arguments):
            piece = ("," if index else "") + f"<{argument.name}>"
            text += piece if index < self.required else "[" + piece
        text += "[,…]" if self.many else ""
        return f"{self.name}({text}{']' * (len(self.arguments) - self.required)})"


@dataclass(frozen=True, slots=True)
class Fetch(Row):
    """make(environment, *arguments) -> Getter. each: the same, for all occurrences (ACLs try them one by one). http: needs mode http.
    constant: the value depends on the arguments only, so that it is computed once."""

    type: SampleType = SampleType.STR
    make: Callable[..., Getter] = NotImplemented
    needs: Needs = Needs.NOTHING
    each: Callable[..., EachGetter] | None = None
    constant: bool = False
    names: tuple[str, ...] = ()  # all spellings, the preferred one first


@dataclass(frozen=True, slots=True)
class Converter(Row):
    """make(environment, *arguments) -> Step. Input ANY takes every type and gets it as the maker's second argument; output ANY means
    "as the input". facts: the step takes (value, facts). living: what it answers may change while the program runs, as maps do."""

    input: SampleType = SampleType.STR
    output: SampleType = SampleType.STR
    make: Callable[..., Any] = NotImplemented
    facts: bool = False
    names: tuple[str, ...] = ()
    living: bool = False


class _Named(Protocol):
    @property
    def names(self) -> tuple[str, ...]: ...


R = TypeVar("R", bound=_Named)
M = TypeVar("M", bound=Callable[..., Getter])
G = TypeVar("G", bound=Getter)
C = TypeVar("C", bound=Callable[..., Any])


class Table(Generic[R]):
    """Rows by each of their names."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[str, R] = {}

    def add(self, row: R) -> None:
        for name in row.names:
            assert name not in self.rows, f"{name} has two rows"
            self.rows[name] = row


def _arguments(specification: str) -> tuple[Argument, ...]:
    """ "name:kind name:kind" """
    pairs = (part.split(":") for part in specification.split())
    return tuple(Argument(name, ArgumentKind(kind.replace("_", " "))) for name, kind in pairs)


class FetchTable(Table[Fetch]):
    def row(
        self,
        names: str,
        type: SampleType,
        needs: Needs,
        section: str,
        doc: str,
        *,
        arguments: str = "",
        required: int | None = None,
        each: Callable[..., EachGetter] | None = None,
        constant: bool = False,
        many: bool = False,
    ) -> Callable[[M], M]:
        """Decorator over a maker. names: spellings separated by blanks, the preferred one first."""
        listed = _arguments(arguments)
        count = len(listed) if required is None else required

        def add(make: M) -> M:
            spelled = tuple(names.split())
            self.add(Fetch(spelled[0], listed, count, section, doc, many, type, make, needs, each, constant, spelled))
            return make

        return add

    def plain(
        self, names: str, type: SampleType, needs: Needs, section: str, doc: str, *, each: EachGetter | None = None
    ) -> Callable[[G], G]:
        """Decorator over a getter itself: a fetch without arguments."""
        row = self.row(names, type, needs, section, doc, each=None if each is None else lambda environment: each)

        def add(get: G) -> G:
            row(lambda environment: get)
            return get

        return add


class ConverterTable(Table[Converter]):
    def row(
        self,
        names: str,
        input: SampleType,
        output: SampleType,
        doc: str,
        *,
        arguments: str = "",
        required: int | None = None,
        facts: bool = False,
        many: bool = False,
        living: bool = False,
        section: str = "7.3.1",
    ) -> Callable[[C], C]:
        listed = _arguments(arguments)
        count = len(listed) if required is None else required

        def add(make: C) -> C:
            spelled = tuple(names.split())
            self.add(Converter(spelled[0], listed, count, section, doc, many, input, output, make, facts, spelled, living))
            return make

        return add

    def plain(self, names: str, input: SampleType, output: SampleType, doc: str) -> Callable[[C], C]:
        """Decorator over a step itself: a converter without arguments."""
        row = self.row(names, input, output, doc)

        def add(step: C) -> C:
            row(lambda environment: step)
            return step

        return add


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint such as `did you mean "path_beg"?`, or ""."""
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    return "did you mean " + " or ".join(f'"{name}"' for name in close) + "?" if close else ""
