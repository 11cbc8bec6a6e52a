"""Finding one field in a protocol buffers message, by its numbers from the outermost message inwards. Sans-io.

The first field of a number is the one that is taken, and only the first is looked into. Groups, which no one has written for many
years, are not followed.

Source: HAProxy configuration manual 7.3.1 "protobuf", "ungrpc"; protocol buffers documentation, "Encoding"; gRPC over HTTP/2,
"Length-Prefixed-Message".
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from common.acl.types import clamp, wrap
from common.errors import ExpressionError

FIELD_NUMBER_MAX = (1 << 29) - 1
_VARINT_BYTES_MAX = 10
_MESSAGE_HEAD_BYTES = 5  # of gRPC: compressed or not, then the length

Path = tuple[int, ...]


class Wire(IntEnum):
    VARINT = 0
    EIGHT_BYTES = 1
    BYTES = 2
    FOUR_BYTES = 5


@dataclass(frozen=True, slots=True)
class Field:
    number: int
    wire: Wire
    content: bytes  # of BYTES without its length; of VARINT as it is written


def parse_path(text: str) -> Path:
    """Numbers joined by dots. Raises ExpressionError."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})*", text):
        raise ExpressionError(f'"{text}" is not a field: numbers joined by dots, such as 48.59.1')
    path = tuple(int(number) for number in text.split("."))
    if not all(1 <= number <= FIELD_NUMBER_MAX for number in path):
        raise ExpressionError(f'"{text}": field numbers go from 1 to {FIELD_NUMBER_MAX}')
    return path


def fields(message: bytes) -> Iterator[Field]:
    """In order. Ends before whatever is malformed or breaks off."""
    position = 0
    while position < len(message):
        start = _behind_varint(message, position)
        if start is None:
            return
        tag = decode_varint(message[position:start])
        end = _end_of(message, start, tag & 7)
        if end is None or end[1] > len(message):
            return
        yield Field(tag >> 3, Wire(tag & 7), message[end[0] : end[1]])
        position = end[1]


def _behind_varint(message: bytes, position: int) -> int | None:
    for index in range(position, min(len(message), position + _VARINT_BYTES_MAX)):
        if not message[index] & 0x80:
            return index + 1
    return None


def decode_varint(digits: bytes) -> int:
    """Seven bits a byte, the lowest first; as unsigned 64 bits."""
    value = 0
    for index, byte in enumerate(digits):
        value |= (byte & 0x7F) << 7 * index
    return value & (1 << 64) - 1


def _end_of(message: bytes, start: int, wire: int) -> tuple[int, int] | None:
    """(first byte, byte behind) of a field's content; None for a wire type that is not followed."""
    if wire == Wire.BYTES:
        begin = _behind_varint(message, start)
        return None if begin is None else (begin, begin + decode_varint(message[start:begin]))
    if wire == Wire.VARINT:
        end = _behind_varint(message, start)
        return None if end is None else (start, end)
    if wire == Wire.EIGHT_BYTES:
        return start, start + 8
    return (start, start + 4) if wire == Wire.FOUR_BYTES else None


def find(message: bytes, path: Path) -> Field | None:
    """The field at the path; None if it, or a message around it, is not there."""
    *outer, last = path
    for number in outer:
        around = next((field for field in fields(message) if field.number == number), None)
        if around is None or around.wire is not Wire.BYTES:
            return None
        message = around.content
    return next((field for field in fields(message) if field.number == last), None)


def grpc_messages(body: bytes) -> Iterator[bytes]:
    """The messages of a gRPC body that are there whole."""
    position = 0
    while len(body) - position >= _MESSAGE_HEAD_BYTES:
        start = position + _MESSAGE_HEAD_BYTES
        position = start + int.from_bytes(body[position + 1 : start], "big")
        if position <= len(body):
            yield body[start:position]


def _zigzag(number: int) -> int:
    return number >> 1 ^ -(number & 1)


def _signed32(number: int) -> int:
    return (number & 0xFFFFFFFF ^ 0x80000000) - 0x80000000


def _of_varint(read: Callable[[int], int]) -> tuple[Wire, Callable[[bytes], int]]:
    return Wire.VARINT, lambda content: read(decode_varint(content))


def _packed(wire: Wire, form: str) -> tuple[Wire, Callable[[bytes], int]]:
    """Integers of four or eight bytes."""
    return wire, lambda content: wrap(struct.unpack(form, content)[0])


def _fraction(wire: Wire, form: str) -> tuple[Wire, Callable[[bytes], int]]:
    """The integer part. ValueError, OverflowError where there is none."""
    return wire, lambda content: clamp(int(struct.unpack(form, content)[0]))


_TYPES: dict[str, tuple[Wire, Callable[[bytes], int]]] = {
    "int32": _of_varint(_signed32),
    "uint32": _of_varint(lambda number: number & 0xFFFFFFFF),
    "sint32": _of_varint(lambda number: _signed32(_zigzag(number))),
    "int64": _of_varint(wrap),
    "uint64": _of_varint(wrap),  # samples are signed
    "sint64": _of_varint(_zigzag),
    "bool": _of_varint(bool),
    "enum": _of_varint(_signed32),
    "fixed32": _packed(Wire.FOUR_BYTES, "<I"),
    "sfixed32": _packed(Wire.FOUR_BYTES, "<i"),
    "float": _fraction(Wire.FOUR_BYTES, "<f"),
    "fixed64": _packed(Wire.EIGHT_BYTES, "<Q"),
    "sfixed64": _packed(Wire.EIGHT_BYTES, "<q"),
    "double": _fraction(Wire.EIGHT_BYTES, "<d"),
}


def number_reader(name: str) -> Callable[[Field], int | None]:
    """The function from a field to its value as that type; None for a field that is not written so. Raises ExpressionError."""
    if name not in _TYPES:
        raise ExpressionError(f'"{name}" is not a type that becomes a number: there are {", ".join(_TYPES)}')
    wire, read = _TYPES[name]

    def number(field: Field) -> int | None:
        if field.wire is not wire:
            return None
        try:
            return int(read(field.content))
        except (ValueError, OverflowError):  # a fraction that is no number, or infinite
            return None

    return number
