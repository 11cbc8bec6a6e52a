from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe.live_view import COLUMNS, SORTS, Stat, colour, lines, short


def row(kind: str, proxy: str, name: str, **columns: object) -> Stat:
    return {"pxname": proxy, "svname": name, "type": kind, "status": "UP"} | {name: str(value) for name, value in columns.items()}


BEFORE = [row("0", "fe", "FRONTEND", stot=10, req_tot=100), row("2", "be", "s1", stot=5), row("2", "be", "s2", stot=50)]
NOW = [
    row("0", "fe", "FRONTEND", stot=30, req_tot=1100, scur=3),
    *(row("2", "be", name, stot=total) for name, total in (("s1", 25), ("s2", 50), ("new", 9))),
]


def test_rates_are_differences_over_the_time_between() -> None:
    found = {line.name: line for line in lines(BEFORE, NOW, 2.0)}
    assert found["FRONTEND"].values["sess/s"] == 10
    assert found["FRONTEND"].values["req/s"] == 500
    assert found["FRONTEND"].values["sess"] == 3
    assert found["new"].values["sess/s"] == 0
    assert found["FRONTEND"].cells()[:5] == ["fe", "UP", "3", "10", "500"]


def test_counters_that_were_cleared_are_no_negative_rate() -> None:
    assert all(line.values["sess/s"] == 0 for line in lines(NOW, BEFORE, 1.0))


def test_lines_are_sorted_and_filtered() -> None:
    assert [line.name for line in lines(BEFORE, NOW, 1.0)] == ["FRONTEND", "s1", "s2", "new"]
    assert [line.name for line in lines(BEFORE, NOW, 1.0, "sess/s")][:2] == ["FRONTEND", "s1"]
    assert [line.name for line in lines(BEFORE, NOW, 1.0, "file", "BE S")] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "·"), (7, "7"), (0.25, "0.2"), (999, "999"), (1234, "1.2k"), (45678, "46k"), (1234567, "1.2M"), (5e9, "5.0G")]
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


@given(st.lists(st.dictionaries(st.sampled_from(["scur", "stot", "bin", "ereq", "hrsp_2xx"]), st.text(max_size=8))), st.sampled_from(SORTS))
def test_no_answer_makes_it_raise(columns: list[dict[str, str]], sort: str) -> None:
    rows = [row("1", "x", str(place), **found) for place, found in enumerate(columns)]
    for line in lines(rows, rows[::-1], 0.0, sort):
        assert len(line.cells()) == len(COLUMNS)


def test_states_have_their_colours() -> None:
    assert [colour(state) for state in ("UP", "OPEN", "no check", "UP 1/2", "DOWN", "MAINT (via x/y)", "DRAIN")] == [
        *("green", "green", "green", "yellow", "red", "magenta", "yellow"),
    ]  # fmt: skip
