"""The door to both versions: the corpus, arbitrary bytes, and the PyPI package `proxy-protocol` as a second opinion."""

from __future__ import annotations

import json
import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proxyprotocol.detect import ProxyProtocolDetect
from proxyprotocol.result import ProxyResult, ProxyResultIPv4, ProxyResultIPv6, ProxyResultLocal, ProxyResultUnix
from proxyprotocol.tlv import ProxyProtocolSSLTLV, ProxyProtocolTLV

from common.wire.first_bytes import Kind, first_bytes
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import SslClient, SslInfo, TlvType, decode, encode_ssl, encode_v1, encode_v2, wanted
from tests.common.wire.feeding import check_monotonic, first_outcome, outcome

CORPUS = Path(__file__).parents[2] / "corpus" / "proxy-protocol.jsonl"
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in map(json.loads, CORPUS.read_text().splitlines())}
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

# Where the corpus leaves the verdict open: what HAProxy does.
OPEN_VERDICTS = {
    "v1_tcp6_v4mapped": "[::ffff:198.51.100.7]:12345",
    "v2_local_with_bad_family": "local",  # HAProxy 2.6 accepts, 3.5 does not; the specification says that LOCAL's family is ignored
    "v2_unix_dgram": "reject",
    "v2_udp4": "reject",
    "v2_udp6": "reject",
    "v2_tlv_authority_crlf": "198.51.100.7:12345",
    "v2_tlv_type_00": "198.51.100.7:12345",
    "v2_tlv_duplicate_authority": "198.51.100.7:12345",
    "v2_ssl_short": "198.51.100.7:12345",
    "v2_many_tlvs": "198.51.100.7:12345",
}


def sent(case: dict[str, Any]) -> bytes:
    """Everything that the client of the case sends."""
    text = "".join(part * count for part, count in case["parts"]) if "parts" in case else case["raw"]
    return text.encode("latin-1") + (b"" if case.get("no_request") else REQUEST)


def source(header: ProxyHeader) -> str:
    if header.local:
        return "local"
    return f"[{header.source}]:{header.source_port}" if header.family is Family.INET6 else f"{header.source}:{header.source_port}"


def verdict(data: bytes, found: tuple[ProxyHeader, int] | str | None) -> str:
    """ "reject" or the client's address. What follows the header must be a request: nothing else does the listener serve, least
    of all a second header. A header that never becomes whole is refused by the deadline or the end of the connection."""
    if not isinstance(found, tuple):
        return "reject"
    header, size = found
    return source(header) if first_bytes(data[size:]) is Kind.HTTP1 else "reject"


@pytest.mark.parametrize("name", CASES)
def test_the_corpus_gets_its_verdicts(name: str) -> None:
    case = CASES[name]
    data = sent(case)
    expected = {"accept": case.get("source"), "reject": "reject", "either": OPEN_VERDICTS.get(name)}[case["expected"]]
    whole = outcome(decode, data)
    assert verdict(data, whole) == expected
    assert verdict(data, first_outcome(decode, data)[0]) == expected
    if isinstance(whole, tuple):
        if "authority" in case:
            assert whole[0].authority == case["authority"]
        if "unique_id" in case:
            assert whole[0].unique_id == case["unique_id"].encode()


def test_every_open_verdict_of_the_corpus_is_decided() -> None:
    assert {name for name, case in CASES.items() if case["expected"] == "either"} == set(OPEN_VERDICTS)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["expected"] == "accept"])
def test_nothing_behind_an_accepted_header_is_looked_at(name: str) -> None:
    data = sent(CASES[name])
    found, size = first_outcome(decode, data)
    assert isinstance(found, tuple)
    assert found[1] == size == len(data) - len(REQUEST)
    assert decode(data[:size] + b"\0" * 100) == found


def test_nothing_is_wanted_at_first_but_what_any_header_has() -> None:
    assert wanted(b"") == len(b"PROXY UNKNOWN\r\n")
    assert decode(b"") is None


