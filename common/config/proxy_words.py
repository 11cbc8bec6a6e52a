"""Makers of parsers for the simple keywords of proxies, and the parsers of the less simple ones.

Sans-io.
Source: HAProxy configuration manual 4.2.
"""

from __future__ import annotations

from collections.abc import Callable

from common.acl.environment import Where
from common.config import values
from common.config.address import SOURCE, AddressError, parse_addresses
from common.config.draft import Scope
from common.config.expressions import check_acl, check_format
from common.config.keywords import Section
from common.config.log_target import LOG_STEPS, parse_target
from common.config.statement import Prefix, Statement
from common.config.suggest import did_you_mean
from common.model import Acl

SectionParser = Callable[[Scope, Statement], None]

ACL_RESERVED = ("or", "OR", "if", "unless")


def integer(field: str, *, least: int = 0, most: int = values.INTEGER_MAX) -> SectionParser:
    """A whole number that goes to a field of the proxy."""

    def parse(scope: Scope, statement: Statement) -> None:
        setattr(scope.proxy, field, values.integer(statement, 0, least=least, most=most))

    return parse


def integer_or_unset(field: str) -> SectionParser:
    """The same where 0 means what its absence means."""

    def parse(scope: Scope, statement: Statement) -> None:
        setattr(scope.proxy, field, values.integer(statement, 0) or None)

    return parse


def text(field: str, what: str) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        setattr(scope.proxy, field, values.required(statement, 0, what))

    return parse


def _said_before(scope: Scope, statement: Statement, name: str) -> None:
    """Warn if the section has that keyword twice: the last one holds. HAProxy lets it pass in defaults sections."""
    if scope.section is not Section.DEFAULTS and scope.proxy_draft.given.get(statement.keyword, statement.place) != statement.place:
        statement.warn(f"overwriting {name} which was already specified", slug="said-twice")


def rate_limit(scope: Scope, statement: Statement) -> None:
    _said_before(scope, statement, "rate-limit sessions")
    scope.proxy.rate_limit_sessions = values.integer(statement, 0)


def timeout(field: str) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        _said_before(scope, statement, f"'{statement.keyword}'")
        setattr(scope.proxy.timeouts, field, values.time(statement, 0) or None)  # 0: no limit, as if it were not set

    return parse


def mode(scope: Scope, statement: Statement) -> None:
    value = statement.argument(0)
    if value == "health":
        raise statement.fault("'mode health' is gone", 0, "Use: http-request return status 200")
    if value in ("log", "spop", "haterm"):
        raise statement.fault(f"'mode {value}' is not supported by Usher", 0, "Modes are tcp and http.")
    scope.proxy.mode = values.one_of(statement, 0, ("tcp", "http"))


def enabled(value: bool) -> SectionParser:
    def parse(scope: Scope, statement: Statement) -> None:
        scope.proxy.disabled = not value

    return parse


def log(scope: Scope, statement: Statement) -> None:
    """`log …` adds a target; `no log` drops those inherited and given so far."""
    if statement.prefix is Prefix.NO:
        if statement.arguments:
            raise statement.fault("'no log' takes no argument.", 0)
        scope.proxy.logs.clear()
        return
    if statement.prefix is Prefix.DEFAULT:
        raise statement.fault("log : expects <address> and <facility> or global as arguments", 0)
    scope.proxy.logs.append(parse_target(statement, in_proxy=True))


def default_backend(scope: Scope, statement: Statement) -> None:
    scope.proxy.default_backend = values.required(statement, 0, "a backend name")


def acl(scope: Scope, statement: Statement) -> None:
    name = values.identifier(statement, 0, what="acl name")
    if name in ACL_RESERVED:
        raise statement.fault(f"'acl' name '{name}' is a reserved word", 0, "Choose another name: 'or', 'if' and 'unless' join conditions.")
    if len(statement.arguments) < 2:
        raise statement.fault(
            f"error detected while parsing ACL '{name}' : missing fetch method", 1, "For example: acl static path_beg /static"
        )
    one = Acl(statement.place, name, tuple(statement.arguments[1:]))
    check_acl(scope, statement, one)
    scope.proxy.acls.append(one)


def extra(scope: Scope, statement: Statement) -> None:
    """Keywords without a field of their own: the words of each line, in order."""
    lines = scope.proxy.extra.get(statement.keyword, ())
    scope.proxy.extra[statement.keyword] = (*lines, tuple(statement.arguments))


def extra_checked(check: Callable[[Statement], None]) -> SectionParser:
    """A keyword without a field of its own that is said once: checked, the last one kept as written."""

    def parse(scope: Scope, statement: Statement) -> None:
        check(statement)
        scope.proxy.extra[statement.keyword] = (tuple(statement.arguments),)

    return parse


def whole_number(statement: Statement) -> None:
    values.integer(statement, 0)


def signed_number(statement: Statement) -> None:
    values.integer(statement, 0, least=-values.INTEGER_MAX)


def percentage(statement: Statement) -> None:
    values.integer(statement, 0, most=100)


def seconds(statement: Statement) -> None:
    values.time(statement, 0, unit="s")


def choice(*allowed: str) -> Callable[[Statement], None]:
    def check(statement: Statement) -> None:
        values.one_of(statement, 0, allowed)

    return check


def format_of(field: str, where: Where | None = None) -> SectionParser:
    """A log-format that goes to a field of the proxy. where: the moment at which it is made; None for log lines."""

    def parse(scope: Scope, statement: Statement) -> None:
        check_format(scope, statement, 0, where)
        setattr(scope.proxy, field, statement.argument(0))

    return parse


def log_steps(scope: Scope, statement: Statement) -> None:
    steps = statement.argument(0).split(",")
    for step in steps:
        if step not in LOG_STEPS:
            raise statement.fault(
                f"'log-steps' : unknown step '{step}'{did_you_mean(step, LOG_STEPS)}", 0, f"Known are {', '.join(LOG_STEPS)}."
            )
    scope.proxy.extra["log-steps"] = (tuple(steps),)


def monitor_uri(scope: Scope, statement: Statement) -> None:
    scope.proxy.monitor_uri = values.required(statement, 0, "an URI")


def source(scope: Scope, statement: Statement) -> None:
    text = statement.argument(0)
    if not text:
        raise statement.fault("'source' expects <addr>[:<port>], and optionally 'interface' <name>.", 0)
    try:
        parse_addresses(text, SOURCE)
    except AddressError as error:
        raise statement.fault(f"'source' : {error.message}", 0, error.hint) from None
    rest = statement.arguments[1:]
    if rest and rest[0] == "usesrc":
        raise statement.fault(
            "'usesrc' is not supported by Usher", 1, "Connecting with the client's address needs a router's help: use send-proxy-v2."
        )
    if rest and (rest[0] != "interface" or len(rest) != 2):
        raise statement.fault("'source' only supports optional keywords 'interface' and 'usesrc'.", 1)
    scope.proxy.extra["source"] = (tuple(statement.arguments),)


def send_name_header(scope: Scope, statement: Statement) -> None:
    name = statement.argument(0)
    if not name:
        raise statement.fault("'http-send-name-header' requires a header string.", 0)
    scope.proxy.extra["http-send-name-header"] = ((name,),)


def description(scope: Scope, statement: Statement) -> None:
    scope.proxy.description = " ".join(statement.arguments)


def guid(scope: Scope, statement: Statement) -> None:
    scope.proxy.guid = values.identifier(statement, 0, what="guid")


def proxy_id(scope: Scope, statement: Statement) -> None:
    scope.proxy.id = values.integer(statement, 0, least=1)
