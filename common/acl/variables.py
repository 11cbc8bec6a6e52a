"""Variables of the rule language: names, scopes, reading and writing. Sans-io.

    proc    the process        sess    the client's connection    txn    request and response
    req     the request        res     the response               check  one health check (kept as sess there)

Values carry their type (`Typed`), the one place where a sample's type is known at run time only.

Source: HAProxy configuration manual 7.3.2 "var", 7.3.1 "set-var", 4.2 "http-request set-var".
"""

from __future__ import annotations

import re
from collections.abc import Callable

from common.acl.facts import Facts
from common.acl.table import did_you_mean
from common.acl.types import SampleType, Typed, Variables
from common.errors import ExpressionError

SCOPES = ("proc", "sess", "txn", "req", "res", "check")

CONDITIONS = ("ifexists", "ifnotexists", "ifempty", "ifnotempty", "ifset", "ifnotset", "ifgt", "iflt")
CONDITIONS_MAX = 4

_NAME = re.compile(r"[A-Za-z0-9_.]+")


def _proc(facts: Facts) -> Variables:
    return facts.world.variables


def _sess(facts: Facts) -> Variables:
    return facts.session.variables


def _txn(facts: Facts) -> Variables:
    return facts.txn_variables


def _req(facts: Facts) -> Variables:
    return facts.req_variables


def _res(facts: Facts) -> Variables:
    return facts.res_variables


_STORES: dict[str, Callable[[Facts], Variables]] = {"proc": _proc, "sess": _sess, "txn": _txn, "req": _req, "res": _res, "check": _sess}


def parse_name(text: str) -> tuple[str, str]:
    """(scope, name) of "txn.name". Raises ExpressionError."""
    scope, dot, name = text.partition(".")
    if scope not in SCOPES or not dot or not name:
        raise ExpressionError(
            f'"{text}" is not a variable: its name starts with a scope, one of {", ".join(SCOPES[:-1])}, and a dot',
            hint=did_you_mean(scope, SCOPES),
        )
    if not _NAME.fullmatch(name):
        raise ExpressionError(f'variable "{text}" has a character that is none of a-z A-Z 0-9 . _')
    return scope, name


def looks_like_name(text: str) -> bool:
    """The text is a variable's name rather than a constant, where both are allowed."""
    try:
        parse_name(text)
    except ExpressionError:
        return False
    return True


def reader(text: str) -> Callable[[Facts], Typed | None]:
    """The function that reads a variable; None if it is not set."""
    scope, name = parse_name(text)
    if scope == "txn":  # by far the most used: one call less
        return lambda facts: facts.txn_variables.get(name)
    store = _STORES[scope]
    return lambda facts: store(facts).get(name)


def remover(text: str) -> Callable[[Facts], None]:
    scope, name = parse_name(text)
    store = _STORES[scope]

    def unset(facts: Facts) -> None:
        store(facts).pop(name, None)

    return unset


def writer(text: str, conditions: tuple[str, ...] = ()) -> Callable[[Facts, Typed], bool]:
    """The function that sets a variable if all conditions hold, and says whether it did."""
    scope, name = parse_name(text)
    store = _STORES[scope]
    if not conditions:

        def assign(facts: Facts, value: Typed) -> bool:
            store(facts)[name] = value
            return True

        return assign

    tests = [_condition(condition, scope) for condition in conditions]

    def assign_if(facts: Facts, value: Typed) -> bool:
        variables = store(facts)
        current = variables.get(name)
        if all(test(current, value) for test in tests):
            variables[name] = value
            return True
        return False

    return assign_if


def check_conditions(conditions: tuple[str, ...]) -> None:
    """Raises ExpressionError for unknown or too many conditions of set-var."""
    for condition in conditions:
        if condition not in CONDITIONS:
            raise ExpressionError(
                f'"{condition}" is not a condition of set-var: use {", ".join(CONDITIONS)}', hint=did_you_mean(condition, CONDITIONS)
            )
    if len(conditions) > CONDITIONS_MAX:
        raise ExpressionError(f"set-var takes at most {CONDITIONS_MAX} conditions")


_Test = Callable[[Typed | None, Typed], bool]


def _condition(name: str, scope: str) -> _Test:
    return {
        # Variables of scope proc exist from the start, set or not.
        "ifexists": lambda current, value: scope == "proc" or current is not None,
        "ifnotexists": lambda current, value: scope != "proc" and current is None,
        "ifset": lambda current, value: current is not None,
        "ifnotset": lambda current, value: current is None,
        "ifempty": lambda current, value: _is_empty(value),
        "ifnotempty": lambda current, value: not _is_empty(value),
        "ifgt": lambda current, value: _compare(current, value, greater=True),
        "iflt": lambda current, value: _compare(current, value, greater=False),
    }[name]


def _is_empty(value: Typed) -> bool:
    return value.type in (SampleType.STR, SampleType.BIN) and not value.value


def _compare(current: Typed | None, value: Typed, *, greater: bool) -> bool:
    """The variable's content against the input; true where they cannot be compared."""
    if current is None or current.type is not SampleType.INT or value.type is not SampleType.INT:
        return True
    return current.value > value.value if greater else current.value < value.value  # type: ignore[operator]
