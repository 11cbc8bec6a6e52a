"""How an exchange ends: an answer of our own, what becomes of a failure, and what is counted and logged of it.

`fail` is the one place where everything that went wrong becomes a status, two termination letters and a reason. `account_end` counts.

Source: HAProxy manual 4.2 "errorfile", "http-after-response"; 8.5 (termination states).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.net.pump import DeadlinePassed, Ended
from common.observe.fields import BIN, BOUT, H1_SPLICED_BYTES_IN, H1_SPLICED_BYTES_OUT, REQ_TOT, RESPONSE_OF_STATUS, STOT
from common.observe.reasons import proxy_status
from worker import decide, tracking
from worker.cut import Cut
from worker.http.answers import CLOSING, Answer, built_in
from worker.http.framing import NO_BODY, BodyKind
from worker.http.head import Request
from worker.http.spelling import respelled
from worker.statistics import send_pieces
from worker.steps import Step

if TYPE_CHECKING:
    from worker.exchange import Exchange

_BODY, _DATA = Step.BODY, Step.DATA  # looking an enum's member up in its class costs 45 ns
_LENGTH = BodyKind.LENGTH


async def reply(exchange: Exchange, answer: Answer, *, closes: bool = False) -> bool:
    """Send an answer of ours. True: the client's connection may go on, which needs the request's body to be out of the way.

    closes: it may not, whatever the answer.
    """
    if answer.silent:
        return False
    request = exchange.head
    keep = False
    if request is not None:
        if _skip_body(exchange, request):
            keep = not answer.closes and not closes and exchange.may_keep(request)
        else:
            exchange.session.lingers = True
    if exchange.frontend.proxy_status and exchange.slug:
        answer = answer.with_fields(*proxy_status(exchange.frontend.proxy_status, exchange.slug))
    exchange.status = answer.status
    exchange.response_head = answer.response()
    exchange.response_editor = None
    head = None
    spelling = exchange.frontend.spelling
    if exchange.frontend.rules.after_response or (exchange.routed is not None and exchange.routed.rules.after_response):
        decide.after_response(exchange)
        if exchange.response_editor is not None:
            head = exchange.response_editor.forwarded
            exchange.status = exchange.response_editor.status
            keep = keep and not exchange.response_editor.closes
    version = request.version if request is not None else 11
    is_head = request is not None and request.method == b"HEAD"
    data = answer.render(version, keep=keep, head_only=is_head, head=head)
    if spelling is not None:
        end = data.index(b"\r\n\r\n") + 4
        data = respelled(data[:end], spelling) + data[end:]
    exchange.response_started = True
    await exchange.stream.send(data, exchange.world.pump.now + exchange.client_s)
    exchange.bytes_out = len(data)
    if answer.pieces is not None and not is_head:
        exchange.bytes_out += await send_pieces(exchange, answer.pieces, chunked=not answer.closes)
    return keep


def _skip_body(exchange: Exchange, request: Request) -> bool:
    """Whether the request's body is already here, and so out of the way of the next request."""
    plan = request.body
    if plan is NO_BODY:
        return True
    if exchange.body_consumed or exchange.unfinished is not None:
        return exchange.body_consumed and exchange.unfinished is None
    if plan.kind is _LENGTH and len(exchange.client_buffer) >= plan.length:
        exchange.client_buffer = exchange.client_buffer[plan.length :]
        return True
    return False


async def fail(exchange: Exchange, cut: Cut) -> bool:
    """The one end of everything that went wrong: answer if nothing was sent yet, else cut the connection."""
    exchange.termination = cut.termination
    exchange.slug = cut.slug
    exchange.frontend.count_cut(exchange)
    exchange.drop_connection()
    if exchange.response_started or not cut.status:
        return False
    try:
        return await reply(exchange, exchange.error_answer(cut.status), closes=cut.status in CLOSING)
    except (OSError, DeadlinePassed, Ended):
        return False


def late(exchange: Exchange) -> Cut:
    """Which timeout has passed, by where the exchange is."""
    body = exchange.body
    if exchange.step is _BODY:
        if body is not None and body.waiting:
            return Cut(b"sD", 504, "server_body_timeout")
        return Cut(b"cD", 408, "client_body_timeout")
    if exchange.step is _DATA:
        slow_client = body is None or body.waiting
        return Cut(b"cD", 0, "client_timeout") if slow_client else Cut(b"sD", 0, "server_body_timeout")
    return Cut(b"c" + exchange.step.letter, 408, "client_timeout")


async def refuse_unread(exchange: Exchange, status: int, termination: bytes, slug: str) -> None:
    """A request that could not be read: say so, log it."""
    exchange.termination = termination
    exchange.slug = slug
    exchange.first_byte_at = None if status == 408 and not exchange.client_buffer else exchange.started_at
    exchange.frontend.count_unread(exchange)
    try:
        await reply(exchange, exchange.error_answer(status))
    except (OSError, DeadlinePassed, Ended):
        pass
    account_end(exchange)


def log_unread(exchange: Exchange, termination: bytes, status: int, sent: int) -> None:
    """A client that closed before it asked for anything: only logged."""
    exchange.termination = termination
    exchange.status = status
    exchange.response_head = built_in(status).response()
    exchange.bytes_out = sent
    exchange.frontend.count_unread(exchange)
    account_end(exchange)


def account_end(exchange: Exchange) -> None:
    """Count and log what has ended. Bytes and responses of a backend are counted at the server when there is one; readers sum."""
    frontend, backend, server, status = exchange.frontend, exchange.routed, exchange.leased, exchange.status
    bytes_in, bytes_out = exchange.bytes_in, exchange.bytes_out
    if frontend.counts_flowing and exchange.counted is not None:
        bytes_in, bytes_out = max(0, bytes_in - exchange.counted[0]), max(0, bytes_out - exchange.counted[1])
        exchange.counted = None
    tally = frontend.tally
    words = tally.words
    words[REQ_TOT] += 1
    words[BIN] += bytes_in
    words[BOUT] += bytes_out
    kind = RESPONSE_OF_STATUS[status] if status is not None else None
    if kind is not None:
        words[kind] += 1
    if not tally.dirty:
        tally.touch()
    if backend is not None:
        backend.connections -= 1
        tally = backend.tally
        tally.words[REQ_TOT] += 1
        if not tally.dirty:
            tally.touch()
        if server is not None:
            tally = server.tally
            tally.words[STOT] += 1
        words = tally.words
        words[BIN] += bytes_in
        words[BOUT] += bytes_out
        if kind is not None:
            if exchange.response_at is None:
                words = backend.tally.words  # our own answer, none of the server
            words[kind] += 1
        if not tally.dirty:
            tally.touch()
    if exchange.spliced_in or exchange.spliced_out:
        for words in (frontend.tally.words, tally.words):
            words[H1_SPLICED_BYTES_IN] += exchange.spliced_in
            words[H1_SPLICED_BYTES_OUT] += exchange.spliced_out
    if exchange.slug:
        frontend.count_reason(exchange.slug)
    if frontend.log.wanted and not exchange.logged_early:
        exchange.ended_at = exchange.world.pump.now
        frontend.log.exchange(exchange)
    if exchange.own_tracked is not None or exchange.session.tracked is not None:
        tracking.ended(exchange)
