"""The fault matrix: every way a session can end has its termination code and its reason, in the log, in the counters and, if wanted,
in the answer (Proxy-Status, RFC 9209)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from common.observe.reasons import REASONS
from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.programs import PROGRAMS, USHER
from tests.flows.serving import ServingThread
from tests.flows.test_log_lines import get, serve

pytestmark = pytest.mark.skipif("usher" not in PROGRAMS, reason="reasons are Usher's own")

FORMAT = 'log-format "%f %ts %ST <%[usher_reason]> %HU"'
CONFIGURATION = defaults(global_lines="stats socket <unix:admin> level admin") + f"""
defaults
    mode http
    log global
    {FORMAT}
    error-log-format "%f %ts %ST <%[usher_reason]> -"
    timeout connect 1s
    timeout client 1s
    timeout server 400ms
    timeout http-request 300ms
    timeout queue 200ms
    timeout tarpit 50ms
    retries 0
    option proxy-status edge
listen web
    bind <listen:web>
    http-request deny if {{ path /deny }}
    http-request tarpit if {{ path /tarpit }}
    http-request return status 200 if {{ path /return }}
    http-request redirect location /x if {{ path /redirect }}
    http-request reject if {{ path /reject }}
    http-request silent-drop if {{ path /drop }}
    http-request auth realm x if {{ path /auth }}
    http-request wait-for-body time 100ms if {{ path /body }}
    http-request normalize-uri percent-decode-unreserved strict if {{ path_beg /norm }}
    http-response deny if {{ res.hdr(set-cookie) -m found }}
    tcp-request content reject if {{ path /content }}
    monitor-uri /monitor
    stats uri /statistics
    use_backend nowhere if {{ path /nowhere }}
    use_backend nobody if {{ path /nobody }}
    server s1 <server:app>
backend nowhere
    server s1 <refused:down>
backend nobody
    server s1 <server:app> disabled
listen tls
    bind <listen:tls> ssl crt <file:localhost.pem>
    server s1 <server:app>
listen introduced
    bind <listen:introduced> accept-proxy
    server s1 <server:app>
listen queue
    bind <listen:queue>
    server s1 <server:app> maxconn 1
defaults
    mode tcp
    log global
    log-format "%f %ts 0 <%[usher_reason]> -"
    timeout connect 1s
    timeout client 1s
    timeout server 400ms
    retries 0
listen rawdown
    bind <listen:rawdown>
    server s1 <refused:down>
