from __future__ import annotations

import random
from math import inf

import pytest

from common.balance.overload import Lane, Load


def _filled(lane: Lane[str], *items: str) -> Lane[str]:
    for now, item in enumerate(items):
        lane.push(item, float(now))
    return lane


def test_calm_lane_is_first_come_first_served() -> None:
    lane = _filled(Lane(10.0, target_s=5.0), "a", "b", "c")
    assert [lane.take(3.0) for _ in range(4)] == ["a", "b", "c", None]
    assert lane.served == 3


def test_burst_that_drains_in_time_is_no_overload() -> None:
    lane = _filled(Lane(10.0, target_s=0.5, interval_s=2.0), "a", "b", "c", "d")
    assert [lane.take(4.0), lane.take(4.5), lane.take(5.0), lane.take(5.5)] == ["a", "b", "c", "d"]
    assert lane.load is Load.CALM


def test_standing_queue_turns_the_order_and_draining_turns_it_back() -> None:
    lane: Lane[int] = Lane(10.0, target_s=0.5, interval_s=1.0)
    for number in range(6):
        lane.push(number, 0.1 * number)
    assert lane.take(1.0) == 0
    assert lane.load is Load.CALM
    assert lane.take(2.0) == 5, "late for the whole interval: newest first"
    assert lane.load.value == "overloaded"
    lane.push(6, 2.0)
    assert lane.take(2.1) == 6
    assert [lane.take(2.2) for _ in range(4)] == [4, 3, 2, 1]
    assert lane.take(2.3) is None
    assert lane.load is Load.CALM
    lane.push(7, 2.4)
    lane.push(8, 2.4)
    assert lane.take(2.5) == 7


def test_who_waited_too_long_is_refused_oldest_first() -> None:
    lane = _filled(Lane(2.0), "a", "b", "c", "d")
    assert (len(lane), lane.next_expiry()) == (4, 2.0)
    assert lane.expire(1.9) == []
    assert lane.expire(3.0) == ["a", "b"]
    assert lane.next_expiry() == 4.0
    assert lane.refused == 2
    assert lane.remove("c")
    assert not lane.remove("c")
    assert lane.take(3.0) == "d"
    assert lane.next_expiry() == inf


def test_who_comes_back_keeps_its_age() -> None:
    lane: Lane[str] = Lane(10.0)
    lane.push("new", 5.0)
    lane.push_back("old", 1.0)
    lane.check_invariants()
    assert lane.take(5.0) == "old"


@pytest.mark.parametrize("overload_factor", [0.5, 3.0])
def test_served_clients_still_wait(overload_factor: float) -> None:
    """Simulation: work takes 10 ms, clients give up after 1 s. Fair order alone serves almost nobody in time at 3 × the capacity."""
    chance = random.Random(1)
    lane: Lane[int] = Lane(0.9, target_s=0.05, interval_s=0.2)
    came: dict[int, float] = {}
    now, useful, work = 0.0, 0, 0
    next_arrival = 0.0
    while now < 60.0:
        while next_arrival <= now:
            came[len(came)] = next_arrival
            lane.push(len(came) - 1, next_arrival)
            next_arrival += chance.expovariate(100 * overload_factor)
        lane.expire(now)
        item = lane.take(now)
        lane.check_invariants()
        now += 0.01
        if item is not None:
            work += 1
            useful += now - came[item] < 1.0
    assert useful == work
    assert work >= min(60 * 100, len(came)) * 0.97
    if overload_factor < 1:
        assert lane.refused == 0
