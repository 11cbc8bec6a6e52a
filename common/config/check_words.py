"""The steps of active checks: `http-check …` and `tcp-check …`. Kept as words, each line checked.

Steps of a section replace those inherited from its defaults, as a whole.
Sans-io.
Source: HAProxy configuration manual 4.2 "http-check", "tcp-check".
"""

from __future__ import annotations

import re
from collections.abc import Collection

from common.acl.environment import Where
from common.config.address import CHECK, AddressError, parse_address
from common.config.draft import Scope
from common.config.expressions import check_expression, check_format, check_regex
from common.config.statement import Statement, Words
from common.config.suggest import did_you_mean
from common.config.values import INTEGER_MAX

CHECK_STATUSES = ("L4OK", "L6OK", "L7OK", "L7OKC", "L4CON", "L6RSP", "L7RSP", "L7STS", "L4TOUT", "L6TOUT", "L7TOUT", "L4TMOUT")
_OK_STATUSES = ("L7OK", "L7OKC", "L6OK", "L4OK")
_ERROR_STATUSES = ("L7OKC", "L7RSP", "L7STS", "L6RSP", "L4CON")
_TIMEOUT_STATUSES = ("L7TOUT", "L6TOUT", "L4TOUT")
_HTTP_MATCHES = ("status", "rstatus", "hdr", "fhdr", "string", "rstring", "string-lf")
_TCP_MATCHES = ("string", "rstring", "string-lf", "binary", "rbinary", "binary-lf")
_CONNECT_FLAGS = ("default", "send-proxy", "ssl", "linger")
_CONNECT_VALUES = {
    "port": "a port",
    "addr": "an address",
    "sni": "a name",
    "alpn": "a list of protocols",
    "proto": "a protocol",
    "comment": "a text",
}
_VARIABLE = re.compile(r"(?:http|tcp)-check (set-var|set-var-fmt|unset-var)\(([^()]*)\)", re.DOTALL)
_NAME = re.compile(r"check\.[A-Za-z0-9_.]+|(?:proc|sess|txn|req|res)\.[A-Za-z0-9_.]+")


def _keep(scope: Scope, statement: Statement, ruleset: str, words: list[str]) -> None:
    """Add a step; the first one of a section drops what it inherited."""
    draft = scope.proxy_draft
    if ruleset not in draft.reset:
        draft.reset.add(ruleset)
        scope.proxy.extra.pop(ruleset, None)
    scope.proxy.extra[ruleset] = (*scope.proxy.extra.get(ruleset, ()), tuple(words))


def _step(statement: Statement) -> list[str]:
    """The words of the step, its own name first."""
    return [word.text for word in statement.words[1:]]


def http_flag(scope: Scope, statement: Statement) -> None:
    """disable-on-404 and send-state are settings, not steps."""
    scope.proxy.options |= {statement.keyword}


def http_comment(scope: Scope, statement: Statement) -> None:
    _comment(scope, statement, "http-check")


def tcp_comment(scope: Scope, statement: Statement) -> None:
    _comment(scope, statement, "tcp-check")


def _comment(scope: Scope, statement: Statement, ruleset: str) -> None:
    if len(statement.arguments) != 1 or not statement.argument(0):
        raise statement.fault(f"'{ruleset} comment' expects a string as argument.", 0, "Quote a text that has blanks.")
    _keep(scope, statement, ruleset, _step(statement))


def http_connect(scope: Scope, statement: Statement) -> None:
    _connect(scope, statement, "http-check")


def tcp_connect(scope: Scope, statement: Statement) -> None:
    if re.fullmatch(r"[0-9]+", statement.argument(0)):
        raise statement.fault("'tcp-check connect' : a port is written 'port <port>'.", 0)
    _connect(scope, statement, "tcp-check")


def _connect(scope: Scope, statement: Statement, ruleset: str) -> None:
    words = Words(statement)
    while words:
        name = words.next()
        if name in ("via-socks4", "pool-conn-name"):
            raise words.fault(f"'{ruleset} connect' : '{name}' is not supported by Usher", "Drop it.")
        if name in _CONNECT_VALUES:
            value = words.required(_CONNECT_VALUES[name])
            if name == "port":
                _port(scope, words, ruleset, value)
            elif name == "addr":
                _address(words, ruleset, value)
        elif name not in _CONNECT_FLAGS:
            known = [*_CONNECT_FLAGS, *_CONNECT_VALUES]
            raise words.fault(
                f"'{ruleset} connect' : unknown argument '{name}'{did_you_mean(name, known)}", f"Known are {', '.join(known)}."
            )
    _keep(scope, statement, ruleset, _step(statement))


