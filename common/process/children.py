"""One running child process: its signals, its end, and how the kernel tells of both.

A child is watched through its pidfd, which tells of its end whoever its parent is, and which can never mean another
process that got the same pid. Source: pidfd_open(2), waitid(2), prctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from dataclasses import dataclass

import trio

_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. code: its exit code, the negative number of the signal that killed it, or None if nobody knows."""

    code: int | None

    def __str__(self) -> str:
        if self.code is None:
            return "ended in a way that nobody saw"
        if self.code >= 0:
            return f"exited with code {self.code}"
        try:
            return f"was killed by {signal.Signals(-self.code).name}"
        except ValueError:
            return f"was killed by signal {-self.code}"


class Child:
    """A process, by pid and pidfd (ours to close). It may be the child of another process, even of the zygote."""

    __slots__ = ("pid", "pidfd")

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd

    def kill(self, signum: int) -> None:
        """Send a signal; quietly nothing when the process is gone."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signum)

    async def gone(self) -> None:
        """Wait until the process has ended."""
        await trio.lowlevel.wait_readable(self.pidfd)

    def reap(self) -> Ended:
        """How it ended, if this process is its parent by now. Call it after `gone`."""
        try:
            result = os.waitid(os.P_PIDFD, self.pidfd, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return Ended(None)
        if result is None:
            return Ended(None)
        return Ended(result.si_status if result.si_code == os.CLD_EXITED else -result.si_status)

    def close(self) -> None:
        if self.pidfd >= 0:
            trio.lowlevel.notify_closing(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1


def become_subreaper() -> None:
    """From now on, orphans among this process's descendants become its children, rather than init's."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
