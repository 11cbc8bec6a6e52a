from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.balance.roundrobin import RoundRobin
from tests.common.balance.farm import candidates, unloaded


def _choices(balancer: RoundRobin, count: int) -> str:
    return "".join("ABCDEFGH"[index] for index in (balancer.choose(None, unloaded) for _ in range(count)) if index is not None)


@pytest.mark.parametrize(
    ("weights", "turns"),
    [((1, 1, 1), "ABCABC"), ((5, 1, 1), "AAABACA" * 2), ((2, 1), "AABAAB"), ((3,), "AAA"), ((10, 10, 0), "ABAB")],
)
def test_turns_follow_weights_smoothly(weights: tuple[float, ...], turns: str) -> None:
    assert _choices(RoundRobin(candidates(*weights)), len(turns)) == turns


@given(st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_each_whole_cycle_is_exact_and_nobody_runs_ahead(weights: list[int]) -> None:
    balancer = RoundRobin(candidates(*weights))
    total, counts = sum(weights), [0] * len(weights)
    for turn in range(1, 2 * total + 1):
        index = balancer.choose(None, unloaded)
        assert index is not None
        counts[index] += 1
        for count, weight in zip(counts, weights, strict=True):
            assert abs(count - turn * weight / total) < 2 + len(weights) * weight / total
        if turn % total == 0:
            assert all(abs(count - weight * (turn // total)) <= 1 for count, weight in zip(counts, weights, strict=True))


def test_server_that_returns_gets_no_burst() -> None:
    balancer = RoundRobin(candidates(1, 1, 1))
    balancer.update(1, usable=False)
    assert _choices(balancer, 100) == "AC" * 50
    balancer.update(1, usable=True)
    assert sorted(_choices(balancer, 6)) == list("AABBCC")


def test_server_that_was_full_gets_its_turn_but_no_burst() -> None:
    balancer = RoundRobin(candidates(1, 1))
    for _ in range(50):
        assert balancer.choose(None, unloaded, full=lambda index: index == 0) == 1
    assert _choices(balancer, 8) == "AABABABA"


def test_weight_changes_at_run_time_take_effect_at_once() -> None:
    balancer = RoundRobin(candidates(1, 1))
    _choices(balancer, 7)
    balancer.update(0, weight=3)
    assert abs(_choices(balancer, 40).count("A") - 30) <= 1
    balancer.update(0, weight=0)
    assert _choices(balancer, 5) == "BBBBB"
    balancer.update(1, usable=False)
    assert balancer.choose(None, unloaded) is None


@pytest.mark.parametrize("seed", range(4))
def test_random_life_keeps_shares_and_exclusions(seed: int) -> None:
    chance = random.Random(seed)
    balancer = RoundRobin(candidates(*[chance.randint(1, 9) for _ in range(8)]))
    for _ in range(1500):
        event = chance.random()
        if event < 0.03:
            balancer.update(chance.randrange(8), usable=chance.random() < 0.7)
        elif event < 0.06:
            balancer.update(chance.randrange(8), weight=chance.choice([0, 0.0625, 1, 7, 256]))
        exclude = set(chance.sample(range(8), chance.randint(0, 8))) if chance.random() < 0.3 else set()
        index = balancer.choose(None, unloaded, exclude)
        assert (index is None) == (not set(balancer.elected) - exclude)
        assert index is None or index in set(balancer.elected) - exclude
        balancer.check_invariants()