def _port(scope: Scope, words: Words, ruleset: str, value: str) -> None:
    """A number, or an expression that gives one."""
    if not value.isdigit():
        check_expression(scope, words.statement, words.position - 1, where=Where.CHECK, words=1)
    elif not 0 < int(value[:9]) <= 65535:
        raise words.fault(f"'{ruleset} connect' : invalid port '{value}'")


def _address(words: Words, ruleset: str, value: str) -> None:
    try:
        parse_address(value, CHECK)
    except AddressError as error:
        raise words.fault(f"'{ruleset} connect' : 'addr' : {error.message}", error.hint) from None


def http_send(scope: Scope, statement: Statement) -> None:
    """The request: each setting once, `hdr` as often as needed."""
    words = Words(statement)
    seen: set[str] = set()
    if not words:
        raise statement.fault("'http-check send' expects at least one argument.", 0)
    while words:
        name = words.next()
        if name == "hdr":
            words.required("a field name")
            words.required("a value")
            check_format(scope, statement, words.position - 1, Where.CHECK)
            continue
        if name not in ("meth", "uri", "uri-lf", "ver", "body", "body-lf", "comment"):
            known = ("comment", "meth", "uri", "uri-lf", "ver", "hdr", "body", "body-lf")
            raise words.fault(f"'http-check send' : unknown argument '{name}'{did_you_mean(name, known)}", f"Known are {', '.join(known)}.")
        value = words.required("a value")
        if name == "ver" and not re.fullmatch(r"HTTP/\d\.\d", value):
            raise words.fault(f"'http-check send' : '{value}' is no version", "Write HTTP/1.0 or HTTP/1.1.")
        slot = name.removesuffix("-lf")
        if slot in seen:
            raise words.fault(f"'http-check send' : '{name}' already set.")
        seen.add(slot)
        if name.endswith("-lf"):
            check_format(scope, statement, words.position - 1, Where.CHECK)
    _keep(scope, statement, "http-check", _step(statement))


def http_expect(scope: Scope, statement: Statement) -> None:
    _expect(scope, statement, "http-check", _HTTP_MATCHES)
    _keep(scope, statement, "http-check", _step(statement))


def tcp_expect(scope: Scope, statement: Statement) -> None:
    _expect(scope, statement, "tcp-check", _TCP_MATCHES)
    _keep(scope, statement, "tcp-check", _step(statement))


def _expect(scope: Scope, statement: Statement, ruleset: str, matches: Collection[str]) -> None:
    """Settings in any order, and exactly one match with its pattern."""
    words = Words(statement)
    found = ""
    while words:
        name = words.next()
        if name == "!":
            continue
        if name.startswith("!") and name[1:] in matches:
            name = name[1:]
        if name in matches:
            if found:
                raise words.fault(f"'{ruleset} expect' : only one pattern expected.", "Write a second line for another pattern.")
            found = name
            _pattern(scope, words, ruleset, name)
        else:
            _expect_setting(scope, words, ruleset, name, matches)
    if not found:
        choices = ", ".join(f"'{name}'" for name in matches)
        raise statement.fault(f"'{ruleset} expect' : expects a pattern, one of {choices}.", 0)


def _expect_setting(scope: Scope, words: Words, ruleset: str, name: str, matches: Collection[str]) -> None:
    allowed = {"ok-status": _OK_STATUSES, "error-status": _ERROR_STATUSES, "tout-status": _TIMEOUT_STATUSES}
    if name in allowed:
        value = words.required("a status")
        if value not in allowed[name]:
            raise words.fault(f"'{ruleset} expect' : '{name}' only supports {', '.join(allowed[name])} (got '{value}').")
    elif name == "min-recv":
        value = words.required("a number of bytes")
        if not re.fullmatch(r"-1|[0-9]{1,9}", value) or int(value) > INTEGER_MAX:
            raise words.fault(f"'{ruleset} expect' : 'min-recv' expects a number of bytes, or -1 (got '{value}').")
    elif name in ("comment", "on-success", "on-error", "status-code"):
        words.required("a value")
        if name == "status-code":
            check_expression(scope, words.statement, words.position - 1, where=Where.CHECK, words=1)
        elif name != "comment":
            check_format(scope, words.statement, words.position - 1, Where.CHECK)
    else:
        known = [*allowed, "min-recv", "comment", "on-success", "on-error", "status-code", *matches]
        raise words.fault(f"'{ruleset} expect' : unknown argument '{name}'{did_you_mean(name, known)}", f"Known are {', '.join(known)}.")


