"""The table of actions as a whole: where each may stand, how it is found, what is said about those that are not there."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.absent import AbsentExchange
from common.errors import ExpressionError
from common.rules.actions import Action, Redirect, UseBackend, UseServer
from common.rules.parse import ACTIONS, parse_action, parse_http_error, rows_of
from common.rules.refused import REFUSED
from common.rules.rulesets import Ruleset
from tests.common.rules.parsing import environment, parse, refusal

# One complete line per action.
EXAMPLES = {
    "accept": "accept",
    "add-acl": "add-acl(list) %[src]",
    "add-header": "add-header X-A %[src]",
    "allow": "allow",
    "auth": "auth realm Gimme",
    "capture": "capture src id 0",
    "close": "close",
    "del-acl": "del-acl(list) %[src]",
    "del-header": "del-header x- -m beg",
    "del-map": "del-map(map) %[src]",
    "deny": "deny deny_status 404",
    "disable-l7-retry": "disable-l7-retry",
    "do-log": "do-log profile loud",
    "early-hint": "early-hint Link </x>",
    "expect-proxy": "expect-proxy layer4",
    "normalize-uri": "normalize-uri path-merge-slashes",
    "pause": "pause 10ms",
    "redirect": "redirect location /x code 301",
    "reject": "reject",
    "replace-header": r"replace-header X-A '(.*)' '<\1>'",
    "replace-path": r"replace-path /(.*) '/p/\1'",
    "replace-pathq": "replace-pathq a b",
    "replace-uri": "replace-uri a b",
    "replace-value": "replace-value X-A a b",
    "return": "return status 200 content-type text/plain string hi",
    "sc-add-gpc": "sc-add-gpc(0,1) 3",
    "sc-inc-gpc": "sc-inc-gpc(0,1)",
    "sc-inc-gpc0": "sc-inc-gpc0(0)",
    "sc-inc-gpc1": "sc-inc-gpc1(2)",
    "sc-set-gpt": "sc-set-gpt(3,0) src_port",
    "sc-set-gpt0": "sc-set-gpt0(0) 7",
    "set-bc-mark": "set-bc-mark 1",
    "set-bc-tos": "set-bc-tos 0x20",
    "set-dst": "set-dst src",
    "set-dst-port": "set-dst-port int(80)",
    "set-fc-mark": "set-fc-mark 0xffffffff",
    "set-fc-tos": "set-fc-tos int(4)",
    "set-header": "set-header X-A b",
    "set-idempotent": "set-idempotent yes",
    "set-log-level": "set-log-level silent",
    "set-map": "set-map(map) %[src] x",
    "set-mark": "set-mark 5",
    "set-method": "set-method POST",
    "set-nice": "set-nice -5",
    "set-path": "set-path /x%[path]",
    "set-pathq": "set-pathq /x?y",
    "set-priority-class": "set-priority-class int(5)",
    "set-priority-offset": "set-priority-offset int(5)",
    "set-query": "set-query a=1&%[query]",
    "set-retries": "set-retries 2",
    "set-src": "set-src src",
    "set-src-port": "set-src-port int(1)",
    "set-status": "set-status 503 reason 'Slow Down'",
    "set-timeout": "set-timeout server 5s",
    "set-tos": "set-tos 8",
    "set-uri": "set-uri /x",
    "set-var": "set-var(sess.a,ifnotset) src",
    "set-var-fmt": "set-var-fmt(proc.a) %[src]",
    "silent-drop": "silent-drop",
    "strict-mode": "strict-mode off",
    "switch-mode": "switch-mode http",
    "tarpit": "tarpit",
    "track-sc": "track-sc0 src table site",
    "unset-var": "unset-var(sess.a)",
    "wait-for-body": "wait-for-body time 1s at-least 1k",
    "wait-for-handshake": "wait-for-handshake",
    "use-service": "use-service prometheus-exporter",
}


def test_every_action_has_an_example() -> None:
    assert set(EXAMPLES) == set(ACTIONS)


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("ruleset", [one for one in Ruleset if one not in (Ruleset.REDIRECT, Ruleset.USE_BACKEND, Ruleset.USE_SERVER)])
def test_action_is_taken_where_its_row_says_and_nowhere_else(name: str, ruleset: Ruleset) -> None:
    line = EXAMPLES[name]
    if name == "set-timeout" and ruleset is Ruleset.HTTP_RESPONSE:
        line = "set-timeout tunnel 5s"
    if ruleset in ACTIONS[name].rulesets:
        assert isinstance(parse(ruleset.value, line), Action)
    else:
        assert "cannot be used in" in str(refusal(ruleset.value, line))


@pytest.mark.parametrize("name", EXAMPLES)
def test_word_behind_a_complete_action_is_refused(name: str) -> None:
    row = ACTIONS[name]
    ruleset = sorted(row.rulesets, key=lambda one: one.value)[0]
    if name == "auth":
        return  # "auth realm Gimme more" is covered with the other verdicts
    error = refusal(ruleset.value, EXAMPLES[name] + " !!! !!!")
    assert error.word >= 1


def test_rows_carry_what_the_documentation_needs() -> None:
    for name, row in ACTIONS.items():
        assert row.name == name
        assert row.doc.endswith(".") and row.section
        assert row.rulesets
    assert ACTIONS["set-idempotent"].ours and not ACTIONS["set-header"].ours
    assert [row.name for row in rows_of(Ruleset.HTTP_AFTER_RESPONSE)][:3] == ["add-acl", "add-header", "allow"]


UNKNOWN = [
    ("http-request", "set-hedder X y", 'unknown action "set-hedder"', "set-header"),
    ("tcp-request content", "acept", 'unknown action "acept"', "accept"),
    ("http-request", "xyzzy", 'unknown action "xyzzy"', "There are"),
    ("http-request", "track-sc src", 'needs a number behind its name', ""),
    ("http-request", "set-header0 X y", 'unknown action "set-header0"', ""),
    ("http-request", "(a)", "unknown action", ""),
]


@pytest.mark.parametrize(("ruleset", "line", "message", "hint"), UNKNOWN)
def test_unknown_action_is_named_with_what_was_probably_meant(ruleset: str, line: str, message: str, hint: str) -> None:
    error = refusal(ruleset, line)
    assert message in str(error)
    assert hint in error.hint
    assert error.word == 0


@pytest.mark.parametrize("name", REFUSED)
def test_what_we_do_not_have_is_refused_with_a_reason(name: str) -> None:
    error = refusal("http-request", f"{name} x y")
    assert "is not supported" in str(error)
    assert REFUSED[name] in str(error)
    assert name not in ACTIONS


def test_lua_actions_are_refused_by_their_prefix() -> None:
    assert "no Lua" in str(refusal("http-request", "lua.deny"))


def test_line_without_an_action_is_refused() -> None:
    with pytest.raises(ExpressionError, match="needs an action"):
        parse_action("http-request", [], environment())


def test_unknown_ruleset_is_a_bug() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        parse_action("nonsense", ["accept"], environment())


# --- lines that are one action ---------------------------------------------------------------------------------------


def test_redirect_line_takes_its_target_as_it_is() -> None:
    action = parse("redirect", "prefix https://%[src] code 301 drop-query")
    assert isinstance(action, Redirect)
    assert (action.kind, action.code, action.drop_query) == ("prefix", 301, True)
    assert action.target.constant == b"https://%[src]"


def test_redirect_line_counts_words_from_its_own_first() -> None:
    assert refusal("redirect", "location / code 200").word == 3
    assert refusal("redirect", "code 301").word == 2


def test_use_backend_knows_the_backends() -> None:
    action = parse("use_backend", "other")
    assert isinstance(action, UseBackend)
    assert action.name.constant == b"other"
    error = refusal("use_backend", "othr")
    assert 'no backend "othr"' in str(error) and "other" in error.hint and error.word == 0


def test_use_backend_takes_a_format() -> None:
    action = parse("use_backend", "bk-%[method]")
    assert isinstance(action, UseBackend)
    assert action.name.constant is None


def test_use_server_knows_the_servers() -> None:
    action = parse("use-server", "s1")
    assert isinstance(action, UseServer)
    assert action.name.constant == b"s1"
    assert 'no server "s2"' in str(refusal("use-server", "s2"))
    assert isinstance(parse("use-server", "%[str(x)]"), UseServer)


def test_switching_line_takes_one_word() -> None:
    assert 'unexpected "more"' in str(refusal("use_backend", "other more"))


def test_http_error_is_an_answer() -> None:
    reply = parse_http_error(503, ["content-type", "text/plain", "lf-string", "no %[path]", "hdr", "X-A", "b"], environment())
    assert (reply.status, reply.content_type) == (503, b"text/plain")
    assert reply.format is not None and reply.format.build(AbsentExchange()) == b"no "
    with pytest.raises(ExpressionError) as caught:
        parse_http_error(503, ["content-type", "text/plain", "nonsense"], environment())
    assert caught.value.word == 2


# --- whatever comes --------------------------------------------------------------------------------------------------

WORD = st.one_of(
    st.sampled_from([word for line in EXAMPLES.values() for word in shlex.split(line)]),
    st.text(max_size=12),
)


@given(st.sampled_from(list(Ruleset)), st.lists(WORD, max_size=6))
def test_any_words_make_an_action_or_a_complaint_about_one_of_them(ruleset: Ruleset, words: list[str]) -> None:
    try:
        assert isinstance(parse_action(ruleset, words, environment()), Action)
    except ExpressionError as error:
        assert 0 <= error.word <= len(words)
