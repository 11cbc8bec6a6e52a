from __future__ import annotations

from math import inf

import pytest

from worker.servers.habits import Habits


def test_closing_twice_after_the_same_number_is_believed() -> None:
    habits = Habits()
    habits.closed_after(100)
    assert habits.remaining(99) is None
    habits.closed_after(100)
    assert habits.remaining(99) == 1
    assert habits.remaining(100) == 0
    assert habits.remaining(130) == 0


def test_closing_after_different_numbers_is_chance() -> None:
    habits = Habits()
    for requests in (100, 7, 100, 31):
        habits.closed_after(requests)
    assert habits.remaining(50) is None


def test_closing_after_every_first_request_is_no_limit_to_learn() -> None:
    habits = Habits()
    habits.closed_after(1)
    habits.closed_after(1)
    assert habits.remaining(0) is None


def test_connection_that_outlives_the_limit_refutes_it() -> None:
    habits = Habits()
    habits.closed_after(10)
    habits.closed_after(10)
    habits.answered(9)
    assert habits.remaining(9) == 1
    habits.answered(10)
    assert habits.remaining(9) is None
    habits.closed_after(10)
    assert habits.remaining(9) is None


@pytest.mark.parametrize(("requests", "announced", "left"), [(8, 5, 2), (8, 1, 1), (2, None, 8), (10, 3, 0)])
def test_what_is_announced_and_what_is_learned_hold_both(requests: int, announced: int | None, left: int) -> None:
    habits = Habits()
    habits.closed_after(10)
    habits.closed_after(10)
    assert habits.remaining(requests, announced) == left
    assert Habits().remaining(requests, announced) == announced


def test_idle_time_seen_twice_is_believed_with_a_margin() -> None:
    habits = Habits()
    habits.closed_idle(60.0)
    assert habits.idle_for_s() == inf
    habits.closed_idle(62.0)
    assert habits.idle_for_s() == 54.0
    assert habits.idle_for_s(30.0) == 27.0
    habits.was_idle(53.0)
    assert habits.idle_for_s() == 54.0
    habits.was_idle(59.0)
    assert habits.idle_for_s() == inf


def test_idle_times_that_differ_are_chance() -> None:
    habits = Habits()
    for idle_s in (60.0, 5.0, 30.0, 1.0):
        habits.closed_idle(idle_s)
    assert habits.idle_for_s() == inf


@pytest.mark.parametrize(("announced", "usable"), [(15.0, 13.5), (1.0, 0.8), (0.1, 0.0), (0.0, 0.0)])
def test_announced_timeout_is_left_with_a_margin(announced: float, usable: float) -> None:
    assert Habits().idle_for_s(announced) == usable


def test_belief_is_doubted_now_and_then_so_that_a_server_may_change() -> None:
    habits = Habits()
    doubts = [habits.doubts() for _ in range(1000)]
    assert 0 < sum(doubts) < 20
