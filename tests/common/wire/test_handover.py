from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import WireError
from common.wire.handover import (
    BIND_OF_CHANNEL,
    CHANNEL_VERSION,
    GIVE_BYTES_MAX,
    IDS_MAX,
    MESSAGE_BYTES_MAX,
    Drain,
    Ended,
    Frame,
    GiveFlag,
    Held,
    Hello,
    Load,
    Refused,
    Taken,
    binds_array,
    decode_give,
    decode_page,
    decode_report,
    encode_give,
    encode_page,
    encode_report,
    ids_array,
)
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import encode_v1, encode_v2, encode_v2_inet
from tests.common.wire.feeding import outcome

HEADER = ProxyHeader(2, False, Family.INET, "198.51.100.7", 12345, "203.0.113.9", 443)
INET = encode_v2_inet(bytes([198, 51, 100, 7]), 12345, bytes([203, 0, 113, 9]), 443)

u16 = st.integers(0, 2**16 - 1)
u32 = st.integers(0, 2**32 - 1)
id_lists = st.lists(u32, max_size=10)


@given(u32, u16, u16, st.sampled_from(GiveFlag))
def test_give_is_read_as_written(connection: int, bind: int, cell: int, flags: GiveFlag) -> None:
    assert decode_give(encode_give(connection, bind, cell, INET, flags)) == (connection, bind, cell, flags, HEADER)


REFUSED_PAGES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "handover_empty"),
    "half a message": (encode_page()[:-1], "handover_truncated"),
    "a byte too much": (encode_page() + b"x", "handover_trailing"),
    "a give": (encode_give(1, 2, 3, INET), "handover_bad_type"),
    "another version": (b"\xa0\0\x63\0", "handover_bad_version"),
    "a flag": (b"\xa0\1" + encode_page()[2:], "handover_bad_flags"),
}


@pytest.mark.parametrize("name", REFUSED_PAGES)
def test_pages_that_are_refused(name: str) -> None:
    message, slug = REFUSED_PAGES[name]
    assert outcome(decode_page, message) == slug


def test_page_is_read_as_written() -> None:
    decode_page(encode_page())


@pytest.mark.parametrize(
    "header",
    [
        ProxyHeader(2, False, Family.INET6, "2001:db8::7", 1, "2001:db8::9", 2),
        ProxyHeader(2, False, Family.UNIX, "/tmp/a", 0, "/tmp/b", 0),
        ProxyHeader(2, True, Family.UNSPEC),
        ProxyHeader(2, False, Family.INET, "1.2.3.4", 1, "5.6.7.8", 2, ((2, b"a.example"), (5, b"id"))),
    ],
)
def test_give_carries_any_header(header: ProxyHeader) -> None:
    assert decode_give(encode_give(7, BIND_OF_CHANNEL, 5, encode_v2(header))) == (7, BIND_OF_CHANNEL, 5, 0, header)


def test_the_biggest_give_fits_the_size_to_read() -> None:
    header = encode_v2(ProxyHeader(2, True, Family.UNSPEC, tlvs=((4, bytes(16384 - 16 - 3)),)))
    message = encode_give(1, 2, 3, header)
    assert len(message) == GIVE_BYTES_MAX
    assert decode_give(message)[0] == 1


REFUSED_GIVES: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "handover_empty"),
    "half a frame": (encode_give(1, 2, 3, INET)[:7], "handover_truncated"),
    "no header": (encode_give(1, 2, 3, b""), "handover_truncated"),
    "half a header": (encode_give(1, 2, 3, INET[:20]), "handover_truncated"),
    "a byte too much": (encode_give(1, 2, 3, INET + b"x"), "handover_trailing"),
    "two headers": (encode_give(1, 2, 3, INET + INET), "handover_trailing"),
    "a report": (encode_report([Hello(1, 2, 3, 4, 5)])[0], "handover_bad_type"),
    "an unknown flag": (encode_give(1, 2, 3, INET, 0x80), "handover_bad_flags"),
    "a header of version 1": (encode_give(1, 2, 3, encode_v1(HEADER)), "proxy_bad_signature"),
    "a header with a wrong checksum": (encode_give(1, 2, 3, encode_v2(HEADER, crc32c=True)[:-1] + b"\0"), "proxy_v2_bad_checksum"),
}


@pytest.mark.parametrize("name", REFUSED_GIVES)
def test_gives_that_are_refused(name: str) -> None:
    message, slug = REFUSED_GIVES[name]
    assert outcome(decode_give, message) == slug


@given(st.binary(max_size=60) | st.binary(max_size=40).map(lambda tail: encode_give(1, 2, 3, INET)[:20] + tail))
def test_no_message_makes_give_raise_anything_else(message: bytes) -> None:
    outcome(decode_give, message)


