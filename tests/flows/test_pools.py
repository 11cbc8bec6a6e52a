"""Pools of server connections: kept ready ahead of need, and shared with servers that close theirs as planned."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.nginx import Nginx
from tests.flows.programs import BY_NAME

WARM = 5


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    text = (
        defaults(global_lines="workers 2")
        + f"""
listen planned
    bind <listen:planned>
    http-reuse always
    option dontlog-normal
    server s <refused:nginx>
listen piped
    bind <listen:piped>
    http-reuse always
    option dontlog-normal
    server s <refused:nginx> pipeline 16
listen warm
    bind <listen:warm>
    http-reuse never
    server s <server:warm> pool-warm {WARM}
"""
    )
    with Flow(tmp_path_factory.mktemp("pools"), (BY_NAME["usher"], text)) as flow:
        server = Nginx(flow.folder, flow.places.refused_port("nginx"), keepalive_requests=100)
        try:
            yield flow
        finally:
            server.stop()


def accept_within(listener: socket.socket, seconds: float) -> socket.socket | None:
    return listener.accept()[0] if select.select([listener], [], [], seconds)[0] else None


def test_connections_are_ready_before_anybody_asks_and_no_more_than_wanted(flow: Flow) -> None:
    listener = flow.server("warm").socket
    ready = []
    while (connection := accept_within(listener, 2.5)) is not None:
        ready.append(connection)
    assert len(ready) == WARM
    client = flow.connect("warm")
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    readable = select.select(ready, [], [], 2.0)[0]
    assert len(readable) == 1, "the first request of a client goes over one that was ready"
    assert readable[0].recv(100).startswith(b"GET / ")
    readable[0].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert client.receive_until(b"ok").startswith(b"HTTP/1.1 200")
    ready[0 if ready[0] is not readable[0] else 1].close()
    again = accept_within(listener, 4.0)
    assert again is not None, "one that the server closed is opened anew"
    for connection in (*ready, again):
        connection.close()


@pytest.mark.interop("nginx-light")
@pytest.mark.parametrize("listen", ["planned", "piped"])
def test_server_that_closes_each_connection_after_100_requests_costs_nobody_anything(flow: Flow, listen: str) -> None:
    """10,000 requests over 16 connections, the pipelined ones of each client 25 at a time."""
    request = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    clients = [flow.connect(listen) for _ in range(16)]
    for _ in range(25):
        for client in clients:
            client.send(request * 25)
        for client in clients:
            for _ in range(25):
                head = client.receive_until(b"hello\n")
                assert head.startswith(b"HTTP/1.1 200 "), head
    for client in clients:
        client.close()
    assert flow.log.seen(rf" {listen}[ ~/]") == [], "failures and retries are all that is logged"
