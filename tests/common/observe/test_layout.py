from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe.layout import HEADER_BYTES, Key, Layout, LayoutError
from tests.common.observe.configurations import web


def mapping(layout: Layout) -> bytearray:
    buffer = bytearray(layout.size)
    layout.write(memoryview(buffer))
    return buffer


def test_objects_are_numbered_in_file_order_with_their_names_as_keys() -> None:
    layout = Layout.of(web(), 2, spare_servers=1)
    assert layout.keys == (
        Key("P"),
        Key("F", "fe"),
        Key("L", "fe", "b1"),
        Key("L", "fe", "127.0.0.1:81"),
        Key("B", "be"),
        Key("S", "be", "s1"),
        Key("S", "be", "s2"),
        Key("F", "li"),
        Key("L", "li", "127.0.0.1:82"),
        Key("B", "li"),
        Key("S", "li", "l1"),
        Key(""),
    )
    assert layout.frontends == (1, -1, 7)
    assert layout.backends == (-1, 4, 9)
    assert layout.servers == ((), (5, 6), (10,))
    assert layout.listeners == {0: 2, 1: 3, 2: 8}


def test_a_reader_finds_everything_from_the_header_alone() -> None:
    layout = Layout.of(web(), 3)
    assert Layout.read(bytes(mapping(layout))) == layout


def test_two_processes_never_share_a_cache_line() -> None:
    layout = Layout.of(web(), 3)
    assert layout.rows_offset % 64 == 0
    assert layout.row_words * 8 % 64 == 0
    assert layout.reasons_offset % 64 == 0


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[: HEADER_BYTES - 1], "too short"),
        (lambda b: b"x" * len(b), "not a statistics mapping"),
        (lambda b: b[:8] + b"\x09\0\0\0" + b[12:], "version 0x9"),
        (lambda b: b[:12] + b"\x05\0\0\0" + b[16:], "damaged"),
    ],
)
def test_a_mapping_that_is_not_ours_is_refused(damage, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(LayoutError, match=message):
        Layout.read(damage(bytes(mapping(Layout.of(web(), 1)))))


@given(st.binary(max_size=600), st.binary(max_size=200))
def test_no_bytes_make_the_reader_raise_anything_else(head: bytes, tail: bytes) -> None:
    whole = bytes(mapping(Layout.of(web(), 1)))
    for damaged in (head, whole[:12] + tail + whole[12 + len(tail) :]):
        try:
            Layout.read(damaged)
        except LayoutError:
            pass


def test_an_added_server_takes_a_spare_object_and_moves_nothing() -> None:
    before = Layout.of(web(), 1, spare_servers=1)
    after = before.with_server(1, "s3")
    assert after.servers == ((), (5, 6, 11), (10,))
    assert after.keys[11] == Key("S", "be", "s3")
    assert (after.size, after.rows_offset, after.frontends) == (before.size, before.rows_offset, before.frontends)
    with pytest.raises(LayoutError, match="no room"):
        after.with_server(1, "s4")


def test_a_removed_server_leaves_its_object_unused() -> None:
    layout = Layout.of(web(), 1).without_server(1, 0)
    assert layout.servers[1] == (6,)
    assert layout.keys[5] == Key("")
