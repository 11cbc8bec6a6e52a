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
from worker.bad_messages import keep_response
from worker.body import Body, Kept, request_body
from worker.connect import ServerConnection
from worker.cut import Cut
from worker.http.framing import NO_BODY
from worker.http.head import Request, Response
from worker.http.rewrite import request_head, response_head
from worker.http.spelling import respelled
from worker.servers.retry import Failure
from worker.steps import Step

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange

_BODY, _HEADERS = Step.BODY, Step.HEADERS  # looking an enum's member up in its class costs 45 ns

INTERIM_RESPONSES_MAX = 100


class ServerGone(Exception):
    """The attempt failed before there was a response. received: something of one had come."""

    def __init__(self, failure: Failure, slug: str, *, received: bool) -> None:
        super().__init__(slug)
        self.failure = failure
        self.slug = slug
        self.received = received


async def ask(exchange: Exchange, connection: ServerConnection, backend: Backend) -> tuple[Response, bytes]:
    """Send the request; (final response, what was received behind its head). Raises ServerGone, Cut, DeadlinePassed."""
    request = exchange.head
    assert request is not None
    stream = connection.stream
    pump = stream.pump
    exchange.bc_reused = connection.requests > 0
    connection.requests += 1
    if exchange.server_socket_options:
        exchange.set_server_options(connection)
    if exchange.request_editor is None and backend.plain and exchange.frontend.plain:
        head = request.forwarded or request_head(request)
    else:
        head = head_for(exchange, request, backend)
    body: Body | None = None
    data = b""
    try:
        if request.body is NO_BODY:
            exchange.step = _HEADERS
            sent = stream.send_now(head)
            if sent != len(head):
                body = _begin_body(exchange, request, stream, head[sent:], backend)
            elif backend.pipelines and connection.pipe is not None:
                connection.pipe.open()
        else:
            exchange.step = _BODY
            body = _begin_body(exchange, request, stream, head, backend)
        while True:
            received = None if stream.drained else stream.recv_now()
            if received is None:
                if body is not None and not body.done:
                    if not await _upload(exchange, body, stream):
                        body = None
                    continue
                exchange.step = _HEADERS
                if backend.aborts_on_close:
                    await _readable_unless_client_leaves(exchange, stream, pump.now + exchange.server_s)
                else:
                    await stream.readable(pump.now + exchange.server_s)
                continue
            if not received:
                raise ServerGone(Failure.EMPTY, "server_closed_in_head" if data else "server_closed_unanswered", received=bool(data))
            data = data + received if data else received
            try:
                while (found := backend.reader.parse(data, 0, request.method, request.upgrade is not None)) is not None:
                    response, end = found
                    if not response.interim:
                        exchange.response_at = pump.now
                        return response, data[end:] if end < len(data) else b""
                    await pass_interim(exchange, request, response)
                    data = data[end:]
            except WireError as error:
                keep_response(exchange, data, error.slug)
                raise ServerGone(Failure.JUNK, error.slug, received=True) from None
    except DeadlinePassed:
        if exchange.step is _HEADERS:
            raise ServerGone(Failure.TIMEOUT, "server_timeout", received=bool(data)) from None
        raise
    except OSError as error:
        if body is not None and body.failed is exchange.stream:
            raise Cut(b"CD", 400, "client_gone") from None
        slug = "server_reset" if error.errno else "server_closed_unanswered"
        raise ServerGone(Failure.EMPTY, slug, received=bool(data)) from None
    except WireError as error:
        # From the client's chunks: those of a response are read elsewhere.
        raise Cut(b"PR", error.status, error.slug) from None


