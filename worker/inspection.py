"""Waiting for bytes that rules look into before they go on: the first ones of a connection, and bodies.

What is received waits in the exchange's buffers, at most as much as a buffer holds (tune.bufsize less tune.maxrewrite), and the
rules say each time whether they know enough.

Source: HAProxy manual 4.2 "tcp-request inspect-delay", "tcp-response inspect-delay", "http-request wait-for-body",
"option http-buffer-request".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.net.pump import DeadlinePassed
from common.net.relay import Flow
from common.net.stream import Stream
from worker.cut import Cut
from worker.http.buffered import body_so_far
from worker.http.framing import NO_BODY
from worker.http.head import Limits
from worker.route.evaluate import WAIT, inspect
from worker.route.verdicts import AwaitBody, CloseServer, Verdict

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange
    from worker.route.rules import Rules

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def buffer_bytes_max(exchange: Exchange) -> int:
    return Limits.of(exchange.world.config.globals).head_bytes_max


# --- the first bytes of a connection -------------------------------------------------------------------------------------


async def inspect_request(exchange: Exchange, rules: Rules) -> Verdict | None:
    """Keep what the client sends until the rules know, or the inspection delay is over. Raises OSError."""
    pump, stream = exchange.world.pump, exchange.stream
    deadline = pump.now + min(rules.inspect_request_s, exchange.client_s)
    limit = buffer_bytes_max(exchange)
    exchange.inspection_final = False
    if not exchange.client_buffer:
        _receive(exchange, limit)
    while True:
        if pump.now >= deadline or len(exchange.client_buffer) >= limit:
            exchange.inspection_final = True
        verdict = inspect(rules.tcp_request, exchange)
        if verdict is not WAIT:
            break
        try:
            while not _receive(exchange, limit):
                await stream.readable(deadline)
        except DeadlinePassed:
            exchange.inspection_final = True
    exchange.inspection_final = True
    assert verdict is None or isinstance(verdict, Verdict)
    return verdict


def _receive(exchange: Exchange, limit: int) -> bool:
    """Add what the client has sent to the buffer; whether there was anything, the end included. Raises Withdrawn, OSError."""
    seat = exchange.session.seat
    if seat is not None:
        seat.claim()
    data = exchange.stream.recv_now(limit - len(exchange.client_buffer))
    if data is None:
        if seat is not None:
            seat.release()
        return False
    if seat is not None:
        seat.taken()
    if data:
        exchange.client_buffer += data
    else:
        exchange.inspection_final = True
    return True


async def inspect_body(exchange: Exchange, rules: Rules) -> Verdict | None:
    """The same on an HTTP request, whose head is known: what rules may still wait for is its body. Raises Cut, OSError."""
    head, pump = exchange.head, exchange.world.pump
    assert head is not None
    deadline = pump.now + rules.inspect_request_s
    limit = buffer_bytes_max(exchange)
    while True:
        body, whole = body_so_far(head.body, exchange.client_buffer)
        exchange.inspection_final = whole or len(exchange.client_buffer) >= limit or pump.now >= deadline
        verdict = inspect(rules.tcp_request, exchange)
        if verdict is not WAIT:
            assert verdict is None or isinstance(verdict, Verdict)
            return verdict
        await wait_for_body(exchange, deadline, len(body) + 1)


async def inspect_response(exchange: Exchange, backend: Backend, up: Flow, down: Flow) -> Verdict | None:
    """Mode tcp: keep what the server sends until the rules know, or the inspection delay is over; what the client sends goes on.

    What is kept goes into `down`. Raises OSError.
    """
    pump, server = exchange.world.pump, down.source
    rules = backend.rules
    deadline = pump.now + min(rules.inspect_response_s, backend.server_s)
    limit = buffer_bytes_max(exchange)
    exchange.inspection_final = False
    while True:
        up.step()
        _receive_response(exchange, server, limit)
        if pump.now >= deadline or len(exchange.response_buffer) >= limit:
            exchange.inspection_final = True
        verdict = inspect(rules.tcp_response, exchange)
        if verdict is not WAIT:
            break
        if up.done:
            up.target.shutdown_write()
        readers = (server,) if up.waiting or up.done else (server, up.source)
        try:
            await pump.wait_any(readers, (up.target,) if up.waiting else (), deadline)
        except DeadlinePassed:
            exchange.inspection_final = True
    exchange.inspection_final = True
    if backend.stickiness is not None:
        backend.stickiness.responded(exchange)
    down.held, exchange.response_buffer = exchange.response_buffer, b""
    if isinstance(verdict, CloseServer):
        down.limit = 0
        up.limit = 0
    assert verdict is None or isinstance(verdict, Verdict)
    return verdict


def _receive_response(exchange: Exchange, server: Stream, limit: int) -> None:
    """Add what the server has sent to the buffer. Raises OSError."""
    data = server.recv_now(limit - len(exchange.response_buffer))
    if data:
        exchange.response_buffer += data
    elif data is not None:
        exchange.inspection_final = True


# --- bodies ----------------------------------------------------------------------------------------------------------


async def buffer_request(exchange: Exchange) -> None:
    """`option http-buffer-request`: the body is here, the buffer full, or the client late: that is an error then. Raises Cut."""
    started = exchange.first_byte_at if exchange.first_byte_at is not None else exchange.started_at
    deadline = started + exchange.frontend.request_s
    if not await wait_for_body(exchange, deadline, 0):
        raise Cut(b"cR", 408, "wait_body_timeout")


async def wait_for_body(exchange: Exchange, deadline: float, at_least_bytes: int) -> bool:
    """Receive the request's body into the exchange's buffer. False: the deadline came first. Raises Cut if the client goes."""
    head, stream = exchange.head, exchange.stream
    assert head is not None
    plan = head.body
    if plan is NO_BODY:
        return True
    limit = buffer_bytes_max(exchange)
    asked = False
    while True:
        body, whole = body_so_far(plan, exchange.client_buffer)
        if whole or len(exchange.client_buffer) >= limit or 0 < at_least_bytes <= len(body):
            return True
        if head.expect_continue and not asked and not exchange.client_buffer:
            asked = True
            await stream.send(_CONTINUE, deadline)
            exchange.edit_request().del_header(b"Expect")  # the server need not say it again
        try:
            data = await stream.recv(limit - len(exchange.client_buffer), deadline)
        except DeadlinePassed:
            return False
        if not data:
            raise Cut(b"CR", 0, "client_closed_in_body")
        exchange.client_buffer += data


async def wait_for_response_body(exchange: Exchange, verdict: AwaitBody) -> None:
    """Receive the response's body into the exchange's buffer, up to the buffer's size or the rule's time."""
    head, connection, pump = exchange.response_head, exchange.connection, exchange.world.pump
    assert head is not None and connection is not None
    deadline = pump.now + verdict.time_s
    limit = buffer_bytes_max(exchange)
    while True:
        body, whole = body_so_far(head.body, exchange.response_buffer)
        if whole or len(exchange.response_buffer) >= limit or 0 < verdict.at_least_bytes <= len(body):
            return
        try:
            data = await connection.stream.recv(limit - len(exchange.response_buffer), deadline)
        except DeadlinePassed:
            return
        if not data:
            return
        exchange.response_buffer += data
