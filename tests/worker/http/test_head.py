"""worker/http/head.py: what is accepted, what it means, what is refused with which status."""

from __future__ import annotations

import pytest

from worker.http.framing import NO_BODY
from worker.http.head import Limits, RequestReader, parse_request

LIMITS = Limits()


def test_small_request_is_understood() -> None:
    data = b"GET /a?b HTTP/1.1\r\nHost: example.net\r\nX-A:  1 \r\nx-a: 2\r\n\r\nrest"
    found = parse_request(data, 0, LIMITS)
    assert found is not None
    request, end = found
    assert (request.method, request.target, request.version, request.host) == (b"GET", b"/a?b", 11, b"example.net")
    assert data[end:] == b"rest"
    assert request.fields == [(b"Host", b"example.net"), (b"X-A", b"1"), (b"x-a", b"2")]
    assert request.values(b"x-a") == [b"1", b"2"]
    assert request.first(b"x-b") is None
    assert request.body is NO_BODY and request.keep_alive and request.forwarded is request.raw


def test_known_head_gives_the_same_object() -> None:
    reader = RequestReader(LIMITS)
    data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    first, second = reader.parse(data), reader.parse(b"xx" + data, 2)
    assert first is not None and second is not None and first[0] is second[0]


@pytest.mark.parametrize("cut", range(len(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")))
def test_unfinished_head_needs_more(cut: int) -> None:
    assert parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[:cut], 0, LIMITS) is None
