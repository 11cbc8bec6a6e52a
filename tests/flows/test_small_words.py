"""Words of the manual that change one thing each: the server's name and the spelling of fields in heads, servers that redirect,
probes, where connections come from."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.programs import USHER
from tests.flows.scenarios import Scenario, sections

SPELLING = """
    h1-case-adjust x-foo X-FOO
    h1-case-adjust host HoSt
    h1-case-adjust content-length Content-LENGTH
    h1-case-adjust connection ConnectioN
    h1-case-adjust location LOCATION
    h1-case-adjust cache-control Cache-CONTROL
"""

SCENARIOS = [
    Scenario(
        "server_is_told_its_name",
        """
        client << GET / HTTP/1.1|Host: a|X-Server: forged|x-SERVER: twice|Accept: x||
        server >> GET / HTTP/1.1|Host: a|Accept: x|X-Server: s||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        lines="http-send-name-header X-Server",
    ),
    Scenario(
        "name_is_that_of_the_server_that_is_asked_after_all",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a|X-Server: two||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        lines="http-send-name-header X-Server\n    balance first\n    retries 1\n    option redispatch 1",
        servers="server one <refused:gone>\n    server two <server:server>",
    ),
    Scenario(
        "fields_to_servers_are_spelled_as_they_insist",
        """
        client << GET / HTTP/1.1|host: a|X-foo: 1|x-FOO: 2||
        server >> bytes GET / HTTP/1.1\\r\\nHoSt: a\\r\\nX-FOO: 1\\r\\nX-FOO: 2\\r\\n\\r\\n
        server << HTTP/1.1 200 OK|content-length: 0|x-foo: 3||
        client >> HTTP/1.1 200 OK|content-length: 0|x-foo: 3||
        """,
        lines="option h1-case-adjust-bogus-server",
    ),
    Scenario(
        "fields_to_clients_are_spelled_as_they_insist",
        """
        client << GET / HTTP/1.1|Host: a|Connection: close||
        server >> GET / HTTP/1.1|Host: a|...||
        server << HTTP/1.1 200 OK|content-length: 6|x-foo: 3||x-foo:
        client >> bytes HTTP/1.1 200 OK\\r\\nContent-LENGTH: 6\\r\\nX-FOO: 3\\r\\nConnectioN: close\\r\\n\\r\\nx-foo:
        client >> eof
        """,
        lines="option h1-case-adjust-bogus-client",
    ),
    Scenario(
        "bodies_that_come_later_are_not_respelled",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|content-length: 14||
        wait 0.05
        server << \\r\\nx-foo: abcd\\n
        client >> bytes HTTP/1.1 200 OK\\r\\nContent-LENGTH: 14\\r\\n\\r\\n\\r\\nx-foo: abcd\\n
        """,
        lines="option h1-case-adjust-bogus-client",
    ),
    Scenario(
        "own_answers_are_spelled_so_too",
        """
        client << GET / HTTP/1.1|Host: a||
        client >> ~HTTP/1.1 302 Found|Location: /x|Content-Length: 0|Cache-Control: no-cache||
        """,
        lines="option h1-case-adjust-bogus-client\n    http-request redirect location /x",
    ),
    Scenario(
        "readers_are_sent_to_the_server_itself",
        """
        client << GET http://a/x/y?z HTTP/1.1|Host: a||
        client >> HTTP/1.1 302 Found|Cache-Control: no-cache|Content-Length: 0|Location: http://img.example.org/x/y?z|Connection: close||
        client >> eof
        client2 << POST /x HTTP/1.1|Host: a|Content-Length: 1||x
        server >> POST /x HTTP/1.1|Host: a|Content-Length: 1||x
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client2 >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        servers="server s <server:server> redir http://img.example.org",
    ),
    Scenario(
        "only_the_server_that_redirects_does",
        """
        client << GET /x HTTP/1.1|Host: a|Cookie: S=here||
        server >> GET /x HTTP/1.1|Host: a|...||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        client2 << HEAD /x HTTP/1.1|Host: a|Cookie: S=there||
        client2 >> bytes HTTP/1.1 302 Found\\r\\n
        client2 << close
        """,
        lines="cookie S",
        servers="server one <server:server> cookie here\n    server two <refused:gone> cookie there redir http://img.example.org",
    ),
    Scenario(
        "a_probe_that_says_nothing_is_answered_with_nothing",
        """
        client << connect
        client >> eof
        client2 << half-close
        client2 >> eof
        """,
        lines="option http-ignore-probes\n    timeout http-request 200ms",
    ),
    Scenario(
        "who_has_begun_to_ask_is_no_probe",
        """
        client << GET
        client >> HTTP/1.1 408 Request Time-out|...||~.*
        client >> eof
        """,
        lines="option http-ignore-probes\n    timeout http-request 200ms",
    ),
]


PRIVILEGED = """
global
    {more}
defaults
    timeout client 3s
    timeout server 3s
    timeout connect 1s
listen web
    bind <listen:client>{bind}
    mode http
    http-request return status 200
"""


@pytest.mark.parametrize("bind", ["", " process 1"], ids=["dispatched", "own_listener"])
def test_clients_from_privileged_ports_are_closed_if_wanted(tmp_path: Path, bind: str) -> None:
    text = PRIVILEGED.format(more="harden.reject-privileged-ports.tcp on", bind=bind)
    with Flow(tmp_path, (USHER, text)) as flow:
        with contextlib.ExitStack() as held:
            sock = held.enter_context(socket.socket())
            for port in range(1023, 512, -1):
                try:
                    sock.bind(("127.0.0.1", port))
                    break
                except PermissionError:
                    pytest.skip("only root may use such a port")
                except OSError:
                    continue
            sock.settimeout(5)
            sock.connect(("127.0.0.1", flow.port("client")))
            with contextlib.suppress(ConnectionResetError, BrokenPipeError):
                sock.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert sock.recv(100) == b""
        flow.play("client << GET / HTTP/1.1|Host: a||\nclient >> HTTP/1.1 200 OK|...||")


def configuration(program: str) -> str:
    return defaults(global_lines=one_worker(program) + SPELLING) + sections(SCENARIOS, program)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)
