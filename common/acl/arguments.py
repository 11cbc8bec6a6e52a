"""The text of a sample expression into names and arguments, and arguments into checked values. Sans-io.

    name(argument,"quoted, argument"),converter(1,x),converter

Arguments have their own level of quoting, after the configuration line's: "…" and '…' protect commas and parentheses; a backslash
before a backslash, a quote or a blank stands for that character, \\n \\r \\t for the usual, and any other backslash for itself (so
that regular expressions need no doubling). Outside of quotes a backslash does not protect commas and parentheses.

Source: HAProxy configuration manual 2.2 ("second level of quoting") and 7.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from common.acl import networks, variables
from common.acl.addresses import parse_ipv4, parse_ipv6
from common.acl.environment import CompileEnvironment
from common.acl.regexes import compile_regex
from common.acl.table import Argument, ArgumentKind, Row, did_you_mean
from common.acl.types import clamp
from common.errors import ExpressionError

_NAME = re.compile(r"[A-Za-z0-9_.+-]+")
_INTEGER = re.compile(r"[+-]?[0-9]+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'", " ": " "}


@dataclass(frozen=True, slots=True)
class Call:
    """One keyword of an expression and its arguments; arguments is None without parentheses."""

    name: str
    arguments: tuple[str, ...] | None


def encode(text: str) -> bytes:
    """Configuration text as bytes, undecodable bytes of the file restored."""
    return text.encode("utf-8", "surrogateescape")


def parse_calls(text: str, start: int = 0) -> tuple[list[Call], int]:
    """The calls from `start` on, and where they end: at the text's end or at the first character that is none of theirs."""
    calls: list[Call] = []
    position = start
    while True:
        match = _NAME.match(text, position)
        if match is None:
            if calls and (position >= len(text) or text[position] != ","):
                return calls, position  # a trailing comma is let pass
            if not calls:
                raise ExpressionError(f'"{text[start:]}" does not start with the name of a sample fetch')
        else:
            position = match.end()
            arguments: tuple[str, ...] | None = None
            if position < len(text) and text[position] == "(":
                arguments, position = _parse_arguments(text, position + 1, match[0])
            calls.append(Call(match[0], arguments))
        if position >= len(text) or text[position] != ",":
            return calls, position
        position += 1


def _parse_arguments(text: str, position: int, name: str) -> tuple[tuple[str, ...], int]:
    """From after "(" to after ")"."""
    arguments: list[str] = []
    current: list[str] = []
    quote = ""
    while position < len(text):
        character = text[position]
        position += 1
        if character == "\\" and quote != "'" and position < len(text):
            following = text[position]
            if following in _ESCAPES:
                current.append(_ESCAPES[following])
                position += 1
            else:
                current.append(character)
        elif quote:
            if character == quote:
                quote = ""
            else:
                current.append(character)
        elif character in "\"'":
            quote = character
        elif character == ",":
            arguments.append("".join(current))
            current = []
        elif character == ")":
            arguments.append("".join(current))
            return tuple(arguments), position
        else:
            current.append(character)
    missing = f"closing {quote}" if quote else "closing parenthesis"
    raise ExpressionError(f'"{name}(" has no {missing}')


def bind(row: Row, call: Call, environment: CompileEnvironment, kind: str) -> list[Any]:
    """The maker's arguments: one value per argument of the row (None where left out), more if the last one repeats.

    Raises ExpressionError for a wrong count or a value that is not of its argument's kind.
    """
    given = list(call.arguments or ())
    if given == [""] and not (row.required and _takes_empty(row.arguments[0])):
        given = []
    if len(given) > len(row.arguments) and not row.many:
        expected = f"takes at most {len(row.arguments)}" if row.arguments else "takes no arguments"
        raise ExpressionError(f'{kind} "{call.name}" {expected}: {row.signature}')
    if len(given) < row.required:
        raise ExpressionError(f'{kind} "{call.name}" is missing <{row.arguments[len(given)].name}>: {row.signature}')
    values: list[Any] = []
    for index in range(max(len(given), len(row.arguments))):
        argument = row.arguments[min(index, len(row.arguments) - 1)]
        text = given[index] if index < len(given) else None
        if text is None or (text == "" and not (index < row.required and _takes_empty(argument))):
            if index < row.required:
                raise ExpressionError(f'{kind} "{call.name}": <{argument.name}> is empty: {row.signature}')
            values.append(None)
            continue
        try:
            values.append(_value(argument, text, environment))
        except ExpressionError as error:
            raise ExpressionError(f'{kind} "{call.name}", argument <{argument.name}>: {error}', hint=error.hint) from None
    return values


