"""What each fetch finds on these targets is what a running HAProxy 2.6 found."""

from __future__ import annotations

import pytest

from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.acl.fetches_request import split_authority
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeExchange, environment, facts, proxy, request, sample, samples

HOST = ((b"Host", b"Www.Example.com:8080"),)


def asked(target: bytes) -> FakeExchange:
    return facts(request=request(target, HOST), is_first_request=True).with_session(src=b"\x0a\0\0\1")


@pytest.mark.parametrize(
    "target, path, pathq, query",
    [
        (b"/", b"/", b"/", None),
        (b"/a/b?x=1?y", b"/a/b", b"/a/b?x=1?y", b"x=1?y"),
        (b"/a?", b"/a", b"/a?", b""),
        (b"http://u.com:80/a?b", b"/a", b"/a?b", b"b"),
        (b"http://u.com", None, None, None),
        (b"*", None, None, None),
        (b"u.com:443", None, None, None),
        (b"//double", b"//double", b"//double", None),
    ],
)
def test_parts_of_targets(target: bytes, path: bytes | None, pathq: bytes | None, query: bytes | None) -> None:
    exchange = asked(target)
    assert sample("path", exchange) == path
    assert sample("pathq", exchange) == pathq
    assert sample("query", exchange) == query
    assert sample("url", exchange) == target


@pytest.mark.parametrize(
    "text, target, result",
    [
        ("method", b"/", b"GET"),
        ("req.ver", b"/", b"1.1"),
        ("req_ver", b"/", b"1.1"),
        ("url_ip", b"http://192.0.2.1:81/x", b"\xc0\0\2\1"),
        ("url_ip", b"http://[::1]:81/x", b"\0" * 15 + b"\1"),
        ("url_ip", b"http://name/x", None),
        ("url_ip", b"/x", None),
        ("url_port", b"http://192.0.2.1:81/x", 81),
        ("url_port", b"http://192.0.2.1/x", 80),
        ("url_port", b"http://[::1]:82", 82),
        ("url_port", b"/x", None),
        ("base", b"/a?b", b"Www.Example.com:8080/a"),
        ("baseq", b"/a?b", b"Www.Example.com:8080/a?b"),
        ("base", b"*", b"Www.Example.com:8080"),
        ("http_first_req", b"/", True),
        ("urlp(a)", b"/?b=1&a=2&a=3", b"2"),
        ("urlp(a)", b"/?a", None),
        ("urlp(A)", b"/?a=1", None),
        ("urlp(A,,i)", b"/?a=1", b"1"),
        ("urlp(a)", b"/?a=%41+b", b"%41+b"),
        ("urlp(s,;)", b"/p;s=7;a=1", b"7"),
        ("urlp(s,;)", b"/p?a=1;s=8", b"8"),
        ("urlp", b"/?first=1&a=2", b"1"),
        ("urlp(a)", b"/", None),
        ("url_param(a)", b"/?a=x", b"x"),
        ("urlp_val(a)", b"/?a=12", 12),
        ("urlp_val(a)", b"/", None),
    ],
)
def test_fetches(text: str, target: bytes, result: object) -> None:
    assert sample(text, asked(target)) == result


def test_hashes_of_targets() -> None:
    exchange = asked(b"/a?b")
    base32, url32 = sample("base32", exchange), sample("url32", exchange)
    assert base32 == sample("base,sdbm(1)", exchange)
    assert url32 == sample("url,concat(),sdbm(1)", facts(request=request(b"Www.Example.com:8080/a?b")))
    assert sample("base32+src", exchange) == base32.to_bytes(4, "big") + b"\x0a\0\0\1"
    assert sample("url32+src", exchange) == url32.to_bytes(4, "big") + b"\x0a\0\0\1"


def test_in_acls_all_parameters_of_a_name_are_tried() -> None:
    exchange = asked(b"/?a=1&b=2&a=x")
    assert samples("urlp(a)", exchange) == [b"1", b"x"]
    assert samples("urlp_val(b)", exchange) == [2]
    assert samples("urlp", exchange) == [b"1", b"2", b"x"]


@pytest.mark.parametrize(
    "text",
    [
        "method",
        "path",
        "pathq",
        "query",
        "url",
        "url_ip",
        "url_port",
        "req.ver",
        "base",
        "baseq",
        "base32",
        "base32+src",
        "url32",
        "url32+src",
        "urlp(a)",
        "urlp_val(a)",
    ],
)
def test_without_a_request_the_last_word_is_open(text: str) -> None:
    exchange = facts()
    assert sample(text, exchange, Where.REQUEST_CONTENT) is None
    assert exchange.undecided


def test_authorities() -> None:
    assert [split_authority(text) for text in (b"h:1", b"h", b"[::1]:2", b"[::1]", b"[::1]x")] == [
        (b"h", b"1"),
        (b"h", b""),
        (b"::1", b"2"),
        (b"::1", b""),
        (b"::1", b""),
    ]


@pytest.mark.parametrize("where", [Where.CONNECTION, Where.SESSION, Where.RESPONSE, Where.LOG])
def test_the_request_is_asked_only_while_it_is_there(where: Where) -> None:
    with pytest.raises(ExpressionError, match="the request's head"):
        compile_expression("path", environment(where))
    if where in (Where.RESPONSE, Where.LOG):
        assert sample("method", asked(b"/"), where) == b"GET"


def test_a_request_fetch_in_mode_tcp_compiles() -> None:
    compile_expression("path", environment(Where.REQUEST_CONTENT, proxy=proxy(mode="tcp")))


def test_an_unknown_modifier_is_refused() -> None:
    with pytest.raises(ExpressionError, match="modifier"):
        compile_expression("urlp(a,,x)", environment())
