"""The ring of consistent hashing: 16 points per unit of weight, the closest one is chosen. Sans-io.

Source: HAProxy manual 4.2 "hash-type" (consistent), 5.2 "hash-key", "id". Where the points lie is not in the manual but must
be HAProxy's, or two balancers send one key to two servers; it was found by asking a stock HAProxy (see the test): point n of
a server lies at avalanche(4096 × id + n). A server that leaves takes only its own points, so only its keys move; one whose
weight shrinks loses its last points only.

`hash-key addr` and `addr-port` put the hash of the server's address in the place of its id, so that balancers which learned
the servers in another order agree. A 32-bit hash times 4096 would lose its upper bits; points of an address are
therefore spread by a step of their own (no stock HAProxy was at hand to compare these with).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from common.hashes import avalanche, sdbm

POINTS_PER_WEIGHT = 16
_POINTS_PER_ID = 4096  # 16 for each of 256 weights
_ADDRESS_STEP = 0x9E3779B1  # odd, so 2^32 different points
_MASK32 = 0xFFFFFFFF


def points_of_id(server_id: int, weight: float) -> list[int]:
    """Where a server stands by its id."""
    first = server_id * _POINTS_PER_ID
    return [avalanche(first + point & _MASK32) for point in range(_count(weight))]


def points_of_address(address: bytes, weight: float) -> list[int]:
    """Where a server stands by its address."""
    first = avalanche(sdbm(address))
    return [avalanche(first + point * _ADDRESS_STEP & _MASK32) for point in range(_count(weight))]


class Ring:
    """Points in order, each with the index of its server. Made anew when a server or a weight changes."""

    __slots__ = ("_owners", "_points")

    def __init__(self, servers: Iterable[tuple[int, Iterable[int]]]) -> None:
        ordered = sorted((point, index) for index, points in servers for point in points)
        self._points = [point for point, _ in ordered]
        self._owners = [index for _, index in ordered]

    def __len__(self) -> int:
        return len(self._points)

    def closest(self, value: int) -> int:
        """The position of the point closest to `value`; of two as close, the one before it. The ring has points."""
        points = self._points
        after = bisect_left(points, value)
        if after == len(points):
            after = 0
        before = after - 1  # -1 is the last one
        return before % len(points) if value - points[before] & _MASK32 <= points[after] - value & _MASK32 else after

    def owner(self, position: int) -> int:
        return self._owners[position]

    def owners_from(self, position: int) -> Iterator[int]:
        """Every server once, in the order in which the ring meets them from `position` on."""
        seen = set()
        for owner in self._owners[position:]:
            if owner not in seen:
                seen.add(owner)
                yield owner
        for owner in self._owners[:position]:
            if owner not in seen:
                seen.add(owner)
                yield owner


def _count(weight: float) -> int:
    return max(1, round(weight * POINTS_PER_WEIGHT))
