"""worker/http/repair.py, through the readers: what is completed, repaired, or refused before it is complete."""

from __future__ import annotations

import pytest

from common.errors import WireError
from worker.http.head import Limits, Options, Request, Response, parse_request, parse_response
from worker.http.rewrite import request_head, response_head

LIMITS = Limits()


def request(data: bytes, **options: bool) -> Request:
    found = parse_request(data, 0, LIMITS, Options(**options))
    assert found is not None and found[1] == len(data)
    return found[0]


def response(data: bytes, method: bytes = b"GET", upgrade: bool = False, **options: bool) -> Response:
    found = parse_response(data, 0, LIMITS, method, Options(**options), upgrade=upgrade)
    assert found is not None
    return found[0]


def refusal(data: bytes, limits: Limits = LIMITS, **options: bool) -> tuple[str, int]:
    with pytest.raises(WireError) as caught:
        parse_request(data, 0, limits, Options(**options))
    return caught.value.slug, caught.value.status


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01",
        b" GET",
        b"GET \xe9",
        b"GET / \x00",
        b"\x00",
        b"GET / HTTP/1.1\rHost",
        b"GET / http/1.1\r\n",
        b"GET /\r\n",
        b"a b c d",
    ],
)
def test_garbage_is_refused_before_its_head_is_complete(data: bytes) -> None:
    assert refusal(data)[1] == 400


@pytest.mark.parametrize("data", [b"hello", b"HTTX", b"HTTP/1.1 20\n", b"HTTP/1.1 200\x00", b"\r\nHTTP/1.1 200 OK\r\n"])
def test_no_status_line_is_refused_before_its_head_is_complete(data: bytes) -> None:
    with pytest.raises(WireError, match="bad_status_line") as caught:
        parse_response(data, 0, LIMITS, b"GET")
    assert caught.value.status == 502


REPAIRED = [  # received, forwarded
    (b"\r\n\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET / HTTP/1.1\r\nHost: a\nX:y\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"),
    (b"GET \t/  HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: y \r\n\t z\r\n \r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: y z\r\n\r\n"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01y\x0bz\x7f\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: y z\r\n\r\n"),
    (b"GET / HTTP/1.7\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 5\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"),
    (b"GET http://a HTTP/1.1\r\n\r\n", b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET http://A:80?q HTTP/1.1\r\nX: y\r\nHOST: a:\r\n\r\n", b"GET http://A/?q HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n"),
]


@pytest.mark.parametrize(("received", "forwarded"), REPAIRED)
def test_request_is_repaired_as_rfc_9112_allows(received: bytes, forwarded: bytes) -> None:
    assert request_head(request(received)) == forwarded


@pytest.mark.parametrize("received", [received for received, _ in REPAIRED[1:9] if b"1.7" not in received])
def test_strict_reader_repairs_nothing(received: bytes) -> None:
    assert refusal(received, strict=True)[1] == 400


def test_repaired_head_ends_where_it_was_received_to_end() -> None:
    found = parse_request(b"GET / HTTP/1.1\nHost: a\n\nrest\r\n\r\n", 0, LIMITS)
    assert found is not None and found[1] == 24


def test_response_is_repaired_as_rfc_9112_allows() -> None:
    read = response(b"HTTP/1.1 200\nX: y\n z\nContent-Length: 5, 5\n\nhello")
    assert response_head(read, 11, True) == b"HTTP/1.1 200 \r\nX: y z\r\nContent-Length: 5\r\n\r\n"


def test_unfinished_line_is_looked_at_only_at_its_beginning() -> None:
    assert parse_request(b"GET /" + b"a" * 1000 + b"\x00", 0, LIMITS) is None  # refused when its line is complete
    assert refusal(b"GET /" + b"a" * 1000 + b"\x00 HTTP/1.1\r\n")[1] == 400
    assert refusal(b"GET /" + b"a" * 100 + b"\x00")[1] == 400


def test_many_empty_lines_cost_little_and_end_at_the_limit() -> None:
    assert parse_request(b"\r\n" * 7000, 0, LIMITS) is None
    assert refusal(b"\r\n" * 8000) == ("head_too_big", 414)
