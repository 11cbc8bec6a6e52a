"""One truth about all: counters never go backwards over reloads and crashes, and their sums are what clients have done."""

from __future__ import annotations

import contextlib
import csv
import http.client
import os
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import PROGRAMS, USHER

pytestmark = pytest.mark.skipif("usher" not in PROGRAMS, reason="several processes and generations are Usher's own")

CONFIGURATION = defaults(global_lines="workers 2\n    stats socket <unix:admin> level admin") + """
listen web
    bind <listen:web>
    http-request return status 200 content-type text/plain string ok
"""
COUNTERS = ("stot", "bin", "bout", "req_tot", "hrsp_2xx", "conn_tot")


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    with Flow(tmp_path, (USHER, CONFIGURATION)) as flow:
        yield flow


def ask(flow: Flow, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(flow.places.address("admin"))
        sock.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def counters(flow: Flow) -> dict[str, int]:
    rows = csv.DictReader(ask(flow, "show stat web 1 -1").removeprefix("# ").splitlines())
    row = next(iter(rows))
    return {name: int(row[name]) for name in COUNTERS}


def is_gone(flow: Flow, pid: int) -> bool:
    return pid not in flow.instance.by_role("worker") + flow.instance.by_role("dispatcher")


class Clients(threading.Thread):
    """Asks again and again; counts what was answered. A connection that a killed worker took with it is not."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.port, self.answered, self.lost, self.over = port, 0, 0, threading.Event()

    def run(self) -> None:
        while not self.over.is_set():
            try:
                with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
                    connection.request("GET", "/", headers={"Connection": "close"})
                    assert connection.getresponse().read() == b"ok"
                self.answered += 1
            except (OSError, http.client.HTTPException):
                self.lost += 1


def test_no_counter_goes_backwards_over_reloads_and_crashes(flow: Flow) -> None:
    clients = Clients(flow.port("web"))
    clients.start()
    before = counters(flow)
    try:
        for step in range(4):
            assert ask(flow, "reload").startswith("Success=1")
            for _ in range(5):
                now = counters(flow)
                assert all(now[name] >= before[name] for name in COUNTERS), (before, now)
                before = now
            victim = flow.instance.by_role("worker" if step % 2 else "dispatcher")[0]
            os.kill(victim, signal.SIGKILL)
            eventually(partial(is_gone, flow, victim), "it is dead")
            for _ in range(5):
                now = counters(flow)
                assert all(now[name] >= before[name] for name in COUNTERS), (before, now)
                before = now
    finally:
        clients.over.set()
        clients.join(20)
    assert clients.answered > 20

    def settled() -> bool:
        # What a killed worker had answered in its last 20 ms is not published: at most a few a crash.
        found = counters(flow)
        return clients.answered - 40 <= found["hrsp_2xx"] <= clients.answered + clients.lost + 4

    eventually(settled, f"all that was answered is counted: {clients.answered} answered, {clients.lost} lost")


def test_clearing_holds_over_a_reload(flow: Flow) -> None:
    clients = Clients(flow.port("web"))
    clients.start()
    eventually(lambda: clients.answered > 5, "some were served")
    clients.over.set()
    clients.join(20)
    eventually(lambda: counters(flow)["req_tot"] >= clients.answered, "all are counted")
    assert ask(flow, "clear counters all") == "\n"
    assert set(counters(flow).values()) == {0}
    assert ask(flow, "reload").startswith("Success=1")
    assert set(counters(flow).values()) == {0}
