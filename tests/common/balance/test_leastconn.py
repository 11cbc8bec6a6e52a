from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.balance.leastconn import LeastConnections
from tests.common.balance.farm import candidates, unloaded


def test_long_connections_spread_evenly() -> None:
    balancer = LeastConnections(candidates(1, 1, 1, 1))
    loads = [0] * 4
    for _ in range(200):
        chosen = balancer.choose(None, loads.__getitem__)
        assert chosen is not None
        loads[chosen] += 1
        assert max(loads) - min(loads) <= 1


def test_idle_servers_of_any_weight_take_turns() -> None:
    balancer = LeastConnections(candidates(3, 2, 1))
    assert [balancer.choose(None, unloaded) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_ties_among_some_go_round_among_those() -> None:
    balancer = LeastConnections(candidates(1, 1, 1, 1))
    loads = [5, 1, 5, 1]
    assert [balancer.choose(None, loads.__getitem__) for _ in range(4)] == [1, 3, 1, 3]


def test_excluded_and_full_servers_are_passed_over() -> None:
    balancer = LeastConnections(candidates(1, 1, 1))
    assert [balancer.choose(None, unloaded, {1}) for _ in range(4)] == [0, 2, 0, 2]
    assert balancer.choose(None, unloaded, full=lambda index: index != 1) == 1
    assert balancer.choose(None, unloaded, {1}, full=lambda index: index != 1) is None


def test_turn_survives_a_change_of_the_farm() -> None:
    balancer = LeastConnections(candidates(1, 1, 1))
    assert balancer.choose(None, unloaded) == 0
    balancer.update(2, usable=False)
    balancer.update(2, usable=True)
    assert balancer.choose(None, unloaded) == 1


@pytest.mark.parametrize("seed", range(6))
def test_is_exactly_least_loaded_in_a_long_random_life(seed: int) -> None:
    chance = random.Random(seed)
    weights = [chance.choice([1, 1, 2, 3, 0.25, 100]) for _ in range(chance.randint(1, 12))]
    balancer = LeastConnections(candidates(*weights, backup=(0,) if len(weights) > 2 else ()))
    usable = [True] * len(weights)
    loads = [0] * len(weights)
    for _ in range(1500):
        event = chance.random()
        index = chance.randrange(len(weights))
        if event < 0.02:
            usable[index] = not usable[index]
            balancer.update(index, usable=usable[index])
        elif event < 0.04:
            weights[index] = chance.choice([0, 1, 2, 5])
            balancer.update(index, weight=weights[index])
        elif event < 0.4 and loads[index]:
            loads[index] -= 1
        else:
            exclude = {index} if chance.random() < 0.1 else set()
            chosen = balancer.choose(None, loads.__getitem__, exclude)
            may = set(balancer.elected) - exclude
            assert (chosen is None) == (not may)
            if chosen is not None:
                assert loads[chosen] / weights[chosen] == min(loads[one] / weights[one] for one in may)
                loads[chosen] += 1
        balancer.check_invariants()


@given(st.lists(st.sampled_from([1, 2, 3, 5, 0.5]), min_size=1, max_size=8))
def test_held_connections_follow_weights(weights: list[float]) -> None:
    balancer = LeastConnections(candidates(*weights))
    loads = [0] * len(weights)
    rounds = int(sum(weights) * 16)
    for _ in range(rounds):
        chosen = balancer.choose(None, loads.__getitem__)
        assert chosen is not None
        loads[chosen] += 1
    for load, weight in zip(loads, weights, strict=True):
        assert abs(load - rounds * weight / sum(weights)) <= 1


def test_candidates_come_each_once_least_loaded_first() -> None:
    balancer = LeastConnections(candidates(1, 1, 1))
    loads = [2, 0, 1]
    assert list(balancer.candidates(None, loads.__getitem__)) == [1, 2, 0]
    assert Counter(balancer.candidates(None, loads.__getitem__, {2})) == {1: 1, 0: 1}
