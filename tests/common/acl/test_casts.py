from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.casts import cast, integer_of, same, text_of, wrapper
from common.acl.types import INT_MAX, INT_MIN, SampleType, Typed

T = SampleType
V6_MAPPED = bytes.fromhex("00000000000000000000ffff01020304")


@pytest.mark.parametrize(
    "text, number",
    [
        (b"12", 12),
        (b"-12x", -12),
        (b"+12", 12),
        (b"x", 0),
        (b" 12", 0),
        (b"12 ", 12),
        (b"-", 0),
        (b"", None),
        (b"9" * 20, INT_MAX),
        (b"-" + b"9" * 400, INT_MIN),
    ],
)
def test_text_is_a_number_as_far_as_it_begins_with_one(text: bytes, number: int | None) -> None:
    assert integer_of(text) == number


@pytest.mark.parametrize(
    "source, target, value, expected",
    [
        (T.BOOL, T.INT, True, 1),
        (T.BOOL, T.STR, False, b"0"),
        (T.BOOL, T.BIN, True, b"\0\0\0\0\0\0\0\1"),
        (T.INT, T.BOOL, 5, True),
        (T.INT, T.STR, -5, b"-5"),
        (T.INT, T.BIN, -5, bytes.fromhex("fffffffffffffffb")),
        (T.INT, T.ADDR, 16909060, b"\1\2\3\4"),
        (T.STR, T.BOOL, b"3", True),
        (T.STR, T.BOOL, b"x", False),
        (T.STR, T.BOOL, b"", None),
        (T.STR, T.INT, b"12x", 12),
        (T.STR, T.ADDR, b"1.2.3.4", b"\1\2\3\4"),
        (T.STR, T.IPV6, b"1.2.3.4", None),
        (T.BIN, T.STR, b"\1\xff", b"\1\xff"),
        (T.BIN, T.ADDR, b"\1\2\3\4", b"\1\2\3\4"),
        (T.BIN, T.ADDR, b"\1\2\3", None),
        (T.IPV4, T.INT, b"\1\2\3\4", 16909060),
        (T.IPV4, T.STR, b"\1\2\3\4", b"1.2.3.4"),
        (T.IPV4, T.IPV6, b"\1\2\3\4", V6_MAPPED),
        (T.IPV6, T.IPV4, V6_MAPPED, b"\1\2\3\4"),
        (T.IPV6, T.IPV4, b"\x20" + b"\0" * 15, None),
        (T.ADDR, T.IPV4, b"\1\2\3\4", b"\1\2\3\4"),
        (T.ADDR, T.INT, V6_MAPPED, None),
        (T.METHOD, T.STR, b"GET", b"GET"),
    ],
)
def test_casts(source: SampleType, target: SampleType, value: Any, expected: Any) -> None:
    function = cast(source, target)
    assert function is not None
    assert function(value) == expected


@pytest.mark.parametrize(
    "source, target", [(T.BIN, T.INT), (T.BIN, T.BOOL), (T.IPV6, T.INT), (T.ADDR, T.BOOL), (T.METHOD, T.INT), (T.BOOL, T.ADDR)]
)
def test_pairs_that_do_not_cast(source: SampleType, target: SampleType) -> None:
    assert cast(source, target) is None


def test_a_cast_to_the_same_type_does_nothing() -> None:
    assert cast(T.STR, T.STR) is same
    assert cast(T.STR, T.BIN) is same


@pytest.mark.parametrize(
    "typed, target, expected",
    [
        (Typed(T.INT, 5), T.STR, b"5"),
        (Typed(T.INT, 5), T.INT, 5),
        (Typed(T.STR, b"7"), T.INT, 7),
        (Typed(T.BIN, b"7"), T.INT, None),
    ],
)
def test_a_variable_is_cast_by_the_type_it_carries(typed: Typed, target: SampleType, expected: Any) -> None:
    function = cast(T.ANY, target)
    assert function is not None
    assert function(typed) == expected


def test_a_value_is_wrapped_with_its_type() -> None:
    assert wrapper(T.INT)(5) == Typed(T.INT, 5)
    assert wrapper(T.ADDR)(b"\1\2\3\4") == Typed(T.IPV4, b"\1\2\3\4")
    assert wrapper(T.ADDR)(V6_MAPPED).type is T.IPV6
    assert cast(T.STR, T.ANY) is not None


def test_every_type_has_a_text() -> None:
    assert text_of(Typed(T.BOOL, True)) == b"1"
    assert text_of(Typed(T.IPV6, V6_MAPPED)) == b"::ffff:1.2.3.4"


@given(st.binary())
def test_any_text_becomes_a_64_bit_number_or_nothing(text: bytes) -> None:
    number = integer_of(text)
    assert number is None or INT_MIN <= number <= INT_MAX
