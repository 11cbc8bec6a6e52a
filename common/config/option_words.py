"""Parsers of `option …`.

Switches live in Proxy.options; options with arguments in Proxy.option_args (an option that may have arguments is there with () when it has
none). Of the log formats, of the connection modes and of the kinds of checks the last one said holds.
Sans-io.
Source: HAProxy configuration manual 4.2.
"""

from __future__ import annotations

import ipaddress
import re

from common.config import values
from common.config.draft import Scope
from common.config.statement import Prefix, Statement, Words

CONNECTION_MODES = ("http-keep-alive", "http-server-close", "httpclose")
LOG_KINDS = ("httplog", "httpslog", "tcplog")
CHECK_KINDS = ("httpchk", "ldap-check", "mysql-check", "pgsql-check", "redis-check", "smtpchk", "ssl-hello-chk", "tcp-check")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VERSION = re.compile(r"HTTP/\d\.\d")


def _name(statement: Statement) -> str:
    return statement.keyword.removeprefix("option ")


def switch(scope: Scope, statement: Statement) -> None:
    """`option NAME`, `no option NAME`, `default option NAME`."""
    if statement.prefix is Prefix.NONE:
        scope.proxy.options |= {_name(statement)}
    else:
        scope.proxy.options -= {_name(statement)}


def _set(scope: Scope, statement: Statement, arguments: tuple[str, ...]) -> None:
    """An option with arguments, or its absence after `no` and `default`."""
    if statement.prefix is Prefix.NONE:
        scope.proxy.option_args[_name(statement)] = arguments
    else:
        scope.proxy.option_args.pop(_name(statement), None)


def connection_mode(scope: Scope, statement: Statement) -> None:
    if statement.prefix is Prefix.NONE:
        scope.proxy.options -= set(CONNECTION_MODES)
    switch(scope, statement)


def log_kind(scope: Scope, statement: Statement) -> None:
    """httplog, httpslog, tcplog: also switches an inherited log-format off."""
    name = _name(statement)
    if statement.argument(0) and statement.argument(0) != "clf":
        raise statement.fault(f"keyword '{name}' only supports option 'clf'.", 0)
    if not scope.proxy_draft.can_listen:
        statement.warn(f"backend '{scope.name}' : 'option {name}' directive is ignored in backends.", slug="wrong-section")
        return
    for kind in LOG_KINDS:
        scope.proxy.option_args.pop(kind, None)
    if scope.proxy.log_format is not None and "log-format" in scope.proxy_draft.given:
        first = scope.proxy_draft.given["log-format"]
        statement.warn(f"'option {name}' overrides previous 'log-format' in '{scope.title}' ({first.file}:{first.line}).")
    scope.proxy.log_format = None
    scope.proxy.option_args[name] = tuple(statement.arguments)


def check_kind(scope: Scope, statement: Statement) -> None:
    _check(scope, statement, ())


def _check(scope: Scope, statement: Statement, arguments: tuple[str, ...]) -> None:
    """One kind of check; the others are off then."""
    if statement.prefix is Prefix.NONE:
        for kind in CHECK_KINDS:
            scope.proxy.option_args.pop(kind, None)
    _set(scope, statement, arguments)


def http_check(scope: Scope, statement: Statement) -> None:
    """`option httpchk`, `… <uri>`, `… <method> <uri> [<version> [<host>]]`: kept as method, uri, version, host as far as given."""
    words = statement.arguments
    if len(words) == 1:
        words = ["", *words]
    if len(words) > 1 and not words[1]:
        raise statement.fault("'option httpchk' expects a URI.", 1)
    if words and words[0] and not _TOKEN.fullmatch(words[0]):
        raise statement.fault(f"'option httpchk' : '{words[0]}' is no method", 0, "For example: option httpchk GET /health")
    if len(words) > 2 and not _VERSION.match(words[2]):
        raise statement.fault(
            f"'option httpchk' : '{words[2]}' is no version", 2, "Write HTTP/1.0 or HTTP/1.1, and fields with http-check send hdr."
        )
    _check(scope, statement, tuple(words))


def mysql_check(scope: Scope, statement: Statement) -> None:
    words = statement.arguments
    if words:
        if words[0] != "user" or len(words) < 2:
            raise statement.fault("'option mysql-check' only supports optional values: 'user'.", 0, "Write: option mysql-check user NAME")
        if len(words) > 2:
            values.one_of(statement, 2, ("post-41", "pre-41"), what="option mysql-check")
        if len(words) > 3:
            raise statement.fault(f"'option mysql-check' cannot handle unexpected argument '{words[3]}'.", 3)
    _check(scope, statement, tuple(words))


