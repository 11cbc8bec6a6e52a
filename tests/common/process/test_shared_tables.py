"""Stick tables between real processes: exact counts, a kill at any moment, deaths, reloads."""

from __future__ import annotations

import mmap
import os
import random
import signal
import time

import pytest

from common.config.build import load
from common.config.options import LoadOptions
from common.model import Config
from common.process.launch import WORKER, Launch, table_fd
from common.process.shared_tables import COLUMNS, FileGuard, SharedTables, attach
from common.tables.layout import Header, Layout
from common.tables.table import Table
from tests.common.tables.test_table import check_invariants, ip

FILE = """
defaults
 mode http
 timeout client 1s
 timeout connect 1s
 timeout server 1s
listen web
 bind :1
 stick-table type ip size 100 expire 1m store gpc0,conn_cur,conn_cnt
 server s 192.0.2.1:80
peers local
 table t type integer size 10
"""


def config(text: str = FILE) -> Config:
    loaded = load([("t.cfg", text.encode())], {}, options=LoadOptions())
    assert loaded.config is not None, loaded.diagnostics
    return loaded.config


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def in_child(work: object) -> int:
    """Run it in a process of its own, with memory and locks of its own. Returns the pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()  # type: ignore[operator]
        code = 0
    finally:
        os._exit(code)


def view(table: Table, fd: int, column: int) -> Table:
    memory = memoryview(mmap.mmap(fd, table.layout.bytes))
    return Table(table.definition, table.layout, memory, FileGuard(fd), now_ms, column)


def test_counts_of_several_processes_at_once_are_exact() -> None:
    tables = SharedTables()
    shared = tables.open(config())["web"]
    each, processes = 4000, 3

    def count(column: int) -> None:
        table = view(shared.table, shared.fd, column)
        rng = random.Random(column)
        for _ in range(each):
            entry = table.track(ip(rng.randrange(5)), table.plans.connection)
            assert entry is not None
            entry.increase("gpc0")
            entry.let_go()

    children = [in_child(lambda column=column: count(column)) for column in range(processes)]  # type: ignore[misc]
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * processes
    entries = list(shared.table.entries())
    assert sum(entry.get("gpc0") or 0 for entry in entries) == sum(entry.get("conn_cnt") or 0 for entry in entries) == each * processes
    assert all(entry.get("conn_cur") == entry.trackers == 0 for entry in entries) and len(check_invariants(shared.table)) == 5


def test_processes_killed_at_any_moment_leave_a_sound_table() -> None:
    """What those who lived have counted stands; what the killed held is given back; nobody waits for them."""
    tables = SharedTables()
    shared = tables.open(config())["web"]
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)

    def churn(column: int, crowd: int) -> None:
        table = view(shared.table, shared.fd, column)
        mine = random.Random(seed + column)
        while True:
            entry = table.track(ip(mine.randrange(crowd)), table.plans.connection)
            if entry is not None:
                entry.increase("gpc0")
                if mine.randrange(4):
                    entry.let_go()

    steady = in_child(lambda: churn(0, 300))
    try:
        for column in range(1, 13):
            pid = in_child(lambda column=column: churn(column, 300))  # type: ignore[misc]
            time.sleep(rng.uniform(0.005, 0.05))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            began = time.monotonic()
            tables.died(column)
            assert shared.table.lookup(ip(1)) is None or time.monotonic() - began < 5
    finally:
        os.kill(steady, signal.SIGKILL)
        os.waitpid(steady, 0)
    tables.died(0)
    assert shared.table.hold()
    shared.table.unlock()
    check_invariants(shared.table)
    assert all(entry.trackers == 0 and entry.get("conn_cur") == 0 for entry in shared.table.entries())


def test_a_process_killed_in_the_middle_of_an_update_holds_nobody_up() -> None:
    tables = SharedTables()
    shared = tables.open(config())["web"]
    shared.table.enter(ip(1))
    ready, told = os.pipe()

    def hold() -> None:
        table = view(shared.table, shared.fd, 1)
        assert table.hold()
        table.words[Header.BUSY] = -1
        os.write(told, b"x")
        signal.pause()

    pid = in_child(hold)
    os.read(ready, 1)
    began = time.monotonic()
    assert shared.table.enter(ip(2)) is None  # held: done without, soon
    assert time.monotonic() - began < 1
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for fd in (ready, told):
        os.close(fd)
    assert shared.table.enter(ip(2)) is not None
    assert check_invariants(shared.table) == {ip(1), ip(2)} and shared.table.words[Header.REPAIRED] == 1


def test_a_table_is_kept_while_its_line_stays_the_same() -> None:
    tables = SharedTables()
    first = tables.open(config())
    assert list(first) == ["web", "local/t"]
    first["web"].table.enter(ip(1))
    second = tables.open(config(FILE.replace("type integer size 10", "type integer size 20")))
    assert second["web"] is first["web"] and second["local/t"] is not first["local/t"]
    tables.close(first)
    assert second["web"].table.lookup(ip(1)) is not None
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(first["local/t"].fd)
    tables.close(second)
    third = tables.open(config())
    assert third["web"].table.used == 0
    tables.close(third)


def test_columns_run_out_and_come_back() -> None:
    tables = SharedTables()
    taken = [tables.take_column() for _ in range(COLUMNS)]
    assert sorted(taken) == list(range(COLUMNS)) and tables.take_column() == -1
    tables.give_column(taken[3])
    tables.give_column(-1)
    assert tables.take_column() == taken[3]


def test_a_process_finds_its_tables_by_name() -> None:
    tables = SharedTables()
    made = config()
    opened = tables.open(made)
    fds = {table_fd(name): shared.fd for name, shared in opened.items()}
    attached = attach(Launch(made, WORKER, 1, 1, 1, fds=fds, column=4), now_ms)
    entry = attached["web"].track(ip(7), ())
    assert entry is not None and attached["web"].share
    seen = opened["web"].table.lookup(ip(7))
    assert seen is not None and seen.trackers == 1
    assert Layout.of(attached["local/t"].definition, COLUMNS) == opened["local/t"].table.layout
    tables.close(opened)
