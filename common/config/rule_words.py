"""Parsers of rules, captures and stickiness: lines that are an action and perhaps a condition.

Where the condition starts: at the first `if` or `unless` after the arguments that an action must have (`set-header X if` sets the
value "if").
Sans-io.
Source: HAProxy configuration manual 4.2, 7.2.
"""

from __future__ import annotations

import re
from dataclasses import replace

from common.acl.environment import Where
from common.config import values
from common.config.draft import Scope
from common.config.expressions import check_condition, check_expression, check_format, check_rule
from common.config.proxy_words import SectionParser
from common.config.statement import Statement, split_condition
from common.config.stick_words import check_table
from common.model import Rule

CAPTURE_LENGTH_MAX = 1 << 16

# Arguments that follow an action's own word before any option or condition can.
_MANDATORY = {
    "add-acl": 1,
    "add-header": 2,
    "auth": 0,
    "capture": 1,
    "del-acl": 1,
    "del-header": 1,
    "del-map": 1,
    "do-log": 0,
    "early-hint": 2,
    "redirect": 2,
    "replace-header": 3,
    "replace-path": 2,
    "replace-pathq": 2,
    "replace-uri": 2,
    "replace-value": 3,
    "set-bandwidth-limit": 1,
    "set-bc-mark": 1,
    "set-bc-tos": 1,
    "set-dst": 1,
    "set-dst-port": 1,
    "set-fc-mark": 1,
    "set-fc-tos": 1,
    "set-header": 2,
    "set-idempotent": 1,
    "set-log-level": 1,
    "set-map": 2,
    "set-mark": 1,
    "set-method": 1,
    "set-nice": 1,
    "set-path": 1,
    "set-pathq": 1,
    "set-priority-class": 1,
    "set-priority-offset": 1,
    "set-query": 1,
    "set-retries": 1,
    "set-src": 1,
    "set-src-port": 1,
    "set-status": 1,
    "set-timeout": 2,
    "set-tos": 1,
    "set-uri": 1,
    "set-var": 1,
    "set-var-fmt": 1,
    "sc-add-gpc": 1,
    "sc-set-gpt": 1,
    "sc-set-gpt0": 1,
    "strict-mode": 1,
    "switch-mode": 1,
    "track-sc0": 1,
    "track-sc1": 1,
    "track-sc2": 1,
    "track-sc": 1,
    "use-service": 1,
}
_ACTION = re.compile(r"[a-z0-9-]+")


def rule(ruleset: str) -> SectionParser:
    """`http-request ACTION …` and its like."""

    def parse(scope: Scope, statement: Statement) -> None:
        action = _ACTION.match(statement.argument(0))
        words, condition = split_condition(statement, 1 + (_MANDATORY.get(action[0], 0) if action else 0))
        one = Rule(statement.place, ruleset, tuple(words), condition)
        check_rule(scope, statement, one)
        scope.proxy.rules.append(_with_slot(scope, one))

    return parse


def _with_slot(scope: Scope, rule: Rule) -> Rule:
    """`capture … len N` makes a slot where it stands among the capture lines, as they do; the rule that is kept names the slot."""
    words = rule.words
    if words[:1] != ("capture",) or words[-2:-1] != ("len",) or not scope.proxy.frontend or not words[-1].isdigit():
        return rule
    slot = sum(1 for kind, _, _ in scope.proxy.captures if kind == "request")
    scope.proxy.captures.append(("request", "", int(words[-1])))
    return replace(rule, words=(*words[:-2], "id", str(slot)))


def inspect_delay(field: str) -> SectionParser:
    """The first one holds, and one that was inherited, as in HAProxy."""

    def parse(scope: Scope, statement: Statement) -> None:
        delay = values.time(statement, 0)
        if getattr(scope.proxy, field):
            statement.warn(f"ignoring {statement.keyword} (was already defined) in {scope.proxy_draft.title}", slug="said-twice")
        else:
            setattr(scope.proxy, field, delay)

    return parse


def redirect(scope: Scope, statement: Statement) -> None:
    """The old `redirect` line; it is checked and run as `http-request redirect` after the other rules."""
    words, condition = split_condition(statement, 2)
    if not words:
        raise statement.fault(
            f"error detected in proxy '{scope.proxy.name}' while parsing redirect rule : redirection type expected ('prefix', "
            "'location', or 'scheme').",
            0,
        )
    one = Rule(statement.place, "redirect", tuple(words), condition)
    check_rule(scope, statement, one)
    scope.proxy.rules.append(one)


