"""The question: a request's head and body go to the server, until its response's head is here.

The response's head is read while the request's body may still be on its way: a server may answer early (RFC 9112 section 9.3), and
interim responses go to the client as they come.

Source: RFC 9110 sections 10.1.1 (Expect) and 15.2 (1xx); HAProxy manual 4.2 "retry-on".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import WireError
from common.net.pump import DeadlinePassed
from common.net.stream import Stream
from worker.body import Body, request_body
from worker.connect import ServerConnection
from worker.cut import Cut
from worker.http.framing import NO_BODY
from worker.http.head import Request, Response
from worker.http.rewrite import request_head, response_head
from worker.servers.retry import Failure
from worker.steps import Step

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.proxies import Backend

_BODY, _HEADERS = Step.BODY, Step.HEADERS  # looking an enum's member up in its class costs 45 ns

INTERIM_RESPONSES_MAX = 100
REPLAY_BYTES_MAX = 65536
"""Longest request body that is kept for sending it again."""


class ServerGone(Exception):
    """The attempt failed before there was a response. received: something of one had come."""

    def __init__(self, failure: Failure, slug: str, *, received: bool) -> None:
        super().__init__(slug)
        self.failure = failure
        self.slug = slug
        self.received = received


async def ask(exchange: Exchange, connection: ServerConnection, backend: Backend) -> tuple[Response, bytes]:
    """Send the request; (final response, what was received behind its head). Raises ServerGone, Cut, DeadlinePassed.

    The head is read while the request's body may still be on its way; interim responses go to the client.
    """
    request = exchange.head
    assert request is not None
    stream = connection.stream
    pump = stream.pump
    exchange.bc_reused = connection.requests > 0
    connection.requests += 1
    if exchange.server_socket_options:
        exchange.set_server_options(connection)
    if exchange.frontend.plain and backend.plain and exchange.request_editor is None:
        head = request.forwarded or request_head(request)
    else:
        head = request_head(exchange.request_editor or request, backend.added_fields(exchange), close=backend.closes_server)
        if exchange.request_editor is not None and len(head) > exchange.world.config.globals.bufsize:
            raise Cut(b"PR", 500, "head_too_big_after_rules")
    body: Body | None = None
    data = b""
    try:
        if request.body is NO_BODY:
            exchange.step = _HEADERS
            sent = stream.send_now(head)
            if sent != len(head):
                body = _begin_body(exchange, request, stream, head[sent:])
        else:
            exchange.step = _BODY
            body = _begin_body(exchange, request, stream, head)
        while True:
            received = stream.recv_now()
            if received is None:
                if body is None or body.done:
                    exchange.step = _HEADERS
                    await stream.readable(pump.now + exchange.server_s)
                else:
                    await _upload(exchange, body, stream)
                continue
            if not received:
                raise ServerGone(Failure.EMPTY, "server_closed_in_head" if data else "server_closed", received=bool(data))
            data = data + received if data else received
            try:
                while (found := backend.reader.parse(data, 0, request.method, request.upgrade is not None)) is not None:
                    response, end = found
                    if not response.interim:
                        exchange.response_at = pump.now
                        return response, data[end:] if end < len(data) else b""
                    await _pass_interim(exchange, request, response)
                    data = data[end:]
            except WireError as error:
                raise ServerGone(Failure.JUNK, error.slug, received=True) from None
    except DeadlinePassed:
        if exchange.step is _HEADERS:
            raise ServerGone(Failure.TIMEOUT, "server_timeout", received=bool(data)) from None
        raise
    except OSError as error:
        if body is not None and body.failed is exchange.stream:
            raise Cut(b"CD", 400, "client_gone_in_body") from None
        slug = "server_connection_lost" if error.errno else "server_closed"
        raise ServerGone(Failure.EMPTY, slug, received=bool(data)) from None
    except WireError as error:
        # From the client's chunks: those of a response are read elsewhere.
        raise Cut(b"PR", error.status, error.slug) from None


def _begin_body(exchange: Exchange, request: Request, stream: Stream, head: bytes) -> Body:
    """Send head, and of the request's body what is here. Raises WireError, OSError, Cut."""
    body = request_body(exchange.stream, stream, request.body, splice=exchange.frontend.splice_request)
    exchange.body = exchange.unfinished = body
    here = exchange.client_buffer if request.body is not NO_BODY else b""
    body.begin(head, here)
    if request.body is not NO_BODY:
        exchange.body_consumed = True
        exchange.client_buffer = body.leftover
    body.step()
    if body.done:
        _request_sent(exchange, body)
        if len(here) <= REPLAY_BYTES_MAX and body.taken_from_source == 0:
            # All of it was here already: kept, so that a retry can send it again.
            exchange.replay = here[: len(here) - len(body.leftover)]
    return body


async def _upload(exchange: Exchange, body: Body, stream: Stream) -> None:
    """Move what can be moved of the request's body; then wait for more, or for the server to speak early."""
    pump = exchange.world.pump
    body.step()
    if body.done:
        _request_sent(exchange, body)
        return
    if body.waiting:
        await pump.wait_any((stream,), (stream,), pump.now + exchange.server_s)
    elif not body.source.drained:
        await pump.pause()  # a client that sends as fast as we read is not alone
    else:
        await pump.wait_any((body.source, stream), (), pump.now + exchange.client_s)


def _request_sent(exchange: Exchange, body: Body) -> None:
    """The request's body is through, or its client has gone in the middle of it."""
    exchange.unfinished = None
    if not body.complete:
        raise Cut(b"CD", 400, "client_closed_in_body")
    if body.leftover:
        exchange.client_buffer = body.leftover
    exchange.bytes_in += body.moved


async def _pass_interim(exchange: Exchange, request: Request, response: Response) -> None:
    """100, 102, 103: for clients that know them. Raises ServerGone when there is no end of them."""
    exchange.interim_responses += 1
    if exchange.interim_responses > INTERIM_RESPONSES_MAX:
        raise ServerGone(Failure.JUNK, "too_many_interim_responses", received=True)
    if request.version >= 11:
        await exchange.stream.send(response_head(response, 11, True), exchange.world.pump.now + exchange.client_s)
