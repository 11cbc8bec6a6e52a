from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from worker.forwarded import address_text
from worker.forwarded_field import expressions_in, forwarded_adder

V4, V6 = bytes([192, 0, 2, 1]), bytes(15) + b"\1"


def exchange(*, src: bytes = V4, tls: bool = False, host: bytes | None = b"example.org") -> Any:
    return SimpleNamespace(
        head=SimpleNamespace(host=host), session=SimpleNamespace(tls=object() if tls else None), src=src, src_port=4711, dst=V4, dst_port=80
    )


@pytest.mark.parametrize(
    ("words", "facts", "field"),
    [
        ("", {}, b"proto=http;for=192.0.2.1"),
        ("proto", {"tls": True}, b"proto=https"),
        ("for", {"src": V6}, b'for="[::1]"'),
        ("for for_port", {}, b'for="192.0.2.1:4711"'),
        ("for for_port", {"src": V6}, b'for="[::1]:4711"'),
        ("host", {}, b"host=example.org"),
        ("host", {"host": b"example.org:81"}, b'host="example.org:81"'),
        ("host", {"host": None}, b""),
        ("by by_port", {}, b'by="192.0.2.1:80"'),
        ("for proto host by", {}, b"proto=http;host=example.org;by=192.0.2.1;for=192.0.2.1"),
        ("for", {"src": b""}, b"for=unknown"),
    ],
)
def test_field_says_what_was_asked_for(words: str, facts: dict[str, Any], field: bytes) -> None:
    made = forwarded_adder(words.split(), {}, address_text)(exchange(**facts))
    assert made == (b"forwarded: " + field + b"\r\n" if field else b"")


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b"_hidden", b"for=_hidden"),
        (b"198.51.100.7", b"for=198.51.100.7"),
        (b"2001:db8::1", b'for="[2001:db8::1]"'),
        (b'evil";proto=https', b"for=unknown"),
        (None, b"for=unknown"),
    ],
)
def test_expressions_give_names_that_are_checked(value: bytes | None, field: bytes) -> None:
    made = forwarded_adder(["for-expr", "var(x)"], {"for": lambda exchange: value}, address_text)(exchange())
    assert made == b"forwarded: " + field + b"\r\n"


def test_host_of_an_expression_cannot_add_fields() -> None:
    made = forwarded_adder(["host-expr", "x"], {"host": lambda exchange: b'a"b\r\nX: y'}, address_text)(exchange())
    assert made.count(b"\r\n") == 1 and b'\\"' in made


def test_expressions_are_found() -> None:
    words = ["proto", "host-expr", "req.hdr(x)", "for", "for_port-expr", "int(5)"]
    assert expressions_in(words) == {"host": "req.hdr(x)", "for_port": "int(5)"}