"""

# name: (frontend, what is sent, (termination letters, status, reason))
MATRIX = {
    "deny": ("web", get("/deny"), ("PR", 403, "denied")),
    "tarpit": ("web", get("/tarpit"), ("PT", 500, "tarpitted")),
    "return": ("web", get("/return"), ("LR", 200, "returned")),
    "redirect": ("web", get("/redirect"), ("LR", 302, "redirected")),
    "reject": ("web", get("/reject"), ("PR", -1, "rejected")),
    "drop": ("web", get("/drop") + b"|reset", ("PR", -1, "silently_dropped")),
    "auth": ("web", get("/auth"), ("LR", 401, "auth_required")),
    "content": ("web", get("/content"), ("PR", -1, "content_rejected")),
    "normalize": ("web", get("/norm%zz"), ("PR", 400, "refused")),
    "statistics": ("web", get("/statistics;csv"), ("LR", 200, "statistics")),
    "response_deny": ("web", get("/cookie"), ("PH", 502, "response_denied")),
    "wait_body": ("web", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", ("cR", 408, "wait_body_timeout")),
    "refused": ("web", get("/nowhere"), ("SC", 503, "connect_refused")),
    "nobody": ("web", get("/nobody"), ("SC", 503, "no_server_available")),
    "slow": ("web", get("/slow"), ("sH", 504, "server_timeout")),
    "closes": ("web", get("/close"), ("SH", 502, "server_closed_unanswered")),
    "cut": ("web", get("/cut"), ("SD", 200, "server_closed_in_body")),
    "bad_response": ("web", get("/bad"), ("PH", 502, None)),
    "bad_request": ("web", b"garbage\r\n\r\n", ("PR", 400, None)),
    "half_a_head": ("web", b"GET /par|half", ("CR", 400, "client_closed_in_head")),
    "late_head": ("web", b"GET /par", ("cR", 408, "request_timeout")),
    "half_a_body": ("web", b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nhello|half", ("C?", 400, "client_closed_in_body")),
    "no_tls": ("tls", b"GET / HTTP/1.1\r\n\r\n", ("--", 0, "tls_http_request")),
    "no_handshake": ("tls", b"|half", ("--", 0, "tls_closed_in_handshake")),
    "late_handshake": ("tls", b"\x16", ("--", 0, "handshake_timeout")),
    "no_header": ("introduced", b"GET / HTTP/1.1\r\n\r\n", ("--", 0, None)),
    "closed_before_header": ("introduced", b"|half", ("--", 0, "proxy_header_missing")),
    "tcp_down": ("rawdown", b"x", ("SC", 0, "connect_refused")),
}


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("reasons")
    certificates.put_into(folder)
    with Flow(folder, (USHER, CONFIGURATION)) as flow:
        thread = ServingThread(flow.server("app"), serve)
        yield flow
        thread.stop()


def send(flow: Flow, place: str, data: bytes) -> bytes:
    client = flow.connect(place)
    data, _, end = data.partition(b"|") if data.endswith((b"|half", b"|reset")) else (data, b"", b"")
    client.send(data)
    if end == b"half":
        client.half_close()
    if end == b"reset":
        return b""
    return client.receive_to_end()


def counts(flow: Flow) -> dict[str, int]:
    """`show reasons`."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(flow.places.address("admin"))
        sock.sendall(b"show reasons\n")
        text = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    return {slug: int(count) for count, slug in (line.split() for line in text.splitlines()[1:] if line)}


@pytest.mark.parametrize("name", MATRIX)
def test_each_end_has_its_letters_and_its_reason(flow: Flow, name: str) -> None:
    place, data, (letters, status, slug) = MATRIX[name]
    for line in flow.log.seen(""):
        flow.log.lines.remove(line)
    answer = send(flow, place, data)
    text = flow.log.expect(f"^{place} ").text
    found = re.match(r"\w+ (\S\S) (-?\d+) <([^>]*)> ", text)
    assert found, text
    assert re.fullmatch(letters.replace("?", "."), found[1]), text
    assert int(found[2]) == status, text
    reason = REASONS[found[3]]
    assert slug is None or reason.slug == slug, text
    assert letters in ("--", "C?") or letters in reason.terminations, f"{reason.slug} does not say that it ends {letters}"
    said = re.search(rb"proxy-status: edge; error=([a-z_]+); details=\"([a-z0-9_]+)\"\r\n", answer)
    if place == "web" and answer and reason.proxy_status and not answer.startswith(b"HTTP/1.1 200"):
        assert said, answer
        assert (said[1].decode(), said[2].decode()) == (reason.proxy_status, reason.slug)
    else:
        assert said is None


def test_what_ended_is_counted_by_reason(flow: Flow) -> None:
    before = counts(flow).get("denied", 0)
    for _ in range(3):
        send(flow, "web", get("/deny"))
    assert counts(flow)["denied"] == before + 3
    assert "other" not in counts(flow)


def test_a_session_ended_by_an_operator_says_so(flow: Flow) -> None:
    client = flow.connect("web")
    client.send(get("/slow"))
    assert client.silent_for(0.1)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(20)
        sock.connect(flow.places.address("admin"))
        sock.sendall(b"shutdown sessions server web/s1\n")
        assert sock.recv(100) == b"\n"
    assert re.search(r"K. (-1|50.) <ended_by_operator> ", flow.log.expect("/slow").text)
    client.close()


def test_who_waits_in_vain_in_the_queue_has_a_reason(flow: Flow) -> None:
    first = flow.connect("queue")
    first.send(get("/slow"))
    assert first.silent_for(0.05)
    assert b"503" in send(flow, "queue", get("/waited"))
    assert "queue sQ 503 <queue_timeout> /waited" in flow.log.expect("/waited").text
    first.close()
