from __future__ import annotations

from itertools import product

import pytest

from common.errors import ExpressionError
from worker.servers.repeatable import Repeatable, repeatable
from worker.servers.retry import STATUSES, Action, Attempt, Budget, Decision, Failure, Policy, RetryOn, decide, retry_on

ALL = Policy(retry_on(["all-retryable-errors", "0rtt-rejected", "425", "421", "404"]), retries=3, redispatch_interval=0)
DEFAULT = Policy(retry_on(["conn-failure"]), retries=3, redispatch_interval=-1)


def _attempt(failure: Failure, kind: Repeatable = Repeatable.SAFE, **facts: object) -> Attempt:
    return Attempt(failure, kind, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "rule", "key", "kind"),
    [
        (b"GET", None, False, Repeatable.SAFE),
        (b"HEAD", True, False, Repeatable.SAFE),
        (b"GET", False, False, Repeatable.ONCE),
        (b"PUT", None, False, Repeatable.IDEMPOTENT),
        (b"DELETE", None, False, Repeatable.IDEMPOTENT),
        (b"POST", None, False, Repeatable.ONCE),
        (b"POST", True, False, Repeatable.IDEMPOTENT),
        (b"POST", None, True, Repeatable.IDEMPOTENT),
        (b"POST", False, True, Repeatable.ONCE),
        (b"PATCH", None, False, Repeatable.ONCE),
        (b"get", None, False, Repeatable.ONCE),
        (b"CONNECT", None, False, Repeatable.ONCE),
    ],
)
def test_method_rule_and_key_say_what_may_be_repeated(method: bytes, rule: bool | None, key: bool, kind: Repeatable) -> None:
    assert repeatable(method, rule, key) is kind


@pytest.mark.parametrize(
    ("failure", "facts", "slug", "status", "termination"),
    [
        (Failure.CONNECT, {"sent": False, "retries": 3}, "retries_exhausted", 503, b"SC"),
        (Failure.CONNECT_TIMEOUT, {"sent": False, "retries": 3}, "retries_exhausted", 503, b"sC"),
        (Failure.EMPTY, {"kind": Repeatable.ONCE}, "not_idempotent", 502, b"SH"),
        (Failure.TIMEOUT, {"kind": Repeatable.ONCE}, "not_idempotent", 504, b"sH"),
        (Failure.STATUS, {"kind": Repeatable.ONCE, "status": 503}, "not_idempotent", 0, b"--"),
        (Failure.STATUS, {"status": 403}, "not_in_retry_on", 0, b"--"),
        (Failure.JUNK, {"received": True, "disabled": True}, "retries_disabled", 502, b"PH"),
        (Failure.EMPTY, {"body_kept": False}, "body_not_replayable", 502, b"SH"),
        (Failure.EMPTY, {"response_started": True}, "response_started", 0, b"SH"),
        (Failure.EMPTY, {"seconds_left": 0.0}, "deadline", 504, b"SH"),
        (Failure.CONNECT, {"sent": False, "seconds_left": 0.9}, "deadline", 504, b"SC"),
        (Failure.EARLY_REJECTED, {"retries": 3}, "retries_exhausted", 425, b"SH"),
        (Failure.EMPTY, {"retries_max": 0}, "retries_exhausted", 502, b"SH"),
    ],
)
def test_refusals_name_their_reason_and_answer(
    failure: Failure, facts: dict[str, object], slug: str, status: int, termination: bytes
) -> None:
    facts = dict(facts)
    kind = facts.pop("kind", Repeatable.SAFE)
    assert isinstance(kind, Repeatable)
    decision = decide(_attempt(failure, kind, **facts), ALL)
    assert decision == Decision(Action.STOP, slug, counts=False, status=status, termination=termination)


@pytest.mark.parametrize(
    ("failure", "facts", "slug", "pause_s"),
    [
        (Failure.CONNECT, {"sent": False}, "conn_failure", 1.0),
        (Failure.CONNECT_TIMEOUT, {"sent": False}, "connect_timeout", 1.0),
        (Failure.EMPTY, {}, "empty_response", 0.0),
        (Failure.JUNK, {"received": True}, "junk_response", 0.0),
        (Failure.TIMEOUT, {}, "response_timeout", 0.0),
        (Failure.EARLY_REJECTED, {"kind": Repeatable.ONCE}, "0rtt_rejected", 0.0),
        (Failure.STATUS, {"status": 503}, "status_503", 0.0),
        (Failure.STATUS, {"status": 425, "kind": Repeatable.ONCE}, "status_425", 0.0),
        (Failure.STATUS, {"status": 421, "kind": Repeatable.ONCE}, "status_421", 0.0),
        (Failure.CONNECT, {"sent": False, "kind": Repeatable.ONCE}, "conn_failure", 1.0),
        (Failure.CONNECT, {"sent": False, "disabled": True}, "conn_failure", 1.0),
        (Failure.EMPTY, {"sent": False, "kind": Repeatable.ONCE}, "empty_response", 0.0),
    ],
)
def test_what_may_be_sent_again_is(failure: Failure, facts: dict[str, object], slug: str, pause_s: float) -> None:
    facts = dict(facts)
    kind = facts.pop("kind", Repeatable.SAFE)
    assert isinstance(kind, Repeatable)
    assert decide(_attempt(failure, kind, **facts), ALL) == Decision(Action.SAME, slug, pause_s=pause_s)


