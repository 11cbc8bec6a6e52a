from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from common.wire.address_text import inet6_text, inet_text
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import decode, wanted
from common.wire.proxy_v1 import decode_v1, encode_v1
from tests.common.wire.feeding import check_monotonic, first_outcome, outcome

LOCAL = ProxyHeader(1, True, Family.UNSPEC)
LONGEST_V6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"

ACCEPTED: dict[bytes, ProxyHeader] = {
    b"PROXY TCP4 198.51.100.7 203.0.113.9 12345 443\r\n": ProxyHeader(1, False, Family.INET, "198.51.100.7", 12345, "203.0.113.9", 443),
    b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n": ProxyHeader(1, False, Family.INET, "0.0.0.0", 0, "255.255.255.255", 65535),
    b"PROXY TCP6 2001:db8::7 2001:db8::9 1 2\r\n": ProxyHeader(1, False, Family.INET6, "2001:db8::7", 1, "2001:db8::9", 2),
    b"PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0007 :: 1 2\r\n": ProxyHeader(1, False, Family.INET6, "2001:db8::7", 1, "::", 2),
    b"PROXY TCP6 ::ffff:198.51.100.7 ::1.2.3.4 1 2\r\n": ProxyHeader(1, False, Family.INET6, "::ffff:198.51.100.7", 1, "::1.2.3.4", 2),
    f"PROXY TCP6 {LONGEST_V6} {LONGEST_V6} 65535 65535\r\n".encode(): ProxyHeader(
        1, False, Family.INET6, LONGEST_V6, 65535, LONGEST_V6, 65535
    ),
    b"PROXY UNKNOWN\r\n": LOCAL,
    b"PROXY UNKNOWN \r\n": LOCAL,
    b"PROXY UNKNOWN \x01\x02\xff garbage\r\n": LOCAL,
    b"PROXY UNKNOWN a\rb\nc\r\n": LOCAL,  # a lone CR or LF ends nothing
    b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n": LOCAL,  # 107 bytes
    f"PROXY UNKNOWN {LONGEST_V6} {LONGEST_V6} 65535 65535\r\n".encode(): LOCAL,
}

REFUSED: dict[bytes, str] = {
    # the word
    b"PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_bad_signature",
    b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_bad_signature",
    b" PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_bad_signature",
    b"PROXY\r\n": "proxy_bad_signature",
    b"PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_bad_signature",
    # the family
    b"PROXY \r\n": "proxy_v1_bad_family",
    b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_v1_bad_family",
    b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_v1_bad_family",
    b"PROXY TCP 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_v1_bad_family",
    b"PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_v1_bad_family",
    b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_v1_bad_family",
    b"PROXY UNKNOWNX\r\n": "proxy_v1_bad_family",
    b"PROXY UNKNOWN\n": "proxy_v1_bad_family",
    b"PROXY UNKNOWN\rX\r\n": "proxy_v1_bad_family",
    # the form of the line
    b"PROXY TCP4\r\n": "proxy_v1_bad_line",
    b"PROXY TCP4 \r\n": "proxy_v1_bad_line",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n": "proxy_v1_bad_line",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n": "proxy_v1_bad_line",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n": "proxy_v1_bad_line",
    b"PROXY TCP4 1.2.3.4  5.6.7.8 1 2\r\n": "proxy_v1_bad_line",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n": "proxy_v1_bad_line",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rG": "proxy_v1_bad_line",
    # addresses
    b"PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP4 1.2.3.4 5.6.7 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP4 16909060 5.6.7.8 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP4 localhost 5.6.7.8 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP4 1.2.3.4\0 5.6.7.8 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP6 ::1 fe80::1%lo 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP6 ::00001 ::1 1 2\r\n": "proxy_v1_bad_address",
    b"PROXY TCP6 ::ffff:1.2.3.04 ::1 1 2\r\n": "proxy_v1_bad_address",
    # ports
    b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n": "proxy_v1_bad_port",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 999999\r\n": "proxy_v1_bad_port",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 080 2\r\n": "proxy_v1_bad_port",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 00 2\r\n": "proxy_v1_bad_port",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1_0 2\r\n": "proxy_v1_bad_port",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n": "proxy_v1_bad_port",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n": "proxy_v1_bad_port",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 0x50 2\r\n": "proxy_v1_bad_port",
    b"PROXY TCP4 1.2.3.4 5.6.7.8 \xb2 2\r\n": "proxy_v1_bad_port",
    # length
    b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n": "proxy_v1_too_long",  # 108 bytes
    b"PROXY UNKNOWN " + b"x" * 93: "proxy_v1_too_long",
}


@pytest.mark.parametrize("line", ACCEPTED)
def test_lines_that_are_accepted(line: bytes) -> None:
    expected = (ACCEPTED[line], len(line))
    assert decode(line) == expected
    assert first_outcome(decode, line) == (expected, len(line))
    assert decode(line + b"PROXY TCP4 6.6.6.6 6.6.6.6 6 6\r\n") == expected
    assert decode(bytearray(line)) == decode(memoryview(line)) == expected


