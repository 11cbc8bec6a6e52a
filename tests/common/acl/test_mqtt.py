"""Fields are what a running HAProxy 2.6 finds; flags of a will that is not there are refused as the specification does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl import mqtt
from common.errors import ExpressionError


def text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


def packet(first: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes((first, len(content))) + content


LOGIN = text(b"cid") + text(b"user") + text(b"pw")


def connect(version: int = 4, flags: int = 0xC2, properties: bytes = b"", payload: bytes = LOGIN, name: bytes = b"MQTT") -> bytes:
    return packet(0x10, text(name) + bytes((version, flags)) + b"\0\x3c" + properties + payload)


V311, V31 = connect(), connect(3, name=b"MQIsdp")
V5 = connect(5, properties=b"\x08\x11\0\0\0\x09\x21\0\x07")
WILL = connect(flags=0xF6, payload=text(b"cid") + text(b"t") + text(b"wp") + text(b"user") + text(b"pw"))
WILL5 = connect(5, flags=6, properties=b"\0", payload=text(b"c") + b"\x05\x18\0\0\0\x09" + text(b"t") + text(b"p"))
ACK, ACK5 = packet(0x20, b"\1\5"), packet(0x20, b"\1\0\3\x21\0\x09")


@pytest.mark.parametrize(
    "data, fields",
    [
        (V311, {"flags": b"194", "protocol_name": b"MQTT", "protocol_version": b"4", "client_identifier": b"cid", "username": b"user",
                "password": b"pw", "keepalive": b"60"}),
        (V31, {"protocol_name": b"MQIsdp", "protocol_version": b"3"}),
        (V5, {"protocol_version": b"5", "17": b"9", "33": b"7", "client_identifier": b"cid"}),
        (WILL, {"flags": b"246", "will_topic": b"t", "will_payload": b"wp", "username": b"user"}),
        (WILL5, {"24": b"9", "will_topic": b"t", "will_payload": b"p"}),
        (ACK, {"flags": b"1", "protocol_version": b"4", "reason_code": b"5"}),
        (ACK5, {"flags": b"1", "protocol_version": b"5", "reason_code": b"0", "33": b"9"}),
    ],
)  # fmt: skip
def test_fields(data: bytes, fields: dict[str, bytes]) -> None:
    parsed = mqtt.parse(data)
    assert parsed is not None
    assert parsed[0] == data[0] >> 4
    assert {name: parsed[1].get(name) for name in fields} == fields


def test_what_was_not_sent_is_no_field() -> None:
    parsed = mqtt.parse(connect(flags=2, payload=text(b"")))
    assert parsed is not None
    assert set(parsed[1]) == {"protocol_name", "protocol_version", "flags", "keepalive", "client_identifier"}


@pytest.mark.parametrize("data", [V311, V31, V5, WILL, WILL5, ACK, ACK5])
def test_byte_by_byte_it_is_incomplete_until_the_end(data: bytes) -> None:
    assert [mqtt.parse(data[:size]) for size in range(len(data))] == [None] * len(data)
    assert mqtt.parse(data + b"trailing") == mqtt.parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x10\0",
        b"\x20\0",
        b"\x30\2\0\0",  # another packet
        b"\x11\x19",  # flags in the fixed header
        b"\x10\xff\xff\xff\xff\x01",  # a length without end
        b"\x10\xff\xff\xff\x7f",  # far too long
        connect(6),
        connect(3),
        connect(name=b"MQTX"),
        connect(flags=0xC3),
        connect(flags=0x42),  # a password without a user
        connect(flags=0x0A, payload=text(b"")),  # quality of no will
        connect(flags=0x22, payload=text(b"")),
        connect(flags=0x1E, payload=text(b"") * 3),  # quality 3
        connect(payload=b""),
        connect(payload=LOGIN[:-1]),
        connect(payload=LOGIN + b"x"),
        connect(5, properties=b"\x05\x21\0"),
        connect(5, properties=b"\x03\x24\1"),  # a property of other packets
        connect(5, properties=b"\x06\x21\0\1\x21\0\2"),  # twice
        connect(5, properties=b"\x02\x21\0\1"),  # longer than the block
        packet(0x20, b"\2\0"),
        packet(0x20, b"\0"),
        packet(0x20, b"\0\0\1"),
    ],
)
def test_what_is_no_login(data: bytes) -> None:
    with pytest.raises(ValueError):
        mqtt.parse(data)


def test_a_password_may_stand_alone_in_version_5() -> None:
    parsed = mqtt.parse(connect(5, flags=0x42, properties=b"\0", payload=text(b"") + text(b"pw")))
    assert parsed is not None and parsed[1]["password"] == b"pw"


def test_user_properties_are_passed_over() -> None:
    block = (b"\x26" + text(b"a") + text(b"b")) * 2
    assert mqtt.parse(connect(5, flags=2, properties=bytes((len(block),)) + block, payload=text(b""))) is not None


def test_packet_types() -> None:
    assert [mqtt.parse_packet_type(name) for name in ("connect", "CONNECT", "1", "connack", "2")] == [1, 1, 1, 2, 2]
    for name in ("publish", "3", "0", "", "x"):
        with pytest.raises(ExpressionError):
            mqtt.parse_packet_type(name)


@pytest.mark.parametrize("kind, name", [(1, "flags"), (1, "USERNAME"), (1, "17"), (1, "24"), (1, "38"), (2, "reason_code"), (2, "33")])
def test_names_of_fields(kind: int, name: str) -> None:
    assert mqtt.parse_field(kind, name) == name.lower()


@pytest.mark.parametrize(
    "kind, name", [(1, "reason_code"), (1, "99"), (1, "will_properties"), (2, "username"), (2, "24"), (1, ""), (1, "²")]
)
def test_what_is_no_field(kind: int, name: str) -> None:
    with pytest.raises(ExpressionError):
        mqtt.parse_field(kind, name)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\x10\x1e", V5[:14], b"\x20\x08"]))
def test_any_bytes_are_a_login_or_not(data: bytes, head: bytes) -> None:
    try:
        parsed = mqtt.parse(head + data)
    except ValueError:
        return
    assert parsed is None or parsed[0] in (1, 2)
