"""The workers that connections are handed over to: one book of slots, one channel per worker, and who waits for what.

A *farm* is the workers of the implicit tier, or those that one `listen` reaches by servers with `pass-fd`. A client is at any
moment in one of three places:

    held      accepted (or given back), and nobody takes it: the farm is saturated and its doors are closed
    waiting   given to a worker that has not read from it: we keep our copy of the descriptor, with every byte still in it
    gone      taken; only its number is left, in the book, until the worker reports its end

The book (dispatcher/policy/slots.py) decides, this module does.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Protocol

from common.errors import WireError
from common.net.fdpass import Given
from common.net.pump import Pump, Strand
from common.observe.layout import HB_STAMP_MS
from common.wire.handover import GiveFlag, Hello, encode_give
from dispatcher.handover import Channel
from dispatcher.policy.slots import Reseat, Slots, State

HEARTBEAT_S = 0.25
"""Every process beats so often (worker/main.py, dispatcher/main.py)."""
HUNG_AFTER_S = 2 * HEARTBEAT_S


class Owner(Protocol):
    """The dispatcher as a farm sees it."""

    pump: Pump

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...
    def heart_of(self, pid: int) -> memoryview[int] | None:
        """The heartbeat words of a process of this service; None when it has none (a tier that was started alone)."""


class Client:
    """One accepted connection that is not taken yet. header: its PROXY v2 header. source: packed, for `balance source`."""

    __slots__ = ("fd", "header", "listener", "source")

    def __init__(self, fd: int, listener: int, header: bytes, source: bytes) -> None:
        self.fd = fd
        self.listener = listener
        self.header = header
        self.source = source


class Farm:
    """See the module. bind_ids: of each listener, what a GIVE says (BIND_OF_CHANNEL for an explicit one)."""

    def __init__(self, owner: Owner, name: str, slots: Slots, bind_ids: list[int], listener_of_bind: Mapping[int, int] | None) -> None:
        """listener_of_bind: what the binds in HELD are to us; None: they are the worker's own, all count as the first listener."""
        self.name = name
        self.slots = slots
        self.seats: list[WorkerSeat] = []
        self.waiting: dict[int, Client] = {}
        self.held: deque[Client] = deque()
        self.reseated = 0
        self._owner = owner
        self._bind_ids = bind_ids
        self._listener_of_bind = listener_of_bind
        self._closed_doors: list[Strand] = []

    def add_worker(self, name: bytes, number: int | None, where: str) -> None:
        """A worker that is reached by this name. number: who must greet there; None: whoever does."""
        seat = WorkerSeat(self, self._owner, len(self.seats), number, name, where)
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
        if self.held or not self._give(client, GiveFlag.NONE):
            self.held.append(client)

    def _give(self, client: Client, flags: int) -> bool:
        slots = self.slots
        listener = client.listener
        while (slot := slots.choose(listener, client.source)) is not None:
            number = slots.give(slot, listener)
            channel = self.seats[slot.index].channel
            given = channel.give(encode_give(number, self._bind_ids[listener], client.header, flags), client.fd)
            if given is Given.SENT:
                self.waiting[number] = client
                return True
            slots.take_back(slot, number)
            slots.blocked(slot)
            if given is Given.FULL:
                channel.wait_for_room()
        return False

    def reseat(self, back: Reseat) -> None:
        """These were given and will not be taken there: to others, in their order, before whoever is held already."""
        clients = [self.waiting.pop(number) for number, _listener in back]
        self.reseated += len(clients)
        while clients and self._give(clients[0], GiveFlag.RESEATED):
            del clients[0]
        self.held.extendleft(reversed(clients))

    def resume(self) -> None:
        """There may be room: for those that are held, then for the doors."""
        while self.held:
            if not self._give(self.held[0], GiveFlag.RESEATED):
                return
            self.held.popleft()
        if self._closed_doors and not self.slots.saturated:
            strands, self._closed_doors = self._closed_doors, []
            for strand in strands:
                self._owner.pump.wake(strand)

    def close(self) -> None:
        for client in (*self.waiting.values(), *self.held):
            os.close(client.fd)
        self.waiting.clear()
        self.held.clear()

    def listener_of(self, bind: int) -> int:
        return 0 if self._listener_of_bind is None else self._listener_of_bind.get(bind, -1)

    # --- hearts --------------------------------------------------------------------------------------------------

    def watch(self, now: float) -> None:
        """Look whether every worker's heart beats. To be called several times per heartbeat."""
        for seat in self.seats:
            seat.watch(now)

    def busy(self) -> bool:
        """Whether somebody depends on this process: a connection that nobody has taken yet."""
        return bool(self.waiting or self.held)


