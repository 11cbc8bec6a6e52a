"""A server that answers by itself, for tests whose subject is the crowd in front of it: many clients, kills, restarts.

Each answer's body is the request's target and its X-Forwarded-For, so a client sees that it got its own answer; or every
answer is the same prepared one, after which the connection ends unless its head says how long it is.
"""

from __future__ import annotations

import re
import selectors
import socket
import threading

from tests.flows.peers import Listener

_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")
_FORWARDED = re.compile(rb"(?im)^x-forwarded-for: *(\S+)")


class AnsweringServer:
    """Serves on a Listener in one thread until stopped. answered: how many requests so far; requests: as they came, if kept."""

    def __init__(self, listener: Listener, *, prepared: bytes = b"") -> None:
        self.answered = 0
        self.requests: list[bytes] = []
        self._prepared = prepared
        self._listener = listener
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener.socket, selectors.EVENT_READ)
        self._held: dict[socket.socket, bytes] = {}
        self._wake_read, self._wake_write = socket.socketpair()
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._wake_write.send(b"x")
        self._thread.join(5)
        for connection in self._held:
            connection.close()
        for end in (self._wake_read, self._wake_write):
            end.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake_read:
                    return
                if key.fileobj is self._listener.socket:
                    connection = self._listener.accept().socket
                    self._held[connection] = b""
                    self._selector.register(connection, selectors.EVENT_READ)
                else:
                    assert isinstance(key.fileobj, socket.socket)
                    self._serve(key.fileobj)

    def _serve(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
            if data:
                held = self._answer_all(connection, self._held[connection] + data)
                if connection in self._held:
                    self._held[connection] = held
                return
        except OSError:
            pass
        self._drop(connection)

    def _drop(self, connection: socket.socket) -> None:
        if connection in self._held:
            self._selector.unregister(connection)
            del self._held[connection]
            connection.close()

    def _answer_all(self, connection: socket.socket, held: bytes) -> bytes:
        """Answers each complete request; returns what is left."""
        while (end := held.find(b"\r\n\r\n")) >= 0:
            head = held[:end]
            length = _LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if b"\r\ntransfer-encoding:" in head.lower():
                size = held.find(b"0\r\n\r\n", end) + 5
                if size < end:
                    break
            if len(held) < size:
                break
            self._answer(connection, head, held[:size])
            held = held[size:]
        return held

    def _answer(self, connection: socket.socket, head: bytes, request: bytes) -> None:
        self.answered += 1
        if self._prepared:
            self.requests.append(request)
            connection.sendall(self._prepared)
            if b"\r\ncontent-length:" not in self._prepared.lower():
                self._drop(connection)
            return
        client = _FORWARDED.search(head)
        body = head.split(b" ")[1] + b" " + (client[1] if client else b"-")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
