"""Parsers of `stats …` in proxies: the statistics page.

Any of these words switches the page on. Settings go to Proxy.extra by keyword, rules to Proxy.rules.
Sans-io.
Source: HAProxy configuration manual 4.2 "stats enable", "stats uri" …
"""

from __future__ import annotations

from common.config import values
from common.config.draft import Scope
from common.config.expressions import check_condition
from common.config.proxy_words import extra
from common.config.statement import Statement, split_condition
from common.model import Rule


def flag(scope: Scope, statement: Statement) -> None:
    """Any `stats` word switches the page on, as in HAProxy."""
    scope.proxy.extra[statement.keyword] = ((),)


def description(scope: Scope, statement: Statement) -> None:
    if not statement.arguments and scope.state.config.globals.description is None:
        statement.warn("'show-desc' requires a parameter or 'desc' to be set in the global section.", hint="Write a text after it.")
    words_kept(scope, statement)


def words_kept(scope: Scope, statement: Statement) -> None:
    scope.proxy.extra[statement.keyword] = (tuple(statement.arguments),)


def text(scope: Scope, statement: Statement) -> None:
    values.required(statement, 0, "a value")
    if statement.keyword == "stats scope":
        extra(scope, statement)
    else:
        scope.proxy.extra[statement.keyword] = (tuple(statement.arguments),)


def refresh(scope: Scope, statement: Statement) -> None:
    values.time(statement, 0, unit="s")
    scope.proxy.extra["stats refresh"] = (tuple(statement.arguments),)


def auth(scope: Scope, statement: Statement) -> None:
    if not statement.argument(0) or ":" not in statement.argument(0):
        raise statement.fault("'stats auth' expects 'user:password'.", 0)
    user = statement.argument(0).partition(":")[0]
    if any(words[0].partition(":")[0] == user for words in scope.proxy.extra.get("stats auth", ())):
        statement.warn(f"uri auth: ignoring duplicated user '{user}'.", 0, slug="said-twice")
        return
    extra(scope, statement)


def admin(scope: Scope, statement: Statement) -> None:
    words, condition = split_condition(statement, 0)
    if words or condition is None:
        raise statement.fault("'stats admin' requires either 'if' or 'unless' followed by a condition.", 0)
    one = Rule(statement.place, "stats admin", (), condition)
    check_condition(scope, statement, one, 1)
    scope.proxy.rules.append(one)


def http_request(scope: Scope, statement: Statement) -> None:
    words, condition = split_condition(statement, 1)
    kind = values.one_of(statement, 0, ("allow", "deny", "auth"), what="stats http-request")
    if words[1:] and (kind != "auth" or words[1] != "realm" or len(words) != 3):
        raise statement.fault(f"'stats http-request {kind}' cannot handle unexpected argument '{words[1]}'.", 1)
    one = Rule(statement.place, "stats http-request", tuple(words), condition)
    check_condition(scope, statement, one, len(words) + 1)
    scope.proxy.rules.append(one)
