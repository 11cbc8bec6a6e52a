"""HTTP facts of raw bytes: a request, one that may become one, and what never will."""

from __future__ import annotations

import pytest

from worker.http.head import Limits, RequestReader
from worker.raw_exchange import RawExchange


class Frontend:
    reader = RequestReader(Limits())


def received(data: bytes) -> RawExchange:
    exchange = RawExchange.__new__(RawExchange)
    exchange.frontend = Frontend()  # type: ignore[assignment]
    exchange.client_buffer = data
    return exchange


def ask(exchange: RawExchange) -> bool:
    """As a fetch does: without a request it says that it is undecided. Whether that stands."""
    exchange.undecided = False
    if exchange.request is None:
        exchange.undecided = True
    return exchange.undecided


WHOLE = b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"


def test_whole_request_is_read_with_what_is_here_of_its_body() -> None:
    exchange = received(WHOLE)
    assert exchange.request is not None
    assert (exchange.request.method, exchange.request.values(b"host"), exchange.request_body) == (b"POST", [b"a"], b"hel")
    assert not ask(exchange)


@pytest.mark.parametrize("data", [b"", b"G", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\n", b"\r\n"])
def test_what_may_become_a_request_is_waited_for(data: bytes) -> None:
    exchange = received(data)
    assert exchange.request is None and exchange.request_body == b""
    assert ask(exchange)


@pytest.mark.parametrize("data", [b"\x16\x03\x01", b"hello world\r\n", b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n", b"SSH-2.0-x\r\n"])
def test_what_never_becomes_a_request_is_not_waited_for(data: bytes) -> None:
    exchange = received(data)
    assert exchange.request is None
    assert not ask(exchange)


def test_other_fetches_may_still_wait() -> None:
    exchange = received(b"\x16\x03\x01")
    ask(exchange)
    exchange.undecided = False
    exchange.undecided = True  # e.g. req.ssl_sni: the hello is not whole
    assert exchange.undecided


def test_every_chunk_is_looked_at_anew() -> None:
    exchange = received(b"")
    seen = []
    for end in range(1, len(WHOLE) + 1):
        exchange.client_buffer = WHOLE[:end]
        seen.append(exchange.request is not None)
    head = WHOLE.index(b"\r\n\r\n") + 4
    assert seen == [end >= head for end in range(1, len(WHOLE) + 1)]
