"""Whether a response sets a cookie that a cache on the way might give to somebody else. Sans-io.

Source: HAProxy manual 4.2 "option checkcache"; RFC 9111 section 3.
"""

from __future__ import annotations

from worker.http.editor import ResponseEditor
from worker.http.message import Response

_CACHED_STATUSES = frozenset({200, 203, 204, 206, 300, 301, 404, 405, 410, 414, 501})
_CACHED_METHODS = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE"})
_NOT_CACHED = frozenset({b"private", b"no-store", b"no-cache", b"max-age=0", b"s-maxage=0"})


def has_cacheable_cookie(method: bytes, response: Response | ResponseEditor) -> bool:
    """`method` is the request's."""
    if not response.values(b"set-cookie"):
        return False
    if any(value.lower().startswith(b"no-cache") for value in response.values(b"pragma")):
        return False
    public = False
    for value in response.values(b"cache-control"):
        for directive in value.lower().split(b","):
            word = directive.strip(b" \t")
            if word in _NOT_CACHED or word.startswith(b'no-cache="set-cookie'):
                return False
            public |= word == b"public"
    return public or (response.status in _CACHED_STATUSES and method in _CACHED_METHODS)
