"""Heads before and after a rule: the bytes that go on."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.acl.types import SampleType, Typed
from tests.worker.route.fakes import REQUEST, FakeSubject, run, runner
from worker.http.editor import RequestEditor
from worker.route.actions import Run
from worker.route.verdicts import Refuse

RUNNERS: dict[str, Run] = {}  # compiled once for all examples

GET = b"GET /path?q=1 HTTP/1.1\r\n"
HOST = b"Host: a.example\r\n"
ONE = b"X-One: 1\r\nX-One: 2\r\n"
REST = b"X-List: a, b ,c\r\nCookie: A=1; SID=abc\r\n"

REQUESTS = [
    ("add-header X-One 3", GET + HOST + ONE + REST + b"X-One: 3\r\n"),
    ("set-header X-One %[req.hdr(x-one)]3", GET + HOST + REST + b"X-One: 23\r\n"),
    ("set-header x-one new", GET + HOST + REST + b"x-one: new\r\n"),
    ("set-header X-New %[src]", GET + HOST + ONE + REST + b"X-New: 127.0.0.1\r\n"),
    ("del-header x-one", GET + HOST + REST),
    ("del-header x- -m beg", GET + HOST + b"Cookie: A=1; SID=abc\r\n"),
    ("del-header o -m sub", GET + REST.replace(b"Cookie: A=1; SID=abc\r\n", b"")),
    (r"replace-header Cookie (.*)SID=(\w+) \1X=<\2>", GET + HOST + ONE + b"X-List: a, b ,c\r\nCookie: A=1; X=<abc>\r\n"),
    (r"replace-header X-One ^2$ two", GET + HOST + b"X-One: 1\r\nX-One: two\r\n" + REST),
    (r"replace-value X-List b [\0]", GET + HOST + ONE + b"X-List: a,[b],c\r\nCookie: A=1; SID=abc\r\n"),
    ("set-method POST", b"POST /path?q=1 HTTP/1.1\r\n" + HOST + ONE + REST),
    ("set-path /new", b"GET /new?q=1 HTTP/1.1\r\n" + HOST + ONE + REST),
    ("set-path /%[req.hdr(host)]%[path]", b"GET /a.example/path?q=1 HTTP/1.1\r\n" + HOST + ONE + REST),
    ("set-pathq /new", b"GET /new HTTP/1.1\r\n" + HOST + ONE + REST),
    ("set-query a=b&%[query]", b"GET /path?a=b&q=1 HTTP/1.1\r\n" + HOST + ONE + REST),
    ("set-uri /whole?x", b"GET /whole?x HTTP/1.1\r\n" + HOST + ONE + REST),
    (r"replace-path /(.*) /p/\1", b"GET /p/path?q=1 HTTP/1.1\r\n" + HOST + ONE + REST),
    (r"replace-pathq ([^?]*)(\?(.*))? \1/foo\2", b"GET /path/foo?q=1 HTTP/1.1\r\n" + HOST + ONE + REST),
    (r"replace-uri ([^/:]*://[^/]*)?(.*) \1/foo\2", b"GET /foo/path?q=1 HTTP/1.1\r\n" + HOST + ONE + REST),
    ("normalize-uri query-sort-by-name", REQUEST[:-2]),
]


@pytest.mark.parametrize(("line", "head"), REQUESTS)
def test_request_goes_on(line: str, head: bytes) -> None:
    subject = FakeSubject()
    assert run(line, subject) is None
    forwarded = subject.request.forwarded if isinstance(subject.request, RequestEditor) else REQUEST
    assert forwarded == head + b"\r\n"


UNTOUCHED = [
    "del-header X-Missing",
    "replace-header X-Missing a b",
    "replace-value X-Missing a b",
    "replace-path ^/other /x",
    "normalize-uri path-merge-slashes",
    "strict-mode off",
]


@pytest.mark.parametrize("line", UNTOUCHED)
def test_rule_that_finds_nothing_to_change_leaves_the_head_as_it_came(line: str) -> None:
    subject = FakeSubject()
    assert run(line, subject) is None
    assert not subject.is_edited


RESPONSES = [
    ("add-header Server t", b"HTTP/1.1 200 OK\r\nServer: s\r\nSet-Cookie: SID=xyz; path=/\r\nContent-Length: 0\r\nServer: t\r\n\r\n"),
    ("set-header Server %[status]", b"HTTP/1.1 200 OK\r\nSet-Cookie: SID=xyz; path=/\r\nContent-Length: 0\r\nServer: 200\r\n\r\n"),
    ("del-header set-cookie", b"HTTP/1.1 200 OK\r\nServer: s\r\nContent-Length: 0\r\n\r\n"),
    (
        r"replace-header Set-Cookie (SID=[^;]*);(.*) \1;␣Secure;\2",
        b"HTTP/1.1 200 OK\r\nServer: s\r\nSet-Cookie: SID=xyz; Secure; path=/\r\nContent-Length: 0\r\n\r\n",
    ),
    ("set-status 503", b"HTTP/1.1 503 Service Unavailable\r\nServer: s\r\nSet-Cookie: SID=xyz; path=/\r\nContent-Length: 0\r\n\r\n"),
    ("set-status 503 reason Slow", b"HTTP/1.1 503 Slow\r\nServer: s\r\nSet-Cookie: SID=xyz; path=/\r\nContent-Length: 0\r\n\r\n"),
]


@pytest.mark.parametrize(("line", "head"), RESPONSES)
@pytest.mark.parametrize("ruleset", ["http-response", "http-after-response"])
def test_response_goes_on(line: str, head: bytes, ruleset: str) -> None:
    subject = FakeSubject()
    assert run(line, subject, ruleset) is None
    assert subject.edit_response().forwarded == head
    assert subject.request is subject.head


def test_absolute_uri_brings_its_host_along() -> None:
    subject = FakeSubject()
    run("set-uri http://other/x", subject)
    assert subject.edit_request().forwarded.startswith(b"GET http://other/x HTTP/1.1\r\n")
    assert subject.edit_request().host == b"other"


def test_normalizer_chains_and_strictness() -> None:
    subject = FakeSubject(b"GET //a//%zz/../b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert run("normalize-uri path-merge-slashes", subject) is None
    assert run("normalize-uri path-strip-dotdot", subject) is None
    assert subject.edit_request().target == b"/a/b"
    broken = FakeSubject(b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert run("normalize-uri percent-to-uppercase strict", broken) == Refuse(400)
    assert not broken.is_edited


def test_normalizer_of_an_absolute_target_keeps_the_host_field() -> None:
    subject = FakeSubject(b"GET http://a/x//y HTTP/1.1\r\nHost: a\r\n\r\n")
    run("normalize-uri path-merge-slashes", subject)
    assert subject.edit_request().target == b"http://a/x/y"


def test_hints_gather_until_they_are_sent() -> None:
    subject = FakeSubject()
    run("early-hint Link </a>;rel=preload", subject)
    run("early-hint X-Path %[path]", subject)
    assert subject.early_hints == [(b"Link", b"</a>;rel=preload"), (b"X-Path", b"/path")]
    assert not subject.is_edited


def hostile(value: bytes) -> FakeSubject:
    """An exchange whose variable txn.v holds what a client sent."""
    subject = FakeSubject()
    subject.txn_variables["v"] = Typed(SampleType.STR, value)
    return subject


@pytest.mark.parametrize("method", [b"A B", b"", b"GET\r\n", b"GET\0"])
def test_method_that_is_none_fails(method: bytes) -> None:
    with pytest.raises(ValueError, match="not a method"):
        run("set-method %[var(txn.v)]", hostile(method))


HOSTILE_WAYS = [
    "set-header X-A %[var(txn.v)]",
    "add-header X-A <%[var(txn.v)]>",
    "set-path %[var(txn.v)]",
    "set-pathq %[var(txn.v)]",
    "set-query %[var(txn.v)]",
    "set-uri /%[var(txn.v)]",
    r"replace-header Host (.*) %[var(txn.v)]\1",
    r"replace-value X-List a %[var(txn.v)]\0",
    r"replace-path (.*) %[var(txn.v)]\1",
]


@pytest.mark.parametrize("line", HOSTILE_WAYS)
@given(value=st.binary(max_size=40))
@example(value=b"x\r\nEvil: 1\r\n\r\nGET / HTTP/1.1")
@example(value=b"a\0b\nc d\xff")
def test_hostile_values_never_break_a_head(line: str, value: bytes) -> None:
    subject = hostile(value)
    runs = RUNNERS.setdefault(line, runner(line))
    assert runs(subject) is None
    lines = subject.edit_request().forwarded.split(b"\r\n")
    assert lines[-2:] == [b"", b""]
    assert len(lines) == len(REQUEST.split(b"\r\n")) + line.count("X-A")
    assert lines[0].count(b" ") == 2 and lines[0].endswith(b" HTTP/1.1")
    assert not any(byte in text for text in lines for byte in (b"\r", b"\n", b"\0"))
