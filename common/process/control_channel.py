"""The control channel between the master and one child, as trio tasks see it. Both ends use this class.

From the child:  {"op": "ready"}                                   its sockets accept: the start has succeeded
                 {"op": "failed", "text": …}                       it is about to end, for this reason
                 {"op": "log", "level": …, "text": …}              a line for the master to log
                 {"op": "reply", "id": …, "text": …}               answer to a command
                 {"op": "orders", "id": …, "lines": […]}           what an operator wants whom it serves (statistics page)
From the master: {"op": "stop", "soft": …}                         stop: soft after the last session, hard at once
                 {"op": "command", "id": …, "line": …}             a line from the operator socket, and its payload after a line
                                                                   feed; id 0: nobody waits for the answer
                 {"op": "obeyed", "id": …, "obeyed": […]}          which of the orders were carried out

The end of the channel means to the master that the child is dying, and to the child that the master is dead: then it
goes on serving. Only a child that cannot even say "ready" leaves: nobody waits for it.
"""

from __future__ import annotations

import socket

import trio

from common.process import messages
from common.process.messages import Message


class ControlChannel:
    """send may be called by several tasks, receive by one."""

    __slots__ = ("_assembler", "_lock", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = trio.socket.from_stdlib_socket(sock)
        self._assembler = messages.Assembler()
        self._lock = trio.Lock()

    @classmethod
    def from_fd(cls, fd: int) -> ControlChannel:
        return cls(socket.socket(fileno=fd))

    @classmethod
    def pair(cls) -> tuple[ControlChannel, socket.socket]:
        """(the master's end, the child's end to pass on)."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        return cls(ours), theirs

    async def send(self, message: Message) -> bool:
        """False when the other end is gone."""
        async with self._lock:
            try:
                for part, _fds in messages.packets(message):
                    await self._socket.send(part)
            except (OSError, trio.ClosedResourceError):
                return False
        return True

    async def receive(self) -> Message | None:
        """The next message, None when the other end is gone (or talks nonsense, which no process of ours does)."""
        try:
            while True:
                packet = await self._socket.recv(messages.PART_BYTES_MAX + 1)
                if not packet:
                    return None
                received = self._assembler.feed(packet, ())
                if received is not None:
                    return received[0]
        except (OSError, messages.ChannelError, trio.ClosedResourceError):
            return None

    def close(self) -> None:
        self._socket.close()
