"""Rules in their order: conditions, verdicts, failures, waiting for bytes."""

from __future__ import annotations

import pytest

from common import model
from common.acl.conditions import compile_condition
from common.rules.parse import parse_action
from common.rules.rulesets import Ruleset
from tests.worker.route.fakes import FakeSubject, environment
from worker.http.answers import built_in
from worker.route.actions import compile_action
from worker.route.evaluate import WAIT, CompiledRule, evaluate, inspect
from worker.route.verdicts import ALLOW, REJECT, AwaitBody, Cause, Respond, Wait


def rules(*lines: str, ruleset: Ruleset = Ruleset.HTTP_REQUEST) -> tuple[CompiledRule, ...]:
    """Each line: words, and perhaps `if` with a condition. Its number is its line."""
    known = environment()
    at = known.at(ruleset.where)
    made = []
    for number, line in enumerate(lines, 1):
        words, _, condition = line.partition(" if ")
        action = parse_action(ruleset, words.split(), known)
        compiled = compile_condition(condition.split(), {}, at) if condition else None
        run = compile_action(action, ruleset, known)
        made.append(CompiledRule(None if compiled is None else compiled.test, run, model.Place("f", number), compiled, action))
    return tuple(made)


def test_rules_run_in_order_and_see_each_other() -> None:
    subject = FakeSubject()
    found = evaluate(rules("set-header X-A a", "set-header X-B %[req.hdr(x-a)]b", "set-path /%[req.hdr(x-b)]"), subject)
    assert found is None
    assert subject.edit_request().target == b"/ab?q=1"
    assert subject.last_rule is None


def test_condition_decides() -> None:
    subject = FakeSubject()
    evaluate(rules("set-header X-A a if { path /path }", "set-header X-B b if { path /other }"), subject)
    assert (subject.edit_request().first(b"x-a"), subject.edit_request().first(b"x-b")) == (b"a", None)


def test_verdict_ends_the_ruleset_and_is_remembered() -> None:
    subject = FakeSubject()
    found = evaluate(rules("deny if { path /other }", "deny deny_status 404 if { path /path }", "set-header X-A a"), subject)
    assert found == (2, Respond(built_in(404), Cause.DENIED))
    assert not subject.is_edited
    assert subject.last_rule == model.Place("f", 2)


def test_allow_ends_it_too() -> None:
    subject = FakeSubject()
    assert evaluate(rules("allow if { src 127.0.0.0/8 }", "deny"), subject) == (1, ALLOW)
    assert subject.last_rule == model.Place("f", 1)


def test_after_waiting_the_next_rule_goes_on() -> None:
    subject = FakeSubject()
    three = rules("wait-for-body time 1s at-least 5", "pause 10ms", "set-header X-A a", "pause int(0)", "pause req.hdr_val(missing)")
    assert evaluate(three, subject) == (1, AwaitBody(1.0, 5))
    assert subject.current_rule == model.Place("f", 1) and subject.last_rule is None
    assert evaluate(three, subject, 1) == (2, Wait(0.01))
    assert evaluate(three, subject, 2) is None
    assert subject.is_edited


def test_redirect_to_nowhere_goes_on_with_the_next_rule() -> None:
    found = evaluate(rules("redirect location %[req.hdr(missing)] ignore-empty", "reject"), FakeSubject())
    assert found == (2, REJECT)


def test_rewriting_that_fails_ends_the_exchange() -> None:
    subject = FakeSubject()
    found = evaluate(rules("set-method %[req.hdr(missing)]", "set-header X-A a"), subject)
    assert found == (1, Respond(built_in(500), Cause.FAILED))
    assert subject.told == [("rewriting failed",)]
    assert subject.last_rule == model.Place("f", 1)


def test_rewriting_that_fails_is_passed_over_where_strict_mode_is_off() -> None:
    subject = FakeSubject()
    wrong = "set-method %[req.hdr(missing)]"
    found = evaluate(rules("strict-mode off", wrong, "strict-mode on", wrong), subject)
    assert found is not None and found[0] == 4
    assert subject.told == [("rewriting failed",), ("rewriting failed",)]


def test_no_rules_do_nothing() -> None:
    assert evaluate((), FakeSubject()) is None
    assert inspect((), FakeSubject()) is None


# --- contents --------------------------------------------------------------------------------------------------------

HELLO = "accept if { req.ssl_hello_type 1 }"


def content(*lines: str) -> tuple[CompiledRule, ...]:
    return rules(*lines, ruleset=Ruleset.TCP_REQUEST)


def raw(data: bytes, *, final: bool = False) -> FakeSubject:
    subject = FakeSubject(request=None, response=None)
    subject.request_buffer = data  # type: ignore[misc]
    subject.inspection_final = final  # type: ignore[misc]
    return subject


def test_undecided_condition_waits_and_later_rules_do_not_run() -> None:
    subject = raw(b"\x16\x03")
    assert inspect(content(HELLO, "reject"), subject) is WAIT
    assert subject.last_rule is None


def test_undecided_condition_is_false_when_no_more_bytes_come() -> None:
    assert inspect(content(HELLO, "reject"), raw(b"\x16\x03", final=True)) is REJECT


def test_undecided_negation_is_true_when_no_more_bytes_come() -> None:
    negated = content("reject if !{ req.ssl_hello_type 1 }")
    assert inspect(negated, raw(b"\x16\x03")) is WAIT
    assert inspect(negated, raw(b"\x16\x03", final=True)) is REJECT


def test_decided_condition_does_not_wait() -> None:
    assert inspect(content(HELLO, "reject"), raw(b"GET /")) is REJECT


def test_wait_end_waits_for_the_end() -> None:
    waiting = content("accept if WAIT_END", "reject")
    assert inspect(waiting, raw(b"x")) is WAIT
    assert inspect(waiting, raw(b"x", final=True)) is ALLOW


def test_action_whose_sample_is_not_there_yet_waits() -> None:
    subject = raw(b"\x16\x03")
    capture = content("set-var(sess.sni) req.ssl_sni", "accept")
    assert inspect(capture, subject) is WAIT
    assert inspect(capture, raw(b"\x16\x03", final=True)) is ALLOW


def test_actions_before_the_undecided_rule_run_each_time() -> None:
    subject = raw(b"\x16")
    lines = content("set-mark 1", HELLO)
    inspect(lines, subject)
    inspect(lines, subject)
    assert subject.told == [("mark", 1, False)] * 2


@pytest.mark.parametrize("final", [False, True])
def test_no_verdict_at_all(final: bool) -> None:
    assert inspect(content("set-mark 1", "reject if { src 192.0.2.1 }"), raw(b"x", final=final)) is None
