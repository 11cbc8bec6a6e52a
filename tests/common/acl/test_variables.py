from __future__ import annotations

import pytest

from common.acl.types import SampleType, Typed
from common.acl.variables import CONDITIONS, check_conditions, looks_like_name, parse_name, reader, remover, writer
from common.errors import ExpressionError
from tests.common.acl.fakes import facts

FIVE, NINE, EMPTY, TEXT = Typed(SampleType.INT, 5), Typed(SampleType.INT, 9), Typed(SampleType.STR, b""), Typed(SampleType.STR, b"x")


@pytest.mark.parametrize("scope", ["proc", "sess", "txn", "req", "res", "check"])
def test_a_variable_lives_in_its_scope(scope: str) -> None:
    exchange = facts()
    assert reader(f"{scope}.a")(exchange) is None
    assert writer(f"{scope}.a")(exchange, FIVE)
    assert reader(f"{scope}.a")(exchange) == FIVE
    stores = {
        "proc": exchange.world.variables,
        "sess": exchange.session.variables,
        "check": exchange.session.variables,
        "txn": exchange.txn_variables,
        "req": exchange.req_variables,
        "res": exchange.res_variables,
    }
    assert stores[scope] == {"a": FIVE}
    remover(f"{scope}.a")(exchange)
    remover(f"{scope}.a")(exchange)
    assert stores[scope] == {}


@pytest.mark.parametrize("name", ["txn.a", "proc.my_var.x9"])
def test_names(name: str) -> None:
    assert ".".join(parse_name(name)) == name
    assert looks_like_name(name)


@pytest.mark.parametrize("name", ["", "txn", "txn.", "foo.a", "txn.a-b", "a", "txn.é"])
def test_what_is_no_name(name: str) -> None:
    assert not looks_like_name(name)
    with pytest.raises(ExpressionError):
        parse_name(name)


@pytest.mark.parametrize(
    "condition, before, value, sets",
    [
        ("ifexists", None, FIVE, False),
        ("ifexists", FIVE, NINE, True),
        ("ifnotexists", None, FIVE, True),
        ("ifnotexists", FIVE, NINE, False),
        ("ifset", None, FIVE, False),
        ("ifset", FIVE, NINE, True),
        ("ifnotset", None, FIVE, True),
        ("ifnotset", FIVE, NINE, False),
        ("ifempty", None, EMPTY, True),
        ("ifempty", None, TEXT, False),
        ("ifempty", None, FIVE, False),
        ("ifnotempty", None, EMPTY, False),
        ("ifnotempty", None, FIVE, True),
        # "greater than" and "less than" speak of the variable's content, compared with the input.
        ("ifgt", NINE, FIVE, True),
        ("ifgt", FIVE, NINE, False),
        ("iflt", FIVE, NINE, True),
        ("iflt", NINE, FIVE, False),
        ("ifgt", None, FIVE, True),
        ("iflt", TEXT, FIVE, True),
    ],
)
def test_conditions_of_setting(condition: str, before: Typed | None, value: Typed, sets: bool) -> None:
    exchange = facts()
    if before is not None:
        exchange.txn_variables["a"] = before
    assert writer("txn.a", (condition,))(exchange, value) is sets
    assert exchange.txn_variables.get("a") == (value if sets else before)


def test_all_conditions_must_hold() -> None:
    exchange = facts()
    write = writer("txn.a", ("ifnotset", "ifnotempty"))
    assert not write(exchange, EMPTY)
    assert write(exchange, TEXT)
    assert not write(exchange, TEXT)


def test_variables_of_the_process_exist_from_the_start() -> None:
    exchange = facts()
    assert not writer("proc.a", ("ifnotexists",))(exchange, FIVE)
    assert writer("proc.a", ("ifexists",))(exchange, FIVE)


def test_unknown_and_too_many_conditions_are_refused() -> None:
    check_conditions(CONDITIONS[:4])
    with pytest.raises(ExpressionError, match="ifx"):
        check_conditions(("ifx",))
    with pytest.raises(ExpressionError, match="at most 4"):
        check_conditions(CONDITIONS[:5])
