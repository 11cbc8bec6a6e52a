"""Reloads: nobody is lost by one that succeeds, nothing changes by one that fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from common.process import program
from tests.flows import certificates
from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import PROGRAMS, USHER, source_root

pytestmark = pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own reload")

_CONFIGURATION = (
    defaults(
        global_lines="workers 2\n    stats socket <unix:operator> level admin",
        default_lines="timeout client 60s\n    timeout tunnel 60s\n    timeout http-keep-alive 10s",
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
listen nothing
    bind <listen:nothing>
"""
)
RELOADS = 20


class Crowd:
    """tests/flows/crowd.py at work. `lost` ends it and says what was lost."""

    def __init__(self, flow: Flow, listen: str, *trusted: str) -> None:
        """trusted: the file of the CA, for a crowd that speaks TLS."""
        listening = flow.server("web").socket
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.crowd", str(flow.port(listen)), str(listening.fileno()), *trusted],
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
def crowd(flow: Flow, listen: str, *trusted: str) -> Iterator[Crowd]:
    made = Crowd(flow, listen, *trusted)
    try:
        yield made
    finally:
        made.end()


def operate(flow: Flow, line: str) -> str:
    """The answer to an operator's line."""
    return speak(str(flow.places.address("operator")), line)


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


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    with Flow(tmp_path, (USHER, _CONFIGURATION)) as flow:
        server = AnsweringServer(flow.server("web"))
        yield flow
        server.stop()


def get(flow: Flow, listen: str = "web") -> bytes:
    client = flow.connect(listen)
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    status = client.receive_to_end().partition(b"\r\n")[0]
    client.close()
    return status


OK = b"HTTP/1.1 200 OK"


def rewrite(flow: Flow, change: Callable[[str], str]) -> None:
    file = flow.folder / "usher-0.cfg"
    file.write_text(change(file.read_text()))


