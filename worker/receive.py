"""Where connections come from: dispatchers that hand descriptors over. (Listening sockets of this worker's own: doors.py.)

Handover. Each dispatcher holds one SOCK_SEQPACKET channel to this worker. A message is one client: a connection id, the bind
it came in by, a PROXY v2 header with its addresses, and its descriptor. What goes back, gathered per turn: *taken* (we
have read from it, so the dispatcher may close its copy and must not seat it elsewhere any more), *ended*, *refused*.

A client is claimed before the first read (common/wire/claims.py), for we may have hung without knowing, and he may be served
elsewhere by now. He is let go of then without a trace: no byte, no shutdown of what is another worker's socket, no log line.

Source: unix(7); docs/architecture.md section 2.
"""

from __future__ import annotations

import errno
import os
import socket
from math import inf
from typing import Protocol

from common.errors import WireError
from common.model import Bind
from common.net.claim_page import open_page
from common.net.fdpass import close_all, receive_descriptor
from common.net.pump import Pump
from common.net.sockaddr import packed
from common.net.stream import Stream
from common.wire import handover
from common.wire.claims import TakersCells, Withdrawn
from common.wire.proxy_protocol import ProxyHeader

ACCEPTS_PER_TURN = 64
ACCEPT_PAUSE_S = 0.1  # after running out of descriptors or memory
COMPLAIN_EVERY_S = 1.0
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PEER_GONE = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ECONNRESET}


class Seat(Protocol):
    """What a session tells the place that it came from."""

    @property
    def is_taken(self) -> bool: ...
    def claim(self) -> None:
        """The client is about to be read from, or answered, or closed. Raises Withdrawn when he is not ours any more."""

    def release(self) -> None:
        """After a claim: nothing was read, nothing said."""

    def taken(self) -> None:
        """After a claim: something was."""

    def ended(self) -> None: ...


class Receiver(Protocol):
    """The worker as a listener or a channel sees it."""

    pump: Pump
    number: int
    generation: int
    @property
    def handshakes(self) -> int: ...

    @property
    def connections_here(self) -> int: ...

    channels: set[Channel]
    orphans: set[ChannelSeat]

    def spawn_session(self, bind: Bind, stream: Stream, header: ProxyHeader | None, seat: Seat | None, *, introduced: bool) -> None: ...
    def withdraw(self, seats: set[ChannelSeat]) -> None:
        """End these sessions, which are not ours any more."""

    def channel_ended(self) -> None: ...
    def bind_by_id(self, number: int) -> Bind | None: ...
    def connections_max(self) -> int: ...
    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...


class ChannelSeat:
    """One handed-over connection's place. The channel changes when its dispatcher dies and another one takes its sessions on."""

    __slots__ = ("bind", "bind_id", "cell", "cells", "channel", "id", "is_taken", "receiver")

    def __init__(self, receiver: Receiver, channel: Channel, number: int, bind_id: int, cells: TakersCells, cell: int) -> None:
        self.receiver = receiver
        self.channel: Channel | None = channel
        self.bind = channel.bind  # whose name the channel has: another dispatcher on the same name may adopt the session
        self.id = number
        self.bind_id = bind_id
        self.cells: TakersCells | None = cells  # None: its channel has ended, and it is taken or withdrawn
        self.cell = cell
        self.is_taken = False

    @property
    def is_withdrawn(self) -> bool:
        return not self.is_taken and (self.cells is None or self.cells.is_withdrawn(self.cell))

    def claim(self) -> None:
        if not (self.is_taken or (self.cells is not None and self.cells.claim(self.cell))):
            raise Withdrawn

    def release(self) -> None:
        if not self.is_taken and self.cells is not None:
            self.cells.release(self.cell)

    def taken(self) -> None:
        if not self.is_taken:
            self.is_taken = True
            if self.channel is not None:
                self.channel.taken_ids.append(self.id)
                self.channel.wake()

    def ended(self) -> None:
        if self.channel is None:
            self.receiver.orphans.discard(self)
            return
        del self.channel.seats[self.id]
        if self.is_withdrawn:
            self.channel.refused_ids.append(self.id)
        else:
            self.channel.ended_ids.append(self.id)
        self.channel.wake()


