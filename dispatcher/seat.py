"""The place of one worker in a farm: what its channel hears becomes moves of the book, and its heart is watched.

A worker whose heart stands still (SIGSTOP, an endless loop, a machine that swaps) gets no more connections, and those that it has
not taken go elsewhere; the ones that it has taken wait for it. The limit after which it is killed is the master's.

It may have begun to read one just now, without having said so. Its claims tell (common/wire/claims.py): what it has claimed stays
with it, whether it wakes up or dies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from common.errors import WireError
from common.net.claim_page import barrier
from common.net.pump import Pump
from common.observe.layout import HB_STAMP_MS
from common.wire.handover import Hello
from dispatcher.handover import Channel
from dispatcher.policy.heartbeat import Heartbeats, Pulse
from dispatcher.policy.slot import LIVE
from dispatcher.policy.slots import Reseat, Slot, Slots, State
from dispatcher.servers import Servers

_WATCHED = (State.UP, State.FULL, State.HUNG)


class Owner(Protocol):
    """The dispatcher as a seat sees it."""

    pump: Pump

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...
    def remark(self, text: str) -> None: ...
    def heart_of(self, pid: int) -> memoryview[int] | None:
        """The heartbeat words of a process of this service; None when it has none (a tier that was started alone)."""


class Client(Protocol):
    """A client that no worker has taken yet."""

    cell: int


class Farm(Protocol):
    """The farm as a seat sees it: see dispatcher/workers.py."""

    slots: Slots
    servers: Servers | None

    def resume(self) -> None: ...
    @property
    def waiting(self) -> Mapping[int, Client]: ...

    def reseat(self, slot: Slot, back: Reseat) -> None: ...
    def drop(self, numbers: Iterable[int]) -> None: ...
    def over(self, slot: Slot, numbers: Iterable[int]) -> None: ...
    def adopt(self, slot: Slot, ids: Sequence[int], binds: Sequence[int]) -> None: ...


class WorkerSeat:
    """The place of one worker in a farm: turns what its channel hears into moves of the book."""

    __slots__ = ("_farm", "_heart", "_maxconn", "_owner", "_withdrawn", "channel", "index", "number", "pid", "where")

    def __init__(self, farm: Farm, owner: Owner, index: int, name: bytes, where: str, number: int | None, maxconn: int) -> None:
        self._farm = farm
        self._owner = owner
        self._heart: memoryview[int] | None = None
        self._maxconn = maxconn
        self._withdrawn: dict[int, int] = {}  # id -> cell, of those that were seated elsewhere and that it may still have
        self.pid = 0
        self.index = index
        self.number = number
        self.where = where
        self.channel = Channel(owner, self, name, where)

    @property
    def _slot(self) -> Slot:
        return self._farm.slots.slots[self.index]

    # --- what the channel hears ----------------------------------------------------------------------------------

    def greeted(self, hello: Hello) -> None:
        farm, slot = self._farm, self._slot
        if self.number is not None and hello.worker != self.number:
            raise WireError("handover_wrong_worker")
        if not farm.slots.expects(slot, hello.generation):
            raise WireError("handover_wrong_generation")
        self.pid = hello.pid
        self._owner.remark(f"{self.where} (process {hello.pid}) takes connections")
        limits = [limit for limit in (hello.maxconn, self._maxconn) if limit]
        farm.slots.hello(slot, hello.generation, min(limits, default=0))
        if farm.servers is not None:
            farm.servers.reachable(self.index, True)

    def settled(self) -> None:
        """The whole of its first report was heard: what it holds from before is counted, now it may be given more."""
        self._farm.resume()

    def taken(self, ids: Iterable[int]) -> None:
        self._farm.drop(self._farm.slots.taken(self._slot, ids))

    def ended(self, ids: Iterable[int]) -> None:
        farm, slot = self._farm, self._slot
        farm.over(slot, ids)
        untaken, resume = farm.slots.ended(slot, ids)
        if untaken:
            farm.drop(untaken)
        if resume:
            farm.resume()

    def refused(self, ids: Iterable[int]) -> None:
        """A worker that refuses is full, whatever its maxconn was at HELLO: it is passed over for a moment, not asked again at once."""
        farm, slot = self._farm, self._slot
        if self._withdrawn:
            ids = self._given_back(ids)
        back = farm.slots.refused(slot, ids)
        if back:
            self._free(back)
            if slot.state in LIVE:
                farm.slots.blocked(slot)
                self.channel.wait_for_room()
            farm.reseat(slot, back)

    def held(self, ids: Sequence[int], binds: Sequence[int]) -> None:
        self._farm.adopt(self._slot, ids, binds)

    def load(self, handshakes: int) -> None:
        self._farm.slots.load(self._slot, handshakes)

    def drain(self) -> None:
        self._farm.slots.drain(self._slot)

    def unblocked(self) -> None:
        self._farm.slots.unblocked(self._slot)
        self._farm.resume()

    def lost(self) -> None:
        farm, slot = self._farm, self._slot
        self._heart = None
        self._withdrawn.clear()
        if farm.servers is not None:
            farm.servers.reachable(self.index, False)
        farm.drop(farm.slots.taken(slot, self._claimed()))  # nobody knows what it has read of them
        farm.over(slot, [number for number in slot.connections if number not in slot.waiting])
        back, died = farm.slots.lost(slot)
        self._owner.log(
            "warning",
            f"{self.where} (process {self.pid}) is gone: {died} of its connections ended, {len(back)} that it had not taken "
            "are seated elsewhere",
        )
        farm.reseat(slot, back)

    # --- its heart -----------------------------------------------------------------------------------------------

    def restart_watch(self, hearts: Heartbeats, now: float) -> None:
        """Begin to look at the heart of whoever sits here now."""
        hearts.stop(self.index)
        self._heart = None
        if self._slot.state in _WATCHED:
            self._heart = self._owner.heart_of(self.pid)
            if self._heart is not None:
                hearts.start(self.index, now, self._heart[HB_STAMP_MS])

    def watch(self, hearts: Heartbeats, now: float) -> None:
        """Move the slot to HUNG when the heart stands still, and back."""
        slots, slot = self._farm.slots, self._slot
        if self._heart is None:
            self.restart_watch(hearts, now)
            return
        if slot.state not in _WATCHED:
            return
        pulse = hearts.look(self.index, now, self._heart[HB_STAMP_MS])
        if pulse is Pulse.HUNG:
            back = self._withdraw()
            self._owner.log(
                "alert",
                f"{self.where} (process {self.pid}) hangs: no heartbeat for {hearts.last_seen_s(self.index, now):.2f} s; "
                f"{len(back)} connections that it had not taken are seated elsewhere",
            )
            self._farm.reseat(slot, back)
        elif pulse is Pulse.ALIVE and slot.state is State.HUNG:
            self._owner.log("notice", f"{self.where} (process {self.pid}) beats again")
            slots.alive(slot)
            self._farm.resume()

    # --- whose a client is ---------------------------------------------------------------------------------------

    def _withdraw(self) -> Reseat:
        """All that wait here and that the worker has not claimed: to be seated elsewhere."""
        farm, slot, cells = self._farm, self._slot, self.channel.cells
        self.channel.catch_up()
        if cells is None or slot.state not in LIVE:
            return farm.slots.hung(slot)
        for number in slot.waiting:
            cells.withdraw(farm.waiting[number].cell)
        barrier()
        claimed = set(self._claimed())
        self._withdrawn.update((number, farm.waiting[number].cell) for number in slot.waiting if number not in claimed)
        return farm.slots.hung(slot, claimed)

    def _claimed(self) -> list[int]:
        cells = self.channel.cells
        if cells is None:
            return []
        return [number for number in self._slot.waiting if cells.is_claimed(self._farm.waiting[number].cell)]

    def _given_back(self, ids: Iterable[int]) -> list[int]:
        """Free the cells of those that were seated elsewhere long ago; the others."""
        others = []
        for number in ids:
            cell = self._withdrawn.pop(number, None)
            if cell is None:
                others.append(number)
            elif self.channel.cells is not None:
                self.channel.cells.free(cell)
        return others

    def _free(self, back: Reseat) -> None:
        """These will be given elsewhere: the worker has let go of their cells."""
        if self.channel.cells is not None:
            for number, _listener in back:
                self.channel.cells.free(self._farm.waiting[number].cell)
