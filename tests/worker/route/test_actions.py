"""Every action has a function."""

from __future__ import annotations

import pytest

from common.rules import actions
from common.rules.actions import Action, FinalAction, UseBackend, UseServer
from common.rules.parse import ACTIONS
from common.rules.rulesets import Ruleset
from tests.common.rules.parsing import parse
from tests.common.rules.test_parse import EXAMPLES
from tests.worker.route.fakes import FakeSubject, environment, run, runner
from worker.route.verdicts import ALLOW, CLOSE_SERVER, REJECT, SWITCH_TO_HTTP, AwaitBody, Delay, Drop, Respond, Verdict, Wait

SWITCHING = (UseBackend, UseServer)  # these are compiled with their backends: see test_rules.py


def test_every_kind_of_action_is_in_the_table() -> None:
    kinds = {
        kind for kind in vars(actions).values() if isinstance(kind, type) and issubclass(kind, Action) and kind not in (Action, FinalAction)
    }
    parsed = [
        parse(sorted(ACTIONS[name.partition(" ")[0]].rulesets, key=lambda one: one.value)[0].value, line)
        for name, line in {**EXAMPLES, "del-header again": "del-header X-A"}.items()
    ]
    assert kinds - set(SWITCHING) == {type(action) for action in parsed}


VERDICTS: list[tuple[str, str, Verdict]] = [
    ("http-request", "allow", ALLOW),
    ("tcp-request content", "accept", ALLOW),
    ("tcp-request connection", "reject", REJECT),
    ("tcp-response content", "close", CLOSE_SERVER),
    ("tcp-request content", "switch-mode http", SWITCH_TO_HTTP),
    ("http-request", "silent-drop", Drop(None)),
    ("http-response", "silent-drop rst-ttl 3", Drop(3)),
    ("http-request", "wait-for-body time 1s", AwaitBody(1.0, 0)),
    ("http-response", "pause 1s", Wait(1.0)),
    ("http-request", "pause src_port", Wait(1.234)),
]


@pytest.mark.parametrize(("ruleset", "line", "verdict"), VERDICTS)
def test_verdict(ruleset: str, line: str, verdict: Verdict) -> None:
    assert run(line, FakeSubject(), ruleset) == verdict


ANSWERING = [("deny", Respond), ("return", Respond), ("auth", Respond), ("tarpit", Delay), ("redirect location /", Respond)]


@pytest.mark.parametrize(("line", "kind"), ANSWERING)
def test_answering_verdict(line: str, kind: type[Verdict]) -> None:
    assert type(run(line, FakeSubject())) is kind


def test_proxy_header_may_be_expected() -> None:
    subject = FakeSubject()
    run("expect-proxy layer4", subject, "tcp-request connection")
    assert vars(subject)["expects_proxy"] is True


def test_answer_that_never_changes_is_made_once() -> None:
    deny = runner("return content-type text/plain string hi")
    first, second = deny(FakeSubject()), deny(FakeSubject())
    assert isinstance(first, Respond) and isinstance(second, Respond)
    assert first.answer is second.answer


def test_expressions_run_at_the_moment_of_their_ruleset() -> None:
    subject = FakeSubject()
    runner("set-header X-A %[hdr(server)]", Ruleset.HTTP_RESPONSE.value, environment())(subject)
    runner("set-header X-A %[hdr(host)]", Ruleset.HTTP_REQUEST.value, environment())(subject)
    assert subject.edit_response().first(b"x-a") == b"s"
    assert subject.edit_request().first(b"x-a") == b"a.example"
