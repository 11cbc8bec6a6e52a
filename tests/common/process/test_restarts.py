"""When a process that died is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from common.process.restarts import DELAY_MAX_S, LOOP_DEATHS, WINDOW_S, Restarts


def test_the_first_death_costs_no_delay_and_each_further_one_doubles_it() -> None:
    restarts = Restarts()
    assert [round(restarts.died(float(second)).delay_s, 3) for second in range(5)] == [0, 0.1, 0.2, 0.4, 0.8]


def test_the_delay_has_an_upper_bound() -> None:
    restarts = Restarts()
    assert max(restarts.died(number / 100).delay_s for number in range(2000)) == DELAY_MAX_S


def test_deaths_are_forgotten_after_the_window() -> None:
    restarts = Restarts()
    assert restarts.died(0).deaths == 1
    assert restarts.died(WINDOW_S - 0.1).deaths == 2
    assert restarts.died(WINDOW_S).deaths == 2
    assert restarts.died(3 * WINDOW_S).delay_s == 0
    assert restarts.total == 4


def test_dying_often_is_a_crash_loop_until_the_window_has_passed() -> None:
    restarts = Restarts()
    verdicts = [restarts.died(float(second)) for second in range(LOOP_DEATHS)]
    assert [verdict.crash_loop for verdict in verdicts] == [False] * (LOOP_DEATHS - 1) + [True]
    assert restarts.in_crash_loop(10)
    assert not restarts.in_crash_loop(10 + WINDOW_S)


@given(st.lists(st.floats(0, 100), max_size=40))
def test_delays_stay_within_bounds_whatever_the_times(gaps: list[float]) -> None:
    restarts, now = Restarts(), 0.0
    for gap in gaps:
        now += gap
        verdict = restarts.died(now)
        assert 0 <= verdict.delay_s <= DELAY_MAX_S
        assert 1 <= verdict.deaths <= restarts.total
