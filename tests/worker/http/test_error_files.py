from __future__ import annotations

import pytest

from common.errors import ConfigError
from worker.http.answers import SILENT
from worker.http.error_files import error_location, read_error_file
from worker.http.head import Limits

LIMITS = Limits()


def test_file_makes_an_answer_that_closes_without_length() -> None:
    answer = read_error_file(b"HTTP/1.0 503 Busy\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n<html>\n", LIMITS)
    assert answer.closes
    assert answer.render(keep=False) == b"HTTP/1.1 503 Busy\r\nCache-Control: no-cache\r\nconnection: close\r\n\r\n<html>\n"


def test_file_with_length_keeps_the_connection() -> None:
    answer = read_error_file(b"HTTP/1.1 200 OK\nContent-Length: 4\n\nbody", LIMITS)
    assert not answer.closes
    assert answer.render() == b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"


def test_empty_file_is_silence() -> None:
    assert read_error_file(b"", LIMITS) is SILENT


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"hello", "bad_status_line"),
        (b"HTTP/1.1 503 S\r\nX: y\r\n", "empty line"),
        (b"HTTP/1.1 503 S\r\nX y\r\n\r\nbody", "field_without_colon"),
        (b"HTTP/1.1 503 S\r\nContent-Length: 9\r\n\r\nbody", "has 4 bytes, but its Content-Length says 9"),
        (b"HTTP/1.1 503 S\r\nContent-Length: 2\r\n\r\nbody", "has 4 bytes"),
        (b"HTTP/1.1 503 S\r\nContent-Length: 0\r\n\r\nbody", "has 4 bytes"),
        (b"HTTP/1.1 503 S\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunked"),
        (b"HTTP/1.1 204 S\r\n\r\nbody", "has no payload"),
        (b"HTTP/1.1 103 S\r\n\r\n", "not the status of an error"),
        (b"HTTP/1.1 503 S\r\n\r\n" + b"b" * 15360, "larger than 15360 bytes"),
    ],
)
def test_other_content_is_refused_with_a_reason(content: bytes, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_error_file(content, LIMITS)


def test_error_location_redirects() -> None:
    assert error_location(b"http://h/x").render() == (
        b"HTTP/1.1 302 Found\r\ncache-control: no-cache\r\ncontent-length: 0\r\nlocation: http://h/x\r\n\r\n"
    )
    assert error_location(b"/x", 303).render().startswith(b"HTTP/1.1 303 See Other\r\n")
