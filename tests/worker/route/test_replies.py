"""Answers that rules give: their bytes."""

from __future__ import annotations

import pytest

from common import model
from common.acl.environment import CompileEnvironment
from common.errors import ExpressionError
from common.rules.parse import parse_action
from common.rules.rulesets import Ruleset
from tests.worker.route.fakes import FakeSubject, environment
from worker.http.answers import Answer, built_in
from worker.route.actions import compile_action
from worker.route.replies import http_errors, page_of
from worker.route.verdicts import Cause, Delay, Respond

FILES = {
    "page.html": b"<p>%[src]</p>",
    "403.http": b"HTTP/1.1 403 Not You\r\nX-Page: 1\r\n\r\nno",
    "bad.http": b"nonsense\r\n\r\n",
}


def with_files() -> CompileEnvironment:
    known = environment()
    known.read_file = lambda path: FILES[path]
    assert known.config is not None
    known.config.http_errors["pages"] = {403: "403.http", 404: ""}
    return known


def answer(line: str, subject: FakeSubject | None = None, ruleset: str = "http-request") -> Answer:
    words = [word.replace("␣", " ") for word in line.split()]
    known, kind = with_files(), Ruleset(ruleset)
    verdict = compile_action(parse_action(kind, words, known), kind, known)(subject or FakeSubject())
    assert isinstance(verdict, Respond | Delay)
    return verdict.answer


REPLIES = [
    ("return", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ("return status 204", b"HTTP/1.1 204 No Content\r\n\r\n"),
    (
        "return content-type text/plain string hi hdr X-A %[path]",
        b"HTTP/1.1 200 OK\r\nX-A: /path\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nhi",
    ),
    (
        "return status 418 content-type text/plain lf-string %[src]!",
        b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 10\r\ncontent-type: text/plain\r\n\r\n127.0.0.1!",
    ),
    (
        "return content-type text/html file page.html",
        b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\ncontent-type: text/html\r\n\r\n<p>%[src]</p>",
    ),
    (
        "return content-type text/html lf-file page.html",
        b"HTTP/1.1 200 OK\r\ncontent-length: 16\r\ncontent-type: text/html\r\n\r\n<p>127.0.0.1</p>",
    ),
    ("deny errorfile 403.http", b"HTTP/1.1 403 Not You\r\nX-Page: 1\r\n\r\nno"),
    ("deny status 403 errorfiles pages", b"HTTP/1.1 403 Not You\r\nX-Page: 1\r\n\r\nno"),
    ("deny status 404 errorfiles pages", b""),  # /dev/null: silence
    ("deny status 404", b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"),
    ("deny deny_status 404", built_in(404).render()),
    ("deny status 500 errorfiles pages", built_in(500).render()),
    ("tarpit", built_in(500).render()),
]


@pytest.mark.parametrize(("line", "sent"), REPLIES)
def test_reply(line: str, sent: bytes) -> None:
    assert answer(line).render() == sent


CAUSES = [
    ("deny", Cause.DENIED, b"P"),
    ("auth", Cause.SERVED, b"L"),
    ("return", Cause.SERVED, b"L"),
    ("redirect location /", Cause.SERVED, b"L"),
]


@pytest.mark.parametrize(("line", "cause", "letter"), CAUSES)
def test_cause(line: str, cause: Cause, letter: bytes) -> None:
    known = environment()
    verdict = compile_action(parse_action(Ruleset.HTTP_REQUEST, line.split(), known), Ruleset.HTTP_REQUEST, known)(FakeSubject())
    assert isinstance(verdict, Respond)
    assert verdict.cause is cause and cause.letter == letter
    assert Cause.FAILED.letter == b"P"


LOCATIONS = [
    ("redirect location /x%[path]", b"/x/path"),
    ("redirect location /x keep-query", b"/x?q=1"),
    ("redirect location /x?a keep-query", b"/x?a&q=1"),
    ("redirect prefix https://b", b"https://b/path?q=1"),
    ("redirect prefix https://b drop-query append-slash", b"https://b/path/"),
    ("redirect prefix /", b"/path?q=1"),
    ("redirect scheme https", b"https://a.example/path?q=1"),
]


@pytest.mark.parametrize(("line", "location"), LOCATIONS)
def test_location(line: str, location: bytes) -> None:
    assert dict(answer(line).fields)[b"location"] == location


def test_redirect_without_a_query_to_keep() -> None:
    assert dict(answer("redirect location /x keep-query", FakeSubject(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).fields)[b"location"] == b"/x"


def test_cookie_that_a_redirect_sets() -> None:
    assert dict(answer("redirect location / set-cookie A=1").fields)[b"set-cookie"] == b"A=1; path=/;"
    assert dict(answer("redirect location / set-cookie-fmt A=%[src_port]").fields)[b"set-cookie"] == b"A=1234; path=/;"


def test_empty_location_may_be_passed_over() -> None:
    known = environment()
    words = ["redirect", "location", "%[req.hdr(missing)]", "ignore-empty"]
    run = compile_action(parse_action(Ruleset.HTTP_REQUEST, words, known), Ruleset.HTTP_REQUEST, known)
    assert run(FakeSubject()) is None


def test_hostile_location_stays_one_line() -> None:
    subject = FakeSubject(b"GET /x%0d%0aEvil:1 HTTP/1.1\r\nHost: a\r\n\r\n")
    location = dict(answer("redirect location %[path,url_dec]", subject).fields)[b"location"]
    assert location == b"/x%0D%0AEvil:1"


# --- auth ------------------------------------------------------------------------------------------------------------


def test_challenge_names_the_realm() -> None:
    made = answer("auth realm My␣Place")
    assert made.status == 401
    assert dict(made.fields)[b"www-authenticate"] == b'Basic realm="My Place"'


ABSOLUTE = b"GET http://a/ HTTP/1.1\r\nHost: a\r\nProxy-Connection: keep-alive\r\n\r\n"
PLAIN = b"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: keep-alive\r\n\r\n"


@pytest.mark.parametrize(("request_bytes", "option", "status"), [(ABSOLUTE, True, 407), (ABSOLUTE, False, 401), (PLAIN, True, 401)])
def test_challenge_to_who_takes_us_for_its_proxy(request_bytes: bytes, option: bool, status: int) -> None:
    subject = FakeSubject(request_bytes)
    frontend = environment().proxy
    assert frontend is not None
    frontend.options = frozenset({"http-use-proxy-header"} if option else set())
    subject.session.frontend = frontend  # type: ignore[misc]
    made = answer("auth", subject)
    assert made.status == status
    assert (b"proxy-authenticate" in dict(made.fields)) is (status == 407)


# --- error pages -----------------------------------------------------------------------------------------------------


def test_http_error_lines() -> None:
    known = with_files()
    proxy = model.Proxy(model.Place(), "p", True, True)
    proxy.http_errors = {
        503: ("content-type", "text/plain", "lf-string", "no %[path]"),
        403: ("errorfile", "403.http"),
        404: ("default-errorfiles",),
    }
    made = http_errors(proxy, known)
    assert set(made) == {503, 403}
    assert made[503](FakeSubject()).body == b"no /path"
    assert made[503](FakeSubject(request=None)).body == b"no "
    assert made[403](FakeSubject()).reason == b"Not You"


def test_error_file_that_is_none_is_refused() -> None:
    with pytest.raises(ExpressionError, match=r'error file "bad\.http"'):
        page_of("bad.http", FILES["bad.http"], environment())
    with pytest.raises(ExpressionError, match=r"bad\.http"):
        answer("deny errorfile bad.http")
