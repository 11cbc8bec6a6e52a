from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl import http_values
from common.errors import ExpressionError


@pytest.mark.parametrize(
    "value, members",
    [
        (b"", [b""]),
        (b"a", [b"a"]),
        (b"a, b\t,c", [b"a", b"b", b"c"]),
        (b"a,,b,", [b"a", b"", b"b", b""]),
        (b'a;x="1,2", b', [b'a;x="1,2"', b"b"]),
        (b'"a\\",b", c', [b'"a\\",b"', b"c"]),
        (b'"open, a', [b'"open, a']),
    ],
)
def test_lists(value: bytes, members: list[bytes]) -> None:
    assert http_values.split_list(value) == members


@pytest.mark.parametrize(
    "target, path, query, authority",
    [
        (b"/", b"/", None, b""),
        (b"/a?b?c", b"/a", b"b?c", b""),
        (b"http://h/a?b", b"/a", b"b", b"h"),
        (b"http://u:p@h:80/a", b"/a", None, b"h:80"),
        (b"http://h", None, None, b"h"),
        (b"http://h?x=/y", b"/y", b"x=/y", b"h"),
        (b"h:443", None, None, b"h:443"),
        (b"*", None, None, b""),
        (b"?x", None, b"x", b"?x"),
    ],
)
def test_targets(target: bytes, path: bytes | None, query: bytes | None, authority: bytes) -> None:
    assert http_values.target_path(target) == path
    assert http_values.target_query(target) == query
    assert http_values.target_authority(target) == authority


@pytest.mark.parametrize(
    "query, delimiters, parameters",
    [
        (b"a=1&b=2", b"&", [(b"a", b"1"), (b"b", b"2")]),
        (b"a=1&b=2;c", b"&;", [(b"a", b"1"), (b"b", b"2")]),
        (b"a=b=c", b"&", [(b"a", b"b=c")]),
        (b"", b"&", []),
        (b"a=%26", b"&", [(b"a", b"%26")]),
    ],
)
def test_parameters(query: bytes, delimiters: bytes, parameters: list[tuple[bytes, bytes]]) -> None:
    assert list(http_values.query_parameters(query, delimiters)) == parameters


def test_names_of_parameters() -> None:
    assert http_values.name_test(None, None)(b"any")
    assert http_values.name_test(b"a", None)(b"a") and not http_values.name_test(b"a", None)(b"A")
    assert http_values.name_test(b"aB", b"i")(b"Ab")
    with pytest.raises(ExpressionError):
        http_values.name_test(b"a", b"s")


@pytest.mark.parametrize(
    "line, cookies",
    [
        (b"a=1; b=2", [(b"a", b"1"), (b"b", b"2")]),
        (b"a = 1;b=", [(b"a", b"1"), (b"b", b"")]),
        (b'a="x;y"; b=2', [(b"a", b'"x;y"'), (b"b", b"2")]),
        (b"flag; a=b=c;", [(b"a", b"b=c")]),
        (b"", []),
    ],
)
def test_cookies_of_requests(line: bytes, cookies: list[tuple[bytes, bytes]]) -> None:
    assert list(http_values.request_cookies(line)) == cookies


@pytest.mark.parametrize(
    "line, cookie",
    [(b"a=1; Path=/", (b"a", b"1")), (b" a = 1 ", (b"a", b"1")), (b"a", None), (b"; a=1", None), (b"a=", (b"a", b""))],
)
def test_cookies_of_responses(line: bytes, cookie: tuple[bytes, bytes] | None) -> None:
    assert http_values.response_cookie(line) == cookie


@given(st.binary(max_size=50))
def test_no_value_breaks_a_reader(value: bytes) -> None:
    assert b",".join(http_values.split_list(value)).count(b",") == value.count(b",")
    list(http_values.request_cookies(value))
    http_values.response_cookie(value)
    for read in (http_values.target_path, http_values.target_query, http_values.target_authority):
        read(value)
