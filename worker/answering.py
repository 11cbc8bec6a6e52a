"""The answer: a server's response goes to the client, as it comes.

`pass_on_whole` is the usual case and waits for nothing; `pass_on` forwards what comes piece by piece; `pass_on_unusual` is for responses
that rules look at, and for those that end HTTP on the connection.

Source: RFC 9112 sections 6, 7 and 9.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.errors import WireError
from common.net.stream import Stream
from common.observe.fields import DRESP
from worker import decide, tunnel
from worker.body import Body, response_body
from worker.connect import ServerConnection
from worker.cut import Cut
from worker.http.cacheability import has_cacheable_cookie
from worker.http.framing import CLOSE_BODY, NO_BODY, BodyKind
from worker.http.head import Response
from worker.http.rewrite import body_to_client, response_head
from worker.http.spelling import respelled
from worker.outcome import reply
from worker.steps import Step

if TYPE_CHECKING:
    from worker.exchange import Exchange

_DATA = Step.DATA  # looking an enum's member up in its class costs 45 ns
_LENGTH, _TUNNEL = BodyKind.LENGTH, BodyKind.TUNNEL


def log_early(exchange: Exchange, response: Response) -> None:
    """`option logasap`: the line is written when the response's head is known."""
    exchange.response_head = response
    exchange.server_status = exchange.status = response.status
    exchange.bytes_out = len(response.raw)
    exchange.logged_early = True
    exchange.frontend.log.exchange(exchange)


def pass_on_whole(exchange: Exchange, connection: ServerConnection, response: Response, rest: bytes) -> bool | None:
    """The usual case in one call: the whole response is here and the client takes it. None: it is not."""
    request = exchange.head
    assert request is not None
    plan = response.body
    if plan is not NO_BODY and (plan.kind is not _LENGTH or len(rest) < plan.length):
        return None
    exchange.response_head = response
    exchange.server_status = exchange.status = response.status
    keep = exchange.may_keep(request)
    if exchange.response_editor is not None and exchange.response_editor.closes:
        keep = False
    data = response_head(exchange.response_editor or response, request.version, keep)
    if exchange.frontend.spelling is not None:
        data = respelled(data, exchange.frontend.spelling)
    leftover = b""
    if plan is NO_BODY:
        leftover = rest
    elif len(rest) == plan.length:
        data += rest
    else:
        leftover = rest[plan.length :]
        data += rest[: plan.length]
    exchange.response_started = True
    exchange.step = _DATA
    try:
        exchange.bytes_out = sent = exchange.stream.send_now(data)
    except OSError:
        exchange.return_connection(connection, response, leftover)  # it is not its fault that the client is gone
        raise
    exchange.return_connection(connection, response, leftover)
    if sent != len(data):
        exchange.unsent = memoryview(data)[sent:]
        return None
    return keep


async def pass_on(exchange: Exchange, connection: ServerConnection, response: Response, rest: bytes) -> bool:
    """Forward the response as it comes. True: the client's connection may go on."""
    request, backend = exchange.head, exchange.routed
    assert request is not None and backend is not None
    keep = exchange.may_keep(request)
    if exchange.unsent:
        await exchange.stream.send(exchange.unsent, exchange.world.pump.now + exchange.client_s)
        exchange.bytes_out += len(exchange.unsent)
        return keep
    exchange.response_head = response
    exchange.server_status = exchange.status = response.status
    plan = response.body
    out = body_to_client(plan, request.version)
    if out is CLOSE_BODY or (exchange.response_editor is not None and exchange.response_editor.closes):
        keep = False
    exchange.response_started = True
    exchange.step = _DATA
    keep_trailers = exchange.frontend.keeps_response_trailers
    body = response_body(connection.stream, exchange.stream, plan, out, splice=backend.splice_response, keep_trailers=keep_trailers)
    head = response_head(exchange.response_editor or response, request.version, keep)
    if exchange.frontend.spelling is not None:
        head = respelled(head, exchange.frontend.spelling)
    leftover = await _pass_body(exchange, body, head, rest)
    exchange.return_connection(connection, response, leftover)
    return keep


