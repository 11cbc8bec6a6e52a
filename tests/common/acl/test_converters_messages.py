from __future__ import annotations

import pytest

from common.acl.expressions import compile_expression
from common.errors import ExpressionError
from tests.common.acl.fakes import environment, facts, sample
from tests.common.acl.test_fix import message
from tests.common.acl.test_mqtt import ACK, V5, V311
from tests.common.acl.test_protobuf import FIVE, framed, nested


@pytest.mark.parametrize(
    "data, text, result",
    [
        (message(), "fix_is_valid", True),
        (message()[:-1], "fix_is_valid", None),
        (b"junk", "fix_is_valid", False),
        (message(), "fix_tag_value(MsgType)", b"A"),
        (message(), "fix_tag_value(49)", b"me"),
        (message(), "fix_tag_value(1)", None),
        (V311, "mqtt_is_valid", True),
        (V311[:-1], "mqtt_is_valid", None),
        (b"junk", "mqtt_is_valid", False),
        (V311, "mqtt_field_value(connect,username)", b"user"),
        (V311, "mqtt_field_value(1,flags)", b"194"),
        (V311, "mqtt_field_value(connack,flags)", None),
        (V5, "mqtt_field_value(connect,33),add(1)", 8),
        (ACK, "mqtt_field_value(connack,reason_code)", b"5"),
        (b"junk", "mqtt_field_value(connect,flags)", None),
        (nested(2, FIVE), "protobuf(2.1,int32),add(1)", 6),
        (nested(2, FIVE), "protobuf(2),protobuf(1,int32),add(0)", 5),
        (nested(2, FIVE), "protobuf(2),length", 2),
        (nested(2, FIVE), "protobuf(3),length", None),
        (nested(2, FIVE), "protobuf(2,int32),add(0)", None),
        (framed(FIVE) + framed(nested(2, FIVE)), "ungrpc(2),protobuf(1,int32),add(0)", 5),
        (framed(FIVE), "ungrpc(1,uint64),add(0)", 5),
        (framed(FIVE)[:-1], "ungrpc(1,uint64),add(0)", None),
    ],
)
def test_converters(data: bytes, text: str, result: object) -> None:
    assert sample(f"req.payload(0,0),{text}", facts(request_buffer=data)) == result


@pytest.mark.parametrize(
    "text",
    ["fix_tag_value", "fix_tag_value(x)", "mqtt_field_value(connect)", "mqtt_field_value(publish,topic)", "mqtt_field_value(1,topic)",
     "protobuf", "protobuf(x)", "protobuf(1,string)", "ungrpc(0)"],
)  # fmt: skip
def test_wrong_arguments_are_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(f"req.body,{text}", environment())
