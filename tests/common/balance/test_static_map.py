from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.balance.static_map import StaticRoundRobin, deal
from tests.common.balance.farm import candidates, unloaded


@pytest.mark.parametrize(
    ("weights", "table"),
    [  # asked from a stock HAProxy 2.6, by keys whose hash was known
        ((3, 2, 1), "001012"),
        ((5, 1, 1), "0001002"),
        ((5, 1, 1, 4), "01300302303"),
        ((1, 2, 1), "0112"),
        ((7, 1, 5, 4), "01023020302230023"),
        ((10, 20, 10), "0112"),
    ],
)
def test_table_is_dealt_as_haproxy_deals_it(weights: tuple[int, ...], table: str) -> None:
    assert "".join(map(str, deal(weights))) == table


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_everybody_is_in_the_table_as_often_as_it_weighs(weights: list[int]) -> None:
    table = deal([*weights, 1])
    assert [table.count(position) for position in range(len(weights) + 1)] == [*weights, 1]


def test_static_rr_walks_the_table() -> None:
    balancer = StaticRoundRobin(candidates(3, 2, 1))
    assert [balancer.choose(None, unloaded) for _ in range(12)] == [0, 0, 1, 0, 1, 2] * 2


def test_weight_change_has_no_effect_but_zero_and_back() -> None:
    balancer = StaticRoundRobin(candidates(2, 1))
    balancer.update(1, weight=200)
    assert [balancer.choose(None, unloaded) for _ in range(3)].count(1) == 1
    balancer.update(0, weight=0)
    assert {balancer.choose(None, unloaded) for _ in range(3)} == {1}
    balancer.update(0, weight=9)
    assert [balancer.choose(None, unloaded) for _ in range(3)].count(0) == 2


def test_full_and_excluded_entries_are_passed_over() -> None:
    balancer = StaticRoundRobin(candidates(1, 1, 1))
    assert [balancer.choose(None, unloaded, {0}) for _ in range(4)] == [1, 2, 1, 2]
    assert balancer.choose(None, unloaded, full=lambda index: index < 2) == 2
    assert balancer.choose(None, unloaded, full=lambda index: True) is None
    assert balancer.choose(None, unloaded, {0, 1, 2}) is None


def test_nobody_usable_gives_nobody() -> None:
    balancer = StaticRoundRobin(candidates(1))
    balancer.update(0, usable=False)
    assert balancer.choose(None, unloaded) is None
