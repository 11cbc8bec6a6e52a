from __future__ import annotations

import itertools
import os
import socket
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.errors import WireError
from tests.common.net.driving import Driver, receive_all, reset
from worker.body import Body, request_body, response_body
from worker.http.chunked import encode_chunk
from worker.http.framing import CHUNKED_BODY, CLOSE_BODY, NO_BODY, BodyKind, BodyPlan

LENGTH = BodyKind.LENGTH


class Way:
    """A body under way: the peer that sends it, the peer that gets it."""

    def __init__(self, driver: Driver, *, tcp: bool = False) -> None:
        self.driver = driver
        self.source, self.sender = driver.pair(tcp=tcp)
        self.target, self.receiver = driver.pair()
        self.source.watch()
        self.found = b""

    def feed(self, body: Body, data: bytes) -> None:
        """Send, and let the body go as far as it can."""
        rest = memoryview(data)
        while True:
            if rest:
                try:
                    rest = rest[self.sender.send(rest) :]
                except BlockingIOError:
                    pass
            self.driver.pump.turn(0.0005)
            body.step()
            self.found += receive_all(self.receiver)
            if not rest and (self.source.drained or body.done) and not body.waiting:
                return

    def finish(self, body: Body) -> None:
        for _ in range(1000):
            self.driver.pump.turn(0.002)
            body.step()
            self.found += receive_all(self.receiver)
            if body.done:
                return
        raise AssertionError("it does not end")


def chunked(*pieces: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\n" + trailers + b"\r\n"


# --- as it is ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("splice", [False, True])
@pytest.mark.parametrize("here", [0, 1, 50, 100, 150])
def test_length_takes_its_bytes_and_leaves_the_next_message(driver: Driver, here: int, splice: bool) -> None:
    way = Way(driver)
    data = os.urandom(100) + b"GET /next HTTP/1.1\r\n\r\n" + b"x" * 100
    body = request_body(way.source, way.target, BodyPlan(LENGTH, 100), splice=splice)
    body.begin(b"head|", data[:here])
    way.feed(body, data[here:])
    assert body.done and body.complete
    assert way.found == b"head|" + data[:100]
    way.source.drained = False
    assert body.leftover + (way.source.recv_now() or b"") == data[100:]


@pytest.mark.parametrize("plan", [BodyPlan(LENGTH, 100), CHUNKED_BODY])
def test_body_that_is_cut_is_not_complete(driver: Driver, plan: BodyPlan) -> None:
    way = Way(driver)
    body = request_body(way.source, way.target, plan)
    body.begin(b"", b"32\r\nhello"[: 0 if plan.kind is LENGTH else None])
    way.feed(body, b" world")
    way.sender.close()
    way.finish(body)
    assert body.done and not body.complete


def test_close_ends_with_the_connection(driver: Driver) -> None:
    way = Way(driver)
    body = response_body(way.source, way.target, CLOSE_BODY, CLOSE_BODY)
    body.begin(b"head|", b"first ")
    way.feed(body, b"second")
    assert not body.done
    way.sender.close()
    way.finish(body)
    assert body.complete and way.found == b"head|first second"


def test_rest_of_a_head_without_a_body_reads_nothing(driver: Driver) -> None:
    """What the client sends behind a GET is its next request: it must never follow the first one to the server as it is."""
    way = Way(driver)
    way.sender.send(b"GET /smuggled HTTP/1.1\r\n\r\n")
    body = request_body(way.source, way.target, NO_BODY)
    body.begin(b"rest of the head\r\n\r\n", b"")
    body.step()
    assert body.done and body.complete
    assert receive_all(way.receiver) == b"rest of the head\r\n\r\n"
    driver.settle()
    assert way.source.recv_now() == b"GET /smuggled HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("plan", [BodyPlan(LENGTH, 1000), CHUNKED_BODY, CLOSE_BODY], ids=lambda plan: plan.kind.value)
@pytest.mark.parametrize("out", [CLOSE_BODY, CHUNKED_BODY], ids=["as it is", "chunked"])
def test_failure_tells_whose_it_is(driver: Driver, plan: BodyPlan, out: BodyPlan) -> None:
    """A client that resets in the middle of its upload is no fault of the server's, and the other way round."""
    way = Way(driver, tcp=True)
    body = response_body(way.source, way.target, plan, out if plan is CLOSE_BODY else plan)
    body.begin(b"", b"")
    way.feed(body, b"5\r\nhello\r\n")
    reset(way.sender)
    with pytest.raises(OSError):
        way.finish(body)
    assert body.failed is way.source
    way = Way(driver, tcp=True)
    body = response_body(way.source, way.target, plan, out if plan is CLOSE_BODY else plan)
    body.begin(b"", b"")
    way.receiver.close()
    way.sender.send(b"5\r\nhello\r\n")
    with pytest.raises(OSError):
        for _ in range(100):
            driver.pump.turn(0.002)
            body.step()
    assert body.failed is way.target


# --- chunked -----------------------------------------------------------------------------------------------------------


def feed_split(driver: Driver, data: bytes, cuts: list[int], *, decode: bool, here: int) -> tuple[bytes, bytes]:
    """Give data in pieces, the first `here` bytes with the head: (what arrived, what was left over)."""
    way = Way(driver)
    body = response_body(way.source, way.target, CHUNKED_BODY, CLOSE_BODY if decode else CHUNKED_BODY)
    body.begin(b"", data[:here])
    edges = sorted({here, len(data), *(here + cut % max(1, len(data) - here) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        way.feed(body, data[start:end])
        if body.done:
            way.source.drained = False
            return way.found + receive_all(way.receiver), body.leftover + (way.source.recv_now() or b"") + data[end:]
    body.step()
    assert body.done and body.complete
    return way.found + receive_all(way.receiver), body.leftover


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=5),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
    here=st.integers(0, 50),
    decode=st.booleans(),
    trailers=st.sampled_from([b"", b"X-Check: 1\r\n"]),
    behind=st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]),
)
def test_chunked_in_any_splits(
    driver: Driver, pieces: list[bytes], cuts: list[int], here: int, decode: bool, trailers: bytes, behind: bytes
) -> None:
    data = chunked(*pieces, trailers=trailers)
    found, left = feed_split(driver, data + behind, cuts, decode=decode, here=min(here, len(data)))
    content = b"".join(pieces)
    assert (found if decode else read_chunked(found)) == content
    assert left == behind


