"""Traffic as a health check (`observe`), and what becomes of sessions when servers go and come: the same with both programs."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import PROGRAMS, USHER, Program
from tests.flows.serving import Serve, ServingThread, over_tls, web

# What the server does with a request, and what the log calls it.
KINDS = {
    "status": (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "Wrong http response"),
    "close": (b"", r"Close from server \(http\)"),
    "junk": (b"junk\r\n\r\n", r"Invalid http response \(headers\)"),
}
# on-error -> the check's status after so many errors
STEPS = {"fail-check": "2/3 UP", "sudden-death": "1/3 UP", "mark-down": "0/2 DOWN"}


def observed(name: str, server: str, layer: str, on_error: str, lines: str = "", inter: str = "2s") -> str:
    return f"""
listen {name}
    bind <listen:{name}>
    {lines}
    server s {server} check inter {inter} port <serverport:ok> observe {layer} error-limit 3 on-error {on_error}
"""


_CONFIGURATION = (
    defaults(default_lines="retries 0")
    + "".join(observed(f"seven_{kind}", f"<server:{kind}>", "layer7", "mark-down") for kind in KINDS)
    + observed("good", "<server:ok>", "layer7", "mark-down")
    + observed("four", "<refused:r>", "layer4", "mark-down")
    + "".join(observed(f"on_{word}", "<server:status>", "layer7", word, "option log-health-checks", "1s") for word in STEPS)
    + """
listen down
    bind <listen:down>
    server s <server:held> check inter 100ms fall 1 rise 1 port <serverport:switch> on-marked-down shutdown-sessions
listen up
    bind <listen:up>
    option log-health-checks
    server main <server:ok> check inter 100ms fall 1 rise 1 port <serverport:switch> on-marked-up shutdown-backup-sessions
    server spare <server:held> backup
"""
)


def answer_with(data: bytes) -> Serve:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)

    return serve


@pytest.fixture(scope="module")
def flow(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with Flow(tmp_path_factory.mktemp("flow"), (program, _CONFIGURATION)) as flow:
        servers = [ServingThread(flow.server(kind), answer_with(data)) for kind, (data, _) in KINDS.items()]
        servers.append(ServingThread(flow.server("ok"), web("ok")))
        yield flow
        for server in servers:
            server.stop()


def get(flow: Flow, listen: str) -> bytes:
    client = flow.connect(listen)
    client.send(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    status = client.receive_to_end().partition(b"\r\n")[0]
    client.close()
    return status


@pytest.mark.parametrize("kind", KINDS)
def test_bad_answers_mark_a_server_down(flow: Flow, kind: str) -> None:
    for _ in range(3):
        get(flow, f"seven_{kind}")
    line = flow.log.expect(f"^Server seven_{kind}/s is DOWN")
    said = f'reason: Health analyze, info: "Detected 3 consecutive errors, last one was: {KINDS[kind][1]}"'
    assert re.match(rf"Server seven_{kind}/s is DOWN, {said}\. 0 active and 0 backup servers left\.", line.text), line.text
    assert line.severity == 1
    assert flow.log.expect(f"^proxy seven_{kind} has no server available!$").severity == 0
    assert get(flow, f"seven_{kind}") == b"HTTP/1.1 503 Service Unavailable"


def test_connections_that_fail_mark_a_server_down(flow: Flow) -> None:
    for _ in range(3):
        get(flow, "four")
    line = flow.log.expect("^Server four/s is DOWN")
    assert 'info: "Detected 3 consecutive errors, last one was: L4 unsuccessful connection"' in line.text


def test_good_answers_change_nothing(flow: Flow) -> None:
    for _ in range(6):
        assert get(flow, "good") == b"HTTP/1.1 200 OK"
    assert not flow.log.seen("^Server good/s")


@pytest.mark.parametrize("word", STEPS)
def test_on_error_says_what_errors_come_to(flow: Flow, word: str) -> None:
    flow.log.expect(f"^Health check for server on_{word}/s succeeded")
    for _ in range(3):
        get(flow, f"on_{word}")
    line = flow.log.expect(f"^Health check for server on_{word}/s failed")
    info = 'reason: Health analyze, info: "Detected 3 consecutive errors, last one was: Wrong http response"'
    assert line.text == f"Health check for server on_{word}/s failed, {info}, status: {STEPS[word]}."


def test_sessions_end_with_the_server_that_goes_down_and_with_the_one_that_comes_back(flow: Flow) -> None:
    """`switch` is what both checks look at: while it is open `main` and `down/s` are up."""
    switch = flow.server("switch")
    address = switch.socket.getsockname()
    held = flow.connect("down")
    held.send(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
    server = flow.server("held").accept()
    server.receive_until(b"\r\n\r\n")
    switch.socket.close()
    flow.log.expect("^Server down/s is DOWN")
    assert held.receive_until(b"\r\n").startswith(b"HTTP/1.1 502 ")
    assert " DH-- " in flow.log.expect("/held ").text
    eventually(lambda: flow.log.seen("^Server up/main is DOWN"), "main is down")
    spare = flow.connect("up")
    spare.send(b"GET /spare HTTP/1.1\r\nHost: a\r\n\r\n")
    backup = flow.server("held").accept()
    backup.receive_until(b"\r\n\r\n")
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(64)
        flow.log.expect("^Server up/main is UP")
        assert spare.receive_until(b"\r\n").startswith(b"HTTP/1.1 502 ")
        assert " UH-- " in flow.log.expect("/spare ").text
    for peer in (held, server, spare, backup):
        peer.close()


_NAMED = (
    defaults(global_lines="tune.max-checks-per-thread 1" if "usher" in PROGRAMS else "")
    + """
backend auto
    option httpchk
    http-check send meth GET uri / ver HTTP/1.1 hdr Host www.a.example:443
    server s <server:auto> check inter 100ms ssl verify none
backend off
    option httpchk
    http-check send meth GET uri / ver HTTP/1.1 hdr Host www.a.example:443
    server s <server:off> check inter 100ms ssl verify none no-check-sni-auto
backend own
    option httpchk
    http-check send meth GET uri / ver HTTP/1.1 hdr Host www.a.example
    server s <server:own> check inter 100ms ssl verify none check-sni b.example
backend address
    option httpchk
    http-check send meth GET uri / ver HTTP/1.1 hdr Host 192.0.2.1
    server s <server:address> check inter 100ms ssl verify none
listen web
    bind <listen:web>
"""
)
NAMES = {"auto": "www.a.example", "off": None, "own": "b.example", "address": None}


@pytest.mark.skipif("usher" not in PROGRAMS, reason="HAProxy 2.6 sends only what check-sni says")
def test_checks_over_tls_send_the_name_that_they_ask_for(tmp_path: Path) -> None:
    certificates.put_into(tmp_path)
    with Flow(tmp_path, (USHER, _NAMED)) as flow:
        heard: dict[str, str | None] = {}
        threads = []
        for name in NAMES:
            context = certificates.server_context(certificates.made())
            context.sni_callback = lambda _sock, said, _context, name=name: heard.__setitem__(name, said)
            threads.append(ServingThread(flow.server(name), over_tls(context, web(name))))
        eventually(lambda: len(heard) == len(NAMES), "every server is checked", deadline_s=10)
        assert heard == NAMES
        for thread in threads:
            thread.stop()
