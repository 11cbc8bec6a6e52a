"""Log lines as JSON objects or CBOR maps: `%{+json}o`, `%{+cbor}o`. Sans-io.

Only named items, `%(name)…` or `%(name:type)…`, go in; text between items is left out.

Source: HAProxy configuration manual (3.0) 8.2.6; RFC 8259; RFC 8949.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from enum import Enum

Item = bool | int | bytes | None


class ItemType(Enum):
    STR = "str"
    SINT = "sint"
    BOOL = "bool"


class Encoding(Enum):
    NONE = ""
    JSON = "json"
    CBOR = "cbor"


NAME = re.compile(r"[A-Za-z0-9_-]+")

_JSON_SPECIAL = re.compile(r'[\x00-\x1f"\\\x7f-\x9f\ud800-\udfff]')
_JSON_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def convert(value: Item, kind: ItemType | None) -> Item:
    """The value as the type its item asks for; None where it does not convert."""
    if value is None or kind is None:
        return value
    if kind is ItemType.STR:
        return value if isinstance(value, bytes) else b"%d" % value
    number = _number(value)
    if kind is ItemType.BOOL:
        return None if number is None else number != 0
    return number


def _number(value: bool | int | bytes) -> int | None:
    if isinstance(value, bytes):
        text = value.removeprefix(b"+")
        return int(text) if re.fullmatch(rb"-?[0-9]{1,19}", text) else None
    return int(value)


def json_string(text: bytes) -> bytes:
    """A JSON string. Bytes that are not UTF-8 become U+FFFD."""
    decoded = text.decode("utf-8", "replace")
    return b'"' + _JSON_SPECIAL.sub(_json_escape, decoded).encode() + b'"'


def _json_escape(match: re.Match[str]) -> str:
    character = match[0]
    return _JSON_SHORT.get(character) or f"\\u{ord(character):04x}"


def encode_json(items: Sequence[tuple[bytes, Item]]) -> bytes:
    """items: (name, value). Names need no escaping: see NAME."""
    return b"{" + b", ".join([b'"%b": %b' % (name, _json(value)) for name, value in items]) + b"}"


def _json(value: Item) -> bytes:
    if value is None:
        return b"null"
    if isinstance(value, bool):
        return b"true" if value else b"false"
    return json_string(value) if isinstance(value, bytes) else b"%d" % value


def encode_cbor(items: Sequence[tuple[bytes, Item]]) -> bytes:
    """A map of indefinite length with text keys."""
    return b"\xbf" + b"".join([_cbor_text(name) + _cbor(value) for name, value in items]) + b"\xff"


def _cbor(value: Item) -> bytes:
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return _cbor_head(0, value) if value >= 0 else _cbor_head(1, -1 - value)
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return _cbor_head(2, len(value)) + value
    return _cbor_text(value)


def _cbor_text(text: bytes) -> bytes:
    return _cbor_head(3, len(text)) + text


def _cbor_head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major << 5 | argument,))
    for code, form, limit in ((24, ">B", 1 << 8), (25, ">H", 1 << 16), (26, ">I", 1 << 32), (27, ">Q", 1 << 64)):
        if argument < limit:
            return bytes((major << 5 | code,)) + struct.pack(form, argument)
    raise AssertionError("numbers have 64 bits")
