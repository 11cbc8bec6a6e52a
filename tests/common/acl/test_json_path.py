from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.json_path import DOCUMENT_BYTES_MAX, Steps, parse_json, parse_path, read_path
from common.errors import ExpressionError


@pytest.mark.parametrize(
    "text, steps",
    [
        (b"$", ()),
        (b"$.a", ("a",)),
        (b"$.a.b[0][12].c", ("a", "b", 0, 12, "c")),
        (rb"$.my\.key", ("my.key",)),
        (b"$['a.b']", ("a.b",)),
        (b'$["it\'s"]', ("it's",)),
        (rb"$['it\'s']", ("it's",)),
        ("$.é".encode(), ("é",)),
    ],
)
def test_paths(text: bytes, steps: Steps) -> None:
    assert parse_path(text) == steps


@pytest.mark.parametrize("text", [b"", b"a", b".a", b"$a", b"$.", b"$..a", b"$[", b"$[-1]", b"$[*]", b"$.a[", b"$['a", b"$.*.[0]"])
def test_what_is_no_path(text: bytes) -> None:
    with pytest.raises(ExpressionError, match="JSON path"):
        parse_path(text)


DOCUMENT = {"a": {"b": [1, {"c": None}]}, "": "empty", "n": 0}


@pytest.mark.parametrize(
    "steps, value",
    [
        ((), DOCUMENT),
        (("a", "b", 0), 1),
        (("a", "b", 1, "c"), None),
        (("a", "b", 2), None),
        (("a", 0), None),
        (("x",), None),
        (("n", "x"), None),
    ],
)
def test_reading(steps: Steps, value: object) -> None:
    assert read_path(DOCUMENT, steps) == value


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[1,]", b"NaN", b"[Infinity]", b"\xff", b"1" * 100, b"[" * 100_000, b'{"a":1}x', b'"' + b"x" * DOCUMENT_BYTES_MAX + b'"'],
)
def test_what_is_no_document(document: bytes) -> None:
    assert parse_json(document) is None


@given(st.binary(max_size=60))
def test_no_document_raises(document: bytes) -> None:
    parse_json(document)


@given(st.text(max_size=30))
def test_any_path_is_read_or_refused(text: str) -> None:
    try:
        steps = parse_path(("$" + text).encode("utf-8", "surrogatepass"))
    except ExpressionError:
        return
    read_path(DOCUMENT, steps)
