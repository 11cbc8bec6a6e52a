"""Who is at the other end of a unix socket. Abstract names have no file permissions, so both ends ask before they believe.

Source: unix(7) SO_PEERCRED.
"""

from __future__ import annotations

import socket
import struct
from typing import Protocol

_CREDENTIALS = struct.Struct("3i")


class Owner(Protocol):
    """The process as far as it trusts others."""

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...


def peer_credentials(sock: socket.socket) -> tuple[int, int, int]:
    """(pid, uid, gid) of the process at the other end, as the kernel knows it: who connected, or who called listen(2). Raises OSError."""
    pid, uid, gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return pid, uid, gid


def is_friend(owner: Owner, sock: socket.socket, where: str) -> bool:
    """Whether one who came to an abstract name is our own user, root, or one that the configuration lists. Others are logged and closed."""
    try:
        pid, uid, _gid = peer_credentials(sock)
    except OSError:
        sock.close()
        return False
    if owner.is_trusted(uid):
        return True
    owner.log(
        "warning",
        f"connection to {where} refused: process {pid} of user {uid} is neither root nor our own user; "
        "'channel-uids' in section global lists others that may connect",
    )
    sock.close()
    return False
