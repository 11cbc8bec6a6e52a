from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.http import grammar
from worker.http.authority import parse_authority
from worker.http.chunked import _SIZE_LINE
from worker.http.grammar import HEAD_END, REQUEST_HEAD, REQUEST_LINE_BEGUN, RESPONSE_HEAD, SPECIAL_FIELDS, STATUS_LINE_BEGUN

GOOD_REQUESTS = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"M-Search /a?b HTTP/1.0\r\nHost:a\r\nX: \t\r\n\r\n",
    b"GET http://a/ HTTP/1.1\r\n!#$%&'*+-.^_`|~09azAZ: \xe9\t\r\n\r\n",
]
BAD_REQUESTS = [
    b"",
    b"\r\n",
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\n\r\nx",
    b"GET  / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.2\r\n\r\n",
    b"GET / HTTP/1.1\r\nX\r\n\r\n",
    b"GET / HTTP/1.1\r\nX :y\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: y\n\r\n",
    b"GET / HTTP/1.1\r\nX: y\rz\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: y\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: y\r\n z\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: y\r\nZ",
]


@pytest.mark.parametrize("data", GOOD_REQUESTS)
def test_request_head_is_matched_whole(data: bytes) -> None:
    assert REQUEST_HEAD.fullmatch(data)
    assert RESPONSE_HEAD.fullmatch(b"HTTP/1.1 200 OK\r\n" + data.partition(b"\r\n")[2])


@pytest.mark.parametrize("data", BAD_REQUESTS)
def test_what_breaks_a_rule_is_not_matched(data: bytes) -> None:
    assert REQUEST_HEAD.fullmatch(data) is None
    assert RESPONSE_HEAD.fullmatch(data.replace(b"GET / HTTP/1.1", b"HTTP/1.1 200 OK")) is None


def test_special_fields_are_found_in_any_case_and_nothing_else() -> None:
    head = b"GET /host:x HTTP/1.1\r\nHOST: a \r\nHosts: b\r\nX: Host: c\r\nTE:\td\r\nTest: e\r\nx-te: f\r\nconnection:\r\n\r\n"
    assert SPECIAL_FIELDS.findall(head) == [(b"HOST", b"a "), (b"TE", b"d"), (b"connection", b"")]


@given(st.sampled_from(GOOD_REQUESTS), st.integers(0, 30))
def test_beginning_of_a_good_line_is_a_beginning(data: bytes, cut: int) -> None:
    line = data.partition(b"\n")[0]
    assert REQUEST_LINE_BEGUN.fullmatch(line[:cut])
    assert STATUS_LINE_BEGUN.fullmatch(b"HTTP/1.1 200 OK\r"[:cut])


def test_head_ends_at_the_first_empty_line() -> None:
    match = HEAD_END.search(b"GET / HTTP/1.1\r\nX: y\n\nrest\r\n\r\n")
    assert match is not None and match.end() == 22


def test_no_group_is_repeated_possessively() -> None:
    """Up to Python 3.11.4 such a group accepts half of what it should match."""
    for path in Path(grammar.__file__).parent.glob("*.py"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            outside_sets = re.sub(r"\[(?:\\.|[^\]\\])*\]", "[]", line) if 'rb"' in line or "rb'" in line else ""
            assert not re.search(r"\)[*+?]\+", outside_sets), f"{path.name}:{number}"


NASTY = [
    (REQUEST_HEAD, b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 4000 + b"\x00"),
    (REQUEST_HEAD, b"a" * 16000),
    (REQUEST_LINE_BEGUN, b"a " * 8000 + b"\x00"),
    (_SIZE_LINE, b"5" + b";a=b" * 1000 + b"\x00"),
    (_SIZE_LINE, b'5;a="' + b"\\a" * 2000),
    (_SIZE_LINE, b"5" + b" ; a = b" * 500 + b'="'),
]


@pytest.mark.parametrize(("pattern", "data"), NASTY)
def test_matching_is_one_pass_over_the_bytes(pattern: re.Pattern[bytes], data: bytes) -> None:
    began = time.process_time()
    assert pattern.fullmatch(data) is None
    assert time.process_time() - began < 0.5  # a second pass per byte would take minutes


def test_long_host_is_one_pass_too() -> None:
    began = time.process_time()
    assert parse_authority(b"%41a" * 4000 + b"/") is None
    assert time.process_time() - began < 0.5
