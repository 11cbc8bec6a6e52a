"""A body as far as it lies in a buffer, for rules that look into bodies before they go on. Sans-io.

Source: RFC 9112 sections 6 and 7; HAProxy manual 7.3.6 "req.body", 4.2 "http-request wait-for-body".
"""

from __future__ import annotations

from common.errors import WireError
from worker.http.chunked import ChunkedBody
from worker.http.framing import BodyKind, BodyPlan


def body_so_far(plan: BodyPlan, buffer: bytes) -> tuple[bytes, bool]:
    """(the body's bytes that `buffer` begins with, without chunk framing; whether that is all of it).

    A broken chunk ends what is told: whoever forwards the body finds it and says so.
    """
    kind = plan.kind
    if kind is BodyKind.LENGTH:
        return buffer[: plan.length], len(buffer) >= plan.length
    if kind is not BodyKind.CHUNKED:
        return (b"", True) if kind is BodyKind.NONE else (buffer, False)
    codec = ChunkedBody(decode=True)
    try:
        pieces, _ = codec.feed(buffer)
    except WireError:
        return b"", True
    return b"".join(pieces), codec.done
