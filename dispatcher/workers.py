"""The workers that connections are handed over to: one book of slots, one channel per worker, and who waits for what.

A *farm* is the workers of the implicit tier, or those that one `listen` reaches by servers with `pass-fd`. A client is at any
moment in one of three places:

    held      accepted (or given back), and nobody takes it: the farm is saturated and its doors are closed
    waiting   given to a worker that has not read from it: we keep our copy of the descriptor, with every byte still in it
    gone      taken; only its number is left, in the book, until the worker reports its end

The book (dispatcher/policy/slots.py) decides, this module does. The other way round, what a worker sends is checked by
the book: a report about a connection that is not (any more) the worker's changes nothing.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import inf
from typing import Protocol

from common.net.fdpass import Given
from common.net.pump import Pump, Strand
from common.wire.claims import GiversCells
from common.wire.handover import BIND_OF_CHANNEL, GiveFlag, encode_give
from dispatcher.gates import Gates
from dispatcher.policy.heartbeat import Heartbeats
from dispatcher.policy.slots import Reseat, Slot, Slots, State
from dispatcher.room import Room
from dispatcher.seat import WorkerSeat
from dispatcher.servers import Servers
from dispatcher.tally import Tally

_RESEATED = int(GiveFlag.RESEATED)


class Owner(Protocol):
    """The dispatcher as a farm sees it."""

    pump: Pump
    gates: Gates | None
    room: Room

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...
    def remark(self, text: str) -> None: ...
    def heart_of(self, pid: int) -> memoryview[int] | None:
        """The heartbeat words of a process of this service; None when it has none (a tier that was started alone)."""

    def is_idle(self) -> None:
        """The farm has nobody left who depends on this process."""


class Client:
    """One accepted connection that is not taken yet. header: its PROXY v2 header. source: packed, for `balance source`.

    flags: GiveFlag. since: when it came, held_at: since when nobody takes it, in pump time. cell: of the worker that it waits at
    (common/wire/claims.py).
    """

    __slots__ = ("cell", "cells", "fd", "flags", "header", "held_at", "listener", "since", "source")

    def __init__(self, fd: int, listener: int, header: bytes, source: bytes) -> None:
        self.fd = fd
        self.listener = listener
        self.header = header
        self.source = source
        self.flags = 0
        self.since = self.held_at = inf
        self.cells: GiversCells | None = None
        self.cell = -1


class Farm:
    """See the module. bind_ids: the bind of each listener.

    servers, tally: of an explicit proxy; None: the book chooses, and the workers count. queue_s: how long a client may be held.
    """

    def __init__(
        self,
        owner: Owner,
        name: str,
        slots: Slots,
        bind_ids: Sequence[int],
        *,
        servers: Servers | None = None,
        tally: Tally | None = None,
        queue_s: float = inf,
    ) -> None:
        self.name = name
        self.slots = slots
        self.servers = servers
        self.tally = tally
        self.seats: list[WorkerSeat] = []
        self.waiting: dict[int, Client] = {}
        self.held: deque[Client] = deque()
        self.introducing = [0] * len(bind_ids)  # clients of each listener whose PROXY header is awaited
        self.given = 0
        self.reseated = 0
        self.lost = 0  # held for too long
        self.queue_s = queue_s
        self._owner = owner
        self._bind_ids = list(bind_ids)
        self._listener_of = {bind: listener for listener, bind in enumerate(bind_ids)}
        self._bind_words = list(bind_ids) if servers is None else [BIND_OF_CHANNEL | number for number in range(len(bind_ids))]
        self._closed_doors: list[Strand] = []
        self._hearts = Heartbeats()
        self._watched_at = inf

    def add_worker(self, name: bytes, where: str, *, number: int | None = None, maxconn: int = 0) -> None:
        """A worker that is reached by this name. number: who must greet there; None: whoever does."""
        seat = WorkerSeat(self, self._owner, len(self.seats), name, where, number, maxconn)
        self.seats.append(seat)
        self._owner.pump.spawn(seat.channel.run(), f"channel to {where}")

    # --- giving --------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Somebody will take the next connection."""
        return not self.held and not self.slots.saturated

    def close_door(self, strand: Strand) -> None:
        """That strand stops accepting; it is woken when there is room."""
        self._closed_doors.append(strand)

    def seat(self, client: Client) -> None:
        """Give a connection to the best worker that takes it, or hold it until one does."""
        if self.tally is not None:
            self.tally.came(self._bind_ids[client.listener])
            self.tally.routed()
        client.since = self._owner.pump.now
        if self.held or not self._give(client):
            client.held_at = client.since
            self.held.append(client)

    def _give(self, client: Client) -> bool:
        slots = self.slots
        listener = client.listener
        while True:
            slot = slots.choose(listener, client.source) if self.servers is None else self._choose(self.servers, client)
            if slot is None:
                return False
            number = slots.give(slot, listener)
            channel = self.seats[slot.index].channel
            cells = channel.cells
            assert cells is not None
            cell = cells.lease()
            if cell < 0:
                given = Given.FULL
            else:
                given = channel.give(encode_give(number, self._bind_words[listener], cell, client.header, client.flags), client.fd)
            if given is Given.SENT:
                client.cells, client.cell = cells, cell
                self.waiting[number] = client
                self.given += 1
                if self.tally is not None:
                    self.tally.seated(slot.index)
                return True
            if cell >= 0:
                cells.free(cell)
            slots.take_back(slot, number)
            slots.blocked(slot)
            if given is Given.FULL:
                channel.wait_for_room()

    def _choose(self, servers: Servers, client: Client) -> Slot | None:
        """As the `balance` line says, among the slots that take connections."""
        slots, tally, listener, cost = self.slots.slots, self.tally, client.listener, int(self.slots.handshake_cost)

        def load(index: int) -> int:
            """Connections of this listener here, of all listeners at the other dispatchers, handshakes as the book counts them."""
            slot = slots[index]
            others = tally.at_server(index) - slot.total if tally is not None else 0
            return slot.counts[listener] + others + cost * slot.handshakes

        full = {slot.index for slot in slots if slot.state is not State.UP}
        position = servers.choose(client.source, load, full=full.__contains__ if full else None)
        return None if position is None else slots[position]

    def reseat(self, slot: Slot, back: Reseat) -> None:
        """These were given to that slot and will not be taken there: to others, in their order, before whoever is held already."""
        if self.tally is not None:
            for _ in back:
                self.tally.unseated(slot.index)
        clients = deque(self.waiting.pop(number) for number, _listener in back)
        self.reseated += len(clients)
        now = self._owner.pump.now
        for client in clients:
            client.flags = _RESEATED
            client.held_at = now
        while clients and self._give(clients[0]):
            clients.popleft()
        self.held.extendleft(reversed(clients))

    def resume(self) -> None:
        """There may be room: for those that are held, then for the doors."""
        while self.held:
            if not self._give(self.held[0]):
                return
            self.held.popleft()
        if self._closed_doors and not self.slots.saturated:
            self.open_doors()
        if not self.waiting:
            self._owner.is_idle()

    def open_doors(self) -> None:
        strands, self._closed_doors = self._closed_doors, []
        for strand in strands:
            self._owner.pump.wake(strand)

    # --- ends ----------------------------------------------------------------------------------------------------

    def drop(self, numbers: Iterable[int]) -> None:
        """These were taken, or are over: our copies of their descriptors are of no more use."""
        pop = self.waiting.pop
        for number in numbers:
            client = pop(number)
            os.close(client.fd)
            assert client.cells is not None
            client.cells.free(client.cell)
        if not self.waiting:
            self._owner.is_idle()

    @property
    def size(self) -> int:
        """Connections that came here and are not over."""
        return sum(slot.total for slot in self.slots.slots) + len(self.held) + sum(self.introducing)

    def by_bind(self) -> Iterator[int]:
        """The bind of each of them."""
        for slot in self.slots.slots:
            yield from (self._bind_ids[listener] for listener in slot.connections.values())
        yield from (self._bind_ids[client.listener] for client in self.held)
        for listener, count in enumerate(self.introducing):
            yield from [self._bind_ids[listener]] * count

    def busy(self) -> bool:
        """Whether somebody depends on this process: a connection that nobody has taken yet."""
        return bool(self.waiting or self.held)

    def close(self) -> None:
        for client in (*self.waiting.values(), *self.held):
            os.close(client.fd)
        self.waiting.clear()
        self.held.clear()

    def over(self, slot: Slot, numbers: Iterable[int]) -> None:
        """Tell whoever counts of ends that the book is about to forget."""
        self._owner.room.freed()
        if self._owner.gates is None and self.tally is None:
            return
        for number in numbers:
            listener = slot.connections.get(number)
            if listener is not None:
                if self.tally is not None:
                    self.tally.unseated(slot.index)
                self._left(listener)

    def turned_away(self, listener: int, *, denied: bool) -> None:
        """A client that was accepted never came so far as to be seated. denied: by a rule."""
        self._owner.room.freed()
        if self._owner.gates is not None:
            self._owner.gates.ended(self._bind_ids[listener])
        if denied and self.tally is not None:
            self.tally.denied(self._bind_ids[listener])

    def _left(self, listener: int) -> None:
        """A client has gone for good."""
        bind = self._bind_ids[listener]
        self._owner.room.freed()
        if self._owner.gates is not None:
            self._owner.gates.ended(bind)
        if self.tally is not None:
            self.tally.unrouted()
            self.tally.left(bind)

    def adopt(self, slot: Slot, ids: Sequence[int], binds: Sequence[int]) -> None:
        """Sessions of a dispatcher before this one."""
        if self.servers is None:
            listeners = [self._listener_of.get(bind, -1) for bind in binds]
        else:
            listeners = [bind - BIND_OF_CHANNEL for bind in binds]
        before = slot.total
        self.slots.held(slot, ids, listeners)
        known = [self._bind_ids[listener] for listener in listeners if listener >= 0][: slot.total - before]
        if self._owner.gates is not None:
            self._owner.gates.adopt(known)
        if self.tally is not None:
            for bind in known:
                self.tally.adopted(slot.index, bind)

    # --- from time to time -----------------------------------------------------------------------------------------

    def watch(self, now: float) -> None:
        """Whether hearts beat and states have changed. To be called several times per heartbeat."""
        if now - self._watched_at > self._hearts.beat_s:
            # It is we who slept: whoever was stopped together with us gets the time to beat again.
            for seat in self.seats:
                seat.restart_watch(self._hearts, now)
        self._watched_at = now
        if self._closed_doors and self.is_open:
            self.open_doors()  # another dispatcher's connection ended, which comes without an event
        for seat in self.seats:
            seat.watch(self._hearts, now)
        if self.servers is not None and self.servers.refresh():
            self.resume()

    def expire(self, now: float) -> None:
        """Close whoever has been held for too long. To be called about once a second."""
        self._turn_out([client for client in self.held if now - client.held_at > self.queue_s])

    def bind_of(self, client: Client) -> int:
        return self._bind_ids[client.listener]

    def shut_down(self, client: Client) -> None:
        """An operator wants a client gone that no worker has taken. Who has him reads the end, and reports it."""
        if client in self.held:
            self._turn_out([client])
            return
        sock = socket.socket(fileno=client.fd)
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # he is gone
        sock.detach()

    def give_up(self) -> None:
        """The process is stopping: close whoever is held where every worker is dead or drains, for there will be no other."""
        if all(slot.state in (State.DEAD, State.DRAINING) for slot in self.slots.slots):
            self._turn_out(list(self.held))

    def _turn_out(self, clients: list[Client]) -> None:
        """Close clients that are held."""
        if not clients:
            return
        for client in clients:
            self.held.remove(client)
            os.close(client.fd)
            self._left(client.listener)
        self.lost += len(clients)
        self._owner.log("err", f"{self.name}: {len(clients)} connections closed that no worker took, reason: no_worker")
        self.resume()
