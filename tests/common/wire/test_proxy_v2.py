from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.address_text import inet6_text, inet_packed, inet_text
from common.wire.crc32c import crc32c
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import decode, wanted
from common.wire.proxy_v2 import V2_SIGNATURE, encode_v2, encode_v2_inet, encode_v2_inet6
from common.wire.tlv import Tlvs, TlvType, join_tlvs
from tests.common.wire.feeding import check_monotonic, first_outcome, outcome

SOURCE4, DESTINATION4 = bytes([198, 51, 100, 7]), bytes([203, 0, 113, 9])
SOURCE6, DESTINATION6 = bytes.fromhex("20010db8000000000000000000000007"), bytes.fromhex("20010db8000000000000000000000009")
PORTS = struct.pack("!HH", 12345, 443)
BLOCK4 = SOURCE4 + DESTINATION4 + PORTS
BLOCK6 = SOURCE6 + DESTINATION6 + PORTS
BLOCK_UNIX = b"/tmp/src.sock".ljust(108, b"\0") + b"\0dst".ljust(108, b"\0")


def raw(command: int, family: int, body: bytes = b"") -> bytes:
    return V2_SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def with_checksum(command: int, family: int, addresses: bytes, before: bytes = b"", behind: bytes = b"") -> bytes:
    zeroed = raw(command, family, addresses + before + b"\3\0\4" + bytes(4) + behind)
    at = len(zeroed) - len(behind) - 4
    return zeroed[:at] + crc32c(zeroed).to_bytes(4, "big") + zeroed[at + 4 :]


def inet(*tlvs: tuple[int, bytes], datagram: bool = False) -> ProxyHeader:
    return ProxyHeader(2, False, Family.INET, "198.51.100.7", 12345, "203.0.113.9", 443, tlvs, datagram)


def inet6(*tlvs: tuple[int, bytes], datagram: bool = False) -> ProxyHeader:
    return ProxyHeader(2, False, Family.INET6, "2001:db8::7", 12345, "2001:db8::9", 443, tlvs, datagram)


def unix(*tlvs: tuple[int, bytes], datagram: bool = False) -> ProxyHeader:
    return ProxyHeader(2, False, Family.UNIX, "/tmp/src.sock", 0, "\0dst", 0, tlvs, datagram)


def local(*tlvs: tuple[int, bytes]) -> ProxyHeader:
    return ProxyHeader(2, True, Family.UNSPEC, tlvs=tlvs)


SUM4 = with_checksum(0x21, 0x11, BLOCK4)[-4:]

ACCEPTED: dict[str, tuple[bytes, ProxyHeader]] = {
    "tcp over ipv4": (raw(0x21, 0x11, BLOCK4), inet()),
    "tcp over ipv6": (raw(0x21, 0x21, BLOCK6), inet6()),
    "unix stream": (raw(0x21, 0x31, BLOCK_UNIX), unix()),
    "all zero": (raw(0x21, 0x11, bytes(12)), ProxyHeader(2, False, Family.INET, "0.0.0.0", 0, "0.0.0.0", 0)),
    "a path of 108 bytes": (
        raw(0x21, 0x31, b"/" * 108 + b"\0" * 108),
        ProxyHeader(2, False, Family.UNIX, "/" * 108, 0, "", 0),
    ),
    "bytes behind a path's NUL": (
        raw(0x21, 0x31, b"/a\0junk".ljust(108, b"\0") + b"\xff".ljust(108, b"\0")),
        ProxyHeader(2, False, Family.UNIX, "/a", 0, "\udcff", 0),
    ),
    "tlvs in order, registered or not": (
        raw(0x21, 0x11, BLOCK4 + b"\xe0\0\3app\0\0\1x\2\0\1a\4\0\0\xff\0\0\2\0\1b"),
        inet((0xE0, b"app"), (0, b"x"), (2, b"a"), (4, b""), (0xFF, b""), (2, b"b")),
    ),
    "tlvs behind ipv6": (raw(0x21, 0x21, BLOCK6 + b"\1\0\2h2"), inet6((1, b"h2"))),
    "tlvs behind unix": (raw(0x21, 0x31, BLOCK_UNIX + b"\1\0\2h2"), unix((1, b"h2"))),
    "checksum": (with_checksum(0x21, 0x11, BLOCK4), inet((3, SUM4))),
    "a unique id of 128 bytes": (raw(0x21, 0x11, BLOCK4 + b"\5\0\x80" + b"u" * 128), inet((5, b"u" * 128))),
    "an authority of 255 bytes": (raw(0x21, 0x11, BLOCK4 + b"\2\0\xff" + b"a" * 255), inet((2, b"a" * 255))),
    "2000 empty tlvs": (raw(0x21, 0x11, BLOCK4 + b"\4\0\0" * 2000), inet(*[(4, b"")] * 2000)),
    "16384 bytes": (raw(0x21, 0x11, BLOCK4 + b"\4\x3f\xe1" + bytes(16353)), inet((4, bytes(16353)))),
    # without a client
    "local": (raw(0x20, 0x00), local()),
    "local with a tlv": (raw(0x20, 0x00, b"\4\0\2xx"), local((4, b"xx"))),
    "local with addresses": (raw(0x20, 0x11, BLOCK4), local()),
    "local with addresses and a tlv": (raw(0x20, 0x21, BLOCK6 + b"\4\0\2xx"), local((4, b"xx"))),
    "local with less than its family's addresses": (raw(0x20, 0x11, b"\4\0\2xx"), local()),
    "local with a family that is none": (raw(0x20, 0x99, b"12345"), local()),
    "local with half a tlv": (raw(0x20, 0x00, b"\2\0\xffab"), local()),
    "local of datagrams": (raw(0x20, 0x12, BLOCK4), local()),
    "unspecified": (raw(0x21, 0x00), local()),
    "unspecified with a tlv": (raw(0x21, 0x00, b"\2\0\1a"), local((2, b"a"))),
    "unspecified with bytes that are no tlvs": (raw(0x21, 0x00, b"\1\2\3\4\5"), local()),
    "ipv4, unspecified transport": (raw(0x21, 0x10, BLOCK4), local()),
    "unspecified family, stream": (raw(0x21, 0x01), local()),
}

