"""Converters that read messages of other protocols: FIX, MQTT, protocol buffers and gRPC. Sans-io.

What is not complete yet is not found, so that `tcp-request content` waits for the rest.

Source: HAProxy configuration manual 7.3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from common.acl import fix, mqtt, protobuf
from common.acl.environment import CompileEnvironment
from common.acl.table import ConverterTable, Step
from common.acl.types import SampleType, Typed

TABLE = ConverterTable()

_N, _B, _S, _I, _ANY = SampleType.BIN, SampleType.BOOL, SampleType.STR, SampleType.INT, SampleType.ANY


@TABLE.plain("fix_is_valid", _N, _B, "It begins with a well-formed FIX message.")
def fix_is_valid(data: bytes) -> bool | None:
    return fix.is_valid(data)


@TABLE.row("fix_tag_value", _N, _S, "The value of a tag, by number or name (MsgType), of a FIX message.", arguments="tag:string")
def make_fix_value(environment: CompileEnvironment, tag: bytes) -> Step:
    number = fix.parse_tag(tag.decode("utf-8", "replace"))
    return lambda data: fix.tag_value(data, number)


@TABLE.plain("mqtt_is_valid", _N, _B, "It begins with a well-formed CONNECT or CONNACK packet of MQTT 3.1, 3.1.1 or 5.0.")
def mqtt_is_valid(data: bytes) -> bool | None:
    try:
        return None if mqtt.parse(data) is None else True
    except ValueError:
        return False


@TABLE.row(
    "mqtt_field_value", _N, _S, "A field, by name, or a property, by number, of an MQTT packet of that type: connect or connack.",
    arguments="packettype:string fieldname_or_property_ID:string",
)  # fmt: skip
def make_mqtt_value(environment: CompileEnvironment, packet_type: bytes, field: bytes) -> Step:
    kind = mqtt.parse_packet_type(packet_type.decode("utf-8", "replace"))
    name = mqtt.parse_field(kind, field.decode("utf-8", "replace"))

    def step(data: bytes) -> bytes | None:
        try:
            packet = mqtt.parse(data)
        except ValueError:
            return None
        return packet[1].get(name) if packet is not None and packet[0] == kind else None

    return step


Split = Callable[[bytes], Iterable[bytes]]


def _make_field(path: bytes, kind: bytes | None, split: Split) -> Step:
    """split: from the sample to the messages in it; the first that has the field counts."""
    wanted = protobuf.parse_path(path.decode("utf-8", "replace"))
    number = None if kind is None else protobuf.number_reader(kind.decode("utf-8", "replace"))

    def step(data: bytes) -> Typed | None:
        field = next((found for message in split(data) if (found := protobuf.find(message, wanted)) is not None), None)
        if field is None:
            return None
        if number is None:
            return Typed(_N, field.content)
        value = number(field)
        return None if value is None else Typed(_I, value)

    return step


_FIELD = "field_number:string field_type:string"


@TABLE.row(
    "protobuf", _N, _ANY, "A field of a protocol buffers message, by number (48.59.1), as bytes; as an integer, if its type is given.",
    arguments=_FIELD, required=1,
)  # fmt: skip
def make_protobuf(environment: CompileEnvironment, path: bytes, kind: bytes | None) -> Step:
    return _make_field(path, kind, lambda data: (data,))


@TABLE.row(
    "ungrpc", _N, _ANY, "The same of a gRPC body: the first of its messages that has the field.",
    arguments=_FIELD, required=1,
)  # fmt: skip
def make_ungrpc(environment: CompileEnvironment, path: bytes, kind: bytes | None) -> Step:
    return _make_field(path, kind, protobuf.grpc_messages)
