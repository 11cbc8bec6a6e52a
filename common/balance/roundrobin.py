"""`balance roundrobin`: turns in proportion to weights, smooth, with weights that may change at any time. Sans-io.

Source: HAProxy manual 4.2 "balance".

Every server walks along one line with steps of 1/weight; whoever is furthest back makes the next step and is chosen. A
server of weight 5 so makes five steps where one of weight 1 makes one, spread over the whole way. Where a server starts
within its first step decides how well the steps interleave: the r-th of n servers starts at (r+1)/(n+1) of its step. With
equal weights that is plain rotation; weights 5,1,1 take turns as AAABACA. A heap finds the last one in O(log n).

Positions are integers, so they never drift; _STEP is divisible by the common weights, and for the others the error is
below one turn in a million.
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import heapify, heapreplace

from common.balance.balancer import NOBODY, Balancer, Full, Load, allowed

_STEP = 720720 * 4096  # the step of weight 1/16: divisible by all weights up to 16 and by powers of two
_STEPS_PER_WEIGHT = 16


class RoundRobin(Balancer):
    """Weighted turns; dynamic."""

    __slots__ = ("_heap", "_now", "_steps")

    _heap: list[tuple[int, int]]
    _steps: dict[int, int]
    _now: int

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        heap = self._heap
        if exclude or full is not None:
            return self._choose_among(exclude, full)
        if not heap:
            return None
        position, index = heap[0]
        if position < self._now:  # was passed over; keeps its turn, but no debt of turns builds up
            position = self._now
        self._now = position
        heapreplace(heap, (position + self._steps[index], index))
        return index

    def _choose_among(self, exclude: Collection[int], full: Full | None) -> int | None:
        """The furthest back of those allowed. Those passed over keep their place, so they come first when they can."""
        order = allowed((index for _, index in sorted(self._heap)), exclude, full)
        if not order:
            return None
        chosen = order[0]
        at = next(at for at, (_, index) in enumerate(self._heap) if index == chosen)
        self._now = max(self._now, self._heap[at][0])
        self._heap[at] = (self._now + self._steps[chosen], chosen)
        heapify(self._heap)
        return chosen

    def _elected_changed(self) -> None:
        before = {index: position for position, index in getattr(self, "_heap", ())}
        steps_before = getattr(self, "_steps", {})
        now = getattr(self, "_now", 0)
        size = len(self._elected)
        self._steps = {}
        self._heap = []
        for rank, index in enumerate(self._elected):
            step = _STEP // max(1, round(self._candidates[index].weight * _STEPS_PER_WEIGHT))
            if index in before:  # keeps the part of its step that is still ahead
                position = now + (before[index] - now) * step // steps_before[index]
            else:
                position = now + step * (rank + 1) // (size + 1)
            self._steps[index] = step
            self._heap.append((position, index))
        heapify(self._heap)
        self._now = now
