"""`balance leastconn`: the server with the fewest connections for its weight. Sans-io. Source: HAProxy manual 4.2 "balance".

The load of a server is its connections divided by its weight. Among servers of the same load the next one in turn is taken,
so that all are used. Loads come from the caller at every choice because other processes change them too: a tree that is
kept in order, as one process alone would keep it, cannot be had, and for the tens of servers of a farm a pass in C over
their loads is as quick.

Equal fractions give equal floats (division rounds correctly), and different ones differ far above the rounding, since
weights have at most 4096 steps: the comparison is exact.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import truediv

from common.balance.balancer import NOBODY, Balancer, Full, Load, allowed


class LeastConnections(Balancer):
    """Weighted least connections; ties go round."""

    asks_load = True

    __slots__ = ("_even", "_turn", "_twice", "_weights", "_weights_twice")

    _turn: int

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        size = len(self._elected)
        turn = self._turn
        order = self._twice[turn : turn + size]
        if exclude or full is not None:
            return self._choose_among(allowed(order, exclude, full), load)
        if not size:
            return None
        loads = list(map(load, order))
        if self._even:
            ahead = loads.index(min(loads))
        else:
            ratios = list(map(truediv, loads, self._weights_twice[turn : turn + size]))
            ahead = ratios.index(min(ratios))
        self._turn = (turn + ahead + 1) % size
        return order[ahead]

    def _choose_among(self, order: list[int], load: Load) -> int | None:
        if not order:
            return None
        ratios = [load(index) / self._weights[index] for index in order]
        chosen = order[ratios.index(min(ratios))]
        self._turn = (self._elected.index(chosen) + 1) % len(self._elected)
        return chosen

    def _elected_changed(self) -> None:
        before = getattr(self, "_twice", ())
        next_index = before[self._turn] if before else 0
        self._twice = self._elected * 2
        self._weights = [candidate.weight for candidate in self._candidates]
        weights = tuple(self._weights[index] for index in self._elected)
        self._weights_twice = weights * 2
        self._even = len(set(weights)) <= 1
        self._turn = next((turn for turn, index in enumerate(self._elected) if index >= next_index), 0)
