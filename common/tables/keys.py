"""Keys of stick tables: from samples and from what operators write, to bytes, and back to text. Sans-io.

A key has one form for equal values: strings end where their length says, blocks are filled up with zeroes, integers are 32 bits.
Source: HAProxy manual 4.2 "stick-table" (type), management guide 9.3 "show table".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from common.acl.addresses import format_address, parse_ipv4, parse_ipv6
from common.acl.casts import cast
from common.acl.types import SampleType, Typed
from common.tables.definition import TableDefinition

INTEGER_MAX = 0xFFFFFFFF
KeyOf = Callable[[Any], bytes | None]


def key_maker(definition: TableDefinition, source: SampleType) -> KeyOf | None:
    """From a bare sample of that type to the key, None for what has none. None where the types do not fit each other at all."""
    convert = cast(source, definition.sample_type)
    if convert is None:
        return None
    finish = _FINISH[definition.type](definition)

    def make(value: Any) -> bytes | None:
        converted = convert(value)
        return None if converted is None else finish(converted)

    return make


def key_of_text(definition: TableDefinition, text: str) -> bytes | None:
    """A key as an operator writes it; None if it is none. Binary keys are given in hexadecimal."""
    if definition.type == "ip":
        return parse_ipv4(text.encode())
    if definition.type == "ipv6":
        return parse_ipv6(text.encode())
    if definition.type == "integer":
        return _integer(int(text)) if re.fullmatch(r"[0-9]{1,10}", text) and int(text) <= INTEGER_MAX else None
    if definition.type == "string":
        return text.encode("utf-8", "surrogateescape")[: definition.key_bytes]
    try:
        return bytes.fromhex(text)[: definition.key_bytes].ljust(definition.key_bytes, b"\0")
    except ValueError:
        return None


def text_of_key(definition: TableDefinition, key: bytes) -> str:
    """As `show table` writes it."""
    if definition.type == "ip":
        return ".".join(map(str, key))
    if definition.type == "ipv6":
        return format_address(key).decode()
    if definition.type == "integer":
        return str(int.from_bytes(key, "little"))
    if definition.type == "binary":
        return key.hex().upper()
    return "".join(chr(byte) if 32 < byte < 127 and byte != 92 else _escaped(byte) for byte in key)


def typed_key(definition: TableDefinition, key: bytes) -> Typed:
    """The key as a sample."""
    if definition.type == "integer":
        return Typed(SampleType.INT, int.from_bytes(key, "little"))
    return Typed(definition.sample_type, key)


def _integer(value: int) -> bytes:
    return (value & INTEGER_MAX).to_bytes(4, "little")


def _escaped(byte: int) -> str:
    return {32: "\\ ", 92: "\\\\", 9: "\\t", 10: "\\n", 13: "\\r"}.get(byte, f"\\x{byte:02x}")


def _as_it_is(definition: TableDefinition) -> Callable[[Any], bytes | None]:
    return lambda value: value


def _cut(definition: TableDefinition) -> Callable[[Any], bytes | None]:
    """An empty string is no key."""
    most = definition.key_bytes
    return lambda value: value[:most] or None


def _filled(definition: TableDefinition) -> Callable[[Any], bytes | None]:
    size = definition.key_bytes
    return lambda value: value[:size].ljust(size, b"\0") if value else None


_FINISH: dict[str, Callable[[TableDefinition], Callable[[Any], bytes | None]]] = {
    "ip": _as_it_is,
    "ipv6": _as_it_is,
    "integer": lambda definition: _integer,
    "string": _cut,
    "binary": _filled,
}
