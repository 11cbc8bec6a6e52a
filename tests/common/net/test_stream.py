from __future__ import annotations

import errno
import os
import select
import socket
from math import inf

import pytest

from common.net.pump import DeadlinePassed
from common.net.stream import READ_SIZE, Stream
from tests.common.net.driving import Clock, Driver, open_descriptors, receive_all, reset

# --- reading ---------------------------------------------------------------------------------------------------------


def test_short_read_proves_the_socket_empty(driver: Driver) -> None:
    stream, peer = driver.pair()
    peer.send(b"abc")
    assert stream.recv_now() == b"abc" and stream.drained
    peer.send(b"unheard without an event")
    assert stream.recv_now() is None, "no call of the kernel's before an event"


def test_read_that_fills_its_size_does_not_prove_it(driver: Driver) -> None:
    stream, peer = driver.pair()
    peer.send(b"abcdef")
    assert stream.recv_now(3) == b"abc" and not stream.drained
    assert stream.recv_now(3) == b"def" and not stream.drained
    assert stream.recv_now(3) is None and stream.drained


def test_short_read_proves_nothing_once_the_end_is_on_its_way(driver: Driver) -> None:
    stream, peer = driver.pair()
    stream.watch()
    peer.send(b"last words")
    peer.close()
    driver.settle()
    assert stream.ended
    assert stream.recv_now() == b"last words"
    assert stream.recv_now() == b""


def test_end_that_comes_after_a_short_read_is_heard(driver: Driver) -> None:
    stream, peer = driver.pair()

    async def story() -> list[bytes]:
        return [await stream.recv(), await stream.recv()]

    driver.start("story", story())
    peer.send(b"x")
    driver.settle()
    peer.close()
    driver.settle()
    assert driver.results == {"story": [b"x", b""]}


def test_end_that_came_together_with_data_before_registering_is_heard(driver: Driver) -> None:
    stream, peer = driver.pair(tcp=True)
    peer.send(b"x")
    peer.close()

    async def story() -> list[bytes]:
        return [await stream.recv(), await stream.recv(deadline=driver.pump.now + 5)]

    assert driver.run(story()) == [b"x", b""]


def test_nothing_is_lost_whatever_the_sizes_of_reads_and_writes(driver: Driver) -> None:
    stream, peer = driver.pair(buffer_bytes=4096)
    sent = os.urandom(300_000)

    async def story() -> bytes:
        found = b""
        size = 1
        while data := await stream.recv(size):
            found += data
            size = size % 5000 + 777
        return found

    driver.start("story", story())
    rest = memoryview(sent)
    while rest:
        try:
            rest = rest[peer.send(rest[:7000]) :]
        except BlockingIOError:
            driver.pump.turn()
    peer.close()
    driver.until(lambda: "story" in driver.results)
    assert driver.results["story"] == sent


def test_reset_raises(driver: Driver) -> None:
    stream, peer = driver.pair(tcp=True)

    async def story() -> bytes:
        return await stream.recv()

    driver.start("story", story())
    reset(peer)
    driver.until(lambda: driver.results)
    assert isinstance(driver.results["story"], ConnectionResetError)
    driver.crashes.clear()


def test_data_before_a_reset_is_still_read(driver: Driver) -> None:
    """A server that answers early and then resets: the answer counts."""
    stream, peer = driver.pair(tcp=True)
    stream.watch()
    peer.send(b"413 too large")
    reset(peer)
    driver.until(lambda: stream.ended)
    assert stream.recv_now() == b"413 too large"
    with pytest.raises(ConnectionResetError):
        stream.recv_now()


@pytest.mark.parametrize("which", ["readable", "writable", "recv", "send"])
def test_waits_pass_their_deadline_and_leave_nobody_registered(clock: Clock, driver: Driver, which: str) -> None:
    stream, _ = driver.pair()
    full = b"x" * 10_000_000
    waits = {
        "readable": lambda: stream.readable(clock.now + 1),
        "writable": lambda: stream.send(full, clock.now + 1),
        "recv": lambda: stream.recv(100, clock.now + 1),
        "send": lambda: stream.send(full, clock.now + 1),
    }

    async def story() -> None:
        await waits[which]()

    driver.start("story", story())
    driver.settle()
    assert not driver.results
    clock.now += 2
    driver.settle()
    assert isinstance(driver.results["story"], DeadlinePassed)
    assert stream.reader is None and stream.writer is None


