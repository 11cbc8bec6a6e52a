from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe.bad_messages import BadMessage, fault_position, show


def bad(data: bytes, *, is_response: bool = False) -> BadMessage:
    server, number = ("s1", 1) if is_response else ("", -1)
    return BadMessage("now", "px", 3, is_response, "bad_field", "127.0.0.1:9", 7, "fe", 2, "be", 4, server, number, 5, data)


@pytest.mark.parametrize(
    ("data", "position"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n", 26),
        (b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", 23),
        (b"G(T / HTTP/1.1\r\n\r\n", 1),
        (b"GET  / HTTP/1.1\r\n\r\n", 4),
        (b"GET / HTTP/x.1\r\n\r\n", 11),
        (b"\x16\x03\x01", 0),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 27),
        (b"", 0),
    ],
)
def test_the_place_is_the_first_byte_that_does_not_fit(data: bytes, position: int) -> None:
    assert fault_position(data, is_response=False) == position


@pytest.mark.parametrize(
    ("data", "position"), [(b"HTTP/1.1 2x0 OK\r\n\r\n", 10), (b"HTTP/1.1 200 OK\r\nbad header: x\r\n", 20), (b"SSH-2", 0)]
)
def test_responses_have_their_own_first_line(data: bytes, position: int) -> None:
    assert fault_position(data, is_response=True) == position


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_make_it_raise_or_end_a_line(data: bytes, is_response: bool) -> None:
    assert 0 <= fault_position(data, is_response=is_response) <= len(data)
    text = show("now", 1, [bad(data, is_response=is_response)])
    assert text.isascii()
    assert all(line == " " or line.strip() for line in text.splitlines())


def test_long_lines_are_broken_and_marked() -> None:
    text = show("now", 1, [bad(b"GET /" + b"a" * 100 + b" HTTP/1.1\r\nX\tY\r\n")])
    assert "00000  GET /" in text
    assert "00060+ aaaa" in text
    assert r"X\tY\r\n" in text
    assert "frontend px (#3): invalid request" in text
    assert "backend be (#4), server <NONE> (#-1), event #5, src 127.0.0.1:9" in text
