"""Counters and logs while things go on: bytes that still flow, structured data, the processes themselves."""

from __future__ import annotations

import csv
import re
import socket
from collections.abc import Iterator

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import PROGRAMS
from tests.flows.serving import ServingThread

BODY = 300_000


def configuration(program: str) -> str:
    return defaults(global_lines="stats socket <unix:admin> level admin") + """
listen slow
    bind <listen:slow>
    option contstats
    timeout client 20s
    timeout server 20s
    server s1 <server:slow>
listen raw
    bind <listen:raw>
    mode tcp
    option contstats
    timeout client 20s
    timeout server 20s
    server s1 <server:slow>
listen structured
    bind <listen:structured>
    no log
    log <log> format rfc5424 local1
    capture request header X-Id len 20
    log-format-sd '[usher@1 id="%{+E}[capture.req.hdr(0)]" status="%ST"]'
    http-request return status 200
    timeout client 2s
"""


def serve(connection: socket.socket) -> None:
    """Sends a head and a body, and keeps the last byte until the client sends something more."""
    while b"\r\n\r\n" not in connection.recv(65536):
        pass
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY + b"x" * (BODY - 1))
    connection.recv(1)
    connection.sendall(b"x")


@pytest.fixture(scope="module", autouse=True)
def served(module_flow: Flow) -> Iterator[None]:
    thread = ServingThread(module_flow.server("slow"), serve)
    yield
    thread.stop()


def ask(flow: Flow, command: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(flow.places.address("admin"))
        sock.sendall(command.encode() + b"\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def bytes_out(flow: Flow, proxy: str) -> dict[str, int]:
    rows = csv.DictReader(ask(flow, "show stat").removeprefix("# ").splitlines())
    return {row["svname"]: int(row["bout"]) for row in rows if row["pxname"] == proxy}


@pytest.mark.parametrize("proxy", ["slow", "raw"])
def test_bytes_are_counted_while_they_flow_and_never_twice(module_flow: Flow, proxy: str) -> None:
    client = module_flow.connect(proxy)
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    received = client.receive_until(b"x" * (BODY - 1))
    eventually(lambda: all(count >= BODY - 1 for count in bytes_out(module_flow, proxy).values()), "the bytes are counted")
    client.close()
    eventually(lambda: "CurrConns: 0" in ask(module_flow, "show info") or bytes_out(module_flow, proxy), "the session has ended")
    for count in bytes_out(module_flow, proxy).values():
        assert BODY - 1 <= count <= len(received) + 100


def test_structured_data_stands_in_its_place(module_flow: Flow) -> None:
    client = module_flow.connect("structured")
    client.send(b'GET / HTTP/1.1\r\nHost: a\r\nX-Id: a"b]c\r\nConnection: close\r\n\r\n')
    client.receive_to_end()
    raw = module_flow.log.expect("usher@1").raw
    assert re.match(r'<142>1 \S+ \S+ \S+ \d+ - \[usher@1 id="a\\"b\\\]c" status="200"\] ', raw), raw


@pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own")
def test_the_processes_tell_what_they_are_busy_with(module_flow: Flow) -> None:
    if module_flow.instance.program.name != "usher":
        pytest.skip("of Usher's processes")
    eventually(lambda: int(re.search(r"^Tasks: (\d+)$", ask(module_flow, "show info"), re.MULTILINE)[1]) > 2, "tasks")  # type: ignore[index]
