"""The first packet of an MQTT client and of its server: CONNECT and CONNACK of versions 3.1, 3.1.1 and 5.0. Sans-io.

Source: HAProxy configuration manual 7.3.1 "mqtt_field_value", "mqtt_is_valid"; MQTT 3.1.1 sections 2.2, 3.1, 3.2; MQTT 5.0 sections
2.2.2 (properties), 3.1, 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from common.errors import ExpressionError

CONNECT, CONNACK = 1, 2
PACKET_TYPES: Mapping[str, int] = {"connect": CONNECT, "connack": CONNACK}

_PACKET_BYTES_MAX = 1 << 20  # a login is shorter; nobody waits for 256 MB of it
_LENGTH_BYTES_MAX = 4
_VERSION_5 = 5
_VERSIONS = frozenset({(b"MQIsdp", 3), (b"MQTT", 4), (b"MQTT", 5)})
_RESERVED, _WILL, _WILL_QUALITY, _WILL_RETAIN, _PASSWORD, _USERNAME = 0x01, 0x04, 0x18, 0x20, 0x40, 0x80

# How the value of a property is written: so many bytes of a number, 0 = text or bytes after their length.
_TEXT = 0
_PROPERTIES_OF_CONNECT: Mapping[int, int] = {17: 4, 33: 2, 39: 4, 34: 2, 25: 1, 23: 1, 21: _TEXT, 22: _TEXT}
_PROPERTIES_OF_WILL: Mapping[int, int] = {24: 4, 1: 1, 2: 4, 3: _TEXT, 8: _TEXT, 9: _TEXT}
_PROPERTIES_OF_CONNACK: Mapping[int, int] = {
    17: 4, 33: 2, 36: 1, 37: 1, 39: 4, 18: _TEXT, 34: 2, 31: _TEXT, 40: 1, 41: 1, 42: 1, 19: 2, 26: _TEXT, 28: _TEXT, 21: _TEXT, 22: _TEXT,
}  # fmt: skip
_USER_PROPERTY = 38  # a pair of texts, any number of times; not given out

_FIELDS: Mapping[int, frozenset[str]] = {
    CONNECT: frozenset(
        (
            "flags",
            "protocol_name",
            "protocol_version",
            "client_identifier",
            "will_topic",
            "will_payload",
            "username",
            "password",
            "keepalive",
        )
    ),
    CONNACK: frozenset(("flags", "protocol_version", "reason_code")),
}
_NUMBERS: Mapping[int, frozenset[int]] = {
    CONNECT: frozenset({*_PROPERTIES_OF_CONNECT, *_PROPERTIES_OF_WILL, _USER_PROPERTY}),
    CONNACK: frozenset({*_PROPERTIES_OF_CONNACK, _USER_PROPERTY}),
}

Fields = dict[str, bytes]


def parse_packet_type(text: str) -> int:
    """CONNECT or CONNACK, by name or number. Raises ExpressionError."""
    number = PACKET_TYPES.get(text.lower(), int(text) if text in ("1", "2") else 0)
    if not number:
        raise ExpressionError(f'"{text}" is not a packet type that can be read: connect (1) or connack (2)')
    return number


def parse_field(kind: int, text: str) -> str:
    """A field's name in lower case, or a property's number. Raises ExpressionError for one that the packet cannot have."""
    name = text.lower()
    if name not in _FIELDS[kind] and not (name.isascii() and name.isdigit() and int(name) in _NUMBERS[kind]):
        known = ", ".join(sorted(_FIELDS[kind]))
        raise ExpressionError(f'"{text}" is not a field of this packet: there are {known}, and numbers of properties')
    return name


def parse(data: bytes) -> tuple[int, Fields] | None:
    """(packet type, its fields by name and its properties by number) of the first packet; None while it is not complete.

    Raises ValueError for what is no CONNECT and no CONNACK. Numbers are given in decimal.
    """
    if not data:
        return None
    kind = data[0] >> 4
    if data[0] & 0x0F or kind not in _FIELDS:
        raise ValueError("neither CONNECT nor CONNACK")
    length = _variable_length(data, 1)
    if length is None:
        return None
    size, start = length
    if size > _PACKET_BYTES_MAX:
        raise ValueError("a login of more than a megabyte")
    if len(data) - start < size:
        return None
    packet = _Reader(data[start : start + size])
    fields = _connect(packet) if kind == CONNECT else _connack(packet)
    if packet.position != size:
        raise ValueError("the packet has bytes left over")
    return kind, fields


def _variable_length(data: bytes, position: int) -> tuple[int, int] | None:
    """(number, position behind it); None if it breaks off."""
    value = 0
    for index in range(_LENGTH_BYTES_MAX):
        if position + index >= len(data):
            return None
        byte = data[position + index]
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return value, position + index + 1
    raise ValueError("a length of more than four bytes")


class _Reader:
    """A cursor over one packet. Raises ValueError where it breaks off."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def take(self, size: int) -> bytes:
        start, self.position = self.position, self.position + size
        if self.position > len(self.data):
            raise ValueError("the packet breaks off")
        return self.data[start : self.position]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def text(self) -> bytes:
        return self.take(self.number(2))

    def properties(self, known: Mapping[int, int], fields: Fields) -> None:
        """Adds them to the fields. Each may stand there once."""
        length = _variable_length(self.data, self.position)
        if length is None:
            raise ValueError("the packet breaks off")
        size, self.position = length
        end = self.position + size
        while self.position < end:
            identity = self.number(1)
            if identity == _USER_PROPERTY:
                self.text()
                self.text()
                continue
            if identity not in known or str(identity) in fields:
                raise ValueError(f"property {identity} cannot stand here")
            width = known[identity]
            fields[str(identity)] = self.text() if width == _TEXT else b"%d" % self.number(width)
        if self.position != end:
            raise ValueError("the last property is longer than all of them together")


