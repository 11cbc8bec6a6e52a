"""One worker's channel, at the dispatcher's end: connect, give connections, hear what became of them, connect again.

Facts.
- The listening socket of a channel is bound by the master and outlives the worker. So a connect that succeeds says nothing:
  it may wait in the backlog for a worker that is being started. The worker is there when its HELLO is.
- A worker that dies with given connections unread resets the channel: the kernel then reports ECONNRESET once, *before* the
  reports that the worker still sent. They must be read, or connections would be seated a second time that it had taken.
- EAGAIN on sending means that the worker is slow; ETOOMANYREFS that too many descriptors are in flight, of all processes of
  this user. Both end when somebody reads, but only the first is told by epoll.
- SO_PEERCRED of a connected socket names who called listen(2): the master, or whoever started a worker alone.

Source: unix(7); docs/architecture.md section 2; the frames are in common/wire/handover.py.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Sequence
from typing import Protocol

from common.errors import WireError
from common.net.claim_page import make_page
from common.net.fdpass import Given, send_descriptor
from common.net.peers import peer_credentials
from common.net.pump import Pump
from common.wire.claims import GiversCells
from common.wire.handover import (
    MESSAGE_BYTES_MAX,
    Drain,
    Ended,
    Frame,
    Held,
    Hello,
    Load,
    Refused,
    Taken,
    decode_report,
    encode_page,
)
from dispatcher.level import Level

RECONNECT_MIN_S = 0.01
RECONNECT_MAX_S = 1.0
LASTING_S = 1.0  # a channel that lived so long was a good one
FULL_PAUSE_S = 0.02  # when the kernel, not this channel, is out of room

_SOL_SOCKET, _SCM_RIGHTS = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS)
_INT = struct.Struct("i")
_NO_ROOM = {errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM}


class Seat(Protocol):
    """Who a channel belongs to: the farm's place of one worker."""

    def greeted(self, hello: Hello) -> None:
        """The worker is there. Raises WireError when it is not the one that belongs here."""

    def settled(self) -> None:
        """The whole of its first report was heard."""

    def taken(self, ids: Iterable[int]) -> None: ...
    def ended(self, ids: Iterable[int]) -> None: ...
    def refused(self, ids: Iterable[int]) -> None: ...
    def held(self, ids: Sequence[int], binds: Sequence[int]) -> None: ...
    def load(self, handshakes: int) -> None: ...
    def drain(self) -> None: ...
    def unblocked(self) -> None: ...
    def lost(self) -> None: ...


class Owner(Protocol):
    """The dispatcher as a channel sees it."""

    pump: Pump

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...


