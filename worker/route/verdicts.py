"""What a rule decides: the values that end a ruleset, or make it wait. Sans-io.

worker/decide.py turns them into answers, closed connections and waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from worker.http.answers import Answer


class Cause(Enum):
    """Why we answer ourselves."""

    DENIED = "denied"
    SERVED = "served"  # what the rule answers is what was wanted: return, redirect, auth
    FAILED = "failed"  # a rule could not be carried out

    @property
    def letter(self) -> bytes:
        """The first termination letter (manual 8.5)."""
        return b"L" if self is Cause.SERVED else b"P"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Base."""


@dataclass(frozen=True, slots=True)
class Allow(Verdict):
    """The ruleset ends, processing goes on."""


@dataclass(frozen=True, slots=True)
class Respond(Verdict):
    answer: Answer
    cause: Cause


@dataclass(frozen=True, slots=True)
class Serve(Verdict):
    """`use-service`: something of ours answers, which this module does not know."""

    service: str


@dataclass(frozen=True, slots=True)
class Delay(Verdict):
    """`tarpit`: the answer comes late."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Reject(Verdict):
    """Close without an answer."""


@dataclass(frozen=True, slots=True)
class Refuse(Verdict):
    """What the client sent is at fault: the error page for this status, then close."""

    status: int


@dataclass(frozen=True, slots=True)
class Drop(Verdict):
    """Vanish. ttl: instead, a reset that dies after so many routers."""

    ttl: int | None


@dataclass(frozen=True, slots=True)
class CloseServer(Verdict):
    """The server's connection ends; what it has sent still goes to the client."""


@dataclass(frozen=True, slots=True)
class SwitchToHttp(Verdict):
    pass


@dataclass(frozen=True, slots=True)
class AwaitBody(Verdict):
    """Go on with the next rule when the body is here. at_least_bytes: 0 = all of it."""

    time_s: float
    at_least_bytes: int


@dataclass(frozen=True, slots=True)
class Wait(Verdict):
    """Go on with the next rule after this time."""

    time_s: float


ALLOW = Allow()
REJECT = Reject()
CLOSE_SERVER = CloseServer()
SWITCH_TO_HTTP = SwitchToHttp()

GOES_ON = (AwaitBody, Wait)
"""After these the ruleset is not at its end."""
