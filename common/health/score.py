"""Whether a server is up: what checks and watched traffic make of it. Sans-io.

Source: HAProxy manual 5.2 "check", "rise", "fall", "inter", "observe", "error-limit", "on-error", "init-state"; 4.2 "http-check
disable-on-404"; management guide 9.1 (status texts).

One number says it all, the *score* from 0 to rise + fall - 1. A server is up when it is at least `rise`:

    0          rise-1 | rise                rise+fall-1
    DOWN ... rising   |   falling ...       fully UP

A passed check adds one while the server is down; reaching `rise` makes it fully up at once. A failed one takes one away while it
is up; falling below `rise` makes it fully down at once. So only *consecutive* results move it: one success while falling
makes it fully up again, one failure while rising sends it back to 0.

Watched traffic (`observe`) counts consecutive errors; at `error-limit` the mode of `on-error` acts on the same number.

A check that says 404 (with disable-on-404) leaves the server its old clients but brings it no new ones: STOPPING, in status
texts NOLB.

The master runs checks and owns this; workers only watch, and report that a limit was reached.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf

_OBSERVED_GOOD = frozenset([*range(100, 500), 501, 505])


class State(Enum):
    UP = "UP"
    STOPPING = "NOLB"
    DOWN = "DOWN"


class OnError(Enum):
    """`on-error`. All of them ask for the next check soon."""

    FASTINTER = "fastinter"
    FAIL_CHECK = "fail-check"
    SUDDEN_DEATH = "sudden-death"
    MARK_DOWN = "mark-down"


class InitState(Enum):
    """`init-state`: what the first check decides alone (up, down), or what it takes a whole rise or fall to change."""

    UP = "up"
    FULLY_UP = "fully-up"
    DOWN = "down"
    FULLY_DOWN = "fully-down"


class Admin(Enum):
    """What the operator wants (`set server … state`)."""

    READY = "ready"
    DRAIN = "drain"
    MAINT = "maint"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change that is logged. by: "check", "observe" or "operator"."""

    before: State
    after: State
    by: str


@dataclass(frozen=True, slots=True)
class Intervals:
    """`inter`, `fastinter`, `downinter` in seconds; None where not set."""

    inter_s: float = 2.0
    fastinter_s: float | None = None
    downinter_s: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """What a server may get. text: as in the status column."""

    new: bool
    persistent: bool
    text: str


