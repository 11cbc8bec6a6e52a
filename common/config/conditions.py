"""Conditions of `.if`, `.elif` and `-cc`: a small language of predicates, `!`, `&&`, `||` and parentheses.

The whole expression is read before anything is decided, so that a mistake behind `0 &&` is found too. An empty condition is false.
Arguments in parentheses have their own level of quoting (manual 2.2): quotes and backslashes protect commas and parentheses.
Sans-io.
Source: HAProxy configuration manual 2.4 and, for strstr, enabled and the library predicates, its later versions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from common.config.lexer import LexError, split_line
from common.config.options import LoadOptions
from common.config.suggest import did_you_mean

DEPTH_MAX = 64

TRUE, FALSE, FAULTY = 0, 1, 2  # exit codes of -cc

_NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)")
_PREDICATE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\(")
_VERSION = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-(dev|pre|rc)([0-9]*))?(?:-([0-9]+))?")
_OPENSSL = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?([a-z]*)(?:-(alpha|beta|pre|dev)([0-9]*))?")
_STAGES = {"dev": 0, "pre": 0, "rc": 1}


class ConditionError(Exception):
    """A condition that cannot be read. offset: where in the text, from 0."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class _World:
    """What predicates may ask."""

    environment: Mapping[str, str]
    options: LoadOptions


@dataclass(frozen=True, slots=True)
class _Predicate:
    arguments: int
    holds: Callable[[_World, list[str]], bool]


def evaluate(text: str, environment: Mapping[str, str], options: LoadOptions) -> bool:
    """Whether the condition holds. Raises ConditionError, with HAProxy's words, when it cannot be read."""
    if not text:
        return False
    reader = _Reader(text, _World(environment, options))
    result = reader.disjunction(0)
    reader.blanks()
    if reader.at < len(text):
        raise ConditionError(f"unexpected character '{text[reader.at]}' at the end of conditional expression '{text}'", reader.at)
    return result


def evaluate_condition(text: str, environment: Mapping[str, str], options: LoadOptions) -> tuple[int, str]:
    """For `-cc`: the exit code (0 true, 1 false, 2 cannot be read) and the message for 2, "" otherwise.

    The text is cut into words first, like a line of a file, so that quotes and variables mean what they mean there; `#` means nothing.
    """
    try:
        words = split_line(text, environment.get, comments=False)
        if text and not words:
            raise ConditionError(f"unparsable conditional sub-expression '{text}'")
        return (TRUE if evaluate(" ".join(word.text for word in words), environment, options) else FALSE), ""
    except LexError as error:
        return FAULTY, f"Syntax Error in condition: {error.message}."
    except ConditionError as error:
        return FAULTY, f"Failed to evaluate condition: {error.message}"


