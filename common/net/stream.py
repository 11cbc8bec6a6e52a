"""A plain stream socket on the pump: try first, park after.

`recv_now`/`send_now` never wait; `recv`/`send` park the strand until they can go on or the deadline passes. A TLS stream
(worker/tls.py) offers the same methods, so the stories do not know which one they hold.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Generator
from math import inf
from types import coroutine

from common.net.pump import Pump, Strand

_IN = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_IN_OUT = _IN | select.EPOLLOUT
_LINGER_NONE = struct.pack("ii", 1, 0)
READ_SIZE = 65536


class Stream:
    """One connected socket.

    drained: the last read left nothing behind, so only an event is worth another try. ended: the peer's end (FIN or
    error) is on its way to us, so a short read proves nothing any more. shared: another process may hold the same
    open socket, so closing it must unregister and shut down by hand.
    """

    __slots__ = ("closed", "drained", "ended", "fd", "mask", "pump", "reader", "shared", "sock", "writer")

    tls = False
    answer_waits = False  # reading needs to write first (TLS only)

    def __init__(self, pump: Pump, sock: socket.socket, *, shared: bool = False) -> None:
        self.pump = pump
        self.sock = sock
        self.fd = sock.fileno()
        self.mask = 0
        self.drained = False
        self.ended = False
        self.shared = shared
        self.closed = False
        self.reader: Strand | None = None
        self.writer: Strand | None = None

    # --- waiting -------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Register with the pump. Adding reports what is ready already, so nothing is missed. Raises OSError."""
        self.pump.epoll.register(self.fd, _IN)
        self.pump.streams[self.fd] = self
        self.mask = _IN

    def watch_write(self) -> None:
        """Ask for write readiness too. Modifying re-arms the edge, so a socket that is writable now fires. Raises OSError."""
        if not self.mask:
            self.pump.epoll.register(self.fd, _IN_OUT)
            self.pump.streams[self.fd] = self
        else:
            self.pump.epoll.modify(self.fd, _IN_OUT)
        self.mask = _IN_OUT

    def watch_read(self, strand: Strand) -> None:
        """That strand is to be resumed when a read may find something. Raises OSError."""
        if not self.mask:
            self.watch()
        self.reader = strand

    @coroutine
    def readable(self, deadline: float) -> Generator[None, None, None]:
        """Park until an event says that a read may find something. Raises DeadlinePassed."""
        pump = self.pump
        strand = pump.current
        assert strand is not None
        if not self.mask:
            self.watch()
        self.reader = strand
        strand.deadline = deadline
        if deadline < strand.bucket:
            pump.set_deadline(strand, deadline)
        try:
            yield
        finally:
            self.reader = None

    @coroutine
    def writable(self, deadline: float) -> Generator[None, None, None]:
        """Park until a write may go on. Raises DeadlinePassed."""
        pump = self.pump
        strand = pump.current
        assert strand is not None
        self.watch_write()
        self.writer = strand
        strand.deadline = deadline
        if deadline < strand.bucket:
            pump.set_deadline(strand, deadline)
        try:
            yield
        finally:
            self.writer = None

    def answer(self) -> None:
        """There is room for what reading needs to write: another read is worth a try."""

    # --- reading -------------------------------------------------------------------------------------------------

    def recv_now(self, size: int = READ_SIZE) -> bytes | None:
        """What is there: bytes, b"" at the end of the stream, None when a read would block. Raises OSError."""
        if self.drained:
            return None
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            self.drained = not self.ended
            return None
        if len(data) < size and not self.ended:
            self.drained = True
        return data

    async def recv(self, size: int = READ_SIZE, deadline: float = inf) -> bytes:
        """At least one byte, or b"" at the end of the stream. Raises DeadlinePassed, OSError."""
        while True:
            if not self.drained:
                data = self.recv_now(size)
                if data is not None:
                    return data
            await self.readable(deadline)

    def peek_end(self) -> bool:
        """Whether an idle connection is of no use any more: the peer has closed it or sent something unasked.

        Costs nothing while no event came.
        """
        if self.drained:
            return False
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            self.drained = not self.ended
            return self.ended
        except OSError:
            return True
        return True

    # --- writing -------------------------------------------------------------------------------------------------

    def send_now(self, data: bytes | memoryview) -> int:
        """Send what fits; how many bytes that was. Raises OSError."""
        try:
            return self.sock.send(data)
        except BlockingIOError:
            return 0

    async def send(self, data: bytes | memoryview, deadline: float = inf) -> None:
        """Send all of data. Raises DeadlinePassed, OSError."""
        sent = self.send_now(data)
        if sent < len(data):
            view = memoryview(data)
            while sent < len(view):
                await self.writable(deadline)
                sent += self.send_now(view[sent:])

    # --- ending --------------------------------------------------------------------------------------------------

    def shutdown_write(self) -> None:
        """Pass the end of our stream on; the peer may still send. Errors are of no interest: the peer may be gone."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        """Close now. What the kernel holds is still delivered. Whoever waits for the stream is resumed, and finds it closed."""
        if self.closed:
            return
        self.closed = True
        fd, self.fd = self.fd, -1
        pump = self.pump
        if self.mask:
            del pump.streams[fd]
            pump.closed_fds.add(fd)
        if self.shared:
            self._let_go(fd)
        self.sock.close()
        self.drained = False
        if self.reader is not None:
            pump.rouse(self.reader)
        if self.writer is not None:
            pump.rouse(self.writer)

    def _let_go(self, fd: int) -> None:
        """What closing does by itself where nobody else holds the socket."""
        if self.mask:
            self.pump.epoll.unregister(fd)
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def abort(self) -> None:
        """Close with a reset: the peer must not take what it has for the whole."""
        if self.closed:
            return
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        except OSError:
            pass
        if self.shared:
            # A shutdown would send an ordinary end. The reset leaves when the last one who holds the socket closes it.
            self.shared = False
            if self.mask:
                self.pump.epoll.unregister(self.fd)
        self.close()

    def detach(self) -> socket.socket:
        """Give the socket away: it is no longer the pump's."""
        if self.mask:
            del self.pump.streams[self.fd]
            self.pump.closed_fds.add(self.fd)
            self.pump.epoll.unregister(self.fd)
            self.mask = 0
        self.closed = True
        return self.sock
