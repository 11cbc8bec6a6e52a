"""Accepting clients: one strand per listening socket, a few at a time, as long as somebody takes them.

Facts.
- A full farm closes its doors: the strand parks and the backlog stays in the kernel, which is the only queue there is. Nothing
  spins, as nobody asks the kernel about the socket before there is room again.
- `socket.accept` spends 2.5 µs on an object with enums for family and type; `_accept`, which it is made of, gives the
  descriptor and the address for half. A descriptor is all that a connection needs that is handed over.
- An accept that finds nobody is dearer than one that does (dispatcher/level.py). So a door takes one client per event, and
  more only while events come so fast that there must be a queue.
- Running out of descriptors or memory pauses the door for a moment. One log line per shortage, not per try.
- A client's descriptor that may be handed over is never registered here: the open file would live on in the worker and go on
  to ring our epoll. (One that must first tell its PROXY header is unregistered before it is given away.)

Source: accept(2); HAProxy manual 5.1 "accept-proxy", "maxconn"; 3.2 "tune.maxaccept".
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from math import inf
from typing import Any, Protocol

from common.errors import WireError
from common.model import AddressKind, Bind
from common.net.fdpass import peer_credentials
from common.net.pump import DeadlinePassed, Pump, Strand
from common.net.sockaddr import packed
from common.net.stream import Stream
from common.wire import proxy_protocol
from common.wire.address_text import inet6_text, inet_text
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import encode_v2, encode_v2_inet, encode_v2_inet6
from dispatcher.gates import Gates
from dispatcher.handover import pause
from dispatcher.level import Level
from dispatcher.visitor import Visitor
from dispatcher.workers import Client, Farm

ACCEPT_PAUSE_S = 0.1  # after running out of descriptors or memory
SHORTAGE_OVER_S = 5.0  # a shortage that comes back within this time is the same one: not logged again
QUEUE_GAP_S = 0.00005  # an event so soon after the last one: others wait behind it
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_PEER_GONE = {errno.ECONNABORTED, errno.EPERM, errno.EPROTO, errno.ECONNRESET}
_ABSTRACT = (AddressKind.ABNS, AddressKind.ABNSZ)
_MAPPED = b"\0" * 10 + b"\xff\xff"
_LOCAL_HEADER = encode_v2(ProxyHeader(2, True, Family.UNSPEC))
_SOCK_STREAM = int(socket.SOCK_STREAM)

Take = Callable[[int, Any], None]
"""What is done with a client: (its descriptor, non-blocking and from now on the taker's; what accept said of its address)."""

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
    """The dispatcher as a door sees it."""

    pump: Pump
    gates: Gates | None

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...


class Target(Protocol):
    """Where a door's clients go."""

    @property
    def is_open(self) -> bool: ...
    def close_door(self, strand: Strand) -> None:
        """That strand stops accepting; it is to be woken when there is room."""


class Door:
    """One listening socket. batch: how many clients are accepted at most before others get their turn."""

    __slots__ = ("_accept_one", "_accepted", "_checks_peer", "_shortage_at", "batch", "bind", "listener", "owner", "take", "target")

    def __init__(self, owner: Owner, bind: Bind, listener: socket.socket, target: Target, take: Take, batch: int) -> None:
        self.owner = owner
        self.bind = bind
        self.listener = listener
        self._accept_one: Callable[[], tuple[int, Any]] = listener._accept  # type: ignore[attr-defined]
        self.target = target
        self.take = take
        self.batch = batch
        self._checks_peer = bind.address.kind in _ABSTRACT
        self._accepted = False  # the last round found somebody
        self._shortage_at = -inf

    async def run(self) -> None:
        """The strand: accept for ever. End it to stop listening."""
        pump, target, gates, bind_id = self.owner.pump, self.target, self.owner.gates, self.bind.id
        level = Level(pump, self.listener)
        batch, batch_max = 1, self.batch
        last_at = 0.0
        try:
            while True:
                if not target.is_open:
                    level.rest()
                    assert pump.current is not None
                    target.close_door(pump.current)
                    await pump.park()
                    continue
                await level.event()
                now = pump.now
                batch = min(batch * 2, batch_max) if now - last_at < QUEUE_GAP_S else 1
                last_at = now
                if gates is not None:
                    permission = gates.may_accept(bind_id, batch)
                    batch = permission.accept
                    if batch <= 0:
                        level.rest()
                        await gates.wait(permission)
                        continue
                error = self._accept(batch)
                if error is not None:
                    level.rest()
                    await self._pause(error)
        finally:
            level.close()

    def sweep(self) -> None:
        """Take who is in the backlog already: the process is about to stop listening, and nobody else may listen here."""
        gates = self.owner.gates
        while self.target.is_open and (gates is None or gates.may_accept(self.bind.id, 1).accept > 0):
            if self._accept(1) is not None or not self._accepted:
                return

    def _accept(self, count: int) -> OSError | None:
        """Accept so many, fewer if there are fewer or nobody takes them. Returns an error of our own side."""
        accept, target, take, gates = self._accept_one, self.target, self.take, self.owner.gates
        self._accepted = False
        for _ in range(count):
            try:
                fd, address = accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in _PEER_GONE:
                    continue
                return error
            self._accepted = True
            if self._checks_peer and not self._is_friend(fd):
                continue
            if gates is not None:
                gates.admit(self.bind.id)
            os.set_blocking(fd, False)
            take(fd, address)
            if not target.is_open:
                return None
        return None

    async def _pause(self, error: OSError) -> None:
        owner = self.owner
        if owner.pump.now - self._shortage_at > SHORTAGE_OVER_S:
            level = "emerg" if error.errno in _OUT_OF_RESOURCES else "alert"
            owner.log(level, f"accept on {self.bind.address}: {error.strerror}; new connections wait in the kernel")
        self._shortage_at = owner.pump.now
        await pause(owner.pump, ACCEPT_PAUSE_S)

    def _is_friend(self, fd: int) -> bool:
        """SO_PEERCRED of a client of an abstract name: such names have no file permissions."""
        sock = stream_socket(fd, socket.AF_UNIX)
        try:
            pid, uid, _gid = peer_credentials(sock)
        except OSError:
            sock.close()
            return False
        if self.owner.is_trusted(uid):
            sock.detach()
            return True
        self.owner.log(
            "warning",
            f"connection to {self.bind.address} refused: process {pid} of user {uid} is neither root nor our own user; "
            "'channel-uids' in section global lists others that may connect",
        )
        sock.close()
        return False


def stream_socket(fd: int, family: int) -> socket.socket:
    """The object for an accepted descriptor, which is the object's from now on."""
    return socket.socket(family, _SOCK_STREAM, 0, fd)


# --- clients of a farm -----------------------------------------------------------------------------------------------


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
            owner.pump.spawn(_introduce(owner, farm, listener, Stream(owner.pump, sock), visitor, wait_s), "introduction", late=True)
        else:
            farm.seat(Client(sock.detach(), listener, _header_of_visitor(visitor), visitor.src))

    return welcome


async def _introduce(owner: Owner, farm: Farm, listener: int, stream: Stream, visitor: Visitor, wait_s: float) -> None:
    try:
        header = await read_header(stream, owner.pump.now + wait_s)
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


def as_inet6(address: bytes) -> bytes:
    """An IPv4 address beside an IPv6 one goes as v4-mapped: a header has one family."""
    return address if len(address) == 16 else _MAPPED + address
