from __future__ import annotations

import pytest

from common import model
from common.model import Address, AddressKind, Bind, Place
from common.observe.misdirected import AGAIN_S, PEERS_MAX, Expected, Memory, explain, kind_behind
from common.wire.first_bytes import HTTP2_PREFACE, Kind
from common.wire.proxy_v2 import V2_SIGNATURE


def bind(*, accept_proxy: bool = False, tls: bool = False) -> Bind:
    return Bind(Place(), Address(AddressKind.INET), accept_proxy=accept_proxy, tls=model.Tls() if tls else None)


PLAIN, SECURE, INTRODUCED = bind(), bind(tls=True), bind(accept_proxy=True)


@pytest.mark.parametrize(
    ("kind", "expected", "on", "says"),
    [
        (Kind.TLS, Expected.HTTP, PLAIN, "add ssl crt FILE to the line"),
        (Kind.TLS, Expected.HTTP, SECURE, "inside of TLS"),
        (Kind.HTTP2, Expected.HTTP, PLAIN, "HTTP/2 without negotiation"),
        (Kind.PROXY_V1, Expected.HTTP, PLAIN, "add accept-proxy"),
        (Kind.PROXY_V2, Expected.HTTP, PLAIN, "add accept-proxy"),
        (Kind.PROXY_V1, Expected.HTTP, INTRODUCED, "two PROXY headers"),
        (Kind.SSH, Expected.HTTP, PLAIN, "SSH client has the wrong port"),
        (Kind.SSLV2, Expected.HTTP, PLAIN, "SSL 2.0"),
        (Kind.HTTP1, Expected.TLS, SECURE, "use https://"),
        (Kind.HTTP2, Expected.TLS, SECURE, "HTTP/2 without TLS"),
        (Kind.PROXY_V1, Expected.TLS, SECURE, "add accept-proxy"),
        (Kind.PROXY_V2, Expected.TLS, bind(accept_proxy=True, tls=True), "two PROXY headers"),
        (Kind.SSH, Expected.TLS, SECURE, "SSH client has the wrong port"),
        (Kind.SSLV2, Expected.TLS, SECURE, "too old"),
        (Kind.TEXT, Expected.TLS, SECURE, "does not speak TLS"),
        (Kind.HTTP1, Expected.PROXY, INTRODUCED, "an HTTP/1 request came at once: add send-proxy"),
        (Kind.TLS, Expected.PROXY, INTRODUCED, "a TLS handshake came at once: add send-proxy"),
        (Kind.PROXY_V2, Expected.PROXY, INTRODUCED, "breaks the protocol"),
        (Kind.UNKNOWN, Expected.PROXY, INTRODUCED, "no PROXY header came"),
        (Kind.HTTP1, Expected.HTTP, PLAIN, ""),
        (Kind.UNKNOWN, Expected.HTTP, PLAIN, ""),
        (Kind.TLS, Expected.TLS, SECURE, ""),
    ],
)
def test_each_mistake_has_its_sentence(kind: Kind, expected: Expected, on: Bind, says: str) -> None:
    said = explain(kind, expected, on)
    assert says in said and bool(says) is bool(said)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", Kind.PROXY_V1),
        (V2_SIGNATURE + b"\x21\x11\x00\x0c", Kind.PROXY_V2),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Kind.SSH),
        (b"SSH-1.99-x\r\n", Kind.SSH),
        (HTTP2_PREFACE, Kind.HTTP2),
        (b"\x00" * 40, Kind.UNKNOWN),
        (b"hello there, how are you\r\n", Kind.UNKNOWN),
        (b"hello", Kind.UNKNOWN),
    ],
)
def test_what_openssl_has_taken_is_known_by_what_follows(sent: bytes, kind: Kind) -> None:
    assert kind_behind(sent[5:], False) is kind
    assert kind_behind(sent[5:], True) is Kind.HTTP1


def test_one_line_per_peer_listener_and_kind_within_a_minute() -> None:
    memory = Memory()
    assert memory.is_news(b"a", 1, "tls", 0.0)
    assert not memory.is_news(b"a", 1, "tls", AGAIN_S - 1)
    assert memory.is_news(b"b", 1, "tls", 1.0) and memory.is_news(b"a", 2, "tls", 1.0) and memory.is_news(b"a", 1, "ssh", 1.0)
    assert memory.is_news(b"a", 1, "tls", AGAIN_S)


def test_memory_is_bounded() -> None:
    memory = Memory()
    for number in range(PEERS_MAX + 10):
        assert memory.is_news(number.to_bytes(4, "big"), 0, "tls", 0.0)
    assert memory.is_news((0).to_bytes(4, "big"), 0, "tls", 1.0), "the oldest is forgotten"
    assert not memory.is_news((PEERS_MAX).to_bytes(4, "big"), 0, "tls", 1.0)
