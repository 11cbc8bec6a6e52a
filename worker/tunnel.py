"""Raw bytes both ways: mode tcp, and HTTP connections that became something else (101, CONNECT).

Source: HAProxy manual 4.2 "mode", "timeout tunnel", "timeout client-fin", "timeout server-fin", "option splice-auto".
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from common.net.pump import DeadlinePassed, Ended
from common.net.relay import Flow, Idle, relay
from common.wire.claims import Withdrawn
from worker import decide, tracking
from worker.connect import ConnectFailed, ServerConnection, lease, lease_now
from worker.cut import Cut
from worker.http.head import Response
from worker.http.rewrite import response_head
from worker.http.spelling import respelled
from worker.outcome import account_end
from worker.steps import Step

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange
    from worker.session import Session


async def serve(session: Session) -> bytes | None:
    """A whole connection in mode tcp: rules, backend, server, relay, one log line. Bytes: rules say that it is HTTP, which begins so."""
    # Local: the two stories call each other.
    from worker.raw_exchange import RawExchange

    exchange = session.exchange = RawExchange(session, None, session.opened_at)
    switched = False
    try:
        try:
            backend = await decide.tcp(exchange)
            if backend is None:
                switched = True
                tracking.switched(exchange)
                return exchange.client_buffer
            if exchange.retries_max is None:
                exchange.retries_max = backend.retries
            if session.proxy.log.at_connect:
                session.proxy.log.exchange(exchange)
                exchange.logged_early = True
            exchange.waiting_since = session.world.pump.now
            exchange.step = Step.CONNECT
            pump = session.world.pump
            connection = exchange.connection = lease_now(exchange, backend, pump) or await lease(exchange, backend, pump)
        except ConnectFailed as failed:
            raise Cut(failed.termination, 0, failed.slug) from None
        if session.seat is not None:
            session.seat.claim()
            session.seat.taken()
        if backend.stickiness is not None:
            backend.stickiness.connected(exchange)
        if exchange.server_socket_options:
            exchange.set_server_options(connection)
        exchange.step = Step.DATA
        session.phase = "tunnel"
        first, exchange.client_buffer = exchange.client_buffer, b""
        await _run(exchange, connection, first, b"")
    except Cut as cut:
        if session.is_withdrawn():
            exchange.logged_early = True
        exchange.termination = cut.termination
        exchange.slug = cut.slug
        exchange.frontend.count_cut(exchange)
    except Ended:
        exchange.termination = b"K" + exchange.step.letter
        exchange.slug = "ended_by_operator"
    except Withdrawn:
        exchange.logged_early = True  # another worker tells
        raise
    finally:
        if not switched:
            drop(exchange)
            account_end(exchange)
    return None


async def upgrade(exchange: Exchange, connection: ServerConnection, response: Response, rest: bytes) -> bool:
    """The response that ends HTTP on this connection goes to the client, then raw bytes. Always False: nothing follows."""
    head = response_head(exchange.response_editor or response, 11, True)
    if exchange.frontend.spelling is not None:
        head = respelled(head, exchange.frontend.spelling)
    exchange.response_started = True
    exchange.step = Step.DATA
    exchange.session.phase = "tunnel"
    upload = exchange.unfinished
    first = exchange.client_buffer
    exchange.client_buffer = b""
    if upload is not None:
        upload.close()
    await _run(exchange, connection, first, head + rest)
    drop(exchange)
    return False


def drop(exchange: Exchange) -> None:
    connection, exchange.connection = exchange.connection, None
    if connection is not None:
        connection.server.drop(connection)


async def _run(exchange: Exchange, connection: ServerConnection, first_up: bytes, first_down: bytes) -> None:
    """Relay until both directions have ended; sets bytes, and termination when it was not a normal end."""
    frontend, backend = exchange.frontend, exchange.routed
    assert backend is not None
    client, server = exchange.stream, connection.stream
    up = Flow(client, server, held=first_up, splice=frontend.splice_request)
    down = Flow(server, client, held=first_down, splice=backend.splice_response)
    idle = idle_limits(exchange, backend)
    exchange.flows = (up, down)
    try:
        if backend.rules.tcp_response and not backend.is_http:
            await decide.tcp_response(exchange, backend, up, down)
        await relay(exchange.world.pump, client, server, up, down, idle)
    except DeadlinePassed:
        client_first = exchange.client_s <= (exchange.timeout("server") or backend.server_s)
        exchange.termination = b"cD" if client_first else b"sD"
        exchange.slug = "client_timeout" if client_first else "server_timeout"
    except OSError:
        failed_client = client in (up.failed, down.failed)
        exchange.termination = b"CD" if failed_client else b"SD"
        exchange.slug = "client_gone" if failed_client else "server_reset"
    finally:
        exchange.flows = None
        exchange.bytes_in += up.moved
        exchange.bytes_out += down.moved
        exchange.spliced_in, exchange.spliced_out = up.spliced, down.spliced


def idle_limits(exchange: Exchange, backend: Backend) -> Idle:
    """The timeouts of a relay. `timeout tunnel` takes the place of client and server."""
    frontend = exchange.frontend
    tunnel_s = exchange.timeout("tunnel")
    both = tunnel_s if tunnel_s else min(exchange.client_s, exchange.timeout("server") or backend.server_s)
    return Idle(
        both,
        frontend.client_fin_s or inf,
        backend.server_fin_s or inf,
        client=tunnel_s or exchange.client_s,
        server=tunnel_s or exchange.timeout("server") or backend.server_s,
        independent=not tunnel_s and "independent-streams" in frontend.model.options | backend.model.options,
    )
