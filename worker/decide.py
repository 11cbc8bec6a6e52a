"""Rules at work: what they decide about a connection, a request, a response.

The pure part says what is to be done (worker/route); here it is done, and what takes time is waited for. The order is the manual's:

    connection   tcp-request connection, before anything is read; tcp-request session, after PROXY header and TLS
    request      frontend: tcp-request content, captures, monitor-uri, http-request, redirect; then use_backend; the same of the backend
    response     backend: tcp-response content, captures; http-response of the backend, then of the frontend
    every answer http-after-response of the backend, then of the frontend

Source: HAProxy manual 4.2 "http-request", "http-response", "http-after-response", "tcp-request …", "tcp-response content",
"monitor-uri", "option http-buffer-request"; 8.5 for how sessions end.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from common.net.pump import DeadlinePassed
from common.net.relay import Flow
from common.net.stream import Stream
from common.observe import fields as f
from worker.cut import Cut
from worker.facts import ClientFacts
from worker.http.answers import Answer, built_in
from worker.http.buffered import body_so_far
from worker.http.editor import clean_value
from worker.http.framing import NO_BODY
from worker.http.head import Limits
from worker.route.evaluate import WAIT, CompiledRules, evaluate, inspect
from worker.route.verdicts import ALLOW, AwaitBody, Cause, CloseServer, Delay, Drop, Refuse, Reject, Respond, SwitchToHttp, Verdict, Wait
from worker.steps import Step

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.proxies import Backend
    from worker.route.rules import Rules
    from worker.session import Session

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TCP_REPAIR = 19  # socket.TCP_REPAIR is not in the standard library


# --- before there is a request -------------------------------------------------------------------------------------------


def admit(session: Session, rules: CompiledRules) -> bool:
    """Run `tcp-request connection` or `session` rules. False: the connection is refused, and nobody logs it."""
    found = evaluate(rules, ClientFacts(session))
    if found is None or found[1] is ALLOW:
        return True
    frontend = session.proxy
    is_early = rules is frontend.rules.tcp_connection
    frontend.tally.words[f.DCON if is_early else f.DSES] += 1
    frontend.tally.touch()
    verdict = found[1]
    if isinstance(verdict, Drop):
        vanish(session.stream, verdict.ttl)
    elif is_early:
        session.stream.abort()  # one reset, and nothing of the connection is left on either side
    return False


# --- requests ------------------------------------------------------------------------------------------------------------


async def request(exchange: Exchange, rules: Rules) -> Answer | None:
    """Run everything of one proxy that comes before a request goes on. An answer: the exchange ends with it. Raises Cut."""
    head = exchange.head
    assert head is not None
    if rules is exchange.frontend.rules:
        captures = rules.captures
        if captures.wanted:
            exchange.request_captures = captures.of_request(head)
            exchange.response_captures = captures.of_response(None)
            exchange.cookie_request_capture = captures.cookie_of_request(head)
        if rules.tcp_request:
            await _content(exchange, rules)
        if rules.monitor is not None and rules.monitor.is_asked(head.target):
            return _monitored(exchange, rules)
    elif rules.tcp_request:
        await _content(exchange, rules)
    if rules.buffers_request and head.body is not NO_BODY:
        await _buffer_request(exchange)
    for ruleset in (rules.http_request, rules.redirects):
        if ruleset:
            answer = await _run(exchange, ruleset)
            if answer is not None:
                return answer
    return None


async def _run(exchange: Exchange, rules: CompiledRules) -> Answer | None:
    """http-request rules, until one answers or all have run. Raises Cut."""
    position = 0
    while True:
        found = evaluate(rules, exchange, position)
        if exchange.early_hints is not None:
            await _send_hints(exchange)
        if found is None or found[1] is ALLOW:
            exchange.rewriting_is_lenient = False
            return None
        position, verdict = found
        if isinstance(verdict, Respond):
            return answered(exchange, verdict)
        if isinstance(verdict, Delay):
            return await _tarpit(exchange, verdict)
        await _obey(exchange, verdict)


async def _obey(exchange: Exchange, verdict: Verdict) -> None:
    """A verdict that is no answer: wait, or raise Cut."""
    pump = exchange.world.pump
    if isinstance(verdict, AwaitBody):
        if not await _wait_for_body(exchange, pump.now + verdict.time_s, verdict.at_least_bytes):
            raise Cut(b"cR", 408, "client_timeout_in_body")
    elif isinstance(verdict, Wait):
        await _sleep(exchange, pump.now + verdict.time_s)
    elif isinstance(verdict, Drop):
        vanish(exchange.stream, verdict.ttl)
        raise Cut(b"PR", 0, "dropped_by_rule")
    elif isinstance(verdict, Refuse):
        raise Cut(b"PR", verdict.status, "refused_by_rule")
    elif isinstance(verdict, Reject):
        raise Cut(b"PR", 0, "rejected_by_rule")


def answered(exchange: Exchange, verdict: Respond, phase: bytes = b"R") -> Answer:
    """A rule answers: note why, count it."""
    cause = verdict.cause
    exchange.termination = cause.letter + phase
    exchange.slug = _SLUGS[cause]
    if phase == b"H":
        exchange.response_at = None  # the server's response was not used: logs give no time for it
    words = exchange.frontend.tally.words
    if cause is Cause.SERVED:
        words[f.INTERCEPTED] += 1
    elif cause is Cause.DENIED:
        words[f.DREQ if phase != b"H" else f.DRESP] += 1
        if exchange.routed is not None:
            (exchange.leased or exchange.routed).tally.words[f.DREQ if phase != b"H" else f.DRESP] += 1
    else:
        words[f.EINT] += 1
    exchange.frontend.tally.touch()
    return verdict.answer


_SLUGS = {Cause.DENIED: "denied_by_rule", Cause.SERVED: "answered_by_rule", Cause.FAILED: "rewriting_failed"}


async def _tarpit(exchange: Exchange, verdict: Delay) -> Answer:
    """Keep the client waiting; then the answer, unless the client has gone."""
    pump = exchange.world.pump
    exchange.step = Step.TARPIT
    exchange.waiting_since = pump.now
    limit_s = exchange.timeout("tarpit") or exchange.timeout("connect") or exchange.frontend.client_s
    await _sleep(exchange, pump.now + limit_s)
    exchange.queued_at = pump.now  # the time spent here is Tw in logs
    return answered(exchange, Respond(verdict.answer, Cause.DENIED), b"T")


async def _sleep(exchange: Exchange, deadline: float) -> None:
    """Until the deadline. A client that closes its side may still wait for an answer (unless `option abortonclose`); one that
    resets the connection does not: raises OSError."""
    stream = exchange.stream
    impatient = "abortonclose" in exchange.frontend.model.options
    try:
        while not (impatient and stream.ended):
            await stream.readable(deadline)
            error = stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, "client gone")
    except DeadlinePassed:
        pass


async def _send_hints(exchange: Exchange) -> None:
    """`early-hint`: what rules have gathered, as one 103 response, to clients that know such."""
    hints, exchange.early_hints = exchange.early_hints, None
    request = exchange.head
    if hints and request is not None and request.version >= 11:
        lines = [name + b": " + clean_value(value) + b"\r\n" for name, value in hints]
        data = b"HTTP/1.1 103 Early Hints\r\n" + b"".join(lines) + b"\r\n"
        await exchange.stream.send(data, exchange.world.pump.now + exchange.frontend.client_s)


def _monitored(exchange: Exchange, rules: Rules) -> Answer:
    """`monitor-uri`: how we are, for whoever watches us; never logged."""
    assert rules.monitor is not None
    exchange.log_level = -1
    exchange.frontend.tally.words[f.INTERCEPTED] += 1
    exchange.termination = b"LR"
    status = 503 if rules.monitor.fails(exchange) else 200
    return exchange.error_answer(status) if status != 200 else exchange.frontend.errors.find(200, exchange) or built_in(200)


# --- bodies that rules look into ---------------------------------------------------------------------------------------


async def _buffer_request(exchange: Exchange) -> None:
    """`option http-buffer-request`: the body is here, the buffer full, or the client late: that is an error then. Raises Cut."""
    started = exchange.first_byte_at if exchange.first_byte_at is not None else exchange.started_at
    deadline = started + exchange.frontend.request_s
    if not await _wait_for_body(exchange, deadline, 0):
        raise Cut(b"cR", 408, "client_timeout_in_body")


async def _wait_for_body(exchange: Exchange, deadline: float, at_least_bytes: int) -> bool:
    """Receive the request's body into the exchange's buffer. False: the deadline came first. Raises Cut if the client goes."""
    head, stream = exchange.head, exchange.stream
    assert head is not None
    plan = head.body
    if plan is NO_BODY:
        return True
    limit = Limits.of(exchange.world.config.globals).head_bytes_max
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


# --- contents ----------------------------------------------------------------------------------------------------------


async def _content(exchange: Exchange, rules: Rules) -> None:
    """`tcp-request content` rules on an HTTP request, whose head is here. Raises Cut."""
    exchange.inspection_final = True
    verdict = inspect(rules.tcp_request, exchange)
    if verdict is None or verdict is WAIT or verdict is ALLOW or isinstance(verdict, SwitchToHttp):
        return
    assert isinstance(verdict, Verdict)
    await _obey(exchange, verdict)


async def tcp(exchange: Exchange) -> Backend | None:
    """Mode tcp: content rules of the frontend, the backend, content rules of the backend. None: from here on it is HTTP. Raises Cut."""
    frontend = exchange.frontend
    rules = frontend.rules
    if rules.captures.wanted:
        exchange.request_captures = rules.captures.of_request(None)
    if rules.tcp_request and not await _inspect(exchange, rules):
        return None
    backend: Backend | None = rules.choose_backend(exchange) if rules.switching else frontend.default_backend
    if backend is None:
        raise Cut(b"SC", 0, "no_backend")
    if backend.is_http and not frontend.is_http:
        return None
    exchange.routed = backend
    backend.connections += 1
    if backend.rules is not rules and backend.rules.tcp_request:
        await _inspect(exchange, backend.rules)
    return backend


async def _inspect(exchange: Exchange, rules: Rules) -> bool:
    """Keep what the client sends until the rules know, or the inspection delay is over. False: switch to HTTP. Raises Cut, OSError."""
    pump, stream = exchange.world.pump, exchange.stream
    deadline = pump.now + min(rules.inspect_request_s, exchange.frontend.client_s)
    limit = Limits.of(exchange.world.config.globals).head_bytes_max
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
    if isinstance(verdict, SwitchToHttp):
        return False
    if verdict is not None and verdict is not ALLOW:
        assert isinstance(verdict, Verdict)
        await _obey(exchange, verdict)
    return True


def _receive(exchange: Exchange, limit: int) -> bool:
    """Add what the client has sent to the buffer; whether there was anything, the end included. Raises OSError."""
    data = exchange.stream.recv_now(limit - len(exchange.client_buffer))
    if data is None:
        return False
    if data:
        exchange.client_buffer += data
        seat = exchange.session.seat
        if seat is not None:
            seat.taken()
    else:
        exchange.inspection_final = True
    return True


async def tcp_response(exchange: Exchange, backend: Backend, up: Flow, down: Flow) -> None:
    """Mode tcp: keep what the server sends until the rules know, or the inspection delay is over; what the client sends goes on.

    What is kept goes into `down`. Raises Cut, OSError.
    """
    pump, server = exchange.world.pump, down.source
    rules = backend.rules
    deadline = pump.now + min(rules.inspect_response_s, backend.server_s)
    limit = Limits.of(exchange.world.config.globals).head_bytes_max
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
    down.held, exchange.response_buffer = exchange.response_buffer, b""
    if isinstance(verdict, CloseServer):
        down.limit = 0
        up.limit = 0
    _response_content(exchange, verdict)


def _receive_response(exchange: Exchange, server: Stream, limit: int) -> None:
    """Add what the server has sent to the buffer. Raises OSError."""
    data = server.recv_now(limit - len(exchange.response_buffer))
    if data:
        exchange.response_buffer += data
    elif data is not None:
        exchange.inspection_final = True


# --- responses ---------------------------------------------------------------------------------------------------------


async def response(exchange: Exchange, backend: Backend) -> Answer | None:
    """Run the rules on a server's response. An answer takes the response's place. Raises Cut."""
    frontend = exchange.frontend
    head = exchange.response_head
    assert head is not None
    if backend.rules.tcp_response:
        _response_content(exchange, inspect(backend.rules.tcp_response, exchange))
    captures = frontend.rules.captures
    if captures.response_lengths:
        exchange.response_captures = captures.of_response(head)
    if captures.cookie is not None:
        exchange.cookie_response_capture = captures.cookie_of_response(head)
    for rules in _both(exchange):
        if rules.http_response:
            answer = await _run_response(exchange, rules.http_response)
            if answer is not None:
                return answer
    after_response(exchange)
    return None


async def _run_response(exchange: Exchange, rules: CompiledRules) -> Answer | None:
    position = 0
    while True:
        found = evaluate(rules, exchange, position)
        if found is None or found[1] is ALLOW:
            exchange.rewriting_is_lenient = False
            return None
        position, verdict = found
        if isinstance(verdict, Respond):
            return answered(exchange, verdict, b"H")
        if isinstance(verdict, AwaitBody):
            await _wait_for_response_body(exchange, verdict)
        elif isinstance(verdict, Wait):
            await _sleep(exchange, exchange.world.pump.now + verdict.time_s)
        else:
            _response_content(exchange, verdict)


async def _wait_for_response_body(exchange: Exchange, verdict: AwaitBody) -> None:
    """Receive the response's body into the exchange's buffer, up to the buffer's size or the rule's time."""
    head, connection, pump = exchange.response_head, exchange.connection, exchange.world.pump
    assert head is not None and connection is not None
    deadline = pump.now + verdict.time_s
    limit = Limits.of(exchange.world.config.globals).head_bytes_max
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


def _response_content(exchange: Exchange, verdict: object) -> None:
    """A verdict about a response that is no answer. Raises Cut."""
    if isinstance(verdict, Drop):
        vanish(exchange.stream, verdict.ttl)
        raise Cut(b"PH", 0, "dropped_by_rule")
    if isinstance(verdict, Reject):
        exchange.frontend.tally.words[f.DRESP] += 1
        raise Cut(b"PD", 0, "response_rejected_by_rule")
    if isinstance(verdict, CloseServer):
        exchange.closes_server = True


def after_response(exchange: Exchange) -> None:
    """Run the http-after-response rules on whatever goes to the client. They cannot stop it: rewriting that fails is passed over."""
    for rules in _both(exchange):
        if rules.after_response:
            evaluate(rules.after_response, exchange)
            exchange.rewriting_is_lenient = False


def _both(exchange: Exchange) -> tuple[Rules, ...]:
    """The rules of the backend, then of the frontend; once where they are one."""
    frontend = exchange.frontend.rules
    routed = exchange.routed
    return (frontend,) if routed is None or routed.rules is frontend else (routed.rules, frontend)


# --- vanishing ---------------------------------------------------------------------------------------------------------


def vanish(stream: Stream, ttl: int | None) -> None:
    """Close the client's connection so that the client does not hear of it, as far as we may.

    With the privilege for it the kernel forgets the connection in silence (TCP_REPAIR). Else, or if a TTL is given, it sends a reset
    that the next router throws away.
    """
    sock = stream.sock
    if ttl is None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
            stream.abort()
            return
        except OSError:
            pass
    hops = ttl or 1
    for level, option in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)):
        try:
            sock.setsockopt(level, option, hops)
        except OSError:
            pass
    stream.abort()
