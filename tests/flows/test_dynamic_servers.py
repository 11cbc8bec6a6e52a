"""Servers that operators add and remove while traffic runs; both programs play the same stories."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import PROGRAMS, USHER, Program

_CONFIGURATION = (
    defaults(global_lines="stats socket <unix:operator> level admin")
    + """
listen web
    bind <listen:web>
    balance roundrobin
    retries 0
    server first <server:first>
listen empty
    bind <listen:empty>
    balance roundrobin
    use-server %[path,field(2,/)] if { path /named }
listen fixed
    bind <listen:fixed>
    balance static-rr
"""
)
MISSING, OK = b"HTTP/1.1 503 Service Unavailable", b"HTTP/1.1 200 OK"


@pytest.fixture
def flow(program: Program, tmp_path: Path) -> Iterator[Flow]:
    with Flow(tmp_path, (program, _CONFIGURATION)) as flow:
        servers = [AnsweringServer(flow.server(name)) for name in ("first", "second")]
        yield flow
        for server in servers:
            server.stop()


def operate(flow: Flow, line: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(flow.places.address("operator")))
        sock.sendall(line.encode() + b"\n")
        with sock.makefile("rb") as stream:
            return stream.read().decode().strip()


def get(flow: Flow, listen: str, path: bytes = b"/x") -> bytes:
    client = flow.connect(listen)
    client.send(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path)
    status = client.receive_to_end().partition(b"\r\n")[0]
    client.close()
    return status


def add(flow: Flow, name: str, words: str = "") -> str:
    return operate(flow, f"add server {name} 127.0.0.1:{flow.server('second').port} {words}")


def test_a_server_is_added_used_and_removed(flow: Flow) -> None:
    assert get(flow, "empty") == MISSING
    assert add(flow, "empty/named") == "New server registered."
    assert get(flow, "empty") == MISSING, "it begins in maintenance"
    assert operate(flow, "set server empty/named state ready") == ""
    eventually(lambda: {get(flow, "empty") for _ in range(8)} == {OK}, "every worker uses it")
    assert get(flow, "empty", b"/named") == OK
    assert operate(flow, "del server empty/named") == "Only servers in maintenance mode can be deleted."
    operate(flow, "set server empty/named state maint")
    eventually(lambda: operate(flow, "del server empty/named") == "Server deleted.", "it is removed when nobody uses it any more")
    assert get(flow, "empty") == MISSING
    assert "named" not in operate(flow, "show servers state empty")
    assert add(flow, "empty/named") == "New server registered.", "its name is free again"
    operate(flow, "set server empty/named state ready")
    eventually(lambda: {get(flow, "empty") for _ in range(8)} == {OK}, "every worker uses the new one")


def test_what_cannot_be_added_is_refused(flow: Flow) -> None:
    assert add(flow, "nowhere/s") == "No such backend."
    assert add(flow, "web/first") == "Already exists a server with the same name in backend."
    assert add(flow, "fixed/s") == "Backend must use a dynamic load balancing to support dynamic servers."
    assert operate(flow, "del server web/none") == "No such server."
    assert "registered" not in add(flow, "web/s", "no-such-word")


def test_an_added_server_is_checked_when_that_is_enabled(flow: Flow) -> None:
    assert add(flow, "empty/c", "check inter 100ms rise 1 fall 1") == "New server registered."
    operate(flow, "set server empty/c state ready")
    operate(flow, "enable health empty/c")
    flow.server("second").socket.close()
    flow.log.expect("^Server empty/c is DOWN, reason: Layer4 ")
    eventually(lambda: {get(flow, "empty") for _ in range(4)} == {MISSING}, "nobody uses it")


def test_load_is_shared_with_the_added_one(flow: Flow) -> None:
    add(flow, "web/second", "weight 1")
    operate(flow, "set server web/second state ready")
    eventually(lambda: _served(flow), "both serve", deadline_s=8)


def _served(flow: Flow) -> bool:
    for _ in range(6):
        get(flow, "web")
    rows = [line.split(",") for line in operate(flow, "show stat").splitlines() if line.startswith("web,")]
    return all(int(row[7]) > 0 for row in rows if row[1] in ("first", "second"))


@pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own processes")
def test_a_worker_that_is_started_again_knows_what_was_added_and_removed(tmp_path: Path) -> None:
    text = _CONFIGURATION.replace("global\n", "global\n    workers 2\n", 1)
    with Flow(tmp_path, (USHER, text)) as flow:
        second = AnsweringServer(flow.server("second"))
        for line in ("web/gone", "empty/named"):
            add(flow, line)
        assert operate(flow, "del server web/gone") == "Server deleted."
        operate(flow, "set server web/first state maint")
        eventually(lambda: operate(flow, "del server web/first") == "Server deleted.", "the first one goes")
        add(flow, "web/other")
        for name in ("web/other", "empty/named"):
            operate(flow, f"set server {name} state ready")
        for worker in flow.instance.by_role("worker"):
            os.kill(worker, signal.SIGKILL)
            eventually(partial(_replaced, flow, worker), "another", deadline_s=10)
        eventually(lambda: {get(flow, "empty") for _ in range(8)} == {OK}, "every worker uses the added one", deadline_s=10)
        assert {get(flow, "web") for _ in range(8)} == {OK}
        assert operate(flow, "reload").startswith("Success=1")
        eventually(lambda: get(flow, "empty") == MISSING, "after a reload the file is the truth")
        second.stop()


def _replaced(flow: Flow, worker: int) -> bool:
    workers = flow.instance.by_role("worker")
    return worker not in workers and len(workers) == 2
