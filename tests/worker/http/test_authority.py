from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from worker.http.authority import PLAIN_HOST, Authority, is_host, parse_authority, place_request


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (b"a.example", (b"a.example", None)),
        (b"A:80", (b"A", b"80")),
        (b"a:", (b"a", b"")),
        (b"", (b"", None)),
        (b"a_b~!$&'()*+;=%20", (b"a_b~!$&'()*+;=%20", None)),
        (b"192.0.2.1:65535", (b"192.0.2.1", b"65535")),
        (b"[::1]:8", (b"[::1]", b"8")),
        (b"[::ffff:1.2.3.4]", (b"[::ffff:1.2.3.4]", None)),
        (b"[v1.a:b]", (b"[v1.a:b]", None)),
    ],
)
def test_authority_is_read(value: bytes, wanted: tuple[bytes, bytes | None]) -> None:
    assert parse_authority(value) == Authority(*wanted)


@pytest.mark.parametrize(
    "value",
    [b"a b", b"a,b", b"a/b", b"a#b", b"a?b", b"u@a", b'"a"', b"a:-1", b"a:65536", b"a:8x", b"a:1:2", b"::1", b"[::1", b"[:::]", b"[1.2]",
     b"a%2", b"\xe9", b"a\x0b", b"[]", b"[v]"],
)  # fmt: skip
def test_other_values_are_no_authority(value: bytes) -> None:
    assert not is_host(value)


@given(st.binary(max_size=12))
def test_quick_look_accepts_nothing_that_the_whole_look_refuses(value: bytes) -> None:
    if PLAIN_HOST.fullmatch(value):
        assert is_host(value)


PLACED = [  # method, target, host, target and host afterwards
    (b"GET", b"/x", b"a:80", b"/x", b"a:80"),
    (b"GET", b"/x", None, b"/x", None),
    (b"OPTIONS", b"*", b"a", b"*", b"a"),
    (b"GET", b"http://a/x", b"a", b"http://a/x", b"a"),
    (b"GET", b"http://a:80/x", b"a:80", b"http://a/x", b"a"),
    (b"GET", b"http://a:/x", b"A", b"http://a/x", b"A"),
    (b"GET", b"https://a:443", b"a:", b"https://a/", b"a"),
    (b"GET", b"https://a:80/", b"a:80", b"https://a:80/", b"a:80"),
    (b"GET", b"http://a?q", b"a", b"http://a/?q", b"a"),
    (b"GET", b"HTTP://a/x", None, b"HTTP://a/x", b"a"),
    (b"OPTIONS", b"http://a", b"a", b"http://a", b"a"),
    (b"GET", b"ftp://a:21/x", b"a:21", b"ftp://a:21/x", b"a:21"),
    (b"CONNECT", b"a:443", b"a:443", b"a:443", b"a"),
    (b"CONNECT", b"a:443", b"A", b"a:443", b"A"),
    (b"CONNECT", b"a:8443", b"a:8443", b"a:8443", b"a:8443"),
    (b"CONNECT", b"[::1]:443", None, b"[::1]:443", b"[::1]"),
]


@pytest.mark.parametrize(("method", "target", "host", "new_target", "new_host"), PLACED)
def test_target_and_host_are_normalised(method, target, host, new_target, new_host) -> None:  # type: ignore[no-untyped-def]
    assert place_request(method, target, host) == (new_target, new_host)
    assert place_request(method, new_target, new_host) == (new_target, new_host)


@pytest.mark.parametrize(
    ("method", "target", "host", "slug"),
    [
        (b"GET", b"/", b"a, b", "bad_host"),
        (b"GET", b"*", b"a", "asterisk_target"),
        (b"GET", b"a/b", b"a", "bad_target"),
        (b"GET", b"http:///x", b"a", "bad_target"),
        (b"GET", b"http://a b/", b"a", "bad_target"),
        (b"GET", b"http://u:p@a/x", b"a", "userinfo_in_target"),
        (b"GET", b"http://a/x", b"b", "host_mismatch"),
        (b"GET", b"http://a:81/x", b"a", "host_mismatch"),
        (b"GET", b"http://a/x", b"", "host_mismatch"),
        (b"CONNECT", b"a", b"a", "connect_target"),
        (b"CONNECT", b"a:", b"a", "connect_target"),
        (b"CONNECT", b":443", b"a", "connect_target"),
        (b"CONNECT", b"/", b"a", "connect_target"),
        (b"CONNECT", b"http://a:1/", b"a", "connect_target"),
        (b"CONNECT", b"a:443", b"b:443", "host_mismatch"),
        (b"CONNECT", b"a:443", b"a:80", "host_mismatch"),
    ],
)
def test_what_two_readers_could_take_differently_is_refused(method, target, host, slug) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WireError, match=slug) as caught:
        place_request(method, target, host)
    assert caught.value.status == 400


@given(st.binary(max_size=20), st.one_of(st.none(), st.binary(max_size=12)), st.sampled_from([b"GET", b"CONNECT", b"OPTIONS"]))
def test_no_bytes_raise_anything_else(target: bytes, host: bytes | None, method: bytes) -> None:
    try:
        place_request(method, target, host)
    except WireError:
        pass
