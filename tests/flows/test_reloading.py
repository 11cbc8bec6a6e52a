"""Reloads: nobody is lost by one that succeeds, nothing changes by one that fails."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.programs import PROGRAMS, USHER, source_root

pytestmark = pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own reload")

_CONFIGURATION = (
    defaults(
        global_lines="workers 2\n    stats socket <unix:operator> level admin",
        default_lines="timeout tunnel 60s\n    timeout http-keep-alive 10s",
    )
    + """
listen web
    bind <listen:web>
    server s <server:web>
listen handed
    mode tcp
    bind <listen:handed> process 1
    server p2 abns@<abns:p2> send-proxy-v2 pass-fd
    server p3 abns@<abns:p3> send-proxy-v2 pass-fd
listen relayed
    mode tcp
    timeout client 60s
    timeout server 60s
    bind <listen:relayed> process 1
    server p2 abns@<abns:p4> send-proxy-v2
    server p3 abns@<abns:p5> send-proxy-v2
listen workers
    bind abns@<abns:p2> process 2 accept-proxy
    bind abns@<abns:p3> process 3 accept-proxy
    bind abns@<abns:p4> process 2 accept-proxy
    bind abns@<abns:p5> process 3 accept-proxy
    bind <listen:own> process 2-3
    server s <server:web>
"""
)
RELOADS = 20


class Crowd:
    """tests/flows/crowd.py at work. `lost` ends it and says what was lost."""

    def __init__(self, flow: Flow, listen: str) -> None:
        listening = flow.server("web").socket
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.crowd", str(flow.port(listen)), str(listening.fileno())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[listening.fileno()], cwd=source_root(), text=True,
        )  # fmt: skip
        assert self.process.stdout
        assert self.process.stdout.readline() == "begun\n"
        self.began = time.monotonic()
        self.reconnects = 0
        self.rate = 0.0

    def lost(self) -> dict[str, int]:
        out, _ = self.process.communicate(timeout=20)
        told = json.loads(out)
        self.rate = sum(told["asked"].values()) / (time.monotonic() - self.began)
        self.reconnects = told["reconnects"]
        lost: dict[str, int] = told["lost"]
        return lost

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@contextmanager
def crowd(flow: Flow, listen: str) -> Iterator[Crowd]:
    made = Crowd(flow, listen)
    try:
        yield made
    finally:
        made.end()


def operate(flow: Flow, line: str) -> str:
    """The answer to an operator's line."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(flow.places.address("operator"))
        sock.sendall(line.encode() + b"\n")
        sock.shutdown(socket.SHUT_WR)
        with sock.makefile("rb") as stream:
            return stream.read().decode()


@pytest.mark.parametrize(("listen", "reloads"), [("web", RELOADS), ("handed", 6), ("relayed", 6), ("own", 6)])
def test_reloads_lose_nobody(tmp_path: Path, listen: str, reloads: int) -> None:
    """The implicit tier, and each explicit way to a worker."""
    with Flow(tmp_path, (USHER, _CONFIGURATION)) as flow, crowd(flow, listen) as clients:
        pid = flow.instance.pid
        for _ in range(reloads):
            assert operate(flow, "reload").startswith("Success=1\n"), flow.instance.output
        assert clients.lost() == {}
        assert clients.reconnects > 30  # keepers went over to newer processes
        assert flow.instance.pid == pid and flow.instance.process.poll() is None
