from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.indexes import ExactIndex, RegexIndex
from common.acl.indexes_numbers import AddressIndex
from common.acl.maps import LINE_LENGTH_MAX, MapStore, PatternList, parse_lines
from common.errors import ExpressionError
from tests.common.acl.fakes import reader

HOSTS = b"# comment\n   \n k  v1 \nk v2\n\tlead  spaced value  \t\nempty\r\n #kept x\n"


def test_a_map_line_is_a_key_and_the_rest() -> None:
    assert list(parse_lines(HOSTS, True, "hosts")) == [
        (b"k", b"v1"),
        (b"k", b"v2"),
        (b"lead", b"spaced value"),
        (b"empty", b""),
        (b"#kept", b"x"),
    ]


def test_a_pattern_line_is_taken_whole() -> None:
    assert list(parse_lines(b"a b \n# no\n\n  c\n", False, "list")) == [(b"a b ", None), (b"c", None)]


def test_an_endless_line_is_refused() -> None:
    with pytest.raises(ExpressionError, match="longer"):
        list(parse_lines(b"x" * (LINE_LENGTH_MAX + 1), True, "hosts"))


@given(st.binary())
def test_no_file_breaks_the_parser(contents: bytes) -> None:
    for is_map in (True, False):
        for key, value in parse_lines(contents, is_map, "x"):
            assert key
            assert (value is not None) is is_map


def store_with(**files: str) -> tuple[MapStore, PatternList]:
    store = MapStore()
    name = next(iter(files))
    return store, store.file(name, True, reader(**files))


def test_a_file_used_twice_is_one_list() -> None:
    store, hosts = store_with(hosts="a 1\n")
    assert store.file("hosts", True, reader(), "map at line 2") is hosts
    assert "line 2" in hosts.description


def test_a_file_is_not_both_map_and_list() -> None:
    store, _ = store_with(hosts="a 1\n")
    with pytest.raises(ExpressionError, match="two-column map"):
        store.file("hosts", False, reader())


def test_an_unreadable_file_is_a_fault_unless_it_is_optional() -> None:
    store = MapStore()
    with pytest.raises(ExpressionError, match="No such file"):
        store.file("absent", True, reader())
    assert not store.file("opt@absent", True, reader()).entries
    assert not store.file("virt@anything", True, reader()).entries


def test_lists_are_found_by_id_and_by_name() -> None:
    store, hosts = store_with(hosts="a 1\n")
    inline, is_new = store.inline("acl 'path' line 3")
    assert is_new
    assert store.find(f"#{hosts.id}", True) is hosts
    assert store.find("hosts", True) is hosts
    assert store.find("hosts", False) is None
    assert store.find(f"#{inline.id}", False) is inline
    assert store.find("#99", True) is None
    assert store.find("#x", True) is None
    assert store.named("hosts") is hosts


def test_a_forced_id_is_given_once() -> None:
    store = MapStore()
    assert store.inline("first", 1)[0].id == 1
    assert store.inline("second")[0].id != 1
    assert [store.inline(f"more {number}")[0].id for number in range(3)].count(1) == 0
    with pytest.raises(ExpressionError, match="already in use"):
        store.inline("third", 1)


def test_changes_reach_every_index() -> None:
    _, hosts = store_with(hosts="a 1\nb 2\n")
    index, shared = ExactIndex(), hosts.shared("str", ExactIndex)
    hosts.attach(index)
    assert hosts.shared("str", ExactIndex) is shared
    added = hosts.add(b"c", b"3")
    for each in (index, shared):
        assert each.find(b"c") is added
    hosts.set(added, b"33")
    assert added.value == b"33"
    hosts.delete(added)
    assert not index.matches(b"c") and not shared.matches(b"c")
    hosts.clear()
    assert not index.matches(b"a")
    assert hosts.indexes == (index, shared) or hosts.indexes == (shared, index)


def test_a_key_that_suits_one_index_not_changes_nothing() -> None:
    _, hosts = store_with(hosts="10.0.0.1 x\n")
    text, address = hosts.shared("str", ExactIndex), hosts.shared("ip", AddressIndex)
    with pytest.raises(ExpressionError):
        hosts.add(b"not an address", b"y")
    assert not text.matches(b"not an address")
    assert len(hosts.entries) == 1
    assert address.matches(b"\x0a\0\0\1")


def number(value: bytes) -> int:
    if not value.isdigit():
        raise ExpressionError(f"{value!r} is not a number")
    return int(value)


def test_values_are_checked_by_the_uses() -> None:
    _, hosts = store_with(hosts="a 1\n")
    hosts.shared("str", ExactIndex, number)
    with pytest.raises(ExpressionError, match='value of "b"'):
        hosts.add(b"b", b"x")
    with pytest.raises(ExpressionError):
        hosts.set(hosts.select("a")[0], b"x")
    _, bad = store_with(hosts="a x\n")
    with pytest.raises(ExpressionError):
        bad.shared("str", ExactIndex, number)


def test_a_new_generation_replaces_the_old_one_at_once() -> None:
    _, hosts = store_with(hosts="a 1\nb 2\n")
    index = hosts.shared("str", ExactIndex)
    version = hosts.prepare()
    later = hosts.prepare()
    hosts.add(b"b", b"22", version)
    hosts.add(b"z", b"9", later)
    assert index.matches(b"a") and not index.matches(b"z")
    assert [entry.value for entry in hosts.entries_of(version)] == [b"22"]
    assert hosts.pending_generations == (version, later)
    hosts.commit(version)
    assert not index.matches(b"a")
    found = index.find(b"b")
    assert found is not None and found.value == b"22"
    hosts.commit(later)
    assert index.matches(b"z") and not index.matches(b"b")


def test_an_older_generation_is_dropped_by_a_newer_commit() -> None:
    _, hosts = store_with(hosts="a 1\n")
    older, newer = hosts.prepare(), hosts.prepare()
    hosts.commit(newer)
    with pytest.raises(KeyError):
        hosts.add(b"x", b"y", older)
    with pytest.raises(KeyError):
        hosts.commit(older)


def test_a_generation_can_be_cleared_and_its_entries_deleted() -> None:
    _, hosts = store_with(hosts="a 1\n")
    version = hosts.prepare()
    entry = hosts.add(b"x", b"y", version)
    hosts.delete(entry)
    assert hosts.entries_of(version) == []
    hosts.add(b"x", b"y", version)
    hosts.clear(version)
    assert hosts.entries_of(version) == []
    hosts.shared("reg", RegexIndex)
    with pytest.raises(ExpressionError):
        hosts.add(b"(", b"y", version)


def test_entries_are_selected_by_reference_or_by_key() -> None:
    _, hosts = store_with(hosts="a 1\nb 2\na 3\n")
    assert [entry.value for entry in hosts.select("a")] == [b"1", b"3"]
    third = hosts.entries_of()[2]
    assert hosts.select(f"#{third.order:x}") == [third]
    assert hosts.select("#zz") == []
    assert hosts.select("#ffff") == []


def test_get_map_asks_every_use() -> None:
    _, hosts = store_with(hosts="a 1\n")
    hosts.shared("str", ExactIndex)
    ((index, entry),) = hosts.lookup(b"a")
    assert isinstance(index, ExactIndex)
    assert entry is not None and entry.value == b"1"
