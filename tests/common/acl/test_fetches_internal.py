from __future__ import annotations

import re

import pytest

from common import model
from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import PLACE, environment, facts, request, sample, set_variables


@pytest.mark.parametrize(
    "text, result",
    [
        ("always_true", True),
        ("always_false", False),
        ("str(a b)", b"a b"),
        ("str()", b""),
        ("str", b""),
        ("int(-5)", -5),
        ("bool(true)", True),
        ("bool(0)", False),
        ("bin(00fF)", b"\0\xff"),
        ("ipv4(192.0.2.1)", b"\xc0\0\2\1"),
        ("ipv6(::1)", b"\0" * 15 + b"\1"),
        ("meth(GET)", b"GET"),
    ],
)
def test_constants(text: str, result: object) -> None:
    expression = compile_expression(text, environment(Where.START))
    assert expression.constant
    assert expression.get(facts()) == result


@pytest.mark.parametrize(
    "text", ["int(x)", "int", "bool(yes)", "bool(2)", "bin(0)", "bin(zz)", "ipv4(1.2.3)", "ipv6(1)", "rand(0)", "uuid(3)", "date(0,h)"]
)
def test_wrong_arguments_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text, environment())


def test_variables_keep_their_type() -> None:
    exchange = set_variables(facts(), v=5)
    assert sample("var(txn.v)", exchange) == Typed(SampleType.INT, 5)
    assert sample("var(txn.none)", exchange) is None
    assert sample("var(txn.none,fall back)", exchange) == Typed(SampleType.STR, b"fall back")


def test_clocks() -> None:
    exchange = facts().with_world(now=1795384199.25)
    assert sample("date", exchange) == 1795384199
    assert sample("date(-10)", exchange) == 1795384189
    assert sample("date(0,ms)", exchange) == 1795384199250
    assert sample("date(1,us)", exchange) == 1795384199250001
    assert sample("date_us", exchange) == 250000


def test_chance_stays_in_its_range() -> None:
    exchange = facts().with_world(bits=(1 << 32) - 1)
    assert sample("rand", exchange) == (1 << 32) - 1
    assert sample("rand(10)", exchange) == 9
    assert sample("rand(10)", facts()) == 0


def test_uuids() -> None:
    exchange = facts().with_world(bits=(1 << 128) - 1, now=1795384199.25)
    assert sample("uuid", exchange) == b"ffffffff-ffff-4fff-bfff-ffffffffffff"
    assert sample("uuid(4)", facts()) == b"00000000-0000-4000-8000-000000000000"
    seventh = sample("uuid(7)", exchange)
    assert re.fullmatch(rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", seventh)
    assert int(seventh[:13].replace(b"-", b""), 16) == 1795384199250


def test_the_process() -> None:
    exchange = facts().with_world(hostname=b"lb1", pid=77, process_index=2, stopping=True, environment={"HOME": "/root"})
    assert [sample(text, exchange) for text in ("hostname", "pid", "proc", "thread", "stopping")] == [b"lb1", 77, 2, 0, True]
    assert sample("env(HOME)", exchange) == b"/root"
    assert sample("env(NONE)", exchange) is None


def test_rules_that_matched() -> None:
    exchange = facts(last_rule=model.Place("a.cfg", 7, 1), current_rule=PLACE, waiting_for="body", priority_class=2, priority_offset=-3)
    assert sample("last_rule_file", exchange) == b"a.cfg"
    assert sample("last_rule_line", exchange) == 7
    assert sample("last_entity", exchange) == b"usher.cfg:1"
    assert sample("waiting_entity", exchange) == b"body"
    assert (sample("prio_class", exchange), sample("prio_offset", exchange)) == (2, -3)
    nothing = facts()
    assert [sample(t, nothing) for t in ("last_rule_file", "last_rule_line", "last_entity", "waiting_entity")] == [None] * 4


def test_named_acls_as_a_sample() -> None:
    acls = {"api": [model.Acl(PLACE, "api", ("path_beg", "/api"))], "get": [model.Acl(PLACE, "get", ("method", "GET"))]}
    exchange = facts(request=request(b"/api/1"))
    assert sample("acl(api)", exchange, acls=acls) is True
    assert sample("acl(api,get)", exchange, acls=acls) is True
    assert sample("acl(api,!get)", exchange, acls=acls) is False
    with pytest.raises(ExpressionError):
        compile_expression("acl(none)", environment(acls=acls))
