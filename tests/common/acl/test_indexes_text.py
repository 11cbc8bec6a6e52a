from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.indexes import Entry, Index
from common.acl.indexes_text import LabelIndex, PrefixIndex, SubstringIndex, SuffixIndex
from tests.common.acl.test_indexes import fill

IMAGE = b"/images/png/logo/32x32.png"
URL = b"http://www1.dc-eu.example.com:80/blah"


def test_the_longest_prefix_is_the_finest() -> None:
    index = PrefixIndex()
    short, long, again = fill(index, "/a", "/a/b", "/a/b")
    assert index.find(b"/a/b/c") is long
    assert index.find(b"/a/x") is short
    assert index.find(b"/b") is None
    index.remove(long, False)
    assert index.find(b"/a/b/c") is again


def test_the_longest_prefix_wins_over_case() -> None:
    index = PrefixIndex()
    fill(index, "/a")
    (folded,) = fill(index, "/A/B", fold=True)
    assert index.find(b"/a/b") is folded
    assert index.matches(b"/A/b")
    assert not index.matches(b"/A")


def test_of_suffixes_the_first_wins() -> None:
    index = SuffixIndex()
    first, second = fill(index, ".gif", "x.gif")
    assert index.find(b"x.gif") is first
    index.remove(first, False)
    assert index.find(b"x.gif") is second
    assert index.find(b"gif") is None


@pytest.mark.parametrize("kind", [PrefixIndex, SuffixIndex])
def test_many_patterns_are_found_like_few(kind: type[Index]) -> None:
    index = kind()
    entries = fill(index, *(f"/key{number}/" for number in range(200)))
    value = b"/key150/x" if kind is PrefixIndex else b"x/key150/"
    assert index.matches(value)
    assert index.find(value) is entries[150]
    assert not index.matches(b"/nothing/")
    for entry in entries[2:]:
        index.remove(entry, False)
    assert not index.matches(value)
    assert index.matches(b"/key1/")


def test_case_of_suffixes() -> None:
    index = SuffixIndex()
    fill(index, ".GIF", fold=True)
    assert index.matches(b"A.gif") and index.find(b"a.Gif") is not None
    assert not index.matches(b"gif")


def test_of_substrings_the_first_wins() -> None:
    index = SubstringIndex()
    first, second = fill(index, "b", "ab")
    (folded,) = fill(index, "XY", fold=True)
    assert index.find(b"ab") is first
    assert index.find(b"_xy_") is folded
    index.remove(first, False)
    assert index.find(b"ab") is second
    assert not index.matches(b"")


@pytest.mark.parametrize("pattern", ["/images", "/images/png", "images/png", "/png/logo", "logo/32x32.png", "32x32.png"])
def test_subdirectories_of_the_manual_match(pattern: str) -> None:
    index = LabelIndex(b"/")
    fill(index, pattern)
    assert index.matches(IMAGE)


@pytest.mark.parametrize("pattern", ["32x32", "image", "/"])
def test_parts_of_a_directory_do_not(pattern: str) -> None:
    index = LabelIndex(b"/")
    fill(index, pattern)
    assert not index.matches(IMAGE)


def test_a_pattern_of_delimiters_matches_an_empty_value() -> None:
    index = LabelIndex(b"/")
    fill(index, "/")
    assert index.matches(b"")


@pytest.mark.parametrize(
    "pattern",
    [
        "http",
        "www1",
        ".www1",
        "dc-eu",
        "example",
        "com",
        "80",
        "dc-eu.example",
        "blah",
        ":www1:",
        "dc-eu.example:80",
        "example.com:80/blah",
    ],
)
def test_domains_of_the_manual_match(pattern: str) -> None:
    index = LabelIndex(b"./?:")
    fill(index, pattern)
    # The manual's "dc-eu.example:80" is compared with its delimiters here, as HAProxy does: it needs ".com" in between.
    assert index.matches(URL) is (pattern != "dc-eu.example:80")


@pytest.mark.parametrize("pattern", ["eu", "dc", "exampl"])
def test_parts_of_a_label_do_not(pattern: str) -> None:
    index = LabelIndex(b"./?:")
    fill(index, pattern)
    assert not index.matches(URL)


def test_labels_ignore_case_and_can_be_removed() -> None:
    index = LabelIndex(b"./?:")
    single, long = fill(index, "Example", "Example.COM", fold=True)
    assert index.find(b"www.example.com") is single
    index.remove(single, True)
    assert index.find(b"www.example.com") is long
    index.remove(long, True)
    assert not index.matches(b"www.example.com")


@given(st.lists(st.binary(max_size=4), max_size=40), st.binary(max_size=6))
def test_prefixes_and_suffixes_agree_with_python(keys: list[bytes], value: bytes) -> None:
    prefixes, suffixes, substrings = PrefixIndex(), SuffixIndex(), SubstringIndex()
    for order, key in enumerate(keys):
        for index in (prefixes, suffixes, substrings):
            index.add(Entry(order, key), False)
    assert prefixes.matches(value) is value.startswith(tuple(keys))
    assert (prefixes.find(value) is not None) is value.startswith(tuple(keys))
    assert suffixes.matches(value) is value.endswith(tuple(keys))
    assert (suffixes.find(value) is not None) is value.endswith(tuple(keys))
    assert substrings.matches(value) is any(key in value for key in keys)
