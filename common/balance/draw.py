"""`balance random(N)`: draw N servers by chance, take the least loaded of them. Sans-io.

Source: HAProxy manual 4.2 "balance" (random), "hash-balance-factor"; M. Mitzenmacher, "The Power of Two Random Choices".

HAProxy draws a point of the consistent ring; here the draw falls on the sum of the weights, which gives every server exactly
its share instead of roughly. Chance is a callable that returns a float in [0, 1), so a simulation can repeat itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable
from itertools import accumulate

from common.balance.balancer import NOBODY, Balancer, Candidate, Full, Load, allowed
from common.balance.hashing import bounds

DRAWS_DEFAULT = 2


class RandomDraws(Balancer):
    """Weighted; dynamic."""

    __slots__ = ("_chance", "_draws", "_factor_percent", "_sums")

    _sums: list[float]

    def __init__(
        self,
        candidates: Iterable[Candidate],
        chance: Callable[[], float],
        draws: int = DRAWS_DEFAULT,
        *,
        all_backups: bool = False,
        factor_percent: int = 0,
    ) -> None:
        self._chance = chance
        self._draws = draws
        self._factor_percent = factor_percent
        super().__init__(candidates, all_backups=all_backups)

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        indexes: Collection[int]
        if exclude or full is not None or self._factor_percent:
            indexes = self._with_room(load, exclude, full)
            sums = list(accumulate(self._candidates[index].weight for index in indexes))
        else:
            indexes, sums = self._elected, self._sums
        if not indexes:
            return None
        listed = list(indexes)
        last = len(listed) - 1
        total = sums[-1]
        chosen = listed[min(bisect_right(sums, self._chance() * total), last)]
        lowest = load(chosen) / self._candidates[chosen].weight if self._draws > 1 else 0
        for _ in range(self._draws - 1):
            drawn = listed[min(bisect_right(sums, self._chance() * total), last)]
            ratio = load(drawn) / self._candidates[drawn].weight
            if ratio < lowest:
                chosen, lowest = drawn, ratio
        return chosen

    def _with_room(self, load: Load, exclude: Collection[int], full: Full | None) -> list[int]:
        indexes = allowed(self._elected, exclude, full)
        limit = bounds(self, load, exclude, self._factor_percent)
        return [index for index in indexes if load(index) < limit[index]] or indexes if limit else indexes

    def _elected_changed(self) -> None:
        self._sums = list(accumulate(self._candidates[index].weight for index in self._elected))
