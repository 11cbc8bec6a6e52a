from __future__ import annotations

import pytest

from common import model
from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.acl.fetches_counters import COUNTERS
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeEntry, FakeExchange, FakeTable, environment, facts, proxy, sample

KEY = Typed(SampleType.IPV4, b"\x0a\0\0\1")


def tracking() -> FakeExchange:
    exchange = facts().with_session(src=b"\x0a\0\0\1")
    entry = FakeEntry(KEY, conn_cnt=7, bytes_in_cnt=5000, gpc0=1, gpc1=2, gpt0=9, http_req_rate=30)
    entry.data["gpc", 4] = 44
    entry.trackers = 3
    exchange.entries[1] = entry
    exchange.fake_world.tables.update(
        own=FakeTable(entry), other=FakeTable(FakeEntry(KEY, conn_cnt=70)), empty=FakeTable(stores=("gpc0", "conn_cnt"))
    )
    return exchange


@pytest.mark.parametrize(
    "text, result",
    [
        ("sc_conn_cnt(1)", 7),
        ("sc1_conn_cnt", 7),
        ("sc0_conn_cnt", None),
        ("sc2_conn_cnt", None),
        ("sc_conn_cnt(9)", None),
        ("sc1_conn_cnt(other)", 70),
        ("sc_conn_cnt(1,other)", 70),
        ("sc1_conn_cnt(empty)", 0),
        ("sc0_conn_cnt(other)", None),
        ("sc1_conn_rate", None),  # not stored
        ("sc1_kbytes_in", 4),
        ("sc1_http_req_rate", 30),
        ("sc1_get_gpc0", 1),
        ("sc1_get_gpt0", 9),
        ("sc_get_gpc(4,1)", 44),
        ("sc1_get_gpc(4)", 44),
        ("sc1_trackers", 3),
        ("sc1_tracked", True),
        ("sc0_tracked", False),
        ("sc_tracked(1)", True),
        ("sc_tracked(1,other)", True),
        ("sc_tracked(1,empty)", False),
        ("sc1_key", KEY),
        ("sc_key(0)", None),
        ("src_conn_cnt(own)", 7),
        ("src_conn_cnt(other)", 70),
        ("src_conn_cnt(empty)", 0),
        ("src_conn_cnt(none)", None),
        ("src_get_gpc(4,own)", 44),
        ("table_cnt(own)", 1),
        ("table_avl(own)", 99),
        ("table_cnt(none)", None),
    ],
)
def test_counters(text: str, result: object) -> None:
    assert sample(text, tracking(), Where.CONNECTION) == result


def test_asking_may_change() -> None:
    exchange = tracking()
    assert [sample("sc1_inc_gpc0", exchange), sample("sc1_inc_gpc0", exchange), sample("sc1_clr_gpc0", exchange)] == [2, 3, 3]
    assert sample("sc1_get_gpc0", exchange) == 0
    assert sample("sc_inc_gpc(4,1)", exchange) == 45
    assert sample("src_inc_gpc1(own)", exchange) == 3


def test_src_makes_the_entry_it_changes_and_no_other() -> None:
    exchange = tracking()
    assert sample("src_conn_cnt(empty)", exchange) == 0
    assert exchange.fake_world.tables["empty"].entries == {}
    assert sample("src_inc_gpc0(empty)", exchange) == 1
    assert sample("src_updt_conn_cnt(empty)", exchange) == 1
    assert sample("src_updt_conn_cnt(empty)", exchange) == 2
    assert KEY in exchange.fake_world.tables["empty"].entries


def test_a_unix_client_has_no_entry() -> None:
    exchange = tracking().with_session(src=b"")
    assert sample("src_conn_cnt(own)", exchange) is None


def test_ipv6_clients_are_keys_of_their_own() -> None:
    exchange = tracking().with_session(src=b"\0" * 15 + b"\1")
    sample("src_inc_gpc0(empty)", exchange)
    assert list(exchange.fake_world.tables["empty"].entries) == [Typed(SampleType.IPV6, b"\0" * 15 + b"\1")]


def test_a_proxy_with_a_table_means_its_own() -> None:
    own = proxy("own", stick_table=("type", "ip", "size", "1k", "store", "conn_cnt"))
    assert sample("src_conn_cnt", tracking(), proxy=own) == 7
    assert sample("table_cnt", tracking(), proxy=own) == 1


@pytest.mark.parametrize(
    "text",
    [
        "src_conn_cnt",
        "table_cnt",
        "src_conn_cnt(none)",
        "sc_conn_cnt",
        "sc_conn_cnt(100)",
        "sc_conn_cnt(-1)",
        "sc1_get_gpc(100)",
        "src_trackers(own)",
    ],
)
def test_refused(text: str) -> None:
    config = model.Config()
    config.proxies.append(proxy("plain"))
    with pytest.raises(ExpressionError):
        compile_expression(text, environment(config=config, proxy=config.proxies[0]))


def test_every_counter_has_its_four_spellings() -> None:
    surroundings = environment()
    for counter in COUNTERS:
        first = "0," if counter.indexed else ""
        for text in (f"sc_{counter.suffix}({first}0)", f"sc0_{counter.suffix}({first}t)", f"src_{counter.suffix}({first}t)"):
            compile_expression(text, surroundings)
