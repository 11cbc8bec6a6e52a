"""Our reading against that of h11 and httptools: what we accept, they accept with the same meaning.

What we forward, always. What we received, when reading strictly; beyond that we accept and h11 refuses, on purpose:

- an absolute target without Host: the authority stands in the target, and we add Host when forwarding; h11 looks at Host alone;
- several spaces or tabs in the request line, and controls such as VT in a value: RFC 9112 section 3 and RFC 9110 section 5.5 let a
  recipient take them, HAProxy does; we forward single spaces.

Bodies are compared whole and cut at random places.
"""

from __future__ import annotations

import h11
import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.errors import WireError
from tests.worker.http.messages import BROWSER, CURL, NGINX, WRK, chunked_bodies, corpus, feed_in_pieces, request_heads, response_heads
from worker.http.chunked import ChunkedBody
from worker.http.framing import BodyKind, BodyPlan
from worker.http.head import Limits, Options, Request, RequestReader, ResponseReader, parse_request, parse_response
from worker.http.rewrite import request_head, response_head

LIMITS = Limits()
DEFAULT = Options()

def read_by_h11(data: bytes) -> h11.Request:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request), event
    return event


def body_as_h11_has_it(head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """(payload, what follows the body) of a request."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(head + body)
    connection.next_event()
    payload = b""
    while isinstance(event := connection.next_event(), h11.Data):
        payload += event.data
    assert isinstance(event, h11.EndOfMessage), event
    return payload, connection.trailing_data[0]


class Events:
    """What httptools calls while it reads one message."""

    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.heads_done = False
        self.done = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.heads_done = True

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done += 1


def accepted(data: bytes, options: Options = DEFAULT) -> tuple[Request, int] | None:
    try:
        return parse_request(data, 0, LIMITS, options)
    except WireError:
        return None


@settings(max_examples=400, deadline=None)
@given(request_heads())
@example(WRK)
@example(CURL)
@example(BROWSER)
def test_h11_reads_every_forwarded_request_as_we_do(data: bytes) -> None:
    found = accepted(data)
    if found is None:
        return
    request, _ = found
    forwarded = request_head(request)
    if request.host is None:
        forwarded = forwarded.replace(b"\r\n", b"\r\nHost: a\r\n", 1)
    event = read_by_h11(forwarded)
    assert (event.method, event.target) == (request.method, request.target)
    assert event.http_version in (b"1.1", b"1.0")
    names = [name for name, _ in event.headers]
    assert names.count(b"host") == 1
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert length_of(event) == request.body


def length_of(event: h11.Request) -> BodyPlan:
    for name, value in event.headers:
        if name == b"transfer-encoding":
            return BodyPlan(BodyKind.CHUNKED)
        if name == b"content-length" and int(value):
            return BodyPlan(BodyKind.LENGTH, int(value))
    return BodyPlan(BodyKind.NONE)


@settings(max_examples=400, deadline=None)
@given(request_heads())
@example(WRK)
@example(BROWSER)
def test_h11_accepts_every_request_that_we_accept_as_received(data: bytes) -> None:
    found = accepted(data, Options(strict=True))
    if found is None:
        return
    request, _ = found
    event = read_by_h11(data.lstrip(b"\r\n") if request.host is not None else data.replace(b"\r\n", b"\r\nHost: a\r\n", 1))
    assert event.method == request.method
    received = [(name.lower(), value) for name, value in request.fields if name.lower() not in (b"host", b"transfer-encoding")]
    theirs = [(name, value) for name, value in event.headers if name not in (b"host", b"transfer-encoding")]
    assert theirs == received


@settings(max_examples=400, deadline=None)
@given(request_heads())
@example(WRK)
@example(CURL)
@example(BROWSER)
def test_httptools_reads_every_forwarded_request_as_we_do(data: bytes) -> None:
    found = accepted(data)
    if found is None or not found[0].method.isupper() or found[0].method == b"M-X" or found[0].is_connect:
        return  # httptools knows a list of methods, and hands CONNECT over to the caller
    request, _ = found
    forwarded = request_head(request)
    events = Events()
    parser = httptools.HttpRequestParser(events)
    try:
        parser.feed_data(forwarded)
    except httptools.HttpParserUpgrade:
        assert request.upgrade is not None
    assert events.heads_done and events.url == request.target
    lines = forwarded.split(b"\r\n")[1:-2]
    assert [name for name, _ in events.headers] == [line.partition(b":")[0] for line in lines]
    assert events.done == (request.body.kind is BodyKind.NONE)


@settings(max_examples=300, deadline=None)
@given(response_heads())
@example(NGINX)
def test_h11_reads_every_forwarded_response_as_we_do(data: bytes) -> None:
    try:
        found = parse_response(data, 0, LIMITS, b"GET")
    except WireError as error:
        assert error.status == 502
        return
    if found is None:
        return
    response, _ = found
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(response_head(response, 11, True))
    event = connection.next_event()
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    assert event.status_code == response.status
    names = [name for name, _ in event.headers]
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    if response.body.kind is BodyKind.LENGTH:
        assert (b"content-length", b"%d" % response.body.length) in [(name, b"%d" % int(value)) for name, value in event.headers
                                                                     if name == b"content-length"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(chunked_bodies(), st.lists(st.integers(0, 400), max_size=8), st.binary(max_size=10))
def test_chunked_bodies_agree_with_h11_and_httptools(body: tuple[bytes, bytes], cuts: list[int], trailing: bytes) -> None:
    coded, payload = body
    decoded, rest = feed_in_pieces(ChunkedBody(decode=True), coded + trailing, cuts)
    assert (decoded, rest) == (payload, trailing)
    forwarded, rest = feed_in_pieces(ChunkedBody(), coded + trailing, cuts)
    assert rest == trailing
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert body_as_h11_has_it(head, forwarded) == (payload, b"")
    events = Events()
    httptools.HttpRequestParser(events).feed_data(head + forwarded)
    assert (events.body, events.done) == (payload, 1)


@pytest.mark.parametrize("case", [case for case in corpus() if case.side == "request"], ids=lambda case: case.name)
def test_corpus_case_means_the_same_to_h11(case) -> None:  # type: ignore[no-untyped-def]
    found = accepted(case.raw, Options(strict=True))
    if found is None or found[0].host is None or found[0].is_connect:
        return
    event = read_by_h11(case.raw)
    assert (event.method, event.target) == (found[0].method, found[0].target)


@settings(max_examples=300, deadline=None)
@given(request_heads(), st.binary(max_size=12))
def test_bytes_behind_a_head_and_memory_change_nothing(data: bytes, trailing: bytes) -> None:
    reader = RequestReader(LIMITS)
    first = outcome(lambda: reader.parse(data))
    if isinstance(first, str) or first is None:
        return
    assert outcome(lambda: reader.parse(data)) == first
    assert outcome(lambda: reader.parse(b"GET" + data + trailing, 3)) == (first[0], first[1] + 3)
    assert outcome(lambda: parse_request(data, 0, LIMITS)) == first


@settings(max_examples=300, deadline=None)
@given(request_heads())
def test_head_in_growing_pieces_ends_as_the_whole(data: bytes) -> None:
    whole = outcome(lambda: parse_request(data, 0, LIMITS))
    for size in range(len(data)):
        part = outcome(lambda size=size: parse_request(data[:size], 0, LIMITS))  # type: ignore[misc]
        if part is not None:
            if isinstance(part, str):
                assert isinstance(whole, str)  # refused early, and refused in the end
            else:
                assert part == whole  # it was complete before these last bytes
            return


def outcome(read) -> tuple[bytes, int] | str | None:  # type: ignore[no-untyped-def]
    try:
        found = read()
    except WireError as error:
        return error.slug
    return None if found is None else (request_head(found[0]), found[1])


@given(st.binary(max_size=60))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for read in (
        lambda: RequestReader(LIMITS, Options(accept_invalid=True)).parse(data),
        lambda: RequestReader(LIMITS).parse(b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n"),
        lambda: ResponseReader(LIMITS, Options(accept_invalid=True)).parse(data, 0, b"GET"),
        lambda: ResponseReader(LIMITS).parse(b"HTTP/1.1 200 OK\r\n" + data + b"\r\n\r\n", 0, b"GET"),
        lambda: ChunkedBody().feed(data),
        lambda: ChunkedBody(decode=True).feed(b"0\r\n" + data + b"\r\n\r\n"),
    ):
        try:
            read()
        except WireError as error:
            assert error.slug.isidentifier()
            assert error.status >= 400
