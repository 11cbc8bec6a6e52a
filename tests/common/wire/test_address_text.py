from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.wire.address_text import inet6_packed, inet6_text, inet_packed, inet_text

# Groups that make zero runs likely.
packed6 = st.lists(st.sampled_from([0, 0, 0, 1, 0x10, 0x100, 0x1000, 0xFFFF]) | st.integers(0, 0xFFFF), min_size=8, max_size=8).map(
    lambda groups: b"".join(group.to_bytes(2, "big") for group in groups)
)


@given(st.binary(min_size=4, max_size=4))
def test_ipv4_reads_as_the_system_writes_it(packed: bytes) -> None:
    assert inet_text(packed) == socket.inet_ntop(socket.AF_INET, packed)
    assert inet_packed(inet_text(packed)) == packed


@given(packed6)
def test_ipv6_reads_as_the_system_writes_it(packed: bytes) -> None:
    assert inet6_text(packed) == socket.inet_ntop(socket.AF_INET6, packed)
    assert inet6_packed(inet6_text(packed)) == packed


@pytest.mark.parametrize(
    ("groups", "text"),
    [
        ("0:0:0:0:0:0:0:0", "::"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:db8:0:0:0:0:0:7", "2001:db8::7"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("1:0:0:2:0:0:3:4", "1::2:0:0:3:4"),
        ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
        ("1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"),
        ("0:0:0:0:0:ffff:c633:6407", "::ffff:198.51.100.7"),
        ("0:0:0:0:0:ffff:0:0", "::ffff:0.0.0.0"),
        ("0:0:0:0:0:0:c633:6407", "::198.51.100.7"),
        ("fe80:0:0:0:a0b:c0d:e0f:10", "fe80::a0b:c0d:e0f:10"),
    ],
)
def test_ipv6_text(groups: str, text: str) -> None:
    packed = b"".join(int(group, 16).to_bytes(2, "big") for group in groups.split(":"))
    assert inet6_text(packed) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "1.2.3.04",
        "1.2.3.-4",
        "1.2.3.4 ",
        " 1.2.3.4",
        "1.2.3.4\n",
        "0x1.2.3.4",
        "16909060",
        "1.2.3.²",
        "::1",
    ],
)
def test_what_is_no_dotted_quad_has_no_packed_form(text: str) -> None:
    assert inet_packed(text) is None


@pytest.mark.parametrize(
    "text",
    ["", ":", ":::", "1", "1.2.3.4", "::00001", "::g", "fe80::1%lo", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::8",
     "::1::", "::1.2.3.04",
     "::1.2.3.256", "::1 ", "::1\n", "[::1]", "::1/128", "::" + "0" * 60],
)  # fmt: skip
def test_what_is_no_ipv6_address_has_no_packed_form(text: str) -> None:
    assert inet6_packed(text) is None


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("::1.2.3.4", "01020304"),
        ("0000:0000:0000:0000:0000:ffff:255.255.255.255", "ffffffff"),
        ("2001:0DB8::A", "0000000a"),
        ("1:2:3:4:5:6:7::", "00070000"),
    ],
)
def test_other_spellings_of_ipv6_are_understood(text: str, last: str) -> None:
    packed = inet6_packed(text)
    assert packed is not None
    assert packed[-4:].hex() == last
