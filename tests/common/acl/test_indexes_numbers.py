from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.addresses import parse_address
from common.acl.indexes import Entry
from common.acl.indexes_numbers import AddressIndex, IntegerIndex
from common.errors import ExpressionError
from tests.common.acl.test_indexes import fill


def test_of_numbers_and_ranges_the_first_wins() -> None:
    index = IntegerIndex()
    single, wide = fill(index, "5", "1:10")
    assert index.find(5) is single
    assert index.find(7) is wide
    assert index.find(11) is None
    index.remove(single, False)
    assert index.find(5) is wide
    index.remove(wide, False)
    assert not index.matches(5)


def test_lengths_are_measured() -> None:
    index = IntegerIndex(measure=len)
    fill(index, "3", "10:")
    assert [index.matches(b"x" * size) for size in (2, 3, 4, 10, 500)] == [False, True, False, True, True]


def packed(text: str) -> bytes:
    found = parse_address(text.encode())
    assert found is not None
    return found


def test_the_longest_network_is_the_finest() -> None:
    index = AddressIndex()
    wide, narrow, other = fill(index, "10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32")
    assert index.find(packed("10.1.2.3")) is narrow
    assert index.find(packed("10.9.2.3")) is wide
    assert index.find(packed("11.0.0.1")) is None
    assert index.find(packed("2001:db8::1")) is other
    index.remove(narrow, False)
    assert index.find(packed("10.1.2.3")) is wide
    index.remove(wide, False)
    index.remove(other, False)
    assert not index.matches(packed("10.1.2.3"))
    assert not index.matches(packed("2001:db8::1"))


@pytest.mark.parametrize(
    "pattern, address, matches",
    [
        ("10.0.0.0/8", "::ffff:10.9.2.3", True),
        ("10.0.0.0/8", "::10.9.2.3", True),
        ("10.0.0.0/8", "2002:a01:203::", True),
        ("10.0.0.0/8", "2001:db8::a09:203", False),
        ("::ffff:10.2.0.0/112", "10.2.2.3", True),
        ("::ffff:10.2.0.0/112", "10.3.2.3", False),
    ],
)
def test_families_meet_as_the_manual_says(pattern: str, address: str, matches: bool) -> None:
    index = AddressIndex()
    fill(index, pattern)
    assert index.matches(packed(address)) is matches


def test_no_address_matches_nothing() -> None:
    index = AddressIndex()
    fill(index, "0.0.0.0/0", "::/0")
    assert not index.matches(b"")


def test_a_bad_network_is_refused() -> None:
    with pytest.raises(ExpressionError):
        fill(AddressIndex(), "10.0.0.0/99")


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)), max_size=20),
    st.integers(0, 2**32 - 1),
)
def test_cidr_agrees_with_the_standard_library(networks: list[tuple[int, int]], address: int) -> None:
    index = AddressIndex()
    known = [ipaddress.ip_network((number, bits), strict=False) for number, bits in networks]
    for order, network in enumerate(known):
        index.add(Entry(order, str(network).encode()), False)
    containing = [network for network in known if ipaddress.ip_address(address) in network]
    found = index.find(address.to_bytes(4, "big"))
    assert (found is not None) is bool(containing)
    if found is not None:
        assert found.key.endswith(b"/%d" % max(network.prefixlen for network in containing))
