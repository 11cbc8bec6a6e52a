"""Socket options that rules set, on real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from common.net.pump import Pump
from common.net.stream import Stream
from worker.socket_options import apply_socket_option, vanish

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture(params=[socket.AF_INET, socket.AF_INET6, socket.AF_UNIX], ids=lambda family: family.name)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """(client, server), connected."""
    if request.param == socket.AF_UNIX:
        client, server = socket.socketpair()
    else:
        host = "127.0.0.1" if request.param == socket.AF_INET else "::1"
        with socket.socket(request.param) as listener:
            try:
                listener.bind((host, 0))
            except OSError:
                pytest.skip(f"this machine has no {host}")
            listener.listen()
            client = socket.create_connection(listener.getsockname()[:2])
            server, _ = listener.accept()
    with client, server:
        yield client, server


def test_type_of_service_is_set_where_the_family_has_one(pair: Pair) -> None:
    apply_socket_option(pair[1], "tos", 8)
    if pair[1].family == socket.AF_INET:
        assert pair[1].getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 8
    elif pair[1].family == socket.AF_INET6:
        assert pair[1].getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 8


def test_mark_is_set_or_passed_over(pair: Pair) -> None:
    apply_socket_option(pair[1], "mark", 5)
    assert pair[1].getsockopt(socket.SOL_SOCKET, socket.SO_MARK) in (0, 5)


@pytest.mark.parametrize("ttl", [None, 3])
def test_vanished_connection_is_closed_here(pair: Pair, ttl: int | None) -> None:
    stream = Stream(Pump(lambda strand, error: None), pair[1])
    vanish(stream, ttl)
    assert stream.closed
    assert pair[1].fileno() == -1


def test_client_does_not_hear_of_it(pair: Pair) -> None:
    client, server = pair
    if server.family == socket.AF_UNIX:
        pytest.skip("the other end of a unix socket always hears")
    try:
        server.setsockopt(socket.IPPROTO_TCP, 19, 1)
        server.setsockopt(socket.IPPROTO_TCP, 19, 0)
    except PermissionError:
        pytest.skip("needs the privilege to forget a connection (CAP_NET_ADMIN)")
    client.send(b"hello")
    assert server.recv(10) == b"hello"
    vanish(Stream(Pump(lambda strand, error: None), server), None)
    client.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.recv(1)
