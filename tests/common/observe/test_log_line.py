from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model import LogTarget, Place
from common.observe.log_line import FACILITIES, FORMATS, LEVELS, LineWriter, Sample, stamps

NOON = stamps(1795379331, 0)  # 2026-11-22 20:28:51 UTC


def target(format: str = "", length: int = 1024, facility: str = "local0") -> LogTarget:
    return LogTarget(Place(), None, "stdout", length=length, format=format, facility=facility)


def render(log: LogTarget, text: bytes = b"text", level: str = "info", hostname: str = "", structured: bytes = b"-") -> bytes:
    return LineWriter(log, "tagg", 11807, hostname).render(LEVELS[level], text, NOON, 1528, structured)


@pytest.mark.parametrize(
    ("format", "hostname", "line"),
    [  # as HAProxy 2.6 sends them
        ("", "", b"<134>Nov 22 20:28:51 tagg[11807]: text\n"),
        ("", "myhost", b"<134>Nov 22 20:28:51 myhost tagg[11807]: text\n"),
        ("local", "myhost", b"<134>Nov 22 20:28:51 tagg[11807]: text\n"),
        ("rfc3164", "", b"<134>Nov 22 20:28:51 localhost tagg[11807]: text\n"),
        ("rfc3164", "myhost", b"<134>Nov 22 20:28:51 myhost tagg[11807]: text\n"),
        ("rfc5424", "", b"<134>1 2026-11-22T20:28:51.001528+00:00 - tagg 11807 - - text\n"),
        ("rfc5424", "myhost", b"<134>1 2026-11-22T20:28:51.001528+00:00 myhost tagg 11807 - - text\n"),
        ("priority", "", b"<134>text\n"),
        ("short", "", b"<6>text\n"),
        ("timed", "", b"<6>2026-11-22T20:28:51.001528+00:00 text\n"),
        ("iso", "", b"2026-11-22T20:28:51.001528+00:00 text\n"),
        ("raw", "", b"text\n"),
    ],
)
def test_each_format_has_its_header(format: str, hostname: str, line: bytes) -> None:
    assert render(target(format), hostname=hostname) == line


def test_structured_data_stands_where_rfc5424_wants_it_and_nowhere_else() -> None:
    assert render(target("rfc5424"), structured=b'[ex@1 b="49"]').endswith(b' 11807 - [ex@1 b="49"] text\n')
    assert all(b"ex@1" not in render(target(format), structured=b"[ex@1]") for format in FORMATS if format != "rfc5424")


@pytest.mark.parametrize(("facility", "level", "priority"), [("kern", "emerg", 0), ("local7", "debug", 191), ("daemon", "err", 27)])
def test_priority_is_facility_and_level(facility: str, level: str, priority: int) -> None:
    assert render(target("priority", facility=facility), level=level) == b"<%d>text\n" % priority


def test_there_are_eight_levels_and_twenty_four_facilities() -> None:
    assert list(LEVELS.values()) == list(range(8))
    assert list(FACILITIES.values()) == list(range(24))


@pytest.mark.parametrize("format", FORMATS)
def test_a_long_line_is_cut_to_its_length_not_counting_the_line_feed(format: str) -> None:
    line = render(target(format, length=80), b"x" * 5000)
    assert len(line) == 81
    assert line.endswith(b"\n")


def test_a_text_cannot_begin_another_line() -> None:
    assert render(target("raw"), b"a\nb\rc\0d") == b"a b c d\n"


@pytest.mark.parametrize(("offset_s", "zone"), [(0, b"+00:00"), (19800, b"+05:30"), (-12600, b"-03:30"), (-18000, b"-05:00")])
def test_stamps_are_in_local_time_and_say_how_far_from_utc(offset_s: int, zone: bytes) -> None:
    there = stamps(NOON.epoch - offset_s, offset_s)
    assert (there.iso, there.rfc3164, there.zone) == (b"2026-11-22T20:28:51", b"Nov 22 20:28:51", zone)


def test_a_day_of_one_digit_is_padded_with_a_space() -> None:
    assert stamps(0, 0).rfc3164 == b"Jan  1 00:00:00"


def test_a_new_second_and_another_level_make_a_new_header() -> None:
    writer = LineWriter(target(), "t", 1)
    assert writer.render(6, b"a", NOON, 0) == b"<134>Nov 22 20:28:51 t[1]: a\n"
    assert writer.render(3, b"a", NOON, 0) == b"<131>Nov 22 20:28:51 t[1]: a\n"
    assert writer.render(6, b"a", stamps(NOON.epoch + 1, 0), 0) == b"<134>Nov 22 20:28:52 t[1]: a\n"
    assert writer.render(6, b"a", NOON, 0) == b"<134>Nov 22 20:28:51 t[1]: a\n"


def test_a_sample_takes_the_named_lines_of_each_round() -> None:
    first, second = Sample(((1, 1),), 3), Sample(((2, 3), (5, 5)), 5)
    assert [number for number in range(1, 11) if first.take()] == [1, 4, 7, 10]
    assert [number for number in range(1, 11) if second.take()] == [2, 3, 5, 7, 8, 10]


@given(st.binary(max_size=300), st.sampled_from(FORMATS), st.integers(80, 400))
def test_any_text_is_one_line_of_at_most_its_length(text: bytes, format: str, length: int) -> None:
    line = render(target(format, length), text)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= length + 1
