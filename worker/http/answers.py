"""Answers of our own: built-in errors, what rules return, redirects, custom error files. Sans-io.

An `Answer` is a response without its connection: `http-after-response` rules still edit it (it makes a Response for that),
then `render` gives the bytes for one client. Bodies, field names, their order and lengths are those of HAProxy's built-in messages, so
that what recognises HAProxy's pages recognises ours.

Source: HAProxy manual 4.2, `http-request deny|return|auth|redirect`, `errorfile`, `monitor-uri`; the bytes were observed from
HAProxy 2.6. 414, 431 and 505 have no page there; theirs follow its pattern.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worker.http.editor import clean_value
from worker.http.framing import NO_BODY
from worker.http.message import Response
from worker.http.reasons import reason_of


@dataclass(frozen=True, slots=True)
class Answer:
    """status line, fields in order (Content-Length among them) and body. silent: send nothing, close (`errorfile N /dev/null`).

    pieces: a body that is made while it is sent, in the place of `body`; chunked if the fields say so.
    """

    status: int
    reason: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    silent: bool = False
    pieces: Iterator[bytes] | None = None

    @property
    def closes(self) -> bool:
        """Only the close of the connection says where this answer ends: an error file without Content-Length."""
        if self.silent or self.pieces is not None:
            return self.silent or not any(name == b"transfer-encoding" for name, _ in self.fields)
        return bool(self.body) and not any(name.lower() == b"content-length" for name, _ in self.fields)

    def with_fields(self, *added: tuple[bytes, bytes]) -> Answer:
        """The same with these fields at the end."""
        return Answer(self.status, self.reason, (*self.fields, *added), self.body, self.silent, self.pieces)

    def head(self) -> bytes:
        """The head with its empty line, nothing said of the connection."""
        lines = [b"HTTP/1.1 %d %s\r\n" % (self.status, self.reason)]
        lines += [name + b": " + value + b"\r\n" for name, value in self.fields]
        return b"".join(lines) + b"\r\n"

    def response(self) -> Response:
        """A Response to edit (ResponseEditor). Its body is not framed here: `render` puts the bytes behind the head."""
        return Response(self.head(), self.status, self.reason, 11, {}, NO_BODY, True)

    def render(self, version: int = 11, *, keep: bool = True, head_only: bool = False, head: bytes | None = None) -> bytes:
        """The bytes for a client of this version. head_only: it asked by HEAD. head: the edited one, if rules edited it.

        keep must be False if the answer `closes`.
        """
        if self.silent:
            return b""
        head = self.head() if head is None else head
        if not keep:
            head = head[:-2] + b"connection: close\r\n\r\n"
        elif version < 11:
            head = head[:-2] + b"connection: keep-alive\r\n\r\n"
        return head if head_only else head + self.body


def _page(status: int, reason: bytes, sentence: bytes) -> Answer:
    body = b"<html><body><h1>%d %s</h1>\n%s\n</body></html>\n" % (status, reason, sentence)
    fields = ((b"content-length", b"%d" % len(body)), (b"cache-control", b"no-cache"), (b"content-type", b"text/html"))
    return Answer(status, reason, fields, body)


BUILT_IN = {
    answer.status: answer
    for answer in (
        _page(200, b"OK", b"Service ready."),
        _page(400, b"Bad request", b"Your browser sent an invalid request."),
        _page(401, b"Unauthorized", b"You need a valid user and password to access this content."),
        _page(403, b"Forbidden", b"Request forbidden by administrative rules."),
        _page(404, b"Not Found", b"The resource could not be found."),
        _page(405, b"Method Not Allowed", b"A request was made of a resource using a request method not supported by that resource"),
        _page(407, b"Unauthorized", b"You need a valid user and password to access this content."),
        _page(408, b"Request Time-out", b"Your browser didn't send a complete request in time."),
        _page(410, b"Gone", b"The resource is no longer available and will not be available again."),
        _page(413, b"Payload Too Large", b"The request entity exceeds the maximum allowed."),
        _page(414, b"URI Too Long", b"The request target exceeds the maximum allowed."),
        _page(421, b"Misdirected Request", b"Request sent to a non-authoritative server."),
        _page(422, b"Unprocessable Content", b"The server cannot process the contained instructions."),
        _page(425, b"Too Early", b"Your browser sent early data."),
        _page(429, b"Too Many Requests", b"You have sent too many requests in a given amount of time."),
        _page(431, b"Request Header Fields Too Large", b"The request header fields exceed the maximum allowed."),
        _page(500, b"Internal Server Error", b"An internal server error occurred."),
        _page(501, b"Not Implemented", b".The server does not support the functionality required to fulfill the request."),
        _page(502, b"Bad Gateway", b"The server returned an invalid or incomplete response."),
        _page(503, b"Service Unavailable", b"No server is available to handle this request."),
        _page(504, b"Gateway Time-out", b"The server didn't respond in time."),
        _page(505, b"HTTP Version Not Supported", b"The request was made in a version of HTTP that is not supported."),
    )
}
"""The built-in answers: also the statuses that `errorfile` and `default-errorfiles` may name."""

CLOSING = frozenset({400, 408})
"""After these built-in answers the client's connection closes: where its next request begins is not known."""

_BODYLESS = frozenset({204, 304})

SILENT = Answer(0, b"", silent=True)
"""Nothing at all, then close: what `errorfile 408 /dev/null` stands for."""


def built_in(status: int) -> Answer:
    """The built-in answer, or one without body for a status that has none."""
    return BUILT_IN.get(status) or returned(status)


def returned(
    status: int,
    body: bytes = b"",
    content_type: bytes | None = None,
    fields: Iterable[tuple[bytes, bytes]] = (),
) -> Answer:
    """What `http-request return` and `deny` with an own payload answer. fields: its `hdr` arguments, evaluated.

    Order as HAProxy: those first, then Content-Length, Content-Type. 204 and 304 have no body, 204 no length either.
    """
    if status in _BODYLESS:
        body = b""
    made = [(name, clean_value(value)) for name, value in fields]
    if status != 204:
        made.append((b"content-length", b"%d" % len(body)))
    if body and content_type is not None:
        made.append((b"content-type", clean_value(content_type)))
    return Answer(status, reason_of(status), tuple(made), body)


def unauthorized(realm: bytes, answer: Answer | None = None, *, proxy: bool = False) -> Answer:
    """What `http-request auth` answers: 401, or 407 for a client that takes us for its proxy. answer: a custom error message."""
    base = answer or BUILT_IN[407 if proxy else 401]
    name = b"proxy-authenticate" if proxy else b"www-authenticate"
    return base.with_fields((name, b'Basic realm="' + clean_value(realm).replace(b'"', b"'") + b'"'))
