"""A master with processes that answer from a script: for tests of the operator's side."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from common.control.console import Console
from common.control.operator_plane import Plane
from common.model import Config, Proxy
from common.observe.counters import Counters
from common.observe.journal import Journal
from common.observe.layout import Layout
from common.tables.table import Table
from tests.common.observe.configurations import farm


@dataclass
class FakeLaunch:
    role: str
    number: int
    row: int


@dataclass
class FakeMember:
    """answer: what the process says to a line; None: it is gone."""

    launch: FakeLaunch
    pid: int
    answer: Callable[[str], str | None] = lambda line: f"{line}?\n"
    asked: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        return f"{self.launch.role} {self.launch.number}"

    async def ask(self, line: str) -> str | None:
        self.asked.append(line)
        if line.startswith(("add server ", "del server ")):
            return ""  # done
        return self.answer(line)


@dataclass
class FakeBlueprint:
    config: Config


@dataclass
class FakeGeneration:
    blueprint: FakeBlueprint
    number: int
    counters: Counters | None
    members: list[FakeMember]
    journal: Journal = field(default_factory=Journal)
    tables: dict[str, Table] = field(default_factory=dict)

    originals: int = 0

    def keep_original(self) -> None:
        self.originals += 1

    def listening(self, proxy: Proxy) -> Sequence[tuple[socket.socket, int]]:
        return ()


@dataclass
class FakeMaster:
    generations: list[FakeGeneration]
    started_at_s: float = 1_795_379_045.0
    reload_result: str = ""
    reloads: int = 0

    async def reload(self) -> str:
        self.reloads += 1
        return self.reload_result


def generation(config: Config | None = None, number: int = 1, workers: int = 2) -> FakeGeneration:
    """A dispatcher and workers over counters of their own. Pids are this process's, so that /proc knows them."""
    config = config or farm()
    layout = Layout.of(config, workers + 1)
    members = [FakeMember(FakeLaunch("dispatcher", 1, 0), os.getpid())]
    members += [FakeMember(FakeLaunch("worker", each, each), os.getpid()) for each in range(1, workers + 1)]
    return FakeGeneration(FakeBlueprint(config), number, Counters(bytearray(layout.size), layout), members)


def plane(config: Config | None = None) -> Plane:
    """A plane whose console is silent."""
    first = generation(config)
    made = Plane(FakeMaster([first]), Console(fd=-1))
    made.serving(first)
    return made
