"""The two ends of a conversation through the program: clients and servers whose every byte the test chooses.

Blocking sockets with a deadline on each call, in the test's own thread. A conversation is a sequence (the client sends,
the server receives, the server answers, …), so one thread can play all parts in order: the kernel's buffers stand
between them. No thread means no race in the test and a failing step that names itself.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable

DEADLINE_S = 5.0

Address = tuple[str, int] | str | bytes  # TCP, a socket path, an abstract name


class Peer:
    """One connection of ours with the program, on either side of it."""

    def __init__(self, connected: socket.socket, name: str = "peer") -> None:
        self.socket = connected
        self.name = name
        self.unread = b""
        connected.settimeout(DEADLINE_S)
        if connected.family != socket.AF_UNIX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Sends. If the program closed meanwhile, what it said before is what the test looks at, so that is no error here."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def send_bytewise(self, data: bytes) -> None:
        """Each byte in a segment of its own (TCP_NODELAY is set)."""
        for index in range(len(data)):
            self.send(data[index : index + 1])

    def receive_some(self) -> bytes:
        """What is there, at least one byte; b"" at the end of the stream. A reset is an end as well, see `ends`."""
        if self.unread:
            data, self.unread = self.unread, b""
            return data
        try:
            return self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            return b""
        except TimeoutError:
            raise AssertionError(f"{self.name}: nothing received within {DEADLINE_S} s") from None

    def receive_exactly(self, size: int) -> bytes:
        """`size` bytes, or fewer if the stream ends before."""
        parts: list[bytes] = []
        while size > 0 and (data := self.receive_some()):
            parts.append(data[:size])
            self.unread = data[size:]
            size -= len(parts[-1])
        return b"".join(parts)

    def receive_until(self, marker: bytes) -> bytes:
        """Bytes up to and including the marker, or all of them if the stream ends before."""
        held = b""
        while marker not in held and (data := self.receive_some()):
            held += data
        end = held.find(marker)
        if end >= 0:
            end += len(marker)
            held, self.unread = held[:end], held[end:] + self.unread
        return held

    def receive_to_end(self) -> bytes:
        parts: list[bytes] = []
        while data := self.receive_some():
            parts.append(data)
        return b"".join(parts)

    def silent_for(self, seconds: float) -> bool:
        """True if neither a byte nor the end arrives for that long. The wait is the behaviour under test, not a pause."""
        if self.unread or (isinstance(self.socket, ssl.SSLSocket) and self.socket.pending()):
            return False
        return not select.select([self.socket], [], [], seconds)[0]

    def ends(self) -> str:
        """Waits for the end of the stream: "eof", "reset", or "more" if bytes came instead."""
        if self.unread:
            return "more"
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            return "reset"
        except ssl.SSLEOFError:
            return "eof"
        except TimeoutError:
            raise AssertionError(f"{self.name}: still open after {DEADLINE_S} s") from None
        self.unread = data
        return "more" if data else "eof"

    def half_close(self) -> None:
        with contextlib.suppress(OSError):  # the program has closed already
            self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.socket.close()

    def reset(self) -> None:
        """Closes with a reset instead of an orderly end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Listener:
    """A scripted server's listening socket, on a port of its own or at a given unix or abstract address."""

    def __init__(self, address: str | bytes | None = None) -> None:
        self._accepted: list[socket.socket] = []
        if address is None:
            self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
            self.port: int = self.socket.getsockname()[1]
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(address)
            self.socket.listen(512)
            self.port = 0

    def accept(self, name: str = "server", *, deadline_s: float = DEADLINE_S) -> Peer:
        self.socket.settimeout(deadline_s)
        try:
            accepted = self.socket.accept()[0]
        except TimeoutError:
            raise AssertionError(f"{name}: nobody connected within {deadline_s} s") from None
        self._accepted.append(accepted)
        return Peer(accepted, name)

    def idle(self) -> bool:
        """True if nobody waits to be accepted."""
        return not select.select([self.socket], [], [], 0)[0]

    def drop_waiting(self) -> None:
        """Closes connections that nobody accepted, so that the next conversation starts afresh."""
        while not self.idle():
            self.socket.accept()[0].close()

    def close(self) -> None:
        for accepted in self._accepted:
            accepted.close()
        self.socket.close()


def connect(address: Address, name: str = "client", *, deadline_s: float = DEADLINE_S) -> Peer:
    if isinstance(address, tuple):
        return Peer(socket.create_connection(address, deadline_s), name)
    connected = socket.socket(socket.AF_UNIX)
    connected.settimeout(deadline_s)
    connected.connect(address)
    return Peer(connected, name)


def connect_tls(
    address: Address, context: ssl.SSLContext, *, server_name: str | None = "localhost", name: str = "client"
) -> Peer:
    plain = connect(address, name)
    return Peer(context.wrap_socket(plain.socket, server_hostname=server_name), name)


def refuses(address: Address) -> bool:
    """True if a connection there is refused now."""
    try:
        connect(address, deadline_s=1.0).reset()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    except (ConnectionResetError, TimeoutError):
        pass  # it was on its way into the backlog of a listener that went away just then
    return False


def eventually(condition: Callable[[], object], what: str, *, deadline_s: float = DEADLINE_S) -> None:
    """Polls a condition (a callable) that another process makes true; the only loop with a pause in it that tests need."""
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"not within {deadline_s} s: {what}")
        time.sleep(0.01)
