"""Servers that serve by themselves, one thread per connection, each connection in the hands of one function.

For tests of whole configurations, where health checks come and go between the requests: a check that connects and leaves, or asks
for a page, is served like everybody.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import ssl
import threading
from collections.abc import Callable

from tests.flows.peers import DEADLINE_S, Listener

_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n"
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3

Serve = Callable[[socket.socket], None]


class ServingThread:
    """Serves a Listener's connections until stopped."""

    def __init__(self, listener: Listener, serve: Serve) -> None:
        self._socket = listener.socket.dup()  # ours stays open when the flow closes its own
        self._serve = serve
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._socket.settimeout(None)
        self._threads[0].start()

    def stop(self) -> None:
        for one in (self._socket, *list(self._open)):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(DEADLINE_S)
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._socket.accept()[0]
            except OSError:
                return
            connection.settimeout(DEADLINE_S)
            self._open.add(connection)
            thread = threading.Thread(target=self._run, args=[connection], daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self._serve(connection)
        self._open.discard(connection)


def web(name: str) -> Serve:
    """Answers each request with `NAME TARGET X-FORWARDED-FOR`; what asks for a WebSocket gets one that echoes."""

    def serve(connection: socket.socket) -> None:
        held = b""
        while True:
            while b"\r\n\r\n" not in held:
                data = connection.recv(65536)
                if not data:
                    return
                held += data
            head, _, held = held.partition(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            if fields.get(b"upgrade") == b"websocket":
                connection.sendall(_SWITCHING % _accepted(head) + held)
                _echo(connection)
                return
            body = b"%b %b %b" % (name.encode(), head.split(b" ")[1], fields.get(b"x-forwarded-for", b"-"))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    return serve


def greeting(name: str) -> Serve:
    """Says its name and a line feed, then echoes."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(name.encode() + b"\n")
        _echo(connection)

    return serve


def over_tls(context: ssl.SSLContext, serve: Serve) -> Serve:
    """The same with TLS around it."""

    def serve_decrypted(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as decrypted:
            serve(decrypted)

    return serve_decrypted


def _accepted(head: bytes) -> bytes:
    """What answers the Sec-WebSocket-Key of a request."""
    key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", head)
    assert key
    return base64.b64encode(hashlib.sha1(key[1] + _WEBSOCKET_GUID).digest())


def _echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)