async def pass_on_unusual(exchange: Exchange, connection: ServerConnection, response: Response, rest: bytes) -> bool:
    """A response that rules look at, or that ends HTTP on this connection."""
    assert exchange.routed is not None
    exchange.response_head = response
    exchange.server_status = exchange.status = response.status
    if exchange.routed.response_active or exchange.frontend.response_active:
        exchange.response_buffer = rest
        answer = await decide.response(exchange, exchange.routed)
        if answer is not None:
            exchange.drop_connection()
            return await reply(exchange, answer)
        if exchange.routed.checks_cache and _is_unsafe_to_cache(exchange, response):
            raise Cut(b"PH", 502, "cacheable_cookie")
        rest = exchange.response_buffer
        exchange.status = (exchange.response_editor or response).status
    if response.body.kind is _TUNNEL:
        return await tunnel.upgrade(exchange, connection, response, rest)
    keep = pass_on_whole(exchange, connection, response, rest)
    return keep if keep is not None else await pass_on(exchange, connection, response, rest)


def _is_unsafe_to_cache(exchange: Exchange, response: Response) -> bool:
    """`option checkcache`: counted and told, because the application needs mending."""
    assert exchange.head is not None and exchange.routed is not None
    if not has_cacheable_cookie(exchange.head.method, exchange.response_editor or response):
        return False
    tally = (exchange.leased or exchange.routed).tally
    tally.words[DRESP] += 1
    tally.touch()
    exchange.response_editor = exchange.response_head = None
    backend = exchange.routed.name
    exchange.world.log("alert", f"a cacheable response of backend '{backend}' sets a cookie: blocked (option checkcache)")
    return True


async def _pass_body(exchange: Exchange, body: Body, head: bytes, rest: bytes) -> bytes:
    """Forward a body that has not come whole; what was received behind it. Raises Cut, DeadlinePassed, OSError."""
    upload = exchange.unfinished
    exchange.body = body
    try:
        body.begin(head, rest)
        while True:
            body.step()
            if upload is not None and not _upload_goes_on(exchange, upload):
                upload = None
            if body.done:
                break
            await _wait_for_body(exchange, body, upload)
    except WireError as error:
        raise Cut(b"SD", 0, error.slug) from None
    except OSError:
        if body.failed is body.source:
            raise Cut(b"SD", 0, "server_reset") from None
        raise
    finally:
        body.close()
        exchange.bytes_out = body.moved
        exchange.spliced_out = body.spliced
    if not body.complete:
        raise Cut(b"SD", 0, "server_closed_in_body")
    return body.leftover


def _upload_goes_on(exchange: Exchange, upload: Body) -> bool:
    """The request's body, while its response comes already. False: it is through, or nobody takes it any more.

    Raises the client's OSError.
    """
    try:
        upload.step()
    except WireError:
        return False  # nobody can tell where it ends: the connections close after the response
    except OSError:
        if upload.failed is upload.target:
            return False  # a server need not read to the end what it has answered already
        raise
    if upload.done and upload.complete:
        exchange.note_uploaded(upload)
    return not upload.done


async def _wait_for_body(exchange: Exchange, body: Body, upload: Body | None) -> None:
    """Until something can be moved, of the response or of the request's body."""
    pump, client = exchange.world.pump, exchange.stream
    if not body.waiting and not body.source.drained:
        await pump.pause()
        return
    deadline = pump.now + (exchange.client_s if body.waiting else exchange.server_s)
    if upload is None:
        await (client.writable(deadline) if body.waiting else body.source.readable(deadline))
        return
    readers: tuple[Stream, ...] = () if body.waiting else (body.source,)
    writers: tuple[Stream, ...] = (client,) if body.waiting else ()
    if upload.waiting:
        writers += (upload.target,)
    else:
        readers += (upload.source,)
    await pump.wait_any(readers, writers, deadline)
