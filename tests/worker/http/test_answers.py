from __future__ import annotations

import pytest

from worker.http.answers import BUILT_IN, CLOSING, SILENT, Answer, built_in, returned, unauthorized
from worker.http.editor import ResponseEditor
from worker.http.reasons import reason_of


def test_built_in_answer_has_haproxys_bytes() -> None:
    assert BUILT_IN[503].render() == (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 107\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n\r\n"
        b"<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle this request.\n</body></html>\n"
    )


# As observed from HAProxy 2.6: status -> (reason, length)
OBSERVED = {
    200: (b"OK", 58), 400: (b"Bad request", 90), 401: (b"Unauthorized", 112), 403: (b"Forbidden", 93), 404: (b"Not Found", 83),
    405: (b"Method Not Allowed", 146), 407: (b"Unauthorized", 112), 408: (b"Request Time-out", 110), 410: (b"Gone", 114),
    413: (b"Payload Too Large", 106), 421: (b"Misdirected Request", 104), 422: (b"Unprocessable Content", 116),
    425: (b"Too Early", 80), 429: (b"Too Many Requests", 117), 500: (b"Internal Server Error", 97), 501: (b"Not Implemented", 136),
    502: (b"Bad Gateway", 107), 503: (b"Service Unavailable", 107), 504: (b"Gateway Time-out", 92),
}  # fmt: skip


@pytest.mark.parametrize("status", OBSERVED)
def test_built_in_answers_have_the_lengths_of_haproxys(status: int) -> None:
    assert (BUILT_IN[status].reason, len(BUILT_IN[status].body)) == OBSERVED[status]


def test_statuses_without_page_there_have_one_here() -> None:
    assert set(BUILT_IN) - set(OBSERVED) == {414, 431, 505}
    assert built_in(418).render() == b"HTTP/1.1 418 I'm a teapot\r\ncontent-length: 0\r\n\r\n"
    assert built_in(503) is BUILT_IN[503]
    assert set(BUILT_IN) >= CLOSING


@pytest.mark.parametrize("status", BUILT_IN)
def test_length_is_that_of_the_body(status: int) -> None:
    answer = BUILT_IN[status]
    assert dict(answer.fields)[b"content-length"] == b"%d" % len(answer.body)
    assert not answer.closes


def test_answer_says_what_becomes_of_the_connection() -> None:
    answer = returned(200, b"ok", b"text/plain")
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n"
    assert answer.render() == head + b"\r\nok"
    assert answer.render(keep=False) == head + b"connection: close\r\n\r\nok"
    assert answer.render(10) == head + b"connection: keep-alive\r\n\r\nok"
    assert answer.render(10, keep=False) == head + b"connection: close\r\n\r\nok"
    assert answer.render(head_only=True) == head + b"\r\n"


def test_return_puts_its_fields_first() -> None:
    answer = returned(429, b"slow", b"text/plain", [(b"x-a", b"b\r\nc")])
    assert answer.render() == (
        b"HTTP/1.1 429 Too Many Requests\r\nx-a: b  c\r\ncontent-length: 4\r\ncontent-type: text/plain\r\n\r\nslow"
    )
    assert returned(403, b"", b"text/plain").render() == b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
    assert returned(204, b"x", b"text/plain").render() == b"HTTP/1.1 204 No Content\r\n\r\n"
    assert returned(304, b"x", b"text/plain").render() == b"HTTP/1.1 304 Not Modified\r\ncontent-length: 0\r\n\r\n"
    assert returned(502).reason == b"Bad Gateway or Proxy Error"


def test_authentication_is_asked_for() -> None:
    assert unauthorized(b'My "Realm"\r\n').render(head_only=True) == (
        b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 112\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n"
        b"www-authenticate: Basic realm=\"My 'Realm'\"\r\n\r\n"
    )
    assert b"\r\nproxy-authenticate: Basic realm=" in unauthorized(b"x", proxy=True).render()
    assert unauthorized(b"x", Answer(401, b"No", (), b"")).render().startswith(b"HTTP/1.1 401 No\r\nwww-authenticate: ")


def test_rules_may_edit_an_answer() -> None:
    editor = ResponseEditor(BUILT_IN[403].response())
    editor.set_header(b"X-A", b"b")
    editor.del_header(b"cache-control")
    editor.set_status(404)
    sent = BUILT_IN[403].render(head=editor.forwarded, keep=False)
    fields = b"content-length: 93\r\ncontent-type: text/html\r\nX-A: b\r\nconnection: close\r\n"
    assert sent == b"HTTP/1.1 404 Not Found\r\n" + fields + b"\r\n" + BUILT_IN[403].body


def test_silent_answer_is_nothing_and_closes() -> None:
    assert SILENT.render() == b"" and SILENT.closes


def test_reason_of_an_unknown_status_is_its_class() -> None:
    assert [reason_of(status) for status in (299, 399, 499, 599, 199, 799)] == [
        b"Success", b"Redirection", b"client has closed connection", b"Server Error", b"Informational", b"Other"
    ]  # fmt: skip