def pgsql_check(scope: Scope, statement: Statement) -> None:
    words = statement.arguments
    if len(words) != 2 or words[0] != "user" or not words[1]:
        raise statement.fault("'option pgsql-check' expects 'user' and a name.", 0, "Write: option pgsql-check user NAME")
    _check(scope, statement, tuple(words))


def smtp_check(scope: Scope, statement: Statement) -> None:
    words = statement.arguments
    if words and len(words) != 2:
        raise statement.fault(
            "'option smtpchk' expects 'HELO' or 'EHLO' and a domain, or nothing.", 0, "Write: option smtpchk EHLO example.org"
        )
    # Whatever else stands for the command means HELO, as the manual says.
    _check(scope, statement, tuple(words))


def redispatch(scope: Scope, statement: Statement) -> None:
    """`option redispatch [<interval>]`: every so many attempts; negative counts from the last one. Kept as ("-1",) without argument."""
    if statement.prefix is Prefix.NONE and statement.arguments:
        values.integer(statement, 0, least=-values.INTEGER_MAX)
        if int(statement.argument(0)) == 0:
            _unset(scope, "redispatch")
            return
    _set(scope, statement, tuple(statement.arguments) or ("-1",))
    if statement.prefix is Prefix.NONE:
        scope.proxy.options |= {"redispatch"}
    else:
        _unset(scope, "redispatch")


def _unset(scope: Scope, name: str) -> None:
    scope.proxy.options -= {name}
    scope.proxy.option_args.pop(name, None)


def restrict_names(scope: Scope, statement: Statement) -> None:
    values.one_of(statement, 0, ("preserve", "delete", "reject"))
    _set(scope, statement, tuple(statement.arguments))


def proxy_status(scope: Scope, statement: Statement) -> None:
    """[name]: a token of RFC 9209."""
    if statement.arguments and not re.fullmatch(r"[A-Za-z*][A-Za-z0-9:/!#$%&'*+.^_`|~-]*", statement.argument(0)):
        raise statement.fault("'option proxy-status' expects the name of this proxy, a token that begins with a letter.", 0)
    _set(scope, statement, tuple(statement.arguments))


def forwarded_for(scope: Scope, statement: Statement) -> None:
    _address_field(scope, statement, ("except", "header", "if-none"))


def original_to(scope: Scope, statement: Statement) -> None:
    _address_field(scope, statement, ("except", "header"))


def _address_field(scope: Scope, statement: Statement, allowed: tuple[str, ...]) -> None:
    words = Words(statement)
    while words:
        name = words.next()
        if name not in allowed:
            choices = ", ".join(f"'{word}'" for word in allowed[:-1]) + f" and '{allowed[-1]}'"
            raise words.fault(f"'{statement.keyword}' only supports optional values: {choices}.")
        if name == "except":
            _network(words, statement)
        elif name == "header" and not _TOKEN.fullmatch(words.required("a field name")):
            raise words.fault(f"'{statement.keyword}' : '{words.texts[words.position - 1]}' is no field name")
    _set(scope, statement, tuple(statement.arguments))


def _network(words: Words, statement: Statement) -> None:
    text = words.required("an address or a network")
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise words.fault(f"'{statement.keyword}' : '{text}' is no network", "For example: except 127.0.0.0/8") from None


def forwarded(scope: Scope, statement: Statement) -> None:
    """`option forwarded …`; without arguments it means `proto for`."""
    words = Words(statement)
    seen: set[str] = set()
    while words:
        name = words.next()
        slot = name.removesuffix("-expr")
        if slot not in ("proto", "host", "by", "by_port", "for", "for_port") or name == "proto-expr":
            raise words.fault(
                f"'option forwarded' : unknown argument '{name}'",
                "Known are proto, host, by, by_port, for, for_port, and the -expr forms of all but proto.",
            )
        if slot in seen:
            raise words.fault(f"'option forwarded' : '{slot}' is said twice")
        seen.add(slot)
        if name.endswith("-expr"):
            words.required("a sample expression")
    for port in ("by_port", "for_port"):
        if port in seen and port.removesuffix("_port") not in seen:
            raise statement.fault(f"'option forwarded' : '{port}' needs '{port.removesuffix('_port')}' as well", 0)
    _set(scope, statement, tuple(statement.arguments))