@pytest.mark.parametrize("line", REFUSED)
def test_lines_that_are_refused(line: bytes) -> None:
    assert outcome(decode, line) == REFUSED[line]
    assert outcome(decode, line + b"GET / HTTP/1.1\r\n\r\n") == REFUSED[line]
    early, size = first_outcome(decode, line)
    assert isinstance(early, str)
    assert size <= len(line)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"G", 1),
        (b"PX", 2),
        (b"PROXY  ", 7),
        (b"PROXY TCP5", 10),
        (b"PROXY TCP4 x", 12),
        (b"PROXY TCP4 1.2.3.4  ", 20),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 x", 28),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ", 31),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", 31),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rG", 32),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 123456", 33),
        (b"PROXY TCP4 " + b"1" * 16, 27),
        (b"PROXY TCP6 " + b"1" * 46, 57),
        (b"PROXY TCP6 g", 12),
    ],
)
def test_a_line_is_refused_at_the_byte_that_breaks_it(data: bytes, size: int) -> None:
    found, taken = first_outcome(decode, data)
    assert isinstance(found, str)
    assert taken == size == len(data)


def test_a_line_without_end_is_refused_at_107_bytes() -> None:
    endless = b"PROXY UNKNOWN " + b"x" * 1000
    assert first_outcome(decode, endless) == ("proxy_v1_too_long", 107)
    assert first_outcome(decode, b"PROXY TCP4 " + b"1" * 100000)[1] == 27


ports = st.integers(0, 65535)
v4 = st.binary(min_size=4, max_size=4).map(inet_text)
v6 = st.binary(min_size=16, max_size=16).map(inet6_text)
headers = (
    st.builds(ProxyHeader, st.just(1), st.just(False), st.just(Family.INET), v4, ports, v4, ports)
    | st.builds(ProxyHeader, st.just(1), st.just(False), st.just(Family.INET6), v6, ports, v6, ports)
    | st.just(LOCAL)
)


@given(headers)
def test_encode_and_decode_reverse_each_other(header: ProxyHeader) -> None:
    line = encode_v1(header)
    assert len(line) <= 107
    assert first_outcome(decode, line) == ((header, len(line)), len(line))


@given(headers)
def test_a_reader_that_reads_what_is_wanted_never_reads_past_the_end(header: ProxyHeader) -> None:
    line = encode_v1(header)
    for size in range(len(line)):
        assert 1 <= wanted(line[:size]) <= len(line) - size
    assert wanted(line) == wanted(line + b"x") == 0


@given(st.sampled_from(list(ACCEPTED)))
def test_reading_what_is_wanted_reaches_the_end_in_few_reads(line: bytes) -> None:
    size = reads = 0
    while more := wanted(line[:size]):
        size += more
        reads += 1
        assert size <= len(line)
    assert size == len(line)
    assert reads <= 50


@pytest.mark.parametrize(
    "header",
    [
        ProxyHeader(2, False, Family.UNIX, "/tmp/a", 0, "/tmp/b", 0),
        ProxyHeader(2, False, Family.UNSPEC),
        ProxyHeader(2, False, Family.INET, "1.2.3.4", 1, "5.6.7.8", 2, datagram=True),
    ],
)
def test_what_version_1_cannot_say_is_unknown(header: ProxyHeader) -> None:
    assert encode_v1(header) == b"PROXY UNKNOWN\r\n"


def test_addresses_are_written_in_their_shortest_spelling() -> None:
    long = "0000:0000:0000:0000:0000:ffff:255.255.255.255"
    line = encode_v1(ProxyHeader(2, False, Family.INET6, long, 65535, long, 65535))
    assert line == b"PROXY TCP6 ::ffff:255.255.255.255 ::ffff:255.255.255.255 65535 65535\r\n"


@pytest.mark.parametrize(
    "header",
    [
        ProxyHeader(1, False, Family.INET, "1.2.3.256", 1, "5.6.7.8", 2),
        ProxyHeader(1, False, Family.INET, "1.2.3.4", 1, "::1", 2),
        ProxyHeader(1, False, Family.INET6, "1.2.3.4", 1, "::1", 2),
        ProxyHeader(1, False, Family.INET, "1.2.3.4", 65536, "5.6.7.8", 2),
        ProxyHeader(1, False, Family.INET, "1.2.3.4", 1, "5.6.7.8", -1),
    ],
)
def test_a_header_that_is_none_is_not_encoded(header: ProxyHeader) -> None:
    with pytest.raises(ValueError, match="not "):
        encode_v1(header)


def line_like() -> st.SearchStrategy[bytes]:
    """Lines, near-lines and their pieces."""
    field = st.sampled_from([b"TCP4", b"TCP6", b"UNKNOWN", b"1.2.3.4", b"::1", b"fe80::", b"0", b"443", b"65536", b"", b"\r", b"\n", b"x"])
    line = st.lists(field, max_size=7).map(lambda fields: b"PROXY " + b" ".join(fields) + b"\r\n")
    return line | st.binary(max_size=120).map(lambda tail: b"PROXY " + tail) | st.sampled_from(list(ACCEPTED))


@given(line_like(), st.binary(max_size=30))
def test_no_bytes_make_it_raise_anything_else_or_change_its_verdict(line: bytes, tail: bytes) -> None:
    check_monotonic(decode, line + tail)


def test_versions_not_accepted_are_refused_at_once() -> None:
    def version_2_only(data: bytes) -> object:
        return decode(data, versions=frozenset({2}))

    assert first_outcome(version_2_only, b"PROXY UNKNOWN\r\n") == ("proxy_bad_signature", 1)
    with pytest.raises(WireError):
        decode(b"", versions=frozenset())
    assert decode_v1(b"PROXY UNKNOWN\r\n") == (LOCAL, 15)
