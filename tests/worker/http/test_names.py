from __future__ import annotations

import pytest

from worker.http.editor import RequestEditor
from worker.http.head import Limits, parse_request
from worker.http.names import adjust_case, has_unusual_name, is_unusual


@pytest.mark.parametrize(
    ("field", "unusual"),
    [
        (b"X-Y: a_b", False),
        (b"X_Y: a", True),
        (b"X-Forwarded.For: a", True),
        (b"Accept: */*", False),
        (b"Accept: a\tb", False),
        (b"!: a", True),
        (b"X9-: a", False),
    ],
)
def test_names_outside_letters_digits_and_hyphen_are_seen(field: bytes, unusual: bool) -> None:
    found = parse_request(b"GET /_ HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n", 0, Limits())
    assert found is not None
    assert has_unusual_name(found[0]) is unusual
    editor = RequestEditor(found[0])
    assert has_unusual_name(editor) is unusual
    editor.del_headers_matching(is_unusual)
    assert not has_unusual_name(editor)
    assert (len(editor.fields) == 1) is unusual


def test_case_of_names_is_adjusted() -> None:
    head = b"GET /x-a: HTTP/1.1\r\nhost: x-a\r\nx-a: host: 1\r\nX-B: 2\r\n\r\n"
    spellings = {b"host": b"Host", b"x-a": b"X-a", b"x-b": b"x-B"}
    assert adjust_case(head, spellings) == b"GET /x-a: HTTP/1.1\r\nHost: x-a\r\nX-a: host: 1\r\nx-B: 2\r\n\r\n"
