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
from common.observe import fields as f
from worker import statistics
from worker.client_facts import ClientFacts
from worker.cut import Cut
from worker.http.answers import Answer, built_in
from worker.http.editor import clean_value
from worker.http.framing import NO_BODY
from worker.http.redirect import Redirect
from worker.inspection import buffer_request, inspect_body, inspect_request, inspect_response, wait_for_body, wait_for_response_body
from worker.route.evaluate import WAIT, CompiledRules, evaluate, inspect
from worker.route.page import StatisticsPage
from worker.route.verdicts import (
    ALLOW,
    AwaitBody,
    Cause,
    CloseServer,
    Delay,
    Drop,
    Refuse,
    Reject,
    Respond,
    Serve,
    SwitchToHttp,
    Verdict,
    Wait,
)
from worker.socket_options import vanish
from worker.steps import Step

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange
    from worker.route.rules import Rules
    from worker.session import Session

_TO_SERVER = Redirect("prefix")


# --- before there is a request -------------------------------------------------------------------------------------------


def admit(session: Session, rules: CompiledRules) -> bool:
    """Run `tcp-request connection` or `session` rules. False: the connection is refused, and nobody logs it. Raises Withdrawn."""
    found = evaluate(rules, ClientFacts(session))
    if found is None or found[1] is ALLOW:
        return True
    if session.seat is not None:
        session.seat.claim()
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
        await buffer_request(exchange)
    for ruleset in (rules.http_request, rules.names, rules.page, rules.redirects):
        if isinstance(ruleset, StatisticsPage):
            asked = exchange.request
            if asked is not None and ruleset.is_asked(asked.method, asked.target):
                return await _statistics(exchange, ruleset)
        elif ruleset:
            found = evaluate(ruleset, exchange)
            if found is not None or exchange.early_hints is not None or exchange.rewriting_is_lenient:
                answer = await _run_on(exchange, ruleset, found)
                if answer is not None:
                    return answer
    return None


async def _statistics(exchange: Exchange, page: StatisticsPage) -> Answer:
    """The statistics page, or what its own rules say to this client. Raises Cut."""
    said = await statistics.serve_page(exchange, page)
    if isinstance(said, Answer):
        return said
    assert isinstance(said, Respond), "stats http-request knows allow, deny and auth"
    answer = answered(exchange, said)
    if exchange.slug == "auth_required":
        exchange.slug = "statistics_auth"
    return answer


async def _run_on(exchange: Exchange, rules: CompiledRules, found: tuple[int, Verdict] | None) -> Answer | None:
    """Go on from what http-request rules have found, until one answers or all have run. Raises Cut."""
    while True:
        if exchange.early_hints is not None:
            await _send_hints(exchange)
        if found is None or found[1] is ALLOW:
            exchange.rewriting_is_lenient = False
            return None
        position, verdict = found
        if isinstance(verdict, Respond):
            return answered(exchange, verdict)
        if isinstance(verdict, Serve):
            return await statistics.serve_metrics(exchange)
        if isinstance(verdict, Delay):
            return await _tarpit(exchange, verdict)
        await _obey(exchange, verdict)
        found = evaluate(rules, exchange, position)


async def _obey(exchange: Exchange, verdict: Verdict | None, rejected: str = "rejected") -> None:
    """A verdict that is no answer: nothing, or wait, or raise Cut. rejected: the reason for a Reject."""
    if isinstance(verdict, AwaitBody | Wait):
        await _wait(exchange, verdict)
    elif isinstance(verdict, Drop):
        vanish(exchange.stream, verdict.ttl)
        exchange.request_at = None  # for the log nothing was asked
        raise Cut(b"PR", 0, "silently_dropped")
    elif isinstance(verdict, Refuse):
        exchange.request_at = None  # what cannot be understood was never complete: TR is none
        raise Cut(b"PR", verdict.status, "refused")
    elif isinstance(verdict, Reject):
        exchange.request_at = None
        raise Cut(b"PR", 0, rejected)


