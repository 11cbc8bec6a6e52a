"""Descriptors over unix sockets: one message, one descriptor. Source: unix(7), SCM_RIGHTS."""

from __future__ import annotations

import errno
import os
import socket
import struct
from enum import Enum

_INT = struct.Struct("i")
_ROOM = socket.CMSG_SPACE(_INT.size * 4)
MESSAGE_BYTES_MAX = 65536


class Given(Enum):
    """How sending a descriptor went."""

    SENT = "sent"
    FULL = "full"  # the channel or the kernel's count of descriptors in flight is full: try elsewhere or later
    GONE = "gone"  # the other end is dead


def send_descriptor(channel: socket.socket, message: bytes, fd: int) -> Given:
    """Send one message with one descriptor; never waits."""
    try:
        channel.sendmsg((message,), ((socket.SOL_SOCKET, socket.SCM_RIGHTS, _INT.pack(fd)),))
    except BlockingIOError:
        return Given.FULL
    except OSError as error:
        if error.errno in (errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM):
            return Given.FULL
        return Given.GONE
    return Given.SENT


def receive_descriptor(channel: socket.socket) -> tuple[bytes, list[int]] | None:
    """One message and the descriptors that came with it (the caller's to close); None when there is none now.

    b"" with no descriptors is the end of the channel. Raises OSError.
    """
    try:
        message, control, _flags, _address = channel.recvmsg(MESSAGE_BYTES_MAX, _ROOM, socket.MSG_CMSG_CLOEXEC)
    except BlockingIOError:
        return None
    fds: list[int] = []
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.extend(fd for (fd,) in _INT.iter_unpack(data[: len(data) // _INT.size * _INT.size]))
    return message, fds


def close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
