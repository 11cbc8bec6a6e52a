"""Accepting clients: one strand per listening socket, a few at a time, as long as somebody takes them.

Facts.
- A full farm closes its doors: the strand parks and the backlog stays in the kernel, which is the only queue there is. Nothing
  spins, as nobody asks the kernel about the socket before there is room again.
- `socket.accept` spends 2.5 µs on an object with enums for family and type; `_accept`, which it is made of, gives the
  descriptor and the address for half. A descriptor is all that a connection needs that is handed over.
- An accept that finds nobody is dearer than one that does (dispatcher/level.py). So a door takes one client per event, and
  more only while events come so fast that there must be a queue.
- A frontend that an operator disables stops listening: its sockets stay bound and refuse, as HAProxy's do, until it is enabled.
- Running out of descriptors or memory pauses the door for a moment. One log line per shortage, not per try.
- A client's descriptor that may be handed over is never registered here: the open file would live on in the worker and go on
  to ring our epoll. (One that must first tell its PROXY header is unregistered before it is given away.)

Source: accept(2); HAProxy manual 5.1 "accept-proxy", "maxconn"; 3.2 "tune.maxaccept".
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from common.model import AddressKind, Bind
from common.net.listener import BACKLOG
from common.net.peers import is_friend
from common.net.pump import Pump, Strand
from dispatcher.gates import Gates
from dispatcher.level import Level
from dispatcher.room import Room

ACCEPT_PAUSE_S = 0.1  # after running out of descriptors or memory
SHORTAGE_OVER_S = 5.0  # a shortage that comes back within this time is the same one: not logged again
QUEUE_GAP_S = 0.00005  # an event so soon after the last one: others wait behind it
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PEER_GONE = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ECONNRESET}
_ABSTRACT = (AddressKind.ABNS, AddressKind.ABNSZ)
_SOCK_STREAM = int(socket.SOCK_STREAM)

Take = Callable[[int, Any], None]
"""What is done with a client: (its descriptor, non-blocking and from now on the taker's; what accept said of its address)."""


class Owner(Protocol):
    """The dispatcher as a door sees it."""

    pump: Pump
    gates: Gates | None
    room: Room

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...


class Target(Protocol):
    """Where a door's clients go."""

    @property
    def is_open(self) -> bool: ...
    def close_door(self, strand: Strand) -> None:
        """That strand stops accepting; it is to be woken when there is room."""


class Door:
    """One listening socket. batch: how many clients are accepted at most before others get their turn."""

    __slots__ = (
        *("_accept_one", "_accepted", "_checks_peer", "_shortage_at", "_strand"),
        *("batch", "bind", "listener", "owner", "paused", "take", "target"),
    )

    def __init__(self, owner: Owner, bind: Bind, listener: socket.socket, target: Target, take: Take, batch: int) -> None:
        self.owner = owner
        self.bind = bind
        self.listener = listener
        self._accept_one: Callable[[], tuple[int, Any]] = listener._accept  # type: ignore[attr-defined]
        self.target = target
        self.take = take
        self.batch = batch
        self._checks_peer = bind.address.kind in _ABSTRACT
        self._accepted = False  # the last round found somebody
        self._shortage_at = -inf
        self._strand: Strand | None = None  # while it is paused
        self.paused = False

    async def run(self) -> None:
        """The strand: accept for ever. End it to stop listening."""
        pump, target, room, bind_id = self.owner.pump, self.target, self.owner.room, self.bind.id
        level = Level(pump, self.listener)
        batch, batch_max = 1, self.batch
        last_at = 0.0
        try:
            while True:
                if not target.is_open:
                    level.rest()
                    assert pump.current is not None
                    target.close_door(pump.current)
                    await pump.park()
                    continue
                if self.paused:
                    level.rest()
                    self._strand = pump.current
                    await pump.park()
                    continue
                if room.left <= 0 and room.is_full():
                    level.rest()
                    await room.wait()
                    continue
                await level.event()
                now = pump.now
                batch = min(batch * 2, batch_max) if now - last_at < QUEUE_GAP_S else 1
                last_at = now
                if batch > room.left:
                    if room.left <= 0:
                        continue
                    batch = room.left
                gates = self.owner.gates
                if gates is not None:
                    permission = gates.may_accept(bind_id, batch)
                    batch = permission.accept
                    if batch <= 0:
                        level.rest()
                        await gates.wait(permission)
                        continue
                room.tell()  # before a worker can know of them, so that nobody gives the last places away twice
                error = self._accept(batch)
                room.tell()
                if error is not None:
                    level.rest()
                    await self._pause(error)
        finally:
            level.close()

    def pause(self, *, paused: bool) -> None:
        """An operator disabled the frontend, or enabled it again."""
        self.paused = paused
        is_tcp = self.listener.family in (socket.AF_INET, socket.AF_INET6)
        try:
            if is_tcp and paused:
                self.listener.shutdown(socket.SHUT_RD)
            elif is_tcp:
                self.listener.listen(self.bind.backlog or BACKLOG)
        except OSError as error:
            self.owner.log("alert", f"{self.bind.address}: {error.strerror}")
        strand, self._strand = self._strand, None
        if strand is not None:
            self.owner.pump.wake(strand)

    def sweep(self) -> None:
        """Take who is in the backlog already: the process is about to stop listening, and nobody else may listen here."""
        gates, room = self.owner.gates, self.owner.room
        while (
            not self.paused
            and self.target.is_open
            and (room.left > 0 or not room.is_full())
            and (gates is None or gates.may_accept(self.bind.id, 1).accept > 0)
        ):
            if self._accept(1) is not None or not self._accepted:
                return

    def _accept(self, count: int) -> OSError | None:
        """Accept so many, fewer if there are fewer or nobody takes them. Returns an error of our own side."""
        accept, target, take, gates, room = self._accept_one, self.target, self.take, self.owner.gates, self.owner.room
        self._accepted = False
        for _ in range(count):
            try:
                fd, address = accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in _PEER_GONE:
                    continue
                if error.errno == errno.EINVAL and self.paused:
                    return None
                return error
            self._accepted = True
            if self._checks_peer and not self._is_friend(fd):
                continue
            if gates is not None:
                gates.admit(self.bind.id)
            room.left -= 1
            os.set_blocking(fd, False)
            take(fd, address)
            if not target.is_open:
                return None
        return None

    async def _pause(self, error: OSError) -> None:
        owner = self.owner
        paused = error.errno == errno.EINVAL  # by an operator: it does not listen, in any process
        if not paused and owner.pump.now - self._shortage_at > SHORTAGE_OVER_S:
            level = "emerg" if error.errno in _OUT_OF_RESOURCES else "alert"
            owner.log(level, f"accept on {self.bind.address}: {error.strerror}; new connections wait in the kernel")
        self._shortage_at = owner.pump.now
        await owner.pump.sleep(ACCEPT_PAUSE_S)

    def _is_friend(self, fd: int) -> bool:
        """Asked of the clients of an abstract name. The descriptor of one who is none is closed."""
        sock = stream_socket(fd, socket.AF_UNIX)
        if not is_friend(self.owner, sock, str(self.bind.address)):
            return False
        sock.detach()
        return True


def stream_socket(fd: int, family: int) -> socket.socket:
    """The object for an accepted descriptor, which is the object's from now on."""
    return socket.socket(family, _SOCK_STREAM, 0, fd)
