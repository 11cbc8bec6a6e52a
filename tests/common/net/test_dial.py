from __future__ import annotations

import errno
import os
import socket
from math import inf

import pytest

from common.net.dial import dial
from common.net.outlet import Outlet
from common.net.pump import DeadlinePassed, Ended
from common.net.sockaddr import SockAddr
from common.net.stream import Stream
from tests.common.net.driving import Clock, Driver, open_descriptors

KINDS = pytest.mark.parametrize("kind", ["v4", "v6", "abstract"])


def listener(kind: str) -> tuple[socket.socket, socket.AddressFamily, SockAddr]:
    if kind == "abstract":
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(b"\0usher-test-dial-%d" % os.getpid())
    else:
        sock = socket.socket(socket.AF_INET if kind == "v4" else socket.AF_INET6)
        sock.bind(("127.0.0.1" if kind == "v4" else "::1", 0))
    sock.listen(8)
    return sock, socket.AddressFamily(sock.family), sock.getsockname()


@KINDS
def test_connects_and_hears_what_the_server_says_first(driver: Driver, kind: str) -> None:
    sock, family, address = listener(kind)
    with sock:

        async def story() -> bytes:
            stream = await dial(driver.pump, family, address, inf)
            server, _ = sock.accept()
            with server:
                await stream.send(b"hello")
                assert server.recv(10) == b"hello"
                server.send(b"welcome")
                try:
                    return await stream.recv()
                finally:
                    stream.close()

        assert driver.run(story()) == b"welcome"


@KINDS
def test_server_that_speaks_and_closes_at_once_is_heard_whole(driver: Driver, kind: str) -> None:
    sock, family, address = listener(kind)
    with sock:

        async def story() -> list[bytes]:
            stream = await dial(driver.pump, family, address, inf)
            server, _ = sock.accept()
            server.send(b"bye")
            server.close()
            try:
                return [await stream.recv(), await stream.recv()]
            finally:
                stream.close()

        assert driver.run(story()) == [b"bye", b""]


@KINDS
def test_refused_is_an_error_with_its_number_and_leaks_nothing(driver: Driver, kind: str) -> None:
    sock, family, address = listener(kind)
    sock.close()
    before = open_descriptors()
    with pytest.raises(ConnectionRefusedError):
        driver.run(dial(driver.pump, family, address, inf))
    assert open_descriptors() == before and not driver.pump.streams


def test_full_backlog_of_a_unix_socket_counts_as_refused(driver: Driver) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        name = b"\0usher-test-full-%d" % os.getpid()
        sock.bind(name)
        sock.listen(0)
        kept: list[Stream] = []

        async def story() -> None:
            while True:
                kept.append(await dial(driver.pump, socket.AF_UNIX, name, inf))

        with pytest.raises(ConnectionRefusedError):
            driver.run(story())
        for stream in kept:
            stream.close()


def test_server_that_does_not_answer_passes_the_deadline(clock: Clock, driver: Driver) -> None:
    """A full TCP backlog drops the SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as sock:
        before = open_descriptors()
        with socket.create_connection(sock.getsockname()):
            streams: list[Stream] = []

            async def story() -> None:
                while True:
                    streams.append(await dial(driver.pump, socket.AF_INET, sock.getsockname(), clock.now + 1))

            driver.start("story", story())
            driver.settle()
            clock.now += 2
            driver.settle()
            assert isinstance(driver.results["story"], DeadlinePassed)
            for stream in streams:
                stream.close()
        assert open_descriptors() == before and not driver.pump.streams


def test_dial_that_is_ended_leaks_nothing(driver: Driver) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as sock:
        before = open_descriptors()
        streams: list[Stream] = []

        async def story() -> None:
            while True:
                streams.append(await dial(driver.pump, socket.AF_INET, sock.getsockname(), inf))

        strand = driver.start("story", story())
        driver.settle()
        driver.pump.end(strand)
        assert isinstance(driver.results["story"], Ended)
        for stream in streams:
            stream.close()
        assert open_descriptors() == before


@pytest.mark.parametrize(("kind", "source"), [("v4", "127.0.0.1"), ("v6", "::1")])
def test_source_address_is_what_the_server_sees(driver: Driver, kind: str, source: str) -> None:
    sock, family, address = listener(kind)
    if kind == "v4":
        source = "127.0.0.9"
    with sock:

        async def story() -> str:
            stream = await dial(driver.pump, family, address, inf, outlet=Outlet((), (source, 0), range(0), ""))
            server, peer = sock.accept()
            server.close()
            stream.close()
            return str(peer[0])

        assert driver.run(story()) == source


def test_source_that_is_not_ours_is_an_error(driver: Driver) -> None:
    sock, family, address = listener("v4")
    with sock, pytest.raises(OSError) as raised:
        driver.run(dial(driver.pump, family, address, inf, outlet=Outlet((), ("192.0.2.77", 0), range(0), "")))
    assert raised.value.errno == errno.EADDRNOTAVAIL


def test_source_address_does_not_keep_a_unix_server_from_being_reached(driver: Driver) -> None:
    """`source` stands in the backend, one of whose servers may be a unix socket."""
    sock, family, address = listener("abstract")
    with sock:

        async def story() -> None:
            (await dial(driver.pump, family, address, inf, outlet=Outlet((), ("127.0.0.1", 0), range(0), ""))).close()

        driver.run(story())


def test_connection_does_not_wait_for_small_packets_to_become_large(driver: Driver) -> None:
    sock, family, address = listener("v4")
    with sock:

        async def story() -> int:
            stream = await dial(driver.pump, family, address, inf)
            try:
                return stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            finally:
                stream.close()

        assert driver.run(story()) == 1


def test_fixed_source_port_may_be_used_while_an_earlier_connection_of_it_lingers(driver: Driver) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        source = probe.getsockname()
    servers = [listener("v4") for _ in range(2)]

    async def story() -> list[int]:
        ports = []
        for sock, family, address in servers:
            stream = await dial(driver.pump, family, address, inf, outlet=Outlet((), source, range(0), ""))
            server, peer = sock.accept()
            ports.append(peer[1])
            stream.shutdown_write()  # it ends first, so it is the one in TIME_WAIT
            server.close()
            await stream.recv()
            stream.close()
        return ports

    try:
        assert driver.run(story()) == [source[1]] * 2
    finally:
        for sock, _, _ in servers:
            sock.close()
