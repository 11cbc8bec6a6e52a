"""Between the door and a seat: who a client is, by the kernel, by the rules, or by the PROXY header that he begins with.

Where nothing but the kernel's word is needed (the commonest case, and the quickest), a client is seated in the same call in which
he was accepted.

Source: HAProxy manual 5.1 "accept-proxy", 4.2 "tcp-request connection"; PROXY protocol specification.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Protocol

from common.errors import WireError
from common.model import Bind
from common.net.introduction import read_header
from common.net.pump import DeadlinePassed, Pump
from common.net.sockaddr import packed
from common.net.stream import Stream
from common.wire.address_text import as_inet6, inet6_text, inet_text
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import encode_v2, encode_v2_inet, encode_v2_inet6
from dispatcher.accept import Take, stream_socket
from dispatcher.visitor import Visitor
from dispatcher.workers import Client, Farm

_LOCAL_HEADER = encode_v2(ProxyHeader(2, True, Family.UNSPEC))

Welcome = Callable[[socket.socket, Visitor], None]
"""What is done with a client whom the rules have let in."""


class TurnedAway(Protocol):
    """Hears of a client that was accepted and came no further. denied: by a rule."""

    def __call__(self, *, denied: bool) -> None: ...


class Rules(Protocol):
    """`tcp-request connection` (dispatcher/rules.py)."""

    def admit(self, bind: Bind, sock: socket.socket, visitor: Visitor) -> Visitor | None:
        """None: turned away, and the socket is closed."""


class Owner(Protocol):
    """The dispatcher as introductions see it."""

    pump: Pump

    def log(self, level: str, text: str) -> None: ...


def handover_taker(farm: Farm, listener: int, listening: socket.socket) -> Take:
    """What a door of a farm does with a client: make its header, seat it."""
    destination, destination_port = bound_address(listening)
    family = int(listening.family)
    seat = farm.seat

    if family == socket.AF_INET and destination:

        def take_inet(fd: int, address: tuple[str, int]) -> None:
            source = socket.inet_aton(address[0])
            seat(Client(fd, listener, encode_v2_inet(source, address[1], destination, destination_port), source))

        return take_inet

    def take(fd: int, address: object) -> None:
        source, source_port = packed(address)
        to, to_port = destination, destination_port
        if not to and source:
            try:
                to, to_port = local_address(fd, family)
            except OSError:
                os.close(fd)
                farm.turned_away(listener, denied=False)
                return
        seat(Client(fd, listener, header_of(source, source_port, to, to_port), source))

    return take


def visitor_taker(bind: Bind, listening: socket.socket, rules: Rules | None, welcome: Welcome, turned_away: TurnedAway) -> Take:
    """What a door does where more must be known of a client than his addresses: rules, or a PROXY header that he begins with."""
    family = int(listening.family)
    destination, destination_port = bound_address(listening)

    def take(fd: int, address: object) -> None:
        sock = stream_socket(fd, family)
        source, source_port = packed(address)
        to, to_port = destination, destination_port
        if not to and source:
            try:
                to, to_port = packed(sock.getsockname())
            except OSError:
                sock.close()
                turned_away(denied=False)
                return
        visitor: Visitor | None = Visitor(source, source_port, to, to_port, bind.accept_proxy)
        if rules:
            assert visitor is not None
            visitor = rules.admit(bind, sock, visitor)
        if visitor is None:
            turned_away(denied=True)
        else:
            welcome(sock, visitor)

    return take


def farm_welcome(owner: Owner, farm: Farm, listener: int, wait_s: float) -> Welcome:
    """Seat a visitor, after his header if he is to send one."""

    def welcome(sock: socket.socket, visitor: Visitor) -> None:
        if visitor.expects_header:
            farm.introducing[listener] += 1
            owner.pump.spawn(_introduce(owner, farm, listener, Stream(owner.pump, sock), visitor, wait_s), "introduction", late=True)
        else:
            farm.seat(Client(sock.detach(), listener, _header_of_visitor(visitor), visitor.src))

    return welcome


async def _introduce(owner: Owner, farm: Farm, listener: int, stream: Stream, visitor: Visitor, wait_s: float) -> None:
    try:
        try:
            header = await read_header(stream, owner.pump.now + wait_s)
        finally:
            farm.introducing[listener] -= 1
    except (WireError, DeadlinePassed, OSError) as error:
        stream.close()
        farm.turned_away(listener, denied=False)
        who = address_text(visitor.src, visitor.src_port)
        owner.log("info", f"connection from {who} closed: no valid PROXY header, reason: {_slug_of(error)}")
        return
    except BaseException:
        stream.close()
        raise
    source, data = (visitor.src, _header_of_visitor(visitor)) if header.local else (header.source_packed, encode_v2(header))
    farm.seat(Client(stream.detach().detach(), listener, data, source))


def _header_of_visitor(visitor: Visitor) -> bytes:
    return header_of(visitor.src, visitor.src_port, visitor.dst, visitor.dst_port)


def _slug_of(error: WireError | DeadlinePassed | OSError) -> str:
    if isinstance(error, WireError):
        return error.slug
    return "proxy_header_timeout" if isinstance(error, DeadlinePassed) else "client_gone"


def bound_address(listening: socket.socket) -> tuple[bytes, int]:
    """What every client of a listening socket connects to; (b"", 0) for a wildcard, where each must be asked."""
    address, port = packed(listening.getsockname())
    return (address, port) if any(address) else (b"", 0)


def local_address(fd: int, family: int) -> tuple[bytes, int]:
    """What the client of an accepted descriptor connected to. Raises OSError."""
    sock = stream_socket(fd, family)
    try:
        return packed(sock.getsockname())
    finally:
        sock.detach()


def header_of(source: bytes, source_port: int, to: bytes, to_port: int) -> bytes:
    """The PROXY v2 header of a client with these packed addresses; LOCAL for one of a unix socket."""
    if len(source) == len(to) == 4:
        return encode_v2_inet(source, source_port, to, to_port)
    if source and to:
        return encode_v2_inet6(as_inet6(source), source_port, as_inet6(to), to_port)
    return _LOCAL_HEADER


def address_text(address: bytes, port: int) -> str:
    """A packed address for a log line."""
    if len(address) == 4:
        return f"{inet_text(address)}:{port}"
    return f"[{inet6_text(address)}]:{port}" if address else "unix:"
