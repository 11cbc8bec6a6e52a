from __future__ import annotations

import array
import errno
import os
import resource
import socket
from collections.abc import Iterator

import pytest

from common.net.fdpass import Given, close_all, receive_descriptor, send_descriptor
from tests.common.net.driving import open_descriptors


@pytest.fixture(params=[socket.SOCK_SEQPACKET, socket.SOCK_STREAM], ids=["seqpacket", "stream"])
def channel(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, request.param)
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def send(channel: socket.socket, message: bytes, fds: list[int]) -> None:
    channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def test_message_and_its_descriptor_arrive_together(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    inner, outer = socket.socketpair()
    with inner, outer:
        assert send_descriptor(ours, b"for you", inner.fileno()) is Given.SENT
        received = receive_descriptor(theirs)
        assert received is not None
        message, fds = received
        assert message == b"for you" and len(fds) == 1
        assert not os.get_inheritable(fds[0])
        os.write(fds[0], b"x")
        assert outer.recv(1) == b"x"
        close_all(fds)


def test_nothing_there_and_the_end_are_told_apart(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    assert receive_descriptor(theirs) is None
    ours.close()
    assert receive_descriptor(theirs) == (b"", [])


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 50, 253])
def test_any_number_of_descriptors_leaks_none(channel: tuple[socket.socket, socket.socket], count: int) -> None:
    """The kernel itself closes those for which there is no room."""
    ours, theirs = channel
    with open(os.devnull) as file:
        before = open_descriptors()
        send(ours, b"x", [file.fileno()] * count)
        received = receive_descriptor(theirs)
        assert received is not None
        message, fds = received
        assert message == b"x" and (len(fds) == count if count <= 4 else len(fds) <= 4)
        assert open_descriptors() == before + len(fds)
        close_all(fds)
        assert open_descriptors() == before


def test_descriptors_that_were_never_received_are_closed_with_the_channel() -> None:
    before = open_descriptors()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inner, outer = socket.socketpair()
    with ours, theirs, outer:
        send(ours, b"x", [inner.fileno()])
        inner.close()
    assert open_descriptors() == before


def test_empty_message_with_a_descriptor_is_not_the_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, open(os.devnull) as file:
        theirs.setblocking(False)
        send(ours, b"", [file.fileno()])
        received = receive_descriptor(theirs)
        assert received is not None and received[0] == b"" and len(received[1]) == 1
        close_all(received[1])


def test_full_channel_takes_nothing_and_waits_for_nobody(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    with open(os.devnull) as file:
        sent = 0
        while (given := send_descriptor(ours, b"x" * 1000, file.fileno())) is Given.SENT:
            sent += 1
        assert given is Given.FULL and sent
        while (received := receive_descriptor(theirs)) is not None:
            close_all(received[1])
        assert send_descriptor(ours, b"x", file.fileno()) is Given.SENT


@pytest.mark.parametrize("error", [errno.ETOOMANYREFS, errno.ENOBUFS, errno.ENOMEM])
def test_kernel_out_of_room_is_full_and_not_gone(error: int) -> None:
    class Channel:
        def sendmsg(self, *_args: object) -> int:
            raise OSError(error, os.strerror(error))

    assert send_descriptor(Channel(), b"x", 0) is Given.FULL  # type: ignore[arg-type]


def test_dead_other_end_is_gone(channel: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = channel
    theirs.close()
    with open(os.devnull) as file:
        assert send_descriptor(ours, b"x", file.fileno()) is Given.GONE


def test_without_room_for_descriptors_the_message_arrives_without_them() -> None:
    """At the limit of open files the kernel drops the descriptor; the receiver must be able to refuse that connection by name."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ours, theirs, open(os.devnull) as file:
        theirs.setblocking(False)
        send(ours, b"number 7", [file.fileno()])
        lowest_free = os.dup(file.fileno())
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            assert receive_descriptor(theirs) == (b"number 7", [])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_broken_channel_raises() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.close()
    theirs.close()
    with pytest.raises(OSError):
        receive_descriptor(theirs)
