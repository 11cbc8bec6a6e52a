"""What rules set on sockets, and how a connection vanishes. Whatever we may not do, or the socket has not, is passed over in silence.

Source: HAProxy manual 4.2 "http-request set-mark", "set-tos", "silent-drop"; socket(7), ip(7), ipv6(7).
"""

from __future__ import annotations

import socket

from common.net.stream import Stream

_TCP_REPAIR = 19  # linux/tcp.h; the standard library has no name for it
_SOCKET_OPTIONS = {
    "mark": ((socket.SOL_SOCKET, socket.SO_MARK),),
    "tos": ((socket.IPPROTO_IP, socket.IP_TOS), (socket.IPPROTO_IPV6, socket.IPV6_TCLASS)),
}


def apply_socket_option(sock: socket.socket, option: str, value: int) -> None:
    """Set a mark or a type of service, as far as the socket's family knows it and we may."""
    for level, name in _SOCKET_OPTIONS[option]:
        try:
            sock.setsockopt(level, name, value)
        except OSError:
            pass


def vanish(stream: Stream, ttl: int | None) -> None:
    """Close the client's connection so that the client does not hear of it, as far as we may.

    With the privilege for it the kernel forgets the connection in silence (TCP_REPAIR), once it has acknowledged what the client
    sent: what the client had to send again would be answered with a reset. Without, or if a TTL is given, it sends a reset that
    the next router throws away.
    """
    sock = stream.sock
    if ttl is None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
            stream.abort()
            return
        except OSError:
            pass
    hops = ttl or 1
    for level, option in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)):
        try:
            sock.setsockopt(level, option, hops)
        except OSError:
            pass
    stream.abort()
