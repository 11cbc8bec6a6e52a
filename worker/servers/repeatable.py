"""Which requests may be repeated, and which may stand behind others on one connection. Sans-io.

Source: RFC 9110 sections 9.2.1 (safe), 9.2.2 (idempotent); RFC 9112 section 9.3.2 (pipelining);
draft-ietf-httpapi-idempotency-key-header.

The method says it unless the operator knows better (`http-request set-idempotent yes|no`): a GET that posts to a forum is
not safe, and a POST that only searches may be repeated.
"""

from __future__ import annotations

from enum import Enum

SAFE_METHODS = frozenset([b"GET", b"HEAD", b"OPTIONS", b"TRACE"])
IDEMPOTENT_METHODS = SAFE_METHODS | {b"PUT", b"DELETE"}


class Repeatable(Enum):
    """How careful to be with a request."""

    SAFE = "safe"  # may be repeated, and may stand behind others
    IDEMPOTENT = "idempotent"  # may be repeated, starts only on a connection where nothing is under way
    ONCE = "once"  # may have been acted on as soon as a byte was sent: never repeated, nothing stands behind it


def repeatable(method: bytes, rule: bool | None = None, has_idempotency_key: bool = False) -> Repeatable:
    """What a request is. rule: what `set-idempotent` said; None if nothing did. Methods are case-sensitive."""
    if rule is False:
        return Repeatable.ONCE
    if method in SAFE_METHODS:
        return Repeatable.SAFE
    if rule or has_idempotency_key or method in IDEMPOTENT_METHODS:
        return Repeatable.IDEMPOTENT
    return Repeatable.ONCE
