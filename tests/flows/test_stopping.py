"""How the program ends: at once, or after its last session; from outside, HAProxy and Usher must look alike.

Every stop in the harness also checks the exit code, that no process is left and that nobody holds stdout.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer, eventually, refuses
from tests.flows.programs import PROGRAMS, USHER, Program

_CONFIGURATION = defaults() + """
listen web
    bind <listen:web>
    timeout client 10s
    timeout server 10s
    server s <server:web>
"""


@pytest.fixture
def flow(program: Program, tmp_path: Path) -> Iterator[Flow]:
    """A program of this test alone."""
    with Flow(tmp_path, (program, _CONFIGURATION)) as flow:
        yield flow


def ask(flow: Flow) -> tuple[Peer, Peer]:
    """(client, server) of a request that has reached the server and is not answered yet."""
    client = flow.connect("web")
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    server = flow.server("web").accept()
    server.receive_until(b"\r\n\r\n")
    return client, server


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_signal_ends_the_program_at_once_whatever_it_does(flow: Flow, number: int) -> None:
    client, server = ask(flow)
    flow.end_signal = number
    flow.instance.stop(number)
    assert client.receive_to_end() == b""
    assert refuses(flow.places.address("web"))
    client.close()
    server.close()


@pytest.mark.skipif("usher" not in PROGRAMS, reason="HAProxy leaves an ignored SIGINT ignored")
def test_interrupt_ends_usher_also_where_it_was_inherited_as_ignored(tmp_path: Path) -> None:
    """A shell starts background jobs of a script with SIGINT ignored; an operator's kill -INT must work all the same."""

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with Flow(tmp_path, (USHER, _CONFIGURATION), before_exec=ignore) as flow:
        client, server = ask(flow)
        flow.end_signal = signal.SIGINT
        flow.instance.stop(signal.SIGINT)
        client.close()
        server.close()


def test_soft_stop_lets_the_last_session_end(flow: Flow) -> None:
    client, server = ask(flow)
    flow.instance.send_signal(signal.SIGUSR1)
    eventually(lambda: refuses(flow.places.address("web")), "new connections are refused")
    assert flow.instance.process.poll() is None
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    answer = client.receive_until(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    # With "connection: close" if the answering process knew already, else by closing what is idle then.
    assert client.receive_to_end() == b"ok"
    assert flow.instance.wait() == 0
    server.close()
    client.close()


def test_soft_stop_ends_at_once_when_nobody_is_there(flow: Flow) -> None:
    client, server = ask(flow)
    server.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    client.receive_until(b"\r\n\r\n")
    client.close()
    server.close()
    flow.instance.send_signal(signal.SIGUSR1)
    assert flow.instance.wait() == 0


def test_hard_stop_after_a_soft_stop_does_not_wait(flow: Flow) -> None:
    client, server = ask(flow)
    flow.instance.send_signal(signal.SIGUSR1)
    eventually(lambda: refuses(flow.places.address("web")), "new connections are refused")
    flow.instance.stop(signal.SIGTERM)
    assert client.receive_to_end() == b""
    client.close()
    server.close()


def test_second_soft_stop_changes_nothing(flow: Flow) -> None:
    client, server = ask(flow)
    for _ in range(2):
        flow.instance.send_signal(signal.SIGUSR1)
    eventually(lambda: refuses(flow.places.address("web")), "new connections are refused")
    server.send(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 204")
    client.close()
    server.close()
    assert flow.instance.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1], ids=["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signal_during_the_start_is_obeyed(program: Program, tmp_path: Path, number: int) -> None:
    """As soon as the kernel shows the listening socket: processes of the program may still be on their way."""
    with Flow(tmp_path, (program, _CONFIGURATION), until_ready=False) as flow:
        flow.end_signal = number
        flow.instance.stop(number)


_WAITING = defaults(default_lines="timeout http-keep-alive 10s") + """
listen web
    bind <listen:web>
    option idle-close-on-response
    server s <server:web>
"""


def test_idle_close_on_response_answers_one_more_request_of_an_idle_client(program: Program, tmp_path: Path) -> None:
    with Flow(tmp_path, (program, _WAITING)) as flow:
        client = flow.connect("web")
        server = None
        for number in range(2):
            client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            server = server or flow.server("web").accept()
            server.receive_until(b"\r\n\r\n")
            server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            answer = client.receive_until(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert (b"connection: close" in answer.lower()) is bool(number)
            assert client.receive_exactly(2) == b"ok"
            if not number:
                flow.instance.send_signal(signal.SIGUSR1)
                eventually(lambda: refuses(flow.places.address("web")), "new connections are refused")
        assert client.ends() == "eof"
        assert flow.instance.wait() == 0
        client.close()
        assert server is not None
        server.close()
