"""A farm under health checks: a server goes down and comes back, and no client notices; both programs log the same lines."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow, defaults
from tests.flows.peers import Listener
from tests.flows.programs import Program

_CONFIGURATION = (
    defaults(default_lines="option redispatch\nretries 3")
    + """
frontend web
    bind <listen:web>
    default_backend farm
backend farm
    balance roundrobin
    option httpchk GET /health
    timeout check 1s
    server a <server:a> check inter 100ms rise 2 fall 2
    server b <server:b> check inter 100ms rise 2 fall 2
backend watched
    option log-health-checks
    server r <refused:r> check inter 100ms
"""
)
LEFT = r"1 active and 0 backup servers left\. \d+ sessions active, 0 requeued, 0 remaining in queue\."


class Switched:
    """A server whose health check can be told to fail, and that can be away altogether."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.server = AnsweringServer(listener)
        self.address = listener.socket.getsockname()

    def leave(self) -> None:
        """Nobody listens any more; what was open ends."""
        self.server.stop()
        self.listener.socket.close()

    def come_back(self) -> None:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(self.address)
        listening.listen(512)
        self.listener.socket = listening
        self.server = AnsweringServer(self.listener)


@pytest.fixture
def flow(program: Program, tmp_path: Path) -> Iterator[Flow]:
    with Flow(tmp_path, (program, _CONFIGURATION)) as flow:
        yield flow


def get(flow: Flow) -> bytes:
    """The status line of one request on a connection of its own."""
    client = flow.connect("web")
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = client.receive_to_end()
    client.close()
    return answer.partition(b"\r\n")[0]


def test_a_server_goes_down_and_comes_back_and_no_request_fails(flow: Flow) -> None:
    a, b = Switched(flow.server("a")), AnsweringServer(flow.server("b"))
    try:
        assert {get(flow) for _ in range(6)} == {b"HTTP/1.1 200 OK"}
        a.leave()
        statuses: list[bytes] = []
        while not flow.log.seen("^Server farm/a is DOWN"):
            statuses.append(get(flow))
        down = flow.log.expect("^Server farm/a is DOWN")
        assert re.fullmatch(
            rf'Server farm/a is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: \d+ms\. {LEFT}',
            down.text,
        )
        assert down.severity == 1
        statuses += [get(flow) for _ in range(6)]
        a.come_back()
        while not flow.log.seen("^Server farm/a is UP"):
            statuses.append(get(flow))
        up = flow.log.expect("^Server farm/a is UP")
        assert re.fullmatch(
            r"Server farm/a is UP, reason: Layer7 check passed, code: 200, check duration: \d+ms\. "
            r"2 active and 0 backup servers online\. 0 sessions requeued, 0 total in queue\.",
            up.text,
        )
        assert up.severity == 5
        before = a.server.answered
        while a.server.answered < before + 20:
            statuses.append(get(flow))
        assert set(statuses) == {b"HTTP/1.1 200 OK"}
    finally:
        a.server.stop()
        b.stop()


def test_the_lines_of_log_health_checks_are_the_same(flow: Flow) -> None:
    servers = [AnsweringServer(flow.server(name)) for name in ("a", "b")]
    try:
        check = flow.log.expect("^Health check for server watched/r")
        assert re.fullmatch(
            r'Health check for server watched/r failed, reason: Layer4 connection problem, info: "Connection refused", '
            r"check duration: \d+ms, status: 0/2 DOWN\.",
            check.text,
        )
        assert check.severity == 5
        down = flow.log.expect("^Server watched/r is DOWN")
        assert re.fullmatch(
            r"Server watched/r is DOWN\. 0 active and 0 backup servers left\. 0 sessions active, 0 requeued, 0 remaining in queue\.",
            down.text,
        )
        assert flow.log.expect("^backend watched has no server available!$").severity == 0
    finally:
        for server in servers:
            server.stop()
