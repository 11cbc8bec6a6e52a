from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from common.wire.proxy_header import Family, ProxyHeader, tcp4_header
from common.wire.tlv import SslClient, SslInfo, TlvType, encode_ssl

HEADER = ProxyHeader(2, False, Family.INET, "198.51.100.7", 12345, "203.0.113.9", 443)


def with_tlvs(*tlvs: tuple[int, bytes]) -> ProxyHeader:
    return ProxyHeader(2, False, Family.INET, "198.51.100.7", 12345, "203.0.113.9", 443, tlvs)


def test_the_short_way_makes_an_equal_header() -> None:
    header = tcp4_header("198.51.100.7", 12345, "203.0.113.9", 443)
    assert header == HEADER
    assert hash(header) == hash(HEADER)
    assert repr(header) == repr(HEADER)
    with pytest.raises(FrozenInstanceError):
        header.source = "6.6.6.6"  # type: ignore[misc]


def test_packed_addresses() -> None:
    assert (HEADER.source_packed, HEADER.destination_packed) == (bytes([198, 51, 100, 7]), bytes([203, 0, 113, 9]))
    v6 = ProxyHeader(2, False, Family.INET6, "::1", 1, "::ffff:1.2.3.4", 2)
    assert (v6.source_packed, v6.destination_packed) == (bytes(15) + b"\1", bytes(10) + b"\xff\xff\1\2\3\4")
    assert ProxyHeader(2, False, Family.UNIX, "/tmp/a", 0, "/tmp/b", 0).source_packed == b""
    assert ProxyHeader(2, True, Family.UNSPEC).source_packed == b""


def test_a_header_without_tlvs_says_nothing_of_them() -> None:
    assert (HEADER.authority, HEADER.alpn, HEADER.unique_id, HEADER.netns, HEADER.ssl, HEADER.tlv(0xE0)) == (None,) * 6


def test_the_named_tlvs() -> None:
    ssl = SslInfo(SslClient.SSL | SslClient.CERT_CONN, 0, version="TLSv1.3", cn="client.example")
    header = with_tlvs((1, b"h2"), (2, b"a.example"), (5, b"\0\xff"), (0x30, b"blue"), (0x20, encode_ssl(ssl)), (0xE0, b"app"))
    assert header.alpn == b"h2"
    assert header.authority == "a.example"
    assert header.unique_id == b"\0\xff"
    assert header.netns == "blue"
    assert header.ssl == ssl
    assert header.tlv(0xE0) == b"app"


def test_of_two_tlvs_of_a_type_the_last_counts() -> None:
    assert with_tlvs((2, b"a.example"), (2, b"b.example")).authority == "b.example"


def test_an_authority_with_control_bytes_is_none_but_its_bytes_can_be_had() -> None:
    header = with_tlvs((TlvType.AUTHORITY, b"a\r\nX-Evil: 1"))
    assert header.authority is None
    assert header.tlv(TlvType.AUTHORITY) == b"a\r\nX-Evil: 1"


def test_malformed_ssl_information_is_none() -> None:
    assert with_tlvs((TlvType.SSL, b"\1\0\0")).ssl is None
