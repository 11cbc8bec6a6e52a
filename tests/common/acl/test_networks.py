from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.networks import Network, parse_ipv4_mask, parse_ipv6_mask, parse_network
from common.errors import ExpressionError


@pytest.mark.parametrize(
    "text, network",
    [
        # The table of manual 7.1.6: abbreviated forms leave out zero octets before the last one.
        (b"192.168.0.1", "192.168.0.1/32"),
        (b"192.168.1", "192.168.0.1/32"),
        (b"192.168.0.1/22", "192.168.0.0/22"),
        (b"192.168.1/22", "192.168.0.0/22"),
        (b"10.12", "10.0.0.12/32"),
        (b"10.12/8", "10.0.0.0/8"),
        (b"127.1", "127.0.0.1/32"),
        (b"127.1/8", "127.0.0.0/8"),
        (b"127/8", "0.0.0.0/8"),
        (b"10.0.0.0/255.0.0.0", "10.0.0.0/8"),
        (b"0.0.0.0/0", "0.0.0.0/0"),
        (b"::1", "::1/128"),
        (b"2001:db8::1/32", "2001:db8::/32"),
        (b"::/0", "::/0"),
    ],
)
def test_networks_are_read_as_the_manual_says(text: bytes, network: str) -> None:
    expected = ipaddress.ip_network(network)
    assert parse_network(text) == Network(expected.network_address.packed, expected.prefixlen)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"a",
        b"10.0.0.0/33",
        b"::/129",
        b"10.0.0.0/255.0.255.0",
        b"10.0.0.0/",
        b"256.1",
        b"1.2.3.4.5",
        b"10.0.0.0/-1",
        b"127.0.0.1-127.0.0.2",
    ],
)
def test_what_is_no_network_is_refused(text: bytes) -> None:
    with pytest.raises(ExpressionError):
        parse_network(text)


def test_names_are_not_resolved_and_the_message_says_so() -> None:
    with pytest.raises(ExpressionError) as failure:
        parse_network(b"www.example.com")
    assert "not resolved" in failure.value.hint


@pytest.mark.parametrize("text, bits", [(b"24", 24), (b"255.255.255.0", 24), (b"0.0.0.0", 0), (b"0", 0)])
def test_ipv4_masks(text: bytes, bits: int) -> None:
    assert parse_ipv4_mask(text) == bits


@pytest.mark.parametrize("text, bits", [(b"64", 64), (b"ffff:ffff::", 32), (b"::", 0)])
def test_ipv6_masks(text: bytes, bits: int) -> None:
    assert parse_ipv6_mask(text) == bits


@given(st.binary())
def test_no_bytes_raise_anything_else(text: bytes) -> None:
    try:
        parse_network(text)
    except ExpressionError:
        pass
