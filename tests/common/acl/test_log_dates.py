from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.log_dates import civil, gmt_date, local_date, local_date_ms, split_ms


@given(st.integers(-62135596800, 253402300799))
def test_calendar_agrees_with_the_standard_library(seconds: int) -> None:
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds)
    assert civil(seconds) == (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)


@pytest.mark.parametrize(
    "offset, text",
    [
        (0, b"22/Nov/2026:21:49:59 +0000"),
        (3600, b"22/Nov/2026:22:49:59 +0100"),
        (-12600, b"22/Nov/2026:18:19:59 -0330"),
        (20700, b"23/Nov/2026:03:34:59 +0545"),
    ],
)
def test_offsets(offset: int, text: bytes) -> None:
    assert local_date(1795384199.9, lambda date: offset) == text
    assert gmt_date(1795384199.9) == b"22/Nov/2026:21:49:59 +0000"


def test_the_offset_is_the_one_of_that_date() -> None:
    summer_until = 1793000000.0
    assert local_date_ms(0.5, lambda date: 3600 if date < summer_until else 0) == b"01/Jan/1970:01:00:00.500"


@given(st.integers(0, 4_000_000_000_000))
def test_a_date_made_of_milliseconds_keeps_them(milliseconds: int) -> None:
    assert split_ms(milliseconds / 1000) == divmod(milliseconds, 1000)