class _Reader:
    """Recursive descent; `||` binds weaker than `&&`, `!` strongest."""

    __slots__ = ("at", "text", "world")

    def __init__(self, text: str, world: _World) -> None:
        self.text = text
        self.world = world
        self.at = 0

    def blanks(self) -> None:
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1

    def disjunction(self, depth: int) -> bool:
        result = self._conjunction(depth)
        while self._operator("||"):
            result = self._conjunction(depth) or result
        return result

    def _conjunction(self, depth: int) -> bool:
        result = self._term(depth)
        while self._operator("&&"):
            result = self._term(depth) and result
        return result

    def _operator(self, sign: str) -> bool:
        self.blanks()
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def _term(self, depth: int) -> bool:
        if depth > DEPTH_MAX:
            raise ConditionError(f"more than {DEPTH_MAX} nested parentheses in conditional expression", self.at)
        self.blanks()
        negated = False
        while self.text.startswith("!", self.at):
            negated = not negated
            self.at += 1
            self.blanks()
        if self.text.startswith("(", self.at):
            opened = self.at
            self.at += 1
            result = self.disjunction(depth + 1)
            self.blanks()
            if not self.text.startswith(")", self.at):
                raise ConditionError(f"expected ')' after conditional expression '{self.text[opened:]}'", self.at)
            self.at += 1
        else:
            result = self._atom()
        return result is not negated

    def _atom(self) -> bool:
        number = _NUMBER.match(self.text, self.at)
        if number:
            self.at = number.end()
            return int(number[0], 16 if "x" in number[0].lower() else 10) != 0
        rest = self.text[self.at :]
        match = _PREDICATE.match(self.text, self.at)
        if not match:
            raise ConditionError(f"unparsable conditional expression '{rest}'", self.at)
        predicate = PREDICATES.get(match[1])
        if predicate is None:
            near = did_you_mean(match[1], PREDICATES)
            raise ConditionError(f"unparsable conditional expression '{rest}'{near}", self.at)
        self.at = match.end()
        arguments = self._arguments(match[1], predicate.arguments)
        return predicate.holds(self.world, arguments)

    def _arguments(self, name: str, wanted: int) -> list[str]:
        """The arguments up to the closing parenthesis, unquoted."""
        where = f"of predicate '{name}' used in conditional expression"
        items: list[str] = []
        while True:
            items.append(self._argument())
            ending = self.text[self.at : self.at + 1]
            if ending != ",":
                break
            if len(items) >= max(wanted, 1):
                raise ConditionError(f"expected ')' before '{self.text[self.at :]}' in argument {len(items)} {where}", self.at)
            self.at += 1
        if ending != ")":
            raise ConditionError(f"expected ')' in argument {len(items)} {where}", self.at)
        if wanted == 0 and items != [""]:
            raise ConditionError(f"no argument expected {where}", self.at)
        if len(items) < wanted:
            raise ConditionError(
                f"missing arguments (got {len(items)}/{wanted}), type 'string' expected in argument {len(items)} {where}", self.at
            )
        self.at += 1
        return items

    def _argument(self) -> str:
        """One argument: up to a comma or parenthesis outside quotes; leading blanks are no part of it."""
        self.blanks()
        pieces: list[str] = []
        quote = ""
        while self.at < len(self.text):
            letter = self.text[self.at]
            if quote != "'" and letter == "\\" and self.at + 1 < len(self.text):
                pieces.append(self.text[self.at + 1])
                self.at += 2
                continue
            if quote:
                if letter == quote:
                    quote = ""
                else:
                    pieces.append(letter)
            elif letter in "\"'":
                quote = letter
            elif letter in ",)":
                break
            else:
                pieces.append(letter)
            self.at += 1
        return "".join(pieces)


def _version(text: str) -> tuple[int, int, int, int, int, int]:
    """A version as HAProxy orders them: 3.0-dev9 < 3.0-rc1 < 3.0.0 < 3.0.1. What is missing counts as zero."""
    match = _VERSION.match(text)
    if not match:
        return (0, 0, 2, 0, 0, 0)
    major, minor, patch, stage, number, commits = match.groups()
    return (int(major), int(minor or 0), _STAGES.get(stage or "", 2), int(number or 0), int(patch or 0), int(commits or 0))


def _openssl(text: str) -> tuple[int, int, int, int, str]:
    """An OpenSSL version: 1.1.1 < 1.1.1a < 3.0.0-beta1 < 3.0.0."""
    match = _OPENSSL.match(text)
    if not match:
        return (0, 0, 0, 1, "")
    return (int(match[1]), int(match[2] or 0), int(match[3] or 0), 0 if match[5] else 1, match[4] + (match[6] or ""))


def _library(world: _World) -> tuple[str, str]:
    name, _, rest = world.options.ssl_library.partition(" ")
    return name, rest.split(" ")[0]


PREDICATES: dict[str, _Predicate] = {
    "defined": _Predicate(1, lambda world, words: words[0] in world.environment),
    "feature": _Predicate(1, lambda world, words: words[0] in world.options.features),
    "streq": _Predicate(2, lambda world, words: words[0] == words[1]),
    "strneq": _Predicate(2, lambda world, words: words[0] != words[1]),
    "strstr": _Predicate(2, lambda world, words: words[1] in words[0]),
    "version_atleast": _Predicate(1, lambda world, words: _version(world.options.version) >= _version(words[0])),
    "version_before": _Predicate(1, lambda world, words: _version(world.options.version) < _version(words[0])),
    "openssl_version_atleast": _Predicate(1, lambda world, words: _openssl(_library(world)[1]) >= _openssl(words[0])),
    "openssl_version_before": _Predicate(1, lambda world, words: _openssl(_library(world)[1]) < _openssl(words[0])),
    "ssllib_name_startswith": _Predicate(1, lambda world, words: _library(world)[0].startswith(words[0])),
    "enabled": _Predicate(1, lambda world, words: words[0].upper() in world.options.enabled),
    "fips_mode": _Predicate(0, lambda world, words: world.options.fips),
    # The library is never AWS-LC here: every version of it is newer than none.
    "awslc_api_atleast": _Predicate(1, lambda world, words: False),
    "awslc_api_before": _Predicate(1, lambda world, words: False),
}
