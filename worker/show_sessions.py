"""`show sess`, `shutdown session` and `shutdown sessions server` in a worker.

Nothing of this is kept while nobody asks: what a session does is read off it, and the bytes of its connection are the kernel's.

Source: HAProxy management guide 9.3.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

from common.model import Bind
from common.net.stream import Stream
from common.observe import sessions
from common.observe.sessions import Closed, Row, Timer, make_id
from common.process.commands import Asked
from common.wire.address_text import inet6_text, inet_text
from worker.commands import COMMANDS
from worker.steps import Step
from worker.tls import TlsStream
from worker.world import World

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.session import Session

_BYTES_ACKED, _BYTES_RECEIVED, _TCP_INFO_BYTES = 120, 128, 136  # struct tcp_info (linux/tcp.h)
REQUEST_BYTES_MAX = 100  # of a request's first line


@COMMANDS.answers("show sess")
def show_sess(asked: Asked[World]) -> str:
    world = asked.world
    now = time.monotonic()
    return sessions.show(_rows(world, now), _closed(world, now), asked.words[2:])


@COMMANDS.answers("shutdown session")
def shutdown_session(asked: Asked[World]) -> str:
    if not asked.word(2):
        return sessions.SESSION_EXPECTED
    wanted = sessions.parse_id(asked.word(2))
    world = asked.world
    for session in list(world.sessions):
        if make_id(world.process_id, session.id) == wanted and session.strand is not None:
            _end(session)
            return ""
    return sessions.NO_SUCH_SESSION


@COMMANDS.answers("shutdown sessions server")
def shutdown_sessions_server(asked: Asked[World]) -> str:
    backend, slash, name = asked.word(3).partition("/")
    if not slash:
        return sessions.SERVER_EXPECTED
    found = asked.world.backends.get(backend)
    server = next((one for one in found.servers if one.model.name == name), None) if found is not None else None
    if server is None:
        return sessions.NO_SUCH_SERVER
    for session in list(asked.world.sessions):
        exchange = session.exchange
        if exchange is not None and exchange.connection is not None and exchange.connection.server is server:
            _end(session)
    return ""


def _end(session: Session) -> None:
    """Now, whatever it does. An exchange still answers, where nothing of a response has left."""
    assert session.strand is not None
    session.stop_after = True
    session.world.pump.end(session.strand)


def _rows(world: World, now: float) -> Iterator[Row]:
    for session in list(world.sessions):
        yield row_of(session, now)


def _closed(world: World, now: float) -> Iterator[Closed]:
    for one in world.recent:
        row = Row(
            id=make_id(world.process_id, one.number),
            process=f"worker{world.number}",
            protocol=_protocol(one.source),
            source=_address(one.source, one.source_port, world.process_id),
            frontend=one.frontend,
            listener=listener_name(one.bind),
            phase=one.phase,
            age_s=one.age_s,
            requests=one.requests,
            backend=one.backend,
            server=one.server,
            bytes_in=one.bytes_in,
            bytes_out=one.bytes_out,
        )
        yield Closed(now - one.at, row, one.termination.decode(), one.slug)


def row_of(session: Session, now: float) -> Row:
    world, exchange, stream, pid = session.world, session.exchange, session.stream, session.world.process_id
    if exchange is not None and session.phase not in ("exchange", "tunnel"):
        exchange = None  # the last one is over
    connection = exchange.connection if exchange is not None else None
    server = connection.server if connection is not None else exchange.leased if exchange is not None else None
    head = exchange.head if exchange is not None else None
    bytes_in, bytes_out = _bytes(stream, exchange)
    return Row(
        id=make_id(pid, session.id),
        process=f"worker{world.number}",
        protocol=_protocol(session.src),
        source=_address(session.src, session.src_port, pid),
        frontend=session.proxy.name,
        listener=listener_name(session.bind),
        phase=_phase(session),
        age_s=now - session.accepted_at,
        accepted=sessions.date(datetime.fromtimestamp(world.wall(session.accepted_at))),
        number=session.id,
        mode=session.proxy.model.mode,
        destination=_address(session.dst, session.dst_port, pid),
        backend=exchange.routed.name if exchange is not None and exchange.routed is not None else "",
        server=server.model.name if server is not None else "",
        server_address=str(server.model.address) if server is not None else "",
        server_source=_own_address(connection.stream) if connection is not None else "",
        requests=session.requests,
        retries=exchange.retries if exchange is not None else 0,
        timer=timer_of(session, now),
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        client_fd=stream.fd,
        server_fd=connection.stream.fd if connection is not None else -1,
        request=(head.method + b" " + head.target)[:REQUEST_BYTES_MAX].decode("latin-1") if head is not None else "",
        tls=_tls(stream),
        queued_s=_queued_s(exchange, now),
    )


def _queued_s(exchange: Exchange | None, now: float) -> float:
    if exchange is None or exchange.step is not Step.QUEUE or exchange.waiting_since is None:
        return 0.0
    return now - exchange.waiting_since


def _phase(session: Session) -> str:
    """Where it is: before requests the session's own word, then the exchange's."""
    exchange = session.exchange
    if session.phase == "request":
        return "request" if not session.requests else "keep-alive"
    if session.phase == "exchange" and exchange is not None:
        return exchange.step.value
    return session.phase


def timer_of(session: Session, now: float) -> Timer:
    """Which timer ends the session's wait, and when."""
    strand = session.strand
    if strand is None or strand.deadline == inf:
        return "", inf
    if session.phase == "tunnel" and session.exchange is not None:
        return _tunnel_timer(session, session.exchange, now)
    return _timer_name(session), strand.deadline - now