def test_by_default_only_failures_to_connect_are_retried() -> None:
    assert decide(_attempt(Failure.CONNECT, sent=False), DEFAULT).action is Action.SAME
    for failure in (Failure.EMPTY, Failure.JUNK, Failure.TIMEOUT, Failure.EARLY_REJECTED, Failure.STATUS):
        assert decide(_attempt(failure, status=503), DEFAULT).slug == "not_in_retry_on"


def test_stale_connection_is_no_failure_once() -> None:
    stale = _attempt(Failure.EMPTY, reused=True, retries=3)
    assert decide(stale, DEFAULT) == Decision(Action.SAME, "stale_connection", counts=False)
    again = _attempt(Failure.EMPTY, reused=True, stale_before=True)
    assert decide(again, DEFAULT).slug == "not_in_retry_on"
    assert decide(_attempt(Failure.EMPTY, reused=True, disabled=True), DEFAULT).slug == "not_in_retry_on"
    half = _attempt(Failure.EMPTY, reused=True, received=True)
    assert decide(half, DEFAULT).slug == "not_in_retry_on"


def test_stale_connection_under_a_post_closes_the_client_silently_or_answers_the_first_request() -> None:
    later = decide(_attempt(Failure.EMPTY, Repeatable.ONCE, reused=True, first_request=False), ALL)
    assert (later.action, later.silent, later.status) == (Action.STOP, True, 0)
    first = decide(_attempt(Failure.EMPTY, Repeatable.ONCE, reused=True), ALL)
    assert (first.action, first.silent, first.status) == (Action.STOP, False, 502)


def test_last_retry_goes_to_another_server_without_a_pause() -> None:
    actions = [decide(_attempt(Failure.CONNECT, sent=False, retries=retries), DEFAULT) for retries in range(4)]
    assert [(one.action, one.pause_s) for one in actions] == [
        (Action.SAME, 1.0),
        (Action.SAME, 1.0),
        (Action.OTHER, 0.0),
        (Action.STOP, 0.0),
    ]
    pinned = decide(_attempt(Failure.CONNECT, sent=False, retries=2, may_redispatch=False), DEFAULT)
    assert pinned.action is Action.SAME


def test_pause_is_at_most_the_connect_timeout() -> None:
    policy = Policy(retry_on(["conn-failure"]), timeout_connect_s=0.2)
    assert decide(_attempt(Failure.CONNECT, sent=False), policy).pause_s == 0.2


def test_budget_stops_retries_and_grows_with_requests() -> None:
    budget = Budget(percent=20, reserve=2)
    attempt = _attempt(Failure.EMPTY)
    assert [decide(attempt, ALL, budget).slug for _ in range(3)] == ["empty_response", "empty_response", "budget"]
    for _ in range(5):
        budget.request()
        budget.check_invariants()
    assert [decide(attempt, ALL, budget).slug for _ in range(2)] == ["empty_response", "budget"]
    for _ in range(1000):
        budget.request()
    budget.check_invariants()
    assert sum(budget.spend() for _ in range(10)) == 2


def test_no_budget_is_no_limit() -> None:
    assert all(Budget().spend() for _ in range(100))


def test_a_refusal_costs_no_budget() -> None:
    budget = Budget(percent=1, reserve=1)
    decide(_attempt(Failure.EMPTY, Repeatable.ONCE), ALL, budget)
    assert budget.spend()


def test_whatever_may_have_been_acted_on_is_never_sent_twice() -> None:
    """Over all combinations of facts."""
    flags = ("sent", "received", "reused", "stale_before", "first_request", "body_kept", "response_started", "disabled")
    for failure, values in product(Failure, product((False, True), repeat=len(flags))):
        for status in (503, 425) if failure is Failure.STATUS else (0,):
            attempt = _attempt(failure, Repeatable.ONCE, status=status, **dict(zip(flags, values, strict=True)))
            decision = decide(attempt, ALL)
            if decision.action is not Action.STOP:
                assert not attempt.sent or failure is Failure.EARLY_REJECTED or status == 425
                assert attempt.body_kept
                assert not attempt.response_started
            else:
                assert not decision.silent or not attempt.first_request


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("none", RetryOn(frozenset())),
        ("conn-failure", RetryOn(frozenset({Failure.CONNECT, Failure.CONNECT_TIMEOUT}))),
        ("503 504", RetryOn(frozenset(), frozenset({503, 504}))),
        ("all-retryable-errors", RetryOn(frozenset(set(Failure) - {Failure.STATUS}), frozenset({500, 502, 503, 504}))),
    ],
)
def test_words_of_retry_on(words: str, expected: RetryOn) -> None:
    assert retry_on(words.split()) == expected
    assert expected.needs_request == (words not in ("none", "conn-failure"))


@pytest.mark.parametrize(("words", "word"), [("none 503", 0), ("503 none", 1), ("sometimes", 0), ("503 200", 1), ("503 5xx", 1)])
def test_wrong_words_of_retry_on_are_named(words: str, word: int) -> None:
    with pytest.raises(ExpressionError) as caught:
        retry_on(words.split())
    assert caught.value.word == word


def test_all_documented_statuses_are_known() -> None:
    assert retry_on(map(str, STATUSES)).statuses == STATUSES
