"""When a server is going to close a connection, learned from what it says and does. Sans-io.

Source: RFC 9112 section 9.3 (closing is allowed at any time); draft-thomson-hybi-http-timeout (Keep-Alive: timeout, max).

A server that closes an idle connection just when a request leaves for it costs that request a retry, or an error where a
retry is not allowed. Most closes are planned, though: after so many requests, or after so many idle seconds. What is
announced is believed. What is only observed is believed once it has happened twice in a row in the same way, and forgotten
when a connection outlives it; so a server that was reconfigured costs two closes, not a wrong belief for ever.
"""

from __future__ import annotations

from math import inf

_TIMES_TO_BELIEVE = 2
_DOUBT_EVERY = 256
_SAME_IDLE_RATIO = 0.2  # two idle times count as the same timeout when they differ by at most this part
_IDLE_MARGIN_RATIO = 0.1  # a connection is given up this part, and at least so long, before the server would
_IDLE_MARGIN_S = 0.2


class Habits:
    """One server's. requests_limit: it closes after so many requests (0: not known); idle_limit_s: after so long (inf: not known)."""

    __slots__ = ("_asked", "_idle_last_s", "_idle_times", "_requests_last", "_requests_times", "idle_limit_s", "requests_limit")

    def __init__(self) -> None:
        self.requests_limit = 0
        self.idle_limit_s = inf
        self._asked = 0
        self._requests_last = 0
        self._requests_times = 0
        self._idle_last_s = 0.0
        self._idle_times = 0

    def closed_after(self, requests: int) -> None:
        """The server closed, or announced with `Connection: close` that it closes, with its answer to that request (1 is the first)."""
        if requests == self._requests_last:
            self._requests_times += 1
        else:
            self._requests_last, self._requests_times = requests, 1
        if self._requests_times >= _TIMES_TO_BELIEVE and requests > 1:
            self.requests_limit = requests

    def answered(self, requests: int) -> None:
        """A connection lives on after its answer to that request."""
        if requests >= self.requests_limit > 0:
            self.requests_limit = 0
            self._requests_times = 0

    def doubts(self) -> bool:
        """Whether to try, this time, if the server still closes after so many requests: seldom, as it may cost a repetition."""
        self._asked += 1
        return self._asked % _DOUBT_EVERY == 0

    def closed_idle(self, idle_s: float) -> None:
        """The server closed a connection that had been idle so long."""
        if abs(idle_s - self._idle_last_s) <= _SAME_IDLE_RATIO * max(idle_s, self._idle_last_s):
            self._idle_times += 1
        else:
            self._idle_times = 1
        if self._idle_times >= _TIMES_TO_BELIEVE:
            self.idle_limit_s = _with_margin(min(idle_s, self._idle_last_s))
        self._idle_last_s = idle_s

    def was_idle(self, idle_s: float) -> None:
        """A connection answered after having been idle so long."""
        if idle_s >= self.idle_limit_s:
            self.idle_limit_s = inf
            self._idle_times = 0

    def remaining(self, requests: int, announced_left: int | None = None) -> int | None:
        """How many more requests a connection that carried `requests` will answer; None: no limit known."""
        left = max(0, self.requests_limit - requests) if self.requests_limit else None
        if announced_left is None:
            return left
        return announced_left if left is None else min(left, announced_left)

    def idle_for_s(self, announced_timeout_s: float | None = None) -> float:
        """How long a connection may be idle and still be used."""
        return self.idle_limit_s if announced_timeout_s is None else min(self.idle_limit_s, _with_margin(announced_timeout_s))


def _with_margin(seconds: float) -> float:
    return max(0.0, seconds - max(_IDLE_MARGIN_S, seconds * _IDLE_MARGIN_RATIO))