def _connect(packet: _Reader) -> Fields:
    name, version, flags = packet.text(), packet.number(1), packet.number(1)
    _check_flags(name, version, flags)
    fields: Fields = {"protocol_name": name, "protocol_version": b"%d" % version, "flags": b"%d" % flags}
    fields["keepalive"] = b"%d" % packet.number(2)
    if version == _VERSION_5:
        packet.properties(_PROPERTIES_OF_CONNECT, fields)
    fields["client_identifier"] = packet.text()
    if flags & _WILL:
        if version == _VERSION_5:
            packet.properties(_PROPERTIES_OF_WILL, fields)
        fields["will_topic"] = packet.text()
        fields["will_payload"] = packet.text()
    if flags & _USERNAME:
        fields["username"] = packet.text()
    if flags & _PASSWORD:
        fields["password"] = packet.text()
    return fields


def _check_flags(name: bytes, version: int, flags: int) -> None:
    """What section 3.1.2 of both specifications forbids."""
    if (name, version) not in _VERSIONS:
        raise ValueError("unknown protocol")
    if flags & _RESERVED:
        raise ValueError("a reserved flag is set")
    if (not flags & _WILL and flags & (_WILL_QUALITY | _WILL_RETAIN)) or flags & _WILL_QUALITY == _WILL_QUALITY:
        raise ValueError("flags of a will that is not there, or of a quality that does not exist")
    if version != _VERSION_5 and flags & _PASSWORD and not flags & _USERNAME:
        raise ValueError("a password without a user name")


def _connack(packet: _Reader) -> Fields:
    """Its two first bytes are the same in all versions; properties follow only in 5.0."""
    flags, reason = packet.number(1), packet.number(1)
    if flags & 0xFE:
        raise ValueError("a reserved flag is set")
    fields: Fields = {"flags": b"%d" % flags, "reason_code": b"%d" % reason, "protocol_version": b"4"}
    if packet.position < len(packet.data):
        fields["protocol_version"] = b"5"
        packet.properties(_PROPERTIES_OF_CONNACK, fields)
    return fields