def head_for(exchange: Exchange, request: Request, backend: Backend) -> bytes:
    """The bytes of the head for the server. Raises Cut when rules have made it too big."""
    editor = exchange.request_editor
    if editor is None and exchange.frontend.plain and backend.plain:
        return request.forwarded or request_head(request)
    close = backend.closes_server or exchange.frontend.closes_server
    if close:
        exchange.closes_server = True
        close = not backend.pretends_keep_alive
    head = request_head(editor or request, backend.added_fields(exchange), close=close)
    if backend.finish is not None:
        head = backend.finish(head, exchange)
    if editor is None:
        return head
    if len(head) > exchange.world.config.globals.bufsize:
        raise Cut(b"PR", 500, "rule_failed")
    return head


def _begin_body(exchange: Exchange, request: Request, stream: Stream, head: bytes, backend: Backend) -> Body:
    """Send head, and of the request's body what is here. Raises WireError, OSError, Cut."""
    here = exchange.client_buffer if request.body is not NO_BODY else b""
    kept = exchange.kept = Kept(backend.kept_bytes_max) if backend.kept_bytes_max else None
    body = request_body(
        exchange.stream,
        stream,
        request.body,
        splice=exchange.frontend.splice_request,
        kept=kept if backend.keeps_bodies else None,  # else only what is here, which costs nothing
        keep_trailers=backend.keeps_request_trailers,
    )
    exchange.body = exchange.unfinished = body
    body.begin(head, here)
    if request.body is not NO_BODY:
        exchange.body_consumed = True
        exchange.client_buffer = body.leftover
        if kept is not None:
            kept.add(here[: len(here) - len(body.leftover)])
    exchange.bytes_in -= len(head)
    body.step()
    if body.done:
        _request_sent(exchange, body)
    return body


async def _upload(exchange: Exchange, body: Body, stream: Stream) -> bool:
    """Move what can be moved of the request's body; then wait for more, or for the server to speak early.

    False: the server takes no more of it. Its answer may be here all the same. Raises Cut, WireError, OSError of the client.
    """
    pump = exchange.world.pump
    try:
        body.step()
    except OSError:
        if body.failed is not stream:
            raise
        stream.drained = False
        return False
    if body.done:
        _request_sent(exchange, body)
    elif body.waiting:
        await pump.wait_any((stream,), (stream,), pump.now + exchange.server_s)
    elif not body.source.drained:
        await pump.pause()  # a client that sends as fast as we read is not alone
    else:
        await pump.wait_any((body.source, stream), (), pump.now + exchange.client_s)
    return True


def _request_sent(exchange: Exchange, body: Body) -> None:
    """The request's body is through, or its client has gone in the middle of it. Raises Cut."""
    if not body.complete:
        raise Cut(b"CD", 400, "client_closed_in_body")
    if body.leftover:
        exchange.client_buffer = body.leftover
    exchange.note_uploaded(body)


async def _readable_unless_client_leaves(exchange: Exchange, stream: Stream, deadline: float) -> None:
    """`option abortonclose`: nobody waits for this answer any more when the client has closed its side. Raises Cut."""
    client, strand = exchange.stream, stream.pump.current
    assert strand is not None
    if not client.ended:
        client.watch_read(strand)
        try:
            await stream.readable(deadline)
        finally:
            client.reader = None
    if client.ended and stream.drained:
        raise Cut(b"CH", 400, "client_closed_in_wait")


async def pass_interim(exchange: Exchange, request: Request, response: Response) -> None:
    """100, 102, 103: for clients that know them. Raises ServerGone when there is no end of them, Cut when the client takes none."""
    exchange.interim_responses += 1
    if exchange.interim_responses > INTERIM_RESPONSES_MAX:
        raise ServerGone(Failure.JUNK, "bad_status_line", received=True)
    if request.version >= 11:
        try:
            head = response_head(response, 11, True)
            spelling = exchange.frontend.spelling
            if spelling is not None:
                head = respelled(head, spelling)
            await exchange.stream.send(head, exchange.world.pump.now + exchange.client_s)
        except DeadlinePassed:
            raise Cut(b"cH", 0, "client_timeout") from None
        except OSError:
            raise Cut(b"CH", 0, "client_gone") from None
