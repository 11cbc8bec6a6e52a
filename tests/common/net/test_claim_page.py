from __future__ import annotations

import fcntl
import os
from collections.abc import Callable

import pytest

from common.errors import WireError
from common.net import claim_page
from common.net.claim_page import barrier, join_barriers, make_page, open_page
from common.wire.claims import PAGE_BYTES


def test_two_mappings_are_one_memory() -> None:
    fd, ours = make_page()
    theirs = open_page(fd)
    os.close(fd)
    ours[7] = 1
    assert theirs[7] == 1 and len(theirs) == PAGE_BYTES


def unsealed() -> int:
    fd = os.memfd_create("usher-test")
    os.ftruncate(fd, PAGE_BYTES)
    return fd


def too_short() -> int:
    fd = os.memfd_create("usher-test", os.MFD_ALLOW_SEALING)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


@pytest.mark.parametrize("make", [unsealed, too_short, lambda: os.open(os.devnull, os.O_RDWR)])
def test_memory_that_could_shrink_under_us_is_refused(make: Callable[[], int]) -> None:
    fd = make()
    with pytest.raises(WireError, match="handover_bad_page"):
        open_page(fd)
    os.close(fd)


def test_barrier_works_without_the_systems_help_too(monkeypatch: pytest.MonkeyPatch) -> None:
    join_barriers()
    barrier()
    monkeypatch.setattr(claim_page, "_MEMBARRIER", -1)
    join_barriers()
    barrier()
