from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.numbers import OPERATORS, operate, parse_range, parse_version_range
from common.acl.types import INT_MAX, INT_MIN
from common.errors import ExpressionError


@pytest.mark.parametrize(
    "text, bounds",
    [(b"5", (5, 5)), (b"-5", (-5, -5)), (b"1:10", (1, 10)), (b":10", (INT_MIN, 10)), (b"1024:", (1024, INT_MAX)), (b"3:3", (3, 3))],
)
def test_numbers_and_ranges(text: bytes, bounds: tuple[int, int]) -> None:
    assert parse_range(text) == bounds


@pytest.mark.parametrize("text", [b"", b":", b"5a", b"0x5", b"5.0", b"7:3", b"-10:-1", b"1:2:3", b"9" * 30])
def test_what_is_no_range_is_refused(text: bytes) -> None:
    with pytest.raises(ExpressionError):
        parse_range(text)


@pytest.mark.parametrize(
    "text, bounds", [(b"3.1", (0x30001, 0x30001)), (b"3", (0x30000, 0x30000)), (b"3:3.1", (0x30000, 0x30001)), (b":3", (INT_MIN, 0x30000))]
)
def test_versions_are_major_and_minor(text: bytes, bounds: tuple[int, int]) -> None:
    assert parse_version_range(text) == bounds


@pytest.mark.parametrize("text", [b"a", b"3.", b".1", b"3.1:3.0", b"3.1.2", b":"])
def test_what_is_no_version_is_refused(text: bytes) -> None:
    with pytest.raises(ExpressionError):
        parse_version_range(text)


@pytest.mark.parametrize(
    "operator, bounds, result",
    [
        ("eq", (5, 5), (5, 5)),
        ("gt", (5, 5), (6, INT_MAX)),
        ("ge", (5, 5), (5, INT_MAX)),
        ("lt", (5, 5), (INT_MIN, 4)),
        ("le", (5, 5), (INT_MIN, 5)),
        # On ranges an operator only moves an edge: what a running HAProxy does.
        ("gt", (1, 6), (2, 6)),
        ("lt", (4, 6), (4, 5)),
        ("ge", (4, 6), (4, 6)),
        ("le", (5, 6), (5, 6)),
    ],
)
def test_operators(operator: str, bounds: tuple[int, int], result: tuple[int, int]) -> None:
    assert operate(operator, bounds) == result


@given(st.sampled_from(OPERATORS), st.integers(-100, 100), st.integers(-100, 100))
def test_an_operator_means_what_it_says(operator: str, pattern: int, value: int) -> None:
    low, high = operate(operator, (pattern, pattern))
    meaning = {"eq": value == pattern, "gt": value > pattern, "ge": value >= pattern, "lt": value < pattern, "le": value <= pattern}
    assert (low <= value <= high) is meaning[operator]


@given(st.binary())
def test_no_bytes_raise_anything_else(text: bytes) -> None:
    for parse in (parse_range, parse_version_range):
        try:
            parse(text)
        except ExpressionError:
            pass
