"""JSON messages over SOCK_SEQPACKET sockets, with descriptors beside them: how master, zygote and children speak.

A packet is one byte (more packets follow, or this is the last) and a part of the message: an operator's `show sess`
can be larger than any packet. Descriptors travel with the first packets of their message, a few hundred at most each
(the kernel's SCM_MAX_FD is 253). One sender at a time per socket; packets of two messages never interleave.

A message is a dict with a word under "op". Both ends are processes of one service: a message that does not
parse means that the other end is broken, and reads as the end of the channel.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]

PART_BYTES_MAX = 65536  # far below the default socket buffer (212992), so that a few packets fit at once
MESSAGE_BYTES_MAX = 1 << 28
FDS_PER_PACKET = 250

_LAST, _MORE = b"\0", b"\1"
_INT = struct.Struct("i")
_CONTROL_BYTES = socket.CMSG_SPACE(_INT.size * (FDS_PER_PACKET + 3))

Packet = tuple[bytes, Sequence[int]]


class ChannelError(Exception):
    """The other end sent what cannot be understood."""


def packets(message: Message, fds: Sequence[int] = ()) -> Iterator[Packet]:
    """The packets of one message: (bytes, descriptors to go with them)."""
    rest = json.dumps(message, separators=(",", ":")).encode()
    while True:
        part, rest = rest[:PART_BYTES_MAX], rest[PART_BYTES_MAX:]
        now, fds = fds[:FDS_PER_PACKET], fds[FDS_PER_PACKET:]
        last = not rest and not fds
        yield (_LAST if last else _MORE) + part, now
        if last:
            return


def rights(fds: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """Ancillary data that carries the descriptors."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, b"".join(map(_INT.pack, fds)))] if fds else []


@dataclass(slots=True)
class Assembler:
    """Joins packets to messages. fds of a message that never became whole are closed by `close`."""

    parts: list[bytes] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)
    bytes_held: int = 0

    def feed(self, packet: bytes, fds: Sequence[int]) -> tuple[Message, list[int]] | None:
        """The message that this packet completes, with its descriptors (now the caller's to close). Raises ChannelError."""
        self.fds += fds
        self.bytes_held += len(packet)
        if packet[:1] not in (_LAST, _MORE) or self.bytes_held > MESSAGE_BYTES_MAX:
            raise ChannelError(f"a packet of {len(packet)} bytes that is no part of a message")
        self.parts.append(packet[1:])
        if packet[:1] == _MORE:
            return None
        whole, received = b"".join(self.parts), self.fds
        self.parts, self.fds, self.bytes_held = [], [], 0
        try:
            message = json.loads(whole)
        except ValueError as error:
            close_fds(received)
            raise ChannelError(f"a message that is not JSON: {error}") from error
        if not isinstance(message, dict):
            close_fds(received)
            raise ChannelError("a message that is not an object")
        return message, received

    def close(self) -> None:
        close_fds(self.fds)
        self.fds = []


def unpack(packet: bytes, ancillary: Sequence[tuple[int, int, bytes]], flags: int) -> Packet:
    """What one recvmsg gave, as a packet. Raises ChannelError when descriptors were lost on the way in (none left to us)."""
    fds: list[int] = []
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds += (fd for (fd,) in _INT.iter_unpack(data[: len(data) // _INT.size * _INT.size]))
    if flags & socket.MSG_CTRUNC:
        close_fds(fds)
        raise ChannelError("descriptors were lost: the limit on open files (ulimit -n) is too low")
    return packet, fds


RECEIVE = (PART_BYTES_MAX + 1, _CONTROL_BYTES, socket.MSG_CMSG_CLOEXEC)
"""Arguments of recvmsg that hold any packet."""


def send_blocking(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Raises OSError when the other end is gone."""
    for part, part_fds in packets(message, fds):
        sock.sendmsg((part,), rights(part_fds))


def receive_blocking(sock: socket.socket, assembler: Assembler) -> tuple[Message, list[int]] | None:
    """The next whole message and its descriptors; None at the end of the channel. Raises ChannelError, OSError."""
    while True:
        packet, ancillary, flags, _address = sock.recvmsg(*RECEIVE)
        if not packet:
            return None
        received = assembler.feed(*unpack(packet, ancillary, flags))
        if received is not None:
            return received


def close_fds(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
