"""Messages over SEQPACKET: whole, split, with descriptors, and broken."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.process import messages
from common.process.messages import Assembler, ChannelError


def through(message: messages.Message, fds: list[int]) -> tuple[messages.Message, list[int]]:
    """What comes out of an assembler that is fed the packets of a message."""
    assembler = Assembler()
    results = [assembler.feed(part, part_fds) for part, part_fds in messages.packets(message, fds)]
    assert results[-1] is not None
    assert all(result is None for result in results[:-1])
    return results[-1]


@pytest.mark.parametrize("size", [0, 1, messages.PART_BYTES_MAX - 20, messages.PART_BYTES_MAX, 3 * messages.PART_BYTES_MAX + 7])
@pytest.mark.parametrize("count", [0, 1, 250, 251, 600])
def test_a_message_of_any_size_with_any_number_of_descriptors_comes_out_whole(size: int, count: int) -> None:
    message = {"op": "x", "text": "é" * size}
    assert through(message, list(range(count))) == (message, list(range(count)))


def test_no_packet_is_larger_than_its_limits() -> None:
    for part, fds in messages.packets({"op": "x", "text": "a" * 500_000}, range(1000)):
        assert len(part) <= messages.PART_BYTES_MAX + 1
        assert len(fds) <= messages.FDS_PER_PACKET


@given(st.binary(max_size=40))
def test_no_bytes_make_the_assembler_raise_anything_but_channel_error(packet: bytes) -> None:
    try:
        Assembler().feed(packet, ())
    except ChannelError:
        pass


@pytest.mark.parametrize("packet", [b"\0", b"\0not json", b"\0[1]", b"\2{}", b"", b"\0\xff"])
def test_what_is_no_message_is_a_channel_error(packet: bytes) -> None:
    with pytest.raises(ChannelError):
        Assembler().feed(packet, ())


def test_a_message_beyond_the_limit_is_refused() -> None:
    assembler = Assembler(bytes_held=messages.MESSAGE_BYTES_MAX)
    with pytest.raises(ChannelError):
        assembler.feed(b"\1x", ())


def test_descriptors_of_a_message_that_never_became_whole_are_closed() -> None:
    read_end, write_end = os.pipe()
    assembler = Assembler()
    assembler.feed(b"\1{", [write_end])
    assembler.close()
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_blocking_send_and_receive_pass_descriptors_through_a_real_socket() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    read_end, write_end = os.pipe()
    with ours, theirs:
        messages.send_blocking(ours, {"op": "hello"}, [write_end] * 300)
        received = messages.receive_blocking(theirs, Assembler())
        assert received is not None
        assert received[0] == {"op": "hello"}
        assert len(received[1]) == 300
        os.close(write_end)
        os.write(received[1][299], b"x")
        assert os.read(read_end, 1) == b"x"
        messages.close_fds(received[1])
        assert os.read(read_end, 1) == b""
        os.close(read_end)
        ours.close()
        assert messages.receive_blocking(theirs, Assembler()) is None
