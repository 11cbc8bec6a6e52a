"""How many requests a server may have at once: its limit now, and the places taken. Sans-io.

Source: HAProxy manual 5.2 "maxconn", "minconn", "slowstart"; 4.2 "fullconn".

The limit moves with the load of the backend: at least minconn, at most maxconn, and in between in proportion to how near the
backend is to its fullconn. A server that came back grows into it during its slow start.

A place is taken before a request is sent and given back after it. A worker alone counts in `LocalPlaces`; several count in
`SharedPlaces`, each in cells that only it writes, in memory that all of them read. Nobody locks:

    announce   write that I take one more
    look       sum up the cells of all
    withdraw   if that is above the limit, write that I do not

Of all who hold a place, the one who announced last looked after all others had announced: it saw them all, so they are within
the limit. The price is that two who want the last place at the same moment may both withdraw; whoever waits asks again soon
anyway, since places that others give back come without an event. A processor may delay a write past a later read, so
between announcing and looking there must be a `fence`: any atomic operation, such as taking and releasing a lock of one's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from common.balance.weights import effective_maxconn


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the `server` line allows. 0 means no limit: of maxconn, all; of maxqueue, an endless queue."""

    maxconn: int = 0
    minconn: int = 0
    maxqueue: int = 0


class Places(Protocol):
    """The places taken at the servers of a backend, by all who share them."""

    def enter(self, server: int, limit: int) -> bool:
        """Take a place if fewer than `limit` are taken (0: always)."""

    def leave(self, server: int) -> None:
        """Give one back."""

    def used(self, server: int) -> int:
        """How many are taken."""


class LocalPlaces:
    """The places of one worker that shares its servers with nobody."""

    __slots__ = ("counts",)

    def __init__(self, servers: int) -> None:
        self.counts = [0] * servers

    def enter(self, server: int, limit: int) -> bool:
        if limit and self.counts[server] >= limit:
            return False
        self.counts[server] += 1
        return True

    def leave(self, server: int) -> None:
        assert self.counts[server] > 0, "a place was given back that nobody had"
        self.counts[server] -= 1

    def used(self, server: int) -> int:
        return self.counts[server]

    def add(self) -> None:
        """One more server."""
        self.counts.append(0)


class Cells(Protocol):
    """Numbers that can be read and, by their owner, written: a list, or a memoryview of shared memory."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...


class SharedPlaces:
    """The places of workers that share their servers.

    own: this worker's cells, one per server; others: those of all others. A worker that starts clears its own, and whoever
    finds a worker dead clears that one's.
    """

    __slots__ = ("_fence", "_others", "_own")

    def __init__(self, own: Cells, others: Sequence[Cells], fence: Callable[[], object]) -> None:
        self._own = own
        self._others = list(others)
        self._fence = fence

    def enter(self, server: int, limit: int) -> bool:
        own = self._own
        own[server] += 1
        if not limit:
            return True
        self._fence()
        if self.used(server) <= limit:
            return True
        own[server] -= 1
        return False

    def leave(self, server: int) -> None:
        assert self._own[server] > 0, "a place was given back that nobody had"
        self._own[server] -= 1

    def used(self, server: int) -> int:
        used = self._own[server]
        for cells in self._others:
            used += cells[server]
        return used


def dynamic_limit(capacity: Capacity, backend_load: int, fullconn: int, slowstart_ratio: float = 1.0) -> int:
    """How many requests the server may have at this load of the backend; 0: any number.

    backend_load: the concurrent connections of the whole backend, those that wait included.
    """
    limit = capacity.maxconn or capacity.minconn
    if not limit:
        return 0
    if capacity.minconn and capacity.minconn < limit and backend_load < fullconn:
        limit = max(capacity.minconn, backend_load * limit // fullconn)
    return effective_maxconn(limit, slowstart_ratio)


def fullconn_default(frontend_maxconns: Sequence[int]) -> int:
    """`fullconn` where it is not set: 10 % of the maxconns of all frontends that may lead to the backend."""
    return max(1, (sum(frontend_maxconns) + 9) // 10)
