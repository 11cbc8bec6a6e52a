from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from worker.http.grammar import TARGET_ONLY
from worker.http.normalize import NORMALIZERS

# From the manual, and corner cases as HAProxy 2.6 answers them.
CASES = [
    ("fragment-encode", b"/#foo", b"/%23foo"),
    ("fragment-encode", b"/a?b#c", b"/a?b%23c"),
    ("fragment-strip", b"/#foo", b"/"),
    ("fragment-strip", b"/a#b?c", b"/a"),
    ("path-strip-dot", b"/.", b"/"),
    ("path-strip-dot", b"/./bar/", b"/bar/"),
    ("path-strip-dot", b"/a/./a", b"/a/a"),
    ("path-strip-dot", b"/.well-known/", b"/.well-known/"),
    ("path-strip-dot", b"/a/.?x/./y", b"/a/?x/./y"),
    ("path-strip-dotdot", b"/foo/../", b"/"),
    ("path-strip-dotdot", b"/foo/../bar/", b"/bar/"),
    ("path-strip-dotdot", b"/foo/bar/../", b"/foo/"),
    ("path-strip-dotdot", b"/../bar/", b"/../bar/"),
    ("path-strip-dotdot", b"/bar/../../", b"/../"),
    ("path-strip-dotdot", b"/foo//../", b"/foo/"),
    ("path-strip-dotdot", b"/foo/%2E%2E/", b"/foo/%2E%2E/"),
    ("path-strip-dotdot", b"/..", b"/../"),
    ("path-strip-dotdot", b"/foo/../..", b"/../"),
    ("path-strip-dotdot", b"/a/../../../b", b"/../../b"),
    ("path-strip-dotdot", b"/..a/../b", b"/b"),
    ("path-strip-dotdot", b"http://a/x/../b", b"http://a/b"),
    ("path-strip-dotdot full", b"/../bar/", b"/bar/"),
    ("path-strip-dotdot full", b"/bar/../../", b"/"),
    ("path-strip-dotdot full", b"/..?a/../b", b"/?a/../b"),
    ("path-merge-slashes", b"//", b"/"),
    ("path-merge-slashes", b"/foo//bar", b"/foo/bar"),
    ("path-merge-slashes", b"/a//b?c//d", b"/a/b?c//d"),
    ("path-merge-slashes", b"http://a//b", b"http://a/b"),
    ("percent-decode-unreserved", b"/%61dmin", b"/admin"),
    ("percent-decode-unreserved", b"/foo%3Fbar=baz", b"/foo%3Fbar=baz"),
    ("percent-decode-unreserved", b"/%%36%36", b"/%66"),
    ("percent-decode-unreserved", b"/%ZZ", b"/%ZZ"),
    ("percent-decode-unreserved", b"/a?b=%61%2d", b"/a?b=a-"),
    ("percent-decode-unreserved strict", b"/%61", b"/a"),
    ("percent-to-uppercase", b"/%6f", b"/%6F"),
    ("percent-to-uppercase", b"/%zz", b"/%zz"),
    ("percent-to-uppercase strict", b"/%6f%aA?%bb", b"/%6F%AA?%BB"),
    ("query-sort-by-name", b"/?c=3&a=1&b=2", b"/?a=1&b=2&c=3"),
    ("query-sort-by-name", b"/?aaa=3&a=1&aa=2", b"/?a=1&aa=2&aaa=3"),
    ("query-sort-by-name", b"/?a=3&b=4&a=1&b=5&a=2", b"/?a=3&a=1&a=2&b=4&b=5"),
    ("query-sort-by-name", b"/?a=1&a-b=2&a", b"/?a=1&a&a-b=2"),
    ("query-sort-by-name", b"/x", b"/x"),
]


@pytest.mark.parametrize(("name", "target", "wanted"), CASES)
def test_target_is_normalised(name: str, target: bytes, wanted: bytes) -> None:
    assert NORMALIZERS[name](target) == wanted


@pytest.mark.parametrize("name", [name for name in NORMALIZERS if name.endswith("strict")])
@pytest.mark.parametrize("target", [b"/%%36%36", b"/%zz", b"/%", b"/%4", b"/?%41%"])
def test_strict_normalizer_refuses_broken_encoding(name: str, target: bytes) -> None:
    with pytest.raises(WireError) as caught:
        NORMALIZERS[name](target)
    assert caught.value.status == 400


@pytest.mark.parametrize("name", NORMALIZERS)
@given(target=st.text("/.a%2Ff?&=", max_size=20).map(lambda text: b"/" + text.encode()))
def test_normalised_target_is_a_target_and_stays(name: str, target: bytes) -> None:
    try:
        normalised = NORMALIZERS[name](target)
    except WireError:
        return
    assert TARGET_ONLY.fullmatch(normalised) and normalised.startswith(b"/")
    if not name.startswith("percent-decode"):  # decoding twice may decode more: /%%36%36
        assert NORMALIZERS[name](normalised) == normalised


@pytest.mark.parametrize("name", NORMALIZERS)
@pytest.mark.parametrize("target", [b"*", b"a.example:443", b"http://a"])
def test_target_without_path_stays(name: str, target: bytes) -> None:
    assert NORMALIZERS[name](target) == target
