"""Fields are what a running HAProxy 2.6 finds; numbers are as the protocol buffers documentation says (HAProxy widens a few)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl import protobuf
from common.acl.protobuf import Field, Wire
from common.errors import ExpressionError


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def field(number: int, wire: int, content: bytes) -> bytes:
    return varint(number << 3 | wire) + (varint(len(content)) if wire == Wire.BYTES else b"") + content


def nested(number: int, *inside: bytes) -> bytes:
    return field(number, Wire.BYTES, b"".join(inside))


FIVE, SEVEN = field(1, Wire.VARINT, varint(5)), field(1, Wire.VARINT, varint(7))


@pytest.mark.parametrize(
    "message, path, content",
    [
        (b"\x08\x96\x01", (1,), b"\x96\x01"),
        (b"\x08\x96\x01", (2,), None),
        (nested(1, b"abc"), (1,), b"abc"),
        (nested(129, b"abc"), (129,), b"abc"),
        (nested(1, FIVE), (1, 1), b"\5"),
        (nested(1, FIVE, SEVEN), (1, 1), b"\5"),  # the first
        (nested(48, nested(59, FIVE)) + nested(49, nested(59, SEVEN)), (49, 59, 1), b"\7"),
        (nested(1, nested(2)) + nested(1, nested(2, FIVE)), (1, 2, 1), None),  # only the first is looked into
        (FIVE, (1, 1), None),
        (nested(1), (1,), b""),
        (b"\x0d\1\0\0\x80", (1,), b"\1\0\0\x80"),
        (b"\x0b\x08\x05\x0c\x10\x07", (2,), None),  # a group
        (b"\x0f", (1,), None),
        (b"\x08", (1,), None),
        (b"\x0a\x05ab", (1,), None),
        (b"\x80" * 11, (1,), None),
        (b"", (1,), None),
    ],
)
def test_finding(message: bytes, path: tuple[int, ...], content: bytes | None) -> None:
    found = protobuf.find(message, path)
    assert (None if found is None else found.content) == content


@pytest.mark.parametrize(
    "name, wire, content, value",
    [
        ("int32", Wire.VARINT, varint(150), 150),
        ("int32", Wire.VARINT, varint(-1), -1),
        ("int64", Wire.VARINT, varint(-(2**63)), -(2**63)),
        ("uint32", Wire.VARINT, varint(2**32 - 1), 2**32 - 1),
        ("uint64", Wire.VARINT, varint(2**64 - 1), -1),
        ("sint32", Wire.VARINT, varint(1), -1),
        ("sint64", Wire.VARINT, varint(2**64 - 1), -(2**63)),
        ("sint64", Wire.VARINT, varint(150), 75),
        ("bool", Wire.VARINT, varint(2), 1),
        ("enum", Wire.VARINT, varint(3), 3),
        ("fixed32", Wire.FOUR_BYTES, b"\1\0\0\x80", 2147483649),
        ("sfixed32", Wire.FOUR_BYTES, b"\1\0\0\x80", -2147483647),
        ("float", Wire.FOUR_BYTES, struct.pack("<f", -1.5), -1),
        ("float", Wire.FOUR_BYTES, struct.pack("<f", float("nan")), None),
        ("double", Wire.EIGHT_BYTES, struct.pack("<d", 1e300), 2**63 - 1),
        ("double", Wire.EIGHT_BYTES, struct.pack("<d", float("inf")), None),
        ("fixed64", Wire.EIGHT_BYTES, b"\xff" * 8, -1),
        ("sfixed64", Wire.EIGHT_BYTES, b"\xfe" + b"\xff" * 7, -2),
        ("int32", Wire.BYTES, b"\5", None),
        ("fixed32", Wire.EIGHT_BYTES, b"\0" * 8, None),
    ],
)
def test_numbers(name: str, wire: Wire, content: bytes, value: int | None) -> None:
    assert protobuf.number_reader(name)(Field(1, wire, content)) == value


@pytest.mark.parametrize("text, path", [("1", (1,)), ("48.59.1", (48, 59, 1)), ("536870911", (536870911,))])
def test_paths(text: str, path: tuple[int, ...]) -> None:
    assert protobuf.parse_path(text) == path


@pytest.mark.parametrize("text", ["", "0", "1.0", "x", "1.", ".1", "1..2", "-1", "536870912", "99999999999"])
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ExpressionError):
        protobuf.parse_path(text)


@pytest.mark.parametrize("name", ["string", "bytes", "", "INT32"])
def test_types_that_are_no_numbers(name: str) -> None:
    with pytest.raises(ExpressionError):
        protobuf.number_reader(name)


def framed(message: bytes, compressed: bytes = b"\0") -> bytes:
    return compressed + len(message).to_bytes(4, "big") + message


def test_messages_of_a_grpc_body() -> None:
    body = framed(FIVE) + framed(b"") + framed(SEVEN)
    assert list(protobuf.grpc_messages(body)) == [FIVE, b"", SEVEN]
    for size in range(len(body)):
        assert list(protobuf.grpc_messages(body[:size])) == [FIVE, b"", SEVEN][: 0 if size < 7 else 1 if size < 12 else 2]


@given(st.lists(st.tuples(st.integers(1, 3), st.binary(max_size=6))))
def test_fields_are_read_as_they_were_written(written: list[tuple[int, bytes]]) -> None:
    message = b"".join(nested(number, content) for number, content in written)
    assert [(found.number, found.content) for found in protobuf.fields(message)] == written


@given(st.integers(0, 2**64 - 1))
def test_varints_are_read_back(number: int) -> None:
    assert protobuf.decode_varint(varint(number)) == number


@given(st.binary(max_size=60))
def test_no_bytes_break_it(data: bytes) -> None:
    protobuf.find(data, (1, 2))
    list(protobuf.grpc_messages(data))
