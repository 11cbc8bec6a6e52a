"""A connection to a server: an idle one, or a new one after a place in the queue; the next candidate when it fails.

`lease` tries until it has a connection or the retries are used up. What it may do after a failed connect is HAProxy's rule: the
same server again after a pause of at most a second, or, on the last try or every Nth (`option redispatch`), another one at once.

Source: HAProxy manual 4.2 "retries", "option redispatch", "http-reuse", "timeout connect", "timeout queue"; 5.2 "maxconn".
"""

from __future__ import annotations

import errno
from math import inf
from typing import TYPE_CHECKING

from common.net.dial import ClientLeft, dial
from common.net.pump import DeadlinePassed, Pump, Strand
from common.net.stream import Stream
from common.observe import fields as f
from worker.servers.queue import Ticket, Waiting
from worker.servers.repeatable import Repeatable
from worker.servers.retry import Action, Attempt, Failure, decide
from worker.steps import Step
from worker.tls import TlsError

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange
    from worker.pipelining import Pipe
    from worker.server import Server


class ConnectFailed(Exception):
    """No connection to any server. termination, status and slug are what the exchange reports."""

    def __init__(self, termination: bytes, status: int, slug: str) -> None:
        super().__init__(slug)
        self.termination = termination
        self.status = status
        self.slug = slug


class Invited(Exception):
    """Whoever waited for a place at a server may join others on a connection instead."""


class ServerConnection:
    """One connection to a server.

    requests: how many it has carried. announced: the PROXY header that it began with.
    is_private: only for the session that opened it. name: what was sent as SNI.
    address: where it leads; the server's may have changed since.
    """

    __slots__ = ("address", "announced", "is_private", "name", "pipe", "requests", "server", "stream")

    def __init__(self, server: Server, stream: Stream, name: bytes | None = None) -> None:
        self.server = server
        self.stream = stream
        self.name = name
        self.address = server.address
        self.requests = 0
        self.pipe: Pipe | None = None  # worker/pipelining.py: others share it
        self.is_private = False
        self.announced = b""

    def close(self) -> None:
        if self.stream.tls and not self.stream.closed:
            self.server.words[f.SSL_CUR] -= 1
        self.stream.close()


def lease_now(exchange: Exchange, backend: Backend, pump: Pump) -> ServerConnection | None:
    """An idle connection to the first choice, if it is to be had without waiting. None: `lease` goes on from here."""
    server = exchange.leased
    if server is None:
        server = backend.only_server
        if server is None or not server.usable:
            server = backend.choose(exchange, exchange.excluded)
            if server is None:
                return None
        exchange.leased = server
    if backend.unlimited:
        backend.in_use[server.position] += 1
    elif not backend.queue.enter(server.position):
        return None
    if exchange.queued_at is None:
        exchange.queued_at = pump.now
    connection = server.take_idle(exchange)
    if connection is None:
        exchange.has_place = True
    else:
        exchange.connected_at = pump.now
    return connection


async def lease(exchange: Exchange, backend: Backend, pump: Pump) -> ServerConnection:
    """A connection to one of the backend's servers, which the caller gives back with `Server.give_back` or `drop`.

    Goes on from what `lease_now` chose. Sets the server, queue and connect times, retries. Raises ConnectFailed.
    """
    while True:
        if not exchange.has_place:
            await _take_place(exchange, backend, pump)
            exchange.step = Step.CONNECT
            if exchange.queued_at is None:
                exchange.queued_at = pump.now
            server = exchange.leased
            assert server is not None
            connection = server.take_idle(exchange)
            if connection is not None:
                exchange.connected_at = pump.now
                if exchange.give_up_at != inf:
                    exchange.server_s = min(exchange.server_s, exchange.give_up_at - pump.now)
                return connection
        server = exchange.leased
        assert server is not None
        exchange.has_place = False
        try:
            connection = await _open(exchange, backend, server, pump)
            exchange.connected_at = pump.now
            if exchange.give_up_at != inf:
                exchange.server_s = min(exchange.server_s, exchange.give_up_at - pump.now)
            return connection
        except ClientLeft:
            backend.leave(server.position)
            raise ConnectFailed(b"CC", 0, "client_closed_in_connect") from None
        except DeadlinePassed:
            kind, slug = Failure.CONNECT_TIMEOUT, "connect_timeout"
        except TlsError as error:
            kind, slug = Failure.CONNECT, "server_" + error.slug
        except OSError as error:
            kind, slug = _kind_of(error)
        except BaseException:
            backend.leave(server.position)
            raise
        backend.leave(server.position)
        server.count_failed_connect()
        decision = decide(
            Attempt(
                kind,
                Repeatable.SAFE,
                retries=exchange.retries,
                sent=False,
                retries_max=exchange.retries_max,
                may_redispatch=len(backend.servers) > 1,
                seconds_left=exchange.seconds_left,
            ),
            backend.retry_policy,
            backend.retry_budget,
        )
        if decision.action is Action.STOP:
            server.count_given_up()
            exchange.frontend.count_reason(decision.slug)
            raise ConnectFailed(b"RC" if slug.endswith("exhausted") else decision.termination, decision.status, slug)
        exchange.retries += 1
        if decision.action is Action.OTHER:
            exchange.redispatch()
            server.count_redispatch()
        else:
            server.count_retry()
            if kind is Failure.CONNECT:
                await pump.sleep(decision.pause_s)


