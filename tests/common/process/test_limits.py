"""How many connections the open files allow, and what that limit is raised to."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from typing import Any

import pytest

from common.model import Address, AddressKind, Bind, Config, Global, Place, Proxy, Server
from common.process import limits
from common.process.plan import plan

NOWHERE = Place()


def config(*, workers: int = 2, relay: bool = False, pass_fd: bool = False, **settings: Any) -> Config:
    tcp = Bind(NOWHERE, Address(AddressKind.INET, port=80))
    web = Proxy(NOWHERE, "www", True, False, mode="http", binds=[tcp])
    proxies = [web]
    if relay:
        servers = [Server(NOWHERE, "p", Address(AddressKind.ABNS, path="p"), pass_fd=pass_fd)]
        proxies.append(Proxy(NOWHERE, "d", True, True, binds=[Bind(NOWHERE, Address(AddressKind.INET, port=81), id=1)], servers=servers))
    return Config(globals=Global(workers=workers, **settings), proxies=proxies)


def effective(found: Config, descriptors: int) -> limits.Maxconn:
    return limits.effective_maxconn(found, plan(found, 1), descriptors)


@pytest.mark.parametrize(
    ("given", "descriptors", "value", "origin"),
    [
        (config(), 2101, 2000, "open files (2101 per process)"),
        (config(workers=1), 2101, 1000, "open files (2101 per process)"),
        (config(maxconn=500), 2101, 500, "maxconn"),
        (config(maxconn=2000), 2101, 2000, "maxconn"),
        (config(maxconn=2001), 2101, 2000, "open files (2101 per process)"),
        (config(relay=True), 2103, 1000, "open files (2103 per process)"),
        (config(relay=True, pass_fd=True), 2103, 2000, "open files (2103 per process)"),
        (config(), 3, 2, "open files (3 per process)"),
    ],
)
def test_maxconn_is_what_was_asked_for_or_what_the_open_files_allow(given: Config, descriptors: int, value: int, origin: str) -> None:
    found = effective(given, descriptors)
    assert (found.value, found.origin) == (value, origin)
    assert bool(found.notice) == (given.globals.maxconn > value)


def test_the_notice_says_which_limit_holds_and_how_to_raise_it() -> None:
    assert effective(config(maxconn=100_000), 2101).notice == (
        "maxconn 100000 needs 200000 open files, the limit allows for 2000 connections (2101 files in each of 2 processes): "
        "2000 holds. Raise it with ulimit -n or LimitNOFILE=."
    )


def test_a_service_without_processes_has_a_limit_too() -> None:
    assert effective(Config(), 1100).value == 500


def in_child(act: Callable[[], int]) -> int:
    """The result (0 to 255) of something that changes its process for ever."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            code = act()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def raised(soft: int, hard: int, **wishes: int) -> int:
    """The tenth of what the limit is raised to, from these limits on."""

    def act() -> int:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        said = limits.raise_descriptors(**wishes)
        now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return said // 10 if said == now else 255

    return in_child(act)


@pytest.mark.parametrize(
    ("soft", "hard", "wishes", "expected"),
    [
        (100, 900, {}, 900),
        (900, 900, {}, 900),
        (100, 900, {"ceiling": 500}, 500),
        (600, 900, {"ceiling": 500}, 500),
        (100, 900, {"wanted": 1500, "ceiling": 700}, 700),
        (100, 900, {"ceiling": 2000}, 900),
        (100, 900, {"wanted": 300}, 900),
    ],
)
def test_the_soft_limit_is_raised_as_far_as_it_may(soft: int, hard: int, wishes: dict[str, int], expected: int) -> None:
    assert raised(soft, hard, **wishes) * 10 == expected


def test_a_wish_lifts_the_hard_limit_for_those_who_may_and_stops_nobody_else() -> None:
    def may() -> int:
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 900))
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1500, 1500))
        except ValueError:
            return 0
        return 1

    assert raised(100, 900, wanted=1500) * 10 == (1500 if in_child(may) else 900)


def test_memory_is_limited_unless_the_figure_is_absurd() -> None:
    def act() -> int:
        assert not limits.limit_memory(limits.MEMORY_FLOOR_BYTES - 1)
        assert limits.limit_memory(200 << 20)
        try:
            bytearray(400 << 20)
        except MemoryError:
            return 0
        return 1

    assert in_child(act) == 0


def test_fd_soft_limit_is_what_is_asked_for_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    held = [(1000, 5000)]
    monkeypatch.setattr(resource, "getrlimit", lambda _which: held[0])
    monkeypatch.setattr(resource, "setrlimit", lambda _which, pair: held.__setitem__(0, pair))
    assert limits.raise_descriptors(0, 0, 2000) == 2000
    assert limits.raise_descriptors(0, 1500, 2000) == 1500
