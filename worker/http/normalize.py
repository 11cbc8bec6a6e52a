"""The normalizers of `http-request normalize-uri`: from request target to request target. Sans-io.

Each does one kind of normalisation; rules chain them. A target without path ("*", that of CONNECT) stays as it is.

Source: HAProxy manual 4.2, `http-request normalize-uri`; RFC 3986 sections 3.5 and 6.2.2; corner cases observed from HAProxy 2.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from common.errors import WireError
from worker.http import url

Normalizer = Callable[[bytes], bytes]

_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_BROKEN_ENCODING = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_SLASHES = re.compile(rb"//++")


def fragment_encode(target: bytes) -> bytes:
    """/#foo -> /%23foo"""
    return target.replace(b"#", b"%23")


def fragment_strip(target: bytes) -> bytes:
    """/#foo -> /"""
    return target.partition(b"#")[0]


def path_merge_slashes(target: bytes) -> bytes:
    """/foo//bar -> /foo/bar"""
    return _with_path(target, lambda path: _SLASHES.sub(b"/", path))


def path_strip_dot(target: bytes) -> bytes:
    """/a/./a -> /a/a"""
    return _with_path(target, _strip_dot)


def path_strip_dotdot(target: bytes) -> bytes:
    """/foo/../bar/ -> /bar/, but /../bar/ stays."""
    return _with_path(target, lambda path: _strip_dotdot(path, full=False))


def path_strip_dotdot_full(target: bytes) -> bytes:
    """/../bar/ -> /bar/"""
    return _with_path(target, lambda path: _strip_dotdot(path, full=True))


def percent_decode_unreserved(target: bytes) -> bytes:
    """/%61dmin -> /admin; one pass, so that /%%36%36 -> /%66. In path and query."""
    return _behind_origin(target, lambda rest: _ENCODED.sub(_decode_unreserved, rest))


def percent_decode_unreserved_strict(target: bytes) -> bytes:
    """The same; raises WireError (400) for a "%" without two hexadecimal digits."""
    _check_encoding(target)
    return percent_decode_unreserved(target)


def percent_to_uppercase(target: bytes) -> bytes:
    """/%6f -> /%6F. In path and query."""
    return _behind_origin(target, lambda rest: _ENCODED.sub(lambda match: match[0].upper(), rest))


def percent_to_uppercase_strict(target: bytes) -> bytes:
    """The same; raises WireError (400) for a "%" without two hexadecimal digits."""
    _check_encoding(target)
    return percent_to_uppercase(target)


def query_sort_by_name(target: bytes) -> bytes:
    """/?c=3&a=1&b=2 -> /?a=1&b=2&c=3; parameters of one name keep their order."""
    held = url.split(target)
    if held.query is None:
        return target
    parameters = sorted(held.query.split(b"&"), key=lambda parameter: parameter.partition(b"=")[0])
    return bytes(held._replace(query=b"&".join(parameters)))


NORMALIZERS: dict[str, Normalizer] = {
    "fragment-encode": fragment_encode,
    "fragment-strip": fragment_strip,
    "path-merge-slashes": path_merge_slashes,
    "path-strip-dot": path_strip_dot,
    "path-strip-dotdot": path_strip_dotdot,
    "path-strip-dotdot full": path_strip_dotdot_full,
    "percent-decode-unreserved": percent_decode_unreserved,
    "percent-decode-unreserved strict": percent_decode_unreserved_strict,
    "percent-to-uppercase": percent_to_uppercase,
    "percent-to-uppercase strict": percent_to_uppercase_strict,
    "query-sort-by-name": query_sort_by_name,
}
"""By the words of the rule, joined by one space."""


def _with_path(target: bytes, change: Normalizer) -> bytes:
    held = url.split(target)
    return bytes(held._replace(path=change(held.path))) if held.path[:1] == b"/" else target


def _behind_origin(target: bytes, change: Normalizer) -> bytes:
    origin = url.split(target).origin
    return origin + change(target[len(origin) :])


def _strip_dot(path: bytes) -> bytes:
    *segments, last = path.split(b"/")
    kept = [segment for segment in segments if segment != b"."]
    kept.append(b"" if last == b"." else last)
    return b"/".join(kept)


def _strip_dotdot(path: bytes, *, full: bool) -> bytes:
    kept: list[bytes] = []
    segments = path.split(b"/")[1:]
    for segment in segments:
        if segment != b"..":
            kept.append(segment)
        elif kept and kept[-1] != b"..":
            kept.pop()
        elif not full:
            kept.append(segment)
    if segments[-1] == b"..":
        kept.append(b"")
    return b"/" + b"/".join(kept)


def _decode_unreserved(match: re.Match[bytes]) -> bytes:
    byte = int(match[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else match[0]


def _check_encoding(target: bytes) -> None:
    if _BROKEN_ENCODING.search(target) is not None:
        raise WireError("bad_target")