REFUSED: dict[str, tuple[bytes, str]] = {
    "http": (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", "proxy_bad_signature"),
    "version 0": (raw(0x01, 0x11, BLOCK4), "proxy_v2_bad_version"),
    "version 1": (raw(0x11, 0x11, BLOCK4), "proxy_v2_bad_version"),
    "version 3": (raw(0x31, 0x11, BLOCK4), "proxy_v2_bad_version"),
    "command 2": (raw(0x22, 0x11, BLOCK4), "proxy_v2_bad_command"),
    "command 15": (raw(0x2F, 0x11, BLOCK4), "proxy_v2_bad_command"),
    "family 4": (raw(0x21, 0x41, BLOCK4), "proxy_v2_bad_family"),
    "family 15": (raw(0x21, 0xF1, BLOCK4), "proxy_v2_bad_family"),
    "transport 3": (raw(0x21, 0x13, BLOCK4), "proxy_v2_bad_family"),
    "udp over ipv4": (raw(0x21, 0x12, BLOCK4), "proxy_v2_datagram"),
    "udp over ipv6": (raw(0x21, 0x22, BLOCK6), "proxy_v2_datagram"),
    "unix datagram": (raw(0x21, 0x32, BLOCK_UNIX), "proxy_v2_datagram"),
    "ipv4 in 11 bytes": (raw(0x21, 0x11, BLOCK4[:11]), "proxy_v2_bad_length"),
    "ipv4 in none": (raw(0x21, 0x11), "proxy_v2_bad_length"),
    "ipv6 in 35 bytes": (raw(0x21, 0x21, BLOCK6[:35]), "proxy_v2_bad_length"),
    "unix in 215 bytes": (raw(0x21, 0x31, BLOCK_UNIX[:215]), "proxy_v2_bad_length"),
    "16385 bytes": (raw(0x21, 0x11, BLOCK4 + b"\4\x3f\xe2" + bytes(16354)), "proxy_v2_too_long"),
    "65551 bytes, local": (raw(0x20, 0x00, bytes(65535)), "proxy_v2_too_long"),
    "one byte of a tlv": (raw(0x21, 0x11, BLOCK4 + b"\2"), "proxy_v2_bad_tlv"),
    "two bytes of a tlv": (raw(0x21, 0x11, BLOCK4 + b"\2\0"), "proxy_v2_bad_tlv"),
    "a tlv past the end": (raw(0x21, 0x11, BLOCK4 + b"\2\0\1012345"), "proxy_v2_bad_tlv"),
    "checksum zero": (raw(0x21, 0x11, BLOCK4 + b"\3\0\4" + bytes(4)), "proxy_v2_bad_checksum"),
    "checksum of 3 bytes": (raw(0x21, 0x11, BLOCK4 + b"\3\0\3abc"), "proxy_v2_bad_checksum"),
    "checksum of 5 bytes": (raw(0x21, 0x11, BLOCK4 + b"\3\0\5abcde"), "proxy_v2_bad_checksum"),
    "two checksums, the first right": (with_checksum(0x21, 0x11, BLOCK4, behind=b"\3\0\4abcd"), "proxy_v2_bad_checksum"),
    "two checksums, the last right": (with_checksum(0x21, 0x11, BLOCK4, before=b"\3\0\4abcd"), "proxy_v2_bad_checksum"),
    "local with a wrong checksum": (raw(0x20, 0x00, b"\3\0\4" + bytes(4)), "proxy_v2_bad_checksum"),
    "a unique id of 129 bytes": (raw(0x21, 0x11, BLOCK4 + b"\5\0\x81" + b"u" * 129), "proxy_v2_bad_unique_id"),
    "an authority of 256 bytes": (raw(0x21, 0x11, BLOCK4 + b"\2\1\0" + b"a" * 256), "proxy_v2_bad_authority"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_headers_that_are_accepted(name: str) -> None:
    data, header = ACCEPTED[name]
    expected = (header, len(data))
    assert decode(data) == expected
    assert first_outcome(decode, data) == (expected, len(data))
    assert decode(data + data) == expected
    assert decode(data + b"\2\0\5tail!") == expected
    assert decode(bytearray(data)) == decode(memoryview(data)) == expected


@pytest.mark.parametrize("name", REFUSED)
def test_headers_that_are_refused(name: str) -> None:
    data, slug = REFUSED[name]
    assert outcome(decode, data) == slug
    assert outcome(decode, data + b"GET / HTTP/1.1\r\n\r\n") == slug
    assert first_outcome(decode, data)[0] == slug


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"\r\r", 2),
        (b"\r\n\r\nG", 5),
        (V2_SIGNATURE + b"\x11", 13),
        (V2_SIGNATURE + b"\x22", 13),
        (V2_SIGNATURE + b"\x21\x41", 14),
        (V2_SIGNATURE + b"\x21\x12", 14),
        (V2_SIGNATURE + b"\x21\x11\0\x0b", 16),
        (V2_SIGNATURE + b"\x21\x11\xff\xff", 16),
    ],
)
def test_a_header_is_refused_at_the_byte_that_breaks_it(data: bytes, size: int) -> None:
    found, taken = first_outcome(decode, data)
    assert isinstance(found, str)
    assert taken == size == len(data)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (raw(0x21, 0x12, BLOCK4), inet(datagram=True)),
        (raw(0x21, 0x22, BLOCK6), inet6(datagram=True)),
        (raw(0x21, 0x32, BLOCK_UNIX), unix(datagram=True)),
    ],
)
def test_datagrams_are_understood_where_they_are_asked_for(data: bytes, header: ProxyHeader) -> None:
    assert decode(data, datagrams=True) == (header, len(data))
    assert encode_v2(header) == data


