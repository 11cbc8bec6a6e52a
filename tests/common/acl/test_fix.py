"""Verdicts are those of a running HAProxy 2.6, but for tags without a value, which its manual refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl import fix
from common.errors import ExpressionError

BODY = b"35=A\x0149=me\x0156=you\x0158=a=b\x01"


def message(body: bytes = BODY, begin: bytes = b"FIX.4.4", length: bytes | None = None, check_sum: bytes | None = None) -> bytes:
    head = b"8=" + begin + b"\x019=" + (b"%d" % len(body) if length is None else length) + b"\x01" + body
    return head + b"10=" + (b"%03d" % (sum(head) % 256) if check_sum is None else check_sum) + b"\x01"


@pytest.mark.parametrize("begin", [b"FIX.4.0", b"FIX.4.1", b"FIX.4.2", b"FIX.4.3", b"FIX.4.4", b"FIXT.1.1"])
def test_versions(begin: bytes) -> None:
    assert fix.is_valid(message(begin=begin)) is True


@pytest.mark.parametrize(
    "data",
    [
        message(begin=b"FIX.5.0"),
        message(begin=b""),
        message(length=b"5"),
        message(length=b"x"),
        message(check_sum=b"000" if not message().endswith(b"10=000\x01") else b"001"),
        message(check_sum=b"1"),
        message(b"49=a\x0135=A\x01"),  # the type must be first
        message(b"35=\x01"),
        message(b"35=A\x0158=\x01"),
        message(b"35=A\x01x=1\x01"),
        message(b"35=A\x01=1\x01"),
        message(b"35=A\x010=1\x01"),
        message(b"35=A\x01junk"),
        message(b""),
        b"9=5\x01",
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_what_is_no_message(data: bytes) -> None:
    assert fix.is_valid(data) is False


def test_byte_by_byte_the_verdict_comes_with_the_last_byte_and_stays() -> None:
    whole = message()
    assert [fix.is_valid(whole[:size]) for size in range(len(whole))] == [None] * len(whole)
    assert fix.is_valid(whole) is fix.is_valid(whole + b"8") is fix.is_valid(whole + whole) is True


@pytest.mark.parametrize(
    "tag, value",
    [(35, b"A"), (8, b"FIX.4.4"), (9, b"%d" % len(BODY)), (49, b"me"), (58, b"a=b"), (99, None)],
)
def test_values(tag: int, value: bytes | None) -> None:
    assert fix.tag_value(message(), tag) == value


@pytest.mark.parametrize(
    "data, value",
    [
        (b"35=B\x01", b"B"),
        (b"35=B", None),
        (b"9=\x0135=B\x01", b"B"),
        (b"x=1\x0135=B\x01", None),
        (b"=1\x0135=B\x01", None),
        (b"35=B\x0135=C\x01", b"B"),
    ],
)
def test_values_of_what_need_not_be_valid(data: bytes, value: bytes | None) -> None:
    assert fix.tag_value(data, 35) == value


@pytest.mark.parametrize(
    "text, tag",
    [("35", 35), ("MsgType", 35), ("msgtype", 35), ("BeginString", 8), ("BodyLength", 9), ("CheckSum", 10), ("TargetCompID", 56)],
)
def test_names_of_tags(text: str, tag: int) -> None:
    assert fix.parse_tag(text) == tag


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "1.5", "²"])
def test_what_is_no_tag(text: str) -> None:
    with pytest.raises(ExpressionError, match="FIX tag"):
        fix.parse_tag(text)


@given(st.binary(max_size=80))
def test_no_bytes_break_it(data: bytes) -> None:
    fix.is_valid(data)
    fix.is_valid(b"8=FIX.4.4\x019=4\x01" + data)
    fix.tag_value(data, 35)
