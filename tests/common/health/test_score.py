from __future__ import annotations

import random
from math import inf

import pytest

from common.health.score import Admin, Health, InitState, Intervals, OnError, Standing, State, Transition, good_status, standing


def _run(health: Health, results: str) -> list[str]:
    """ "+" a passed check, "-" a failed one, "4" a 404; the status after each."""
    texts = []
    for now, result in enumerate(results):
        {"+": health.passed, "-": health.failed, "4": health.asked_to_stop}[result](float(now))
        health.check_invariants()
        texts.append(health.text())
    return texts


@pytest.mark.parametrize(
    ("init", "results", "texts"),
    [
        (InitState.UP, "-", ["DOWN"]),
        (InitState.UP, "+", ["UP"]),
        (InitState.FULLY_UP, "---", ["UP 2/3", "UP 1/3", "DOWN"]),
        (InitState.FULLY_UP, "--+-", ["UP 2/3", "UP 1/3", "UP", "UP 2/3"]),
        (InitState.DOWN, "+", ["UP"]),
        (InitState.DOWN, "-+", ["DOWN", "DOWN 1/2"]),
        (InitState.FULLY_DOWN, "++", ["DOWN 1/2", "UP"]),
        (InitState.FULLY_DOWN, "+-++", ["DOWN 1/2", "DOWN", "DOWN 1/2", "UP"]),
        (InitState.FULLY_UP, "44+", ["NOLB", "NOLB", "UP"]),
        (InitState.FULLY_UP, "4-4", ["NOLB", "NOLB 2/3", "NOLB"]),
        (InitState.FULLY_UP, "4---", ["NOLB", "NOLB 2/3", "NOLB 1/3", "DOWN"]),
        (InitState.FULLY_DOWN, "+4+", ["DOWN 1/2", "DOWN", "DOWN 1/2"]),
    ],
)
def test_only_consecutive_results_change_the_state(init: InitState, results: str, texts: list[str]) -> None:
    assert _run(Health(rise=2, fall=3, init=init), results) == texts


def test_transitions_are_reported_once() -> None:
    health = Health(rise=2, fall=2, init=InitState.FULLY_UP)
    assert health.failed(1.0) is None
    assert health.failed(2.0) == Transition(State.UP, State.DOWN, "check")
    assert health.failed(3.0) is None
    assert health.passed(4.0) is None
    assert health.passed(5.0) == Transition(State.DOWN, State.UP, "check")
    assert health.passed(6.0) is None
    assert health.asked_to_stop(7.0) == Transition(State.UP, State.STOPPING, "check")
    assert health.passed(8.0) == Transition(State.STOPPING, State.UP, "check")
    assert (health.up_since, health.changed_at) == (5.0, 8.0)


def test_server_that_was_never_down_has_no_slow_start() -> None:
    health = Health()
    health.passed(1.0)
    assert health.up_since == -inf


@pytest.mark.parametrize(
    ("mode", "after_limit", "after_one_more_check"),
    [
        (OnError.FASTINTER, "UP", "UP 2/3"),
        (OnError.FAIL_CHECK, "UP 2/3", "UP 1/3"),
        (OnError.SUDDEN_DEATH, "UP 1/3", "DOWN"),
        (OnError.MARK_DOWN, "DOWN", "DOWN"),
    ],
)
def test_watched_errors_act_as_on_error_says(mode: OnError, after_limit: str, after_one_more_check: str) -> None:
    health = Health(rise=2, fall=3, init=InitState.FULLY_UP, error_limit=3, on_error=mode)
    intervals = Intervals(10.0, 1.0, 20.0)
    assert health.interval_s(intervals) == 10.0
    health.observed(0.0, False)
    health.observed(0.0, False)
    health.observed(0.0, True)
    health.observed(0.0, False)
    health.observed(0.0, False)
    assert health.text() == "UP", "not consecutive"
    transition = health.observed(1.0, False)
    assert (transition == Transition(State.UP, State.DOWN, "observe")) == (mode is OnError.MARK_DOWN)
    assert health.text() == after_limit
    assert health.interval_s(intervals) == 1.0
    health.failed(2.0)
    assert health.text() == after_one_more_check


