"""`server maxconn` over all workers: never more than it says, nobody forgotten, whoever waits longest first."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import Listener, Peer
from tests.flows.programs import BY_NAME

CONFIGURATION = (
    defaults(global_lines="workers 3", default_lines="timeout queue 10s")
    + """
listen few
    bind <listen:few>
    server s <server:few> maxconn 2
listen one
    bind <listen:one>
    server s <server:one> maxconn 1
listen moved
    bind <listen:moved>
    balance first
    option redispatch
    server s <server:moved> maxconn 1
    server t <server:other> maxconn 1
"""
)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with Flow(tmp_path_factory.mktemp("places"), (BY_NAME["usher"], CONFIGURATION)) as flow:
        yield flow


class SlowServer:
    """Answers each request after a moment, and knows how many it had at once at most."""

    def __init__(self, listener: Listener, seconds: float) -> None:
        self.most = 0
        self.served: list[bytes] = []
        self._seconds = seconds
        self._now = 0
        self._lock = threading.Lock()
        self._listener = listener
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.socket.accept()[0]
            except OSError:
                return
            connection.settimeout(20)
            threading.Thread(target=self._serve, args=(Peer(connection, "server"),), daemon=True).start()

    def _serve(self, peer: Peer) -> None:
        try:
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    data = peer.socket.recv(4096)
                    if not data:
                        return
                    head += data
                with self._lock:
                    self._now += 1
                    self.most = max(self.most, self._now)
                    self.served.append(head.split(b" ")[1])
                time.sleep(self._seconds)  # the work that takes time is this test's subject
                with self._lock:
                    self._now -= 1
                peer.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except OSError:
            pass
        finally:
            peer.close()


def ask(flow: Flow, listen: str, number: int) -> Peer:
    client = flow.connect(listen)
    client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % number)
    return client


def answered(client: Peer) -> bool:
    client.socket.settimeout(15)
    data = b""
    while more := client.socket.recv(4096):
        data += more
    client.close()
    return data.startswith(b"HTTP/1.1 200 ")


def test_limit_is_kept_over_all_workers_and_everybody_is_served(flow: Flow) -> None:
    flow.server("few").socket.setblocking(True)
    server = SlowServer(flow.server("few"), 0.01)
    clients = [ask(flow, "few", number) for number in range(60)]
    assert all(answered(client) for client in clients)
    assert len(server.served) == 60
    assert server.most == 2


def test_one_place_is_handed_from_worker_to_worker_without_a_wait(flow: Flow) -> None:
    flow.server("one").socket.setblocking(True)
    server = SlowServer(flow.server("one"), 0.002)
    start = time.monotonic()
    clients = [ask(flow, "one", number) for number in range(60)]
    assert all(answered(client) for client in clients)
    assert server.most == 1
    # 60 times 2 ms; a worker that only looked every now and then would need 50 ms for each place of another one.
    assert time.monotonic() - start < 1.5


def test_places_of_a_killed_worker_are_free_again(flow: Flow) -> None:
    clients = [ask(flow, "moved", number) for number in range(2)]
    held = [flow.server("moved").accept("server"), flow.server("other").accept("other")]
    for peer in held:
        peer.receive_until(b"\r\n\r\n")
    clients += [ask(flow, "moved", number) for number in range(2, 5)]
    for pid in flow.instance.by_role("worker"):
        os.kill(pid, signal.SIGKILL)
    for peer in (*clients, *held):
        peer.receive_to_end()
        peer.close()
    after = ask(flow, "moved", 9)
    peer = flow.server("moved").accept("server")
    while not peer.receive_until(b"\r\n\r\n").startswith(b"GET /9 "):
        peer.close()  # of a worker that lived a moment longer than the others
        peer = flow.server("moved").accept("server")
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert answered(after)
    peer.close()
