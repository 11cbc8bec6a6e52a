from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.addresses import embedded_ipv4, format_address, mask, parse_address, parse_ipv4, parse_ipv6, to_ipv6

PACKED = st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16))


@pytest.mark.parametrize(
    "text, packed",
    [
        (b"1.2.3.4", "01020304"),
        (b"255.255.255.255", "ffffffff"),
        (b"::1", "0" * 31 + "1"),
        (b"::ffff:1.2.3.4", "0" * 20 + "ffff01020304"),
        (b"2001:db8::", "20010db8" + "0" * 24),
    ],
)
def test_addresses_are_read_as_inet_pton_reads_them(text: bytes, packed: str) -> None:
    assert parse_address(text) == bytes.fromhex(packed)


@pytest.mark.parametrize(
    "text", [b"", b"1.2.3", b"1.2.3.256", b"01.2.3.4", b"1.2.3.4 ", b"[::1]", b"fe80::1%eth0", b":::1", b"a", b"1.2.3.4:80", b"\xff"]
)
def test_what_is_no_address_is_refused(text: bytes) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    "packed, text",
    [
        ("", b""),
        ("7f000001", b"127.0.0.1"),
        ("0" * 20 + "ffff01020304", b"::ffff:1.2.3.4"),
        ("0" * 24 + "01020304", b"::1.2.3.4"),
        ("0" * 31 + "1", b"::1"),
        ("0" * 32, b"::"),
        ("20010db8" + "0" * 23 + "1", b"2001:db8::1"),
    ],
)
def test_text_is_inet_ntops(packed: str, text: bytes) -> None:
    assert format_address(bytes.fromhex(packed)) == text


@given(PACKED)
def test_formatting_and_parsing_reverse_each_other(packed: bytes) -> None:
    assert parse_address(format_address(packed)) == packed


@given(st.binary())
def test_no_bytes_break_the_parser(text: bytes) -> None:
    found = parse_address(text)
    assert found is None or len(found) in (4, 16)


@given(PACKED, st.integers(0, 32))
def test_a_mask_clears_what_follows(packed: bytes, bits: int) -> None:
    network = ipaddress.ip_network((packed, bits), strict=False)
    assert mask(packed, bits) == network.network_address.packed


@pytest.mark.parametrize(
    "address, inner",
    [(b"::ffff:1.2.3.4", b"1.2.3.4"), (b"::1.2.3.4", b"1.2.3.4"), (b"2002:102:304::9", b"1.2.3.4"), (b"2001:db8::1", None)],
)
def test_ipv4_is_found_inside_ipv6(address: bytes, inner: bytes | None) -> None:
    packed = parse_ipv6(address)
    assert packed is not None
    assert embedded_ipv4(packed) == (None if inner is None else parse_ipv4(inner))


def test_ipv4_becomes_mapped_ipv6() -> None:
    assert to_ipv6(b"\1\2\3\4") == parse_ipv6(b"::ffff:1.2.3.4")
    assert to_ipv6(b"\0" * 16) == b"\0" * 16
