"""Effective limits and where they come from."""

from __future__ import annotations

import pytest

from common.config.limits import Limits, Machine, effective_limits, render_limits
from tests.common.config.test_build import good

MACHINE = Machine(descriptors=10_000, cores=4)


def limits(text: str, machine: Machine = MACHINE) -> Limits:
    return effective_limits(good(text), machine)


def row(found: Limits, scope: str, name: str) -> tuple[str, str]:
    return next((one.value, one.origin) for one in found.rows if (one.scope, one.name) == (scope, name))


def test_workers_come_from_the_file_or_the_cores() -> None:
    assert limits("global\n workers 3\n").workers == 3
    assert limits("global\n daemon\n").workers == 4
    assert limits("global\n nbproc 6\n").workers == 6
    assert limits("global\n nbproc 6\nlisten a\n bind :1 process 2-3\n").workers == 2


def test_maxconn_fits_into_the_descriptors() -> None:
    free = limits("global\n workers 2\n")
    assert free.descriptors_needed <= 10_000
    assert row(free, "global", "maxconn")[1] == "from 10000 descriptors per process"
    held = limits("global\n workers 2\n maxconn 100\n")
    assert (held.maxconn, held.notices) == (100, ())
    capped = limits("global\n workers 2\n maxconn 1000000\n")
    assert capped.maxconn == free.maxconn
    assert [notice.slug for notice in capped.notices] == ["maxconn-above-descriptors"]


@pytest.mark.parametrize("descriptors", [20, 100, 1024, 4096, 1 << 20])
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_needed_descriptors_never_exceed_what_there_is(descriptors: int, workers: int) -> None:
    found = limits(f"global\n workers {workers}\n", Machine(descriptors, 1))
    assert found.maxconn >= workers
    assert found.descriptors_needed <= max(descriptors, 100 + 2)


def test_own_limits_of_descriptors_hold() -> None:
    assert limits("global\n fd-hard-limit 500\n").descriptors_per_process == 500
    assert limits("global\n ulimit-n 300\n fd-hard-limit 500\n").descriptors_per_process == 300


def test_memory_that_is_not_there_is_noticed() -> None:
    found = limits("global\n maxconn 2000\n tune.bufsize 1m\n", Machine(100_000, 1, 1 << 30))
    assert [notice.slug for notice in found.notices] == ["memory"]


def test_frontend_above_the_global_maxconn_is_noticed() -> None:
    found = limits("global\n maxconn 10\nlisten a\n bind :1\n maxconn 20\n")
    assert [notice.slug for notice in found.notices] == ["maxconn-above-global"]
    assert row(found, "listen a", "maxconn") == ("10", "maxconn 20 is above global maxconn")


def test_timeouts_name_what_they_fall_back_to() -> None:
    found = limits("listen a\n mode http\n bind :1\n timeout client 3s\n timeout connect 1s\n timeout http-request 2s\n")
    assert row(found, "listen a", "timeout http-keep-alive") == ("2000 ms", "timeout http-request")
    assert row(found, "listen a", "timeout queue") == ("1000 ms", "timeout connect")
    assert row(found, "listen a", "timeout tunnel") == ("3000 ms", "timeout client")
    assert row(found, "listen a", "timeout server") == ("no limit", "not set")


def test_fullconn_is_a_tenth_of_the_frontends() -> None:
    found = limits(
        "frontend f\n bind :1\n maxconn 100\n default_backend b\nfrontend g\n bind :2\n maxconn 50\n use_backend b if TRUE\nbackend b\n"
    )
    assert row(found, "backend b", "fullconn")[0] == "15"


def test_report_is_aligned_text() -> None:
    lines = render_limits(limits("global\n workers 2\n")).split("\n")
    assert len({line.index("(") for line in lines}) == 1