def _pattern(scope: Scope, words: Words, ruleset: str, name: str) -> None:
    if name in ("hdr", "fhdr"):
        _header_pattern(scope, words, ruleset)
        return
    value = words.required("a pattern")
    if name == "status":
        for part in value.split(","):
            if not re.fullmatch(r"[1-9][0-9]{2}(-[1-9][0-9]{2})?", part):
                raise words.fault(f"'{ruleset} expect' : '{part}' is no status or range of them", "For example: status 200,301-399")
    elif name == "binary" and not re.fullmatch(r"([0-9a-fA-F]{2})+", value):
        raise words.fault(f"'{ruleset} expect' : '{value}' is not hexadecimal", "Write two digits for each byte.")
    elif name in ("rstatus", "rstring", "rbinary"):
        check_regex(words.statement, words.position - 1, f"'{ruleset} expect' : ")
    elif name.endswith("-lf"):
        check_format(scope, words.statement, words.position - 1, Where.CHECK)


def _header_pattern(scope: Scope, words: Words, ruleset: str) -> None:
    """`name|name-lf [-m <method>] <name> [value|value-lf [-m <method>] <value>]`."""
    kind = words.required("'name' or 'name-lf'")
    if kind not in ("name", "name-lf"):
        raise words.fault(f"'{ruleset} expect' : 'name' or 'name-lf' expected after the match, got '{kind}'.")
    _matched(scope, words, ruleset, kind, "a field name")
    if words.peek() in ("value", "value-lf"):
        _matched(scope, words, ruleset, words.next(), "a value")


def _matched(scope: Scope, words: Words, ruleset: str, kind: str, what: str) -> None:
    """`[-m <method>] <text>`."""
    method = _method(words, ruleset)
    words.required(what)
    if kind.endswith("-lf"):
        check_format(scope, words.statement, words.position - 1, Where.CHECK)
    elif method == "reg":
        check_regex(words.statement, words.position - 1, f"'{ruleset} expect' : ")


def _method(words: Words, ruleset: str) -> str:
    method = "str"
    while words.peek() in ("-m", "full"):
        if words.next() == "-m":
            method = words.required("a match method")
            if method not in ("str", "beg", "end", "sub", "reg"):
                raise words.fault(f"'{ruleset} expect' : unknown match method '{method}'", "Known are str, beg, end, sub and reg.")
    return method


def tcp_send(scope: Scope, statement: Statement) -> None:
    words = Words(statement)
    value = words.required("a text")
    kind = statement.keyword.removeprefix("tcp-check ")
    if kind == "send-binary" and not re.fullmatch(r"([0-9a-fA-F]{2})+", value):
        raise words.fault(f"'tcp-check send-binary' : '{value}' is not hexadecimal", "Write two digits for each byte.")
    if kind.endswith("-lf"):
        check_format(scope, statement, words.position - 1, Where.CHECK)
    while words:
        name = words.next()
        if name != "comment":
            raise words.fault(f"'{statement.keyword}' : unknown argument '{name}', only 'comment' is expected")
        words.required("a text")
    _keep(scope, statement, "tcp-check", _step(statement))


def http_variable(scope: Scope, statement: Statement) -> None:
    _variable(scope, statement, "http-check")


def tcp_variable(scope: Scope, statement: Statement) -> None:
    _variable(scope, statement, "tcp-check")


def _variable(scope: Scope, statement: Statement, ruleset: str) -> None:
    match = _VARIABLE.fullmatch(statement.keyword)
    if not match:
        raise statement.fault(
            f"'{statement.keyword}' : a variable is expected in parentheses", hint=f"For example: {ruleset} set-var(check.port) int(1234)"
        )
    action, name = match.groups()
    name = name.split(",")[0]
    if not _NAME.fullmatch(name):
        raise statement.fault(f"'{ruleset} {action}' : '{name}' is no variable", hint="Variables of checks are written check.NAME.")
    if (action == "unset-var") == bool(statement.arguments):
        raise statement.fault(f"'{ruleset} {action}' expects {'no' if action == 'unset-var' else 'an'} argument.", 0)
    if action == "set-var":
        used = check_expression(scope, statement, 0, where=Where.CHECK)
        if used < len(statement.arguments):
            raise statement.fault(f"'{ruleset} set-var' : unexpected argument '{statement.argument(used)}'.", used)
    elif action == "set-var-fmt":
        check_format(scope, statement, 0, Where.CHECK)
    _keep(scope, statement, ruleset, _step(statement))
