"""The requests that wait for a server: of one backend, one queue for each server and one for whoever comes first. Sans-io.

Source: HAProxy manual 4.2 "timeout queue", "http-request set-priority-class", "set-priority-offset"; 5.2 "maxconn", "maxqueue".

A request that must go to one server (cookie, stick table, hash) waits in that server's queue; one that any server may have
waits in the backend's. When a place is free at a server, the first of both queues gets it: lower class first, then the
earlier time of arrival (with the offset of its rule added), then the order of arrival. So without priorities it is first
come, first served, whichever queue somebody is in.

A free place is given to the one who waits in the same step in which it became free: nobody who comes later can slip in
between, and a ticket that was admitted has its place already. Whoever leaves for good in that moment gives it back with `abandon`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from worker.servers.places import Capacity, Places, dynamic_limit

T = TypeVar("T")

CLASS_MAX = 2047
OFFSET_MS_MAX = 524287
_COMPACT_MIN = 64  # left tickets stay in a heap until they are at least so many and more than half


class Waiting(Enum):
    """What became of a ticket."""

    WAITING = "waiting"
    ADMITTED = "admitted"  # it has a place at ticket.server
    INVITED = "invited"  # it may go to ticket.server without a place, behind others on a connection
    LEFT = "left"


class Ticket(Generic[T]):
    """One request's place in a queue. since: when it began to wait. ahead: how many were before it then (for the log)."""

    __slots__ = ("ahead", "item", "may_join", "order", "queue_of", "server", "since", "state")

    def __init__(self, item: T, queue_of: int | None, since: float, order: tuple[int, float, int], ahead: int) -> None:
        self.item = item
        self.queue_of = queue_of  # the server whose queue it is in; None: the backend's
        self.server: int | None = queue_of  # where it is admitted
        self.since = since
        self.order = order
        self.ahead = ahead
        self.may_join = False
        self.state = Waiting.WAITING


class _Line(Generic[T]):
    """Tickets in order. Those that leave from the middle are dropped when they come to the front."""

    __slots__ = ("_heap", "length")

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[int, float, int], Ticket[T]]] = []
        self.length = 0

    def push(self, ticket: Ticket[T]) -> None:
        heappush(self._heap, (ticket.order, ticket))
        self.length += 1

    def first(self) -> Ticket[T] | None:
        heap = self._heap
        while heap and heap[0][1].state is not Waiting.WAITING:
            heappop(heap)
        return heap[0][1] if heap else None

    def left(self) -> None:
        """A ticket of this line does not wait any more."""
        self.length -= 1
        if len(self._heap) >= _COMPACT_MIN and self.length * 2 < len(self._heap):
            self._heap = [entry for entry in self._heap if entry[1].state is Waiting.WAITING]
            heapify(self._heap)

    def all(self) -> list[Ticket[T]]:
        return [ticket for _, ticket in sorted(self._heap) if ticket.state is Waiting.WAITING]


