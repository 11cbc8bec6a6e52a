from __future__ import annotations

from hypothesis import given

from common.errors import WireError
from tests.worker.http.messages import request_heads
from worker.http.head import Limits, Request, parse_request


def request(data: bytes) -> Request:
    found = parse_request(data, 0, Limits())
    assert found is not None
    return found[0]


def test_fields_are_cut_once() -> None:
    read = request(b"GET /x HTTP/1.1\r\nHost: a\r\nX-A: \t1\t \r\nx-a:2\r\nX-B:\r\n\r\n")
    assert read.fields == [(b"Host", b"a"), (b"X-A", b"1"), (b"x-a", b"2"), (b"X-B", b"")]
    assert read.fields is read.fields


def test_values_are_found_by_lower_case_name() -> None:
    read = request(b"GET /x:y HTTP/1.1\r\nHost: a\r\nX-A: B:c\r\nx-a:2\r\nX-AB: 3\r\nX: x-a: 4\r\n\r\n")
    assert read.values(b"x-a") == [b"B:c", b"2"]
    assert read.first(b"x-a") == b"B:c" and read.has(b"x-a")
    assert read.values(b"a") == [] and read.first(b"get /x") is None and not read.has(b"x-b")


@given(request_heads())
def test_values_are_those_of_the_fields(data: bytes) -> None:
    try:
        found = parse_request(data, 0, Limits())
    except WireError:
        return
    if found is None:
        return
    read = found[0]
    for name, _ in read.fields:
        lower = name.lower()
        assert read.values(lower) == [value for other, value in read.fields if other.lower() == lower]
        assert read.has(lower)
