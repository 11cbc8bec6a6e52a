"""Usher's own processes: whichever is killed, the others go on, and what it left undone is done by somebody else.

Processes are found by the name that the kernel shows (/proc/PID/comm), as an operator would with ps.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer, eventually
from tests.flows.programs import PROGRAMS, USHER, open_descriptors

pytestmark = pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own process model")

_SECTIONS = """
listen web
    bind <listen:web>
    option forwardfor
    http-reuse never
    timeout client 20s
    timeout server 20s
    server s <server:web>
listen handed
    mode tcp
    bind <listen:handed> process 1
    balance leastconn
    server p2 abns@<abns:p2> send-proxy-v2 pass-fd
    server p3 abns@<abns:p3> send-proxy-v2 pass-fd
listen handed-worker
    bind abns@<abns:p2> process 2 accept-proxy
    bind abns@<abns:p3> process 3 accept-proxy
    option forwardfor
    http-reuse never
    timeout client 20s
    timeout server 20s
    server s <server:web>
"""


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    """A program of this test alone, with a server that answers."""
    flow = Flow(tmp_path, (USHER, defaults(global_lines="workers 2") + _SECTIONS))
    with flow:
        server = AnsweringServer(flow.server("web"))
        wait_for_workers(flow, "p2", "p3")
        yield flow
        server.stop()


def wait_for_workers(flow: Flow, *names: str) -> None:
    """Until the dispatcher says that it seats connections at these workers, on both ways that there are to them."""
    wanted = [f"server handed/{name} " for name in names] + [f"worker {name[1:]} " for name in names]
    pattern = "{}.*takes connections"
    eventually(
        lambda: all(re.search(pattern.format(re.escape(one)), flow.instance.output) for one in wanted),
        "the dispatcher seats connections at these workers",
        deadline_s=15,
    )


def get(client: Peer, target: bytes) -> bytes:
    """The body that the server sends for a request on this connection; b"" if the connection ends instead."""
    client.send(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target)
    return answer(client, target)


def answer(client: Peer, target: bytes) -> bytes:
    head = client.receive_until(b"\r\n\r\n")
    if not head:
        return b""
    assert head.startswith(b"HTTP/1.1 200 OK\r\n"), head
    return client.receive_exactly(len(target + b" 127.0.0.1"))


def kill_and_wait_for_another(flow: Flow, role: str, pid: int) -> None:
    before = flow.instance.by_role(role)
    name = Path(f"/proc/{pid}/comm").read_text().strip()
    os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: len(now := flow.instance.by_role(role)) == len(before) and pid not in now, f"another {role} instead of {pid}", deadline_s=10
    )
    if role == "worker":
        wait_for_workers(flow, f"p{name.rpartition('-')[2]}")


def close_all(clients: list[Peer]) -> None:
    for client in clients:
        client.close()


def test_dispatcher_and_workers_are_processes_of_their_own(flow: Flow) -> None:
    eventually(lambda: len(flow.instance.by_role("worker")) >= 2, "workers")
    assert len(flow.instance.by_role("dispatcher")) == 1


@pytest.mark.parametrize("listen", ["web", "handed"])
def test_worker_killed_before_it_read_anything_loses_nobody(flow: Flow, listen: str) -> None:
    get(flow.connect(listen), b"/warm")
    clients = [flow.connect(listen) for _ in range(12)]
    for worker in flow.instance.by_role("worker"):
        kill_and_wait_for_another(flow, "worker", worker)
    for number, client in enumerate(clients):
        target = b"/%d" % number
        assert get(client, target) == target + b" 127.0.0.1"
    close_all(clients)


def test_stopped_worker_that_is_killed_loses_nobody_even_with_bytes_waiting(flow: Flow) -> None:
    get(flow.connect("web"), b"/warm")
    workers = flow.instance.by_role("worker")
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    clients = [flow.connect("web") for _ in range(8)]
    for number, client in enumerate(clients):
        client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
    for worker in workers:
        kill_and_wait_for_another(flow, "worker", worker)
    for number, client in enumerate(clients):
        target = b"/%d" % number
        assert answer(client, target) == target + b" 127.0.0.1"
    close_all(clients)


def test_worker_that_wakes_up_leaves_alone_whom_others_serve_by_now(flow: Flow) -> None:
    """SIGSTOP, and SIGCONT when its clients were seated elsewhere: two processes hold their sockets, and one may use them."""
    kept = flow.connect("web")
    assert get(kept, b"/kept") == b"/kept 127.0.0.1"
    for round_ in range(2):
        quiet = [flow.connect("web") for _ in range(6)]
        (stopped, *_) = flow.instance.by_role("worker")
        os.kill(stopped, signal.SIGSTOP)
        waiting = [flow.connect("web") for _ in range(6)]
        for number, client in enumerate(waiting):
            client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        for number, client in enumerate(waiting):
            assert answer(client, b"/%d" % number) == b"/%d 127.0.0.1" % number
        for number, client in enumerate(quiet[:3]):
            assert get(client, b"/q%d" % number) == b"/q%d 127.0.0.1" % number
        os.kill(stopped, signal.SIGCONT)
        flow.log.expect("beats again")
        clients = quiet + waiting
        for again in range(4):
            target = b"/r%d.%d" % (round_, again)
            for byte in b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target:  # whoever gets some of them has no request
                for client in clients:
                    client.send(bytes([byte]))
            for client in clients:
                assert answer(client, target) == target + b" 127.0.0.1"
        close_all(quiet + waiting)
    assert get(kept, b"/kept") == b"/kept 127.0.0.1"
    close_all([kept])


def test_worker_that_hangs_too_long_is_killed_and_started_again_with_the_reason(tmp_path: Path) -> None:
    text = defaults(global_lines="workers 2\n    tune.worker.hang-timeout 900ms") + _SECTIONS
    with Flow(tmp_path, (USHER, text)) as flow:
        server = AnsweringServer(flow.server("web"))
        wait_for_workers(flow, "p2", "p3")
        stopped, other = flow.instance.by_role("worker")
        os.kill(stopped, signal.SIGSTOP)
        eventually(
            lambda: re.search(rf"\({stopped}\) was killed by SIGKILL: it hung, without a heartbeat for [01]\.\d s", flow.instance.output),
            "the reason is said",
            deadline_s=15,
        )
        eventually(lambda: len(flow.instance.by_role("worker")) == 2 and stopped not in flow.instance.by_role("worker"), "another worker")
        assert other in flow.instance.by_role("worker")
        client = flow.connect("web")
        assert get(client, b"/1") == b"/1 127.0.0.1"
        close_all([client])
        server.stop()


def test_killed_worker_takes_only_its_own_sessions_along(flow: Flow) -> None:
    clients = [flow.connect("handed") for _ in range(8)]
    for client in clients:
        assert get(client, b"/1") == b"/1 127.0.0.1"
    victim = flow.instance.by_role("worker")[0]
    kill_and_wait_for_another(flow, "worker", victim)
    outcomes = [get(client, b"/2") for client in clients]
    assert outcomes.count(b"/2 127.0.0.1") == len(clients) // 2, outcomes
    assert outcomes.count(b"") == len(clients) // 2, outcomes
    close_all(clients)
    for _ in range(6):
        client = flow.connect("handed")
        assert get(client, b"/3") == b"/3 127.0.0.1"
        client.close()


def test_worker_killed_again_and_again_comes_back(flow: Flow) -> None:
    for number in range(3):
        kill_and_wait_for_another(flow, "worker", flow.instance.by_role("worker")[0])
        client = flow.connect("web")
        assert get(client, b"/%d" % number) == b"/%d 127.0.0.1" % number
        client.close()


@pytest.mark.parametrize("listen", ["web", "handed"])
def test_killed_dispatcher_is_no_event_for_sessions_and_refuses_nobody(flow: Flow, listen: str) -> None:
    clients = [flow.connect(listen) for _ in range(6)]
    for client in clients:
        assert get(client, b"/1") == b"/1 127.0.0.1"
    (dispatcher,) = flow.instance.by_role("dispatcher")
    os.kill(dispatcher, signal.SIGKILL)
    during = [flow.connect(listen) for _ in range(6)]
    for client in clients:
        assert get(client, b"/2") == b"/2 127.0.0.1"
    for client in during:
        assert get(client, b"/3") == b"/3 127.0.0.1"
    eventually(lambda: len(flow.instance.by_role("dispatcher")) == 1, "another dispatcher")
    close_all(clients + during)


def test_killed_master_leaves_the_tiers_serving(flow: Flow) -> None:
    client = flow.connect("web")
    assert get(client, b"/1") == b"/1 127.0.0.1"
    os.kill(flow.instance.pid, signal.SIGKILL)
    flow.instance.wait()
    assert get(client, b"/2") == b"/2 127.0.0.1"
    other = flow.connect("handed")
    assert get(other, b"/3") == b"/3 127.0.0.1"
    close_all([client, other])
    for pid in flow.instance.processes():
        os.kill(pid, signal.SIGTERM)
    eventually(lambda: not flow.instance.processes(), "the tiers end at SIGTERM")
    flow.instance.kill()
    flow.instances.clear()


_FOREIGNER = """
import os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
peer = socket.socket(socket.AF_UNIX, getattr(socket, sys.argv[2]))
peer.settimeout(5)
peer.connect(bytes.fromhex(sys.argv[1]))
try:
    peer.send(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\\r\\nGET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    print(peer.recv(100))
except (ConnectionError, BrokenPipeError):
    print(b"")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_SEQPACKET"])
def test_another_user_on_the_abstract_name_is_refused_and_logged(flow: Flow, kind: str) -> None:
    name = flow.places.address("p2")
    assert isinstance(name, bytes)
    done = subprocess.run([sys.executable, "-c", _FOREIGNER, name.hex(), kind], capture_output=True, text=True, timeout=20)
    assert done.stdout == "b''\n", (done.stdout, done.stderr)
    flow.log.expect("(?i)refused.*(uid|user)[^0-9]*65534")
    client = flow.connect("handed")
    assert get(client, b"/1") == b"/1 127.0.0.1"
    client.close()


def test_log_lines_carry_the_pid_of_the_program_that_was_started(flow: Flow) -> None:
    for listen in ("web", "handed"):
        client = flow.connect(listen)
        get(client, b"/1")
        client.close()
    for name in ("web web/s", "handed-worker handed-worker/s"):
        assert flow.log.expect(name).pid == flow.instance.pid


def test_descriptors_are_given_back(flow: Flow) -> None:
    def everything() -> None:
        for listen in ("web", "handed"):
            clients = [flow.connect(listen) for _ in range(10)]
            for client in clients[:6]:
                get(client, b"/1")
            clients[0].reset()
            clients[7].send(b"GET / HT")
            clients[8].send(b"nonsense\r\n\r\n")
            close_all(clients)

    def held() -> dict[int, int]:
        return {pid: open_descriptors(pid) for pid in flow.instance.processes()}

    for _ in range(3):
        everything()
    before = held()
    for _ in range(15):
        everything()
    eventually(
        lambda: all(count <= before[pid] + 4 for pid, count in held().items()), f"descriptors go back to {before}, they are {held()}"
    )


def test_connection_that_says_nothing_is_closed_by_its_deadline(tmp_path: Path) -> None:
    text = defaults(default_lines="timeout http-request 300ms") + _SECTIONS
    with Flow(tmp_path, (USHER, text)) as flow:
        for listen in ("web", "handed"):
            client = flow.connect(listen)
            client.receive_to_end()
            client.close()


def test_sessions_spread_evenly_over_workers(flow: Flow) -> None:
    clients = [flow.connect("handed") for _ in range(20)]
    for client in clients:
        get(client, b"/1")
    workers = flow.instance.by_role("worker")
    sockets = {worker: client_sockets(worker, {client.socket.getsockname() for client in clients}) for worker in workers}
    assert sorted(sockets.values())[-2:] == [10, 10], sockets
    close_all(clients)


def client_sockets(pid: int, clients: set[tuple[str, int]]) -> int:
    """How many of these clients' connections a process holds."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{name}"))
        except OSError:
            continue
    found = set()  # the kernel may show a line twice while the table changes
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        host, port = columns[2].split(":")
        remote = (socket.inet_ntoa(bytes.fromhex(host)[::-1]), int(port, 16))
        if remote in clients and f"socket:[{columns[9]}]" in inodes:
            found.add(remote)
    return len(found)
