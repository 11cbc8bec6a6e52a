from __future__ import annotations

import pytest

from common.errors import WireError
from worker.http.head import Limits, Options, parse_request, parse_response
from worker.http.rewrite import request_head, response_head

LIMITS = Limits()
ACCEPTING = Options(accept_invalid=True)

REQUESTS = [  # received, forwarded
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET /caf\xc3\xa9 HTTP/1.1\nHost: a\nX:y\n\n", b"GET /caf%C3%A9 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"),
    (b"GET /#x HTTP/1.0\r\n\r\n", b"GET /#x HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"),
    (
        b"GET / HTTP/1.1\r\nX[a]@\xe9: \x01y \r\nHost: a\r\nY: z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nY: z\r\nX[a]@\xe9: y\r\n\r\n",
    ),
]


@pytest.mark.parametrize(("received", "forwarded"), REQUESTS)
def test_h11_reads_what_the_grammar_refuses(received: bytes, forwarded: bytes) -> None:
    with pytest.raises(WireError):
        parse_request(received, 0, LIMITS)
    found = parse_request(received + b"rest", 0, LIMITS, ACCEPTING)
    assert found is not None
    assert request_head(found[0]) == forwarded
    assert found[1] == len(received)


@pytest.mark.parametrize(
    "data",
    [
        b"GET /#x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /#x HTTP/1.1\r\nX: y\r\n\r\n",
        b"GET /#x HTTP/1.1\r\nHost: a, b\r\n\r\n",
        b"GET x#x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX@: y\r\n z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX@: y\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX@: y\rz\r\n\r\n",
        b"GET /#x HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
        b"GET /#x HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n",
        b"POST /#x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/3.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_h11_refuses_stays_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        parse_request(data, 0, LIMITS, ACCEPTING)


def test_framing_rules_hold_for_what_h11_read() -> None:
    data = b"POST /#x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: X\r\nX: y\r\n\r\n"
    found = parse_request(data, 0, LIMITS, ACCEPTING)
    assert found is not None and found[0].faulty and not found[0].keep_alive
    assert request_head(found[0]) == b"POST /#x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_strict_wins_over_lenient() -> None:
    with pytest.raises(WireError):
        parse_request(b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 0, LIMITS, Options(strict=True, accept_invalid=True))


def test_response_is_read_by_h11() -> None:
    data = b"HTTP/1.1 200 O\x01K\r\nX@: y\r\nContent-Length: 5\r\n\r\n"
    with pytest.raises(WireError):
        parse_response(data, 0, LIMITS, b"GET")
    found = parse_response(data + b"hello", 0, LIMITS, b"GET", ACCEPTING)
    assert found is not None and found[1] == len(data)
    assert response_head(found[0], 11, True) == b"HTTP/1.1 200 O K\r\nContent-Length: 5\r\nX@: y\r\n\r\n"


@pytest.mark.parametrize("data", [b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", b"ICY 200 OK\r\n\r\n"])
def test_response_that_h11_refuses_stays_refused(data: bytes) -> None:
    with pytest.raises(WireError) as caught:
        parse_response(data, 0, LIMITS, b"GET", ACCEPTING)
    assert caught.value.status == 502
