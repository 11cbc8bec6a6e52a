"""`balance source|uri|url_param|hdr|rdp-cookie|hash`: the same key to the same server. Sans-io.

Source: HAProxy manual 4.2 "balance", "hash-type", "hash-balance-factor", "hash-preserve-affinity".

All of them are one thing: bytes -> 32 bits -> a server. `source` differs in how: an address is a number already, so its
words are combined by exclusive or and the function of `hash-type` is not asked, only the avalanche (so does HAProxy;
seen by asking it). Without a key the turn of the servers decides.

Affinity comes before capacity: a full server is chosen all the same and the request waits in that server's queue, unless
`hash-preserve-affinity maxconn|maxqueue` says that the next server of the key is better than waiting; `full` then tells
whether the server is at its maxconn, or whether its queue is full as well.

Hashes of short keys are remembered: hashing in Python costs microseconds, remembering a tenth of one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from math import ceil

from common.balance.balancer import NOBODY, Balancer, Candidate, Full, Load
from common.balance.ring import Ring, points_of_address, points_of_id
from common.balance.roundrobin import RoundRobin
from common.balance.static_map import StaticMap, StaticRoundRobin
from common.hashes import avalanche

_REMEMBERED_KEYS_MAX = 4096
_REMEMBERED_KEY_BYTES_MAX = 128

Hash = Callable[[bytes], int]


def address_number(address: bytes) -> int:
    """The hash of `balance source`: the 32-bit words of a packed IPv4 or IPv6 address, combined by exclusive or."""
    if len(address) == 4:
        return int.from_bytes(address, "big")
    number = 0
    for start in range(0, len(address), 4):
        number ^= int.from_bytes(address[start : start + 4], "big")
    return number


def remembered(function: Hash, *, mixed: bool) -> Hash:
    """`function`, then the avalanche if `mixed`, keeping the results of the last short keys."""

    def compute(key: bytes) -> int:
        return avalanche(function(key)) if mixed else function(key)

    cached = lru_cache(maxsize=_REMEMBERED_KEYS_MAX)(compute)

    def hash_key(key: bytes) -> int:
        return cached(key) if len(key) <= _REMEMBERED_KEY_BYTES_MAX else compute(key)

    return hash_key


class MapHash(StaticMap):
    """`hash-type map-based`: entry (hash modulo total weight) of the dealt table."""

    __slots__ = ("_hash", "_heed_full", "_turns")

    sticky = True

    def __init__(self, candidates: Iterable[Candidate], hash_key: Hash, *, all_backups: bool = False, heed_full: bool = False) -> None:
        listed = list(candidates)
        self._hash = hash_key
        self._heed_full = heed_full
        self._turns = StaticRoundRobin(listed, all_backups=all_backups)
        super().__init__(listed, all_backups=all_backups)

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        if key is None:
            return self._turns.choose(None, load, exclude, full)
        table = self._table or self._entries()
        if not table:
            return None
        start = self._hash(key) % len(table)
        if full is not None and self._heed_full:
            position = self._walk(start, exclude, full)
            if position is not None:
                return table[position]
        elif not exclude:
            return table[start]
        position = self._walk(start, exclude, None)
        return None if position is None else table[position]

    def update(self, index: int, *, weight: float | None = None, usable: bool | None = None, address: bytes | None = None) -> None:
        self._turns.update(index, weight=weight, usable=usable)
        super().update(index, weight=weight, usable=usable, address=address)

    def add(self, candidate: Candidate) -> int:
        self._turns.add(candidate)
        return super().add(candidate)


class RingHash(Balancer):
    """`hash-type consistent`, with `hash-balance-factor`."""

    __slots__ = ("_by_address", "_factor_percent", "_hash", "_heed_full", "_points", "_ring", "_turns")

    sticky = True

    def __init__(
        self,
        candidates: Iterable[Candidate],
        hash_key: Hash,
        *,
        all_backups: bool = False,
        heed_full: bool = False,
        factor_percent: int = 0,
        by_address: bool = False,
    ) -> None:
        listed = list(candidates)
        self._hash = hash_key
        self._heed_full = heed_full
        self._factor_percent = factor_percent
        self._by_address = by_address
        self._ring: Ring | None = None
        self._points: dict[int, tuple[tuple[float, bytes], list[int]]] = {}  # index -> weight and address, where it stands
        self._turns = RoundRobin(listed, all_backups=all_backups)
        super().__init__(listed, all_backups=all_backups)

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        if key is None:
            return self._turns.choose(None, load, exclude, full)
        ring = self._ring or self._made_ring()
        if not ring:
            return None
        position = ring.closest(self._hash(key))
        if not exclude and not self._factor_percent and (full is None or not self._heed_full):
            return ring.owner(position)
        return self._first_fit(ring, position, load, exclude, full if self._heed_full else None)

    def update(self, index: int, *, weight: float | None = None, usable: bool | None = None, address: bytes | None = None) -> None:
        self._turns.update(index, weight=weight, usable=usable)
        super().update(index, weight=weight, usable=usable, address=address)

    def add(self, candidate: Candidate) -> int:
        self._turns.add(candidate)
        return super().add(candidate)

    def _first_fit(self, ring: Ring, position: int, load: Load, exclude: Collection[int], full: Full | None) -> int | None:
        """The first server along the ring that is allowed, not overloaded and not full; the first that is allowed if none is."""
        limit = bounds(self, load, exclude, self._factor_percent)
        first = None
        for index in ring.owners_from(position):
            if index in exclude:
                continue
            if first is None:
                first = index
            if load(index) < limit.get(index, 1 << 62) and (full is None or not full(index)):
                return index
        return first

    def _made_ring(self) -> Ring:
        for index in self._elected:
            candidate = self._candidates[index]
            made_of = candidate.weight, candidate.address
            if self._points.get(index, (None,))[0] != made_of:
                by_address = self._by_address and candidate.address
                self._points[index] = (
                    made_of,
                    (
                        points_of_address(candidate.address, candidate.weight)
                        if by_address
                        else points_of_id(candidate.id, candidate.weight)
                    ),
                )
        self._ring = Ring((index, self._points[index][1]) for index in self._elected)
        return self._ring

    def _elected_changed(self) -> None:
        self._ring = None


def bounds(balancer: Balancer, load: Load, exclude: Collection[int], factor_percent: int) -> dict[int, int]:
    """`hash-balance-factor`: index -> the load at which a server takes no more; empty without a factor.

    With one more request the average per unit of weight is (all + 1) / weights; a server may hold factor percent of that
    times its own weight, rounded up. Since the factor is above 100 there is always a server with room.
    """
    if not factor_percent:
        return {}
    indexes = [index for index in balancer.elected if index not in exclude]
    weights = [balancer.weight(index) for index in indexes]
    per_weight = (sum(map(load, indexes)) + 1) * factor_percent / 100 / (sum(weights) or 1)
    return {index: ceil(per_weight * weight) for index, weight in zip(indexes, weights, strict=True)}