def _takes_empty(argument: Argument) -> bool:
    return argument.kind in (ArgumentKind.STRING, ArgumentKind.REGEX, ArgumentKind.STRING_OR_VARIABLE)


def parse_integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ExpressionError(f'"{text}" is not an integer')
    return clamp(int(text))


def _value(argument: Argument, text: str, environment: CompileEnvironment) -> Any:
    """Strings come as bytes (STRING) or str (names); integers as int; variables as "scope.name"; addresses packed; masks as lengths."""
    match argument.kind:
        case ArgumentKind.STRING:
            return encode(text)
        case ArgumentKind.INTEGER:
            return parse_integer(text)
        case ArgumentKind.VARIABLE:
            return _variable(text, environment)
        case ArgumentKind.INTEGER_OR_VARIABLE:
            if _INTEGER.fullmatch(text):
                return parse_integer(text)
            if not variables.looks_like_name(text):
                raise ExpressionError(f'"{text}" is neither an integer nor a variable such as txn.name')
            return _variable(text, environment)
        case ArgumentKind.STRING_OR_VARIABLE:
            return _variable(text, environment) if variables.looks_like_name(text) else encode(text)
        case ArgumentKind.REGEX:
            compile_regex(text)  # the maker compiles it again with its flags
            return text
        case ArgumentKind.IPV4 | ArgumentKind.IPV6:
            packed = (parse_ipv4 if argument.kind is ArgumentKind.IPV4 else parse_ipv6)(encode(text))
            if packed is None:
                raise ExpressionError(f'"{text}" is not an {"IPv4" if argument.kind is ArgumentKind.IPV4 else "IPv6"} address')
            return packed
        case ArgumentKind.MASK4:
            return networks.parse_ipv4_mask(encode(text))
        case ArgumentKind.MASK6:
            return networks.parse_ipv6_mask(encode(text))
        case ArgumentKind.FRONTEND | ArgumentKind.BACKEND:
            return _proxy(text, environment, backend=argument.kind is ArgumentKind.BACKEND)
        case ArgumentKind.SERVER:
            return _server(text, environment)
        case ArgumentKind.TABLE:
            return _table(text, environment)
        case ArgumentKind.USERLIST:
            if environment.config is not None and text not in environment.config.userlists:
                raise ExpressionError(f'there is no userlist "{text}"', hint=did_you_mean(text, environment.config.userlists))
            return text
        case ArgumentKind.FILE:
            return text


def _variable(text: str, environment: CompileEnvironment) -> str:
    variables.parse_name(text)
    environment.variables_read.add(text)
    return text


def _proxy(text: str, environment: CompileEnvironment, *, backend: bool) -> str:
    if not environment.proxy_named(text, backend=backend):
        assert environment.config is not None  # or it could not be missed
        names = [proxy.name for proxy in environment.config.proxies if (proxy.backend if backend else proxy.frontend)]
        raise ExpressionError(f'there is no {"backend" if backend else "frontend"} "{text}"', hint=did_you_mean(text, names))
    return text


def _server(text: str, environment: CompileEnvironment) -> tuple[str | None, str]:
    """(backend or None for the current one, server) of "[backend/]server"."""
    backend, slash, name = text.rpartition("/")
    if slash:
        _proxy(backend, environment, backend=True)
    config, proxy = environment.config, environment.proxy
    if slash:
        proxy = config.proxy(backend, backend=True) if config is not None else None
    if proxy is not None and proxy.backend and config is not None and all(server.name != name for server in proxy.servers):
        hint = did_you_mean(name, [server.name for server in proxy.servers])
        raise ExpressionError(f'there is no server "{name}" in backend "{proxy.name}"', hint=hint)
    return (backend if slash else None), name


def _table(text: str, environment: CompileEnvironment) -> str:
    config = environment.config
    if config is None:
        return text
    names = [proxy.name for proxy in config.proxies if proxy.stick_table]
    if text not in names:
        raise ExpressionError(f'there is no stick-table in a proxy named "{text}"', hint=did_you_mean(text, names))
    return text
