"""Events per period, as a number that is right at every moment. Sans-io.

Source: HAProxy manual 4.2 "rate-limit sessions" ("extremely accurate", measured every millisecond), 11 (rates of stick tables).

Counting whole periods jumps at their borders: 2 × limit may pass around one. Here the count of the running period is added
to what is left of the previous one, which fades linearly: at 30 % of the period 70 % of the previous count still counts. A
stream at a steady rate then reads as exactly that rate, and a limit holds for every window, not only for those that begin
with a period. Two integers and a time, whatever the rate.
"""

from __future__ import annotations


class Rate:
    """Events per `period_s`."""

    __slots__ = ("_count", "_previous", "_start", "period_s")

    def __init__(self, period_s: float = 1.0) -> None:
        self.period_s = period_s
        self._start = 0.0  # of the running period
        self._count = 0
        self._previous = 0

    def add(self, now: float, events: int = 1) -> None:
        """They happened now."""
        if now - self._start >= self.period_s:
            self._roll(now)
        self._count += events

    def value(self, now: float) -> float:
        """Events in the period that ends now."""
        age = now - self._start
        if age >= self.period_s:
            self._roll(now)
            age = now - self._start
        return self._count + self._previous * (1 - age / self.period_s)

    def room(self, now: float, limit: int) -> int:
        """How many more events may happen now without passing the limit."""
        return max(0, int(limit - self.value(now) + _ROUNDING))

    def wait_s(self, now: float, limit: int) -> float:
        """How long until one more event fits below the limit (at least 1), if none happens meanwhile; 0 if it fits now."""
        excess = self.value(now) + 1 - limit
        if excess <= _ROUNDING:
            return 0.0
        left_s = self._start + self.period_s - now
        faded = self._previous * left_s / self.period_s  # what fades until the period ends
        if self._previous and excess <= faded + _ROUNDING:
            return excess * self.period_s / self._previous
        # In the next period the running count becomes the previous one and fades in turn.
        return left_s + (self._count + 1 - limit) * self.period_s / self._count

    def _roll(self, now: float) -> None:
        periods = int((now - self._start) / self.period_s)
        self._previous = self._count if periods == 1 else 0
        self._count = 0
        self._start += periods * self.period_s


_ROUNDING = 1e-9
