"""One configuration at work: its plan, its sockets, and the processes that serve it.

A start and a reload are the same: make a generation, start all its members, and go on only when every one is ready.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from common.control import watchdog
from common.control.beginnings import Beginnings
from common.control.console import Console
from common.control.listeners import Bound, Listeners
from common.control.member import Member, Observed, Orders
from common.control.operator_statistics import Statistics
from common.errors import UsherError
from common.model import AddressKind, Config, Proxy
from common.net.listener import backlog_of, open_channel
from common.observe.counters import Counters
from common.observe.journal import Journal
from common.process import launch as names
from common.process import shared_counters
from common.process.launch import DISPATCHER, WORKER, Launch
from common.process.plan import Plan, ProcessPlan
from common.process.shared_tables import Shared, SharedTables
from common.process.spawner import Spawner
from common.tables.table import Table
from dispatcher.policy.board import Board

_STANDARD_FDS_LAST = 2  # children have these anyway


class StartError(UsherError):
    """A generation could not be started. reasons: one line per process that failed."""

    def __init__(self, reasons: list[str]) -> None:
        super().__init__("\n".join(reasons))
        self.reasons = reasons


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a generation is made from.

    whole: the plan of all the service; plan: the part of it that this master runs (the same, unless one tier runs alone).
    environment: as the configuration left it. entries: role -> "module:function". imports: what the zygote loads for it.
    """

    config: Config
    whole: Plan
    plan: Plan
    entries: Mapping[str, str]
    imports: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    debug: frozenset[str] = frozenset()
    reuseport: bool = True
    memory_bytes_max: int = 0
    beginnings: Beginnings = field(default_factory=Beginnings)


class Generation:
    """number counts from 1; earlier: the counters of the generation before it.

    Make it (sockets open, OSError or ListenError if they cannot), `start` it, stop it, `close` it."""

    __slots__ = (
        *("_board_fd", "_channels", "_columns", "_counters_fd", "_has_original", "_listeners", "_opened", "_tables"),
        *("blueprint", "bound", "channel_names"),
        *("counters", "journal", "members", "number", "retired"),
    )

    def __init__(
        self, blueprint: Blueprint, number: int, listeners: Listeners, tables: SharedTables, earlier: Counters | None = None
    ) -> None:
        self.blueprint = blueprint
        self.number = number
        self._has_original = False
        self.retired = False  # another one serves instead, and it was told to end
        self.members: list[Member] = []
        self.journal = Journal()
        self._listeners = listeners
        self.channel_names = _channel_names(blueprint, number)
        self.bound: Bound = listeners.open(blueprint.config, blueprint.plan, reuseport=blueprint.reuseport)
        self._channels: dict[int, socket.socket] = {}
        self._counters_fd = self._board_fd = -1
        self._tables = tables
        self._opened: dict[str, Shared] = {}
        self._columns: list[int] = []
        self.counters: Counters | None = None
        try:
            for process in blueprint.plan.of(WORKER):
                if process.handover:
                    self._channels[process.number] = open_channel(self.channel_names[process.number])
            self._counters_fd, self.counters = shared_counters.create(blueprint.config, len(blueprint.plan.processes))
            self._board_fd = _make_board(blueprint)
            self._opened = tables.open(blueprint.config)
            Statistics.prepare(self.counters, blueprint.config, number, earlier, blueprint.beginnings)
        except BaseException:
            self.close()
            raise

    async def start(
        self,
        nursery: trio.Nursery,
        spawner: Spawner,
        console: Console,
        started_at_s: float,
        orders: Orders | None = None,
        observed: Observed | None = None,
    ) -> None:
        """Start all members in that nursery, and wait until every one is ready. Raises StartError; then they are to be stopped."""
        for index, process in enumerate(self.blueprint.plan.processes):
            launch = self._launch(process, index, started_at_s)
            self.members.append(Member(self.blueprint.entries[process.role], launch, self._fds(process), spawner, console, self.journal))
            self.members[-1].orders, self.members[-1].observed = orders, observed
            self.members[-1].on_death = partial(self._tables.died, launch.column)
            nursery.start_soon(self.members[-1].live)
        assert self.counters is not None
        nursery.start_soon(watchdog.watch, self.members, self.counters, watchdog.hang_timeout_s(self.blueprint.config))
        for member in self.members:
            await member.started.wait()
        failed = [f"{member.title} {member.reason}" for member in self.members if not member.ready]
        if failed:
            raise StartError(failed)

    def listening(self, proxy: Proxy) -> list[tuple[socket.socket, int]]:
        """The sockets of a proxy's binds, each with its backlog."""
        binds = {bind.id: bind for bind in proxy.binds}
        settings = self.blueprint.config.globals
        return [
            (sock, backlog_of(binds[at.bind_id], proxy, settings))
            for at, sock in self.bound.sockets.items()
            if at.bind_id in binds and not at.channel
        ]

    def keep_original(self) -> None:
        """Processes that are started again get the configuration as it is now, and hear of all that operators change of it."""
        if not self._has_original:
            self._has_original = True
            original: Config = pickle.loads(pickle.dumps(self.blueprint.config))
            for member in self.members:
                member.launch.config = original

    async def stop_softly(self, *, is_reload: bool = False) -> None:
        """Every process ends after its last session. No new connection is accepted on sockets that are this generation's alone."""
        self._release()
        async with trio.open_nursery() as nursery:
            for member in self.members:
                nursery.start_soon(partial(member.stop_softly, is_reload=is_reload))

    async def stop_now(self) -> None:
        async with trio.open_nursery() as nursery:
            for member in self.members:
                nursery.start_soon(member.stop_now)

    async def over(self) -> None:
        """Wait until the last of its processes has ended."""
        for member in self.members:
            await member.over.wait()

    def close(self) -> None:
        """Let go of all descriptors. For the end, when no member lives any more."""
        self._release()
        if self._counters_fd >= 0:
            os.close(self._counters_fd)
            self._counters_fd = -1
        if self._board_fd >= 0:
            os.close(self._board_fd)
            self._board_fd = -1
        self._tables.close(self._opened)
        self._opened = {}
        for column in self._columns:
            self._tables.give_column(column)
        self._columns.clear()

    def _release(self) -> None:
        self._listeners.release(self.bound)
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _launch(self, process: ProcessPlan, index: int, started_at_s: float) -> Launch:
        return Launch(
            config=self.blueprint.config,
            role=process.role,
            number=process.number,
            generation=self.number,
            master_pid=os.getpid(),
            row=index,
            channel_names=self.channel_names,
            workers=len(self.blueprint.whole.of(WORKER)),
            dispatchers=len(self.blueprint.whole.of(DISPATCHER)),
            debug=self.blueprint.debug,
            started_at_s=started_at_s,
            environment=dict(self.blueprint.environment),
            memory_bytes_max=self.blueprint.memory_bytes_max,
            column=self._take_column(),
        )

    def _take_column(self) -> int:
        """The process's own in all stick tables, if there are any."""
        column = self._tables.take_column() if self._opened else -1
        if column >= 0:
            self._columns.append(column)
        return column

    @property
    def tables(self) -> dict[str, Table]:
        """The stick tables that this generation declares, by name."""
        return {name: shared.table for name, shared in self._opened.items()}

    def _fds(self, process: ProcessPlan) -> dict[str, int]:
        """What this process is given, by name."""
        fds = {names.COUNTERS: self._counters_fd}
        if process.role == DISPATCHER and self._board_fd >= 0:
            fds[names.BOARD] = self._board_fd
        fds |= {names.table_fd(name): shared.fd for name, shared in self._opened.items()}
        for at in process.listening:
            name = names.abns_channel_fd(at.bind_id) if at.channel else names.bind_fd(at.bind_id)
            fds[name] = self.bound.sockets[at].fileno()
        if process.handover and process.role == WORKER:
            fds[names.channel_fd(process.number)] = self._channels[process.number].fileno()
        for number in _inherited(self.blueprint.config):
            fds[names.inherited_fd(number)] = number
        return fds


