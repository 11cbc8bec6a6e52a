"""How sockets towards one server are made: where they connect from, and what is set on them before they do.

Source: HAProxy configuration manual 4.2 "source", "option srvtcpka", "srvtcpka-cnt", "option tcp-smart-connect", "option nolinger";
5.2 "source", "tcp-ut", "tfo"; 3.2 "tune.sndbuf.server" and its like; tcp(7), ip(7).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

from common.config.address import SOURCE, parse_addresses
from common.model import AddressKind, Global, Proxy, Server
from common.net.sockaddr import SockAddr, resolve, sockaddr
from common.units import milliseconds, parse_size, parse_time

IP_BIND_ADDRESS_NO_PORT = 24  # choose the source port at connect time, by the whole 4-tuple
TCP_FASTOPEN_CONNECT = 30  # linux/tcp.h: the SYN waits for the first data
DROP_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: what is not sent yet is dropped, and the peer gets a reset
PORTS_TRIED_MAX = 64  # of a range, for one connection

Option = tuple[int, int, int | bytes]  # level, name, value


class Outlet:
    """options: for TCP alone; they are wishes, and what the system does not grant is passed over. interface: must be granted.

    ports: of `source ADDRESS:LOW-HIGH`, used in turn; empty = the kernel chooses, or the one of `source`.
    """

    __slots__ = ("_next", "interface", "options", "ports", "source")

    def __init__(self, options: tuple[Option, ...], source: SockAddr | None, ports: range, interface: str) -> None:
        self.options = options
        self.source = source
        self.ports = ports
        self.interface = interface
        # Where workers start differs, so that they do not all ask for the same port.
        self._next = os.getpid() % len(ports) if ports else 0

    @property
    def tries(self) -> int:
        """How many source ports may be tried for one connection."""
        return min(len(self.ports), PORTS_TRIED_MAX) or 1

    def prepare(self, sock: socket.socket) -> None:
        """Everything that comes before the connect. Raises OSError when the source cannot be used."""
        if self.interface:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self.interface.encode())
        for level, name, value in self.options:
            try:
                sock.setsockopt(level, name, value)
            except OSError:
                continue
        if self.source is not None:
            self._bind(sock, self.source)

    def _bind(self, sock: socket.socket, source: SockAddr) -> None:
        assert isinstance(source, tuple)
        if self.ports:
            port = self.ports[self._next]
            self._next = (self._next + 1) % len(self.ports)
            source = (source[0], port, *source[2:])
        if source[1]:
            # One port for all: connections of the past that still linger must not keep it.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind(source)


def is_port_taken(error: int) -> bool:
    """Whether another source port may do."""
    return error in (errno.EADDRNOTAVAIL, errno.EADDRINUSE)


def outlet_of(server: Server, proxy: Proxy, settings: Global) -> Outlet | None:
    """None where sockets are as the system makes them. Raises ConfigError for a source that cannot be resolved."""
    options = tuple(_options(server, proxy, settings))
    source, ports = None, range(0)
    words = server.options.get("source", ())
    if server.source is not None:
        source = sockaddr(resolve(server.source))[1]
        found = parse_addresses(words[0], SOURCE) if words else []
        if len(found) > 1:
            ports = range(found[0].port, found[-1].port + 1)
        if server.source.kind in (AddressKind.INET, AddressKind.INET6) and _is_any(source) and not server.source.port and not ports:
            source = None  # any address: what happens anyway
    interface = words[words.index("interface") + 1] if "interface" in words else ""
    return Outlet(options, source, ports, interface) if options or source is not None or interface else None


def _is_any(source: SockAddr) -> bool:
    return isinstance(source, tuple) and source[0] in ("0.0.0.0", "::")


def _options(server: Server, proxy: Proxy, settings: Global) -> Iterator[Option]:
    if proxy.options & {"srvtcpka", "tcpka"}:
        yield from keep_alive(proxy, "srvtcpka")
    if "nolinger" in proxy.options:
        yield socket.SOL_SOCKET, socket.SO_LINGER, DROP_AT_CLOSE
    if "tcp-smart-connect" in proxy.options:
        yield socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0  # the acknowledgement goes out with the request
    if "tcp-ut" in server.options:
        yield socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds(parse_time(server.options["tcp-ut"][0]))
    if "tfo" in server.options:
        yield socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1
    yield from buffers(settings, "server")


def keep_alive(proxy: Proxy, prefix: str) -> Iterator[Option]:
    """TCP keep-alive as `clitcpka-…` or `srvtcpka-…` say it."""
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    for keyword, option in ((f"{prefix}-idle", socket.TCP_KEEPIDLE), (f"{prefix}-intvl", socket.TCP_KEEPINTVL)):
        for line in proxy.extra.get(keyword, ()):
            yield socket.IPPROTO_TCP, option, max(1, round(parse_time(line[0], "s")))
    for line in proxy.extra.get(f"{prefix}-cnt", ()):
        yield socket.IPPROTO_TCP, socket.TCP_KEEPCNT, int(line[0])


def buffers(settings: Global, side: str) -> Iterator[Option]:
    """`tune.sndbuf.SIDE`, `tune.rcvbuf.SIDE`, `tune.notsent-lowat.SIDE`; 0 leaves it to the system."""
    for keyword, level, option in (
        (f"tune.sndbuf.{side}", socket.SOL_SOCKET, socket.SO_SNDBUF),
        (f"tune.rcvbuf.{side}", socket.SOL_SOCKET, socket.SO_RCVBUF),
        (f"tune.notsent-lowat.{side}", socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT),
    ):
        size = parse_size(settings.tune[keyword][0]) if keyword in settings.tune else 0
        if size:
            yield level, option, size
