"""The memory behind common/wire/claims.py: made by the dispatcher, given to the worker as the first message of a channel.

The barrier. A processor may show its own writes to others later than it reads theirs. The worker, which claims for every client,
must not pay for that; the dispatcher, which withdraws when a worker hangs, makes every processor catch up: membarrier(2). Where the
kernel does not have it, a pause does: no processor keeps a write to itself for a millisecond.

Source: memfd_create(2), membarrier(2).
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import time

from common.errors import WireError
from common.wire.claims import PAGE_BYTES

_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_MEMBARRIER = {"x86_64": 324, "aarch64": 283}.get(platform.machine(), -1)
_GLOBAL_EXPEDITED, _REGISTER_GLOBAL_EXPEDITED = 1 << 1, 1 << 2
_PAUSE_S = 0.001

_libc = ctypes.CDLL(None, use_errno=True)


def make_page() -> tuple[int, memoryview]:
    """(descriptor to give away and close, the memory). Raises OSError."""
    fd = os.memfd_create("usher-claims", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, PAGE_BYTES)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
        return fd, memoryview(mmap.mmap(fd, PAGE_BYTES))
    except BaseException:
        os.close(fd)
        raise


def open_page(fd: int) -> memoryview:
    """The memory behind a descriptor from elsewhere, which stays the caller's. Raises WireError if it might shrink under us."""
    try:
        if os.fstat(fd).st_size != PAGE_BYTES or fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise WireError("handover_bad_page")
        return memoryview(mmap.mmap(fd, PAGE_BYTES))
    except (OSError, ValueError):
        raise WireError("handover_bad_page") from None


def join_barriers() -> None:
    """To be called once by whoever claims."""
    _membarrier(_REGISTER_GLOBAL_EXPEDITED)


def barrier() -> None:
    """After this, what others wrote before is seen here, and what was written here before is seen by them."""
    if not _membarrier(_GLOBAL_EXPEDITED):
        time.sleep(_PAUSE_S)


def _membarrier(command: int) -> bool:
    return _MEMBARRIER >= 0 and _libc.syscall(_MEMBARRIER, command, 0, 0) == 0
