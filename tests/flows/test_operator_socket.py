"""The operator socket of the running program, beside HAProxy's: answers, levels, prompts, frontends that pause, bad company."""

from __future__ import annotations

import csv
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually, refuses
from tests.flows.programs import PROGRAMS, USHER, Program
from tests.flows.serving import ServingThread, web

ours = pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own commands")


def configuration(program: str) -> str:
    sockets = "\n".join(f"stats socket <unix:{name}> level {name}" for name in ("admin", "operator", "user"))
    sockets += "\nstats timeout 1m\nstats maxconn 20"  # sessions of an earlier test may be about to end
    return defaults(global_lines=sockets) + """
frontend front
    bind <listen:web>
    default_backend farm
frontend other
    bind <listen:other>
    mode tcp
    default_backend raw
backend farm
    server s1 <server:app> weight 10
    server s2 <refused:gone> weight 20 maxconn 5 disabled
    server s3 <server:app> disabled
backend raw
    mode tcp
    server t1 <server:app>
"""


@pytest.fixture(scope="module", autouse=True)
def served(module_flow: Flow) -> Iterator[None]:
    thread = ServingThread(module_flow.server("app"), web("s1"))
    yield
    thread.stop()


def ask(flow: Flow, text: str, level: str = "admin", *, half: bool = True) -> str:
    """Everything that is answered to these bytes, until the program closes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(flow.places.address(level))
        sock.sendall(text.encode())
        if half:
            sock.shutdown(socket.SHUT_WR)
        parts = []
        while data := sock.recv(65536):
            parts.append(data)
    return b"".join(parts).decode()


EXACT = {
    "get weight farm/s1": "10 (initial 10)\n\n",
    "get weight farm/nobody": "No such server.\n\n",
    "get weight nowhere/s1": "No such backend.\n\n",
    "get weight farm": "Require 'backend/server'.\n\n",
    "set weight farm/s1 300": "Absolute weight can only be between 0 and 256 inclusive.\n\n",
    "set server farm/s1 state bogus": "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n",
    "set server farm/s1 health bogus": "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n\n",
    "set server farm/s1 agent up": "agent checks are not enabled on this server.\n\n",
    "enable health farm/s1": "Health check was not configured on this server, cannot enable.\n\n",
    "disable server farm/nobody": "No such server.\n\n",
    "disable frontend nobody": "No such frontend.\n\n",
    "disable frontend": "A frontend name is expected.\n\n",
    "set maxconn frontend front": "Integer value expected.\n\n",
    "set maxconn global": "Expects an integer value.\n\n",
    "set maxconn global 999999999": "Value out of range.\n\n",
    "set maxconn server farm/s2": "Require <maxconn>.\n\n",
    "set rate-limit sessions global": "Expects an integer value.\n\n",
    "set timeout cli": "Expects an integer value.\n\n",
    "set timeout bogus 5": "'set timeout' only supports 'cli'.\n\n",
    "set severity-output bogus": "one of 'none', 'number', 'string' is a required argument\n\n",
    "show servers state nowhere": "Can't find backend.\n\n",
    "show env NOT_SET_ANYWHERE": "Variable not found\n\n",
    "show cli level": "admin\n\n",
    "operator;show cli level": "\noperator\n\n",
    "user;operator;show cli level": "\nPermission denied\n\nuser\n\n",
    "set severity-output number;disable server farm/nobody": "\n[3]: No such server.\n\n",
    "set severity-output string;disable server farm/nobody": "\n[err]: No such server.\n\n",
    "show stat nowhere 1 -1": "No such proxy.\n\n",
    "show errors nowhere": "No such proxy.\n\n",
    "get var proc.nothing": "Variable not found.\n\n",
    "set var proc.x int(5)": "This command is restricted to experimental mode only.\n\n",
    "experimental-mode on;set var proc.x int(5);get var proc.x": "\n\nproc.x: type=sint value=<5>\n\n",
    "experimental-mode on;set var proc.s str(a),upper;get var proc.s": "\n\nproc.s: type=str value=<A>\n\n",
    "shutdown session": "Session pointer expected (use 'show sess').\n\n",
    "shutdown sessions server farm": "Require 'backend/server'.\n\n",
    "show peers": "\n",
}


@pytest.mark.parametrize("command", EXACT)
def test_answers_are_haproxys_word_for_word(module_flow: Flow, command: str) -> None:
    assert ask(module_flow, command + "\n").rstrip("\n") == EXACT[command].rstrip("\n")


@pytest.mark.parametrize("level", ["user", "operator"])
@pytest.mark.parametrize(
    "command", ["disable server farm/s1", "set weight farm/s1 5", "clear counters all", "set maxconn global 5", "show fd"]
)
def test_levels_refuse_what_they_should(module_flow: Flow, level: str, command: str) -> None:
    answer = ask(module_flow, command + "\n", level)
    assert (answer == "Permission denied\n\n") is not (level == "operator" and command == "show fd")


def test_prompts_and_chains(module_flow: Flow) -> None:
    assert ask(module_flow, "prompt\nshow cli level;show cli level\nquit\n") == "\n> admin\n\n> admin\n\n> "
    assert ask(module_flow, "show cli level;show cli level\n") == "admin\n\nadmin\n\n"


def test_show_errors_counts_and_shows_what_broke(module_flow: Flow) -> None:
    client = module_flow.connect("web")
    client.send(b"GET /broken HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n")
    assert client.receive_to_end().startswith(b"HTTP/1.1 400")
    text = ask(module_flow, "show errors\n")
    assert re.match(r"Total events captured on \[\d\d/\w{3}/\d{4}:[\d:.]+\] : \d+\n", text)


# --- frontends -----------------------------------------------------------------------------------------------------------


def status(flow: Flow, name: str) -> str:
    text = ask(flow, f"show stat {name} 1 -1\n").removeprefix("# ")
    return next(csv.DictReader(text.splitlines()))["status"]


def test_a_disabled_frontend_refuses_and_an_enabled_one_serves_again(module_flow: Flow) -> None:
    for _ in range(2):
        assert ask(module_flow, "disable frontend front\n") == "\n"
        eventually(lambda: refuses(module_flow.places.address("web")), "connections are refused")
        assert status(module_flow, "front") in ("STOP", "PAUSED")
        assert ask(module_flow, "enable frontend front\n") == "\n"
        client = module_flow.connect("web")
        client.send(b"GET /again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"/again" in client.receive_to_end()
        assert status(module_flow, "front") == "OPEN"


def test_who_is_connected_stays_when_a_frontend_pauses(module_flow: Flow) -> None:
    client = module_flow.connect("other")
    client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"/1" in client.receive_until(b"/1")
    assert ask(module_flow, "disable frontend other\n") == "\n"
    client.send(b"GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"/2" in client.receive_until(b"/2")
    assert ask(module_flow, "enable frontend other\n") == "\n"
    client.close()


# --- bad company ---------------------------------------------------------------------------------------------------------


@ours
def test_garbage_and_huge_lines_harm_nobody(own_flow: Flow) -> None:
    module_flow = own_flow
    for data in (b"\0\xff\xfe" * 1000 + b"\n", b"a" * 100_000 + b"\n", b";" * 5000 + b"\n", b"show " * 3000 + b"\n", b"\\" * 999 + b"\n"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(module_flow.places.address("admin"))
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(65536):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert ask(module_flow, "show cli level\n") == "admin\n\n"


def test_half_a_line_waits_and_many_are_served(module_flow: Flow) -> None:
    with ExitStack() as stack:
        waiting = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(9)]
        for sock in waiting:
            sock.settimeout(10)
            sock.connect(module_flow.places.address("admin"))
            sock.sendall(b"show cli le")
        assert ask(module_flow, "show cli level\n") == "admin\n\n"
        for sock in waiting:
            sock.sendall(b"vel\n")
            assert sock.recv(100) == b"admin\n\n"


def test_a_slow_reader_does_not_hold_up_others(module_flow: Flow) -> None:
    slow = socket.socket(socket.AF_UNIX)
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    slow.connect(module_flow.places.address("admin"))
    slow.sendall(b"show stat;" * 300 + b"show stat\n")
    started = time.monotonic()
    assert ask(module_flow, "show cli level\n") == "admin\n\n"
    assert time.monotonic() - started < 5
    slow.close()


# --- ours ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_flow(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    if program is not USHER:
        pytest.skip("Usher's own commands")
    with Flow(tmp_path_factory.mktemp("own"), (USHER, configuration("usher").replace("maxconn 1000", "maxconn 1000\nworkers 2"))) as flow:
        thread = ServingThread(flow.server("app"), web("s1"))
        yield flow
        thread.stop()


@ours
def test_the_bad_request_is_shown_with_its_place(own_flow: Flow) -> None:
    client = own_flow.connect("web")
    client.send(b"GET /broken HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n")
    assert client.receive_to_end().startswith(b"HTTP/1.1 400")
    text = ask(own_flow, "show errors front request\n")
    assert "frontend front (#" in text
    assert ": invalid request" in text
    assert "error at position 32:" in text
    assert r"00022  Host: a\r\n" in text
    assert "invalid" not in ask(own_flow, "show errors -1 response\n")


@ours
def test_activity_descriptors_and_events_are_told(own_flow: Flow) -> None:
    activity = ask(own_flow, "show activity\n")
    assert re.search(r"^accepted: \d+ \[ \d+ \d+ \]$", activity, re.MULTILINE)
    assert re.search(r"^ +\d+ : tcpv4 listener 127\.0\.0\.1:\d+ -> -", ask(own_flow, "show fd\n"), re.MULTILINE)
    assert ask(own_flow, "@w1 show fd 0\n").count("\n") == 3
    assert "stdout" in ask(own_flow, "show events\n")
    assert json.loads(ask(own_flow, "show stat json\n"))


@ours
def test_a_pause_lasts_over_a_reload_and_a_crash(own_flow: Flow) -> None:
    import os
    import signal

    assert ask(own_flow, "disable frontend front\n") == "\n"
    assert ask(own_flow, "reload\n").startswith("Success=1")
    assert refuses(own_flow.places.address("web"))
    victim = own_flow.instance.by_role("dispatcher")[0]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in own_flow.instance.by_role("dispatcher") and own_flow.instance.by_role("dispatcher"), "restarted")
    assert refuses(own_flow.places.address("web"))
    assert ask(own_flow, "enable frontend front\n") == "\n"
    client = own_flow.connect("web")
    client.send(b"GET /again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert b"/again" in client.receive_to_end()


@ours
def test_a_shut_down_frontend_stays_shut(own_flow: Flow) -> None:
    assert ask(own_flow, "shutdown frontend other\n") == "\n"
    assert refuses(own_flow.places.address("other"))
    assert ask(own_flow, "enable frontend other\n") == "Frontend was previously shut down, cannot enable.\n\n"
