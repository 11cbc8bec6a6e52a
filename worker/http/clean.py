"""Heads without what concerns only the connection they came by. Sans-io.

Removed (RFC 9110 section 7.6.1): Connection and every field that it names, Keep-Alive, Proxy-Connection, TE, Upgrade,
HTTP2-Settings. Put back is what holds on the next connection too: `TE: trailers`, and Connection with Upgrade where the upgrade
may go on. Never removed, whatever Connection names: Host and the framing fields, without which the next reader would
take another message from the same bytes.

Both sides get our own version, HTTP/1.1, as RFC 9110 section 2.5 demands; only a 1.0 request without Host stays 1.0, as 1.1
would need one. Names keep their case and order.

Source: RFC 9110 sections 2.5, 7.6.1, 7.8 and 10.1.4; RFC 9112 sections 3.2, 6.1 and 9.6.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from worker.http.framing import TUNNEL_BODY, BodyKind, content_length, tokens
from worker.http.message import Head, Request, Response

HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"http2-settings"})
_NEVER_REMOVED = frozenset({b"host", b"content-length", b"transfer-encoding"})
_FRAMED = frozenset({BodyKind.LENGTH, BodyKind.CHUNKED})
_ODDLY_SPACED_FRAMING = re.compile(rb"\n(?i:content-length|transfer-encoding):(?! ?[^ \t\r]*+\r)")
"""Framing fields with more whitespace than one SP: legal, but nginx and llhttp refuse a tab there."""
_GOING_ON = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
"""Those of grammar.SPECIAL_FIELDS that concern the next connection too."""
_NAMING_NO_FIELD = frozenset({b"keep-alive", b"Keep-Alive", b"close", b"Close"})
"""Usual Connection values. Only "Keep-Alive" is a field as well, and one that would be among SPECIAL_FIELDS."""
_MEANINGLESS_WITHOUT_BODY = frozenset({b"content-length", b"transfer-encoding"})
_MEANINGLESS_FROM_10 = frozenset({b"expect"})


def forwarded_request(request: Request) -> bytes:
    """The whole head as it goes to a server: `raw` itself where nothing ends here. Made once for all who share it."""
    head = request.forwarded
    if head is None:
        head = request.forwarded = _quickly(request) or clean_request(request, request.fields)
    return head


def forwarded_response(response: Response) -> bytes:
    """As forwarded_request, for a client."""
    head = response.forwarded
    if head is None:
        head = response.forwarded = _quickly(response) or clean_response(response, response.fields)
    return head


def _quickly(head: Head) -> bytes | None:
    """For nearly all heads: `raw`, or `raw` without its one Connection line. None if there is more to do."""
    if head.version < 11 or not head.length_as_is:
        return None
    if head.body.kind in _FRAMED and _ODDLY_SPACED_FRAMING.search(head.raw) is not None:
        return None
    ending_here = head.special.keys() - _GOING_ON
    if not ending_here:
        return head.raw
    if len(ending_here) > 1 or head.special.get(b"connection") not in _NAMING_NO_FIELD:
        return None
    before, found, after = head.raw.partition(b"\r\nConnection: " + head.special[b"connection"] + b"\r\n")
    return before + b"\r\n" + after if found else None


def clean_request(request: Request, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole head for a server with these fields, cleaned, in the place of the request's own."""
    version = forwarded_version(request)
    removed = _removed(request)
    if request.version < 11:
        removed |= _MEANINGLESS_FROM_10
    ending = b""
    if request.te_trailers:
        ending = b"te: trailers\r\nconnection: te\r\n"
    if request.upgrade is not None:
        ending += b"connection: upgrade\r\nupgrade: " + request.upgrade + b"\r\n"
    if version < 11:
        ending += b"connection: keep-alive\r\n"
    start_line = b"%s %s HTTP/1.%d\r\n" % (request.method, request.target, version - 10)
    return start_line + _lines(fields, removed) + ending + b"\r\n"


def clean_response(response: Response, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A whole head for a client with these fields, cleaned, in the place of the response's own."""
    removed = _removed(response)
    if response.status < 200 or response.status == 204 or response.body is TUNNEL_BODY:
        removed |= _MEANINGLESS_WITHOUT_BODY
    ending = b""
    if response.upgrade is not None:
        ending = b"connection: upgrade\r\nupgrade: " + response.upgrade + b"\r\n"
    return b"HTTP/1.1 %d %s\r\n" % (response.status, response.reason) + _lines(fields, removed) + ending + b"\r\n"


def forwarded_version(request: Request) -> int:
    """The version that the server sees."""
    return 10 if request.host is None else 11


def _removed(head: Head) -> set[bytes]:
    """Lower-case names of the fields that end here."""
    removed = set(HOP_BY_HOP)
    connection = head.special.get(b"connection")
    if connection is not None:
        removed.update(tokens(connection))
        removed -= _NEVER_REMOVED
    if b"transfer-encoding" in head.special:
        removed.add(b"content-length")
    return removed


def _lines(fields: Iterable[tuple[bytes, bytes]], removed: Collection[bytes]) -> bytes:
    """The field lines that go on. A repeated Content-Length goes on as one."""
    lines = []
    length_seen = False
    for name, value in fields:
        lower = name.lower()
        if lower in removed:
            continue
        if lower == b"content-length":
            if length_seen:
                continue
            length_seen = True
            if b"," in value:
                value = b"%d" % content_length(value)
        lines.append(name + b": " + value + b"\r\n")
    return b"".join(lines)
