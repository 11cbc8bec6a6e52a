"""A member asked by the master. (Its lives and deaths: test_processes.py.)"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from common.control.console import Console
from common.control.member import Member, State
from common.model import Config
from common.observe.journal import Journal
from common.process import zygote
from common.process.launch import Launch
from common.process.spawner import Spawner

PROGRAM = "tests.common.process.echo_program"
DEADLINE_S = 20


@asynccontextmanager
async def member(entry: str = "run") -> AsyncIterator[tuple[Member, list[str]]]:
    """A member whose first start has come to an end, and what was said about it."""
    said: list[str] = []
    console = Console(fd=-1)
    console.also = lambda _level, text: said.append(text)
    channel, pid = zygote.start_by_exec()  # a child that runs trio cannot be forked from here, inside of trio
    spawner = Spawner(channel, pid, [PROGRAM], said.append)
    made = Member(f"{PROGRAM}:{entry}", Launch(Config(), "worker", 1, 1, os.getpid()), {}, spawner, console, Journal())
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spawner.run)
            nursery.start_soon(made.live)
            await made.started.wait()
            assert made.ready is (entry == "run"), made.reason
            yield made, said
            await made.stop_now()
            await made.over.wait()
            await spawner.close()
            nursery.cancel_scope.cancel()
    assert made.state is State.ENDED
    assert made.pid == 0


@pytest.mark.parametrize(("line", "expected"), [("show info", "worker 1: show info\n"), ("300000", "x" * 300_000), ("0", "")])
async def test_commands_are_answered_whole(line: str, expected: str) -> None:
    async with member() as (asked, _said):
        assert asked.state is State.READY
        assert await asked.ask(line) == expected


async def test_many_commands_at_once_get_each_its_own_answer() -> None:
    async with member() as (asked, _said):
        answers: dict[int, str | None] = {}

        async def one(number: int) -> None:
            answers[number] = await asked.ask(f"command {number}")

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(one, number)
        assert answers == {number: f"worker 1: command {number}\n" for number in range(20)}


async def test_a_process_that_dies_or_hangs_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with member() as (asked, _said):
        assert asked.pid
        os.kill(asked.pid, signal.SIGSTOP)
        monkeypatch.setattr("common.control.member.REPLY_WAIT_S", 0.05)
        assert await asked.ask("show info") is None
        monkeypatch.undo()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(asked.ask, "show info")
            await trio.testing.wait_all_tasks_blocked(0.01)
            os.kill(asked.pid, signal.SIGKILL)


async def test_before_it_is_ready_and_after_its_end_there_is_no_answer() -> None:
    async with member("run_exit_at_once") as (asked, said):
        assert not asked.ready
        assert "exited with code 3" in asked.reason
        assert await asked.ask("show info") is None
        assert said == []


async def test_a_process_that_is_never_ready_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.control.member.READY_WAIT_S", 0.05)
    async with member("run_wait") as (stuck, _said):
        assert not stuck.ready
        assert stuck.reason.endswith("was killed by SIGKILL: it was not ready within 0 s")