def test_the_biggest_header_is_a_setting() -> None:
    data = raw(0x21, 0x11, BLOCK4)
    assert decode(data, header_bytes_max=28) == (inet(), 28)
    assert outcome(lambda data: decode(data, header_bytes_max=28), raw(0x21, 0x11, BLOCK4 + b"\4\0\0")) == "proxy_v2_too_long"
    biggest = raw(0x20, 0x00, b"\4\xff\xfc" + bytes(65532))
    assert decode(biggest, header_bytes_max=65551) == (local((4, bytes(65532))), 65551)


def test_version_2_is_refused_at_once_where_only_version_1_is_accepted() -> None:
    def version_1_only(data: bytes) -> object:
        return decode(data, versions=frozenset({1}))

    assert first_outcome(version_1_only, raw(0x21, 0x11, BLOCK4)) == ("proxy_bad_signature", 1)
    assert outcome(version_1_only, raw(0x21, 0x11, BLOCK4)) == "proxy_bad_signature"


def test_the_hot_encoders_write_what_the_general_one_writes() -> None:
    assert encode_v2_inet(SOURCE4, 12345, DESTINATION4, 443) == encode_v2(inet()) == raw(0x21, 0x11, BLOCK4)
    assert encode_v2_inet6(SOURCE6, 12345, DESTINATION6, 443) == encode_v2(inet6()) == raw(0x21, 0x21, BLOCK6)


ports = st.integers(0, 65535)
v4 = st.binary(min_size=4, max_size=4).map(inet_text)
v6 = st.binary(min_size=16, max_size=16).map(inet6_text)
paths = (
    st.just("")
    | st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=26)
    | st.text("ab\0é", max_size=20).map(lambda name: "\0" + name + "x")
)
tlv_kinds = st.integers(0, 255).filter(lambda kind: kind != TlvType.CRC32C)
tlvs = st.lists(st.tuples(tlv_kinds, st.binary(max_size=128)), max_size=5).map(tuple)
booleans = st.booleans()
headers = (
    st.builds(ProxyHeader, st.just(2), st.just(False), st.just(Family.INET), v4, ports, v4, ports, tlvs, booleans)
    | st.builds(ProxyHeader, st.just(2), st.just(False), st.just(Family.INET6), v6, ports, v6, ports, tlvs, booleans)
    | st.builds(ProxyHeader, st.just(2), st.just(False), st.just(Family.UNIX), paths, st.just(0), paths, st.just(0), tlvs, booleans)
    | st.builds(ProxyHeader, st.just(2), st.just(True), st.just(Family.UNSPEC), tlvs=tlvs)
)


