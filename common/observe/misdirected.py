"""First bytes that a listener does not speak: what came, which side is misconfigured, and where. Sans-io.

Nine of ten such connections are two configuration files that do not fit together, and neither side's log says so: one has "SSL handshake
failure", the other "400 Bad request". Here is the sentence for each pair, and the memory that keeps a scanner from filling the log.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from common import model
from common.wire.first_bytes import Kind

AGAIN_S: Final = 60.0
PEERS_MAX: Final = 1024
_BEHIND = (  # what follows "PROXY", the beginning of version 2's signature, "PRI *", "SSH-2": OpenSSL has taken these
    ((b" TCP4 ", b" TCP6 ", b" UNKNOWN"), Kind.PROXY_V1),
    (b"\r\nQUIT\n", Kind.PROXY_V2),
    (b" HTTP/2.0\r\n", Kind.HTTP2),
    ((b".0-", b".99-", b".5-"), Kind.SSH),
)
_PROXY = (Kind.PROXY_V1, Kind.PROXY_V2)


class Expected(Enum):
    """What the listener waited for. The value is how messages call it."""

    PROXY = "a PROXY header"
    TLS = "a TLS handshake"
    HTTP = "an HTTP/1 request"


def explain(kind: Kind, expected: Expected, bind: model.Bind) -> str:
    """Which side is to be mended and how; "" when the bytes are no sign of a misconfiguration."""
    if expected is Expected.PROXY:
        return _no_header(kind)
    if kind in _PROXY:
        if bind.accept_proxy:
            return "two PROXY headers came: let only one of the senders before it say send-proxy"
        return "a PROXY header came that nobody expects: add accept-proxy to the line, or take send-proxy from the sender"
    if kind is Kind.SSH:
        return "an SSH client has the wrong port, or the line wants mode tcp and a server that speaks SSH"
    if expected is Expected.TLS:
        return _not_tls(kind)
    return _not_http(kind, bind)


def _no_header(kind: Kind) -> str:
    if kind in _PROXY:
        return f"{kind.value} came that breaks the protocol: is the sender up to date, and nothing else between?"
    if kind in (Kind.UNKNOWN, Kind.NEED_MORE):
        return "accept-proxy is on the line and no PROXY header came: add send-proxy to the sender, or take accept-proxy from the line"
    return f"accept-proxy is on the line and {kind.value} came at once: add send-proxy to the sender, or take accept-proxy from the line"


def _not_tls(kind: Kind) -> str:
    if kind is Kind.HTTP1:
        return "plain HTTP came to a TLS port: let the client use https://, or take ssl from the line"
    if kind is Kind.HTTP2:
        return "HTTP/2 without TLS came to a TLS port: let the client use https:// and HTTP/1.1, or take ssl from the line"
    if kind is Kind.SSLV2:
        return "a hello of SSL 2.0 came: the client is too old to be served"
    return "a line of text came to a TLS port: this client does not speak TLS" if kind is Kind.TEXT else ""


def _not_http(kind: Kind, bind: model.Bind) -> str:
    if kind is Kind.TLS and bind.tls is not None:
        return "a second TLS handshake came inside of TLS: somebody in front says ssl for a client that speaks TLS itself"
    if kind is Kind.TLS:
        return "TLS came to a plain port: add ssl crt FILE to the line, or let the client use http://"
    if kind is Kind.HTTP2:
        return "HTTP/2 without negotiation came, which is not spoken here: let the client or the proxy before it use HTTP/1.1"
    return "a hello of SSL 2.0 came to a plain port" if kind is Kind.SSLV2 else ""


def kind_behind(rest: bytes, is_http: bool) -> Kind:
    """What first bytes were, of which OpenSSL has taken the first five. is_http: it said so itself."""
    if is_http:
        return Kind.HTTP1
    return next((kind for beginning, kind in _BEHIND if rest.startswith(beginning)), Kind.UNKNOWN)


class Memory:
    """Who was told of lately: one line per peer, listener and sentence within AGAIN_S, and never more than PEERS_MAX are remembered."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        self._told: dict[tuple[bytes, int, str], float] = {}

    def is_news(self, peer: bytes, bind: int, what: str, now: float) -> bool:
        key = (peer, bind, what)
        at = self._told.pop(key, None)
        if at is not None and now - at < AGAIN_S:
            self._told[key] = at
            return False
        if len(self._told) >= PEERS_MAX:
            del self._told[next(iter(self._told))]
        self._told[key] = now
        return True
