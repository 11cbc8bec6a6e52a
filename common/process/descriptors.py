"""`show fd`: the descriptors of a process, and who waits on them. HAProxy management guide 9.3."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping

SHOWN_MAX = 2000  # one answer is made at once, and connections wait meanwhile


def show_descriptors(wanted: str, users: Mapping[int, str]) -> str:
    """One line each, or one alone. users: what waits on a descriptor, by number."""
    numbers = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    if wanted:
        numbers = [number for number in numbers if str(number) == wanted]
    lines = [_line(number, users.get(number, "")) for number in numbers[:SHOWN_MAX]]
    left_off = len(numbers) - len(lines)
    return "".join(line for line in lines if line) + (f"… and {left_off} more\n" if left_off > 0 else "")


def _line(number: int, user: str) -> str:
    try:
        mode = os.fstat(number).st_mode
        target = os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""  # the one that read the list
    what = _socket(number) if stat.S_ISSOCK(mode) else target
    return f"{number:7} : {what}{' ' + user if user else ''}\n"


def _socket(number: int) -> str:
    sock = socket.socket(fileno=os.dup(number))
    with sock:
        family = {socket.AF_INET: "tcpv4", socket.AF_INET6: "tcpv6", socket.AF_UNIX: "unix"}.get(sock.family, "socket")
        if sock.type == socket.SOCK_DGRAM and family.startswith("tcp"):
            family = family.replace("tcp", "udp")
        kind = "listener" if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) else "connection"
        return f"{family} {kind} {_name(sock.getsockname)} -> {_name(sock.getpeername)}"


def _name(get: object) -> str:
    try:
        name = get()  # type: ignore[operator]
    except OSError:
        return "-"
    if isinstance(name, tuple):
        return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
    text = name.decode("utf-8", "replace").replace("\0", "@") if isinstance(name, bytes) else name
    return text or "-"
