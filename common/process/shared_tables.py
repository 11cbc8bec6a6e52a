"""Stick tables shared by all processes of a host: one memfd per table, made by the master, and its lock.

A table lives as long as a configuration declares it in the same words: reloads and deaths of any process leave it alone.
The lock is the kernel's record lock (fcntl), which belongs to a process and goes with it, however it ends.

What lies in a mapping: common/tables/layout.py.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import random
import time
from collections.abc import Callable
from functools import partial

from common.model import Config
from common.process.launch import Launch, table_fd
from common.tables.catalogue import definitions
from common.tables.definition import TableDefinition
from common.tables.layout import Header, Layout
from common.tables.table import Table

COLUMNS = 16
"""How many processes can be told apart in a table: those of several generations, while old ones drain."""
PATIENCE_S = 0.25
"""How long to wait for a table that somebody holds: a holder is done in microseconds unless it was stopped or is mending."""
IMPATIENCE_S = 1.0
"""Having waited in vain, how long not to wait at all."""

_EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB
_UNLOCK = fcntl.LOCK_UN


class FileGuard:
    """The lock of one table. Implements common.tables.table.Guard. fd: of the table's file; no other descriptor of the same file may
    be closed by this process while it holds the lock."""

    __slots__ = ("_hurried_until", "lock", "unlock")

    def __init__(self, fd: int) -> None:
        self._hurried_until = 0.0
        self.lock = partial(fcntl.lockf, fd, _EXCLUSIVE)
        self.unlock = partial(fcntl.lockf, fd, _UNLOCK)

    def wait(self) -> bool:
        """Somebody holds it. Holders are quick, so trying again beats a wait that could not be ended."""
        now = time.monotonic()
        if now < self._hurried_until:
            return False
        until = now + PATIENCE_S
        while time.monotonic() < until:
            os.sched_yield()
            with contextlib.suppress(OSError):
                self.lock()
                return True
        self._hurried_until = until + IMPATIENCE_S
        return False


def attach(launch: Launch, now_ms: Callable[[], int]) -> dict[str, Table]:
    """A process's hold on all tables of its configuration, by name."""
    attached = {}
    for name, definition in definitions(launch.config).items():
        fd = launch.fds.get(table_fd(name))
        if fd is not None:
            attached[name] = _table(definition, fd, now_ms, launch.column)
    return attached


class Shared:
    """One table in the master: its memory, and how many generations use it."""

    __slots__ = ("fd", "table", "users")

    def __init__(self, definition: TableDefinition) -> None:
        """Raises OSError."""
        layout = Layout.of(definition, COLUMNS)
        self.fd = os.memfd_create(f"usher-table-{definition.name}"[:200])
        self.users = 0
        try:
            os.ftruncate(self.fd, layout.bytes)
            self.table = _table(definition, self.fd, _now_ms, -1)
        except BaseException:
            os.close(self.fd)
            raise
        self.table.words[Header.FACTOR] = random.SystemRandom().getrandbits(60) | 1


class SharedTables:
    """The master's tables, over all generations. Each generation opens those that it declares, and closes them at its end."""

    __slots__ = ("_columns", "_tables")

    def __init__(self) -> None:
        self._tables: dict[tuple[str, TableDefinition], Shared] = {}
        self._columns = list(range(COLUMNS - 1, -1, -1))

    def open(self, config: Config) -> dict[str, Shared]:
        """name -> table; the one of before where nothing about it has changed. Raises OSError."""
        opened: dict[str, Shared] = {}
        try:
            for name, definition in definitions(config).items():
                shared = self._tables.get((name, definition))
                if shared is None:
                    shared = self._tables[name, definition] = Shared(definition)
                shared.users += 1
                opened[name] = shared
        except BaseException:
            self.close(opened)
            raise
        return opened

    def close(self, opened: dict[str, Shared]) -> None:
        """A generation has ended."""
        for name, shared in opened.items():
            shared.users -= 1
            if not shared.users:
                del self._tables[name, shared.table.definition]
                os.close(shared.fd)

    def take_column(self) -> int:
        """For a process that is to be started; -1 when there is none left: what such a one holds when it is killed stays held."""
        return self._columns.pop() if self._columns else -1

    def give_column(self, column: int) -> None:
        if column >= 0:
            self._columns.append(column)

    def died(self, column: int) -> None:
        """A process has ended, in whatever way: it tracks nothing any more."""
        if column >= 0:
            for shared in self._tables.values():
                shared.table.give_back(column)

    def purge(self) -> bool:
        """Take out some of what has expired. True: there may be more."""
        more = False
        for shared in self._tables.values():
            more = shared.table.purge() or more
        return more


def _table(definition: TableDefinition, fd: int, now_ms: Callable[[], int], column: int) -> Table:
    layout = Layout.of(definition, COLUMNS)
    return Table(definition, layout, memoryview(mmap.mmap(fd, layout.bytes)), FileGuard(fd), now_ms, column)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000

