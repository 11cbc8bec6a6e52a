from __future__ import annotations

import pytest

from common.observe import fields
from common.observe.fields import BLOCK_WORDS, COUNTERS, GAUGES, MAXIMA, NAMES, RESPONSE_OF_STATUS, enter, record_times


def test_each_name_has_its_constant_in_the_same_place() -> None:
    assert [getattr(fields, name.upper()) for name in NAMES] == list(range(len(NAMES)))


def test_a_block_holds_all_words_in_whole_cache_lines() -> None:
    assert len(NAMES) <= BLOCK_WORDS
    assert BLOCK_WORDS % 8 == 0


def test_every_word_is_a_counter_or_a_gauge_or_a_maximum() -> None:
    assert sorted([*COUNTERS, *GAUGES, *MAXIMA]) == list(range(len(NAMES)))


@pytest.mark.parametrize(
    ("status", "name"),
    [(100, "hrsp_1xx"), (200, "hrsp_2xx"), (304, "hrsp_3xx"), (404, "hrsp_4xx"), (599, "hrsp_5xx"), (600, "hrsp_other"), (0, "hrsp_other")],
)
def test_a_status_belongs_to_one_class_of_responses(status: int, name: str) -> None:
    assert NAMES[RESPONSE_OF_STATUS[status]] == name


def test_entering_raises_the_gauge_its_maximum_and_the_total() -> None:
    block = memoryview(bytearray(BLOCK_WORDS * 8)).cast("q")
    enter(block)
    enter(block)
    block[fields.SCUR] -= 1
    enter(block)
    assert (block[fields.SCUR], block[fields.SMAX], block[fields.STOT]) == (2, 2, 3)


def test_times_that_were_not_reached_are_not_counted() -> None:
    block = memoryview(bytearray(BLOCK_WORDS * 8)).cast("q")
    record_times(block, -1, -1, -1, 7)
    record_times(block, 2, 3, 4, 5)
    record_times(block, 1, 1, 1, 1)
    assert block[fields.TIMED] == 3
    assert [block[word] for word in (fields.QTIME_SUM, fields.CTIME_SUM, fields.RTIME_SUM, fields.TTIME_SUM)] == [3, 4, 5, 13]
    assert [block[word] for word in (fields.QTIME_MAX, fields.CTIME_MAX, fields.RTIME_MAX, fields.TTIME_MAX)] == [2, 3, 4, 7]
