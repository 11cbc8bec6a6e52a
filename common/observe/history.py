"""The last minutes of each object, for sparklines: how much happened in each step of time. Sans-io.

A worker that serves a statistics page takes a sample every SAMPLE_S seconds; the totals are those of all processes, so every
worker's page shows the same line.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from common.observe.counters import Counters
from common.observe.fields import STOT

SAMPLE_S: Final = 2.0
POINTS: Final = 150  # five minutes


class History:
    """Sessions per second of every object, newest last."""

    __slots__ = ("_before", "_points", "_sampled_at_s")

    def __init__(self) -> None:
        self._before: list[int] = []
        self._points: deque[list[int]] = deque(maxlen=POINTS)
        self._sampled_at_s = 0.0

    def sample(self, counters: Counters, now: float) -> bool:
        """Take a sample if it is time for one. now: monotonic seconds."""
        elapsed_s = now - self._sampled_at_s
        if self._before and elapsed_s < SAMPLE_S:
            return False
        column = counters.total_column(STOT)
        for backend, servers in zip(counters.layout.backends, counters.layout.servers, strict=True):
            if backend >= 0 and not column[backend]:
                column[backend] = sum(column[number] for number in servers)
        if self._before:
            self._points.append([max(0, round((value - old) / elapsed_s)) for value, old in zip(column, self._before, strict=True)])
        self._before, self._sampled_at_s = column, now
        return True

    def of(self, number: int) -> list[int]:
        """The points of one object."""
        return [point[number] for point in self._points]
