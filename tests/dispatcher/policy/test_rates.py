from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.policy.rates import Rate


def test_previous_period_fades() -> None:
    rate = Rate()
    rate.add(10.0, 100)
    assert rate.value(10.0) == 100
    assert rate.value(10.999) == 100
    assert rate.value(11.25) == pytest.approx(75)
    rate.add(11.5, 10)
    assert rate.value(11.5) == pytest.approx(60)
    assert rate.value(12.5) == pytest.approx(5)
    assert rate.value(99.0) == 0


def test_no_wait_while_there_is_room() -> None:
    rate = Rate()
    rate.add(1.0, 4)
    assert rate.wait_s(1.0, 5) == 0.0
    assert rate.room(1.0, 5) == 1


def test_steady_stream_reads_as_its_rate() -> None:
    rate = Rate()
    for step in range(1000):
        rate.add(step / 100)
    assert rate.value(10.0) == pytest.approx(100, abs=2)


@pytest.mark.parametrize("limit", [1, 2, 10, 77])
@pytest.mark.parametrize("seed", range(3))
def test_limit_holds_and_waiting_as_told_is_enough(limit: int, seed: int) -> None:
    chance = random.Random(seed)
    rate, now = Rate(), 5.0
    times: list[float] = []
    for _ in range(300):
        if rate.room(now, limit):
            rate.add(now)
            times.append(now)
            assert rate.value(now) <= limit + 1e-6
        else:
            wait_s = rate.wait_s(now, limit)
            assert 0 < wait_s <= 2.0
            assert not rate.room(now + wait_s * 0.98, limit) or wait_s < 1e-6
            now += wait_s + 1e-6
            assert rate.room(now, limit) >= 1
        now += chance.choice([0.0, 0.0, 0.01, 0.3])
    whole_s = times[-1] - times[0]
    assert len(times) <= limit * (whole_s + 1) * 1.01 + 1


@given(st.lists(st.floats(0, 3, allow_nan=False), max_size=50))
def test_value_is_never_negative_nor_above_two_periods(gaps: list[float]) -> None:
    rate, now, times = Rate(), 0.0, []
    for gap in gaps:
        now += gap
        rate.add(now)
        times.append(now)
        recent = sum(1 for time in times if time > now - 2)
        assert 0 <= rate.value(now) <= recent + 1e-9