FAULTS: dict[str, tuple[Callable[[str], str], str]] = {
    "syntax": (lambda text: text + "listen x\n    bindd :1\n", "unknown keyword 'bindd'"),
    "port taken": (lambda text: text.replace("listen web\n", "listen web\n    bind {taken}\n"), "cannot bind"),
    "certificate missing": (lambda text: text.replace("listen web\n", "listen web\n    bind {free} ssl crt /nowhere.pem\n"), "nowhere.pem"),
    "worker cannot start": (lambda text: text.replace("global\n", "global\n    chroot /nowhere\n"), "nowhere"),
    "user missing": (lambda text: text.replace("global\n", "global\n    user nobody-of-that-name\n"), "nobody-of-that-name"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_reload_that_fails_changes_nothing_and_the_next_one_works(flow: Flow, fault: str) -> None:
    """Twice in a row, during a drain, and after it all a good one."""
    pid, client = flow.instance.pid, flow.connect("web")
    good = (flow.folder / "usher-0.cfg").read_text()
    assert operate(flow, "reload").startswith("Success=1")  # the first generation drains: `client` holds it
    processes = flow.instance.processes()
    change, said = FAULTS[fault]
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        places = {"taken": taken.getsockname(), "free": free.getsockname()}
        shown = {name: f"{host}:{port}" for name, (host, port) in places.items()}
        rewrite(flow, lambda text: change(text).replace("{taken}", shown["taken"]).replace("{free}", shown["free"]))
        for _ in range(2):
            answer = operate(flow, "reload")
            assert answer.startswith("Success=0\n--\n"), answer
            assert said in answer + flow.instance.output, answer
            assert get(flow) == OK
    eventually(lambda: set(flow.instance.processes()) <= set(processes), "what the failed reload started has gone")
    (flow.folder / "usher-0.cfg").write_text(good)
    assert operate(flow, "reload").startswith("Success=1")
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.receive_until(b"\r\n\r\n").startswith(OK)
    assert get(flow) == OK
    assert flow.instance.pid == pid
    client.close()


def test_an_upgraded_program_is_loaded_by_the_next_reload(tmp_path: Path) -> None:
    """The program is a copy, of which a file is changed while it runs: so that it works, and so that it does not."""
    root = tmp_path / "program"
    for name in program.PACKAGES:
        shutil.copytree(source_root() / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = f"import sys; sys.path.insert(0, {str(root)!r}); from common.control.command import main; sys.exit(main())"
    copied = replace(USHER, command=(sys.executable, "-I", "-c", command, "-f"))
    with Flow(tmp_path, (copied, _CONFIGURATION)) as flow:
        server = AnsweringServer(flow.server("web"))
        clients = [flow.connect("web") for _ in range(3)]
        pages = root / "worker" / "http" / "answers.py"
        before = pages.read_text()
        assert b"503" in get_nothing(flow)
        pages.write_text("def half(")
        assert operate(flow, "reload").startswith("Success=0\n--\n")
        assert get(flow) == OK
        pages.write_text(before.replace("No server is available to handle this request", "Nobody is at home"))
        assert operate(flow, "reload").startswith("Success=1"), flow.instance.output
        # The old dispatcher may accept one or two more until it hears that it has been replaced.
        eventually(lambda: b"Nobody is at home" in get_nothing(flow), "the new program answers")
        for client in clients:
            client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.receive_until(b"\r\n\r\n").startswith(OK)
            client.close()
        model = root / "common" / "model.py"
        model.write_text(model.read_text().replace("    weight: int = 1\n", "    weight: int = 1\n    height: int = 1\n"))
        refused = operate(flow, "reload")
        assert refused.startswith("Success=0\n--\n") and "another version" in refused
        assert get(flow) == OK
        server.stop()


def get_nothing(flow: Flow) -> bytes:
    """The whole answer where there is no server."""
    client = flow.connect("nothing")
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    answer = client.receive_to_end()
    client.close()
    return answer


def test_each_generation_says_why_its_connections_are_still_there(flow: Flow) -> None:
    tunnel, idle, new = (flow.connect("web") for _ in range(3))
    idle.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert idle.receive_until(b"\r\n\r\n").startswith(OK)
    relayed = flow.connect("relayed")
    relayed.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    assert relayed.receive_until(b"\r\n\r\n").startswith(OK)
    assert operate(flow, "reload").startswith("Success=1")
    eventually(lambda: "idle between two requests of web: the next request is answered" in operate(flow, "show generations"), "idle")
    told = operate(flow, "show generations")
    assert "generation 1: ends with its last session" in told
    assert "generation 2: serves" in told
    assert "1 relayed: until one side ends them" in told
    assert "that no worker has read from yet" in told or "just connected to web" in told
    for client in (tunnel, idle, new, relayed):
        client.close()
    eventually(lambda: "generation 1" not in operate(flow, "show generations"), "the first generation has gone")


def test_hard_stop_after_ends_what_is_left_of_a_generation(tmp_path: Path) -> None:
    text = _CONFIGURATION.replace("global\n", "global\n    hard-stop-after 300ms\n", 1)
    with Flow(tmp_path, (USHER, text)) as flow:
        server = AnsweringServer(flow.server("web"))
        idle = flow.connect("web")
        idle.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.receive_until(b"\r\n\r\n").startswith(OK)
        assert operate(flow, "reload").startswith("Success=1")
        idle.receive_exactly(len(b"/x -"))
        assert idle.ends() in ("eof", "reset")
        eventually(lambda: "generation 1" not in operate(flow, "show generations"), "the first generation has gone")
        assert get(flow) == OK
        server.stop()


def test_close_spread_time_closes_idle_clients_over_its_span(tmp_path: Path) -> None:
    text = _CONFIGURATION.replace("global\n", "global\n    close-spread-time 400ms\n", 1)
    with Flow(tmp_path, (USHER, text)) as flow:
        server = AnsweringServer(flow.server("web"))
        clients = [flow.connect("web") for _ in range(8)]
        for client in clients:
            client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.receive_until(b"\r\n\r\n").startswith(OK)
            client.receive_exactly(len(b"/x -"))
        assert operate(flow, "reload").startswith("Success=1")
        assert [client.ends() for client in clients] == ["eof"] * len(clients)
        server.stop()


# role -> what its death may cost, under load, per kind of client. A worker takes its own sessions along: about half of all, once.
COSTS: dict[str, tuple[str, ...]] = {"zygote": (), "dispatcher": (), "worker": ("keeper", "holder", "comer"), "master": ()}


@pytest.mark.parametrize("role", COSTS)
def test_a_process_that_is_killed_under_load_costs_what_the_documents_say(tmp_path: Path, role: str) -> None:
    with Flow(tmp_path, (USHER, _CONFIGURATION)) as flow, crowd(flow, "web") as clients:
        get(flow)
        pid = pid_of(flow, role)
        os.kill(pid, signal.SIGKILL)
        if role == "master":
            flow.instance.wait()
        else:
            eventually(lambda: pid not in flow.instance.processes(), "it is dead")
            eventually(
                lambda: len(flow.instance.by_role("worker")) == 2 and len(flow.instance.by_role("dispatcher")) == 1, "all are there again"
            )
            assert operate(flow, "reload").startswith("Success=1"), flow.instance.output
        time.sleep(0.5)  # of load on what is left, which is what is looked at
        lost = clients.lost()
        assert {kind.partition(":")[0] for kind in lost} <= set(COSTS[role]), lost
        assert sum(lost.values()) <= (45 if COSTS[role] else 0), lost
        if role == "master":
            for left in flow.instance.processes():
                os.kill(left, signal.SIGTERM)
            eventually(lambda: not flow.instance.processes(), "the tiers end at SIGTERM")
            flow.instance.kill()
            flow.instances.clear()


def pid_of(flow: Flow, role: str) -> int:
    if role == "master":
        return flow.instance.pid
    if role != "zygote":
        return flow.instance.by_role(role)[0]
    return next(pid for pid in flow.instance.processes() if Path(f"/proc/{pid}/comm").read_text() == "usher-zygote\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")
def test_privileges_are_dropped_where_traffic_is(tmp_path: Path) -> None:
    """Read in /proc: user, groups, root directory, capabilities, no_new_privs; the master keeps its own, to bind and read at a reload."""
    jail = tmp_path / "jail"
    jail.mkdir()
    tmp_path.chmod(0o755)
    text = _CONFIGURATION.replace("global\n", f"global\n    user nobody\n    group nogroup\n    chroot {jail}\n", 1)
    with Flow(tmp_path, (USHER, text)) as flow:
        server = AnsweringServer(flow.server("web"))
        for generation in range(2):
            processes = [*flow.instance.by_role("worker"), *flow.instance.by_role("dispatcher")]
            assert len(processes) == 3
            for pid in processes:
                status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
                assert status["Uid"].split() == ["65534"] * 4
                assert status["Gid"].split() == ["65534"] * 4
                assert status["Groups"].split() in ([], ["65534"])
                assert [int(status[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0] * 4
                assert status["NoNewPrivs"] == "1"
                assert os.readlink(f"/proc/{pid}/root") == str(jail)
            assert get(flow) == OK
            if not generation:
                assert operate(flow, "reload").startswith("Success=1")
                eventually(lambda: "generation 1" not in operate(flow, "show generations"), "the first generation has gone")
        server.stop()


def test_the_master_socket_reloads_and_speaks_to_each_process(tmp_path: Path) -> None:
    """-S: `reload` tells what was said; `@2`, `@!PID` address one process; `show proc` lists them all."""
    path = tmp_path / "master"
    with Flow(tmp_path, (USHER, _CONFIGURATION), arguments=("-W", "-S", str(path))) as flow:
        flow.end_signal = signal.SIGTERM

        def ask(line: str) -> str:
            return speak(str(path), line)

        reloaded = ask("reload")
        assert reloaded.startswith("Success=1\n--\n[")
        assert f"({flow.instance.pid}) : generation 2 serves" in reloaded
        rewrite(flow, lambda text: text.replace("listen web\n", "listen web\n    nonsense\n"))
        refused = ask("reload")
        assert refused.startswith("Success=0\n--\n")
        assert "unknown keyword 'nonsense'" in refused and "generation 2 goes on" in refused
        workers = flow.instance.by_role("worker")
        listed = ask("show proc")
        assert re.search(rf"^{flow.instance.pid} +master +1 \[failed: 1\] ", listed, re.MULTILINE), listed
        assert all(re.search(rf"^{worker} +worker ", listed, re.MULTILINE) for worker in workers)
        for worker in workers:
            assert f"Pid: {worker}\n" in ask(f"@!{worker} show info")
        assert f"Pid: {workers[0]}\n" in ask("@2 show info") or f"Pid: {workers[1]}\n" in ask("@2 show info")
        assert "Can't find" in ask("@!1 show info") or "No such" in ask("@!1 show info") or "target" in ask("@!1 show info")
        assert get_answer(flow) == OK


def speak(path: str, line: str) -> str:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(path)
        sock.sendall(line.encode() + b"\n")
        sock.shutdown(socket.SHUT_WR)
        with sock.makefile("rb") as stream:
            return stream.read().decode()


def get_answer(flow: Flow) -> bytes:
    server = AnsweringServer(flow.server("web"))
    try:
        return get(flow)
    finally:
        server.stop()


def test_checks_keep_their_pace_over_reloads_and_their_results_stand(tmp_path: Path) -> None:
    """Reloads that come faster than checks neither put them off, nor multiply them, nor bring a server that is down into use."""
    text = (
        _CONFIGURATION
        + """
listen checked
    bind <listen:checked>
    retries 0
    server up <server:web> check inter 1s fall 1
    server down <refused:down> check inter 1s fall 1
backend counted
    option httpchk
    server first <server:first> check inter 1s
    server last <server:last> check inter 1s
"""
    )
    with Flow(tmp_path, (USHER, text)) as flow:
        server, first, last = (AnsweringServer(flow.server(name)) for name in ("web", "first", "last"))
        flow.log.expect("^Server checked/down is DOWN")
        eventually(lambda: first.answered and last.answered, "both are checked")
        began, before = time.monotonic(), [first.answered, last.answered]
        while time.monotonic() < began + 3.0:
            assert operate(flow, "reload").startswith("Success=1")
            assert {get(flow, "checked") for _ in range(4)} == {OK}
        elapsed_s = time.monotonic() - began
        for counted, was in zip((first, last), before, strict=True):
            assert elapsed_s / 2 - 1 <= counted.answered - was <= 2 * elapsed_s + 2, (elapsed_s, counted.answered, was)
        rows = [line.split(",") for line in operate(flow, "show stat").splitlines() if line.startswith("checked,")]
        states = {row[1]: row[17] for row in rows}
        assert states["down"].startswith("DOWN") and states["up"] == "UP", states
        assert not flow.log.seen("^Server checked/down is (UP|DOWN)"), "nothing has changed"
        for one in (server, first, last):
            one.stop()


def test_reloads_lose_no_client_that_speaks_tls(tmp_path: Path) -> None:
    certificates.put_into(tmp_path)
    text = _CONFIGURATION + "listen tls\n    bind <listen:tls> ssl crt <file:localhost.pem>\n    server s <server:web>\n"
    with Flow(tmp_path, (USHER, text)) as flow, crowd(flow, "tls", str(tmp_path / "ca.pem")) as clients:
        for _ in range(5):
            assert operate(flow, "reload").startswith("Success=1"), flow.instance.output
        assert clients.lost() == {}


def test_a_full_disk_where_it_speaks_to_stops_no_reload(tmp_path: Path) -> None:
    def into_a_full_disk() -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, 1)
        os.dup2(full, 2)

    with Flow(tmp_path, (USHER, _CONFIGURATION), before_exec=into_a_full_disk) as flow:
        server = AnsweringServer(flow.server("web"))
        assert operate(flow, "reload").startswith("Success=1")
        rewrite(flow, lambda text: text + "nonsense\n")
        assert operate(flow, "reload").startswith("Success=0\n--\n[ALERT]")
        assert get(flow) == OK
        server.stop()
