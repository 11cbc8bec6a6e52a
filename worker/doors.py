"""Listening sockets of a worker: dispatchers come in by some, clients by others.

Source: accept(2); unix(7); docs/architecture.md section 2.
"""

from __future__ import annotations

import errno
import socket
from math import inf

from common.model import Bind
from common.net.peers import is_friend
from common.net.sockaddr import has_privileged_port
from common.net.stream import Stream
from worker.receive import ACCEPT_PAUSE_S, ACCEPTS_PER_TURN, Channel, Receiver

COMPLAIN_EVERY_S = 1.0
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PEER_GONE = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ECONNRESET}


async def accept_channels(receiver: Receiver, listener: socket.socket, bind: Bind | None) -> None:
    """Accept dispatchers on a SEQPACKET name of ours for ever. bind: whose name it is; None for the worker's own channel."""
    door = _Door(receiver, listener, "handover channel")
    while True:
        sock = door.accept()
        if sock is None:
            await door.wait()
        elif is_friend(receiver, sock, door.name):
            channel = Channel(receiver, Stream(receiver.pump, sock), bind)
            receiver.pump.spawn(channel.run(), "channel")


class ClientDoor:
    """A listening socket of this worker's own. check_peer: an abstract name."""

    __slots__ = ("_bind", "_check_peer", "_door", "_receiver", "listener")

    def __init__(self, receiver: Receiver, listener: socket.socket, bind: Bind, *, check_peer: bool) -> None:
        self.listener = listener
        self._receiver = receiver
        self._bind = bind
        self._check_peer = check_peer
        self._door = _Door(receiver, listener, str(bind.address))

    def reject_privileged_ports(self) -> None:
        """Close what comes from a port below 1024 (`harden.reject-privileged-ports.tcp`)."""
        self._door.rejects_privileged = True

    async def run(self) -> None:
        """Accept connections for ever."""
        while True:
            for _ in range(ACCEPTS_PER_TURN):
                if not self._accept():
                    await self._door.wait()
                    break
            else:
                await self._receiver.pump.pause()

    def sweep(self) -> None:
        """Take who is in the backlog already: we are about to stop listening."""
        while self._accept():
            pass

    def _accept(self) -> bool:
        sock = self._door.accept()
        if sock is None:
            return False
        if not self._check_peer or is_friend(self._receiver, sock, self._door.name):
            self._receiver.spawn_session(self._bind, Stream(self._receiver.pump, sock), None, None, introduced=False)
        return True


class _Door:
    """A listening socket of ours. name: for the log."""

    __slots__ = ("_complained_at", "_listener", "_receiver", "_stream", "_trouble", "name", "rejects_privileged")

    def __init__(self, receiver: Receiver, listener: socket.socket, name: str) -> None:
        self.name = name
        self._receiver = receiver
        self._listener = listener
        self._stream = Stream(receiver.pump, listener)
        self._trouble = False
        self._complained_at = -inf
        self.rejects_privileged = False

    def accept(self) -> socket.socket | None:
        """The next one who has come; None: `wait` before trying again."""
        while True:
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in _PEER_GONE:
                    continue
                self._trouble = True
                self._complain(error)
                return None
            if self.rejects_privileged and has_privileged_port(address):
                sock.close()
                continue
            sock.setblocking(False)
            return sock

    async def wait(self) -> None:
        """For the next one; in trouble for a moment, in which they wait in the kernel's backlog."""
        if self._trouble:
            self._trouble = False
            await self._receiver.pump.sleep(ACCEPT_PAUSE_S)
        else:
            await self._stream.readable(inf)

    def _complain(self, error: OSError) -> None:
        now = self._receiver.pump.now
        paused = error.errno == errno.EINVAL  # by an operator: it does not listen, in any process
        if not paused and now - self._complained_at >= COMPLAIN_EVERY_S:
            self._complained_at = now
            level = "emerg" if error.errno in _OUT_OF_RESOURCES else "alert"
            self._receiver.log(level, f"accept on {self.name}: {error.strerror}; new connections wait in the kernel")