# --- is an idle connection still good? -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("does", "of_no_use"),
    [("nothing", False), ("speaks", True), ("closes", True), ("resets", True), ("half-closes", True)],
)
@pytest.mark.parametrize("watched", [True, False])
def test_idle_connection_is_of_no_use_once_its_peer_moves(driver: Driver, does: str, of_no_use: bool, watched: bool) -> None:
    stream, peer = driver.pair(tcp=True)
    if watched:
        stream.watch()
        stream.drained = True
    if does == "speaks":
        peer.send(b"x")
    elif does == "closes":
        peer.close()
    elif does == "resets":
        reset(peer)
    elif does == "half-closes":
        peer.shutdown(socket.SHUT_WR)
    if of_no_use and watched:
        driver.until(lambda: not stream.drained)
    elif of_no_use:
        select.select([stream.fd], [], [], 5)
    assert stream.peek_end() is of_no_use


def test_looking_takes_nothing_out(driver: Driver) -> None:
    stream, peer = driver.pair()
    peer.send(b"x")
    assert stream.peek_end()
    assert stream.recv_now() == b"x"


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1000, 3_000_000])
@pytest.mark.parametrize("kind", [bytes, memoryview])
def test_send_sends_all_to_a_slow_reader(driver: Driver, size: int, kind: type[bytes]) -> None:
    stream, peer = driver.pair(buffer_bytes=4096)
    sent = os.urandom(size)

    async def story() -> str:
        await stream.send(kind(sent))
        return "sent"

    driver.start("story", story())
    found = b""
    while "story" not in driver.results or len(found) < size:
        found += receive_all(peer)
        driver.pump.turn()
    assert found == sent


def test_send_to_nobody_raises(driver: Driver) -> None:
    stream, peer = driver.pair()
    peer.close()
    with pytest.raises(BrokenPipeError):
        driver.run(stream.send(b"x"))


def test_peer_that_resets_ends_a_blocked_send(driver: Driver) -> None:
    stream, peer = driver.pair(tcp=True)

    async def story() -> None:
        await stream.send(b"x" * 50_000_000)

    driver.start("story", story())
    driver.settle()
    assert not driver.results
    reset(peer)
    driver.until(lambda: driver.results)
    assert isinstance(driver.results["story"], OSError)
    driver.crashes.clear()


def test_half_closed_stream_still_receives(driver: Driver) -> None:
    stream, peer = driver.pair()

    async def story() -> bytes:
        await stream.send(b"question")
        stream.shutdown_write()
        return await stream.recv()

    driver.start("story", story())
    assert peer.recv(100) == b"question" and peer.recv(100) == b""
    peer.send(b"answer")
    driver.settle()
    assert driver.results == {"story": b"answer"}


def test_shutdown_towards_a_peer_that_is_gone_is_harmless(driver: Driver) -> None:
    stream, peer = driver.pair(tcp=True)
    reset(peer)
    select.select([stream.fd], [], [], 5)
    stream.shutdown_write()


# --- closing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("how", ["close", "abort"])
def test_closing_leaves_no_descriptor_and_no_registration(driver: Driver, how: str, watched: bool, shared: bool) -> None:
    before = open_descriptors()
    stream, peer = driver.pair(tcp=True)
    stream.shared = shared
    if watched:
        stream.watch()
    number = stream.fd
    getattr(stream, how)()
    getattr(stream, how)()  # harmless
    peer.close()
    assert open_descriptors() == before
    assert number not in driver.pump.streams
    with pytest.raises(OSError):  # FileNotFoundError or EBADF: the epoll does not know it
        driver.pump.epoll.unregister(number)