FRAMES: list[Frame] = [
    Hello(worker=3, pid=4711, generation=2, connections=1000, maxconn=20000),
    Held(ids_array([1, 2, 2**32 - 1]), binds_array([0, 5, 65535])),
    Taken(ids_array([7, 8])),
    Refused(ids_array([9])),
    Ended(ids_array([7])),
    Load(12),
    Drain(),
]


def test_one_message_carries_several_frames_in_order() -> None:
    messages = encode_report(FRAMES)
    assert len(messages) == 1
    assert decode_report(messages[0]) == FRAMES
    assert FRAMES[0] == Hello(3, 4711, 2, 1000, 20000, CHANNEL_VERSION)


frames = st.lists(
    st.builds(Hello, u16, u32, u32, u32, u32)
    | st.lists(st.tuples(u32, u16), min_size=1, max_size=5).map(
        lambda pairs: Held(ids_array(id for id, _ in pairs), binds_array(bind for _, bind in pairs))
    )
    | st.builds(lambda kind, ids: kind(ids_array(ids)), st.sampled_from([Taken, Ended, Refused]), st.lists(u32, min_size=1, max_size=10))
    | st.builds(Load, u32)
    | st.builds(Drain),
    max_size=6,
)


@given(frames)
def test_reports_are_read_as_written(report: list[Frame]) -> None:
    assert [frame for message in encode_report(report) for frame in decode_report(message)] == report


@pytest.mark.parametrize("count", [IDS_MAX - 1, IDS_MAX, IDS_MAX + 1, 50000])
def test_many_ids_are_split_over_frames_and_messages(count: int) -> None:
    ids, binds = ids_array(range(count)), binds_array(number % 65536 for number in range(count))
    messages = encode_report([Taken(ids), Held(ids, binds), Ended(ids)])
    assert max(map(len, messages)) <= MESSAGE_BYTES_MAX
    read = [frame for message in messages for frame in decode_report(message)]
    for kind in (Taken, Held, Ended):
        assert [id for frame in read if type(frame) is kind for id in frame.ids] == list(ids)
    assert [bind for frame in read if type(frame) is Held for bind in frame.binds] == list(binds)
    kinds = [type(frame) for frame in read]
    assert kinds == sorted(kinds, key=[Taken, Held, Ended].index)


def test_nothing_to_report_is_no_message() -> None:
    assert encode_report([]) == []
    assert encode_report([Taken(ids_array()), Ended(ids_array())]) == []


@pytest.mark.parametrize("ids", [[-1], [2**32]])
def test_an_id_has_32_bits(ids: list[int]) -> None:
    with pytest.raises(OverflowError):
        ids_array(ids)


HELLO = encode_report([Hello(1, 2, 3, 4, 5)])[0]
REFUSED_REPORTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "handover_empty"),
    "half a head": (b"\xb6\0\0", "handover_truncated"),
    "half a hello": (HELLO[:-1], "handover_truncated"),
    "half a second head": (HELLO + b"\xb6", "handover_truncated"),
    "fewer ids than counted": (struct.pack("=BBHII", 0xB2, 0, 3, 1, 2), "handover_truncated"),
    "fewer pairs than counted": (struct.pack("=BBHIIH", 0xB7, 0, 2, 1, 2, 3), "handover_truncated"),
    "a give": (encode_give(1, 2, 3, INET), "handover_bad_type"),
    "an unknown frame behind a good one": (HELLO + b"\xb8\0\0\0", "handover_bad_type"),
    "a reserved byte that is not zero": (b"\xb6\1\0\0", "handover_bad_flags"),
    "a count where nothing is counted": (b"\xb6\0\1\0", "handover_bad_flags"),
    "another version": (encode_report([Hello(1, 2, 3, 4, 5, version=CHANNEL_VERSION + 1)])[0], "handover_bad_version"),
}


@pytest.mark.parametrize("name", REFUSED_REPORTS)
def test_reports_that_are_refused(name: str) -> None:
    message, slug = REFUSED_REPORTS[name]
    assert outcome(decode_report, message) == slug


@given(
    st.binary(max_size=60) | st.lists(st.sampled_from([HELLO, b"\xb2\0\1\0", b"\xb6\0\0\0", b"\xb5\0\0\0", b"1234", b"x"])).map(b"".join)
)
def test_no_message_makes_report_raise_anything_else(message: bytes) -> None:
    try:
        report = decode_report(message)
    except WireError:
        return
    again = [frame for one in encode_report(report) for frame in decode_report(one)]
    assert [frame for frame in report if not (hasattr(frame, "ids") and not frame.ids)] == again
