"""The syntax of log formats: text into a list of nodes. Sans-io. See common/acl/logformat.py.

    %{flags}(name:type)variable   %{flags}(name:type)[expression]   %%   text

Source: HAProxy configuration manual 8.2.6, and 3.0's for names, types and encodings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from common.acl.arguments import encode
from common.acl.environment import CompileEnvironment
from common.acl.expressions import Expression, parse_inside
from common.acl.log_encoding import NAME, Encoding, ItemType
from common.acl.log_variables import ALIASES, LOG_VARIABLES, LogVariable
from common.acl.table import did_you_mean
from common.errors import ExpressionError


@dataclass(frozen=True, slots=True)
class Flags:
    quote: bool = False  # Q
    hexadecimal: bool = False  # X
    escape: bool = False  # E
    mandatory: bool = False  # M
    binary: bool = False  # bin (with cbor)
    encoding: Encoding = Encoding.NONE


@dataclass(frozen=True, slots=True)
class Node:
    """One part of a format: a literal, a blank between parts, a variable, or an expression."""

    flags: Flags
    literal: bytes | None = None
    separator: bool = False
    variable: LogVariable | None = None
    expression: Expression | None = None
    name: bytes | None = None
    type: ItemType | None = None


class FormatParser:
    """Reads `%{flags}(name:type)variable`, `%{flags}(name:type)[expression]`, `%%` and text."""

    __slots__ = ("environment", "flags", "merge", "nodes", "position", "text")

    _VARIABLE = re.compile(r"[A-Za-z]+")

    def __init__(self, text: str, environment: CompileEnvironment, merge: bool) -> None:
        self.text = text
        self.environment = environment
        self.merge = merge
        self.position = 0
        self.flags = Flags()
        self.nodes: list[Node] = []

    def parse(self) -> tuple[list[Node], Flags]:
        literal: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == "%" and self.text.startswith("%%", self.position):
                literal.append("%")
                self.position += 2
            elif character == "%":
                self._literal(literal)
                self.position += 1
                self._item()
            elif character == " " and self.merge:
                self._literal(literal)
                self.position += 1
                if self.nodes and not self.nodes[-1].separator:  # none at the start, one between parts
                    self.nodes.append(Node(self.flags, separator=True))
            else:
                literal.append(character)
                self.position += 1
        self._literal(literal)
        return self.nodes, self.flags

    def _literal(self, characters: list[str]) -> None:
        if characters:
            self.nodes.append(Node(self.flags, encode("".join(characters))))
            characters.clear()

    def _item(self) -> None:
        flags = self.flags
        name: bytes | None = None
        kind: ItemType | None = None
        start = self.position - 1
        if self._at("("):
            name, kind = self._name()
        if self._at("{"):
            flags = self._flags(flags)
        if self._at("("):
            name, kind = self._name()
        if self._at("["):
            self._expression(flags, name, kind)
            return
        match = self._VARIABLE.match(self.text, self.position)
        if not match:
            raise ExpressionError(f'"{self.text[start:]}" breaks off: after "%" comes a variable or an expression; "%%" is a plain "%"')
        self._variable(match[0], flags, name, kind)

    def _at(self, character: str) -> bool:
        return self.text.startswith(character, self.position)

    def _until(self, closing: str) -> str:
        end = self.text.find(closing, self.position)
        if end < 0:
            raise ExpressionError(f'"{self.text[self.position :]}" has no closing "{closing}"')
        inside = self.text[self.position + 1 : end]
        self.position = end + 1
        return inside

    def _name(self) -> tuple[bytes | None, ItemType | None]:
        name, _, kind = self._until(")").partition(":")
        if name and not NAME.fullmatch(name):
            raise ExpressionError(f'item name "{name}" has a character that is none of a-z A-Z 0-9 - _')
        types = {known.value: known for known in ItemType}
        if kind and kind not in types:
            raise ExpressionError(f'unknown item type "{kind}": there are {", ".join(types)}', hint=did_you_mean(kind, types))
        return name.encode() or None, types.get(kind)

    def _flags(self, flags: Flags) -> Flags:
        for word in self._until("}").split(","):
            word = word.strip()
            sign, name = word[:1], word[1:]
            if sign not in ("+", "-"):
                self.environment.warn(f'flag "{word}" has no "+" or "-" before it and does nothing')
                continue
            on = sign == "+"
            match name:
                case "Q":
                    flags = replace(flags, quote=on)
                case "X":
                    flags = replace(flags, hexadecimal=on)
                case "E":
                    flags = replace(flags, escape=on)
                case "M":
                    flags = replace(flags, mandatory=on)
                case "bin":
                    flags = replace(flags, binary=on)
                case "json" | "cbor":
                    flags = replace(flags, encoding=Encoding(name) if on else Encoding.NONE)
                case _:
                    raise ExpressionError(f'unknown flag "{name}": there are Q, X, E, M, json, cbor and bin')
        return flags

    def _expression(self, flags: Flags, name: bytes | None, kind: ItemType | None) -> None:
        expression, end = parse_inside(self.text, self.position + 1, self.environment)
        if not self.text.startswith("]", end):
            found = f'"{self.text[end]}"' if end < len(self.text) else "the end"
            raise ExpressionError(f'expected "]" after "{self.text[self.position + 1 : end]}", found {found}')
        self.position = end + 1
        self.nodes.append(Node(flags, expression=expression, name=name, type=kind))

    def _variable(self, word: str, flags: Flags, name: bytes | None, kind: ItemType | None) -> None:
        """The whole run of letters is the name, as with HAProxy: "%bx" is an error, not %b and an x. "%o" only sets flags."""
        if word == "o":
            self.flags = flags
            self.position += 1
            return
        row = LOG_VARIABLES.get(ALIASES.get(word, word))
        if row is None:
            raise ExpressionError(
                f'unknown log variable "%{word}"; a plain "%" is written "%%"',
                hint=did_you_mean(word, [known for known in LOG_VARIABLES if known[0].lower() == word[0].lower()]),
            )
        if row.http and not self.environment.http:
            raise ExpressionError(f'log variable "%{word}" needs mode http')
        self.position += len(word)
        self.nodes.append(Node(flags, variable=row, name=name, type=kind))
