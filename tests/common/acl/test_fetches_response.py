from __future__ import annotations

import pytest

from common.acl.absent import AbsentTimers
from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeExchange, environment, facts, proxy, request, response, sample


class Timers(AbsentTimers):
    handshake: float | None = 0.010
    idle: float | None = 0.005
    request: float | None = 0.001
    queue: float | None = 0.020
    connect: float | None = 0.002
    response: float | None = 0.100
    total: float | None = 0.238


def done() -> FakeExchange:
    captures = [b"curl", None]
    return facts(
        request=request(), response=response(503), server_status=500, request_line=b"POST http://h/p?q HTTP/1.0", request_captures=captures,
        response_captures=(b"nginx",), unique_id=b"id-1", retries=2, redispatched=True, termination=b"SD", persistence_state=b"NI",
        bytes_in=120, bytes_out=3400, request_after=1.25, timers=Timers(),
    ).with_session(accept_date=999.5, frontend=proxy(mode="http"))  # fmt: skip


@pytest.mark.parametrize(
    "text, result",
    [
        ("status", 503),
        ("txn.status", 503),
        ("server_status", 500),
        ("res.ver", b"1.1"),
        ("resp_ver", b"1.1"),
        ("capture.req.hdr(0)", b"curl"),
        ("capture.req.hdr(1)", None),
        ("capture.req.hdr(2)", None),
        ("capture.res.hdr(0)", b"nginx"),
        ("capture.req.method", b"POST"),
        ("capture.req.uri", b"/p?q"),
        ("capture.req.ver", b"HTTP/1.0"),
        ("capture.res.ver", b"HTTP/1.1"),
        ("unique-id", b"id-1"),
        ("txn.conn_retries", 2),
        ("txn.redispatched", True),
        ("txn.sess_term_state", b"SDNI"),
        ("bytes_in", 120),
        ("req.bytes_in", 120),
        ("bytes_out", 3400),
        ("accept_date", 999),
        ("accept_date(ms)", 999500),
        ("request_date(us)", 1000750000),
        ("fc.timer.handshake", 10),
        ("req.timer.idle", 5),
        ("req.timer.hdr", 1),
        ("req.timer.tq", 16),
        ("req.timer.queue", 20),
        ("bc.timer.connect", 2),
        ("res.timer.hdr", 100),
        ("res.timer.data", 100),
        ("txn.timer.total", 223),
        ("txn.timer.user", 233),
        ("fc.timer.total", 238),
    ],
)
def test_when_all_is_done(text: str, result: object) -> None:
    assert sample(text, done(), Where.LOG) == result


@pytest.mark.parametrize(
    "text",
    [
        "status",
        "server_status",
        "res.ver",
        "capture.req.hdr(0)",
        "capture.res.hdr(0)",
        "capture.req.method",
        "capture.req.uri",
        "capture.req.ver",
        "capture.res.ver",
        "unique-id",
        "req.timer.hdr",
        "bc.timer.connect",
        "res.timer.data",
        "txn.timer.total",
    ],
)
def test_when_nothing_has_happened(text: str) -> None:
    assert sample(text, facts(), Where.LOG) is None


def test_the_end_of_a_tcp_session_has_two_letters() -> None:
    exchange = facts(termination=b"CD").with_session(frontend=proxy())
    assert sample("txn.sess_term_state", exchange, Where.LOG) == b"CD"


@pytest.mark.parametrize("text", ["status", "res.ver"])
def test_a_status_that_may_come_leaves_the_last_word_open(text: str) -> None:
    exchange = facts(request=request())
    assert sample(text, exchange, Where.RESPONSE_CONTENT) is None
    assert exchange.undecided


def test_a_malformed_request_line_has_no_parts() -> None:
    assert sample("capture.req.method", facts(request_line=b"<BADREQ>"), Where.LOG) is None


@pytest.mark.parametrize("text", ["status", "res.ver", "capture.res.hdr(0)"])
def test_no_response_is_asked_for_before_there_is_one(text: str) -> None:
    with pytest.raises(ExpressionError, match="the response"):
        compile_expression(text, environment(Where.REQUEST))