async def _wait(exchange: Exchange, verdict: AwaitBody | Wait) -> None:
    """What a rule waits for. Raises Cut when it does not come."""
    now = exchange.world.pump.now
    place = exchange.current_rule
    exchange.waiting_for = f"{place.file}:{place.line}" if place is not None else ""
    if isinstance(verdict, Wait):
        await _sleep(exchange, now + verdict.time_s)
    elif not await wait_for_body(exchange, now + verdict.time_s, verdict.at_least_bytes):
        raise Cut(b"cR", 408, "wait_body_timeout")
    exchange.waiting_for = ""


def answered(exchange: Exchange, verdict: Respond, phase: bytes = b"R") -> Answer:
    """A rule answers: note why, count it."""
    cause = verdict.cause
    exchange.termination = cause.letter + phase
    exchange.slug = _reason(verdict, phase)
    if phase == b"H":
        exchange.response_at = None  # the server's response was not used: logs give no time for it
    count = {Cause.SERVED: f.INTERCEPTED, Cause.DENIED: f.DRESP if phase == b"H" else f.DREQ, Cause.FAILED: f.EINT}[cause]
    _count(exchange, count)
    return verdict.answer


def _count(exchange: Exchange, word: int) -> None:
    """At the frontend, and at whoever was to serve the request."""
    tally = exchange.frontend.tally
    tally.words[word] += 1
    tally.touch()
    served_by = exchange.leased or exchange.routed
    if served_by is not None:
        served_by.tally.words[word] += 1
        served_by.tally.touch()


def _reason(verdict: Respond, phase: bytes) -> str:
    """The slug of a rule's answer (common/observe/reasons_local.py)."""
    status = verdict.answer.status
    if verdict.cause is Cause.FAILED:
        return "rule_failed"
    if verdict.cause is Cause.DENIED:
        return {b"H": "response_denied", b"T": "tarpitted"}.get(phase, "denied")
    if phase == b"H":
        return "response_replaced"
    if status in (401, 407):
        return "auth_required"
    return "redirected" if 300 <= status < 400 and status != 304 else "returned"


async def _tarpit(exchange: Exchange, verdict: Delay) -> Answer:
    """Keep the client waiting, if it does not close; then the answer."""
    pump = exchange.world.pump
    exchange.step = Step.TARPIT
    exchange.waiting_since = pump.now
    limit_s = exchange.timeout("tarpit") or exchange.timeout("connect") or exchange.client_s
    await _sleep(exchange, pump.now + limit_s, until_closed=True)
    exchange.queued_at = pump.now  # the time spent here is Tw in logs, and TR is none
    exchange.request_at = None
    return answered(exchange, Respond(verdict.answer, Cause.DENIED), b"T")


async def _sleep(exchange: Exchange, deadline: float, *, until_closed: bool = False) -> None:
    """Until the deadline, or until the client closes its side. Raises OSError when it resets the connection."""
    stream = exchange.stream
    try:
        while not (until_closed and stream.ended):
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
        await exchange.stream.send(data, exchange.world.pump.now + exchange.client_s)


def _monitored(exchange: Exchange, rules: Rules) -> Answer:
    """`monitor-uri`: how we are, for whoever watches us; never logged."""
    assert rules.monitor is not None
    exchange.log_level = -1
    _count(exchange, f.INTERCEPTED)
    exchange.termination = b"LR"
    status = 503 if rules.monitor.fails(exchange) else 200
    exchange.slug = "monitor" if status == 200 else "monitor_fail"
    return exchange.error_answer(status) if status != 200 else exchange.frontend.errors.find(200, exchange) or built_in(200)


# --- contents ----------------------------------------------------------------------------------------------------------


def redirection(exchange: Exchange, backend: Backend) -> Answer | None:
    """`server … redir`: clients that only want to read go there themselves. The server that is chosen here stays chosen."""
    request = exchange.request
    server = exchange.leased = exchange.leased or backend.choose(exchange, exchange.excluded)
    if request is None or server is None or not server.model.redir or request.method not in (b"GET", b"HEAD"):
        return None
    exchange.termination = b"LR"
    return _TO_SERVER.answer(server.model.redir.encode(), request)