class Channel:
    """where: how log lines call the worker. name: the kernel's name of its channel."""

    __slots__ = ("_greeted", "_greeted_at", "_owner", "_refused_uid", "_seat", "_sock", "_waits_for_room", "cells", "name", "where")

    def __init__(self, owner: Owner, seat: Seat, name: bytes, where: str) -> None:
        self._owner = owner
        self._seat = seat
        self.name = name
        self.where = where
        self._sock: socket.socket | None = None
        self.cells: GiversCells | None = None  # of the worker that has greeted here last
        self._greeted = False
        self._greeted_at = 0.0
        self._waits_for_room = False
        self._refused_uid = -1

    def give(self, message: bytes, fd: int) -> Given:
        """Send one connection. Never waits; after FULL the seat hears `unblocked`, after GONE `lost`."""
        sock = self._sock
        if sock is None:
            return Given.GONE
        try:
            sock.sendmsg((message,), ((_SOL_SOCKET, _SCM_RIGHTS, _INT.pack(fd)),))
        except BlockingIOError:
            return Given.FULL
        except OSError as error:
            if error.errno in _NO_ROOM:
                return Given.FULL
            # What the worker still reported is to be read before it is called lost, by the strand that reads.
            _shut_down(sock)
            return Given.GONE
        return Given.SENT

    async def run(self) -> None:
        """The strand: for ever connect, listen, lose the worker. The pause between grows while channels do not last."""
        pump = self._owner.pump
        pause_s = RECONNECT_MIN_S
        while True:
            level = self._connect()
            if level is not None:
                try:
                    await self._listen(level)
                finally:
                    self._sock = None
                    level.close()
                if self._greeted:
                    self._greeted = False
                    if pump.now - self._greeted_at > LASTING_S:
                        pause_s = RECONNECT_MIN_S
                    self._seat.lost()
            await pump.sleep(pause_s)
            pause_s = min(pause_s * 2, RECONNECT_MAX_S)

    # --- connecting ----------------------------------------------------------------------------------------------

    def _connect(self) -> Level | None:
        """A connected channel to somebody we trust; None when there is none now."""
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        except OSError as error:
            self._owner.log("emerg", f"channel to {self.where}: {error.strerror}")
            return None
        try:
            sock.connect(self.name)
            pid, uid, _gid = peer_credentials(sock)
        except OSError:
            sock.close()
            return None
        if not self._owner.is_trusted(uid):
            if uid != self._refused_uid:
                self._refused_uid = uid
                self._owner.log(
                    "alert",
                    f"channel to {self.where} refused: process {pid} of user {uid} listens on its name and is neither root nor "
                    "our own user; 'channel-uids' in section global lists others that may",
                )
            sock.close()
            return None
        self._refused_uid = -1
        try:
            fd, page = make_page()
            try:
                given = send_descriptor(sock, encode_page(), fd)
            finally:
                os.close(fd)
        except OSError as error:
            self._owner.log("emerg", f"channel to {self.where}: {error.strerror}")
            given = Given.GONE
        if given is not Given.SENT:
            sock.close()
            return None
        self.cells = GiversCells(page)
        return Level(self._owner.pump, sock)

    # --- hearing -------------------------------------------------------------------------------------------------

    async def _listen(self, level: Level) -> None:
        """Until the channel ends or the worker says what it must not."""
        sock = self._sock = level.sock
        while True:
            await level.event()
            if not self._read(sock):
                return

    def catch_up(self) -> None:
        """Hear all that the worker has reported so far. What ends a channel is left to the strand, which finds it too."""
        sock = self._sock
        while sock is not None and self._sock is sock:
            try:
                if not sock.recv(1, socket.MSG_PEEK):
                    return
            except OSError:
                return
            if not self._read(sock):
                _shut_down(sock)
                return

    def _read(self, sock: socket.socket) -> bool:
        """One report. False: the channel is over."""
        try:
            message = sock.recv(MESSAGE_BYTES_MAX + 1)
        except (BlockingIOError, ConnectionResetError):
            return True  # a reset is told once; what was reported before it comes now
        except OSError as error:
            self._owner.log("warning", f"channel to {self.where} failed: {error.strerror}")
            return False
        if not message:
            return False
        greeted = self._greeted
        try:
            for frame in decode_report(message):
                self._hear(frame)
            if not greeted:
                self._seat.settled()
        except WireError as error:
            self._owner.log("alert", f"channel to {self.where} dropped, reason: {error.slug} (report of {len(message)} bytes)")
            return False
        return True

    def _hear(self, frame: Frame) -> None:
        """One report. Raises WireError for what does not belong here."""
        seat = self._seat
        if not self._greeted:
            if not isinstance(frame, Hello):
                raise WireError("handover_no_hello")
            seat.greeted(frame)
            self._greeted = True
            self._greeted_at = self._owner.pump.now
        elif isinstance(frame, Taken):
            seat.taken(frame.ids)
        elif isinstance(frame, Ended):
            seat.ended(frame.ids)
        elif isinstance(frame, Refused):
            seat.refused(frame.ids)
        elif isinstance(frame, Load):
            seat.load(frame.handshakes)
        elif isinstance(frame, Held):
            seat.held(frame.ids, frame.binds)
        elif isinstance(frame, Drain):
            seat.drain()
        else:
            raise WireError("handover_second_hello")

    # --- room ----------------------------------------------------------------------------------------------------

    def wait_for_room(self) -> None:
        """After FULL: tell the seat when there may be room again."""
        if not self._waits_for_room and self._sock is not None:
            self._waits_for_room = True
            self._owner.pump.spawn(self._wait_for_room(self._sock), "channel room")

    async def _wait_for_room(self, sock: socket.socket) -> None:
        """A pause first: room for one message may be there at once, and a slow worker should not cost us a turn for each."""
        try:
            await self._owner.pump.sleep(FULL_PAUSE_S)
        finally:
            self._waits_for_room = False
        if self._sock is sock:
            self._seat.unblocked()


def _shut_down(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
