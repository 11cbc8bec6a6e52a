"""How sockets towards servers, and those of clients, are made."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from math import inf

import pytest

from common.config.build import load
from common.config.options import LoadOptions
from common.model import Config
from common.net.dial import dial
from common.net.listener import open_bind
from common.net.outlet import TCP_FASTOPEN_CONNECT, Outlet, outlet_of
from tests.common.net.driving import Driver

TCP = socket.IPPROTO_TCP


def config(backend: str = "", server: str = "", settings: str = "") -> Config:
    text = f"global\n{settings}\nlisten l\n bind 127.0.0.1:0\n{backend}\n server s 127.0.0.1:80 {server}\n".replace(
        "127.0.0.1:0\n", "127.0.0.1:1\n"
    )
    loaded = load([("t.cfg", text.encode())], {}, options=LoadOptions())
    assert loaded.config, loaded.diagnostics
    return loaded.config


def outlet(backend: str = "", server: str = "", settings: str = "") -> Outlet | None:
    made = config(backend, server, settings)
    return outlet_of(made.proxies[0].servers[0], made.proxies[0], made.globals)


def test_sockets_that_nobody_wants_special_cost_nothing() -> None:
    assert outlet() is None
    assert outlet(" source 0.0.0.0") is None


@pytest.mark.parametrize(
    ("backend", "server", "settings", "level", "name", "expected"),
    [
        (" option srvtcpka", "", "", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (" option tcpka", "", "", socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (" option srvtcpka\n srvtcpka-idle 70s", "", "", TCP, socket.TCP_KEEPIDLE, 70),
        (" option srvtcpka\n srvtcpka-intvl 7", "", "", TCP, socket.TCP_KEEPINTVL, 7),
        (" option srvtcpka\n srvtcpka-cnt 4", "", "", TCP, socket.TCP_KEEPCNT, 4),
        (" option tcp-smart-connect", "", "", TCP, socket.TCP_QUICKACK, 0),
        ("", "tcp-ut 30s", "", TCP, socket.TCP_USER_TIMEOUT, 30000),
        ("", "tfo", "", TCP, TCP_FASTOPEN_CONNECT, 1),
        ("", "", " tune.sndbuf.server 20k", socket.SOL_SOCKET, socket.SO_SNDBUF, 40960),  # the kernel doubles it
        ("", "", " tune.rcvbuf.server 20k", socket.SOL_SOCKET, socket.SO_RCVBUF, 40960),
        ("", "", " tune.notsent-lowat.server 16k", TCP, socket.TCP_NOTSENT_LOWAT, 16384),
    ],
)
def test_option_is_set_before_the_connect(backend: str, server: str, settings: str, level: int, name: int, expected: int) -> None:
    made = outlet(backend, server, settings)
    assert made is not None
    with socket.socket() as sock:
        made.prepare(sock)
        assert sock.getsockopt(level, name) == expected


@pytest.mark.parametrize(
    ("frontend", "settings", "level", "name", "expected"),
    [
        (" option clitcpka\n clitcpka-idle 70s", "", TCP, socket.TCP_KEEPIDLE, 70),
        (" option tcp-smart-accept", "", TCP, socket.TCP_QUICKACK, 0),
        ("", " tune.sndbuf.client 20k", socket.SOL_SOCKET, socket.SO_SNDBUF, 40960),
        ("", " tune.rcvbuf.client 20k", socket.SOL_SOCKET, socket.SO_RCVBUF, 40960),
        ("", " tune.notsent-lowat.client 16k", TCP, socket.TCP_NOTSENT_LOWAT, 16384),
    ],
)
def test_option_of_clients_is_set_on_the_listening_socket(frontend: str, settings: str, level: int, name: int, expected: int) -> None:
    made = config(frontend, "", settings)
    proxy = made.proxies[0]
    proxy.binds[0].address = proxy.binds[0].address.__class__(proxy.binds[0].address.kind, "127.0.0.1", 0)
    with open_bind(proxy.binds[0], proxy, made.globals, reuseport=False) as sock:
        assert sock.getsockopt(level, name) == expected


def test_nolinger_drops_what_is_unsent_and_resets() -> None:
    """On accepted sockets too, which inherit it from the listening one."""
    made = config(" option nolinger")
    proxy = made.proxies[0]
    proxy.binds[0].address = proxy.binds[0].address.__class__(proxy.binds[0].address.kind, "127.0.0.1", 0)
    with open_bind(proxy.binds[0], proxy, made.globals, reuseport=False) as sock:
        sock.setblocking(True)
        client = socket.create_connection(sock.getsockname())
        accepted, _ = sock.accept()
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)
        accepted.close()
        with client, pytest.raises(ConnectionResetError):
            client.recv(1)
    with_server = outlet(" option nolinger")
    assert with_server is not None
    with socket.socket() as sock:
        with_server.prepare(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 0)


def test_source_of_the_backend_holds_for_servers_without_one() -> None:
    made = config(" source 127.0.0.9", "")
    assert str(made.proxies[0].servers[0].source) == "127.0.0.9:0"
    made = config(" source 127.0.0.9", "source 127.0.0.8")
    assert str(made.proxies[0].servers[0].source) == "127.0.0.8:0"


def test_ports_of_a_range_are_used_in_turn(driver: Driver) -> None:
    """Those that are taken are passed over; when all are, there is an error."""
    with socket.create_server(("127.0.0.1", 0)) as server, contextlib.ExitStack() as kept:
        low = _free_range(3)
        made = outlet("", f"source 127.0.0.1:{low}-{low + 2}")
        assert made is not None and made.tries == 3

        async def story() -> list[int]:
            ports = []
            for _ in range(3):
                kept.callback((await dial(driver.pump, socket.AF_INET, server.getsockname(), inf, outlet=made)).close)
                accepted, peer = server.accept()
                kept.callback(accepted.close)
                ports.append(peer[1])
            return ports

        assert sorted(driver.run(story())) == [low, low + 1, low + 2]
        with pytest.raises(OSError) as raised:
            driver.run(story())
        assert raised.value.errno in (errno.EADDRNOTAVAIL, errno.EADDRINUSE)


def _free_range(count: int) -> int:
    """The first of so many ports that nobody uses."""
    for low in range(20000, 60000, 16):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in range(low, low + count):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return low
    raise AssertionError("no free ports")


def test_an_interface_that_is_not_there_is_an_error() -> None:
    made = outlet("", "source 0.0.0.0 interface nosuchdevice")
    assert made is not None
    with socket.socket() as sock, pytest.raises(OSError):
        made.prepare(sock)
