"""Clients that speak something else than their listener: one line in the log that says who is misconfigured, and an answer that helps.

Nothing here runs for a connection that is as it should be.
Source: common/observe/misdirected.py.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from common.net.stream import Stream
from common.observe.misdirected import Expected, explain, kind_behind
from common.wire.address_text import inet6_text, inet_text
from common.wire.first_bytes import LOOKED_AT_BYTES, Kind, first_bytes
from worker.linger import linger

if TYPE_CHECKING:
    from worker.session import Session

_TEXT = b"This port speaks TLS, and the request came in plain HTTP. Use https:// with the same address.\n"
_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-length: %d\r\ncontent-type: text/plain\r\ncache-control: no-cache\r\nconnection: close\r\n\r\n"
    % len(_TEXT)
) + _TEXT


def instead_of_header(session: Session) -> None:
    """The PROXY header did not come, or is broken; all bytes are still in the socket."""
    _tell(session, _kind(_peeked(session.stream)), Expected.PROXY)


async def instead_of_tls(session: Session, slug: str) -> None:
    """OpenSSL found no TLS: it has taken five bytes. Plain HTTP is answered in plain HTTP. Raises OSError."""
    rest = _peeked(session.stream)
    is_http = slug == "tls_http_request"
    _tell(session, kind_behind(rest, is_http), Expected.TLS)
    if is_http:
        shared = session.stream.shared
        session.stream = plain = Stream(session.stream.pump, session.stream.detach(), shared=shared)
        plain.send_now(_ANSWER)
        await linger(plain)


def instead_of_http(session: Session, received: bytes) -> None:
    if received:
        _tell(session, _kind(received), Expected.HTTP)


def _kind(data: bytes) -> Kind:
    return first_bytes(data) if data else Kind.NEED_MORE


def _peeked(stream: Stream) -> bytes:
    try:
        return stream.sock.recv(LOOKED_AT_BYTES, socket.MSG_PEEK)
    except OSError:
        return b""


def _tell(session: Session, kind: Kind, expected: Expected) -> None:
    bind, world = session.bind, session.world
    why = explain(kind, expected, bind)
    if why and world.misdirected.is_news(session.fc_src, bind.id, why, world.pump.now):
        place = bind.place
        peer = session.fc_src
        who = (inet_text(peer) if len(peer) == 4 else inet6_text(peer)) if peer else "a local client"
        session.proxy.log.notice(f"{who} to {session.proxy.name} ({bind.address}, {place.file}:{place.line}): {why}")
