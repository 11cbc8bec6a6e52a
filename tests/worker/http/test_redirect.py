from __future__ import annotations

import pytest

from worker.http.editor import RequestEditor
from worker.http.head import Limits, Request, parse_request
from worker.http.redirect import CODES, Redirect


def request(target: bytes, host: bytes | None = b"a.example") -> Request:
    version, field = (b"1.0", b"") if host is None else (b"1.1", b"Host: " + host + b"\r\n")
    found = parse_request(b"GET " + target + b" HTTP/" + version + b"\r\n" + field + b"\r\n", 0, Limits())
    assert found is not None
    return found[0]


LOCATIONS = [  # rule, its text, target, Location: as HAProxy 2.6
    (Redirect("location"), b"/x", b"/rl?q", b"/x"),
    (Redirect("location", drop_query=True, append_slash=True), b"/x", b"/rl?q", b"/x"),
    (Redirect("prefix"), b"http://h", b"/p?q=1", b"http://h/p?q=1"),
    (Redirect("prefix"), b"http://h/", b"/p?q", b"http://h//p?q"),
    (Redirect("prefix"), b"/", b"/p?q=1", b"/p?q=1"),
    (Redirect("prefix"), b"http://h", b"http://a.example/p?q", b"http://h/p?q"),
    (Redirect("prefix", drop_query=True), b"/", b"/p?q", b"/p"),
    (Redirect("prefix", drop_query=True, append_slash=True), b"http://h", b"/p?q", b"http://h/p/"),
    (Redirect("prefix", drop_query=True, append_slash=True), b"http://h", b"/p/?q", b"http://h/p/"),
    (Redirect("prefix", append_slash=True), b"http://h", b"/p?q", b"http://h/p?q/"),
    (Redirect("prefix", append_slash=True), b"http://h", b"/p/?q", b"http://h/p/?q/"),
    (Redirect("scheme"), b"https", b"/p?q", b"https://a.example/p?q"),
    (Redirect("scheme", drop_query=True, append_slash=True), b"https", b"/p?q", b"https://a.example/p/"),
    (Redirect("scheme"), b"https", b"http://a.example/p?q", b"https://a.example/p?q"),
]


@pytest.mark.parametrize(("rule", "text", "target", "location"), LOCATIONS)
def test_location_is_built(rule: Redirect, text: bytes, target: bytes, location: bytes) -> None:
    assert rule.location(text, request(target)) == location
    assert rule.location(text, RequestEditor(request(target))) == location


def test_scheme_redirect_without_host_or_path() -> None:
    assert Redirect("scheme").location(b"https", request(b"/p", None)) == b"https:///p"
    found = parse_request(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 0, Limits())
    assert found is not None and Redirect("scheme").location(b"https", found[0]) == b"https://a/"


@pytest.mark.parametrize("code", CODES)
def test_answer_has_haproxys_bytes(code: int) -> None:
    answer = Redirect("location", code).answer(b"/x", request(b"/"))
    assert answer is not None
    reasons = {301: b"Moved Permanently", 302: b"Found", 303: b"See Other", 307: b"Temporary Redirect", 308: b"Permanent Redirect"}
    uncached = b"" if code in (301, 308) else b"cache-control: no-cache\r\n"
    assert answer.render() == b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nlocation: /x\r\n%s\r\n" % (code, reasons[code], uncached)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (Redirect("location", set_cookie=b"A=1"), b"set-cookie: A=1; path=/;\r\n"),
        (Redirect("location", set_cookie=b"A"), b"set-cookie: A; path=/;\r\n"),
        (Redirect("location", clear_cookie=b"A="), b"set-cookie: A=; path=/; Max-Age=0;\r\n"),
    ],
)
def test_cookie_is_set_or_cleared(rule: Redirect, line: bytes) -> None:
    answer = rule.answer(b"/x", request(b"/"))
    assert answer is not None and answer.render().endswith(b"cache-control: no-cache\r\n" + line + b"\r\n")


def test_empty_location_is_skipped_when_told() -> None:
    assert Redirect("location", ignore_empty=True).answer(b"", request(b"/")) is None
    assert Redirect("location").answer(b"", request(b"/")) is not None


def test_nothing_breaks_out_of_location() -> None:
    answer = Redirect("location").answer(b"/x\r\nSet-Cookie: a", request(b"/"))
    assert answer is not None and b"location: /x  Set-Cookie: a\r\n" in answer.render()
