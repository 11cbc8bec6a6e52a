"""A body as far as it lies in a buffer."""

from __future__ import annotations

import pytest

from worker.http.buffered import body_so_far
from worker.http.framing import CHUNKED_BODY, CLOSE_BODY, NO_BODY, BodyKind, BodyPlan

FIVE = BodyPlan(BodyKind.LENGTH, 5)

CASES = [
    (NO_BODY, b"", b"", True),
    (NO_BODY, b"GET /next", b"", True),
    (FIVE, b"", b"", False),
    (FIVE, b"hel", b"hel", False),
    (FIVE, b"hello", b"hello", True),
    (FIVE, b"hello, next", b"hello", True),
    (CHUNKED_BODY, b"", b"", False),
    (CHUNKED_BODY, b"5\r\nhel", b"hel", False),
    (CHUNKED_BODY, b"5\r\nhello\r\n0\r\n", b"hello", False),
    (CHUNKED_BODY, b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\nGET", b"hello!", True),
    (CHUNKED_BODY, b"nonsense\r\n", b"", True),
    (CLOSE_BODY, b"some", b"some", False),
]


@pytest.mark.parametrize(("plan", "buffer", "body", "whole"), CASES)
def test_body_so_far(plan: BodyPlan, buffer: bytes, body: bytes, whole: bool) -> None:
    assert body_so_far(plan, buffer) == (body, whole)
