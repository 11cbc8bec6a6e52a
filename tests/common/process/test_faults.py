"""A bug in one line."""

from __future__ import annotations

import pytest

from common.process.faults import describe


def test_what_and_where() -> None:
    with pytest.raises(KeyError) as caught:
        dict[str, str]()["missing"]
    assert describe(caught.value).startswith("KeyError: 'missing' at test_faults.py:")


def test_of_a_group_the_first_and_without_a_place_none() -> None:
    assert describe(ExceptionGroup("many", [ExceptionGroup("inner", [ValueError("first")]), OSError("second")])) == "ValueError: first"
