"""Listening sockets of every kind, on the real kernel."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.model import Address, AddressKind, Bind, Global, Place, Proxy
from common.net import listener
from common.net.listener import BindError, backlog_of, open_bind, open_channel
from common.net.sockaddr import abstract_name

LOOPBACK = Address(AddressKind.INET, "127.0.0.1", 0)
LOOPBACK6 = Address(AddressKind.INET6, "::1", 0)


def bind(address: Address, **settings: Any) -> Bind:
    return Bind(Place("usher.cfg", 7), address, **settings)


def frontend(**settings: Any) -> Proxy:
    return Proxy(Place("usher.cfg", 6), "www", **{"frontend": True, "backend": False, **settings})


def opened(address: Address, *, reuseport: bool = True, proxy: Proxy | None = None, **settings: Any) -> socket.socket:
    return open_bind(bind(address, **settings), proxy or frontend(), Global(), reuseport=reuseport)


def abstract(kind: AddressKind = AddressKind.ABNS) -> Address:
    return Address(kind, path=f"usher-test-{os.getpid()}")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Address]:
    yield Address(AddressKind.UNIX, path=str(tmp_path / "s"))


def round_trip(sock: socket.socket, address: Any) -> None:
    with socket.socket(sock.family) as client:
        client.connect(address)
        accepted, _address = sock.accept()
        with accepted:
            accepted.sendall(b"x")
        assert client.recv(1) == b"x"


@pytest.mark.parametrize("address", [LOOPBACK, LOOPBACK6], ids=str)
def test_a_tcp_socket_listens_without_blocking(address: Address) -> None:
    with opened(address) as sock:
        assert not sock.getblocking()
        assert not sock.get_inheritable()
        with pytest.raises(BlockingIOError):
            sock.accept()
        round_trip(sock, sock.getsockname())


def test_a_host_name_is_resolved() -> None:
    with opened(Address(AddressKind.INET, "localhost", 0)) as sock:
        assert sock.getsockname()[0] in ("127.0.0.1", "::1")


def test_shards_of_one_address_live_beside_each_other() -> None:
    with opened(LOOPBACK) as first:
        address = Address(AddressKind.INET, "127.0.0.1", first.getsockname()[1])
        with opened(address) as second:
            assert second.getsockname() == first.getsockname()


@pytest.mark.parametrize("reuseport", [False, True])
def test_a_port_that_someone_else_has_is_reported_in_haproxys_words(reuseport: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address(AddressKind.INET, "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(BindError) as caught:
            opened(address, reuseport=reuseport)
    assert str(caught.value) == f"Binding [usher.cfg:7] for frontend www: cannot bind socket (Address already in use) for [{address}]"
    assert caught.value.busy


FAULTS = [
    (Address(AddressKind.INET, "203.0.113.77", 0), {}, "cannot bind socket (Cannot assign requested address) for [203.0.113.77:0]"),
    (LOOPBACK, {"interface": "nosuch0"}, "cannot bind receiver to device 'nosuch0' (No such device) for [127.0.0.1:0]"),
    (Address(AddressKind.INET, "no.such.host.invalid", 80), {}, "cannot bind socket (could not resolve address 'no.such.host.invalid': "),
    (Address(AddressKind.UNIX, path="/nonexistent/s"), {}, "cannot bind UNIX socket (No such file or directory) for [/nonexistent/s]"),
    (Address(AddressKind.FD, fd=987), {}, "cannot use file descriptor '987' (Bad file descriptor) for [fd@987]"),
    (LOOPBACK, {"mss": 70000}, "cannot set MSS (Invalid argument) for [127.0.0.1:0]"),
]


@pytest.mark.parametrize(("address", "settings", "expected"), FAULTS, ids=[str(address) for address, _settings, _text in FAULTS])
def test_faults_name_line_frontend_step_and_reason(address: Address, settings: dict[str, Any], expected: str) -> None:
    with pytest.raises(BindError) as caught:
        opened(address, **settings)
    assert str(caught.value).startswith(f"Binding [usher.cfg:7] for frontend www: {expected}")
    assert not caught.value.busy


def test_a_listen_section_is_called_a_proxy() -> None:
    with pytest.raises(BindError, match="for proxy www: "):
        opened(Address(AddressKind.UNIX, path="/nonexistent/s"), proxy=frontend(backend=True))


def test_no_file_but_a_socket_is_ever_replaced(path: Address) -> None:
    Path(path.path).write_text("precious")
    with pytest.raises(BindError, match=r"cannot bind UNIX socket \(the path exists and is not a socket\)"):
        opened(path)
    assert Path(path.path).read_text() == "precious"


INHERITED = [
    ({}, {}, socket.TCP_NODELAY, 1),
    ({"tcp_ut": 30.0}, {}, socket.TCP_USER_TIMEOUT, 30000),
    ({}, {"options": frozenset({"clitcpka"}), "extra": {"clitcpka-idle": (("2m",),)}}, socket.TCP_KEEPIDLE, 120),
    ({}, {"options": frozenset({"tcpka"}), "extra": {"clitcpka-intvl": (("7",),)}}, socket.TCP_KEEPINTVL, 7),
    ({}, {"options": frozenset({"clitcpka"}), "extra": {"clitcpka-cnt": (("4",),)}}, socket.TCP_KEEPCNT, 4),
]


@pytest.mark.parametrize(("settings", "proxy", "option", "expected"), INHERITED)
def test_accepted_sockets_inherit(settings: dict[str, Any], proxy: dict[str, Any], option: int, expected: int) -> None:
    with opened(LOOPBACK, proxy=frontend(**proxy), **settings) as sock, socket.create_connection(sock.getsockname()):
        accepted, _address = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, option) == expected
            assert bool(accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) == bool(proxy)


@pytest.mark.parametrize(("mss", "expected"), [(536, 536), (-60, 1400)])
def test_mss_is_absolute_or_counted_from_the_usual(mss: int, expected: int) -> None:
    with opened(LOOPBACK, mss=mss) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) == expected


def test_defer_accept_waits_for_the_clients_first_byte() -> None:
    with opened(LOOPBACK, defer_accept=True, tfo=True) as sock, socket.create_connection(sock.getsockname()) as client:
        with pytest.raises(BlockingIOError):
            sock.accept()
        client.sendall(b"x")
        sock.setblocking(True)
        sock.accept()[0].close()


@pytest.mark.parametrize(("v4v6", "v6only", "reachable"), [(True, False, True), (False, True, False), (True, True, False)])
def test_v4v6_and_v6only_decide_whether_ipv4_reaches_an_ipv6_any_address(v4v6: bool, v6only: bool, reachable: bool) -> None:
    with opened(Address(AddressKind.INET6, "", 0), v4v6=v4v6, v6only=v6only) as sock:
        port = sock.getsockname()[1]
        with socket.socket() as client:
            assert (client.connect_ex(("127.0.0.1", port)) == 0) is reachable


@pytest.mark.skipif(os.geteuid() != 0, reason="needs CAP_NET_ADMIN")
@pytest.mark.parametrize("host", ["203.0.113.77", "2001:db8::77"])
def test_a_transparent_bind_takes_foreign_addresses(host: str) -> None:
    kind = AddressKind.INET6 if ":" in host else AddressKind.INET
    try:
        sock = opened(Address(kind, host, 0), transparent=True)
    except BindError as error:
        pytest.skip(f"this machine does not let us: {error}")
    with sock:
        assert sock.getsockname()[0] == host


def test_a_unix_socket_replaces_the_one_before_it_and_gets_its_mode(path: Address) -> None:
    with opened(path) as first, opened(path, mode=0o600) as second:
        round_trip(second, path.path)
        assert stat.S_IMODE(os.stat(path.path).st_mode) == 0o600
        assert not first.getblocking()
    assert os.listdir(os.path.dirname(path.path)) == ["s"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("settings", [{"uid": 65534, "gid": 65534}, {"user": "nobody", "group": "nogroup"}])
def test_a_unix_socket_gets_its_owner(path: Address, settings: dict[str, Any]) -> None:
    with opened(path, **settings):
        found = os.stat(path.path)
        assert (found.st_uid, found.st_gid) == (65534, 65534)


def test_an_unknown_owner_is_a_fault_and_leaves_nothing_behind(path: Address) -> None:
    with pytest.raises(BindError, match=r"cannot change UNIX socket ownership \(getpwnam"):
        opened(path, user="no-such-user")
    assert os.listdir(os.path.dirname(path.path)) == []


def test_a_path_without_room_for_a_temporary_name_is_bound_directly(tmp_path: Path) -> None:
    folder = tmp_path / ("d" * max(1, 100 - len(str(tmp_path)) - 1))
    folder.mkdir()
    path = Address(AddressKind.UNIX, path=str(folder / "s"))
    for _ in range(2):
        with opened(path) as sock:
            round_trip(sock, path.path)
    assert os.listdir(folder) == ["s"]


@pytest.mark.parametrize("kind", [AddressKind.ABNS, AddressKind.ABNSZ])
def test_abstract_names_are_padded_or_exact(kind: AddressKind) -> None:
    address = abstract(kind)
    with opened(address) as sock:
        assert sock.getsockname() == abstract_name(address)
        assert (len(sock.getsockname()) == 108) == (kind is AddressKind.ABNS)
        round_trip(sock, abstract_name(address))


def test_an_abstract_name_carries_a_stream_and_a_channel_but_each_once() -> None:
    name = abstract_name(abstract())
    with opened(abstract()), open_channel(name) as channel:
        with pytest.raises(BindError, match="Address already in use") as caught:
            opened(abstract())
        assert caught.value.busy
        with pytest.raises(OSError, match="Address already in use"):
            open_channel(name)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(name)
            channel.accept()[0].close()


@pytest.mark.parametrize("listening", [False, True])
@pytest.mark.parametrize("blocking", [False, True])
def test_an_inherited_descriptor_is_adopted_whatever_its_state(listening: bool, blocking: bool) -> None:
    with socket.socket() as given:
        given.bind(("127.0.0.1", 0))
        given.setblocking(blocking)
        if listening:
            given.listen()
        with opened(Address(AddressKind.FD, fd=given.fileno())) as sock:
            assert not os.get_blocking(sock.fileno())
            round_trip(sock, given.getsockname())
        assert given.fileno() != -1


def test_an_inherited_datagram_socket_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as given, pytest.raises(BindError, match="not a stream socket"):
        opened(Address(AddressKind.FD, fd=given.fileno()))


@pytest.mark.parametrize(
    ("of_bind", "of_proxy", "maxconn", "expected"),
    [
        ({"backlog": 5, "maxconn": 9}, {"backlog": 7}, 0, 5),
        ({"maxconn": 9}, {"backlog": 7, "maxconn": 8}, 0, 7),
        ({"maxconn": 9}, {"maxconn": 8}, 0, 9),
        ({}, {"maxconn": 8}, 10, 8),
        ({}, {}, 10, 10),
        ({}, {}, 0, listener.BACKLOG),
        ({}, {}, 10**9, listener.BACKLOG_MAX),
    ],
)
def test_the_backlog_is_the_nearest_that_was_said(of_bind: dict[str, Any], of_proxy: dict[str, Any], maxconn: int, expected: int) -> None:
    assert backlog_of(bind(LOOPBACK, **of_bind), frontend(**of_proxy), Global(maxconn=maxconn)) == expected