def _make_board(blueprint: Blueprint) -> int:
    """What several dispatchers share; -1 where there is one."""
    dispatchers = len(blueprint.plan.of(DISPATCHER))
    if dispatchers < 2:
        return -1
    binds = sum(len(proxy.binds) for proxy in blueprint.config.proxies)
    fd = os.memfd_create("usher-board")
    os.ftruncate(fd, Board.page_bytes(dispatchers, binds, len(blueprint.whole.of(WORKER))))
    return fd


def _channel_names(blueprint: Blueprint, number: int) -> dict[int, bytes]:
    """The abstract name of each worker's channel.

    An abstract name cannot be bound twice, so each generation has its own, which nobody can guess. Where one tier runs
    alone, the other one must find the same names by itself: they then follow from the user and the files.
    """
    if blueprint.plan == blueprint.whole:
        stem = f"{os.getpid()}/{number}/{secrets.token_hex(8)}"
    else:
        files = "\0".join(map(os.path.realpath, blueprint.config.files))
        stem = f"{os.getuid()}/{hashlib.sha256(os.fsencode(files)).hexdigest()[:20]}"
    return {process.number: f"\0usher/{stem}/{process.number}".encode() for process in blueprint.whole.of(WORKER) if process.handover}


def _inherited(config: Config) -> set[int]:
    """Open descriptors that lines other than `bind` name: receivers of logs."""
    targets = [*config.globals.logs, *(target for proxy in config.proxies for target in proxy.logs)]
    numbers = {target.address.fd for target in targets if target.address and target.address.kind is AddressKind.FD}
    return {number for number in numbers if number > _STANDARD_FDS_LAST and _is_open(number)}


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
