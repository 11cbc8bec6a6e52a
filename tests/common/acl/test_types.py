from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.types import INT_MAX, INT_MIN, clamp, wrap


@pytest.mark.parametrize(
    "number, wrapped, clamped", [(5, 5, 5), (2**63, INT_MIN, INT_MAX), (-(2**63) - 1, INT_MAX, INT_MIN), (2**64, 0, INT_MAX)]
)
def test_numbers_have_64_bits(number: int, wrapped: int, clamped: int) -> None:
    assert (wrap(number), clamp(number)) == (wrapped, clamped)


@given(st.integers())
def test_wrapping_is_modulo_2_to_the_64(number: int) -> None:
    assert INT_MIN <= wrap(number) <= INT_MAX
    assert (wrap(number) - number) % 2**64 == 0