async def _content(exchange: Exchange, rules: Rules) -> None:
    """`tcp-request content` rules on an HTTP request, whose head is here. Raises Cut."""
    exchange.inspection_final = not rules.inspect_request_s
    verdict = inspect(rules.tcp_request, exchange)
    if verdict is WAIT:
        verdict = await inspect_body(exchange, rules)
    exchange.inspection_final = True
    if isinstance(verdict, Verdict):
        await _obey(exchange, verdict, "content_rejected")


async def tcp(exchange: Exchange) -> Backend | None:
    """Mode tcp: content rules of the frontend, the backend, content rules of the backend. None: from here on it is HTTP. Raises Cut."""
    frontend = exchange.frontend
    rules = frontend.rules
    if rules.captures.wanted:
        exchange.request_captures = rules.captures.of_request(None)
    if rules.tcp_request:
        verdict = await inspect_request(exchange, rules)
        if isinstance(verdict, SwitchToHttp):
            return None
        await _obey(exchange, verdict, "content_rejected")
    backend: Backend | None = rules.choose_backend(exchange) if rules.switching else frontend.default_backend
    if backend is None:
        raise Cut(b"SC", 0, "no_backend")
    if backend.is_http and not frontend.is_http:
        return None
    exchange.routed = backend
    backend.connections += 1
    if backend.rules is not rules and backend.rules.tcp_request:
        await _obey(exchange, await inspect_request(exchange, backend.rules), "content_rejected")
    return backend


async def tcp_response(exchange: Exchange, backend: Backend, up: Flow, down: Flow) -> None:
    """Mode tcp: content rules on what the server sends first; `down` has it then. Raises Cut, OSError."""
    _response_content(exchange, await inspect_response(exchange, backend, up, down))


# --- responses ---------------------------------------------------------------------------------------------------------


async def response(exchange: Exchange, backend: Backend) -> Answer | None:
    """Run the rules on a server's response. An answer takes the response's place. Raises Cut."""
    frontend = exchange.frontend
    head = exchange.response_head
    assert head is not None
    exchange.forget_request_variables()
    if backend.stickiness is not None:
        backend.stickiness.responded(exchange)
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
    if backend.stickiness is not None:
        backend.stickiness.answered(exchange)
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
            await wait_for_response_body(exchange, verdict)
        elif isinstance(verdict, Wait):
            await _sleep(exchange, exchange.world.pump.now + verdict.time_s)
        else:
            _response_content(exchange, verdict)


def _response_content(exchange: Exchange, verdict: object) -> None:
    """A verdict about a response that is no answer. Raises Cut."""
    if isinstance(verdict, Drop | Reject):
        # Nobody hears of this response.
        exchange.status = exchange.response_at = exchange.response_head = exchange.response_editor = None
    if isinstance(verdict, Drop):
        vanish(exchange.stream, verdict.ttl)
        raise Cut(b"PH", 0, "silently_dropped")
    if isinstance(verdict, Reject):
        _count(exchange, f.DRESP)
        raise Cut(b"PD", 0, "response_denied")
    if isinstance(verdict, CloseServer):
        exchange.closes_server = True


def after_response(exchange: Exchange) -> None:
    """Run the http-after-response rules on whatever goes to the client. They cannot stop it: rewriting that fails is passed over."""
    exchange.forget_request_variables()
    for rules in _both(exchange):
        if rules.after_response:
            exchange.rewriting_is_lenient = True
            evaluate(rules.after_response, exchange)
            exchange.rewriting_is_lenient = False


def _both(exchange: Exchange) -> tuple[Rules, ...]:
    """The rules of the backend, then of the frontend; once where they are one."""
    frontend = exchange.frontend.rules
    routed = exchange.routed
    return (frontend,) if routed is None or routed.rules is frontend else (routed.rules, frontend)
