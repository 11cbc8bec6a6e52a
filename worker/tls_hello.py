"""The client's hello, looked at before OpenSSL reads it: nothing is taken out of the socket.

Source: recv(2) MSG_PEEK; RFC 8446 section 5.1.
"""

from __future__ import annotations

import socket

from common.errors import WireError
from common.net.stream import Stream
from common.wire.client_hello import HELLO_BYTES_MAX, ClientHello, parse

_PEEKED_BYTES = HELLO_BYTES_MAX + 1024  # with the heads of its records


async def look_at_hello(stream: Stream, deadline: float) -> tuple[bytes, ClientHello] | None:
    """(bytes, what they say). None for what is no hello, or not whole when the client stops: OpenSSL says what is wrong.

    Raises DeadlinePassed, OSError.
    """
    seen = 0
    while True:
        try:
            data = stream.sock.recv(_PEEKED_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            data = b""
        try:
            hello = parse(data) if data else None
        except WireError:
            return None
        if hello is not None:
            return data[: hello.size], hello
        if stream.ended or len(data) >= _PEEKED_BYTES or (seen and len(data) <= seen):
            return None
        seen = len(data)
        await stream.readable(deadline)
