"""`stick` rules of a backend, compiled: which sample is looked up or stored in which table, and when. Sans-io.

Source: HAProxy manual 4.2 "stick match", "stick on", "stick store-request", "stick store-response".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common import model
from common.acl.casts import wrapper
from common.acl.conditions import Condition, compile_model_condition
from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import compile_expression
from common.acl.facts import Facts
from common.acl.types import SampleType, Typed
from common.tables.catalogue import STICK, table_of


@dataclass(frozen=True, slots=True)
class StickRule:
    """matches: looks for the client's server. stores: remembers it. in_response: the key comes from the response."""

    table: str
    key: Callable[[Facts], Typed | None]
    condition: Condition | None
    matches: bool
    stores: bool
    in_response: bool = False

    def applies(self, facts: Facts) -> bool:
        return self.condition is None or self.condition.test(facts)


def stick_rules(proxy: model.Proxy, environment: CompileEnvironment) -> tuple[StickRule, ...]:
    """In the order of the file. Raises ExpressionError."""
    is_http = proxy.mode == "http"
    rules = []
    for rule in proxy.rules:
        if rule.ruleset != STICK:
            continue
        kind = rule.words[0]
        in_response = kind == "store-response"
        if in_response:
            at = environment.at(Where.RESPONSE if is_http else Where.RESPONSE_CONTENT)
        else:
            at = environment.at(Where.REQUEST if is_http else Where.REQUEST_CONTENT)
        names_table = table_of(rule, "") != ""
        expression = compile_expression(rule.words[1:-2] if names_table else rule.words[1:], at)
        condition = compile_model_condition(rule.condition, environment.acls, at)
        key = _typed(expression.get, expression.type)
        rules.append(StickRule(table_of(rule, proxy.name), key, condition, kind in ("on", "match"), kind != "match", in_response))
    return tuple(rules)


def _typed(get: Callable[[Facts], Any], kind: SampleType) -> Callable[[Facts], Typed | None]:
    wrap = wrapper(kind)

    def key(facts: Facts) -> Typed | None:
        value = get(facts)
        return None if value is None else wrap(value)

    return key
