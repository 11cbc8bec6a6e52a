"""Who a client is: which addresses are told, and the PROXY header that he may begin with."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from common.model import Address, AddressKind
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import decode, encode_v1, encode_v2
from dispatcher.introduction import address_text, header_of
from tests.dispatcher.harness import PATIENCE_S, Running, explicit, frontend, running, wait_until

ANY4 = Address(AddressKind.INET, "0.0.0.0", 0)
ANY6 = Address(AddressKind.INET6, "::", 0)
LOOPBACK6 = Address(AddressKind.INET6, "::1", 0)


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "host", "family"),
    [
        (ANY4, "127.0.0.1", Family.INET),
        (ANY4, "127.0.0.7", Family.INET),
        (LOOPBACK6, "::1", Family.INET6),
        (ANY6, "::1", Family.INET6),
        (ANY6, "127.0.0.7", Family.INET),
    ],
    ids=str,
)
def test_header_tells_both_ends_whatever_the_bind_is(address: Address, host: str, family: Family) -> None:
    with running(frontend(address=address), workers=1) as (dispatcher, [worker]):
        worker.greet()
        with socket.create_connection((host, dispatcher.address()[1]), PATIENCE_S) as client:
            header = worker.headers[worker.receive()]
            assert header.family is family and not header.local
            assert (header.source, header.source_port) == client.getsockname()[:2]
            assert (header.destination, header.destination_port) == client.getpeername()[:2]


def test_client_of_a_unix_socket_has_no_addresses(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with running(frontend(address=Address(AddressKind.UNIX, path=path)), workers=1) as (_dispatcher, [worker]):
        worker.greet()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            client.sendall(b"hello")
            number = worker.receive()
            assert worker.headers[number].local
            assert worker.read(number) == b"hello"


@pytest.mark.parametrize(
    ("source", "to", "family"),
    [
        (b"\1\2\3\4", b"\5\6\7\x08", Family.INET),
        (b"\1" * 16, b"\2" * 16, Family.INET6),
        (b"\1\2\3\4", b"\2" * 16, Family.INET6),
        (b"\1" * 16, b"\5\6\7\x08", Family.INET6),
        (b"", b"\1\2\3\4", Family.UNSPEC),
        (b"", b"", Family.UNSPEC),
    ],
)
def test_header_has_one_family_for_both_addresses(source: bytes, to: bytes, family: Family) -> None:
    decoded = decode(header_of(source, 1, to, 2))
    assert decoded is not None and decoded[0].family is family
    assert decoded[0].local == (family is Family.UNSPEC)


@pytest.mark.parametrize(
    ("address", "text"), [(b"\1\2\3\4", "1.2.3.4:5"), (b"\0" * 15 + b"\1", "[::1]:5"), (b"", "unix:")]
)
def test_address_text_is_for_log_lines(address: bytes, text: str) -> None:
    assert address_text(address, 5) == text


# --- accept-proxy ----------------------------------------------------------------------------------------------------


def with_accept_proxy(dispatcher: Running) -> None:
    dispatcher.stop()
    for proxy in dispatcher.config.proxies:
        for bind in proxy.binds:
            bind.accept_proxy = True
    dispatcher.start()


HEADER = ProxyHeader(2, False, Family.INET, "192.0.2.1", 1111, "198.51.100.2", 2222, ((0x05, b"id"),))
LOCAL = ProxyHeader(2, True, Family.UNSPEC)


@pytest.mark.parametrize("pieces", ["whole", "bytewise"])
@pytest.mark.parametrize("data", [encode_v1(HEADER), encode_v2(HEADER)], ids=["v1", "v2"])
def test_accept_proxy_of_an_explicit_bind_is_read_and_not_one_byte_more(data: bytes, pieces: str) -> None:
    with explicit(1) as (dispatcher, [worker], _):
        with_accept_proxy(dispatcher)
        dispatcher.meet(worker)
        client = dispatcher.connect()
        for piece in [data + b"rest"] if pieces == "whole" else [bytes([byte]) for byte in data + b"rest"]:
            client.sendall(piece)
        number = worker.receive()
        header = worker.headers[number]
        assert (header.source, header.source_port, header.destination, header.destination_port) == ("192.0.2.1", 1111, "198.51.100.2", 2222)
        wait_until(lambda: worker.clients[number].recv(10, socket.MSG_PEEK) == b"rest", "the rest")
        # It is out of our epoll: nothing rings when the client goes on.
        before = dispatcher.cpu_s
        for _ in range(100):
            client.sendall(b"x")
        assert dispatcher.cpu_s - before < 0.02


def test_accept_proxy_local_means_the_connections_own_addresses() -> None:
    with explicit(1) as (dispatcher, [worker], _):
        with_accept_proxy(dispatcher)
        dispatcher.meet(worker)
        client = dispatcher.connect(data=encode_v2(LOCAL))
        header = worker.headers[worker.receive()]
        assert (header.source, header.source_port) == client.getsockname()
        assert (header.destination, header.destination_port) == dispatcher.address()


@pytest.mark.parametrize(
    ("data", "slug"),
    [
        (b"GET / HTTP/1.1\r\n", "proxy_bad_signature"),
        (b"", "proxy_header_missing"),
        (b"PROXY TCP4 1.2.3", "proxy_header_truncated"),
        (None, "proxy_header_timeout"),
    ],
)
def test_client_without_a_valid_proxy_header_is_closed_and_logged(data: bytes | None, slug: str) -> None:
    with explicit(1) as (dispatcher, [worker], proxy):
        proxy.timeouts.client_hs = 0.2
        with_accept_proxy(dispatcher)
        dispatcher.meet(worker)
        client = dispatcher.connect(data=data or b"")
        port = client.getsockname()[1]
        if data is not None:
            with contextlib.suppress(OSError):  # the dispatcher may have reset it already
                client.shutdown(socket.SHUT_WR)
        line = dispatcher.log_line(f"reason: {slug}")
        assert f"connection from 127.0.0.1:{port} closed" in line
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass
        assert worker.poll() is None


def test_accept_proxy_of_an_implicit_bind_is_left_to_the_worker() -> None:
    with running(frontend(), workers=1) as (dispatcher, [worker]):
        with_accept_proxy(dispatcher)
        dispatcher.meet(worker)
        dispatcher.connect(data=encode_v1(HEADER) + b"x")
        number = worker.receive()
        assert worker.headers[number].source == "127.0.0.1"
        assert worker.read(number) == encode_v1(HEADER) + b"x"


