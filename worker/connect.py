"""A connection to a server: an idle one, or a new one after a place in the queue; the next candidate when it fails.

`lease` tries until it has a connection or the retries are used up. What it may do after a failed connect is HAProxy's rule: the
same server again after a pause of at most a second, or, on the last try or every Nth (`option redispatch`), another one at once.

Source: HAProxy manual 4.2 "retries", "option redispatch", "http-reuse", "timeout connect", "timeout queue"; 5.2 "maxconn".
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from common.net.dial import dial
from common.net.pump import DeadlinePassed, Pump
from common.net.stream import Stream
from common.wire import proxy_protocol
from common.wire.address_text import inet6_text, inet_text
from common.wire.proxy_header import Family, ProxyHeader
from worker.tls import TlsError

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.proxies import Backend
    from worker.server import Server

RETRY_PAUSE_S = 1.0  # before the same server is tried again (manual 4.2 "retries")


NOBODY: frozenset[int] = frozenset()


class ConnectFailed(Exception):
    """No connection to any server. termination, status and slug are what the exchange reports."""

    def __init__(self, termination: bytes, status: int, slug: str) -> None:
        super().__init__(slug)
        self.termination = termination
        self.status = status
        self.slug = slug


class ServerConnection:
    """One connection to a server. requests: how many it has carried. buffer: received and not yet part of any response."""

    __slots__ = ("buffer", "idle_since", "is_private", "requests", "server", "stream")

    def __init__(self, server: Server, stream: Stream) -> None:
        self.server = server
        self.stream = stream
        self.requests = 0
        self.is_private = False
        self.idle_since = 0.0
        self.buffer = b""

    def close(self) -> None:
        self.stream.close()


def lease_now(exchange: Exchange, backend: Backend, pump: Pump) -> ServerConnection | None:
    """An idle connection to the first choice, if it is to be had without waiting. None: `lease` goes on from here."""
    server = backend.choose(exchange, NOBODY)
    if server is None:
        raise ConnectFailed(b"SC", 503, "no_server_available")
    exchange.leased = server
    if not server.enter():
        return None
    exchange.queued_at = pump.now
    connection = server.take_idle(exchange)
    if connection is None:
        exchange.has_place = True
        return None
    exchange.connected_at = pump.now
    return connection


async def lease(exchange: Exchange, backend: Backend, pump: Pump) -> ServerConnection:
    """A connection to one of the backend's servers, which the caller gives back with `Server.release`.

    Goes on from what `lease_now` chose. Sets the server, queue and connect times, retries. Raises ConnectFailed.
    """
    server: Server | None = exchange.leased
    excluded: set[int] = set()
    while True:
        if server is None:
            server = backend.choose(exchange, excluded)
            if server is None:
                raise ConnectFailed(b"SC", 503, "no_server_available")
            exchange.leased = server
        if exchange.has_place:
            exchange.has_place = False
        else:
            if not server.enter():
                await _queue(exchange, backend, server, pump)
            exchange.queued_at = pump.now
            connection = server.take_idle(exchange)
            if connection is not None:
                exchange.connected_at = pump.now
                return connection
        try:
            connection = await _open(exchange, backend, server, pump)
            exchange.connected_at = pump.now
            return connection
        except DeadlinePassed:
            failure = ConnectFailed(b"sC", 503, "connect_timeout")
        except TlsError as error:
            failure = ConnectFailed(b"SC", 503, "server_" + error.slug)
        except OSError as error:
            failure = ConnectFailed(*_reason_of(error))
        except BaseException:
            server.leave()
            raise
        server.leave()
        server.count_failed_connect()
        if exchange.retries >= exchange.retries_max or "conn-failure" not in backend.retry_on:
            raise failure
        exchange.retries += 1
        if backend.redispatches(exchange.retries, exchange.retries_max):
            excluded.add(server.position)
            exchange.redispatched = True
            server.count_redispatch()
            server = None
        else:
            server.count_retry()
            if failure.termination == b"SC":
                await _pause(pump, min(RETRY_PAUSE_S, backend.connect_s))


async def _pause(pump: Pump, seconds: float) -> None:
    try:
        await pump.park(pump.now + seconds)
    except DeadlinePassed:
        pass


async def _queue(exchange: Exchange, backend: Backend, server: Server, pump: Pump) -> None:
    """Wait for a place at the server. Raises ConnectFailed."""
    if not server.may_queue():
        raise ConnectFailed(b"SQ", 503, "queue_full")
    strand = pump.current
    assert strand is not None and exchange.waiting_since is not None
    exchange.server_queue_position = server.queued
    ticket = server.queue_up(strand)
    gave_up = True
    try:
        while not ticket.admitted:
            await pump.park(exchange.waiting_since + backend.queue_s)
        gave_up = False
    except DeadlinePassed:
        raise ConnectFailed(b"sQ", 503, "queue_timeout") from None
    finally:
        server.leave_queue(ticket, gave_up=gave_up)


async def _open(exchange: Exchange, backend: Backend, server: Server, pump: Pump) -> ServerConnection:
    """Dial, PROXY header, TLS. Raises DeadlinePassed, OSError, TlsError."""
    deadline = pump.now + backend.connect_s
    family, address = server.endpoint(exchange)
    stream = await dial(pump, family, address, deadline, source=server.source)
    # Whatever comes now comes with an event.
    stream.drained = True
    try:
        if server.model.send_proxy:
            header = proxy_header_for(exchange)
            data = proxy_protocol.encode_v1(header) if server.model.send_proxy == 1 else proxy_protocol.encode_v2(header)
            await stream.send(data, deadline)
        if server.tls is not None:
            stream = await server.tls.connect(stream, server.server_name(exchange), deadline)
    except BaseException:
        stream.close()
        raise
    server.count_connect()
    connection = ServerConnection(server, stream)
    connection.is_private = bool(server.model.send_proxy)
    return connection


_OUT_OF_PORTS = {errno.EADDRNOTAVAIL, errno.EADDRINUSE}
_OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def _reason_of(error: OSError) -> tuple[bytes, int, str]:
    """(termination, status, slug): our own lack of ports or descriptors is not the server's fault."""
    if error.errno in _OUT_OF_PORTS:
        return b"RC", 503, "source_ports_exhausted"
    if error.errno in _OUT_OF_DESCRIPTORS:
        return b"RC", 503, "descriptors_exhausted"
    return b"SC", 503, "connect_refused" if error.errno == errno.ECONNREFUSED else "connect_failed"


def proxy_header_for(exchange: Exchange) -> ProxyHeader:
    """Who the client is, for a server that wants a PROXY header."""
    source, destination = exchange.src, exchange.dst
    if len(source) == len(destination) == 4:
        return ProxyHeader(
            2, False, Family.INET, inet_text(source), exchange.src_port, inet_text(destination), exchange.dst_port
        )
    if source and destination:
        return ProxyHeader(
            2, False, Family.INET6, inet6_text(_mapped(source)), exchange.src_port, inet6_text(_mapped(destination)), exchange.dst_port
        )
    return ProxyHeader(2, True, Family.UNSPEC)


def _mapped(address: bytes) -> bytes:
    """An IPv4 address beside an IPv6 one goes as v4-mapped: a header has one family."""
    return address if len(address) == 16 else b"\0" * 10 + b"\xff\xff" + address
