"""`balance random(N)`: draw N servers by chance, take the least loaded of them. Sans-io.

Source: HAProxy manual 4.2 "balance" (random), "hash-balance-factor"; M. Mitzenmacher, "The Power of Two Random Choices".

HAProxy draws a point of the consistent ring; here the draw falls on the sum of the weights, which gives every server exactly
its share instead of roughly. Chance is a callable that returns a float in [0, 1), so a simulation can repeat itself.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import accumulate

from common.balance.balancer import NOBODY, Balancer, Candidate, Full, Load, allowed
from common.balance.hashing import bounds

DRAWS_DEFAULT = 2
_MASK64 = 2**64 - 1
_FLOAT_STEPS = 2**53


def xorshift(seed: int = 0x9E3779B97F4A7C15) -> Callable[[], float]:
    """Chance enough to balance with (nothing here is secret): floats in [0, 1). Source: Marsaglia, "Xorshift RNGs", 13-7-17."""
    state = seed & _MASK64 or 1

    def chance() -> float:
        nonlocal state
        state ^= state << 13 & _MASK64
        state ^= state >> 7
        state ^= state << 17 & _MASK64
        return (state >> 11) / _FLOAT_STEPS

    return chance


class RandomDraws(Balancer):
    """Weighted; dynamic."""

    __slots__ = ("_chance", "_draws", "_factor_percent", "_sums", "asks_load")

    _sums: list[float]

    def __init__(
        self,
        candidates: Iterable[Candidate],
        chance: Callable[[], float] | None = None,
        draws: int = DRAWS_DEFAULT,
        *,
        all_backups: bool = False,
        factor_percent: int = 0,
    ) -> None:
        self._chance = chance or xorshift()
        self._draws = draws
        self.asks_load = draws > 1
        self._factor_percent = factor_percent
        super().__init__(candidates, all_backups=all_backups)

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        indexes: Sequence[int]
        if exclude or full is not None or self._factor_percent:
            indexes = self._with_room(load, exclude, full)
            sums = list(accumulate(self._candidates[index].weight for index in indexes))
        else:
            indexes, sums = self._elected, self._sums
        if not indexes:
            return None
        last = len(indexes) - 1
        total = sums[-1]
        chosen = indexes[min(bisect_right(sums, self._chance() * total), last)]
        lowest = load(chosen) / self._candidates[chosen].weight if self._draws > 1 else 0
        for _ in range(self._draws - 1):
            drawn = indexes[min(bisect_right(sums, self._chance() * total), last)]
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
