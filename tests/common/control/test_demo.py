"""`usher demo`: its servers, its certificate, and the whole of it with a real client."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trio

from common.control import demo, demo_servers
from tests.common.control.running import DEADLINE_S, ROOT

T = TypeVar("T")


async def with_server(talk: Callable[[int], T]) -> T:
    """What a blocking client says about a server that runs meanwhile."""
    (listener,) = demo_servers.listeners(1)
    with listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(demo_servers.task("red", listener), None)  # type: ignore[arg-type]
            with trio.fail_after(DEADLINE_S):
                result = await trio.to_thread.run_sync(talk, listener.getsockname()[1])
            nursery.cancel_scope.cancel()
    return result


async def test_requests_on_one_connection_are_answered_with_what_arrived() -> None:
    def talk(port: int) -> list[str]:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        answers = []
        for method, body in (("GET", None), ("POST", "some data"), ("PUT", b"x" * 200_000)):
            client.request(method, "/here?a=b", body)
            answers.append(client.getresponse().read().decode())
        client.close()
        return answers

    first, second, third = await with_server(talk)
    assert first.startswith("server red got GET /here?a=b with\n  host: 127.0.0.1:")
    assert second.endswith("and 9 bytes of body\n")
    assert third.endswith("and 200000 bytes of body\n")


@pytest.mark.parametrize(
    ("target", "length"), [("/bytes?n=0", 0), ("/bytes?n=70000", 70000), ("/bytes?n=-5", 0), ("/bytes?n=no", 0), ("/slow?s=no", None)]
)
async def test_bodies_have_the_length_that_was_asked_for(target: str, length: int | None) -> None:
    def talk(port: int) -> bytes:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
        client.request("GET", target)
        answer = client.getresponse().read()
        client.close()
        return answer

    answer = await with_server(talk)
    assert length is None or len(answer) == length


async def test_a_head_request_has_no_body_and_expect_gets_its_continue() -> None:
    def talk(port: int) -> list[bytes]:
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n")
            first = client.recv(1000)
            client.sendall(b"x")
            received = b""
            while not received.endswith(b"and 1 bytes of body\n"):
                received += client.recv(1000)
            client.sendall(b"HEAD /bytes?n=9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            rest = b""
            while part := client.recv(1000):
                rest += part
            return [first, rest]

    first, rest = await with_server(talk)
    assert first.startswith(b"HTTP/1.1 100 ")
    assert b"Content-Length: 9" in rest
    assert rest.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("garbage", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n", b""])
async def test_broken_clients_end_alone(garbage: bytes) -> None:
    def talk(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as client:
            client.sendall(garbage)
            client.shutdown(socket.SHUT_WR)
            return client.recv(1000)

    assert await with_server(talk) == b""


def test_the_certificate_is_good_for_localhost_and_only_ours_to_read(tmp_path: Path) -> None:
    path = tmp_path / "demo.pem"
    demo.write_certificate(str(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cafile=str(path))
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname="localhost")
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert ours.getpeercert()


def test_a_port_that_is_taken_is_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert demo.free_port(taken.getsockname()[1]) not in (0, taken.getsockname()[1])
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert demo.free_port(port) == port


def test_the_demo_serves_what_it_says_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "common.control.command", "demo", "--http", "0", "--https", "0"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout
            said = ""
            while "Ctrl-C ends it." not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
            port = int(re.findall(r"curl http://127\.0\.0\.1:(\d+)/\n", said)[0])
            certificate, tls_port = re.findall(r"curl --cacert (\S+) https://localhost:(\d+)/", said)[0]
            plain = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
            secure = http.client.HTTPSConnection(
                "localhost", int(tls_port), timeout=DEADLINE_S, context=ssl.create_default_context(cafile=certificate)
            )
            for client, path, expected in ((plain, "/blue", b"server blue got GET /blue"), (secure, "/", b"server ")):
                client.request("GET", path)
                assert client.getresponse().read().startswith(expected)
                client.close()
            os.killpg(process.pid, signal.SIGINT)
            rest, _ = process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 0
            assert "Traceback" not in rest
            assert os.listdir(tmp_path) == []
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
