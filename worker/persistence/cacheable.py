"""Whether a shared cache in front of us may keep a response that says so itself. Sans-io.

Only what a response states counts: how long it is fresh, or something to validate it by. What a cache would guess does not.

Source: HAProxy manual 4.2 "cookie" (nocache), "option checkcache"; RFC 9111 sections 3, 5.2.2; details seen by asking a stock HAProxy.
"""

from __future__ import annotations

from typing import Protocol

_SAFE = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
_FORBIDDING = frozenset({b"no-cache", b"no-store", b"private", b"max-age=0", b"s-maxage=0"})
_FRESH = (b"max-age=", b"s-maxage=")
_VALIDATORS = (b"expires", b"etag", b"last-modified")


class Fields(Protocol):
    """A head, under edit or not."""

    def values(self, name_lower: bytes) -> list[bytes]: ...


def is_cacheable(method: bytes, response: Fields) -> bool:
    """The response to a request of that method."""
    if method not in _SAFE:
        return False
    directives = [word.strip().lower() for line in response.values(b"cache-control") for word in line.split(b",")]
    if any(word in _FORBIDDING for word in directives):
        return False
    if any(line.strip().lower().startswith(b"no-cache") for line in response.values(b"pragma")):
        return False
    return any(word.startswith(_FRESH) for word in directives) or any(response.values(name) for name in _VALIDATORS)