async def _take_place(exchange: Exchange, backend: Backend, pump: Pump) -> None:
    """Choose a server (unless one is chosen) and take a place at it, waiting in a queue if need be. Raises ConnectFailed."""
    queue = backend.queue
    chosen_again = False
    while True:
        server = exchange.leased or backend.choose(exchange, exchange.excluded)
        if server is not None:
            exchange.leased = server
            if queue.enter(server.position):
                return
            if not chosen_again or (queue.is_queue_full(server.position) and len(exchange.excluded) + 1 < len(backend.servers)):
                # Another worker may have taken the last place meanwhile; a queue that is full sends away even who insists on it.
                if chosen_again:
                    exchange.excluded = {*exchange.excluded, server.position}
                chosen_again = True
                exchange.leased = None
                continue
        elif not backend.balancer.elected:
            raise ConnectFailed(b"SC", 503, "no_server_available")
        exchange.step = Step.QUEUE
        ticket = await _wait_in_queue(exchange, backend, server, pump)
        exchange.step = Step.CONNECT
        if ticket.state is Waiting.ADMITTED:
            assert ticket.server is not None
            exchange.leased = backend.servers[ticket.server]
            return
        if ticket.state is Waiting.INVITED:
            assert ticket.server is not None
            exchange.leased = backend.servers[ticket.server]
            exchange.is_invited = True
            raise Invited
        exchange.leased = None  # its server went down meanwhile: choose again


async def _wait_in_queue(exchange: Exchange, backend: Backend, server: Server | None, pump: Pump) -> Ticket[Strand]:
    """Wait for a place at that server, or at any. Raises ConnectFailed."""
    queue = backend.queue
    strand = pump.current
    assert strand is not None and exchange.waiting_since is not None
    ticket = queue.wait(
        strand,
        server.position if server is not None else None,
        exchange.waiting_since,
        priority_class=exchange.priority_class,
        priority_offset_ms=exchange.priority_offset,
        may_join=backend.pipelines and exchange.may_share(),
    )
    if ticket is None:
        raise ConnectFailed(b"SQ", 503, "queue_full")
    exchange.set_queue_position(ticket.ahead, server is not None)
    backend.look_again()
    queue_s = exchange.timeout("queue") or backend.queue_s
    try:
        # A waiting request may raise the limit that `minconn` gives: then it need not wait.
        backend.wake(queue.admit(server.position) if server is not None else [])
        deadline = min(exchange.waiting_since + queue_s, exchange.give_up_at)
        while ticket.state is Waiting.WAITING:
            if backend.aborts_on_close:
                await _park_unless_client_leaves(exchange.stream, strand, deadline)
            else:
                await pump.park(deadline)
    except DeadlinePassed:
        exchange.queued_at = pump.now
        backend.wake(queue.abandon(ticket))
        if pump.now >= exchange.give_up_at:
            raise ConnectFailed(b"sQ", 504, "deadline") from None
        raise ConnectFailed(b"sQ", 503, "queue_timeout") from None
    except ClientLeft:
        backend.wake(queue.abandon(ticket))
        exchange.leased = None
        raise ConnectFailed(b"CQ", 0, "client_closed_in_queue") from None
    except BaseException:
        backend.wake(queue.abandon(ticket))
        raise
    exchange.queued_at = pump.now  # what a retry waits for after this is the time to connect
    return ticket


async def _park_unless_client_leaves(client: Stream, strand: Strand, deadline: float) -> None:
    """`option abortonclose`. Raises ClientLeft, DeadlinePassed."""
    if not client.ended:
        client.watch_read(strand)
        try:
            await client.pump.park(deadline)
        finally:
            client.reader = None
            strand.parked = False
    if client.ended:
        raise ClientLeft


async def _open(exchange: Exchange, backend: Backend, server: Server, pump: Pump) -> ServerConnection:
    """Dial, PROXY header, TLS. Raises DeadlinePassed, OSError, TlsError."""
    deadline = min(pump.now + (exchange.timeout("connect") or backend.connect_s), exchange.give_up_at)
    family, address = server.endpoint(exchange)
    name = None
    client = exchange.stream if backend.aborts_on_close else None
    stream = await dial(pump, family, address, deadline, outlet=server.outlet, client=client)
    try:
        announced = b""
        if server.announcement is not None:
            announced = server.announcement.bytes_for(exchange)
            await stream.send(announced, deadline)
        if server.tls is not None:
            name = server.server_name(exchange)
            server.warm_name = name or b""
            stream = await server.tls.connect(stream, name, deadline)
            server.count_tls(stream.is_resumed)
    except BaseException:
        stream.close()
        raise
    server.count_connect()
    server.idle.opened()
    connection = ServerConnection(server, stream, name)
    if announced:
        connection.is_private = True
        connection.announced = announced
    return connection


_OUT_OF_PORTS = {errno.EADDRNOTAVAIL, errno.EADDRINUSE}
_OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


def _kind_of(error: OSError) -> tuple[Failure, str]:
    """(kind, slug): our own lack of ports or descriptors is not the server's fault."""
    if error.errno in _OUT_OF_PORTS:
        return Failure.CONNECT, "source_ports_exhausted"
    if error.errno in _OUT_OF_DESCRIPTORS:
        return Failure.CONNECT, "descriptors_exhausted"
    return Failure.CONNECT, "connect_refused" if error.errno == errno.ECONNREFUSED else "connect_failed"