class Channel:
    """One dispatcher's channel, at the worker's end."""

    __slots__ = (
        "bind",
        "cells",
        "draining",
        "ended_ids",
        "leaving",
        "open",
        "receiver",
        "refused_ids",
        "reported_load",
        "reporter",
        "seats",
        "stream",
        "taken_ids",
    )

    def __init__(self, receiver: Receiver, stream: Stream, bind: Bind | None) -> None:
        self.receiver = receiver
        self.stream = stream
        self.bind = bind
        self.seats: dict[int, ChannelSeat] = {}
        self.cells: TakersCells | None = None  # until its first message has come
        self.taken_ids = handover.ids_array()
        self.ended_ids = handover.ids_array()
        self.refused_ids = handover.ids_array()
        self.reported_load = 0
        self.draining = False  # to be said
        self.leaving = False  # everything is to be said, and then the channel ends
        self.open = True
        receiver.channels.add(self)
        self.reporter = receiver.pump.spawn(self._report(), "channel reporter")

    def wake(self) -> None:
        """Something is to be reported: it leaves at the end of this turn, together with all else of the turn."""
        self.receiver.pump.wake(self.reporter)

    async def _report(self) -> None:
        """The strand that reports."""
        receiver = self.receiver
        hello = handover.Hello(receiver.number, os.getpid(), receiver.generation, receiver.connections_here, receiver.connections_max())
        await self._send([hello, *self._adopt_orphans()])
        while self.open:
            frames = self._news()
            if frames:
                await self._send(frames)
            elif self.leaving:
                self._shut_down()
                return
            else:
                await receiver.pump.park()

    def _news(self) -> list[handover.Frame]:
        """What has not been reported yet."""
        frames: list[handover.Frame] = []
        if self.draining:
            frames.append(handover.Drain())
            self.draining = False
        if self.taken_ids:
            frames.append(handover.Taken(self.taken_ids))
            self.taken_ids = handover.ids_array()
        if self.refused_ids:
            frames.append(handover.Refused(self.refused_ids))
            self.refused_ids = handover.ids_array()
        if self.ended_ids:
            frames.append(handover.Ended(self.ended_ids))
            self.ended_ids = handover.ids_array()
        load = self.receiver.handshakes
        if load != self.reported_load:
            self.reported_load = load
            frames.append(handover.Load(load))
        return frames

    def _adopt_orphans(self) -> list[handover.Frame]:
        """Sessions whose dispatcher is dead become this one's, so that it knows how many there are."""
        adopted = []
        for seat in list(self.receiver.orphans):
            if seat.bind is self.bind and seat.id not in self.seats:
                self.receiver.orphans.discard(seat)
                self.seats[seat.id] = seat
                seat.channel = self
                adopted.append(seat)
        if not adopted:
            return []
        return [handover.Held(handover.ids_array(seat.id for seat in adopted), handover.binds_array(seat.bind_id for seat in adopted))]

    def drain(self) -> None:
        """Ask for no more connections."""
        self.draining = True
        self.wake()

    def let_go(self) -> None:
        """End the channel. Its dispatcher seats elsewhere what we have not read from, the rest stays ours."""
        self.leaving = True
        self.drain()

    def _shut_down(self) -> None:
        """The strand that reads finds the end."""
        try:
            self.stream.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other end was faster

    async def _send(self, frames: list[handover.Frame]) -> None:
        for message in handover.encode_report(frames):
            while self.open:
                try:
                    self.stream.sock.send(message)
                    break
                except BlockingIOError:
                    await self.stream.writable(inf)
                except OSError:
                    return  # the reading strand sees the end too

    async def run(self) -> None:
        """Receive connections until the dispatcher is gone. Sessions that it gave live on."""
        pump = self.receiver.pump
        try:
            while True:
                for _ in range(ACCEPTS_PER_TURN):
                    try:
                        received = receive_descriptor(self.stream.sock)
                    except OSError as error:
                        if error.errno not in _OUT_OF_RESOURCES:
                            return
                        await pump.sleep(ACCEPT_PAUSE_S)
                        continue
                    if received is None:
                        await self.stream.readable(inf)
                        break
                    message, fds = received
                    if not message and not fds:
                        return
                    if self.cells is None:
                        if not self._begin(message, fds):
                            return
                    elif not self._receive(message, fds):
                        await pump.sleep(ACCEPT_PAUSE_S)
                else:
                    await pump.pause()
        finally:
            self._end()

    def _end(self) -> None:
        self.open = False
        self.receiver.channels.discard(self)
        withdrawn = set()
        for seat in self.seats.values():
            seat.channel = None
            self.receiver.orphans.add(seat)
            if not seat.is_taken:
                # Nobody withdraws him any more, so he is ours; unless that was done before.
                seat.is_taken = self.cells is not None and self.cells.claim(seat.cell)
                if not seat.is_taken:
                    withdrawn.add(seat)
            seat.cells = None
        self.cells = None
        if withdrawn:
            self.receiver.withdraw(withdrawn)
        self.receiver.pump.wake(self.reporter)
        self.stream.close()
        self.receiver.channel_ended()

    def look(self) -> None:
        """Let go of clients that were seated elsewhere while this process hung. To be called with every heartbeat."""
        cells = self.cells
        if cells is not None and cells.has_news():
            self.receiver.withdraw({seat for seat in self.seats.values() if seat.is_withdrawn})

    def _begin(self, message: bytes, fds: list[int]) -> bool:
        """The first message. False: this is no dispatcher of ours."""
        try:
            handover.decode_page(message)
            if len(fds) != 1:
                raise WireError("handover_descriptors")
            self.cells = TakersCells(open_page(fds[0]))
        except WireError as error:
            self.receiver.log("warning", f"handover: channel refused, reason: {error.slug}")
            return False
        finally:
            close_all(fds)
        return True

    def _receive(self, message: bytes, fds: list[int]) -> bool:
        """One message. Whatever is wrong with it is logged, its descriptors are closed, and the channel goes on.

        False: we are out of descriptors, so the kernel has kept the client's; another worker may have room for it.
        """
        number: int | None = None
        try:
            number, bind_id, cell, _flags, header = handover.decode_give(message)
            if number in self.seats:
                number = None
                raise WireError("handover_id_in_use")
            if not fds:
                self.refused_ids.append(number)
                self.wake()
                self.receiver.log("emerg", "handover: no descriptors are left; a connection is given back")
                return False
            if len(fds) != 1:
                raise WireError("handover_descriptors")
            assert self.cells is not None
            if self.cells.is_withdrawn(cell):
                close_all(fds)
                self.refused_ids.append(number)
                self.wake()
                return True
            introduced = bind_id >= handover.BIND_OF_CHANNEL
            bind = self.bind if introduced else self.receiver.bind_by_id(bind_id)
            if bind is None:
                raise WireError("handover_unknown_bind")
            sock = _stream_socket(fds[0])
        except WireError as error:
            close_all(fds)
            if number is not None:
                # No other worker would do better: the client is let go, or its dispatcher would hold it for ever.
                self.ended_ids.append(number)
                self.wake()
            what = f"message of {len(message)} bytes with {len(fds)} descriptors"
            self.receiver.log("warning", f"handover: {what} refused, reason: {error.slug}")
            return True
        seat = self.seats[number] = ChannelSeat(self.receiver, self, number, bind_id, self.cells, cell)
        # On a bind's own channel the header in the message stands for the one that `accept-proxy` waits for.
        self.receiver.spawn_session(bind, Stream(self.receiver.pump, sock, shared=True), header, seat, introduced=introduced)
        return True


def _stream_socket(fd: int) -> socket.socket:
    """The connected stream socket behind a descriptor from elsewhere. Raises WireError; the descriptor is the caller's then."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        raise WireError("handover_not_a_socket") from None
    if sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise WireError("handover_not_a_socket")
    sock.setblocking(False)  # whoever gave it: one that blocks would hold everybody
    return sock


def real_addresses(sock: socket.socket) -> tuple[bytes, int, bytes, int]:
    """(source, its port, destination, its port) of a connection as the kernel knows it; b"" and 0 for unix sockets."""
    if sock.family == socket.AF_UNIX:
        return b"", 0, b"", 0
    try:
        source, source_port = packed(sock.getpeername())
        destination, destination_port = packed(sock.getsockname())
    except OSError:
        return b"", 0, b"", 0
    return source, source_port, destination, destination_port
