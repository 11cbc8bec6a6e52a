"""The service as the operator's commands see it: the generation that serves, its processes, its numbers, its logs.

Commands know no trio and no sockets beyond this: they ask the plane.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import trio

from common.control.console import Console, write
from common.control.operator_statistics import Counted, Statistics
from common.errors import ConfigError
from common.model import Config, LogTarget, Proxy
from common.net.logs import Logger, Outlets
from common.observe.command_line import split_words
from common.observe.commands import CommandInfo, Where
from common.observe.counters import Counters
from common.observe.info import ProcessFacts
from common.observe.journal import Journal, JournalFull
from common.observe.log_line import LEVELS
from common.observe.merging import Reply, merge
from common.observe.server_changes import ServerChanges
from common.observe.server_notices import Notice
from common.process.facts import service_facts
from common.tables.table import Table

ERROR, WARNING, NOTICE, INFO = LEVELS["err"], LEVELS["warning"], LEVELS["notice"], LEVELS["info"]


class Answer(NamedTuple):
    """What a command prints. severity: of a message (shown with `set severity-output`); None for data."""

    text: str = ""
    severity: int | None = None


class Launched(Protocol):
    @property
    def role(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def row(self) -> int: ...


class Member(Protocol):
    """One process of a generation."""

    @property
    def title(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def launch(self) -> Launched: ...
    async def ask(self, line: str) -> str | None: ...


class Generation(Counted, Protocol):
    def listening(self, proxy: Proxy) -> Sequence[tuple[socket.socket, int]]: ...

    def keep_original(self) -> None: ...
    journal: Journal

    @property
    def tables(self) -> Mapping[str, Table]: ...

    @property
    def members(self) -> Sequence[Member]: ...


class Master(Protocol):
    """The master, as far as operators see it."""

    @property
    def generations(self) -> Sequence[Generation]: ...
    @property
    def started_at_s(self) -> float: ...
    async def reload(self) -> str: ...


class Plane:
    """One per master. `serving` is called when a generation begins to serve."""

    __slots__ = (
        *("_loggers", "_outlets", "console", "generation", "master", "reload_failed", "reloads", "reloads_failed"),
        *("servers_changed", "sockets", "startup_lines", "statistics"),
    )

    def __init__(self, master: Master, console: Console) -> None:
        self.master = master
        self.console = console
        self.statistics = Statistics()
        self.generation: Generation | None = None
        self.sockets: list[tuple[str, str]] = []  # (address, level) of those that are open, for `show cli sockets`
        self.reloads = self.reloads_failed = 0
        self.reload_failed = False  # the last one
        self.startup_lines: list[str] = []
        self.servers_changed: list[Callable[[], None]] = []  # called when servers have come, gone, or got other names
        self._outlets = Outlets()
        self._loggers: list[Logger] = []

    def serving(self, generation: Generation) -> None:
        """This generation serves from now on."""
        self.statistics.begin(generation)
        self.generation = generation
        self._outlets.close()
        self._outlets = Outlets()
        self._loggers = _loggers(generation.blueprint.config, self._outlets, self.console)

    async def keep(self) -> None:
        """The trio task of the statistics."""
        while True:
            await trio.sleep(1.0)
            self.statistics.second(self.master.generations)
            self._outlets.flush()

    # --- what serves ----------------------------------------------------------------------------------------------------

    @property
    def config(self) -> Config:
        return self._serving.blueprint.config

    @property
    def counters(self) -> Counters:
        counters = self._serving.counters
        assert counters is not None, "a generation that serves has counters"
        return counters

    @property
    def tables(self) -> Mapping[str, Table]:
        """The stick tables, by name."""
        return self._serving.tables

    def counters_of(self, only: Member | None) -> Counters:
        """Those of one process, or of all."""
        if only is None:
            return self.counters
        generation = next((one for one in self.master.generations if only in one.members), self._serving)
        counters = generation.counters
        return self.counters if counters is None else counters.only(only.launch.row)

    @property
    def changes(self) -> ServerChanges:
        assert self.statistics.changes is not None, "a generation that serves has states"
        return self.statistics.changes

    @property
    def members(self) -> Sequence[Member]:
        return self._serving.members

    @property
    def _serving(self) -> Generation:
        assert self.generation is not None, "no command is answered before the service serves"
        return self.generation

    def generation_keeps_its_files(self) -> None:
        """The configuration is about to be changed in our hands: processes that are started again begin with what the files said."""
        self._serving.keep_original()

    @property
    def now(self) -> float:
        return time.monotonic()

    @property
    def pid(self) -> int:
        return os.getpid()

    @staticmethod
    def signal_master(signum: int) -> None:
        os.kill(os.getpid(), signum)

    @property
    def environment(self) -> Mapping[str, str]:
        return os.environ

    # --- processes ------------------------------------------------------------------------------------------------------

    def find_member(self, selector: str) -> Member | None:
        """The process of `@2`, `@w2`, `@d1`, `@!1234` (without the @). A bare number is a worker's, if there is one with it."""
        everyone = [member for generation in self.master.generations for member in generation.members]
        if selector.startswith("!"):
            return next((member for member in everyone if selector[1:] == str(member.pid) and member.pid), None)
        roles = {"w": ("worker",), "d": ("dispatcher",)}.get(selector[:1], ("worker", "dispatcher"))
        number = selector[1:] if selector[:1] in ("w", "d") else selector
        named = [member for member in self.members if number == str(member.launch.number)]
        return next((member for role in roles for member in named if member.launch.role == role), None)

    async def ask(self, info: CommandInfo, line: str, only: Member | None = None) -> str:
        """The answer of the processes that the command is for, or of one, as one text."""
        members = [only] if only is not None else self._asked(info.where)
        if info.lasting and only is None:
            words = tuple(split_words(line.partition("\n")[0]))
            try:
                self._serving.journal.record(line, words[: info.target] if info.target else None)
            except JournalFull:
                return "Too many changes since the last reload; write them to the files and reload.\n"
        replies: dict[int, Reply] = {}

        async def one(place: int, member: Member) -> None:
            text = await member.ask(line)
            if text is not None:
                replies[place] = Reply(member.title, text)

        async with trio.open_nursery() as nursery:
            for place, member in enumerate(members):
                nursery.start_soon(one, place, member)
        return merge(info.merge, [replies[place] for place in sorted(replies)])

    async def change_servers(self, line: str) -> list[str]:
        """Let the workers know of a server that comes or goes, those that are started later too. Returns what they say against it."""
        self._serving.journal.record(line)
        answers: list[str] = []

        async def one(member: Member) -> None:
            answers.append(await member.ask(line) or "")

        async with trio.open_nursery() as nursery:
            for member in self._asked(Where.WORKERS):
                nursery.start_soon(one, member)
        for changed in self.servers_changed:
            changed()
        return [answer.strip() for answer in answers if answer.strip()]

    def _asked(self, where: Where) -> list[Member]:
        """Processes of all generations, for those that drain have sessions too; only the current ones hold maps and tables."""
        if where in (Where.WORKERS, Where.DISPATCHERS):
            role = "worker" if where is Where.WORKERS else "dispatcher"
            return [member for member in self.members if member.launch.role == role and member.pid]
        return [member for generation in self.master.generations for member in generation.members if member.pid]

    # --- what is said ---------------------------------------------------------------------------------------------------

    def notify(self, notices: Sequence[Notice]) -> None:
        """Lines about servers: on the console, and in the logs of their proxy."""
        for notice in notices:
            label = "[ALERT]    " if notice.level == LEVELS["emerg"] else "[WARNING]  "
            if self.console.fd >= 0 and not self.console.quiet:
                write(self.console.fd, f"{label}({os.getpid()}) : {notice.text}\n")
            self._loggers[notice.proxy].log(notice.level, notice.text.encode("utf-8", "replace"))

    def say(self, position: int, level: int, text: str) -> None:
        self.notify([Notice(position, level, text)])

    # --- facts ----------------------------------------------------------------------------------------------------------

    def facts(self, only: Member | None = None) -> ProcessFacts:
        """What `show info` needs beside the counters; of one process, or of all."""
        members = [only] if only is not None else [member for member in self.members if member.pid]
        pid = only.pid if only is not None else os.getpid()
        workers = sum(member.launch.role == "worker" for member in members)
        return service_facts(self.config, pid, self.master.started_at_s, [member.pid for member in members], workers)


def _loggers(config: Config, outlets: Outlets, console: Console) -> list[Logger]:
    """One per proxy. A receiver that cannot be opened was said when the service's own log was."""
    settings = config.globals
    hostname = settings.log_send_hostname
    shown = "" if hostname is None else hostname or socket.gethostname()
    loggers = []
    for proxy in config.proxies:
        targets: list[LogTarget] = []
        for target in proxy.logs:
            try:
                outlets.open(target)
                targets.append(target)
            except ConfigError as error:
                console.warning(str(error))
        loggers.append(Logger(targets, outlets, proxy.log_tag or settings.log_tag, os.getpid(), shown))
    return loggers
