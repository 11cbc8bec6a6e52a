"""Field names as bogus peers insist on them."""

from __future__ import annotations

import pytest

from worker.http.spelling import respelled, spelling_of

SPELLING = spelling_of((("content-length", "Content-Length"), ("x-a", "X-A")))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"GET / HTTP/1.1\r\ncontent-length: 1\r\nother: x\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: 1\r\nother: x\r\n\r\n"),
        (
            b"GET / HTTP/1.1\r\nCONTENT-length:1\r\nx-A: 2\r\nx-a: 3\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length:1\r\nX-A: 2\r\nX-A: 3\r\n\r\n",
        ),
        (
            b"GET /content-length: HTTP/1.1\r\nhost: content-length:\r\n\r\n",
            b"GET /content-length: HTTP/1.1\r\nhost: content-length:\r\n\r\n",
        ),
        (b"GET / HTTP/1.1\r\nx-a-b: 1\r\nmy-x-a: 2\r\n\r\n", b"GET / HTTP/1.1\r\nx-a-b: 1\r\nmy-x-a: 2\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_only_names_change(head: bytes, expected: bytes) -> None:
    assert respelled(head, SPELLING) == expected
