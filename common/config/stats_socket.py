"""`stats socket`, `stats timeout`, `stats maxconn` of section global: where operators' commands come in.

Sans-io.
Source: HAProxy configuration manual 3.1 "stats socket", 5.1 (level, expose-fd, severity-output); management guide 9.3.
"""

from __future__ import annotations

import re

from common.config import values
from common.config.address import BIND, AddressError, parse_address
from common.config.draft import Scope
from common.config.statement import Statement, Words
from common.config.suggest import did_you_mean

LEVELS = ("user", "operator", "admin")
SEVERITIES = ("none", "number", "string")
_WITH_VALUE = {
    "level": "a level",
    "mode": "a mode (octal)",
    "user": "a user name",
    "group": "a group name",
    "uid": "a number",
    "gid": "a number",
    "name": "a name",
    "severity-output": "a format",
    "expose-fd": "'listeners'",
    "backlog": "a number",
    "maxconn": "a number",
    "id": "a number",
    "process": "a process set",
    "thread": "a thread set",
    "nice": "a number",
    "interface": "an interface",
}
_FLAGS = ("v4v6", "v6only", "transparent", "defer-accept", "tfo")
_NUMBERS = ("uid", "gid", "backlog", "maxconn", "id")


def parse_stats_socket(scope: Scope, statement: Statement) -> None:
    """`stats socket <address> [settings]`; kept as words, the address first."""
    words = Words(statement)
    if not words:
        raise statement.fault(
            "'stats socket' expects an address or a path to a UNIX socket", 0, "For example: stats socket /run/usher.sock level admin"
        )
    address = words.next()
    try:
        parse_address(address if "/" not in address or "@" in address else f"unix@{address}", BIND)
    except AddressError as error:
        raise statement.fault(f"'stats socket' : {error.message}", 0, error.hint) from None
    while words:
        _setting(words)
    scope.state.config.globals.stats_sockets.append(tuple(statement.arguments))


def _setting(words: Words) -> None:
    name = words.next()
    if name in _FLAGS:
        return
    if name not in _WITH_VALUE:
        raise words.fault(f"'stats socket' : unknown keyword '{name}'{did_you_mean(name, [*_WITH_VALUE, *_FLAGS])}")
    value = words.required(_WITH_VALUE[name])
    if name == "level" and value not in LEVELS:
        raise words.fault(f"'stats socket' : 'level' only supports 'user', 'operator', and 'admin' (got '{value}')")
    if name == "severity-output" and value not in SEVERITIES:
        raise words.fault(f"'stats socket' : 'severity-output' only supports 'none', 'number', and 'string' (got '{value}')")
    if name == "expose-fd" and value != "listeners":
        raise words.fault(f"'stats socket' : 'expose-fd' only supports 'listeners' (got '{value}')")
    if name == "mode" and not re.fullmatch(r"0?[0-7]{3}", value):
        raise words.fault(f"'stats socket' : octal permissions expected, as in 660 (got '{value}')")
    if name in _NUMBERS and not re.fullmatch(r"[0-9]{1,10}", value):
        raise words.fault(f"'stats socket' : '{name}' expects a number, got '{value}'")


def parse_stats_timeout(scope: Scope, statement: Statement) -> None:
    values.time(statement, 0, unit="ms", positive=True)
    scope.state.config.globals.extra["stats timeout"] = ((statement.argument(0),),)


def parse_stats_maxconn(scope: Scope, statement: Statement) -> None:
    values.integer(statement, 0, least=1)
    scope.state.config.globals.extra["stats maxconn"] = ((statement.argument(0),),)
