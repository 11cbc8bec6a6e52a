"""worker/http/rewrite.py and clean.py: what is forwarded of a head."""

from __future__ import annotations

import pytest

from worker.http.clean import clean_request, clean_response
from worker.http.framing import CHUNKED_BODY, CLOSE_BODY, NO_BODY, TUNNEL_BODY, BodyKind, BodyPlan
from worker.http.head import Limits, Request, Response, parse_request, parse_response
from worker.http.rewrite import body_to_client, request_head, response_head, without_coding

LIMITS = Limits()


def request(data: bytes) -> Request:
    found = parse_request(data, 0, LIMITS)
    assert found is not None
    return found[0]


def response(data: bytes, method: bytes = b"GET", upgrade: bool = False) -> Response:
    found = parse_response(data, 0, LIMITS, method, upgrade=upgrade)
    assert found is not None
    return found[0]


H = b"GET / HTTP/1.1\r\nHost: a\r\n"
P = b"POST / HTTP/1.1\r\nHost: a\r\n"

REQUESTS = [  # received, forwarded
    (H + b"X:y\r\n\r\n", H + b"X:y\r\n\r\n"),
    (H + b"Connection: keep-alive\r\nX: y\r\n\r\n", H + b"X: y\r\n\r\n"),
    (H + b"Connection: close\r\n\r\n", H + b"\r\n"),
    (H + b"connection:close\r\nX:y\r\n\r\n", H + b"X: y\r\n\r\n"),
    (H + b"Connection: X-Y, close\r\nX-Y: 1\r\nx-y: 2\r\nX-Z: 3\r\n\r\n", H + b"X-Z: 3\r\n\r\n"),
    (H + b"Connection: X-Y\r\nConnection: x-z\r\nX-Y: 1\r\nX-Z: 3\r\n\r\n", H + b"\r\n"),
    (H + b"Connection: Host, Content-Length\r\n\r\n", H + b"\r\n"),
    (P + b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n", P + b"Transfer-Encoding: chunked\r\n\r\n"),
    (H + b"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\r\n", H + b"\r\n"),
    (H + b"Connection: keep-alive\r\nKeep-Alive: 5\r\n\r\n", H + b"\r\n"),
    (H + b"TE: gzip, trailers;q=1, trailers\r\n\r\n", H + b"te: trailers\r\nconnection: te\r\n\r\n"),
    (H + b"TE: chunked\r\n\r\n", H + b"\r\n"),
    (H + b"Upgrade: websocket\r\n\r\n", H + b"\r\n"),
    (
        H + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        H + b"Sec-WebSocket-Version: 13\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    ),
    (H + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n", H + b"\r\n"),
    (H + b"HTTP2-Settings: AA\r\n\r\n", H + b"\r\n"),
    (P + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", P + b"Transfer-Encoding: chunked\r\n\r\n"),
    (P + b"Content-Length: 5\r\nX: y\r\nContent-Length: 5\r\n\r\n", P + b"Content-Length: 5\r\nX: y\r\n\r\n"),
    (P + b"Content-Length: 5,5\r\n\r\n", P + b"Content-Length: 5\r\n\r\n"),
    (P + b"Transfer-Encoding:\tchunked \r\n\r\n", P + b"Transfer-Encoding: chunked\r\n\r\n"),
    (P + b"Content-Length:5\r\nExpect: 100-continue\r\n\r\n", P + b"Content-Length:5\r\nExpect: 100-continue\r\n\r\n"),
    (b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", H + b"\r\n"),
    (b"GET / HTTP/1.0\r\nX: y\r\n\r\n", b"GET / HTTP/1.0\r\nX: y\r\nconnection: keep-alive\r\n\r\n"),
    (b"POST / HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", P + b"Content-Length: 5\r\n\r\n"),
    (b"GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
]


@pytest.mark.parametrize(("received", "forwarded"), REQUESTS)
def test_request_is_forwarded_without_what_ends_here(received: bytes, forwarded: bytes) -> None:
    read = request(received)
    assert request_head(read) == forwarded
    assert request_head(read) is request_head(read)
    added = b"X-Forwarded-For: 192.0.2.1\r\n"
    assert request_head(read, added) == forwarded[:-2] + added + b"\r\n"
    assert request_head(read, added, close=True) == forwarded[:-2] + added + b"connection: close\r\n\r\n"


@pytest.mark.parametrize("received", [received for received, _ in REQUESTS])
def test_quick_cleaning_drops_and_keeps_what_slow_cleaning_does(received: bytes) -> None:
    read = request(received)
    assert request(request_head(read)).fields == request(clean_request(read, read.fields)).fields


def test_plain_request_is_the_received_slice() -> None:
    read = request(H + b"X: y\r\n\r\n")
    assert request_head(read) is read.raw


R = b"HTTP/1.1 200 OK\r\n"

RESPONSES = [  # received, client version, keep, forwarded
    (R + b"Content-Length: 5\r\n\r\n", 11, True, R + b"Content-Length: 5\r\n\r\n"),
    (R + b"Content-Length: 5\r\n\r\n", 11, False, R + b"Content-Length: 5\r\nconnection: close\r\n\r\n"),
    (R + b"Content-Length: 5\r\n\r\n", 10, True, R + b"Content-Length: 5\r\nconnection: keep-alive\r\n\r\n"),
    (R + b"Content-Length: 5\r\n\r\n", 10, False, R + b"Content-Length: 5\r\nconnection: close\r\n\r\n"),
    (R + b"Connection: close\r\nContent-Length: 5\r\n\r\n", 11, True, R + b"Content-Length: 5\r\n\r\n"),
    (R + b"Connection: X-Y\r\nX-Y: 1\r\nKeep-Alive: 5\r\nContent-Length: 5\r\n\r\n", 11, True, R + b"Content-Length: 5\r\n\r\n"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 11, True, R + b"Content-Length: 5\r\n\r\n"),
    (R + b"X: y\r\n\r\n", 11, True, R + b"X: y\r\ntransfer-encoding: chunked\r\n\r\n"),
    (R + b"X: y\r\n\r\n", 10, False, R + b"X: y\r\nconnection: close\r\n\r\n"),
    (R + b"Transfer-Encoding: chunked\r\n\r\n", 11, True, R + b"Transfer-Encoding: chunked\r\n\r\n"),
    (R + b"Transfer-Encoding: chunked\r\nX: y\r\n\r\n", 10, False, R + b"X: y\r\nconnection: close\r\n\r\n"),
    (R + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 11, True, R + b"Transfer-Encoding: chunked\r\n\r\n"),
    (R + b"Content-Length: 5, 5\r\n\r\n", 11, True, R + b"Content-Length: 5\r\n\r\n"),
    (b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n", 11, True, b"HTTP/1.1 204 x\r\nX: y\r\n\r\n"),
    (b"HTTP/1.1 204 x\r\nContent-Length: 5\r\n\r\n", 11, True, b"HTTP/1.1 204 x\r\n\r\n"),
    (b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", 11, True, b"HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n"),
    (b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n", 11, False, b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n"),
]


@pytest.mark.parametrize(("received", "version", "keep", "forwarded"), RESPONSES)
def test_response_is_forwarded_without_what_ends_here(received: bytes, version: int, keep: bool, forwarded: bytes) -> None:
    read = response(received)
    assert response_head(read, version, keep) == forwarded
    assert b"X-Added: 1\r\n" in response_head(read, version, keep, b"X-Added: 1\r\n")
    assert clean_response(read, read.fields).startswith(b"HTTP/1.1 ")


def test_answer_to_head_keeps_how_the_body_would_be() -> None:
    chunked = response(R + b"Transfer-Encoding: chunked\r\n\r\n", b"HEAD")
    assert response_head(chunked, 11, True) == R + b"Transfer-Encoding: chunked\r\n\r\n"
    assert response_head(chunked, 10, True) == R + b"connection: keep-alive\r\n\r\n"
    assert response_head(response(R + b"\r\n", b"HEAD"), 11, True) == R + b"\r\n"


def test_switch_of_protocols_is_passed_on() -> None:
    read = response(
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade, X\r\nX: y\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", upgrade=True
    )
    assert response_head(read, 11, True) == b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
    assert response_head(read, 11, False) == response_head(read, 11, True)


def test_accepted_connect_has_no_length() -> None:
    read = response(R + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n", b"CONNECT")
    assert response_head(read, 11, True) == R + b"X: y\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "version", "wanted"),
    [
        (NO_BODY, 10, NO_BODY),
        (BodyPlan(BodyKind.LENGTH, 5), 10, BodyPlan(BodyKind.LENGTH, 5)),
        (CHUNKED_BODY, 11, CHUNKED_BODY),
        (CHUNKED_BODY, 10, CLOSE_BODY),
        (CLOSE_BODY, 11, CHUNKED_BODY),
        (CLOSE_BODY, 10, CLOSE_BODY),
        (TUNNEL_BODY, 11, TUNNEL_BODY),
    ],
)
def test_body_is_delimited_as_the_client_can_read(body: BodyPlan, version: int, wanted: BodyPlan) -> None:
    assert body_to_client(body, version) == wanted


def test_coding_line_is_cut_wherever_it_stands() -> None:
    assert without_coding(R + b"A: b\r\ntransfer-encoding:Chunked\r\nX: Transfer-Encoding: y\r\n\r\n") == (
        R + b"A: b\r\nX: Transfer-Encoding: y\r\n\r\n"
    )
