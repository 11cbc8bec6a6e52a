"""The table behind `balance static-rr` and `hash-type map-based`: each server as often as it weighs. Sans-io.

Source: HAProxy manual 4.2 "balance" (static-rr), "hash-type" (map-based). The order of the entries is not in the manual but
must be HAProxy's, or two balancers send one key to two servers; it was found by asking a stock HAProxy (see the test).

Weights are divided by their greatest common divisor first. Then the table is dealt: at each entry every server gains its
weight as credit, and the entry goes to the first server whose credit is in the highest *whole* multiple of the total; it
pays the total.

Static means: what counts is the weight that a server started with. A weight that changes while the server is up has no
effect, except that 0 takes it out and anything else brings it back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import reduce
from math import gcd

from common.balance.balancer import NOBODY, Balancer, Candidate, Full, Load

_STEPS_PER_WEIGHT = 16


def deal(weights: Sequence[float]) -> list[int]:
    """The table for servers of these weights (each above 0): positions in `weights`, in HAProxy's order."""
    whole = [max(1, round(weight * _STEPS_PER_WEIGHT)) for weight in weights]
    divisor = reduce(gcd, whole, 0) or 1
    shares = [weight // divisor for weight in whole]
    total = sum(shares)
    credits = [0] * len(shares)
    table = []
    for _ in range(total):
        best, best_turns = 0, -1
        for position, share in enumerate(shares):
            credits[position] += share
            turns = (credits[position] + total) // total
            if turns > best_turns:
                best, best_turns = position, turns
        credits[best] -= total
        table.append(best)
    return table


class StaticMap(Balancer):
    """Keeps the table over the elected servers; subclasses choose an entry."""

    __slots__ = ("_start_weights", "_table")

    static = True

    def __init__(self, candidates: Iterable[Candidate], *, all_backups: bool = False) -> None:
        listed = list(candidates)
        self._start_weights = [candidate.weight for candidate in listed]
        self._table: list[int] | None = None
        super().__init__(listed, all_backups=all_backups)

    def add(self, candidate: Candidate) -> int:
        self._start_weights.append(candidate.weight)
        return super().add(candidate)

    def _elected_changed(self) -> None:
        self._table = None  # dealt when it is needed: several servers often change together

    def _entries(self) -> list[int]:
        table = self._table
        if table is None:
            weights = [self._start_weights[index] or self._candidates[index].weight for index in self._elected]
            table = self._table = [self._elected[position] for position in deal(weights)]
        return table

    def _walk(self, start: int, exclude: Collection[int], full: Full | None) -> int | None:
        """The position of the first allowed entry from `start` on, going round; None if there is none."""
        table = self._entries()
        refused = set(exclude)
        for step in range(len(table)):
            position = (start + step) % len(table)
            index = table[position]
            if index in refused:
                continue
            if full is None or not full(index):
                return position
            refused.add(index)
            if len(refused) >= len(self._candidates):
                break
        return None


class StaticRoundRobin(StaticMap):
    """`balance static-rr`: entry after entry."""

    __slots__ = ("_next",)

    def __init__(self, candidates: Iterable[Candidate], *, all_backups: bool = False) -> None:
        self._next = 0
        super().__init__(candidates, all_backups=all_backups)

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        table = self._table or self._entries()
        if not table:
            return None
        if not exclude and full is None:
            position = self._next % len(table)
        else:
            found = self._walk(self._next, exclude, full)
            if found is None:
                return None
            position = found
        self._next = position + 1
        return table[position]
