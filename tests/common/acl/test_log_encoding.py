from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.log_encoding import Item, ItemType, convert, encode_cbor, encode_json, json_string


@pytest.mark.parametrize(
    "value, kind, result",
    [
        (b"12", None, b"12"),
        (b"12", ItemType.SINT, 12),
        (b"-5", ItemType.SINT, -5),
        (b"+3", ItemType.SINT, 3),  # a number under option logasap
        (b"x", ItemType.SINT, None),
        (b"", ItemType.SINT, None),
        (True, ItemType.SINT, 1),
        (7, ItemType.STR, b"7"),
        (7, ItemType.BOOL, True),
        (0, ItemType.BOOL, False),
        (b"1", ItemType.BOOL, True),
        (b"yes", ItemType.BOOL, None),
        (None, ItemType.STR, None),
    ],
)
def test_types_of_items(value: Item, kind: ItemType | None, result: Item) -> None:
    assert convert(value, kind) == result
    assert type(convert(value, kind)) is type(result)


ITEMS = st.dictionaries(
    st.text(alphabet="abcXYZ019-_", min_size=1), st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text().map(str.encode)
)


@given(ITEMS)
def test_json_is_read_back(items: dict[str, Item]) -> None:
    made = encode_json([(name.encode(), value) for name, value in items.items()])
    assert json.loads(made) == {name: value.decode() if isinstance(value, bytes) else value for name, value in items.items()}


@given(st.binary())
def test_json_strings_hold_no_control_characters(text: bytes) -> None:
    made = json_string(text)
    assert not any(byte < 32 for byte in made)
    assert json.loads(made) == text.decode("utf-8", "replace")


@pytest.mark.parametrize(
    "value, coded",
    [
        (None, "f6"),
        (True, "f5"),
        (False, "f4"),
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (65536, "1a00010000"),
        (2**32, "1b0000000100000000"),
        (-1, "20"),
        (-500, "3901f3"),
        (b"", "60"),
        (b"IETF", "6449455446"),
        ("ü".encode(), "62c3bc"),
        (b"\xff\0", "42ff00"),
        (b"x" * 24, "7818" + "78" * 24),
    ],
)
def test_cbor_as_in_the_rfc(value: Item, coded: str) -> None:
    """Values of RFC 8949, appendix A, where it has them."""
    assert encode_cbor([(b"a", value)]).hex() == "bf6161" + coded + "ff"
