"""`balance budget` (ours): the scheme that Willy Tarreau sketched for processes that share a listener. Sans-io.

Source: seeds, the mail on the shm_balance patch (2014): raise all budgets to 1 when they are all 0; a taken connection costs
its process 1, a closed one gives 1 back; when all budgets are above 1, subtract the lowest from all.

Every one of these steps keeps budget + connections the same for all processes: raising and subtracting touch all of them
alike, taking and closing move one unit between the two. So the whole state is one number, the *level*, and

    budget of a process = level - connections of that process

Whoever has a budget may take; they take in turn. That bounds the difference (nobody gets beyond the level, and the level
only rises when all are at it) without anybody asking who has the least: cheaper to share than exact least connections
and a little less even after many connections have closed. A process that was started late, or one whose connections others
counted, may stand apart; the level then comes down to where somebody may take again. Weights do not matter but for 0.
"""

from __future__ import annotations

from collections.abc import Collection

from common.balance.balancer import NOBODY, Balancer, Full, Load, allowed


class Budget(Balancer):
    """Turns among those below the level."""

    asks_load = True

    __slots__ = ("_level", "_next")

    _level: int
    _next: int

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        indexes: Collection[int] = self._elected
        if exclude or full is not None:
            indexes = allowed(indexes, exclude, full)
        if not indexes:
            return None
        loads = {index: load(index) for index in indexes}
        level = self._settled_level(loads.values())
        below = [index for index, count in loads.items() if count < level]
        chosen = next((index for index in below if index >= self._next), below[0])
        self._next = chosen + 1
        return chosen

    def budgets(self, load: Load) -> dict[int, int]:
        """index -> budget, for the operator."""
        return {index: self._level - load(index) for index in self._elected}

    def _settled_level(self, counts: Collection[int]) -> int:
        level = self._level
        lowest, highest = min(counts), max(counts)
        if level - highest > 1:  # all budgets above 1: subtract the lowest one
            level = highest
        if level <= lowest:  # all budgets used up: raise them to where the first is 1
            level = lowest + 1
        self._level = level
        return level

    def _elected_changed(self) -> None:
        self._level = getattr(self, "_level", 0)
        self._next = getattr(self, "_next", 0)
