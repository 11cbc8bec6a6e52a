"""Fetches of bytes that may still be coming. What they see grows byte by byte; what they say must never be taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeExchange, environment, facts, request, sample, samples
from tests.common.wire.test_client_hello import ALPN, SNI, extension, hello, numbers, vector

HELLO = hello(
    SNI, extension(10, vector(2, numbers(29, 23))), extension(13, vector(2, numbers(0x0403))), ALPN, extension(35, b""),
    ciphers=numbers(0x1301, 0xC02B),
)  # fmt: skip
NO_NAME = hello(extension(35, b"t" * 10))
RDP_LINE = b"Cookie: mstshash=user1\r\n"
RDP = b"\3\0" + (11 + len(RDP_LINE)).to_bytes(2, "big") + bytes((6 + len(RDP_LINE), 0xE0)) + b"\0\0\0\0\0" + RDP_LINE
DISTCC = b"DIST00000002ARGC00000001ARGV00000003gccDOTI00000004CODE"


def received(data: bytes, *, final: bool = False) -> FakeExchange:
    return facts(request_buffer=data, inspection_final=final)


@pytest.mark.parametrize(
    "text, data, result",
    [
        ("req.len", b"abc", 3),
        ("req_len", b"", 0),
        ("req.payload(1,2)", b"abcd", b"bc"),
        ("req.payload(1,0)", b"abcd", b"bcd"),
        ("payload(0,3)", b"abcd", b"abc"),
        ("req.payload_lv(0,1)", b"\3abcdef", b"abc"),
        ("req.payload_lv(1,2)", b"x\0\2abc", b"ab"),
        ("req.payload_lv(0,1,+1)", b"\2xabc", b"ab"),
        ("req.payload_lv(0,1,-1)", b"\2abc", b"\2a"),
        ("req.payload_lv(0,1,3)", b"\2xxabc", b"ab"),
        ("payload_lv(0,1)", b"\0abc", None),
        ("req.ssl_hello_type", HELLO, 1),
        ("req_ssl_hello_type", HELLO, 1),
        ("req.ssl_sni", HELLO, b"a.Example"),
        ("req.ssl_sni", NO_NAME, None),
        ("req.ssl_alpn", HELLO, b"h2,http/1.1"),
        ("req.ssl_alpn", NO_NAME, None),
        ("req.ssl_ec_ext", HELLO, True),
        ("req.ssl_ec_ext", NO_NAME, False),
        ("req.ssl_st_ext", hello(SNI), 0),
        ("req.ssl_st_ext", HELLO, 1),
        ("req.ssl_st_ext", NO_NAME, 2),
        ("req.ssl_ver", HELLO, 0x30003),
        ("req.ssl_cipherlist", HELLO, numbers(0x1301, 0xC02B)),
        ("req.ssl_supported_groups", HELLO, numbers(29, 23)),
        ("req.ssl_sigalgs", HELLO, numbers(0x0403)),
        ("req.rdp_cookie(mstshash)", RDP, b"user1"),
        ("rdp_cookie", RDP, b"user1"),
        ("req.rdp_cookie(other)", RDP, None),
        ("req.rdp_cookie_cnt(MSTSHASH)", RDP, 1),
        ("rdp_cookie_cnt(other)", RDP, 0),
        ("distcc_param(ARGC)", DISTCC, 1),
        ("distcc_param(DIST)", DISTCC, 2),
        ("distcc_body(ARGV)", DISTCC, b"gcc"),
        ("distcc_body(DOTI)", DISTCC, b"CODE"),
        ("distcc_param(ARGV,2)", DISTCC, None),
    ],
)
def test_bytes_of_the_client(text: str, data: bytes, result: object) -> None:
    assert sample(text, received(data), Where.REQUEST_CONTENT) == result


@pytest.mark.parametrize(
    "text, data",
    [
        ("req.payload(2,3)", b"abcdefgh"),
        ("req.payload_lv(0,1)", b"\3abcdefgh"),
        ("req.ssl_sni", HELLO),
        ("req.ssl_hello_type", HELLO),
        ("req.ssl_alpn", HELLO),
        ("req.rdp_cookie(mstshash)", RDP),
        ("distcc_body(DOTI)", DISTCC),
    ],
)
def test_byte_by_byte_undecided_until_the_answer_and_the_same_after(text: str, data: bytes) -> None:
    get = compile_expression(text, environment(Where.REQUEST_CONTENT)).get
    final = get(received(data))
    assert final is not None
    answered = False
    for size in range(len(data) + 1):
        exchange = received(data[:size])
        found = get(exchange)
        assert found == final if answered else found in (None, final)
        answered = answered or found == final
        assert exchange.undecided is not answered
    assert get(received(data + b"trailing")) == final


@pytest.mark.parametrize("text", ["req.ssl_sni", "req.ssl_hello_type", "req.rdp_cookie"])
def test_what_will_never_be_it_is_decided(text: str) -> None:
    exchange = received(b"GET / HTTP/1.1\r\n")
    assert sample(text, exchange, Where.REQUEST_CONTENT) is None
    assert not exchange.undecided


def test_lengths_are_open_until_the_end() -> None:
    for text in ("req.len", "req.payload(0,0)"):
        open_end, closed = received(b"ab"), received(b"ab", final=True)
        assert sample(text, open_end, Where.REQUEST_CONTENT) and open_end.undecided
        assert sample(text, closed, Where.REQUEST_CONTENT) and not closed.undecided


def test_the_end_of_the_wait() -> None:
    waiting, over = received(b""), received(b"", final=True)
    assert sample("wait_end", waiting, Where.REQUEST_CONTENT) is None and waiting.undecided
    assert sample("wait_end", over, Where.REQUEST_CONTENT) is True and not over.undecided


def test_http_is_known_by_its_request() -> None:
    assert sample("req.proto_http", facts(request=request())) is True
    assert sample("req_proto_http", facts(request_line=b"<BADREQ>"), Where.LOG) is True
    exchange = received(b"GE")
    assert sample("req.proto_http", exchange, Where.REQUEST_CONTENT) is None and exchange.undecided


def test_in_acls_each_protocol_of_alpn_is_tried() -> None:
    assert samples("req.ssl_alpn", received(HELLO), Where.REQUEST_CONTENT) == [b"h2", b"http/1.1"]


SERVER_HELLO = b"\x16\3\3\0\x50\2\0\0\x4c\3\3"


@pytest.mark.parametrize(
    "data, found, undecided",
    [
        (SERVER_HELLO, 2, False),
        (SERVER_HELLO[:5], None, True),
        (b"", None, True),
        (b"HTTP", None, False),
        (b"\x15\3\3\0\2\2\x28\0\0", None, False),
    ],
)
def test_hellos_of_servers(data: bytes, found: int | None, undecided: bool) -> None:
    exchange = facts(response_buffer=data)
    assert sample("res.ssl_hello_type", exchange, Where.RESPONSE_CONTENT) == found
    assert exchange.undecided is undecided


def test_bytes_of_the_server() -> None:
    exchange = facts(response_buffer=b"220 ready\r\n")
    for text, result in (("res.len", 11), ("res.payload(0,3)", b"220"), ("payload(0,3)", b"220"), ("res.payload_lv(0,1)", None)):
        assert sample(text, exchange, Where.RESPONSE_CONTENT) == result


@pytest.mark.parametrize(
    "text",
    ["req.payload(-1,2)", "req.payload(0,-1)", "req.payload(0)", "req.payload_lv(0,9)", "req.payload_lv(0,0)", "req.payload_lv(0,1,-2)",
     "req.payload_lv(0,1,x)", "distcc_param"],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text, environment(Where.REQUEST_CONTENT))


@given(st.binary(max_size=200))
def test_no_bytes_break_a_fetch(data: bytes) -> None:
    for text in ("req.ssl_sni", "req.rdp_cookie(a)", "distcc_body(ARGV)", "req.payload_lv(1,2)"):
        sample(text, received(data), Where.REQUEST_CONTENT)