def test_shared_stream_leaves_no_ghost_events_and_ends_the_connection_for_the_other_holder_too(driver: Driver) -> None:
    """The dispatcher may hold the same socket: closing ours must unregister it and tell the client all the same."""
    stream, peer = driver.pair(tcp=True)
    stream.shared = True
    copy = os.dup(stream.fd)
    try:
        stream.watch()
        stream.close()
        driver.until(lambda: select.select([peer], [], [], 0)[0])
        assert peer.recv(1) == b""
        peer.close()
        assert driver.pump.epoll.poll(0.05) == []
    finally:
        os.close(copy)


def test_abort_sends_a_reset(driver: Driver) -> None:
    stream, peer = driver.pair(tcp=True)
    stream.send_now(b"half of it")
    stream.abort()
    select.select([peer], [], [], 5)
    with pytest.raises(ConnectionResetError):
        while peer.recv(100):
            pass


def test_abort_of_a_shared_stream_sends_no_ordinary_end_but_a_reset_when_the_last_holder_closes(driver: Driver) -> None:
    stream, peer = driver.pair(tcp=True)
    stream.shared = True
    stream.watch()
    copy = os.dup(stream.fd)
    stream.abort()
    assert not select.select([peer], [], [], 0.05)[0]
    os.close(copy)
    select.select([peer], [], [], 5)
    with pytest.raises(ConnectionResetError):
        peer.recv(100)


@pytest.mark.parametrize("which", ["recv", "send"])
def test_closing_resumes_whoever_waits_for_the_stream(driver: Driver, which: str) -> None:
    """No event will ever come for it: without this it would wait until its deadline, if it has one."""
    stream, _peer = driver.pair()
    waits = {"recv": lambda: stream.recv(), "send": lambda: stream.send(b"x" * 10_000_000)}

    async def story() -> object:
        return await waits[which]()

    driver.start("story", story())
    driver.settle()
    stream.close()
    driver.settle()
    error = driver.results["story"]
    assert isinstance(error, OSError) and error.errno == errno.EBADF
    driver.crashes.clear()


def test_closed_stream_never_touches_the_next_owner_of_its_number(driver: Driver) -> None:
    stream, _ = driver.pair()
    number = stream.fd
    stream.close()
    made = [driver.pair()[0] for _ in range(3)]
    assert number in {other.fd for other in made}
    assert stream.fd == -1
    for call in (stream.recv_now, lambda: stream.send_now(b"x"), stream.watch_write, stream.watch):
        with pytest.raises((OSError, ValueError)):
            call()
    assert not any(other.mask for other in made)


def test_detached_stream_is_no_longer_watched_and_its_socket_lives(driver: Driver) -> None:
    stream, peer = driver.pair()
    stream.watch()
    sock = stream.detach()
    stream.close()  # harmless
    peer.send(b"x")
    assert driver.pump.epoll.poll(0.02) == []
    assert sock.recv(1) == b"x"
    again = Stream(driver.pump, sock)
    peer.send(b"y")
    assert driver.run(again.recv()) == b"y"


def test_registration_that_fails_leaves_nothing_behind(driver: Driver) -> None:
    """A regular file cannot be watched: EPERM, as ENOSPC and ENOMEM would be."""

    class File:
        def __init__(self) -> None:
            self.fd = os.memfd_create("test")

        def fileno(self) -> int:
            return self.fd

        def close(self) -> None:
            os.close(self.fd)

        def shutdown(self, _how: int) -> None:
            raise OSError(errno.ENOTSOCK, "not a socket")

    for wait in (Stream.watch, Stream.watch_write):
        stream = Stream(driver.pump, File(), shared=True)  # type: ignore[arg-type]
        with pytest.raises(PermissionError):
            wait(stream)
        assert not stream.mask and not driver.pump.streams
        stream.close()


def test_writable_again_after_it_was_writable_before(driver: Driver) -> None:
    """The edge was seen long ago; asking anew must ring again."""
    stream, _ = driver.pair()

    async def story() -> str:
        for _ in range(3):
            await stream.writable(inf)
        return "three times"

    assert driver.run(story()) == "three times"


def test_read_size_is_what_recv_takes_at_most(driver: Driver) -> None:
    stream, peer = driver.pair()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * READ_SIZE)
    peer.send(b"x" * (READ_SIZE + 1))
    assert len(driver.run(stream.recv())) == READ_SIZE
