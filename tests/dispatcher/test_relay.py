"""Connections that are relayed: the PROXY header, both directions, failures, the log line."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from common.wire.proxy_protocol import decode
from tests.dispatcher.harness import PATIENCE_S, dispatcher_listen, fresh_name, padded, running, server


@contextmanager
def listening(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(padded(path))
        listener.listen(64)
        listener.settimeout(PATIENCE_S)
        yield listener


def accept(listener: socket.socket) -> socket.socket:
    accepted, _ = listener.accept()
    accepted.settimeout(PATIENCE_S)
    return accepted


def receive_all(sock: socket.socket) -> bytes:
    received = b""
    while data := sock.recv(65536):
        received += data
    return received


@pytest.mark.parametrize("version", [1, 2])
def test_server_hears_who_the_client_is_then_every_byte_and_each_half_close(version: int) -> None:
    path = fresh_name()
    proxy = dispatcher_listen(server("p2", path, send_proxy=version))
    proxy.options = frozenset({"tcplog"})
    with listening(path) as listener, running(proxy) as (dispatcher, _):
        client = dispatcher.connect(data=b"hello")
        client.shutdown(socket.SHUT_WR)
        name = client.getsockname()
        with accept(listener) as accepted:
            received = receive_all(accepted)
            decoded = decode(received)
            assert decoded is not None
            header, size = decoded
            assert (header.version, header.source, header.source_port) == (version, *name)
            assert (header.destination, header.destination_port) == dispatcher.address()
            assert received[size:] == b"hello"
            accepted.sendall(b"late answer")
        assert receive_all(client) == b"late answer"
        client.close()
        line = dispatcher.log_line("dispatcher/p2")
        assert f"127.0.0.1:{name[1]} [" in line and " dispatcher dispatcher/p2 " in line and " 11 -- 1/1/1/1/0 0/0" in line