class WorkerSeat:
    """The place of one worker in a farm: turns what its channel hears into moves of the book."""

    __slots__ = ("_farm", "_heart", "_owner", "_pid", "channel", "index", "number", "where")

    def __init__(self, farm: Farm, owner: Owner, index: int, number: int | None, name: bytes, where: str) -> None:
        self._farm = farm
        self._owner = owner
        self._heart: memoryview[int] | None = None
        self._pid = 0
        self.index = index
        self.number = number
        self.where = where
        self.channel = Channel(owner, self, name, where)

    def greeted(self, hello: Hello) -> None:
        farm = self._farm
        slot = farm.slots.slots[self.index]
        if self.number is not None and hello.worker != self.number:
            raise WireError("handover_wrong_worker")
        if not farm.slots.expects(slot, hello.generation):
            raise WireError("handover_wrong_generation")
        self._pid = hello.pid
        self._heart = self._owner.heart_of(hello.pid)
        self._owner.log("notice", f"{self.where} (process {hello.pid}) takes connections")
        farm.slots.hello(slot, hello.generation, hello.maxconn)
        farm.resume()

    def taken(self, ids: Iterable[int]) -> None:
        farm = self._farm
        pop = farm.waiting.pop
        for number in farm.slots.taken(farm.slots.slots[self.index], ids):
            os.close(pop(number).fd)

    def ended(self, ids: Iterable[int]) -> None:
        farm = self._farm
        untaken, resume = farm.slots.ended(farm.slots.slots[self.index], ids)
        for number in untaken:
            os.close(farm.waiting.pop(number).fd)
        if resume:
            farm.resume()

    def refused(self, ids: Iterable[int]) -> None:
        """A worker that refuses is full, whatever its maxconn was at HELLO: it is passed over for a moment, not asked again at once."""
        farm = self._farm
        slot = farm.slots.slots[self.index]
        back = farm.slots.refused(slot, ids)
        farm.slots.blocked(slot)
        self.channel.wait_for_room()
        farm.reseat(back)

    def held(self, ids: Iterable[int], binds: Iterable[int]) -> None:
        farm = self._farm
        farm.slots.held(farm.slots.slots[self.index], ids, [farm.listener_of(bind) for bind in binds])

    def load(self, handshakes: int) -> None:
        self._farm.slots.load(self._farm.slots.slots[self.index], handshakes)

    def drain(self) -> None:
        self._farm.slots.drain(self._farm.slots.slots[self.index])

    def unblocked(self) -> None:
        farm = self._farm
        farm.slots.unblocked(farm.slots.slots[self.index])
        farm.resume()

    def lost(self) -> None:
        farm = self._farm
        self._heart = None
        back, died = farm.slots.lost(farm.slots.slots[self.index])
        self._owner.log(
            "warning",
            f"{self.where} (process {self._pid}) is gone: {died} of its connections ended, {len(back)} that it had not taken "
            "are seated elsewhere",
        )
        farm.reseat(back)

    def watch(self, now: float) -> None:
        """Move the slot to HUNG when the heart stands still, and back."""
        slots = self._farm.slots
        slot = slots.slots[self.index]
        if slot.state in (State.DEAD, State.STARTING, State.DRAINING):
            return
        if self._heart is None:
            self._heart = self._owner.heart_of(self._pid)
            return
        silent_s = now - self._heart[HB_STAMP_MS] / 1000
        if slot.state is State.HUNG:
            if silent_s <= HUNG_AFTER_S:
                self._owner.log("notice", f"{self.where} (process {self._pid}) beats again")
                slots.alive(slot)
                self._farm.resume()
        elif silent_s > HUNG_AFTER_S:
            back = slots.hung(slot)
            self._owner.log(
                "alert",
                f"{self.where} (process {self._pid}) hangs: no heartbeat for {silent_s:.1f} s; {len(back)} connections that it had "
                "not taken are seated elsewhere",
            )
            self._farm.reseat(back)
