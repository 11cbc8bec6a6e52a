"""Which occurrence each fetch takes is what a running HAProxy 2.6 took."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.acl.fetches_headers import encode_length, parse_header_address
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, facts, request, response, sample, samples

FIELDS = (
    (b"Host", b"example.com"),
    (b"X-Forwarded-For", b"10.0.0.1, 10.0.0.2"),
    (b"Accept", b'text/html;q="a,b", */*'),
    (b"x-forwarded-for", b"2001:db8::1"),
    (b"N", b"12"),
    (b"Empty", b""),
)
EXCHANGE = facts(request=request(fields=FIELDS), response=response(fields=((b"Server", b"one"), (b"Vary", b"a,b"))))
XFF = "x-forwarded-for"


@pytest.mark.parametrize(
    "text, result",
    [
        ("req.hdr(Host)", b"example.com"),
        ("hdr(HOST)", b"example.com"),
        (f"req.hdr({XFF})", b"2001:db8::1"),
        (f"req.hdr({XFF},1)", b"10.0.0.1"),
        (f"req.hdr({XFF},2)", b"10.0.0.2"),
        (f"req.hdr({XFF},-2)", b"10.0.0.2"),
        (f"req.hdr({XFF},4)", None),
        (f"req.hdr({XFF},-4)", None),
        (f"req.fhdr({XFF},1)", b"10.0.0.1, 10.0.0.2"),
        (f"req.fhdr({XFF})", b"2001:db8::1"),
        ("req.hdr(accept,1)", b'text/html;q="a,b"'),
        ("req.hdr(accept)", b"*/*"),
        ("req.hdr(none)", None),
        ("req.hdr(empty)", b""),
        ("req.hdr_cnt(x-forwarded-for)", 3),
        ("req.fhdr_cnt(x-forwarded-for)", 2),
        ("hdr_cnt(none)", 0),
        ("req.fhdr_cnt", 6),
        (f"req.hdr_ip({XFF})", b"\x20\x01\x0d\xb8" + b"\0" * 11 + b"\1"),
        (f"hdr_ip({XFF},1)", b"\x0a\0\0\1"),
        ("hdr_ip(host)", None),
        ("req.hdr_val(n)", 12),
        ("hdr_val(host)", 0),
        ("hdr_val(none)", None),
        ("req.hdr_names", b"host,x-forwarded-for,accept,x-forwarded-for,n,empty"),
        ("req.hdr_names(|)", b"host|x-forwarded-for|accept|x-forwarded-for|n|empty"),
        ("req.hdrs,length", None),
    ],
)
def test_request_headers(text: str, result: object) -> None:
    if text == "req.hdrs,length":
        result = sum(len(name) + len(value) + 4 for name, value in FIELDS) + 2
    assert sample(text, EXCHANGE) == result


@pytest.mark.parametrize(
    "text, result",
    [
        ("res.hdr(server)", b"one"),
        ("shdr(vary)", b"b"),
        ("hdr(vary)", b"b"),
        ("res.fhdr(vary)", b"a,b"),
        ("shdr_cnt(vary)", 2),
        ("res.hdr_names", b"server,vary"),
        ("res.hdrs", b"server: one\r\nvary: a,b\r\n\r\n"),
        ("res.hdrs_bin", b"\x06server\x03one\x04vary\x03a,b\0\0"),
    ],
)
def test_response_headers(text: str, result: object) -> None:
    assert sample(text, EXCHANGE, Where.RESPONSE) == result


def test_short_names_take_the_direction_of_their_rule() -> None:
    assert sample("hdr(server)", EXCHANGE) is None
    assert sample("hdr(host)", EXCHANGE, Where.RESPONSE) is None


@pytest.mark.parametrize(
    "text, values",
    [
        (f"req.hdr({XFF})", [b"10.0.0.1", b"10.0.0.2", b"2001:db8::1"]),
        (f"req.fhdr({XFF})", [b"10.0.0.1, 10.0.0.2", b"2001:db8::1"]),
        (f"req.hdr({XFF},2)", [b"10.0.0.2"]),
        (f"req.hdr({XFF},9)", []),
        (f"hdr_ip({XFF},-3)", [b"\x0a\0\0\1"]),
        ("hdr_ip(host)", []),
        ("hdr_val(n)", [12]),
        ("hdr(none)", []),
    ],
)
def test_in_acls_every_value_is_tried(text: str, values: list[object]) -> None:
    assert samples(text, EXCHANGE) == values


def test_without_a_name_all_headers_count() -> None:
    assert samples("req.hdr", EXCHANGE)[0] == b"example.com"
    assert sample("req.hdr(,2)", EXCHANGE) == b"10.0.0.1"


@pytest.mark.parametrize(
    "text", ["req.hdr(a)", "req.hdr(a,1)", "req.fhdr(a)", "req.hdr_cnt(a)", "req.hdr_names", "req.hdrs", "req.hdrs_bin"]
)
def test_without_a_request_the_last_word_is_open(text: str) -> None:
    exchange = facts()
    sample(text, exchange, Where.REQUEST_CONTENT)
    assert exchange.undecided
    exchange.undecided = False
    samples(text, exchange, Where.REQUEST_CONTENT)
    assert exchange.undecided


def test_no_further_back_than_ten() -> None:
    compile_expression("req.hdr(a,-10)", environment())
    with pytest.raises(ExpressionError, match="last 10"):
        compile_expression("req.hdr(a,-11)", environment())


@pytest.mark.parametrize(
    "value, packed",
    [
        (b"10.0.0.1", b"\x0a\0\0\1"),
        (b"10.0.0.1:80", b"\x0a\0\0\1"),
        (b"10.0.0.1:", None),
        (b"10.0.0.1:99999", None),
        (b"10.0.0.1:x", None),
        (b"[::1]", b"\0" * 15 + b"\1"),
        (b"::1", b"\0" * 15 + b"\1"),
        (b"[::1", None),
        (b"unknown", None),
        (b"", None),
    ],
)
def test_addresses_in_headers(value: bytes, packed: bytes | None) -> None:
    assert parse_header_address(value) == packed


@given(st.binary(max_size=40))
def test_any_header_is_an_address_or_none(value: bytes) -> None:
    assert len(parse_header_address(value) or b"1234") in (4, 16)


@pytest.mark.parametrize(
    "number, coded", [(0, b"\0"), (239, b"\xef"), (240, b"\xf0\0"), (2287, b"\xff\x7f"), (2288, b"\xf0\x80\0"), (264431, b"\xff\xff\x7f")]
)
def test_lengths_as_spoe_writes_them(number: int, coded: bytes) -> None:
    assert encode_length(number) == coded
