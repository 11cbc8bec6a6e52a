"""A queue for work that clients give up on: first come first served in calm, newest first under overload. Sans-io.

Source: haproxy issue 1881 (the metastable state of handshakes that all finish too late); B. Maurer, "Fail at Scale" (adaptive
LIFO, controlled delay); K. Nichols, V. Jacobson, "Controlling Queue Delay" (a standing queue, not a long one, is overload).

A TLS handshake costs a millisecond of processor and is worth nothing to a client that has left. When more come than can be
served, a fair queue grows until everybody is served just after giving up: all the work is done and nobody gets anything,
and it stays so when the surge is over, since those who left come again. So two things change under overload:

    order   the newest goes first: it is the one whose client surely still waits
    age     who has waited longer than `patience_s` is refused at once; refusing costs microseconds

Overload is a *standing* queue: for `interval_s` nobody who was served had waited less than `target_s`. A burst that drains in
time never gets there. It is over when somebody is again served within the target in order of arrival, which newest-first
must not pretend: so the age of the oldest one waiting decides, or the queue is empty.

Workers use it for handshakes, the dispatcher for connections that must be seated again while every worker is full.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum
from math import inf
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Load(Enum):
    CALM = "calm"
    OVERLOADED = "overloaded"


class Lane(Generic[T]):
    """Items that wait to be served. refused, served: how many so far."""

    __slots__ = ("_late_since", "_waiting", "interval_s", "load", "patience_s", "refused", "served", "target_s")

    def __init__(self, patience_s: float, *, target_s: float = 0.1, interval_s: float = 0.5) -> None:
        self.patience_s = patience_s
        self.target_s = target_s
        self.interval_s = interval_s
        self.load = Load.CALM
        self.refused = 0
        self.served = 0
        self._waiting: OrderedDict[T, float] = OrderedDict()  # -> when it came; oldest first
        self._late_since = inf  # since when the oldest one has always been later than the target

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, item: T, now: float) -> None:
        """It waits from now on."""
        self._waiting[item] = now

    def push_back(self, item: T, since: float) -> None:
        """It waits since then already, longer than all others here."""
        self._waiting[item] = since
        self._waiting.move_to_end(item, last=False)

    def take(self, now: float) -> T | None:
        """The one to serve next; None if nobody waits. Ask `expire` first."""
        if not self._waiting:
            self._judge(now)
            return None
        self._judge(now)
        item, _ = self._waiting.popitem(last=self.load is Load.OVERLOADED)
        self.served += 1
        return item

    def expire(self, now: float) -> list[T]:
        """Who has waited too long, oldest first: refuse them. Calm or not; under overload it is just likely."""
        expired = []
        limit = now - self.patience_s
        for item, since in self._waiting.items():
            if since > limit:
                break
            expired.append(item)
        for item in expired:
            del self._waiting[item]
        self.refused += len(expired)
        return expired

    def remove(self, item: T) -> bool:
        """Its client has gone. False if it did not wait here."""
        return self._waiting.pop(item, None) is not None

    def next_expiry(self) -> float:
        """When `expire` will have somebody; inf while nobody waits."""
        return next(iter(self._waiting.values())) + self.patience_s if self._waiting else inf

    def check_invariants(self) -> None:
        """Raises AssertionError when the book is broken."""
        times = list(self._waiting.values())
        assert times == sorted(times), "not in the order of arrival"

    def _judge(self, now: float) -> None:
        oldest = next(iter(self._waiting.values()), inf)
        if now - oldest < self.target_s:  # nobody waits, or the oldest one not for long
            self._late_since = inf
            self.load = Load.CALM
            return
        if self._late_since == inf:
            self._late_since = now
        if now - self._late_since >= self.interval_s:
            self.load = Load.OVERLOADED
