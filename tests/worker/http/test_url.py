from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.http import url

CASES = [  # target, origin, path, query, what the fetch `path` gives
    (b"/a/b?c=d", b"", b"/a/b", b"c=d", b"/a/b"),
    (b"/", b"", b"/", None, b"/"),
    (b"/?", b"", b"/", b"", b"/"),
    (b"/a?b?c", b"", b"/a", b"b?c", b"/a"),
    (b"*", b"", b"*", None, b""),
    (b"a.example:443", b"", b"a.example:443", None, b""),
    (b"http://a:81/x?y", b"http://a:81", b"/x", b"y", b"/x"),
    (b"HTTPS://a", b"HTTPS://a", b"", None, b"/"),
    (b"http://a?q", b"http://a", b"", b"q", b"/"),
    (b"/x#y?z", b"", b"/x#y", b"z", b"/x#y"),
    (b"/http://a/b", b"", b"/http://a/b", None, b"/http://a/b"),
]


@pytest.mark.parametrize(("target", "origin", "path", "query", "fetched"), CASES)
def test_target_is_split(target: bytes, origin: bytes, path: bytes, query: bytes | None, fetched: bytes) -> None:
    assert url.split(target) == (origin, path, query)
    assert url.path(target) == fetched
    assert url.query(target) == (query or b"")


def test_scheme_and_authority() -> None:
    assert url.split(b"HTTP://A:1/x").scheme == b"http"
    assert url.split(b"HTTP://A:1/x").authority == b"A:1"
    assert url.split(b"/x").scheme == url.split(b"/x").authority == b""


@given(st.binary(max_size=30))
def test_parts_join_to_the_target(target: bytes) -> None:
    assert bytes(url.split(target)) == target
