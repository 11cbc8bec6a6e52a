"""How samples are matched: the methods of `-m`, and the flags and values of an ACL. Sans-io.

    parse_patterns(words, …) -> Patterns      the flags, operators, files and values after an ACL's criterion

A method says which type of sample it takes (others are cast, where the manual's matrix has a method for them) and which lookup
structure holds the patterns.

Source: HAProxy configuration manual 7.1 (flags, methods, compatibility matrix), 7.1.1 to 7.1.6.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from common.acl import numbers
from common.acl.arguments import encode
from common.acl.casts import Cast, cast
from common.acl.environment import CompileEnvironment
from common.acl.indexes import Entry, ExactIndex, FoundIndex, Index, RegexIndex, TruthIndex, read_hex
from common.acl.indexes_numbers import AddressIndex, IntegerIndex
from common.acl.indexes_text import LabelIndex, PrefixIndex, SubstringIndex, SuffixIndex
from common.acl.maps import PatternList
from common.acl.table import did_you_mean
from common.acl.types import SampleType
from common.errors import ExpressionError


class Method(Enum):
    FOUND = "found"
    BOOL = "bool"
    INT = "int"
    IP = "ip"
    BIN = "bin"
    LEN = "len"
    STR = "str"
    SUB = "sub"
    REG = "reg"
    BEG = "beg"
    END = "end"
    DIR = "dir"
    DOM = "dom"


_T = SampleType
_TEXT = frozenset({_T.BOOL, _T.INT, _T.IPV4, _T.IPV6, _T.ADDR, _T.STR, _T.BIN, _T.METHOD, _T.ANY})

# The manual's compatibility matrix: which samples a method may be applied to.
_ACCEPTS: dict[Method, frozenset[SampleType]] = {
    Method.FOUND: frozenset(_T),
    Method.BOOL: frozenset({_T.BOOL, _T.INT, _T.STR, _T.ANY}),
    Method.INT: frozenset({_T.BOOL, _T.INT, _T.IPV4, _T.ADDR, _T.STR, _T.ANY}),
    Method.IP: frozenset({_T.IPV4, _T.IPV6, _T.ADDR, _T.STR, _T.INT, _T.ANY, _T.BIN}),
    Method.BIN: frozenset({_T.STR, _T.BIN, _T.ANY, _T.IPV4, _T.IPV6, _T.ADDR}),
} | {method: _TEXT for method in Method if method.value in ("len", "str", "sub", "reg", "beg", "end", "dir", "dom")}

_TARGETS: dict[Method, SampleType] = {
    Method.BOOL: _T.BOOL,
    Method.INT: _T.INT,
    Method.IP: _T.ADDR,
    Method.BIN: _T.BIN,
}

_DEFAULTS: dict[SampleType, Method] = {
    _T.BOOL: Method.BOOL,
    _T.INT: Method.INT,
    _T.IPV4: Method.IP,
    _T.IPV6: Method.IP,
    _T.ADDR: Method.IP,
    _T.STR: Method.STR,
    _T.METHOD: Method.STR,
}

_INDEXES: dict[Method, Callable[[], Index]] = {
    Method.FOUND: FoundIndex,
    Method.BOOL: TruthIndex,
    Method.INT: IntegerIndex,
    Method.IP: AddressIndex,
    Method.BIN: lambda: ExactIndex(read_hex),
    Method.LEN: lambda: IntegerIndex(measure=len),
    Method.STR: ExactIndex,
    Method.SUB: SubstringIndex,
    Method.REG: RegexIndex,
    Method.BEG: PrefixIndex,
    Method.END: SuffixIndex,
    Method.DIR: lambda: LabelIndex(b"/"),
    Method.DOM: lambda: LabelIndex(b"./?:"),
}

WITHOUT_PATTERNS = frozenset({Method.FOUND, Method.BOOL})


def new_index(method: Method) -> Index:
    return _INDEXES[method]()


def default_method(kind: SampleType) -> Method | None:
    """None: -m is mandatory."""
    return _DEFAULTS.get(kind)


def caster(method: Method, kind: SampleType) -> Cast | None:
    """The cast of a sample of that type to what the method compares; None if they do not go together."""
    if method is Method.FOUND:
        return _any_value
    if kind not in _ACCEPTS[method]:
        return None
    return cast(kind, _TARGETS.get(method, _T.STR))


def _any_value(value: Any) -> Any:
    return value


def parse_method(name: str) -> Method:
    try:
        return Method(name)
    except ValueError:
        names = [method.value for method in Method]
        raise ExpressionError(f'unknown matching method "{name}"; there are {", ".join(names)}', hint=did_you_mean(name, names)) from None


@dataclass(slots=True)
class Patterns:
    """The part of an ACL after its criterion. index: all patterns, wherever they come from. lists: as the operator socket shows them."""

    method: Method
    index: Index
    lists: tuple[PatternList, ...]
    count: int
    explicit_end: bool  # "--" was given


def parse_patterns(
    words: Sequence[str],
    kind: SampleType,
    implied: Method | None,
    versions: bool,
    environment: CompileEnvironment,
    description: str,
    offset: int = 0,
    owner: str = "",
) -> Patterns:
    """Reads `[flags] [operator] values…`.

    kind: the sample's type. implied: the method of an ACL keyword such as path_beg. versions: numbers are major.minor (req.ssl_ver).
    description: what the operator socket says of the list. offset: index of words[0] among the caller's words, for error places.
    owner: who compiles the same words several times, for different moments, and has one list for all of them; "" for nobody.
    """
    return _PatternParser(words, kind, implied, versions, environment, description, offset, owner).parse()


class _PatternParser:
    __slots__ = (
        "chosen", "description", "environment", "fold", "forced_id", "implied", "index", "inline", "is_map", "kind",
        "lists", "method", "offset", "operator", "owner", "position", "versions", "words",
    )  # fmt: skip

    def __init__(
        self,
        words: Sequence[str],
        kind: SampleType,
        implied: Method | None,
        versions: bool,
        environment: CompileEnvironment,
        description: str,
        offset: int,
        owner: str,
    ) -> None:
        self.owner = owner
        self.words = words
        self.kind = kind
        self.implied = implied
        self.chosen: str | None = None  # by -m
        self.method = implied or default_method(kind)
        self.versions = versions
        self.environment = environment
        self.description = description
        self.offset = offset
        self.position = 0
        self.fold = False
        self.is_map = False
        self.forced_id: int | None = None
        self.operator = "eq"
        self.index: Index | None = None
        self.inline: dict[tuple[bool, str], tuple[PatternList, bool]] = {}  # one list of words per -i and operator
        self.lists: list[PatternList] = []

    def parse(self) -> Patterns:
        values, explicit_end = 0, False
        while self.position < len(self.words):
            word = self.words[self.position]
            try:
                if not explicit_end and word == "--":
                    explicit_end = True
                    self.position += 1
                elif not explicit_end and word.startswith("-") and not self._is_number(word):
                    self._flag(word)
                elif self._is_operator(word):
                    self.operator = word
                    self.position += 1
                else:
                    self._value(word)
                    values += 1
                    self.position += 1
            except ExpressionError as error:
                raise ExpressionError(str(error), self.offset + min(self.position, len(self.words) - 1), error.hint) from None
        index = self._index()
        assert self.method is not None
        if not self.inline:
            self._inline()  # an operator may add patterns to it
        count = values + sum(len(found.entries) for found in self.lists if found.name)
        return Patterns(self.method, index, tuple(self.lists), count, explicit_end)

    def _is_number(self, word: str) -> bool:
        """`eq -5`: after an operator a minus sign starts a number."""
        return (self.operator != "eq" and word[1:].isdigit()) or (self.position > 0 and self.words[self.position - 1] in numbers.OPERATORS)

    def _is_operator(self, word: str) -> bool:
        return self.method in (Method.INT, Method.LEN) and word in numbers.OPERATORS

    def _flag(self, flag: str) -> None:
        match flag:
            case "-i":
                self.fold = True
            case "-n":
                pass  # names are never resolved here
            case "-M":
                self.is_map = True
            case "-m":
                self._set_method(self._argument(flag))
            case "-f":
                self._file(self._argument(flag))
            case "-u":
                number = self._argument(flag)
                if not number.isdigit():
                    raise ExpressionError(f'-u takes a number, got "{number}"')
                self.forced_id = int(number)
            case _:
                raise ExpressionError(f'"{flag}" is not an ACL flag; write "--" before a pattern that begins with "-"')
        self.position += 1

    def _argument(self, flag: str) -> str:
        self.position += 1
        if self.position >= len(self.words):
            raise ExpressionError(f"{flag} needs an argument")
        return self.words[self.position]

    def _set_method(self, name: str) -> None:
        if self.index is not None:
            raise ExpressionError("-m must stand before patterns and files")
        if self.chosen is not None:
            raise ExpressionError(f"there is one matching method: -m {self.chosen} or -m {name}")
        method = parse_method(name)
        if caster(method, self.kind) is None:
            raise ExpressionError(f'matching method "{name}" cannot be applied to a sample of type {self.kind.value}')
        if self.implied not in (None, Method.STR, method):
            self.environment.warn(f"{self.description}: -m {name} takes the place of the method that the keyword's own name says")
        self.chosen, self.method = name, method

    def _index(self) -> Index:
        if self.index is None:
            if self.method is None:
                raise ExpressionError(f"a sample of type {self.kind.value} has no matching method of its own: say which with -m")
            versions = self.versions and self.method is Method.INT
            self.index = IntegerIndex(numbers.parse_version_range) if versions else new_index(self.method)
        return self.index

    def _file(self, name: str) -> None:
        place = self.description.partition(" file ")[2]
        user = f"acl at file {place}" if place else self.description
        found = self.environment.maps.file(name, self.is_map, self.environment.read_file, user)
        index = self._index()
        assert self.method is not None
        found.attach(index, self.fold, None, self.method.value)
        self.lists.append(found)

    def _value(self, word: str) -> None:
        found, is_new = self._inline()
        if is_new:
            found.add(encode(word))

    def _inline(self) -> tuple[PatternList, bool]:
        """The list of the words with this -i and operator, and whether this is the first time that it is compiled.

        A named ACL is compiled once for each moment at which it is used, and has one list for all of them: what operators change in
        it must count everywhere.
        """
        key = (self.fold, self.operator)
        known = self.inline.get(key)
        if known is not None:
            return known
        index = self._index()
        assert self.method is not None
        owner = f"{self.owner} {key}" if self.owner else ""
        found, is_new = self.environment.maps.inline(self.description, self.forced_id, owner)
        self.forced_id = None
        operated = index if self.operator == "eq" else _OperatorIndex(index, self.operator, self.versions)
        found.attach(operated, self.fold, None, self.method.value)
        self.inline[key] = found, is_new
        self.lists.append(found)
        return found, is_new


class _OperatorIndex(Index):
    """Puts patterns into an integer index as the ranges that an operator makes of them: "gt 5" is 6 and up."""

    __slots__ = ("_operator", "_target", "_versions")

    def __init__(self, target: Index, operator: str, versions: bool) -> None:
        self._target = target
        self._operator = operator
        self._versions = versions

    def add(self, entry: Entry, fold: bool) -> None:
        assert isinstance(self._target, IntegerIndex)
        bounds = (numbers.parse_version_range if self._versions else numbers.parse_range)(entry.key)
        self._target.add_bounds(entry, numbers.operate(self._operator, bounds))

    def remove(self, entry: Entry, fold: bool) -> None:
        assert isinstance(self._target, IntegerIndex)
        bounds = (numbers.parse_version_range if self._versions else numbers.parse_range)(entry.key)
        self._target.remove_bounds(entry, numbers.operate(self._operator, bounds))

    def find(self, value: Any) -> Entry | None:
        return self._target.find(value)
