from __future__ import annotations

import pytest

from common.acl.indexes import Entry, ExactIndex, FoundIndex, Index, RegexIndex, TruthIndex, read_hex
from common.errors import ExpressionError


def fill(index: Index, *keys: str, fold: bool = False) -> list[Entry]:
    entries = [Entry(order, key.encode(), f"value {order}".encode()) for order, key in enumerate(keys, 1)]
    for entry in entries:
        index.add(entry, fold)
    return entries


def test_exact_finds_the_first_of_equal_keys_and_the_next_after_its_removal() -> None:
    index = ExactIndex()
    first, second = fill(index, "k", "k")
    assert index.find(b"k") is first
    index.remove(first, False)
    assert index.find(b"k") is second
    index.remove(second, False)
    assert index.find(b"k") is None
    assert not index.matches(b"k")


def test_an_entry_that_comes_back_takes_its_place_again() -> None:
    index = ExactIndex()
    first, second = fill(index, "k", "k")
    index.remove(first, False)
    index.add(first, False)
    assert index.find(b"k") is first
    assert second.order > first.order


def test_case_is_ignored_only_for_entries_added_so() -> None:
    index = ExactIndex()
    fill(index, "Exact")
    fill(index, "Folded", fold=True)
    assert index.matches(b"Exact") and not index.matches(b"exact")
    assert index.matches(b"FOLDED") and index.find(b"folded") is not None


def test_hexadecimal_keys_are_bytes() -> None:
    index = ExactIndex(read_hex)
    fill(index, "48656C6c6f")
    assert index.matches(b"Hello")
    with pytest.raises(ExpressionError):
        fill(index, "123")


def test_regexes_are_tried_in_order() -> None:
    index = RegexIndex()
    first, second = fill(index, "^/a(.)", "^/a")
    assert index.find(b"/ab") is first
    assert index.find(b"/a") is second
    found = index.search(b"/ab")
    assert found is not None and found[0] is first and found[1].group(1) == b"b"
    assert index.search(b"x") is None


def test_many_regexes_are_one_search() -> None:
    index = RegexIndex()
    entries = fill(index, "^a$", "b|c")
    fill(index, "^folded$", fold=True)
    assert [index.matches(value) for value in (b"a", b"xc", b"FOLDED", b"d", b"ab c")] == [True, True, True, False, True]
    index.remove(entries[1], False)
    assert not index.matches(b"xc")


def test_a_broken_regex_is_refused() -> None:
    with pytest.raises(ExpressionError):
        fill(RegexIndex(), "(")


def test_truth_and_presence_ask_for_no_pattern() -> None:
    truth, found = TruthIndex(), FoundIndex()
    fill(truth, "ignored")
    assert truth.matches(True) and not truth.matches(0)
    assert truth.find(1) is not None and truth.find(False) is None
    assert found.matches(b"") and found.find(b"") is not None
    truth.remove(TruthIndex.ENTRY, False)
