"""A request target in its parts: scheme and authority, path, query. Sans-io.

Source: RFC 3986 section 3; RFC 9112 section 3.2; HAProxy manual, sample fetches `path`, `query` and `url`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TARGET = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*+://[^/?#]*+)?([^?]*+)(?:\?(.*+))?", re.DOTALL)


class Url(NamedTuple):
    """origin: b"" or "scheme://authority". path: maybe empty, or "*", or the whole of a CONNECT target. query: without "?"; None =
    there is none. A fragment, which only lenient reading lets in, is part of what it stands behind, as in HAProxy."""

    origin: bytes
    path: bytes
    query: bytes | None

    def __bytes__(self) -> bytes:
        return self.origin + self.path + (b"" if self.query is None else b"?" + self.query)

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
    origin, path, query = match.groups()
    return Url(origin or b"", path, query)


def path(target: bytes) -> bytes:
    """The path of a target: what the fetch `path` gives. "/" of an absolute target without one, b"" where there is no path at all."""
    if target[:1] == b"/":
        return target.partition(b"?")[0]
    held = split(target)
    return (held.path or b"/") if held.origin else b""


def query(target: bytes) -> bytes:
    """What is behind the first "?", or b""."""
    return target.partition(b"?")[2]
