"""Actions that end a ruleset: what the words give, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from common.acl.logformat import Format
from common.rules.actions import (
    Accept,
    Authenticate,
    Close,
    Deny,
    ExpectProxy,
    Payload,
    Redirect,
    Reject,
    Return,
    SilentDrop,
    SwitchMode,
    Tarpit,
)
from tests.common.rules.parsing import parse, refusal

PLAIN = [
    ("tcp-request connection", "accept", Accept()),
    ("http-after-response", "allow", Accept()),
    ("tcp-request session", "reject", Reject()),
    ("tcp-response content", "close", Close()),
    ("http-response", "silent-drop", SilentDrop()),
    ("tcp-request content", "silent-drop rst-ttl 4", SilentDrop(4)),
    ("tcp-request connection", "expect-proxy layer4", ExpectProxy()),
    ("tcp-request content", "switch-mode http", SwitchMode()),
    ("tcp-request content", "switch-mode http proto h1", SwitchMode()),
    ("http-request", "auth realm 'My Place'", Authenticate(b"My Place")),
    ("http-request", "auth", Authenticate(b"site")),
]


@pytest.mark.parametrize(("ruleset", "line", "action"), PLAIN)
def test_verdict(ruleset: str, line: str, action: object) -> None:
    assert parse(ruleset, line) == action


def test_verdicts_are_final_and_others_are_not() -> None:
    for ruleset, line, _ in PLAIN:
        assert parse(ruleset, line).final is not line.startswith("expect-proxy")
    assert not parse("http-request", "set-header X-A b").final


STATUSES = [
    ("http-request", "deny", 403),
    ("http-response", "deny", 502),
    ("http-request", "tarpit", 500),
    ("http-request", "deny deny_status 404", 404),
    ("http-request", "tarpit deny_status 429", 429),
]


@pytest.mark.parametrize(("ruleset", "line", "status"), STATUSES)
def test_bare_denial_shows_the_error_page_of_its_status(ruleset: str, line: str, status: int) -> None:
    action = parse(ruleset, line)
    assert isinstance(action, Deny | Tarpit)
    assert (action.reply.status, action.reply.payload) == (status, Payload.DEFAULT)


@pytest.mark.parametrize("line", ["deny status 404", "deny hdr X-A b", "tarpit status 404"])
def test_denial_with_the_new_words_has_only_what_they_say(line: str) -> None:
    action = parse("http-request", line)
    assert isinstance(action, Deny | Tarpit)
    assert action.reply.payload is Payload.NONE


def test_return_is_an_empty_200() -> None:
    action = parse("http-request", "return")
    assert isinstance(action, Return)
    assert (action.reply.status, action.reply.payload, action.reply.content) == (200, Payload.NONE, b"")


def test_redirect_takes_its_words_in_any_order() -> None:
    action = parse("http-request", "redirect code 301 drop-query append-slash prefix /%[src_port] ignore-empty keep-query set-cookie A=1")
    assert isinstance(action, Redirect)
    assert (action.kind, action.code) == ("prefix", 301)
    assert action.drop_query and action.append_slash and action.ignore_empty and action.keep_query
    assert action.set_cookie == b"A=1"
    assert action.target.constant is None


def test_redirect_sets_or_clears_one_cookie() -> None:
    action = parse("http-request", "redirect location / set-cookie A=1 clear-cookie B=")
    assert isinstance(action, Redirect)
    assert (action.set_cookie, action.clear_cookie) == (None, b"B=")
    made = parse("http-request", "redirect location / set-cookie-fmt A=%[src]")
    assert isinstance(made, Redirect) and isinstance(made.set_cookie, Format)


REFUSED = [
    ("http-request", "deny status 199", "from 200 to 599", 2),
    ("http-request", "deny status", "the status is missing", 2),
    ("http-request", "deny deny_status 418", "no error page for status 418", 0),
    ("http-request", "deny nonsense", 'unexpected "nonsense"', 1),
    ("http-request", "return deny_status 404", 'unexpected "deny_status"', 1),
    ("http-request", "redirect location / code 304", "unsupported code 304", 4),
    ("http-request", "redirect code 301", "a redirection type is missing", 3),
    ("http-request", "redirect location", "a location is missing", 2),
    ("http-request", "redirect location / drop_query", 'unexpected "drop_query"', 3),
    ("http-response", "redirect prefix /", "only be redirected with", 1),
    ("tcp-request content", "silent-drop rst-ttl 0", "from 1 to 255", 2),
    ("tcp-request content", "switch-mode tcp", '"tcp" is not a mode', 1),
    ("tcp-request content", "switch-mode http proto h2", '"h2" is not a protocol', 3),
    ("tcp-request connection", "expect-proxy", "a layer is missing", 1),
    ("http-request", "auth realm", "the realm is missing", 2),
    ("http-request", "auth relm x", 'unexpected "relm"', 1),
    ("http-request", "allow me", 'unexpected "me"', 1),
]


@pytest.mark.parametrize(("ruleset", "line", "message", "word"), REFUSED)
def test_wrong_words_are_told_with_their_place(ruleset: str, line: str, message: str, word: int) -> None:
    error = refusal(ruleset, line)
    assert message in str(error)
    assert error.word == word


def test_only_a_frontend_switches_modes() -> None:
    assert "only a proxy with a frontend" in str(refusal("tcp-request content", "switch-mode http", "backend"))
