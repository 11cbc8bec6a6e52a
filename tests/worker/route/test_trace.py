"""Rules that tell what they see, and do what they did."""

from __future__ import annotations

from dataclasses import dataclass, field

from common import model
from common.acl.conditions import compile_condition
from common.acl.environment import CompileEnvironment
from common.rules.actions import Accept
from tests.worker.route.fakes import FakeSubject
from worker.http.answers import built_in
from worker.route.evaluate import CompiledRule, evaluate, inspect
from worker.route.rules import Rules
from worker.route.trace import Trace, applied
from worker.route.verdicts import ALLOW, Cause, Delay, Respond, Verdict, Wait

PLACE = model.Place("usher.cfg", 7, 1)


@dataclass
class Calls:
    ran: list[str] = field(default_factory=list)

    def rule(self, condition: str, verdict: Verdict | None = None, *, unless: bool = False, name: str = "x") -> CompiledRule:
        compiled = compile_condition(condition.split(), {}, CompileEnvironment(), unless) if condition else None

        def run(subject: object) -> Verdict | None:
            self.ran.append(name)
            return verdict

        return CompiledRule(None if compiled is None else compiled.test, run, PLACE, compiled, Accept())


def traced(*rules: CompiledRule) -> tuple[Trace, Rules]:
    watched = Rules(http_request=rules, tcp_request=rules)
    proxy = model.Proxy(PLACE, "web", True, True, mode="http")
    proxy.rules = [model.Rule(PLACE, "http-request", ("deny",))]
    trace = Trace()
    trace.watch(watched, proxy)
    trace.watch(watched, proxy)  # a listen section is met twice
    return trace, watched


def subject() -> FakeSubject:
    return FakeSubject(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")


def test_conditions_decide_as_before_and_say_what_they_saw() -> None:
    calls = Calls()
    trace, rules = traced(
        calls.rule("{ path /b }", ALLOW, name="b"), calls.rule("", None, name="always"), calls.rule("{ path_beg /a }", ALLOW)
    )
    assert evaluate(rules.http_request, subject()) == (3, ALLOW)
    assert calls.ran == ["always", "x"]
    assert [(step.applied, step.verdict) for step in trace.steps] == [(False, ""), (True, ""), (True, "allow")]
    assert trace.steps[0].seen[0].samples == (b"/a",) and trace.steps[0].seen[0].pattern is None
    assert trace.steps[2].seen[0].pattern == b"/a"
    assert len(applied(trace.steps)) == 2 and trace.steps[0].ruleset == "web: http-request"


def test_negations_and_alternatives_stop_where_they_are_decided() -> None:
    calls = Calls()
    trace, rules = traced(calls.rule("!{ path /b } or { path /never }", ALLOW), calls.rule("{ path /a }", ALLOW, unless=True))
    assert evaluate(rules.http_request, subject()) == (1, ALLOW)
    assert len(trace.steps[0].seen) == 1
    assert evaluate(rules.http_request[1:], subject()) is None
    assert trace.steps[-1].condition == "unless { path /a }" and not trace.steps[-1].applied


def test_nobody_waits() -> None:
    calls = Calls()
    page = built_in(500)
    trace, rules = traced(calls.rule("", Wait(5.0)), calls.rule("", Delay(page)))
    assert evaluate(rules.http_request, subject()) == (2, Respond(page, Cause.DENIED))
    assert [step.verdict for step in trace.steps] == ["waits 5 s", "answers 500 after timeout tarpit"]


def test_content_rules_are_watched_too() -> None:
    calls = Calls()
    trace, rules = traced(calls.rule("{ path /b }", ALLOW), calls.rule("", ALLOW))
    assert inspect(rules.tcp_request, subject()) is ALLOW
    assert [step.applied for step in trace.steps] == [False, True]


def test_what_counts_by_being_asked_is_asked_once() -> None:
    calls = Calls()
    trace, rules = traced(calls.rule("{ rand(1) ge 0 }", ALLOW))
    evaluate(rules.http_request, subject())
    assert trace.steps[0].seen[0].matched and trace.steps[0].seen[0].samples == ()