def read_chunked(data: bytes) -> bytes:
    """An independent reader of chunks, which takes nothing but well-formed ones."""
    content = b""
    while True:
        size_line, _, data = data.partition(b"\r\n")
        size = int(size_line.partition(b";")[0], 16)
        if not size:
            assert data.endswith(b"\r\n")
            return content
        content += data[:size]
        assert data[size : size + 2] == b"\r\n"
        data = data[size + 2 :]


@pytest.mark.parametrize("decode", [False, True])
def test_large_chunked_body_to_a_slow_reader_arrives_whole(driver: Driver, decode: bool) -> None:
    way = Way(driver)
    pieces = [os.urandom(size) for size in (1, 100_000, 65536, 700_000, 3)]
    body = response_body(way.source, way.target, CHUNKED_BODY, CLOSE_BODY if decode else CHUNKED_BODY)
    body.begin(b"", b"")
    way.feed(body, chunked(*pieces, extension=b";a=b"))
    way.finish(body)
    found = way.found + receive_all(way.receiver)
    assert zlib.crc32(found if decode else read_chunked(found)) == zlib.crc32(b"".join(pieces))


@pytest.mark.parametrize("data", [b"zz\r\n", b"-1\r\n", b"5\r\nhello!", b"5\nhello\n", b"0\r\nX\0: 1\r\n\r\n"])
@pytest.mark.parametrize("comes", ["with the head", "later"])
def test_chunks_that_are_none_are_refused(driver: Driver, data: bytes, comes: str) -> None:
    way = Way(driver)
    body = request_body(way.source, way.target, CHUNKED_BODY)
    if comes == "later":
        body.begin(b"", b"")
        with pytest.raises(WireError):
            way.feed(body, data)
    else:
        with pytest.raises(WireError):
            body.begin(b"", data)


# --- made chunked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("here", [b"", b"first "])
def test_body_that_ends_with_its_connection_is_made_chunked(driver: Driver, here: bytes) -> None:
    way = Way(driver)
    body = response_body(way.source, way.target, CLOSE_BODY, CHUNKED_BODY)
    body.begin(b"head|", here)
    data = os.urandom(200_000)
    way.feed(body, data)
    assert not body.done
    way.sender.shutdown(socket.SHUT_WR)
    way.finish(body)
    found = way.found + receive_all(way.receiver)
    assert body.complete and found.startswith(b"head|")
    assert read_chunked(found.removeprefix(b"head|")) == here + data


def test_encoded_chunks_are_what_the_reader_of_this_test_takes() -> None:
    assert read_chunked(b"".join(encode_chunk(b"hello")) + b"0\r\n\r\n") == b"hello"
