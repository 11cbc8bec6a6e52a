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
anyway. A processor may delay a write past a later read, so between announcing and looking there must be a `fence`: any atomic
operation, such as taking and releasing a lock of one's own.

Who waits first is told in the same way, so that a place goes to whoever waits longest, in whichever worker: who gives one back
calls that worker, and who comes new does not slip in before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
        """How many are taken, by all."""

    def own(self, server: int) -> int:
        """How many of them by this worker."""

    def announce(self, server: int, head: int) -> None:
        """Tell the others who waits first here."""

    def is_behind(self, server: int, head: int) -> bool:
        """Whether somebody who comes before waits in another worker."""

    def call_first(self, server: int) -> None:
        """A place is free: wake the worker in which somebody waits longest."""


class LocalPlaces:
    """The places of one worker that shares its servers with nobody."""

    __slots__ = ("counts",)

    def __init__(self, counts: list[int]) -> None:
        self.counts = counts

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

    own = used

    def announce(self, server: int, head: int) -> None:
        """There is nobody to tell."""

    def is_behind(self, server: int, head: int) -> bool:
        return False

    def call_first(self, server: int) -> None:
        """There is nobody to call."""

    def add(self) -> None:
        """One more server."""
        self.counts.append(0)


class Column(Protocol):
    """One number per process: a list, or every so many words of shared memory."""

    def __getitem__(self, row: int, /) -> int: ...
    def __setitem__(self, row: int, value: int, /) -> None: ...
    def __iter__(self) -> Iterator[int]: ...
    def __len__(self) -> int: ...


class SharedPlaces:
    """The places of workers that share their servers.

    taken, heads: for each server a column with a cell per process, of which only `row` is ours: how many places we have taken, and who
    waits first here (a key that is smaller for who comes first; 0: nobody). A worker that starts clears its own cells, and whoever finds
    a worker dead clears that one's. call(row) wakes a worker, so that it asks again.
    """

    __slots__ = ("_call", "_fence", "_heads", "_row", "_taken")

    def __init__(
        self, taken: Sequence[Column], heads: Sequence[Column], row: int, fence: Callable[[], object], call: Callable[[int], object]
    ) -> None:
        self._taken = list(taken)
        self._heads = list(heads)
        self._row = row
        self._fence = fence
        self._call = call

    def enter(self, server: int, limit: int) -> bool:
        column = self._taken[server]
        column[self._row] += 1
        if not limit:
            return True
        self._fence()
        if sum(column) <= limit:
            return True
        column[self._row] -= 1
        return False

    def leave(self, server: int) -> None:
        assert self._taken[server][self._row] > 0, "a place was given back that nobody had"
        self._taken[server][self._row] -= 1

    def used(self, server: int) -> int:
        return sum(self._taken[server])

    def own(self, server: int) -> int:
        return self._taken[server][self._row]

    def add(self, taken: Column, heads: Column) -> None:
        """One more server."""
        self._taken.append(taken)
        self._heads.append(heads)

    def announce(self, server: int, head: int) -> None:
        self._heads[server][self._row] = head

    def is_behind(self, server: int, head: int) -> bool:
        return self._first_elsewhere(server, head) is not None

    def call_first(self, server: int) -> None:
        row = self._first_elsewhere(server, 0)
        if row is not None:
            self._call(row)

    def _first_elsewhere(self, server: int, head: int) -> int | None:
        """The process in which somebody waits who comes before `head` (0: before nobody, so anybody does)."""
        first, found = head, None
        column = self._heads[server]
        for row in range(len(column)):
            other = column[row]
            if other > 0 and row != self._row and (not first or other < first):
                first, found = other, row
        return found


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
