"""`show sess`, `shutdown session` and `shutdown sessions server`: where HAProxy has a format or a word, both programs have it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer, eventually
from tests.flows.programs import PROGRAMS, USHER, Program

_CONFIGURATION = (
    defaults(global_lines="stats socket <unix:operator> level admin", default_lines="timeout client 20s\n    timeout server 30s")
    + """
listen web
    bind <listen:web>
    timeout http-keep-alive 25s
    server s <server:web>
listen raw
    mode tcp
    option tcplog
    timeout connect 5s
    bind <listen:raw> name rawbind
    server t <server:raw>
"""
)
_ID = re.compile(r"(0x[0-9a-f]+): ")


@pytest.fixture
def flow(program: Program, tmp_path: Path) -> Iterator[Flow]:
    with Flow(tmp_path, (program, _CONFIGURATION)) as flow:
        yield flow


def ask(flow: Flow, line: str) -> str:
    operator = flow.connect("operator")
    operator.send(line.encode() + b"\n")
    return operator.receive_to_end().decode()


def request_under_way(flow: Flow) -> tuple[Peer, Peer]:
    client = flow.connect("web")
    client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    server = flow.server("web").accept()
    server.receive_until(b"\r\n\r\n")
    return client, server


def tunnel(flow: Flow) -> tuple[Peer, Peer]:
    client = flow.connect("raw")
    client.send(b"hello")
    server = flow.server("raw").accept()
    assert server.receive_exactly(5) == b"hello"
    return client, server


def name_of(client: Peer) -> str:
    host, port = client.socket.getsockname()
    return f"{host}:{port}"


def line_of(flow: Flow, client: Peer) -> str:
    """The line that `show sess` has for a client."""
    source = f"src={name_of(client)} "
    found: list[str] = []

    def seen() -> bool:
        found[:] = [line for line in ask(flow, "show sess").splitlines() if source in line]
        return len(found) == 1

    eventually(seen, f"one line with {source}")
    return found[0]


def test_every_session_has_its_line(flow: Flow) -> None:
    client, server = request_under_way(flow)
    line = line_of(flow, client)
    assert re.match(r"0x[0-9a-f]+: proto=tcpv4 src=127\.0\.0\.1:\d+ fe=web be=web srv=s ts=\w+ epoch=\w+ age=\d+s calls=[1-9]", line), line
    assert re.search(r"rq\[f=\w+,i=\d+,an=\w+,rx=\w*,wx=\w*,ax=\w*\] rp\[f=\w+,i=\d+,an=\w+,rx=(29|30)s,", line), line
    assert re.search(r"scf=\[\d+,\w+,fd=\d+\] scb=\[\d+,\w+,fd=\d+\] exp=\w+ rc=0 c_exp=", line), line
    through, behind = tunnel(flow)
    assert "fe=raw be=raw srv=t " in line_of(flow, through)
    for peer in (client, server, through, behind):
        peer.close()
    eventually(lambda: "fe=web" not in ask(flow, "show sess") and "fe=raw" not in ask(flow, "show sess"), "they are gone")


def test_one_session_is_shown_by_its_id_and_all_at_once(flow: Flow) -> None:
    client, server = request_under_way(flow)
    found = _ID.match(line_of(flow, client))
    assert found
    for line in (f"show sess {found[1]}", "show sess all"):
        text = ask(flow, line)
        source = f"source={name_of(client)}"
        assert re.search(rf"0x[0-9a-f]+: \[\d\d/\w+/\d{{4}}:\d\d:\d\d:\d\d\.\d{{6}}\] id=\d+ proto=tcpv4 {source}\n", text), text
        assert re.search(r"\n  frontend=web \(.*mode=http\), listener=.* addr=127\.0\.0\.1:\d+\n", text), text
        assert re.search(r"\n  backend=web \(.*mode=http\) addr=127\.0\.0\.1:\d+\n  server=s .*addr=127\.0\.0\.1:\d+\n", text), text
    assert ask(flow, "show sess 0x1") == "Session not found.\n\n"
    client.close()
    server.close()


def test_a_request_under_way_is_ended(flow: Flow) -> None:
    client, server = request_under_way(flow)
    found = _ID.match(line_of(flow, client))
    assert found
    assert ask(flow, f"shutdown session {found[1]}").strip() == ""
    assert client.receive_until(b"\r\n").startswith(b"HTTP/1.1 502 ")
    assert server.ends() in ("eof", "reset")
    flow.log.expect(r"web/s .* 502 .* K")
    client.close()
    server.close()


def test_tunnel_is_ended_in_the_middle(flow: Flow) -> None:
    client, server = tunnel(flow)
    found = _ID.match(line_of(flow, client))
    assert found
    ask(flow, f"shutdown session {found[1]}")
    assert client.ends() in ("eof", "reset") and server.ends() in ("eof", "reset")
    flow.log.expect(r"raw/t .* K")
    client.close()
    server.close()


def test_all_sessions_of_one_server_are_ended_and_no_others(flow: Flow) -> None:
    tunnels = [tunnel(flow) for _ in range(4)]
    client, server = request_under_way(flow)
    assert ask(flow, "shutdown sessions server raw/t").strip() == ""
    for through, behind in tunnels:
        assert through.ends() in ("eof", "reset") and behind.ends() in ("eof", "reset")
        through.close()
        behind.close()
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert client.receive_until(b"ok").endswith(b"ok")
    client.close()
    server.close()


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("shutdown session", "Session pointer expected (use 'show sess')."),
        ("shutdown session 0x1", "No such session (use 'show sess')."),
        ("shutdown sessions server", "Require 'backend/server'."),
        ("shutdown sessions server web/nobody", "No such server."),
    ],
)
def test_mistakes_are_answered_in_the_same_words(flow: Flow, line: str, answer: str) -> None:
    assert ask(flow, line) == answer + "\n\n"


# --- what only Usher tells ----------------------------------------------------------------------------------------------

ours = pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own fields")


@pytest.fixture
def usher(tmp_path: Path) -> Iterator[Flow]:
    with Flow(tmp_path, (USHER, _CONFIGURATION)) as flow:
        yield flow


def field(line: str, name: str) -> str:
    found = re.search(rf" {name}=(\S+)", line)
    assert found, line
    return found[1]


@ours
def test_phase_timer_and_bytes_follow_the_session(usher: Flow) -> None:
    client = usher.connect("web")
    client.send(b"GET / HTTP/1.1\r\n")
    eventually(lambda: field(line_of(usher, client), "bytes") == "16/0", "what the client has sent so far")
    line = line_of(usher, client)
    assert (field(line, "phase"), field(line, "timer")) == ("head", "client")
    client.send(b"Host: a\r\n\r\n")
    server = usher.server("web").accept()
    server.receive_until(b"\r\n\r\n")
    line = line_of(usher, client)
    assert (field(line, "phase"), field(line, "timer")) == ("response-headers", "server")
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    client.receive_until(b"12345")
    line = line_of(usher, client)
    assert (field(line, "phase"), field(line, "timer")) == ("data", "server")
    server.send(b"67890")
    client.receive_until(b"67890")
    eventually(lambda: field(line_of(usher, client), "phase") == "keep-alive", "the next request is waited for")
    line = line_of(usher, client)
    assert field(line, "timer") == "http-keep-alive" and field(line, "exp") in ("24s", "25s")
    through, behind = tunnel(usher)
    line = line_of(usher, through)
    assert (field(line, "phase"), field(line, "timer"), field(line, "ls")) == ("tunnel", "client", "rawbind")
    for peer in (client, server, through, behind):
        peer.close()


@ours
def test_sessions_that_ended_can_be_looked_at_for_a_while(usher: Flow) -> None:
    client, server = tunnel(usher)
    name = f"src={name_of(client)} "
    client.reset()

    def found() -> list[str]:
        return [line for line in ask(usher, "show sess closed").splitlines() if name in line]

    eventually(lambda: len(found()) == 1, "it is among the closed")
    line = found()[0]
    assert (field(line, "term"), field(line, "reason"), field(line, "srv")) == ("CD", "client_gone", "t")
    server.close()