@given(headers, st.booleans(), st.binary(max_size=5))
def test_encode_and_decode_reverse_each_other(header: ProxyHeader, checksum: bool, tail: bytes) -> None:
    data = encode_v2(header, crc32c=checksum)
    decoded = decode(data + tail, datagrams=True)
    assert decoded is not None
    found, size = decoded
    assert size == len(data)
    kept = tuple(vector for vector in found.tlvs if vector[0] != TlvType.CRC32C)
    assert len(found.tlvs) - len(kept) == checksum
    assert ProxyHeader(2, found.local, found.family, found.source, found.source_port, found.destination, found.destination_port, kept,
                       found.datagram) == header  # fmt: skip


@given(headers)
def test_a_reader_that_reads_what_is_wanted_takes_two_reads_and_never_reads_past_the_end(header: ProxyHeader) -> None:
    data = encode_v2(header)
    for size in range(len(data)):
        assert 1 <= wanted(data[:size]) <= len(data) - size
    assert wanted(data) == wanted(data + b"x") == 0
    assert wanted(data[:1]) + 1 == 16
    assert wanted(data[:16]) + 16 == len(data)


def test_a_checksum_that_came_with_a_header_is_not_passed_on() -> None:
    data = with_checksum(0x21, 0x11, BLOCK4, before=b"\2\0\1a", behind=b"\1\0\2h2")
    decoded = decode(data)
    assert decoded is not None
    header = decoded[0]
    assert [kind for kind, _ in header.tlvs] == [2, 3, 1]
    assert encode_v2(header) == raw(0x21, 0x11, BLOCK4 + b"\2\0\1a\1\0\2h2")
    assert encode_v2(header, crc32c=True) == with_checksum(0x21, 0x11, BLOCK4, before=b"\2\0\1a\1\0\2h2")


def test_proxy_without_a_family_can_be_said() -> None:
    assert encode_v2(ProxyHeader(2, False, Family.UNSPEC)) == raw(0x21, 0x00)


def test_local_never_carries_addresses() -> None:
    assert encode_v2(ProxyHeader(2, True, Family.INET, "1.2.3.4", 1, "5.6.7.8", 2)) == raw(0x20, 0x00)


@pytest.mark.parametrize(
    "header",
    [
        ProxyHeader(2, False, Family.INET, "1.2.3.256", 1, "5.6.7.8", 2),
        ProxyHeader(2, False, Family.INET, "", 1, "5.6.7.8", 2),
        ProxyHeader(2, False, Family.INET6, "1.2.3.4", 1, "::1", 2),
        ProxyHeader(2, False, Family.INET, "1.2.3.4", 65536, "5.6.7.8", 2),
        ProxyHeader(2, False, Family.UNIX, "/" * 109, 0, "", 0),
        ProxyHeader(2, True, Family.UNSPEC, tlvs=((1, bytes(65536)),)),
        ProxyHeader(2, True, Family.UNSPEC, tlvs=((1, bytes(65000)), (1, bytes(65000)))),
    ],
)
def test_a_header_that_is_none_is_not_encoded(header: ProxyHeader) -> None:
    with pytest.raises(ValueError, match=r"not|no TLV|at most"):
        encode_v2(header)


any_tlvs: st.SearchStrategy[Tlvs] = st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=8)), max_size=4).map(tuple)
blocks = st.sampled_from([b"", BLOCK4, BLOCK6, BLOCK_UNIX]) | st.binary(max_size=40)
header_like = st.builds(
    lambda command, family, block, vectors, cut: raw(command, family, block + join_tlvs(vectors))[:cut],
    st.sampled_from([0x20, 0x21]) | st.integers(0, 255),
    st.sampled_from([0, 0x10, 0x11, 0x12, 0x21, 0x31]) | st.integers(0, 255),
    blocks,
    any_tlvs,
    st.none() | st.integers(0, 300),
)


@given(header_like, st.binary(max_size=10), st.booleans())
def test_no_bytes_make_it_raise_anything_else_or_change_its_verdict(header: bytes, tail: bytes, datagrams: bool) -> None:
    check_monotonic(lambda data: decode(data, datagrams=datagrams), header + tail)


@given(header_like, st.data())
def test_what_is_accepted_can_be_passed_on(data: bytes, draw: st.DataObject) -> None:
    found = outcome(decode, data)
    if isinstance(found, tuple):
        header, size = found
        assert size <= len(data)
        assert outcome(decode, encode_v2(header, crc32c=draw.draw(st.booleans()))) is not None
        if header.family is Family.INET:
            assert header.source_packed == inet_packed(header.source) == data[16:20]
