from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.first_bytes import HTTP2_PREFACE, LOOKED_AT_BYTES, Kind, first_bytes
from common.wire.proxy_protocol import encode_v2_inet


def openssl_hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    connection = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a.example")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


# (what was sent, what it is, how many bytes show it)
CASES: dict[str, tuple[bytes, Kind, int]] = {
    "tls": (openssl_hello(), Kind.TLS, 3),
    "tls alert": (b"\x15\x03\x03\0\2\2\x28", Kind.TLS_ALERT, 3),
    "tls record of another version": (b"\x16\x02\0", Kind.UNKNOWN, 2),
    "tls record of a minor version that is none": (b"\x16\x03\x09", Kind.UNKNOWN, 3),
    "sslv2 hello": (b"\x80\x2e\x01\x00\x02\0\x15", Kind.SSLV2, 5),
    "sslv2 hello of tls 1.0": (b"\x80\x2e\x01\x03\x01\0\x15", Kind.SSLV2, 5),
    "http": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", Kind.HTTP1, 5),
    "http, absolute": (b"POST http://a/ HTTP/1.0\r\n\r\n", Kind.HTTP1, 6),
    "http, options *": (b"OPTIONS * HTTP/1.1\r\n\r\n", Kind.HTTP1, 9),
    "http, propfind": (b"PROPFIND / HTTP/1.1\r\n\r\n", Kind.HTTP1, 10),
    "http, a method of one's own": (b"FROB /x HTTP/1.1\r\nHost: a\r\n\r\n", Kind.HTTP1, 18),
    "http behind an empty line": (b"\r\nGET / HTTP/1.1\r\n\r\n", Kind.HTTP1, 7),
    "http2": (HTTP2_PREFACE, Kind.HTTP2, 14),
    "proxy v1": (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Kind.PROXY_V1, 6),
    "proxy v2": (encode_v2_inet(b"abcd", 1, b"efgh", 2), Kind.PROXY_V2, 12),
    "ssh": (b"SSH-2.0-OpenSSH_9.2p1\r\n", Kind.SSH, 4),
    "smtp": (b"EHLO client.example\r\n", Kind.TEXT, 21),
    "text ended by LF": (b"hello\n", Kind.TEXT, 6),
    "text that is not English": ("привет\r\n".encode(), Kind.TEXT, 14),
    "text like a method": (b"GETTING on\r\n", Kind.TEXT, 12),
    "a method without a target": (b"GET \r\n", Kind.TEXT, 6),
    "text without end": (b"x" * 600, Kind.TEXT, LOOKED_AT_BYTES),
    "empty lines without end": (b"\r\n" * 400, Kind.TEXT, LOOKED_AT_BYTES),
    "almost proxy": (b"PROXX\n", Kind.TEXT, 6),
    "almost http2": (b"PRI * HTTP/3.0\r\n", Kind.HTTP1, 16),
    "rdp": (b"\x03\0\0\x13\x0e\xe0", Kind.UNKNOWN, 1),
    "zeroes": (bytes(20), Kind.UNKNOWN, 1),
    "high bytes, then a control byte": (b"\xff\xff\0", Kind.UNKNOWN, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_what_was_sent_is_told_as_soon_as_it_shows(name: str) -> None:
    data, kind, size = CASES[name]
    told = [first_bytes(data[:length]) for length in range(len(data) + 1)]
    assert told[-1] is kind
    assert next(length for length, one in enumerate(told) if one is not Kind.NEED_MORE) == size
    assert set(told[size:]) == {kind}
    assert first_bytes(bytearray(data)) is first_bytes(memoryview(data)) is kind


@given(st.binary(max_size=40) | st.text("GET POSTPROXYPRI\r\n* /HTTP1.", max_size=40).map(str.encode))
def test_no_bytes_make_it_raise_and_what_was_told_stays(data: bytes) -> None:
    told = [first_bytes(data[:length]) for length in range(len(data) + 1)]
    known = [kind for kind in told if kind is not Kind.NEED_MORE]
    # A line of text whose first line is not whole yet may still turn out to hold a control byte, and so on: only NEED_MORE changes.
    assert len(set(known)) <= 1
    assert told[len(told) - len(known) :] == known


@given(st.binary(min_size=LOOKED_AT_BYTES, max_size=LOOKED_AT_BYTES + 10))
def test_enough_is_enough(data: bytes) -> None:
    assert first_bytes(data) is not Kind.NEED_MORE
    assert first_bytes(data) is first_bytes(data + b"more")


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_name_for_a_message(kind: Kind) -> None:
    assert kind.value
    assert kind.value[0].islower()
