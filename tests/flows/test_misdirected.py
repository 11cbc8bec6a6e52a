"""Connections that two configurations do not agree on: one log line says who is to be mended, and the client hears what can be told it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.programs import USHER

_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(32)) + b"\x00" + bytes(160)
_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
_TEXT = """
listen plain
    bind <listen:plain>
    http-request return status 200
listen secure
    bind <listen:secure> ssl crt <file:localhost.pem>
    http-request return status 200
listen introduced
    bind <listen:introduced> accept-proxy
    http-request return status 200
listen introduced_secure
    bind <listen:introduced_secure> accept-proxy ssl crt <file:localhost.pem>
    http-request return status 200
"""
CASES = [
    ("plain", _HELLO, "TLS came to a plain port: add ssl crt FILE"),
    ("plain", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + _GET, "a PROXY header came that nobody expects: add accept-proxy"),
    ("plain", _V2 + _GET, "a PROXY header came that nobody expects: add accept-proxy"),
    ("plain", _PREFACE, "HTTP/2 without negotiation came"),
    ("plain", b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH client has the wrong port"),
    ("secure", _GET, "plain HTTP came to a TLS port: let the client use https://"),
    ("secure", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + _HELLO, "a PROXY header came that nobody expects: add accept-proxy"),
    ("secure", _V2 + _HELLO, "a PROXY header came that nobody expects: add accept-proxy"),
    ("secure", _PREFACE, "HTTP/2 without TLS came to a TLS port"),
    ("secure", b"SSH-2.0-OpenSSH_9.2\r\n", "an SSH client has the wrong port"),
    ("introduced", _GET, "accept-proxy is on the line and an HTTP/1 request came at once: add send-proxy"),
    ("introduced", _HELLO, "accept-proxy is on the line and a TLS handshake came at once: add send-proxy"),
    ("introduced", b"PROXY NONSENSE\r\n" + _GET, "a PROXY header of version 1 came that breaks the protocol"),
    ("introduced", _V2[:12] + b"\x31\x11\x00\x0c" + bytes(12), "a PROXY header of version 2 came that breaks the protocol"),
    ("introduced", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" * 2 + _GET, "two PROXY headers came"),
    ("introduced_secure", _HELLO, "accept-proxy is on the line and a TLS handshake came at once: add send-proxy"),
    ("introduced_secure", _V2 + _V2 + _HELLO, "two PROXY headers came"),
    ("introduced_secure", _V2 + _GET, "plain HTTP came to a TLS port"),
]


@pytest.fixture
def flow(tmp_path: Path) -> Iterator[Flow]:
    certificates.put_into(tmp_path)
    with Flow(tmp_path, (USHER, defaults(global_lines="workers 1", default_lines="timeout http-request 2s") + _TEXT)) as started:
        yield started


def test_each_mistake_is_told_once_with_line_and_cure(flow: Flow) -> None:
    """Once per peer, listener and kind: they all come from one address here, so each listener tells of each kind."""
    told = set()
    for listen, sent, says in CASES:
        client = flow.connect(listen)
        client.send(sent)
        client.half_close()
        client.receive_to_end()
        client.close()
        if (listen, says) not in told:
            told.add((listen, says))
            line = flow.log.expect(rf"^127\.0\.0\.1 to {listen} \(.*{re.escape(says)}")
            assert re.search(r"usher-0\.cfg:[0-9]+\)", str(line))


def test_http_on_a_tls_port_is_answered_in_http(flow: Flow) -> None:
    client = flow.connect("secure")
    client.send(_GET)
    answer = client.receive_to_end()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n") and b"Use https://" in answer
    client.close()
    peer = flow.connect_tls("secure", certificates.client_context(flow.folder))
    peer.send(_GET)
    assert peer.receive_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    peer.close()


def test_a_stubborn_peer_does_not_fill_the_log(flow: Flow) -> None:
    for _ in range(20):
        client = flow.connect("secure")
        client.send(_GET)
        client.receive_to_end()
        client.close()
    flow.log.expect("127.0.0.1 to secure .*plain HTTP came to a TLS port")
    with pytest.raises(AssertionError):
        flow.log.expect("127.0.0.1 to secure .*plain HTTP came to a TLS port", deadline_s=0.3)
