"""The PROXY header that a connection begins with, taken from its socket.

Source: PROXY protocol specification; HAProxy manual 5.1 "accept-proxy".
"""

from __future__ import annotations

import socket

from common.errors import WireError
from common.net.stream import Stream
from common.wire import proxy_protocol
from common.wire.proxy_header import ProxyHeader


async def read_header(stream: Stream, deadline: float) -> ProxyHeader:
    """The PROXY header that a client begins with, and not one byte more. Raises WireError, DeadlinePassed, OSError."""
    sock = stream.sock
    while True:
        try:
            data = sock.recv(proxy_protocol.HEADER_BYTES_MAX, socket.MSG_PEEK)
        except BlockingIOError:
            await stream.readable(deadline)
            continue
        found = proxy_protocol.decode(data)
        if found is not None:
            sock.recv(found[1])
            return found[0]
        if not data or stream.ended:
            raise WireError("proxy_header_missing" if not data else "proxy_header_truncated")
        await stream.readable(deadline)
