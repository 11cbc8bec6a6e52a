"""The zygote and its children, as real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from common.model import Config, Place, Proxy
from common.process import zygote
from common.process.launch import Launch
from common.process.spawner import Spawned, Spawner, SpawnError

PROGRAM = "tests.common.process.echo_program"
DEADLINE_S = 20


def launch(**changes: Any) -> Launch:
    config = Config(proxies=[Proxy(Place(), "www", True, True)])
    return Launch(**{"config": config, "role": "worker", "number": 2, "generation": 1, "master_pid": os.getpid(), **changes})


@asynccontextmanager
async def spawner(imports: tuple[str, ...] = (PROGRAM,), start: str = "start_by_fork") -> AsyncIterator[tuple[Spawner, list[str]]]:
    """A running spawner and what it reports. Its zygote is started by a process without trio tasks only in name: no threads run."""
    reports: list[str] = []
    channel, pid = getattr(zygote, start)()
    spawns = Spawner(channel, pid, imports, reports.append)
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spawns.run)
            yield spawns, reports
            await spawns.close()
            nursery.cancel_scope.cancel()


async def described(spawns: Spawner, extra: dict[str, int] | None = None) -> dict[str, Any]:
    """What a child finds out about itself."""
    read_end, write_end = os.pipe()
    child = await spawns.spawn(f"{PROGRAM}:run_describe", launch(), {"out": write_end, **(extra or {})})
    os.close(write_end)
    assert (await child.wait()).code == 0
    found: dict[str, Any] = json.loads(os.read(read_end, 100_000))
    os.close(read_end)
    return found | {"seen pid": child.pid}


@pytest.mark.parametrize("start", ["start_by_fork", "start_by_exec"])
async def test_a_child_gets_its_launch_its_descriptors_and_nothing_else(start: str) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    async with spawner((PROGRAM, f"{PROGRAM}:preload"), start) as (spawns, _reports):
        child = await described(spawns, {"counters": null})
        assert child["pid"] == child["seen pid"]
        assert child["title"] == "worker 2"
        assert child["comm"] == "usher-work-2"
        assert child["proxies"] == ["www"]
        assert child["fds"]["counters"] == os.fstat(null).st_ino
        assert child["open"] == 3 + 2  # the standard ones, out and counters; the payload was read and closed
        assert child["preloaded"] == [spawns.zygote_pid]
    os.close(null)


async def test_a_child_starts_with_default_signals_whatever_was_inherited() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        async with spawner() as (spawns, _reports):
            child = await described(spawns)
    finally:
        signal.signal(signal.SIGINT, before)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    assert child["sigint"]
    assert child["mask"] == []


async def test_a_child_can_be_given_more_descriptors_than_one_message_carries() -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    async with spawner() as (spawns, _reports):
        child = await described(spawns, {f"bind:{number}": null for number in range(600)})
        assert len(child["fds"]) == 601
    os.close(null)


@pytest.mark.parametrize(
    ("entry", "signum", "expected"),
    [
        ("run_exit_at_once", 0, "exited with code 3"),
        ("run_raise_oserror", 0, "exited with code 1"),
        ("run_bug", 0, "exited with code 70"),
        ("run_wait", signal.SIGKILL, "was killed by SIGKILL"),
        ("run_wait", signal.SIGTERM, "was killed by SIGTERM"),
        ("run_wait", signal.SIGINT, "was killed by SIGINT"),
        ("run_wait", signal.SIGRTMIN + 2, f"was killed by signal {signal.SIGRTMIN + 2}"),
    ],
)
async def test_how_a_child_ended_is_known(entry: str, signum: int, expected: str, capfd: pytest.CaptureFixture[str]) -> None:
    async with spawner() as (spawns, _reports):
        child = await spawns.spawn(f"{PROGRAM}:{entry}", launch(), {})
        if signum:
            child.kill(signum)
        assert str(await child.wait()) == expected
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("run_raise_oserror", "[Errno 2] No such file or directory: '/nowhere.pem'"),
        ("run_bug", "KeyError: 'bug' at echo_program.py:"),
    ],
)
async def test_a_child_tells_the_master_why_it_ends(entry: str, expected: str) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    async with spawner() as (spawns, _reports):
        child = await spawns.spawn(f"{PROGRAM}:{entry}", launch(), {"control": theirs.fileno()})
        await child.wait()
    with ours, theirs:
        message = json.loads(ours.recv(1000)[1:])
    assert message["op"] == "failed"
    assert message["text"].startswith(expected)


async def test_a_program_that_cannot_be_loaded_fails_every_spawn_with_its_reason() -> None:
    async with spawner((f"{PROGRAM}:broken_preload",)) as (spawns, _reports):
        with pytest.raises(SpawnError, match=r"RuntimeError: this program cannot be loaded at echo_program\.py"):
            await spawns.spawn(f"{PROGRAM}:run", launch(), {})


async def test_more_can_be_loaded_later_and_a_failure_spoils_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.process.spawner.ZYGOTE_AGAIN_S", 0)
    async with spawner() as (spawns, _reports):
        assert (await described(spawns))["preloaded"] == []
        with pytest.raises(SpawnError, match="this program cannot be loaded"):
            await spawns.load([f"{PROGRAM}:broken_preload"])
        await spawns.load([PROGRAM, f"{PROGRAM}:preload"])
        await spawns.load([PROGRAM, f"{PROGRAM}:preload"])
        assert (await described(spawns))["preloaded"] == [spawns.zygote_pid]
        first = spawns.zygote_pid
        os.kill(first, signal.SIGKILL)
        await another_zygote(spawns, first)
        assert (await described(spawns))["preloaded"] == [spawns.zygote_pid]


async def another_zygote(spawns: Spawner, old: int) -> None:
    while spawns.zygote_pid == old:  # noqa: ASYNC110 - a fact of the outside, nobody signals it
        await trio.sleep(0.01)


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


async def killed_zygote(spawns: Spawner, reports: list[str]) -> None:
    """Kill the zygote and wait until the spawner has another one."""
    first = spawns.zygote_pid
    os.kill(first, signal.SIGKILL)
    await another_zygote(spawns, first)
    assert reports == [f"zygote ({first}) was lost; another one is started for processes to come"]


async def test_children_outlive_their_zygote_and_their_end_is_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.process.spawner.ZYGOTE_AGAIN_S", 0)
    async with spawner() as (spawns, reports):
        old = [await spawns.spawn(f"{PROGRAM}:run_wait", launch(), {}) for _ in range(2)]
        await killed_zygote(spawns, reports)
        new = await spawns.spawn(f"{PROGRAM}:run_wait", launch(), {})
        for child, signum in zip((*old, new), (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP), strict=True):
            child.kill(signum)
            assert (await child.wait()).code == -signum


async def test_a_stuck_zygote_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.process.spawner.ZYGOTE_AGAIN_S", 0)
    monkeypatch.setattr("common.process.spawner.SPAWN_WAIT_S", 0.2)
    async with spawner() as (spawns, _reports):
        await described(spawns)
        stuck = spawns.zygote_pid
        os.kill(stuck, signal.SIGSTOP)
        with pytest.raises(SpawnError, match="did not fork within"):
            await spawns.spawn(f"{PROGRAM}:run", launch(), {})
        await another_zygote(spawns, stuck)
        monkeypatch.undo()
        assert (await described(spawns))["title"] == "worker 2"


async def test_a_stopped_zygote_does_not_hold_up_the_end() -> None:
    async with spawner() as (spawns, _reports):
        await described(spawns)
        os.kill(spawns.zygote_pid, signal.SIGSTOP)
    assert not alive(spawns.zygote_pid)


async def test_the_zygote_leaves_with_its_master_and_children_stay() -> None:
    async with spawner() as (spawns, _reports):
        child: Spawned = await spawns.spawn(f"{PROGRAM}:run_wait", launch(), {})
    assert not alive(spawns.zygote_pid)
    assert alive(child.pid)
    child.kill(signal.SIGKILL)
    with trio.fail_after(DEADLINE_S):
        assert (await child.wait()).code == -signal.SIGKILL


async def test_signals_for_the_service_do_not_end_the_zygote() -> None:
    async with spawner() as (spawns, _reports):
        await described(spawns)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(spawns.zygote_pid, signum)
        assert (await described(spawns))["title"] == "worker 2"
