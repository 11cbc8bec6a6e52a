"""Microseconds per operation of worker/http: `python -m tests.bench.micro_http`. Not collected by pytest.

cold: a head never seen before (no memory). warm: one that is remembered. The figures are the best of several rounds on one
core; compare them within one run.
"""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable

import h11
import httptools

from tests.worker.http.messages import BROWSER, CURL, NGINX, WRK
from worker.http.answers import BUILT_IN
from worker.http.chunked import ChunkedBody, encode_chunk
from worker.http.editor import RequestEditor
from worker.http.head import Limits, Request, RequestReader, Response, ResponseReader
from worker.http.rewrite import request_head, response_head

ROUNDS = 5
SMALL_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: Mon, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
ADDED = b"X-Forwarded-For: 192.0.2.1\r\n"


def measure(name: str, operation: Callable[[], object], count: int = 20000) -> None:
    seconds = min(timeit.repeat(operation, number=count, repeat=ROUNDS)) / count
    print(f"{name:58s} {seconds * 1e6:8.2f} us")


def requests(limits: Limits) -> None:
    for name, data in (("wrk", WRK), ("curl", CURL), ("browser", BROWSER)):
        cold, warm = RequestReader(limits, remember=False), RequestReader(limits)
        label = f"{name} ({len(data)} bytes)"
        measure(f"request parse cold, {label}", lambda cold=cold, data=data: cold.parse(data, 0))  # type: ignore[misc]
        measure(f"request parse warm, {label}", lambda warm=warm, data=data: warm.parse(data, 0))  # type: ignore[misc]
        found = warm.parse(data, 0)
        assert found is not None
        request = found[0]
        measure(f"request render, known, {label}", lambda request=request: request_head(request))  # type: ignore[misc]
        measure(f"request render, known, one field added, {label}", lambda request=request: request_head(request, ADDED))  # type: ignore[misc]
        measure(f"request render, first time, {label}", lambda request=request: render_first(request))  # type: ignore[misc]
        measure(f"request edit two fields and render, {label}", lambda request=request: edit(request))  # type: ignore[misc]


def render_first(request: Request) -> bytes:
    request.forwarded = None
    return request_head(request)


def edit(request: Request) -> bytes:
    editor = RequestEditor(request)
    editor.set_header(b"X-Real-IP", b"192.0.2.1")
    editor.del_header(b"cookie")
    return request_head(editor)


def responses(limits: Limits) -> None:
    for name, data in (("small", SMALL_RESPONSE), ("nginx", NGINX)):
        cold, warm = ResponseReader(limits, remember=False), ResponseReader(limits)
        label = f"{name} ({len(data)} bytes)"
        measure(f"response parse cold, {label}", lambda cold=cold, data=data: cold.parse(data, 0, b"GET"))  # type: ignore[misc]
        measure(f"response parse warm, {label}", lambda warm=warm, data=data: warm.parse(data, 0, b"GET"))  # type: ignore[misc]
        found = warm.parse(data, 0, b"GET")
        assert found is not None
        response = found[0]
        measure(f"response render, known, {label}", lambda response=response: response_head(response, 11, True))  # type: ignore[misc]
        measure(f"response render, known, closing, {label}", lambda response=response: response_head(response, 11, False))  # type: ignore[misc]
        measure(f"response render, first time, {label}", lambda response=response: answer_first(response))  # type: ignore[misc]
    measure("own answer, rendered", lambda: BUILT_IN[503].render(keep=False))


def answer_first(response: Response) -> bytes:
    response.forwarded = None
    return response_head(response, 11, True)


def bodies() -> None:
    tiny = b"5\r\nhello\r\n" * 100
    large = b"".join(encode_chunk(b"x" * 8192)) * 8
    measure("100 chunks of 5 bytes forwarded", lambda: ChunkedBody().feed(tiny), 2000)
    measure("100 chunks of 5 bytes decoded", lambda: ChunkedBody(decode=True).feed(tiny), 2000)
    measure("64 KiB in chunks of 8 KiB forwarded", lambda: ChunkedBody().feed(large), 5000)
    measure("64 KiB in chunks of 8 KiB decoded", lambda: ChunkedBody(decode=True).feed(large), 5000)


def others() -> None:
    """What the same heads cost in h11 (a new connection each time) and httptools (C)."""

    def by_h11() -> object:
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(CURL)
        return connection.next_event()

    def by_httptools() -> object:
        parser = httptools.HttpRequestParser(object())
        parser.feed_data(CURL)
        return parser

    measure("h11 reads curl's request", by_h11, 2000)
    measure("httptools reads curl's request, no callbacks", by_httptools)


def main() -> int:
    print(f"Python {sys.version.split()[0]}, best of {ROUNDS}")
    limits = Limits()
    requests(limits)
    responses(limits)
    bodies()
    others()
    return 0


if __name__ == "__main__":
    sys.exit(main())
