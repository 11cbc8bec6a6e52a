"""Limits on connections, from the file and from an operator: who is beyond waits in the kernel, and comes in when somebody has left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer, eventually, refuses
from tests.flows.programs import USHER, Program

_REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@contextmanager
def serving(program: Program, folder: Path, *, global_lines: str = "", frontend_lines: str = "", maxconn: int = 1000) -> Iterator[Flow]:
    text = defaults(global_lines="stats socket <unix:operator> level admin\n    " + global_lines, default_lines="timeout client 20s")
    text = text.replace("maxconn 1000", f"maxconn {maxconn}")
    text += f"""
frontend web
    bind <listen:web>
    {frontend_lines}
    default_backend app
frontend other
    bind <listen:other>
    default_backend app
backend app
    server s <server:web>
"""
    with Flow(folder, (program, text)) as flow:
        server = AnsweringServer(flow.server("web"))
        yield flow
        server.stop()


def ask(flow: Flow, line: str) -> str:
    operator = flow.connect("operator")
    operator.send(line.encode() + b"\n")
    return operator.receive_to_end().decode()


def served(flow: Flow, listen: str = "web") -> Peer:
    client = flow.connect(listen)
    client.send(_REQUEST)
    assert client.receive_until(b"\r\n").startswith(b"HTTP/1.1 200"), "it is let in"
    return client


def waits(flow: Flow, listen: str = "web") -> Peer:
    client = flow.connect(listen)
    client.send(_REQUEST)
    assert client.silent_for(0.3), "it is beyond the limit"
    return client


def beyond_comes_in_after_an_end(flow: Flow, inside: list[Peer], listen: str = "web") -> None:
    outside = waits(flow, listen)
    inside[0].close()
    assert outside.receive_until(b"\r\n").startswith(b"HTTP/1.1 200")
    for client in (*inside[1:], outside):
        client.close()


def test_maxconn_of_the_service_counts_all_frontends_and_processes(program: Program, tmp_path: Path) -> None:
    with serving(program, tmp_path, maxconn=4) as flow:
        inside = [served(flow, listen) for listen in ("web", "other", "web", "other")]
        beyond_comes_in_after_an_end(flow, inside, "other")


def test_maxconn_of_a_frontend_leaves_others_alone(program: Program, tmp_path: Path) -> None:
    with serving(program, tmp_path, frontend_lines="maxconn 3") as flow:
        inside = [served(flow) for _ in range(3)]
        for client in [served(flow, "other") for _ in range(4)]:
            client.close()
        beyond_comes_in_after_an_end(flow, inside)


def test_maxconn_that_an_operator_sets(program: Program, tmp_path: Path) -> None:
    with serving(program, tmp_path) as flow:
        inside = [served(flow) for _ in range(3)]
        assert ask(flow, "set maxconn frontend web 3").strip() == ""

        def holds() -> bool:
            """Dispatchers look some times a second."""
            client = flow.connect("web")
            client.send(_REQUEST)
            is_out = client.silent_for(0.2)
            client.close()
            return is_out

        eventually(holds, "the limit holds")
        beyond_comes_in_after_an_end(flow, inside)


def test_rate_limit_of_sessions_delays_and_refuses_nobody(program: Program, tmp_path: Path) -> None:
    with serving(program, tmp_path, frontend_lines="rate-limit sessions 10") as flow:
        started = time.monotonic()
        for client in [served(flow) for _ in range(20)]:
            client.close()
        assert time.monotonic() - started > 0.5


def test_frontend_that_is_disabled_refuses_until_it_is_enabled(program: Program, tmp_path: Path) -> None:
    with serving(program, tmp_path) as flow:
        kept = served(flow)
        assert ask(flow, "disable frontend web").strip() == ""
        eventually(lambda: refuses(flow.places.address("web")), "it refuses")
        served(flow, "other").close()
        kept.receive_until(b"\r\n\r\n")
        assert ask(flow, "enable frontend web").strip() == ""
        eventually(lambda: not refuses(flow.places.address("web")), "it accepts again")
        served(flow).close()
        kept.close()


@pytest.mark.parametrize("dispatchers", [2])
def test_several_dispatchers_share_limits(tmp_path: Path, dispatchers: int) -> None:
    with serving(USHER, tmp_path, global_lines=f"workers 2\n    dispatchers {dispatchers}", frontend_lines="maxconn 6") as flow:
        inside = [served(flow) for _ in range(6)]
        beyond_comes_in_after_an_end(flow, inside)
