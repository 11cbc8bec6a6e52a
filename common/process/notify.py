"""Telling the service manager how we are: systemd's notification protocol, which is one datagram per state.

Source: sd_notify(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
import time

VARIABLE = "NOTIFY_SOCKET"


def notify(state: str) -> bool:
    """Send lines such as "READY=1"; False where no service manager listens. Never waits, never fails."""
    path = os.environ.get(VARIABLE, "")
    if path[:1] not in ("/", "@"):
        return False
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, kind) as sock:
        sock.sendto(state.encode(), "\0" + path[1:] if path[0] == "@" else path)
        return True
    return False


def ready(status: str) -> bool:
    return notify(f"READY=1\nMAINPID={os.getpid()}\nSTATUS={status}")


def reloading() -> bool:
    """To be followed by `ready`, also when the reload failed: the service is as ready as it was."""
    return notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def stopping() -> bool:
    return notify("STOPPING=1")


def watchdog() -> bool:
    """A sign of life."""
    return notify("WATCHDOG=1")


def watchdog_interval_s() -> float:
    """How often a sign of life is due, in seconds: half of what the manager allows; 0 if it does not watch this process.

    Source: sd_watchdog_enabled(3).
    """
    allowed_us = os.environ.get("WATCHDOG_USEC", "")
    if not allowed_us.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(allowed_us) / 2e6
