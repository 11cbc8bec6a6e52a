"""What HAProxy 2.6 has not: expressions of its later versions, in the running program. And what strangers send, through every edit.

Each line of language/newer.txt is `expression => value`, from the manual of those versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow, defaults
from tests.flows.messages import parse_head
from tests.flows.programs import PROGRAMS, USHER

pytestmark = pytest.mark.skipif("usher" not in PROGRAMS, reason="about Usher")

CASES = [
    tuple(part.strip() for part in line.split("=>", 1))
    for line in (Path(__file__).parent / "language" / "newer.txt").read_text().splitlines()
]
_CONFIG = (
    defaults(global_lines="set-var proc.p str(process)\n    tune.http.maxhdr 500")
    + """
listen web
    bind <listen:web> name socket
    timeout queue 2s
    timeout tarpit 4s
    timeout tunnel 9s
    retries 2
    acl is_get method GET
    acl is_post method POST
    http-request set-timeout connect 700ms
    http-request set-timeout queue int(650)
    http-request set-timeout server 5s
    http-request set-retries 1
    http-request set-var(txn.m) int(1)
PROBES
    server s <server:web>
listen hostile
    bind <listen:hostile>
    log-format "hostile %[var(txn.evil)] %[capture.req.hdr(0)] %hr %HU"
    http-request set-var(txn.evil) path,url_dec
    http-request capture var(txn.evil) len 60
    http-request set-header X-Set "%[var(txn.evil)]"
    http-request add-header X-Add "%[var(txn.evil)]"
    http-request set-header X-Old old
    http-request replace-header X-Old (.*) "%[var(txn.evil)]\\1"
    http-request replace-value X-Old (.*) "\\1%[var(txn.evil)]"
    http-request return status 200 content-type text/plain hdr X-Hdr "%[var(txn.evil)]" string "" if { hdr(x-how) return }
    http-request redirect location "/%[var(txn.evil)]" if { hdr(x-how) redirect }
    http-request redirect location /x set-cookie "A=1" if { hdr(x-how) cookie }
    http-request strict-mode off
    http-request set-method "%[var(txn.evil)]" if { hdr(x-how) method }
    http-request set-query "%[var(txn.evil)]"
    http-request set-path "/p%[var(txn.evil)]"
    http-request set-uri "%[var(txn.evil)]" if { hdr(x-how) uri }
    http-request replace-path (.*) "\\1%[var(txn.evil)]"
    http-response set-header X-Res "%[var(txn.evil)]"
    http-response set-status 200 reason OK
    http-after-response add-header X-After "%[var(txn.evil)]"
    server s <server:hostile>
"""
)


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("newer")
    (folder / "map").write_text("/path/to/file.html page\n/pa shorter\n")
    probes = "\n".join(f'    http-request set-header X-P{number} "[%[{text}]]"' for number, (text, _) in enumerate(CASES))
    with Flow(folder, (USHER, _CONFIG.replace("PROBES", probes))) as flow:
        yield flow


@pytest.fixture(scope="module")
def answers(flow: Flow) -> dict[str, str]:
    received, requests = ask(
        flow, "web", b"GET /path/to/file.html?q=1", b'Cookie: a=1; b=2\r\nForwarded: for="[2001:db8::1]:42";proto=https\r\n'
    )
    assert received.startswith(b"HTTP/1.1 204")
    return {name.lower(): value for name, value in parse_head(requests[0].partition(b"\r\n\r\n")[0])[1]}


@pytest.mark.parametrize("number", range(len(CASES)), ids=[text for text, _ in CASES])
def test_expressions_of_later_versions(answers: dict[str, str], number: int) -> None:
    assert answers[f"x-p{number}"] == f"[{CASES[number][1]}]"


@pytest.mark.parametrize("how", ["none", "return", "redirect", "cookie", "method", "uri"])
@pytest.mark.parametrize(
    "evil", ["%0d%0aX-Evil:%201", "%0aX-Evil:%201", "%0dX-Evil:1", "%00X-Evil:1", "%0d%0a%0d%0aX-Evil:1", "%0d%0a%20X-Evil:1"]
)
def test_nothing_that_a_client_sends_ends_a_line_of_a_head(flow: Flow, how: str, evil: str) -> None:
    received, requests = ask(flow, "hostile", f"GET /{evil}".encode(), f"X-How: {how}\r\n".encode())
    log = flow.log.expect("^hostile ").raw
    assert b"\0" not in received and not re.search(rb"[\r\n][ \t]*X-Evil", received)
    for request in requests:
        assert b"\0" not in request and not re.search(rb"[\r\n][ \t]*X-Evil", request)
        assert request.count(b"\r\n\r\n") == 1 and request.endswith(b"\r\n\r\n")
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", request)
    assert log.count("\n") <= 1 and "\r" not in log and "\0" not in log


def ask(flow: Flow, name: str, start: bytes, fields: bytes) -> tuple[bytes, list[bytes]]:
    """What the client and the server received."""
    server = AnsweringServer(flow.server(name), prepared=b"HTTP/1.1 204 No Content\r\n\r\n")
    client = flow.connect(name)
    try:
        client.send(start + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields + b"\r\n")
        return client.receive_to_end(), server.requests
    finally:
        client.close()
        server.stop()
