from __future__ import annotations

import pytest

from common.acl.environment import Where
from tests.common.acl.fakes import facts, request, response, sample, samples

BODY = b"a=1&b=x%20y&A=2&a=3&flag"
EXCHANGE = facts(
    request=request(), response=response(), request_body=BODY, request_body_size=500, response_body=b"hello", response_body_size=5
)


@pytest.mark.parametrize(
    "text, result",
    [
        ("req.body", BODY),
        ("req.body_len", len(BODY)),
        ("req.body_size", 500),
        ("req.body_param(a)", b"1"),
        ("req.body_param(A)", b"2"),
        ("req.body_param(B,i)", b"x%20y"),
        ("req.body_param(flag)", None),
        ("req.body_param(none)", None),
        ("req.body_param", b"1"),
    ],
)
def test_request_bodies(text: str, result: object) -> None:
    assert sample(text, EXCHANGE) == result


@pytest.mark.parametrize("text, result", [("res.body", b"hello"), ("res.body_len", 5), ("res.body_size", 5)])
def test_response_bodies(text: str, result: object) -> None:
    assert sample(text, EXCHANGE, Where.RESPONSE) == result


def test_in_acls_all_parameters_of_a_name_are_tried() -> None:
    assert samples("req.body_param(a)", EXCHANGE) == [b"1", b"3"]
    assert samples("req.body_param(a,i)", EXCHANGE) == [b"1", b"2", b"3"]
    assert samples("req.body_param(a)", facts(request=request())) == []


@pytest.mark.parametrize(
    "text", ["req.body", "req.body_len", "req.body_size", "req.body_param(a)", "res.body", "res.body_len", "res.body_size"]
)
def test_without_a_message_the_last_word_is_open(text: str) -> None:
    exchange = facts()
    assert sample(text, exchange, Where.RESPONSE) is None if text.startswith("res") else sample(text, exchange) is None
    assert exchange.undecided