@given(
    st.binary(max_size=40)
    | st.sampled_from([b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"]).flatmap(lambda begun: st.binary(max_size=40).map(begun.__add__))
)
def test_no_bytes_make_it_raise_anything_else_or_change_its_verdict(data: bytes) -> None:
    check_monotonic(decode, data)


# ---- the package `proxy-protocol` ----

ORACLE = ProxyProtocolDetect()
ports = st.integers(0, 65535)
v4 = st.integers(0, 2**32 - 1).map(IPv4Address)
v6 = st.integers(0, 2**128 - 1).map(IPv6Address)
ascii_paths = st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=108)
# The package packs TLVs as a mapping in the order of their types, each once.
tlv_maps = st.dictionaries(st.sampled_from([1, 2, 4, 5, 0x30, 0xE0, 0xF7]), st.binary(max_size=100), max_size=4)


def inet_result(source: tuple[IPv4Address, int], destination: tuple[IPv4Address, int], tlvs: dict[int, bytes]) -> ProxyResultIPv4:
    return ProxyResultIPv4(source, destination, protocol=socket.SOCK_STREAM, tlv=ProxyProtocolTLV(init=tlvs))


def inet6_result(source: tuple[IPv6Address, int], destination: tuple[IPv6Address, int], tlvs: dict[int, bytes]) -> ProxyResultIPv6:
    return ProxyResultIPv6(source, destination, protocol=socket.SOCK_STREAM, tlv=ProxyProtocolTLV(init=tlvs))


def unix_result(source: str, destination: str, tlvs: dict[int, bytes]) -> ProxyResultUnix:
    return ProxyResultUnix(source, destination, protocol=socket.SOCK_STREAM, tlv=ProxyProtocolTLV(init=tlvs))


results = (
    st.builds(inet_result, st.tuples(v4, ports), st.tuples(v4, ports), tlv_maps)
    | st.builds(inet6_result, st.tuples(v6, ports), st.tuples(v6, ports), tlv_maps)
    | st.builds(unix_result, ascii_paths, ascii_paths, tlv_maps)
    | st.builds(lambda tlvs: ProxyResultLocal(tlv=ProxyProtocolTLV(init=tlvs)), tlv_maps)
)


def agrees(header: ProxyHeader, result: ProxyResult) -> bool:
    """The same client, the same TLVs but for a checksum."""
    ours, theirs = dict(header.tlvs), dict(result.tlv)
    ours.pop(TlvType.CRC32C, None)
    theirs.pop(TlvType.CRC32C, None)
    if ours != theirs:
        return False
    if isinstance(result, ProxyResultUnix):
        return (header.family, header.source, header.destination) == (Family.UNIX, result.source, result.dest)
    if isinstance(result, ProxyResultIPv4 | ProxyResultIPv6):
        return (header.source_packed, header.source_port, header.destination_packed, header.destination_port) == (
            result.source[0].packed,
            result.source[1],
            result.dest[0].packed,
            result.dest[1],
        )
    return header.local


@given(results)
def test_what_the_package_writes_reads_the_same_here(result: ProxyResult) -> None:
    version_2 = ORACLE.versions[0].pack(result)
    decoded = decode(version_2)
    assert decoded is not None
    assert decoded[1] == len(version_2)
    assert agrees(decoded[0], result)
    assert encode_v2(decoded[0]) == version_2
    if isinstance(result, ProxyResultIPv4 | ProxyResultIPv6):
        version_1 = ORACLE.versions[1].pack(result)
        line = decode(version_1)
        assert line is not None
        assert (line[0].source_packed, line[0].source_port) == (result.source[0].packed, result.source[1])


@given(results, st.booleans())
def test_what_is_written_here_reads_the_same_in_the_package(result: ProxyResult, checksum: bool) -> None:
    decoded = decode(ORACLE.versions[0].pack(result))
    assert decoded is not None
    header = decoded[0]
    theirs = ORACLE.unpack(encode_v2(header, crc32c=checksum))
    assert (TlvType.CRC32C in theirs.tlv) is checksum
    assert agrees(header, theirs)
    if header.family in (Family.INET, Family.INET6):
        line = ORACLE.unpack(encode_v1(header))
        assert (line.source, line.dest) == (result.source, result.dest)


def test_ssl_information_reads_the_same_in_the_package() -> None:
    ours = SslInfo(SslClient.SSL | SslClient.CERT_CONN, 0, "TLSv1.3", "client.example", "TLS_AES_128_GCM_SHA256", "SHA256", "RSA2048")
    theirs = ProxyProtocolSSLTLV(encode_ssl(ours))
    assert (theirs.client, theirs.verify, theirs.verified) == (3, 0, True)
    assert (theirs.version, theirs.cn, theirs.cipher, theirs.sig_alg, theirs.key_alg) == (
        ours.version,
        ours.cn,
        ours.cipher,
        ours.sig_alg,
        ours.key_alg,
    )


BLOCK4 = bytes([198, 51, 100, 7, 203, 0, 113, 9, 0x30, 0x39, 1, 0xBB])
V2 = b"\r\n\r\n\0\r\nQUIT\n"

# What the package accepts and we do not: it leans on int() and IPv6Address, checks no line length, cuts TLVs short, and
# verifies checksums only where a package of their own is installed.
ONLY_THE_PACKAGE_ACCEPTS = {
    "a port with an underscore": b"PROXY TCP4 1.2.3.4 5.6.7.8 1_0 2\r\n",
    "a port with leading zeroes": b"PROXY TCP4 1.2.3.4 5.6.7.8 080 2\r\n",
    "a port with a sign": b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
    "an address with a zone": b"PROXY TCP6 fe80::1%lo ::1 1 2\r\n",
    "a line of 200 bytes": b"PROXY UNKNOWN " + b"x" * 184 + b"\r\n",
    "a tlv past the end": V2 + b"\x21\x11\0\x14" + BLOCK4 + b"\2\0\x0a12345",
    "half a tlv head": V2 + b"\x21\x11\0\x0e" + BLOCK4 + b"\2\0",
    "family 4": V2 + b"\x21\x41\0\x0c" + BLOCK4,
    "a datagram": V2 + b"\x21\x12\0\x0c" + BLOCK4,
}

# And the other way round.
ONLY_WE_ACCEPT = {
    "bytes outside ASCII in a path": V2 + b"\x21\x31\0\xd8" + b"/\xff".ljust(108, b"\0") + bytes(108),
}


@pytest.mark.parametrize("name", ONLY_THE_PACKAGE_ACCEPTS)
def test_divergence_where_the_package_is_lenient(name: str) -> None:
    data = ONLY_THE_PACKAGE_ACCEPTS[name]
    ORACLE.unpack(data)
    assert isinstance(outcome(decode, data), str)


@pytest.mark.parametrize("name", ONLY_WE_ACCEPT)
def test_divergence_where_the_package_is_strict(name: str) -> None:
    with pytest.raises(ValueError, match="codec"):
        ORACLE.unpack(ONLY_WE_ACCEPT[name])
    assert isinstance(outcome(decode, ONLY_WE_ACCEPT[name]), tuple)
