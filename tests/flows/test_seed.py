"""The file this project began with: a dispatcher in pure TCP, workers behind abstract sockets, TLS in the workers.

It is taken as it stands in Willy Tarreau's message, with what it elides filled in: timeouts, `ssl crt` on the worker
lines, a server. Only the abstract names and the port differ, so that test runs do not meet.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.flows import certificates
from tests.flows.harness import Flow
from tests.flows.nginx import Nginx
from tests.flows.programs import PROGRAMS, USHER

pytestmark = pytest.mark.skipif("usher" not in PROGRAMS, reason="HAProxy 2.5 and later have no processes")

_SEED = """
global
    log <log> local0

defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s

listen dispatcher
   mode tcp
   bind :<port:web> process 1
   balance leastconn
   server process2 abns@<abns:p2> SEND
   server process3 abns@<abns:p3> SEND
   server process4 abns@<abns:p4> SEND
   server process5 abns@<abns:p5> SEND

listen worker
   bind abns@<abns:p2> process 2 accept-proxy ssl crt <file:localhost.pem>
   bind abns@<abns:p3> process 3 accept-proxy ssl crt <file:localhost.pem>
   bind abns@<abns:p4> process 4 accept-proxy ssl crt <file:localhost.pem>
   bind abns@<abns:p5> process 5 accept-proxy ssl crt <file:localhost.pem>
   log global
   option httplog
   option forwardfor
   server nginx <refused:nginx>
"""


@pytest.fixture(scope="module", params=["send-proxy", "send-proxy-v2", "send-proxy-v2 pass-fd"])
def seed_flow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    need("nginx-light")
    need("curl")
    folder: Path = tmp_path_factory.mktemp("seed")
    certificates.put_into(folder)
    with Flow(folder, (USHER, _SEED.replace("SEND", request.param))) as flow:
        nginx = Nginx(folder, flow.places.refused_port("nginx"))
        yield flow
        nginx.stop()


def curl(flow: Flow, *paths: str) -> str:
    urls = [f"https://localhost:{flow.port('web')}{path}" for path in paths]
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "--cacert", str(flow.folder / "ca.pem"), *urls], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl_is_served_over_tls(seed_flow: Flow) -> None:
    assert curl(seed_flow, "/hello") == "hello\n"


def test_server_sees_the_client_address(seed_flow: Flow) -> None:
    assert curl(seed_flow, "/who") == "127.0.0.1\n"


def test_log_line_is_httplog_with_the_client_address(seed_flow: Flow) -> None:
    curl(seed_flow, "/hello?logged")
    line = seed_flow.log.expect("logged")
    assert re.fullmatch(
        r"127\.0\.0\.1:\d+ \[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d\.\d{3}\] worker~ worker/nginx "
        r"\d+/0/\d+/\d+/\d+ 200 \d+ - - ---- \d+/\d+/\d+/\d+/0 0/0 \"GET /hello\?logged HTTP/1\.1\"",
        line.text,
    )
    assert line.pid == seed_flow.instance.pid
    assert line.priority == 16 * 8 + 6


def test_all_four_workers_get_their_share(seed_flow: Flow) -> None:
    context = certificates.client_context(seed_flow.folder)
    clients = [seed_flow.connect_tls("web", context) for _ in range(8)]
    for client in clients:
        client.send(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 204")
    for client in clients:
        client.close()