def _timer_name(session: Session) -> str:
    timeouts, exchange = session.proxy.model.timeouts, session.exchange
    if session.phase in ("accept", "proxy header", "handshake"):
        return "client-hs" if timeouts.client_hs else "http-request" if timeouts.http_request else "client"
    if session.phase == "request":
        if session.requests and timeouts.http_keep_alive:
            return "http-keep-alive"
        return "http-request" if timeouts.http_request else "client"
    if session.phase == "head":
        return "http-request" if timeouts.http_request else "client"
    if exchange is None:
        return "client"
    if exchange.step in _STEP_TIMERS:
        return _STEP_TIMERS[exchange.step]
    connection = exchange.connection
    if connection is not None and session.strand in (connection.stream.reader, connection.stream.writer):
        return "server"
    return "http-request" if exchange.step is Step.REQUEST and timeouts.http_request else "client"


_STEP_TIMERS = {Step.QUEUE: "queue", Step.CONNECT: "connect", Step.TARPIT: "tarpit", Step.HEADERS: "server"}


def _tunnel_timer(session: Session, exchange: Exchange, now: float) -> Timer:
    """Of the two sides of a tunnel: how long both may be silent, or, when one has ended, the other one."""
    backend, flows = exchange.routed, exchange.flows
    if backend is None or flows is None:
        return "", inf
    up, down = flows
    left_s = up.expires_at - now
    if up.done != down.done:
        side = "server" if up.done else "client"
        has_fin = backend.server_fin_s if up.done else session.proxy.client_fin_s
        return f"{side}-fin" if has_fin else side, left_s
    if exchange.timeout("tunnel"):
        return "tunnel", left_s
    return "client" if exchange.client_s <= (exchange.timeout("server") or backend.server_s) else "server", left_s


def listener_name(bind: Bind) -> str:
    return bind.name or str(bind.address)


def _protocol(address: bytes) -> str:
    return {4: "tcpv4", 16: "tcpv6"}.get(len(address), "unix_stream")


def _address(address: bytes, port: int, pid: int) -> str:
    if not address:
        return f"unix:{pid}"
    return f"{inet_text(address) if len(address) == 4 else inet6_text(address)}:{port}"


def _own_address(stream: Stream) -> str:
    """Where our connection to a server comes from."""
    try:
        name = stream.sock.getsockname()
    except OSError:
        return ""
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) else "unix"


def _bytes(stream: Stream, exchange: Exchange | None) -> tuple[int, int]:
    """(received from the client, acknowledged by him) since he came; of clients without TCP what the exchange has moved so far."""
    if stream.sock.family != socket.AF_UNIX:
        try:
            info = stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:
            info = b""
        if len(info) == _TCP_INFO_BYTES:
            acked, received = info[_BYTES_ACKED:_BYTES_RECEIVED], info[_BYTES_RECEIVED:_TCP_INFO_BYTES]
            return int.from_bytes(received, "little"), int.from_bytes(acked, "little")
    if exchange is None:
        return 0, 0
    if exchange.flows is not None:
        return exchange.flows[0].moved, exchange.flows[1].moved
    return exchange.bytes_in, exchange.bytes_out


def _tls(stream: Stream) -> str:
    if not isinstance(stream, TlsStream) or not stream.handshake_done:
        return ""
    return f"{stream.connection.get_protocol_version_name()} {stream.connection.get_cipher_name()}"