class Health:
    """One server's score. up_since: when it last came up (-inf: it was never seen down, so it has no slow start)."""

    __slots__ = ("_stopping", "changed_at", "error_limit", "errors", "fall", "hurried", "on_error", "rise", "score", "up_since")

    def __init__(
        self,
        rise: int = 2,
        fall: int = 3,
        *,
        init: InitState = InitState.UP,
        error_limit: int = 10,
        on_error: OnError = OnError.FAIL_CHECK,
    ) -> None:
        assert rise > 0 and fall > 0
        self.rise = rise
        self.fall = fall
        self.error_limit = error_limit
        self.on_error = on_error
        self.score = {
            InitState.UP: rise,
            InitState.FULLY_UP: rise + fall - 1,
            InitState.DOWN: rise - 1,
            InitState.FULLY_DOWN: 0,
        }[init]
        self._stopping = False
        self.errors = 0  # consecutive, watched
        self.hurried = False  # the next check is due after fastinter
        self.up_since = -inf
        self.changed_at = -inf

    @property
    def state(self) -> State:
        if self.score < self.rise:
            return State.DOWN
        return State.STOPPING if self._stopping else State.UP

    def restore(self, score: int, *, stopping: bool) -> None:
        """Go on from a score that was kept elsewhere."""
        self.score = min(max(score, 0), self.rise + self.fall - 1)
        self._stopping = stopping and self.score >= self.rise

    # --- checks ------------------------------------------------------------------------------------------------------

    def passed(self, now: float) -> Transition | None:
        """A check passed."""
        return self._set(now, min(self.score + 1, self.rise), stopping=False, by="check", when_up=True)

    def asked_to_stop(self, now: float) -> Transition | None:
        """A check answered 404 with disable-on-404. For a server that is down it is a failure."""
        if self.score < self.rise:
            return self.failed(now)
        return self._set(now, self.rise + self.fall - 1, stopping=True, by="check")

    def failed(self, now: float) -> Transition | None:
        """A check failed."""
        self.hurried = False
        return self._fail(now, "check")

    # --- traffic -----------------------------------------------------------------------------------------------------

    def observed(self, now: float, good: bool) -> Transition | None:
        """Something of the watched layer went well or wrong (`observe`)."""
        if good:
            self.errors = 0
            return None
        self.errors += 1
        return self.errors_reached(now) if self.errors >= self.error_limit else None

    def errors_reached(self, now: float) -> Transition | None:
        """error-limit consecutive errors were seen, here or by a worker that says so."""
        self.errors = 0
        self.hurried = True
        if self.score < self.rise or self.on_error is OnError.FASTINTER:
            return None
        if self.on_error is OnError.SUDDEN_DEATH:
            self.score = min(self.score, self.rise + 1)  # the simulated failure leaves one more to go
        elif self.on_error is OnError.MARK_DOWN:
            self.score = self.rise
        if self.on_error is OnError.SUDDEN_DEATH and self.score == self.rise:
            return None
        return self._fail(now, "observe")

    # --- the operator ------------------------------------------------------------------------------------------------

    def force(self, now: float, state: State) -> Transition | None:
        """`set server … health up|stopping|down`."""
        score = 0 if state is State.DOWN else self.rise + self.fall - 1
        return self._set(now, score, stopping=state is State.STOPPING, by="operator")

    # --- reading -----------------------------------------------------------------------------------------------------

    def interval_s(self, intervals: Intervals) -> float:
        """Until the next check."""
        in_transition = self.hurried or 0 < self.score < self.rise + self.fall - 1
        if in_transition:
            return intervals.inter_s if intervals.fastinter_s is None else intervals.fastinter_s
        if self.score == 0:
            return intervals.inter_s if intervals.downinter_s is None else intervals.downinter_s
        return intervals.inter_s

    def text(self) -> str:
        """The status: "UP", "UP 1/3" while falling, "DOWN 1/2" while rising, "NOLB", "DOWN"."""
        state = self.state
        if state is State.DOWN:
            return f"DOWN {self.score}/{self.rise}" if self.score else "DOWN"
        step = self.score - self.rise + 1
        return state.value if step == self.fall else f"{state.value} {step}/{self.fall}"

    def steps(self) -> str:
        """For the log of checks: "3/3 UP", "1/2 DOWN"."""
        if self.state is State.DOWN:
            return f"{self.score}/{self.rise} DOWN"
        return f"{self.score - self.rise + 1}/{self.fall} UP"

    def check_invariants(self) -> None:
        assert 0 <= self.score <= self.rise + self.fall - 1
        assert 0 <= self.errors < max(self.error_limit, 1)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _fail(self, now: float, by: str) -> Transition | None:
        if self.score > self.rise:
            self.score -= 1
            return None
        return self._set(now, 0, stopping=False, by=by)

    def _set(self, now: float, score: int, *, stopping: bool, by: str, when_up: bool = False) -> Transition | None:
        """A new score. when_up: what reaches `rise` is fully up."""
        before = self.state
        self.score = self.rise + self.fall - 1 if when_up and score >= self.rise else score
        self._stopping = stopping and self.score >= self.rise
        self.hurried = False if by == "check" else self.hurried
        after = self.state
        if after is before:
            return None
        self.changed_at = now
        if before is State.DOWN:
            self.up_since = now
            self.errors = 0
        return Transition(before, after, by)


def good_status(status: int) -> bool:
    """Whether `observe layer7` counts a response of that status as good; 0, for none that could be read, is bad."""
    return status in _OBSERVED_GOOD


def standing(health: State | None, admin: Admin, *, weight: float = 1) -> Standing:
    """What a server may get. health: None for one that is not checked; with `track`, that of the server it follows."""
    if admin is Admin.MAINT:
        return Standing(False, False, "MAINT")
    if health is State.DOWN:
        return Standing(False, False, "DOWN")
    if admin is Admin.DRAIN or weight <= 0:
        return Standing(False, True, "DRAIN")
    if health is State.STOPPING:
        return Standing(False, True, "NOLB")
    return Standing(True, True, "no check" if health is None else "UP")
