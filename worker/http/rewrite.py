"""From a parsed head to the bytes that are forwarded. Sans-io. Hot path.

A head that holds nothing of ours or of the connection's is forwarded as the slice that was received. One that does is
cleaned once (worker/http/clean.py), and as heads are remembered and shared (worker/http/head.py), usually once for many
requests. What each exchange adds is spliced before the empty line.

One bytes object, not a list of fragments for sendmsg: measured, joining two kilobytes costs less than one more iovec entry.

Source: RFC 9112 sections 6.1, 7.1 and 9.6.
"""

from __future__ import annotations

import re

from worker.http.clean import forwarded_request, forwarded_response
from worker.http.editor import RequestEditor, ResponseEditor
from worker.http.framing import CHUNKED_BODY, CLOSE_BODY, BodyKind, BodyPlan
from worker.http.message import Request, Response

# Looking an enum's member up in its class costs 45 ns.
_CODED, _UNTIL_CLOSE, _TUNNEL = BodyKind.CHUNKED, BodyKind.CLOSE, BodyKind.TUNNEL

_CLOSE = b"connection: close\r\n"
_KEEP = b"connection: keep-alive\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_CODING_LINE = re.compile(rb"\r\ntransfer-encoding:[^\r]*+", re.IGNORECASE)


def request_head(request: Request | RequestEditor, added: bytes = b"", *, close: bool = False) -> bytes:
    """The head to send to a server.

    added: field lines, each with its CRLF, e.g. b"X-Forwarded-For: 192.0.2.1\\r\\n". close: tell the server that we close after
    this exchange (HTTP/1.1 keeps open unless told).
    """
    head = request.forwarded
    if head is None:
        assert isinstance(request, Request)
        head = forwarded_request(request)
    if close:
        added += _CLOSE
    if added:
        return head[:-2] + added + b"\r\n"
    return head


def response_head(response: Response | ResponseEditor, client_version: int, keep: bool, added: bytes = b"") -> bytes:
    """The head to send to a client of version 10 or 11; keep: its connection stays open.

    The body must follow as `body_to_client` says; where that is CLOSE, `keep` must be False.
    """
    head = response.forwarded
    if head is None:
        assert isinstance(response, Response)
        head = forwarded_response(response)
    kind = response.body.kind
    if client_version < 11:
        if b"transfer-encoding" in response.special:
            head = without_coding(head)
        if keep:
            added += _KEEP
    elif kind is _UNTIL_CLOSE:
        added += _CHUNKED
    if not keep and kind is not _TUNNEL and not response.interim:
        added += _CLOSE
    if added:
        return head[:-2] + added + b"\r\n"
    return head


def body_to_client(body: BodyPlan, client_version: int) -> BodyPlan:
    """How the body of a response with this plan is delimited for a client of version 10 or 11."""
    if client_version < 11:
        return CLOSE_BODY if body.kind is _CODED else body
    return CHUNKED_BODY if body.kind is _UNTIL_CLOSE else body


def without_coding(head: bytes) -> bytes:
    """The head without Transfer-Encoding: its body follows decoded."""
    return _CODING_LINE.sub(b"", head)
