"""Calls between workers: "a place is free at a server that yours have waited for longest".

Places are counted in shared memory (worker/servers/places.py), where nothing tells a worker that another one gave a place back. So each
worker that shares servers listens on a datagram socket with an abstract name, and whoever gives a place back that somebody elsewhere
has waited for sends one byte there. A call that is lost, or comes from a stranger, does no harm: it only makes a worker look, and
workers in which somebody waits look every LOOK_AGAIN_S anyway.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from common.net.pump import DeadlinePassed, Pump
from common.net.stream import Stream
from common.observe import fields as f
from worker.servers.places import LocalPlaces, Places, SharedPlaces

if TYPE_CHECKING:
    from worker.backend import Backend

LOOK_AGAIN_S = 0.05


class Calls:
    """prefix: of the names, the same for all workers of a generation. on_call: what to do when called."""

    __slots__ = ("_on_call", "_prefix", "_pump", "_socket")

    def __init__(self, pump: Pump, prefix: str, on_call: Callable[[], None]) -> None:
        self._pump = pump
        self._prefix = prefix
        self._on_call = on_call
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)

    def listen(self, row: int) -> None:
        """Be callable as this process. Without a name (somebody has it) looking again must do."""
        try:
            self._socket.bind(self._name(row))
        except OSError:
            return
        self._pump.spawn(self._run(), "calls of other workers")

    def call(self, row: int) -> None:
        """Wake that worker."""
        try:
            self._socket.sendto(b"!", self._name(row))
        except OSError:
            pass  # it is gone, or has calls enough

    def close(self) -> None:
        self._socket.close()

    async def _run(self) -> None:
        stream = Stream(self._pump, self._socket)
        while True:
            try:
                while stream.recv_now(16) is not None:
                    stream.drained = False  # a datagram is always a short read
            except OSError:
                pass
            self._on_call()
            try:
                await stream.readable(self._pump.now + 3600)
            except DeadlinePassed:
                pass

    def _name(self, row: int) -> str:
        return f"\0{self._prefix}{row}"


def make_places(backend: Backend) -> Places:
    """How many requests each server has, counted over all workers where there are several and a server has a limit."""
    world = backend.world
    counters = world.counters
    numbers = counters.layout.servers[backend.index]
    if backend.unlimited or counters.layout.processes < 2:
        return LocalPlaces(backend.in_use)
    row = counters.process_index
    assert row is not None
    taken = [counters.across(number, f.PLACES) for number in numbers]
    heads = [counters.across(number, f.QUEUE_HEAD)[: counters.layout.processes] for number in numbers]
    for column, used in zip(taken, backend.in_use, strict=True):
        column[row] = used
    return SharedPlaces(taken, heads, row, world.fence, world.calls.call)