def use_backend(scope: Scope, statement: Statement) -> None:
    words, _ = split_condition(statement, 1)
    if not words:
        raise statement.fault("'use_backend' expects a backend name.", 0)
    if len(words) > 1:
        raise statement.fault(
            f"unexpected keyword '{words[1]}' after switching rule, only 'if' and 'unless' are allowed.", 1, "Write: use_backend NAME if …"
        )
    if "%" in words[0]:
        check_format(scope, statement, 0, Where.REQUEST)
    _add(scope, statement, "use_backend", words, condition_from=1)


def use_server(scope: Scope, statement: Statement) -> None:
    words, condition = split_condition(statement, 1)
    if len(words) != 1:
        raise statement.fault("'use-server' expects a server name followed by 'if' or 'unless' and a condition.", len(words))
    if condition is None:
        raise statement.fault("'use-server' rule requires either 'if' or 'unless' followed by a condition.", 1)
    if "%" in words[0]:
        check_format(scope, statement, 0, Where.REQUEST)
    _add(scope, statement, "use-server", words, condition_from=1)


def conditional(ruleset: str) -> SectionParser:
    """Lines that are a condition and nothing else."""

    def parse(scope: Scope, statement: Statement) -> None:
        words, condition = split_condition(statement, 0)
        if words or condition is None:
            raise statement.fault(f"'{ruleset}' requires either 'if' or 'unless' followed by a condition.", 0)
        _add(scope, statement, ruleset, [], condition_from=0)

    return parse


def stick(scope: Scope, statement: Statement) -> None:
    """`stick on|match|store-request|store-response <expression> [table <table>] [if …]`."""
    words, condition = split_condition(statement, 1)
    kind = statement.keyword.removeprefix("stick ")
    if not words:
        raise statement.fault("'stick' expects a fetch method.", 0, "For example: stick on src")
    length = check_expression(scope, statement, 0, where=Where.RESPONSE if kind == "store-response" else Where.REQUEST)
    rest = words[length:]
    if rest and (rest[0] != "table" or len(rest) != 2):
        if rest[0] == "table" and len(rest) == 1:
            raise statement.fault("'stick' : 'table' expects a table name.", length + 1)
        raise statement.fault(f"'stick' : unexpected keyword '{rest[0]}', only 'table', 'if' and 'unless' are allowed.", length)
    if rest:
        scope.proxy_draft.table_uses.append((rest[1], statement.place_of(length + 1)))
    else:
        scope.proxy_draft.table_uses.append(("", statement.place))
    one = Rule(statement.place, "stick", (kind, *words), condition)
    check_condition(scope, statement, one, len(words) + 1)
    scope.proxy.rules.append(one)


def stick_table(scope: Scope, statement: Statement) -> None:
    if "stick-table" in scope.proxy_draft.given and scope.proxy_draft.given["stick-table"] != statement.place:
        first = scope.proxy_draft.given["stick-table"]
        raise statement.fault(
            f"stick-table: another table was already declared at {first.file}:{first.line}.",
            hint="A proxy has one table; put others into backends of their own.",
        )
    check_table(statement, 0)
    scope.proxy.stick_table = tuple(statement.arguments)


def capture_cookie(scope: Scope, statement: Statement) -> None:
    name, length = _capture(statement, "'capture cookie'")
    scope.proxy.capture_cookie = (name, length)


def capture_header(scope: Scope, statement: Statement) -> None:
    kind = statement.keyword.split(" ")[1]
    name, length = _capture(statement, f"'{statement.keyword}'")
    scope.proxy.captures.append((kind, name, length))


def declare_capture(scope: Scope, statement: Statement) -> None:
    """A slot without a field of its own: the model's name is "" then."""
    kind = values.one_of(statement, 0, ("request", "response"), what="declare capture")
    scope.proxy.captures.append((kind, "", _capture_length(statement, "'declare capture'", 1)))


def _capture(statement: Statement, title: str) -> tuple[str, int]:
    if not statement.argument(0):
        raise statement.fault(f"{title} expects <name> len <length>.", 0)
    return statement.argument(0), _capture_length(statement, title, 1)


def _capture_length(statement: Statement, title: str, position: int) -> int:
    if statement.argument(position) != "len":
        raise statement.fault(
            f"{title} expects 'len' and a length after the name.", position, "For example: capture request header Host len 64"
        )
    return values.integer(statement, position + 1, what="len", least=1, most=CAPTURE_LENGTH_MAX)


def _add(scope: Scope, statement: Statement, ruleset: str, words: list[str], *, condition_from: int) -> None:
    _, condition = split_condition(statement, condition_from)
    one = Rule(statement.place, ruleset, tuple(words), condition)
    check_condition(scope, statement, one, len(words) + 1)
    scope.proxy.rules.append(one)