def test_sudden_death_never_marks_down_by_itself() -> None:
    health = Health(rise=1, fall=1, init=InitState.FULLY_UP, error_limit=1, on_error=OnError.SUDDEN_DEATH)
    assert health.observed(0.0, False) is None
    assert health.state is State.UP


def test_errors_of_a_server_that_is_down_change_nothing() -> None:
    health = Health(init=InitState.FULLY_DOWN, error_limit=1, on_error=OnError.MARK_DOWN)
    assert health.observed(0.0, False) is None
    assert health.text() == "DOWN"


@pytest.mark.parametrize(("results", "interval_s"), [("+", 10.0), ("+-", 1.0), ("---", 20.0), ("---+", 1.0), ("---++", 10.0)])
def test_interval_follows_the_state(results: str, interval_s: float) -> None:
    health = Health(rise=2, fall=3, init=InitState.FULLY_UP)
    _run(health, results)
    assert health.interval_s(Intervals(10.0, 1.0, 20.0)) == interval_s
    assert health.interval_s(Intervals(10.0)) == 10.0


def test_unchecked_server_at_start_is_hurried() -> None:
    assert Health().interval_s(Intervals(10.0, 1.0)) == 1.0


@pytest.mark.parametrize("state", State)
def test_operator_forces_a_state(state: State) -> None:
    health = Health(init=InitState.UP)
    transition = health.force(1.0, state)
    assert health.state is state
    assert (transition is None) == (state is State.UP)
    assert health.force(2.0, state) is None


@pytest.mark.parametrize(("results", "steps"), [("", "3/3 UP"), ("-", "2/3 UP"), ("---", "0/2 DOWN"), ("---+", "1/2 DOWN")])
def test_steps_for_the_log_of_checks(results: str, steps: str) -> None:
    health = Health(rise=2, fall=3, init=InitState.FULLY_UP)
    _run(health, results)
    assert health.steps() == steps


@pytest.mark.parametrize(
    ("status", "good"),
    [(100, True), (200, True), (404, True), (499, True), (500, False), (501, True), (503, False), (505, True), (0, False)],
)
def test_observed_statuses(status: int, good: bool) -> None:
    assert good_status(status) == good


@pytest.mark.parametrize(
    ("health", "admin", "weight", "expected"),
    [
        (State.UP, Admin.READY, 1, Standing(True, True, "UP")),
        (None, Admin.READY, 1, Standing(True, True, "no check")),
        (State.UP, Admin.READY, 0, Standing(False, True, "DRAIN")),
        (State.UP, Admin.DRAIN, 1, Standing(False, True, "DRAIN")),
        (State.STOPPING, Admin.READY, 1, Standing(False, True, "NOLB")),
        (State.DOWN, Admin.DRAIN, 1, Standing(False, False, "DOWN")),
        (State.UP, Admin.MAINT, 1, Standing(False, False, "MAINT")),
    ],
)
def test_standing(health: State | None, admin: Admin, weight: float, expected: Standing) -> None:
    assert standing(health, admin, weight=weight) == expected


@pytest.mark.parametrize("seed", range(4))
def test_random_life_against_counting_by_hand(seed: int) -> None:
    """A model that keeps the state and the length of the current run of equal results, as the manual words it."""
    chance = random.Random(seed)
    rise, fall = chance.randint(1, 4), chance.randint(1, 4)
    health = Health(rise, fall, init=InitState.FULLY_UP)
    up, run, last = True, 0, True
    for step in range(3000):
        result = chance.random() < 0.5
        run = run + 1 if result == last and step else 1
        last = result
        transition = health.passed(float(step)) if result else health.failed(float(step))
        health.check_invariants()
        was_up = up
        if up and not result and run >= fall:
            up = False
        elif not up and result and run >= rise:
            up = True
        if up != was_up:
            run = 0
        assert (health.state is State.UP) == up
        assert (transition is not None) == (up != was_up)
