"""A request target in its parts: scheme and authority, path, query. Sans-io.

Source: RFC 3986 section 3; RFC 9112 section 3.2; HAProxy manual, sample fetches `path`, `query` and `url`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TARGET = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*+://[^/?#]*+)?+([^?#]*+)(?:\?([^#]*+))?+(#.*+)?+", re.DOTALL)


class Url(NamedTuple):
    """origin: b"" or "scheme://authority". path: maybe empty, or "*", or the whole of a CONNECT target. query: without "?"; None = there
    is none. fragment: b"" or with its "#"; only lenient reading lets one in."""

    origin: bytes
    path: bytes
    query: bytes | None
    fragment: bytes = b""

    def __bytes__(self) -> bytes:
        query = b"" if self.query is None else b"?" + self.query
        return self.origin + self.path + query + self.fragment

    @property
    def scheme(self) -> bytes:
        return self.origin.partition(b"://")[0].lower()

    @property
    def authority(self) -> bytes:
        return self.origin.partition(b"://")[2]


def split(target: bytes) -> Url:
    """The parts of a target. bytes(split(x)) == x for every x."""
    match = _TARGET.fullmatch(target)
    assert match is not None
    origin, path, query, fragment = match.groups()
    return Url(origin or b"", path, query, fragment or b"")


def path(target: bytes) -> bytes:
    """The path of a target: what the fetch `path` gives. "/" of an absolute target without one."""
    if target[:1] == b"/":
        return target.partition(b"?")[0]
    url = split(target)
    return url.path or (b"/" if url.origin else b"")


def query(target: bytes) -> bytes:
    """What is behind the first "?", or b""."""
    return target.partition(b"?")[2]
