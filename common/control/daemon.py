"""Going to the background, and telling the process that started us how it went.

The process that was called waits until the service runs, and exits with its verdict: an init script then knows. Meanwhile
the service already has no terminal; only the master keeps a copy of stderr, for what may go wrong until then.

Source: HAProxy management guide 3 (-D, -p, -sf, -st); daemon(7).
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

from common.control.console import Console

_RUNNING = b"\1"


class Verdict:
    """The pipe on which the service tells the process that waits."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def running(self) -> None:
        """The service runs: let the waiting process go."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                os.write(self._fd, _RUNNING)
            os.close(self._fd)
            self._fd = -1


def detach(console: Console) -> Verdict | int:
    """In the service: a Verdict. In the process that was called: its exit code, once the service runs or has failed.

    To be called before any thread or event loop exists.
    """
    verdict_in, verdict_out = os.pipe2(os.O_CLOEXEC)
    first = os.fork()
    if first:
        os.close(verdict_out)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.waitpid(first, 0)
        with open(verdict_in, "rb") as pipe:
            return 0 if pipe.read(1) == _RUNNING else 1
    os.close(verdict_in)
    os.setsid()
    if os.fork():
        os._exit(0)
    console.fd = os.dup(2)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    return Verdict(verdict_out)


def silence(console: Console) -> None:
    """The service runs: let go of the terminal."""
    if console.fd > 2:
        os.close(console.fd)
        console.fd = -1


def write_pidfile(path: str) -> None:
    """Raises OSError. One write of a few bytes: who reads the file sees an empty one or the whole number.

    The file is written where it is, never replaced by another one: it may be a device such as /dev/null.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, b"%d\n" % os.getpid())
    finally:
        os.close(fd)


def release(finish: Sequence[int], terminate: Sequence[int]) -> None:
    """-sf, -st: tell older processes that we have taken over."""
    for pids, signum in ((finish, signal.SIGUSR1), (terminate, signal.SIGTERM)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError, OverflowError):
                os.kill(pid, signum)
