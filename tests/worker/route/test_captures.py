"""What a frontend keeps of heads for its logs."""

from __future__ import annotations

import pytest

from common.rules.parse import parse_action
from tests.worker.route.fakes import environment, read_request, read_response
from worker.route.captures import Captures, captures_of

HEAD = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: one\r\nx-a: two\r\nCookie: B=1; SID=abc; SIDE=2\r\nCookie: SID2=z\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nServer: longname\r\nSet-Cookie: A=1; path=/\r\nSet-Cookie: SID=xyz; Secure; SIDE=1\r\n\r\n"


def test_slots_of_declared_and_added_captures() -> None:
    known = environment()
    parse_action("http-request", ["capture", "path", "len", "12"], known)
    captures = captures_of(known)
    assert captures.wanted
    assert captures.request_lengths == (8, 4, 12)
    assert captures.response_lengths == (8, 4)
    assert captures.of_request(read_request(HEAD)) == [b"a.exampl", None, None]
    assert captures.of_response(read_response(ANSWER)) == [b"longname", None]
    assert captures.of_request(None) == [None, None, None]


def test_last_value_is_captured() -> None:
    captures = Captures(request_lengths=(10,), request=((0, b"x-a", 10),))
    assert captures.of_request(read_request(HEAD)) == [b"two"]


def test_nothing_is_wanted_by_default() -> None:
    assert not Captures().wanted


COOKIES = [
    (b"SID", 63, b"SID=abc", b"SID=xyz"),
    (b"SID=", 5, b"SID=a", b"SID=x"),
    (b"SIDE", 63, b"SIDE=2", None),
    (b"SID2", 63, b"SID2=z", None),
    (b"path", 63, None, None),  # an attribute is no cookie
    (b"sid", 63, None, None),
]


@pytest.mark.parametrize(("start", "length", "request_cookie", "response_cookie"), COOKIES)
def test_first_cookie_whose_name_starts_so(
    start: bytes, length: int, request_cookie: bytes | None, response_cookie: bytes | None
) -> None:
    captures = Captures(cookie=(start, length))
    assert captures.wanted
    assert captures.cookie_of_request(read_request(HEAD)) == request_cookie
    assert captures.cookie_of_response(read_response(ANSWER)) == response_cookie


def test_no_cookie_capture() -> None:
    assert Captures().cookie_of_request(read_request(HEAD)) is None
    assert Captures().cookie_of_response(read_response(ANSWER)) is None