class BackendQueue(Generic[T]):
    """All waiting requests of one backend in one worker. `places` counts for everybody who uses the servers."""

    __slots__ = ("_arrivals", "_capacities", "_common", "_lines", "_load", "_ratios", "_usable", "fullconn", "places")

    def __init__(self, capacities: list[Capacity], places: Places, fullconn: int = 0, load: Callable[[], int] | None = None) -> None:
        """load: the concurrent connections of the backend, over all workers; None: what this book knows itself."""
        self._capacities = list(capacities)
        self._usable = [True] * len(capacities)  # may take from the common queue
        self._ratios = [1.0] * len(capacities)
        self._lines: list[_Line[T]] = [_Line() for _ in capacities]
        self._common: _Line[T] = _Line()
        self._arrivals = 0
        self._load = load or self.load
        self.places = places
        self.fullconn = fullconn

    # --- what balancing asks -------------------------------------------------------------------------------------------

    def limit(self, server: int) -> int:
        """How many requests the server may have now; 0: any number."""
        capacity = self._capacities[server]
        if not capacity.minconn and self._ratios[server] >= 1:
            return capacity.maxconn
        return dynamic_limit(capacity, self._load(), self.fullconn, self._ratios[server])

    def is_full(self, server: int) -> bool:
        """Whether a request for that server would have to wait."""
        limit = self.limit(server)
        return bool(limit) and (self._lines[server].length > 0 or self.places.used(server) >= limit)

    def is_full_with_queue(self, server: int) -> bool:
        """The same for algorithms that count a short queue as room (leastconn): its maxqueue is used up as well."""
        limit = self.limit(server)
        return bool(limit) and self.places.used(server) + self._lines[server].length >= limit + self._capacities[server].maxqueue

    def is_queue_full(self, server: int) -> bool:
        """Whether not even waiting is allowed any more: who insists on that server must go elsewhere."""
        maxqueue = self._capacities[server].maxqueue
        return bool(maxqueue) and self._lines[server].length >= maxqueue

    def load_of(self, server: int) -> int:
        """Requests there and waiting for it, as leastconn counts them."""
        return self.places.used(server) + self._lines[server].length

    def queued(self, server: int | None = None) -> int:
        """How many wait for that server; None: for any."""
        return self._common.length if server is None else self._lines[server].length

    def load(self) -> int:
        """Requests at all servers and waiting."""
        at_servers = sum(self.places.used(server) for server in range(len(self._lines)))
        return at_servers + self._common.length + sum(line.length for line in self._lines)

    # --- coming and going ----------------------------------------------------------------------------------------------

    def enter(self, server: int) -> bool:
        """Take a place at once. False if there is none, or others wait for one."""
        if not self._capacities[server].maxconn and not self._capacities[server].minconn:
            return self.places.enter(server, 0)
        if self._lines[server].length or self.places.is_behind(server, 0):
            return False
        return self.places.enter(server, self.limit(server))

    def wait(
        self,
        item: T,
        server: int | None,
        now: float,
        *,
        priority_class: int = 0,
        priority_offset_ms: int = 0,
        may_join: bool = False,
    ) -> Ticket[T] | None:
        """A ticket for that server's queue, or the common one. None: that queue is full, go elsewhere.

        now: for a request that was moved here, when it began to wait. Where a server has a minconn, this ticket adds to the load
        that raises its limit: ask `admit` next.
        """
        if server is not None and self.is_queue_full(server):
            return None
        line = self._common if server is None else self._lines[server]
        self._arrivals += 1
        offset_s = _clipped(priority_offset_ms, OFFSET_MS_MAX) / 1000
        order = _clipped(priority_class, CLASS_MAX), now + offset_s, self._arrivals
        ticket = Ticket(item, server, now, order, line.length)
        ticket.may_join = may_join
        line.push(ticket)
        self._announce(server)
        return ticket

    def invite(self, server: int) -> Ticket[T] | None:
        """There is room on a connection that is in use: whoever is first, if it may go there. Others do not pass it."""
        ticket = self._next(server)
        if ticket is None or not ticket.may_join:
            return None
        ticket.state = Waiting.INVITED
        ticket.server = server
        self._line_of(ticket).left()
        self._announce(ticket.queue_of)
        return ticket

    def leave(self, server: int) -> list[Ticket[T]]:
        """A request is over and gives its place back. Returns who is admitted now."""
        self.places.leave(server)
        return self.admit(server)

    def abandon(self, ticket: Ticket[T]) -> list[Ticket[T]]:
        """Its client has gone, or it has waited too long; also after it was admitted. Returns who is admitted instead."""
        if ticket.state is Waiting.WAITING:
            ticket.state = Waiting.LEFT
            self._line_of(ticket).left()
            self._announce(ticket.queue_of)
            return []
        if ticket.state is Waiting.ADMITTED:
            ticket.state = Waiting.LEFT
            assert ticket.server is not None
            return self.leave(ticket.server)
        return []

    def admit(self, server: int, *, in_any_order: bool = False) -> list[Ticket[T]]:
        """Give the free places of a server to those who wait: after `leave`, a raised limit, or when another worker gave one back.

        in_any_order: also before those who wait longer in other workers, who may be dead or stopped.
        """
        places = self.places
        admitted: list[Ticket[T]] = []
        while True:
            limit = self.limit(server)
            ticket = self._next(server)
            if not in_any_order and places.is_behind(server, _key(ticket) if ticket is not None else 0):
                if not limit or places.used(server) < limit:
                    places.call_first(server)
                return admitted
            if ticket is None or not places.enter(server, limit):
                return admitted
            ticket.state = Waiting.ADMITTED
            ticket.server = server
            self._line_of(ticket).left()
            self._announce(ticket.queue_of)
            admitted.append(ticket)

    @property
    def anybody_waits(self) -> bool:
        return self._common.length > 0 or any(line.length for line in self._lines)

    # --- servers change ------------------------------------------------------------------------------------------------

    def server_down(self, server: int) -> list[Ticket[T]]:
        """The server is down, or drains. Returns who waited for it, in order, out of the queue: to be sent elsewhere.

        Whoever must go there all the same (`option persist`, `force-persist`) may `wait` again, with its ticket's `since`.
        """
        self._usable[server] = False
        moved = self._lines[server].all()
        self._lines[server] = _Line()
        for ticket in moved:
            ticket.state = Waiting.LEFT
        self._announce(server)
        return moved

    def server_up(self, server: int, slowstart_ratio: float = 1.0) -> list[Ticket[T]]:
        """The server takes requests again. Returns who is admitted now."""
        self._usable[server] = True
        return self.warm(server, slowstart_ratio)

    def warm(self, server: int, slowstart_ratio: float) -> list[Ticket[T]]:
        """Its slow start has come so far. Returns who is admitted now."""
        self._ratios[server] = slowstart_ratio
        return self.admit(server)

    def resize(self, server: int, capacity: Capacity) -> list[Ticket[T]]:
        """The operator changed its limits. Returns who is admitted now."""
        self._capacities[server] = capacity
        return self.admit(server)

    def add(self, capacity: Capacity) -> int:
        """One more server; `places` must know it."""
        self._capacities.append(capacity)
        self._usable.append(True)
        self._ratios.append(1.0)
        self._lines.append(_Line())
        return len(self._lines) - 1

    def check_invariants(self) -> None:
        """Raises AssertionError when the book is broken."""
        for server, line in [(None, self._common), *enumerate(self._lines)]:
            waiting = line.all()
            assert line.length == len(waiting)
            assert all(ticket.queue_of == server for ticket in waiting)
        for server, capacity in enumerate(self._capacities):
            maxqueue = capacity.maxqueue
            assert not maxqueue or self._lines[server].length <= maxqueue
            if self._next(server) is not None:
                limit = self.limit(server)
                assert limit and self.places.used(server) >= limit, f"somebody waits though server {server} has a place"

    # --- inside --------------------------------------------------------------------------------------------------------

    def _next(self, server: int) -> Ticket[T] | None:
        own = self._lines[server].first() if self._lines[server].length else None
        common = self._common.first() if self._common.length and self._usable[server] else None
        if own is None or common is None:
            return own or common
        return own if own.order < common.order else common

    def _announce(self, server: int | None) -> None:
        """Tell the other workers who waits first here; None: for any server."""
        for one in range(len(self._lines)) if server is None else (server,):
            ticket = self._next(one)
            self.places.announce(one, _key(ticket) if ticket is not None else 0)

    def _line_of(self, ticket: Ticket[T]) -> _Line[T]:
        return self._common if ticket.queue_of is None else self._lines[ticket.queue_of]


def _key(ticket: Ticket[T]) -> int:
    """Its order as one positive number that workers can compare."""
    return ((ticket.order[0] + CLASS_MAX + 1) << 50) + int(ticket.order[1] * 1e6)


def _clipped(value: int, most: int) -> int:
    return max(-most, min(most, value))
