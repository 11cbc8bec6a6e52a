"""Why a failed attempt at a server was not repeated. They are counted beside the reason of the failure itself. Sans-io.

The table that decides is in worker/servers/retry.py.
"""

from __future__ import annotations

from typing import Final

from common.observe.reason import Reason

_TERMINATIONS = ("SH", "SC", "sH", "sC", "PH")


def _not_repeated(slug: str, cause: str, cure: str, status: int = 502) -> Reason:
    return Reason(slug, _TERMINATIONS, status, "connection_terminated", cause, cure)


RETRY: Final = (
    _not_repeated(
        "response_started", "A failed request was not repeated: part of a response had gone to the client.",
        "Nothing can mend this here; look for the reason of the failure.",
    ),
    _not_repeated(
        "not_in_retry_on", 'A failed request was not repeated: this kind of failure is not in "retry-on".',
        'Name it in "retry-on", if the application bears requests that come twice.',
    ),
    _not_repeated(
        "retries_disabled", 'A failed request was not repeated: a rule "disable-l7-retry" forbids it.',
        "This is what the rule is for.",
    ),
    _not_repeated(
        "not_idempotent", "A failed request was not repeated: it had been sent, and may have been acted on.",
        'Where that is harmless, say "http-request set-idempotent yes", or let clients send an Idempotency-Key.',
    ),
    _not_repeated(
        "body_not_replayable", "A failed request was not repeated: its body had been sent and was longer than what is kept.",
        'Raise "tune.retry.body-size".',
    ),
    _not_repeated(
        "retries_exhausted", 'A failed request was not repeated any more: "retries" are used up.',
        "Look for the reason of the failures; more retries would only hide it.",
    ),
    _not_repeated(
        "deadline", 'A request was given up: "timeout request-total" is over.',
        "The servers are slower than the time allows; look at queue and response times.", 504,
    ),
    _not_repeated(
        "budget", 'A failed request was not repeated: "retry-budget" is used up, so that retries do not feed an overload.',
        "Look for the reason of the failures.",
    ),
)  # fmt: skip
