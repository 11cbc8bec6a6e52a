"""Variables, lists, tables and captures: what the words give, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from common.acl.absent import AbsentExchange
from common.acl.expressions import Expression
from common.acl.logformat import Format
from common.acl.types import SampleType, Typed
from common.rules.actions import Capture, ChangeCounter, ChangeList, SetVariable, Track, UnsetVariable
from common.rules.parse import parse_action
from common.rules.parse_values import slot_lengths
from tests.common.rules.parsing import environment, parse, refusal


def test_variable_from_an_expression_and_from_a_format() -> None:
    action = parse("http-request", "set-var(txn.a) src,lower")
    assert isinstance(action, SetVariable) and isinstance(action.value, Expression)
    assert (action.name, action.value.text) == ("txn.a", "src,lower")
    made = parse("http-request", "set-var-fmt(txn.a) %[src]-%[src_port]")
    assert isinstance(made, SetVariable) and isinstance(made.value, Format)


def test_conditions_guard_the_variable() -> None:
    action = parse("http-request", "set-var(txn.a,ifnotset,ifnotempty) str(x)")
    assert isinstance(action, SetVariable)
    facts = AbsentExchange()
    assert not action.assign(facts, Typed(SampleType.STR, b""))
    assert action.assign(facts, Typed(SampleType.STR, b"x"))
    assert not action.assign(facts, Typed(SampleType.STR, b"y"))
    assert facts.txn_variables["a"].value == b"x"


def test_unset_forgets_the_variable() -> None:
    action = parse("http-response", "unset-var(res.a)")
    assert isinstance(action, UnsetVariable)
    facts = AbsentExchange()
    facts.res_variables["a"] = Typed(SampleType.INT, 1)
    action.unset(facts)
    assert facts.res_variables == {}


def test_variables_that_rules_set_are_known() -> None:
    known = environment()
    parse_action("http-request", ["set-var(txn.a)", "src"], known)
    parse_action("http-request", ["set-var-fmt(req.b)", "x"], known)
    assert known.variables_set == {"txn.a", "req.b"}


LISTS = [
    ("add-acl(black.lst) %[src]", "add-acl", "black.lst", False),
    ("del-acl(black.lst) %[src]", "del-acl", "black.lst", False),
    ("set-map(a.map) %[src] %[method]", "set-map", "a.map", True),
    ("del-map(a.map) %[src]", "del-map", "a.map", False),
]


@pytest.mark.parametrize(("line", "kind", "file", "with_value"), LISTS)
def test_change_of_a_list(line: str, kind: str, file: str, with_value: bool) -> None:
    action = parse("http-request", line)
    assert isinstance(action, ChangeList)
    assert (action.kind, action.file, action.value is not None) == (kind, file, with_value)


COUNTERS = [
    ("sc-inc-gpc(7,1)", ChangeCounter("add", "gpc", 7, 1, 1)),
    ("sc-inc-gpc0(0)", ChangeCounter("add", "gpc0", 0, 0, 1)),
    ("sc-inc-gpc1(2)", ChangeCounter("add", "gpc1", 0, 2, 1)),
    ("sc-add-gpc(0,1) 10", ChangeCounter("add", "gpc", 0, 1, 10)),
    ("sc-set-gpt(99,0) 4294967295", ChangeCounter("set", "gpt", 99, 0, 2**32 - 1)),
    ("sc-set-gpt0(1) 0", ChangeCounter("set", "gpt0", 0, 1, 0)),
]


@pytest.mark.parametrize(("line", "action"), COUNTERS)
def test_counter_of_a_tracked_entry(line: str, action: ChangeCounter) -> None:
    assert parse("tcp-request content", line) == action


def test_counter_takes_an_expression() -> None:
    action = parse("http-request", "sc-set-gpt0(0) req.hdr_val(x-a)")
    assert isinstance(action, ChangeCounter) and isinstance(action.value, Expression)


@pytest.mark.parametrize(
    ("line", "index", "table"),
    [
        ("track-sc0 src", 0, ""),
        ("track-sc2 src,ipmask(24) table site", 2, "site"),
        ("track-sc1 src table peers1/t1", 1, "peers1/t1"),
    ],
)
def test_tracking(line: str, index: int, table: str) -> None:
    action = parse("tcp-request connection", line)
    assert isinstance(action, Track)
    assert (action.index, action.table) == (index, table)


def test_number_of_tracked_counters_is_a_setting() -> None:
    many = environment()
    assert many.config is not None
    many.config.globals.tune["stick-counters"] = ("5",)
    assert isinstance(parse_action("http-request", ["track-sc4", "src"], many), Track)
    assert isinstance(parse_action("http-request", ["sc-inc-gpc0(4)"], many), ChangeCounter)


def test_captures_with_a_length_get_the_slots_behind_the_declared_ones() -> None:
    known = environment()
    first = parse_action("http-request", ["capture", "path", "len", "10"], known)
    second = parse_action("tcp-request content", ["capture", "src", "len", "4"], known)
    assert isinstance(first, Capture) and isinstance(second, Capture)
    assert (first.slot, second.slot) == (2, 3)
    assert slot_lengths(known, "request") == [32, 8, 10, 4]
    assert slot_lengths(known, "response") == [16]


@pytest.mark.parametrize(
    ("ruleset", "line", "slot"), [("http-request", "capture path id 1", 1), ("http-response", "capture status id 0", 0)]
)
def test_capture_into_a_declared_slot(ruleset: str, line: str, slot: int) -> None:
    action = parse(ruleset, line)
    assert isinstance(action, Capture)
    assert action.slot == slot


def test_backend_may_name_any_slot_and_add_none() -> None:
    assert isinstance(parse("http-request", "capture path id 9", "backend"), Capture)
    assert "no slots of its own" in str(refusal("http-request", "capture path len 9", "backend"))


REFUSED = [
    ("http-request", "set-var src", "it is written set-var(scope.name)", 0),
    ("http-request", "set-var() src", "it is written set-var(scope.name)", 0),
    ("http-request", "set-var(txnn.a) src", '"txnn.a" is not a variable', 0),
    ("http-request", "set-var(txn.a-b) src", "has a character", 0),
    ("http-request", "set-var(txn.a,ifsett) src", '"ifsett" is not a condition', 0),
    ("http-request", "set-var(txn.a)", "an expression is missing", 1),
    ("http-request", "set-var(check.a) src", "scope check is for health checks", 0),
    ("tcp-request session", "set-var(txn.a) src", "there is none yet", 0),
    ("tcp-request connection", "unset-var(req.a)", "there is none yet", 0),
    ("http-request", "unset-var(txn.a,b)", "it is written unset-var(<name>)", 0),
    ("http-request", "unset-var", "it is written unset-var(<name>)", 0),
    ("http-request", "set-map(a.map) %[src]", "a value is missing", 2),
    ("http-request", "set-map %[src] x", "it is written set-map(<file>)", 0),
    ("http-request", "track-sc3 src", "there are 3 tracked counters", 0),
    ("http-request", "track-sc0 src table nowhere", 'no stick-table "nowhere"', 3),
    ("http-request", "track-sc0 src table", "the table's name is missing", 3),
    ("http-request", "sc-inc-gpc(100,0)", '"100" is not an index', 0),
    ("http-request", "sc-inc-gpc(0)", "it is written sc-inc-gpc(<idx>,<sc-id>)", 0),
    ("http-request", "sc-inc-gpc0(3)", '"3" is not a tracked counter', 0),
    ("http-request", "sc-set-gpt0(0) 4294967296", "from 0 to 4294967295", 1),
    ("http-request", "sc-set-gpt0(0) fe_name,nope", 'unknown converter "nope"', 1),
    ("http-request", "capture path", '"len" or "id" is missing', 2),
    ("http-request", "capture path len 0", "from 1 to 65536", 3),
    ("http-request", "capture path id 2", "no request capture slot 2", 3),
    ("http-response", "capture status len 4", '"id" is missing', 2),
    ("http-response", "capture status id 1", "no response capture slot 1", 3),
]


@pytest.mark.parametrize(("ruleset", "line", "message", "word"), REFUSED)
def test_wrong_words_are_told_with_their_place(ruleset: str, line: str, message: str, word: int) -> None:
    error = refusal(ruleset, line)
    assert message in str(error)
    assert error.word == word


def test_proxy_without_a_table_must_name_one() -> None:
    bare = environment()
    assert bare.proxy is not None
    bare.proxy.stick_table = ()
    with pytest.raises(Exception, match='"site" has no stick-table'):
        parse_action("http-request", ["track-sc0", "src"], bare)
