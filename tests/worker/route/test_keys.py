"""The keys that algorithms hash."""

from __future__ import annotations

import hashlib

import pytest

from common.acl.environment import Where
from common.errors import ExpressionError
from tests.worker.route.fakes import FakeSubject, environment
from worker.route.keys import balance_key

KEYS = [
    (("source",), b"\x7f\0\0\1"),
    (("uri",), b"/a/b/c"),
    (("uri", "whole"), b"/a/b/c?id=7&x"),
    (("uri", "len", "4"), b"/a/b"),
    (("uri", "depth", "1"), b"/a"),
    (("uri", "depth", "2", "len", "3"), b"/a/"),
    (("url_param", "id"), b"7"),
    (("url_param", "missing"), None),
    (("hdr(x-one)",), b"2"),
    (("hdr(missing)",), None),
    (("hdr(Host)", "use_domain_only"), b"1wt"),
    (("hash", "src"), b"\x7f\0\0\1"),
    (("hash", "src_port"), (1234).to_bytes(4, "little")),
    (("hash", "req.hdr(x-one,1)"), b"1"),
    (("hash", "path,sha1"), hashlib.sha1(b"/a/b/c").digest()),
    (("hash", "req.hdr(missing)"), None),
    (("hash", "method", "lower"), b"get"),
]


@pytest.mark.parametrize(("words", "key"), KEYS)
def test_key(words: tuple[str, ...], key: bytes | None) -> None:
    key_of = balance_key(words, environment().at(Where.REQUEST))
    assert key_of is not None
    subject = FakeSubject(b"GET /a/b/c?id=7&x HTTP/1.1\r\nHost: haproxy.1wt.eu\r\nX-One: 1\r\nX-One: 2\r\n\r\n")
    assert key_of(subject) == key


@pytest.mark.parametrize("words", [("roundrobin",), ("leastconn",), ("random(3)",), ("first",), ("static-rr",), ("budget",)])
def test_algorithms_without_a_key(words: tuple[str, ...]) -> None:
    assert balance_key(words, environment()) is None


@pytest.mark.parametrize("words", [("uri",), ("url_param", "id"), ("hdr(a)",)])
def test_no_key_without_a_request(words: tuple[str, ...]) -> None:
    key_of = balance_key(words, environment())
    assert key_of is not None
    assert key_of(FakeSubject(request=None)) is None


def test_parameter_in_a_posted_form() -> None:
    subject = FakeSubject(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n")
    subject.request_body = b"a=1&id=42"  # type: ignore[misc]
    plain = balance_key(("url_param", "id"), environment())
    posted = balance_key(("url_param", "id", "check_post"), environment())
    assert plain is not None and plain(subject) is None
    assert posted is not None and posted(subject) == b"42"


def test_rdp_cookie() -> None:
    subject = FakeSubject(request=None)
    cookie = b"Cookie: mstshash=user1\r\n"
    body = b"\xe0\x00\x00\x00\x00\x00" + cookie + b"\r\n"
    subject.request_buffer = b"\x03\x00" + (len(body) + 5).to_bytes(2, "big") + bytes([len(body)]) + body  # type: ignore[misc]
    key_of = balance_key(("rdp-cookie",), environment())
    named = balance_key(("rdp-cookie(other)",), environment())
    assert key_of is not None and key_of(subject) == b"user1"
    assert named is not None and named(subject) is None


def test_expression_that_does_not_compile() -> None:
    with pytest.raises(ExpressionError):
        balance_key(("hash", "nope"), environment())
