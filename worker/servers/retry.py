"""What to do after an attempt at a server failed: the same server, another one, or give up, and with which answer. Sans-io.

Source: HAProxy manual 4.2 "retries", "retry-on", "option redispatch", "http-request disable-l7-retry"; 8.5 (termination states);
RFC 9110 section 9.2.2, RFC 9112 section 9.3.1, RFC 8470 section 5.2 (425), RFC 9110 section 15.5.20 (421).

One table decides, in this order; the first *no* is the reason that is logged and counted:

    the response has begun on its way to the client       no: response_started
    the kind of failure is not in retry-on                no: not_in_retry_on
    http-request disable-l7-retry, and more than connect  no: retries_disabled
    it was sent and may have been acted on, and is not
      idempotent by method, rule or Idempotency-Key       no: not_idempotent
    its body was sent and not kept                        no: body_not_replayable
    all retries are used up                               no: retries_exhausted
    the deadline over all attempts would pass             no: deadline
    the retry budget of the backend is used up            no: budget

The fourth line is a deliberate difference from HAProxy, which resends a POST when `retry-on` says so.

A connection that had been idle and ends before it answered anything is *stale*: its server closed it while the request was
on its way. That is nobody's failure. A repeatable request goes out again at once on a new connection, once, whatever
retry-on says (but not against `disable-l7-retry`), and it counts as no retry. Where it cannot, and it is not the first
request of the client's connection, that connection is closed without an answer: the client meets what it must expect of
keep-alive, and knows best.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from common.balance.redispatch import redispatches
from common.errors import ExpressionError
from worker.servers.repeatable import Repeatable

TURN_AROUND_S = 1.0  # before the same server is dialled again; at most timeout connect
STATUSES = frozenset([401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504])
_NOT_ACTED_ON = frozenset([421, 425])  # the server says that it has not looked at the request


class Failure(Enum):
    """How an attempt failed; the value is the keyword of `retry-on`."""

    CONNECT = "conn-failure"  # no connection, or its TLS handshake failed: nothing was sent
    CONNECT_TIMEOUT = "conn-failure (timeout)"
    EMPTY = "empty-response"
    JUNK = "junk-response"
    TIMEOUT = "response-timeout"
    EARLY_REJECTED = "0rtt-rejected"
    STATUS = "status"


class Action(Enum):
    SAME = "same"  # again, same server
    OTHER = "other"  # again, choose another server
    STOP = "stop"  # answer the client


_KEYWORDS = {
    "conn-failure": (Failure.CONNECT, Failure.CONNECT_TIMEOUT),
    "empty-response": (Failure.EMPTY,),
    "junk-response": (Failure.JUNK,),
    "response-timeout": (Failure.TIMEOUT,),
    "0rtt-rejected": (Failure.EARLY_REJECTED,),
}
_ALL_RETRYABLE = (*_KEYWORDS, "500", "502", "503", "504")

# failure -> (status for the client, termination state). A status that came from the server is passed on as it came.
_ANSWERS: dict[Failure, tuple[int, bytes]] = {
    Failure.CONNECT: (503, b"SC"),
    Failure.CONNECT_TIMEOUT: (503, b"sC"),
    Failure.EMPTY: (502, b"SH"),
    Failure.JUNK: (502, b"PH"),
    Failure.TIMEOUT: (504, b"sH"),
    Failure.EARLY_REJECTED: (425, b"SH"),
    Failure.STATUS: (0, b"--"),
}


@dataclass(frozen=True, slots=True)
class RetryOn:
    """`retry-on`, its words read."""

    failures: frozenset[Failure]
    statuses: frozenset[int] = frozenset()

    @property
    def needs_request(self) -> bool:
        """Whether requests must be kept until they are answered: anything but failures to connect."""
        return bool(self.statuses or self.failures - {Failure.CONNECT, Failure.CONNECT_TIMEOUT})


def retry_on(words: Iterable[str]) -> RetryOn:
    """The words after `retry-on`. Raises ExpressionError."""
    listed = list(words)
    failures: set[Failure] = set()
    statuses: set[int] = set()
    for at, word in enumerate(listed):
        if word == "none":
            if len(listed) > 1:
                raise ExpressionError('"none" cannot be combined with others', at)
            continue
        for one in _ALL_RETRYABLE if word == "all-retryable-errors" else (word,):
            if one in _KEYWORDS:
                failures.update(_KEYWORDS[one])
            elif one.isdecimal() and int(one) in STATUSES:
                statuses.add(int(one))
            else:
                allowed = ", ".join(["none", *_KEYWORDS, "all-retryable-errors", *map(str, sorted(STATUSES))])
                raise ExpressionError(f'"retry-on" does not know "{word}"', at, f"one of {allowed}")
    return RetryOn(frozenset(failures), frozenset(statuses))


@dataclass(frozen=True, slots=True)
class Policy:
    """What the backend says about retries. redispatch_interval: of `option redispatch`; 0 where it is not set."""

    on: RetryOn
    retries: int = 3
    redispatch_interval: int = 0
    timeout_connect_s: float = TURN_AROUND_S


@dataclass(frozen=True, slots=True)
class Attempt:
    """One failed attempt, and what was before it. retries: those already made (stale ones do not count)."""

    failure: Failure
    repeatable: Repeatable
    retries: int = 0
    status: int = 0  # with Failure.STATUS
    sent: bool = True  # at least a byte of the request has left
    received: bool = False  # at least a byte of a response has come
    reused: bool = False  # the connection had carried a request before
    stale_before: bool = False  # a stale connection was met before in this exchange
    first_request: bool = True  # of the client's connection
    body_kept: bool = True  # the whole request can be sent again
    response_started: bool = False  # something of a response has gone to the client
    disabled: bool = False  # http-request disable-l7-retry
    retries_max: int | None = None  # http-request set-retries
    may_redispatch: bool = True  # False: force-persist, or there is no other server
    seconds_left: float | None = None  # until the deadline over all attempts


@dataclass(frozen=True, slots=True)
class Decision:
    """action, and for STOP why (slug) and with what: status 0 = what the server sent, or, if silent, no answer at all."""

    action: Action
    slug: str
    counts: bool = True  # as a retry (or redispatch), in statistics and against the maximum
    pause_s: float = 0.0
    status: int = 0
    termination: bytes = b"--"
    silent: bool = False


class Budget:
    """At most `percent` retries per hundred requests, and `reserve` at once after a quiet time: retries must not feed an overload.

    percent 0: no limit.
    """

    __slots__ = ("_percent", "_reserve", "_tokens")

    def __init__(self, percent: float = 0, reserve: int = 10) -> None:
        self._percent = percent
        self._reserve = reserve
        self._tokens = float(reserve)

    def request(self) -> None:
        """A request came, of whatever fate."""
        self._tokens = min(self._reserve, self._tokens + self._percent / 100)

    def spend(self) -> bool:
        """Take one retry; False if there is none left."""
        if not self._percent:
            return True
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def check_invariants(self) -> None:
        assert 0 <= self._tokens <= self._reserve


def decide(attempt: Attempt, policy: Policy, budget: Budget | None = None) -> Decision:
    """See the table at the top. Takes one from the budget if the answer is to retry."""
    if _is_stale(attempt) and not attempt.stale_before and not attempt.disabled and not _never(attempt) and not _is_late(attempt, 0.0):
        return Decision(Action.SAME, "stale_connection", counts=False)
    retries_max = policy.retries if attempt.retries_max is None else attempt.retries_max
    refusal = _refusal(attempt, policy, retries_max)
    retry = attempt.retries + 1
    action = Action.OTHER if attempt.may_redispatch and redispatches(policy.redispatch_interval, retry, retries_max) else Action.SAME
    pause_s = 0.0
    if action is Action.SAME and attempt.failure in (Failure.CONNECT, Failure.CONNECT_TIMEOUT):
        pause_s = min(TURN_AROUND_S, policy.timeout_connect_s)
    if not refusal and _is_late(attempt, pause_s):
        refusal = "deadline"
    if not refusal and budget is not None and not budget.spend():
        refusal = "budget"
    if refusal:
        return _stop(attempt, refusal)
    return Decision(action, _slug(attempt), pause_s=pause_s)


def _is_stale(attempt: Attempt) -> bool:
    return attempt.failure is Failure.EMPTY and attempt.reused and not attempt.received


def _is_late(attempt: Attempt, pause_s: float) -> bool:
    return attempt.seconds_left is not None and attempt.seconds_left <= pause_s


def _never(attempt: Attempt) -> str:
    """Why it must not be sent again whatever the configuration says; "" if it may."""
    if attempt.response_started:
        return "response_started"
    if attempt.sent and attempt.repeatable is Repeatable.ONCE and not _was_not_acted_on(attempt):
        return "not_idempotent"
    if not attempt.body_kept:
        return "body_not_replayable"
    return ""


def _refusal(attempt: Attempt, policy: Policy, retries_max: int) -> str:
    if attempt.response_started:
        return "response_started"
    if attempt.failure is Failure.STATUS:
        if attempt.status not in policy.on.statuses:
            return "not_in_retry_on"
    elif attempt.failure not in policy.on.failures:
        return "not_in_retry_on"
    if attempt.disabled and attempt.failure not in (Failure.CONNECT, Failure.CONNECT_TIMEOUT):
        return "retries_disabled"
    return _never(attempt) or ("retries_exhausted" if attempt.retries >= retries_max else "")


def _was_not_acted_on(attempt: Attempt) -> bool:
    return attempt.failure is Failure.EARLY_REJECTED or (attempt.failure is Failure.STATUS and attempt.status in _NOT_ACTED_ON)


def _stop(attempt: Attempt, refusal: str) -> Decision:
    status, termination = _ANSWERS[attempt.failure]
    if refusal == "deadline" and status:
        status = 504  # it is our own patience that has ended
    silent = _is_stale(attempt) and not attempt.first_request and not attempt.response_started
    return Decision(
        Action.STOP,
        refusal,
        counts=False,
        status=0 if silent or attempt.response_started else status,
        termination=termination,
        silent=silent,
    )


def _slug(attempt: Attempt) -> str:
    """What the retry is counted under."""
    if attempt.failure is Failure.STATUS:
        return f"status_{attempt.status}"
    return "connect_timeout" if attempt.failure is Failure.CONNECT_TIMEOUT else str(attempt.failure.value).replace("-", "_")
