"""One client connection, from its first byte to its last: PROXY header, TLS, then exchanges or a tunnel, one log line each.

Read `run` first: it is the story. A session knows who the client is; an exchange (worker/exchange.py) knows what it asks.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from common import model
from common.acl.connection_errors import ConnectionFault, message, proxy_fault
from common.acl.facts_tls import TlsFacts
from common.acl.types import Variables
from common.errors import WireError
from common.model import Bind
from common.net.introduction import read_header
from common.net.pump import DeadlinePassed, Strand
from common.net.stream import READ_SIZE, Stream
from common.observe import fields as f
from common.tables.entry import Entry
from common.wire.claims import Withdrawn
from common.wire.proxy_header import ProxyHeader
from worker import decide, misdirected, tracking, tunnel
from worker.bad_messages import keep_request
from worker.exchange import Exchange
from worker.handshakes import TooLate
from worker.http.head import Request
from worker.linger import linger
from worker.outcome import log_unread, refuse_unread
from worker.receive import Seat, real_addresses
from worker.tls import TlsError
from worker.tls_hello import look_at_hello

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.connect import ServerConnection
    from worker.frontend import Frontend
    from worker.server import Server
    from worker.world import World

NOWHERE: Mapping[Backend, tuple[Server, bool]] = MappingProxyType({})
PIPELINED_PER_TURN = 64
"""Requests of one client that are answered before everybody else gets a turn."""


class Session:
    """One client connection. Addresses are packed; `fc_…` are the connection's own, the others count after a PROXY header."""

    __slots__ = (
        "_fc",
        "accepted_at",
        "awaits_header",
        "bind",
        "dst",
        "dst_port",
        "exchange",
        "fc_err",
        "has_tls",
        "id",
        "kept",
        "last_servers",
        "lingers",
        "opened_at",
        "phase",
        "proxy",
        "proxy_header",
        "requests",
        "seat",
        "src",
        "src_port",
        "stop_after",
        "strand",
        "stream",
        "tls",
        "tracked",
        "variables",
        "world",
    )

    def __init__(self, world: World, frontend: Frontend, bind: Bind, stream: Stream, header: ProxyHeader | None, seat: Seat | None) -> None:
        self.world = world
        self.proxy = frontend
        self.bind = bind
        self.stream = stream
        self.seat = seat
        self.id = world.next_session_id()
        self.accepted_at = self.opened_at = world.pump.now
        self.proxy_header: ProxyHeader | None = None
        self.awaits_header = bind.accept_proxy
        self.has_tls = bind.tls is not None
        self.tls: TlsFacts | None = None
        self.variables: Variables = {}
        self.tracked: dict[int, Entry] | None = None  # by tcp-request connection and session rules
        self.kept: dict[Server, ServerConnection] = {}  # idle server connections that only this client's requests may use
        self.last_servers: Mapping[Backend, tuple[Server, bool]] = NOWHERE  # worker/preferring.py
        self.fc_err = 0
        self.requests = 0
        self.phase = "accept"
        self.stop_after = False
        self.lingers = False  # an answer is out, and the client may still be sending
        self.strand: Strand | None = None
        self.exchange: Exchange | None = None
        if header is not None and not header.local:
            self.src, self.src_port = header.source_packed, header.source_port
            self.dst, self.dst_port = header.destination_packed, header.destination_port
            self._fc = (self.src, self.src_port, self.dst, self.dst_port)
        else:
            self._fc = real_addresses(stream.sock)
            self.src, self.src_port, self.dst, self.dst_port = self._fc

    # --- facts that rules and log lines ask for (common/acl/facts.py) ------------------------------------------------

    @property
    def fc_src(self) -> bytes:
        return self._fc[0]

    @property
    def fc_src_port(self) -> int:
        return self._fc[1]

    @property
    def fc_dst(self) -> bytes:
        return self._fc[2]

    @property
    def fc_dst_port(self) -> int:
        return self._fc[3]

    @property
    def frontend(self) -> model.Proxy:
        return self.proxy.model

    @property
    def accept_date(self) -> float:
        return self.world.wall(self.accepted_at)

    @property
    def http_major(self) -> int:
        return 1

    def tcp_info(self, name: str) -> int | None:
        return tcp_info(self.stream.sock, name)

    # --- the story -----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """The whole life of the connection."""
        try:
            if await self._open():
                if self.proxy.is_http:
                    await self._serve()
                else:
                    switched = await tunnel.serve(self)
                    if switched is not None:
                        await self._serve(switched)
                if self.lingers:
                    self.phase = "linger"
                    await linger(self.stream)
        except (OSError, Withdrawn):
            pass  # the client is gone, and no exchange was under way that would tell; or he is not ours any more
        finally:
            self.close()

    async def _open(self) -> bool:
        """PROXY header and TLS. False: refused, and said why."""
        rules = self.proxy.rules
        if rules.tcp_connection and not decide.admit(self, rules.tcp_connection):
            return False
        if self.awaits_header or self.has_tls:
            deadline = self.accepted_at + self.proxy.handshake_s
            self.phase = "proxy header"
            try:
                await self.stream.readable(deadline)
                if self.seat is not None:
                    self.seat.claim()
                    self.seat.taken()
                if self.awaits_header:
                    await self._read_proxy_header(deadline)
                if self.has_tls:
                    self.phase = "handshake"
                    await self._handshake(deadline)
            except WireError as error:
                misdirected.instead_of_header(self)
                return self._refuse(proxy_fault(error.slug), error.slug)
            except TlsError as error:
                if error.slug in _NO_TLS:
                    await misdirected.instead_of_tls(self, error.slug)
                return self._refuse(_TLS_FAULTS.get(error.slug, ConnectionFault.TLS_HANDSHAKE), error.slug)
            except TooLate:
                self.stream.abort()
                return self._refuse(ConnectionFault.TLS_TIMEOUT, "handshake_too_late")
            except DeadlinePassed:
                if self.phase == "handshake":
                    return self._refuse(ConnectionFault.TLS_TIMEOUT, "handshake_timeout")
                return self._refuse(ConnectionFault.PROXY_TIMEOUT, "handshake_timeout")
            except OSError:
                if self.phase == "handshake":
                    return self._refuse(ConnectionFault.TLS_ERROR, "tls_closed_in_handshake")
                return self._refuse(ConnectionFault.PROXY_CLOSED, "proxy_header_missing")
            self.opened_at = self.world.pump.now
        if rules.tcp_session and not decide.admit(self, rules.tcp_session):
            return False
        if self.tracked is not None:
            tracking.accepted(self)
        return True

    def _refuse(self, fault: ConnectionFault, reason: str) -> bool:
        """Log a connection that ends before it asked for anything. Raises Withdrawn."""
        if self.seat is not None:
            self.seat.claim()
        exchange = Exchange(self, None, self.accepted_at)
        exchange.slug = reason
        self.proxy.count_reason(reason)
        self.fc_err = fault
        self.proxy.log.refusal(exchange, message(fault))
        return False

    async def _read_proxy_header(self, deadline: float) -> None:
        """Who the client is, by the header that comes first. Raises WireError, DeadlinePassed, OSError."""
        header = await read_header(self.stream, deadline)
        self.proxy_header = header
        if header.local:
            return
        self.src, self.src_port = header.source_packed, header.source_port
        self.dst, self.dst_port = header.destination_packed, header.destination_port

    async def _handshake(self, deadline: float) -> None:
        """Raises TlsError, DeadlinePassed, TooLate."""
        bind = self.world.bind_tls(self.bind)
        hello = await look_at_hello(self.stream, deadline) if bind.wants_hello(self.world.pump.now) else None
        stream = bind.over(self.stream, hello)
        self.stream = stream
        handshakes = self.world.handshaking
        handshakes.begin()
        words = self.proxy.tally.words
        try:
            await handshakes.turn(deadline)
            await stream.handshake(deadline)
        except BaseException:
            words[f.SSL_FAILED_HANDSHAKE] += 1
            raise
        finally:
            handshakes.end(self.world.channels)
        words[f.SSL_SESS] += 1
        words[f.SSL_CUR] += 1
        if stream.is_resumed:
            words[f.SSL_REUSED_SESS] += 1
        self.tls = self.world.tls_facts_of(stream)

    async def _serve(self, buffered: bytes = b"") -> None:
        """Exchange after exchange until one says close, or the client does. buffered: what was received before."""
        stream, frontend, pump, seat = self.stream, self.proxy, self.world.pump, self.seat
        reader = frontend.reader
        has_low_priority = self.bind.nice > 0
        in_turn = 0
        exchange_start = self.opened_at
        wait_s = frontend.request_s
        while True:
            self.phase = "request"
            if not buffered:
                in_turn = 0
                try:
                    deadline = pump.now + wait_s
                    if seat is not None and not seat.is_taken:
                        received: bytes | None = await self._first_bytes(seat, deadline)
                    else:
                        received = None if stream.drained else stream.recv_now()
                        while received is None:
                            await stream.readable(deadline)
                            received = stream.recv_now()
                except DeadlinePassed:
                    if not self.requests:
                        if seat is not None:
                            seat.claim()
                        if frontend.ignores_probes:
                            return None
                        await self._answer_unread(exchange_start, b"", 408, b"cR", "request_timeout")
                    return None
                except OSError:
                    received = b""  # reset: for the log the same as closed
                if not received:
                    if not self.requests and not frontend.dont_log_null and not frontend.ignores_probes:
                        log_unread(Exchange(self, None, exchange_start), b"CR", 400, 0)
                    return None
                buffered = received
            first_byte_at = pump.now
            try:
                found = reader.parse(buffered, 0)
                if found is None:
                    self.phase = "head"
                    buffered, found = await self._read_head(buffered, first_byte_at + frontend.request_s)
            except WireError as error:
                return await self._answer_unread(exchange_start, buffered, error.status, b"PR", error.slug, is_bad=True)
            except DeadlinePassed:
                return await self._answer_unread(exchange_start, buffered, 408, b"cR", "request_timeout")
            except OSError:
                return log_unread(Exchange(self, None, exchange_start), b"CR", 400, 0)
            if found is None:
                return await self._answer_unread(exchange_start, buffered, 400, b"CR", "client_closed_in_head")
            request, end = found
            self.requests += 1
            self.phase = "exchange"
            if self.tracked is not None:
                tracking.asked(self)
            exchange = self.exchange = Exchange(self, request, exchange_start)
            exchange.first_byte_at = first_byte_at
            exchange.bytes_in = end
            exchange.request_at = pump.now
            exchange.client_buffer = buffered[end:] if end < len(buffered) else b""
            if has_low_priority:
                await pump.late()
            if not await exchange.run():
                return None
            buffered = exchange.client_buffer
            exchange_start = pump.now
            wait_s = frontend.keep_alive_s
            if self.stop_after and self.world.drain.closes_idle(self):
                return None
            in_turn += 1
            if in_turn > PIPELINED_PER_TURN:
                in_turn = 0
                await pump.pause()

    async def _first_bytes(self, seat: Seat, deadline: float) -> bytes:
        """What a client says first whom the dispatcher may still seat elsewhere. Raises Withdrawn, DeadlinePassed, OSError."""
        stream = self.stream
        while True:
            seat.claim()
            received = stream.recv_now()
            if received is not None:
                seat.taken()
                return received
            seat.release()
            await stream.readable(deadline)

    async def _read_head(self, buffered: bytes, deadline: float) -> tuple[bytes, tuple[Request, int] | None]:
        """Receive until a head is complete: (all bytes, what the reader found), or (…, None) when the client closed before."""
        reader = self.proxy.reader
        while True:
            more = await self.stream.recv(READ_SIZE, deadline)
            if not more:
                return buffered, None
            buffered += more
            found = reader.parse(buffered, 0)
            if found is not None:
                return buffered, found

    async def _answer_unread(
        self, start: float, received: bytes, status: int, termination: bytes, slug: str, *, is_bad: bool = False
    ) -> None:
        """Tell the client what is wrong with a request that could not be read, log it, close. is_bad: an operator may look at it."""
        misdirected.instead_of_http(self, received)
        if self.tracked is not None and received:
            tracking.asked(self)
        exchange = self.exchange = Exchange(self, None, start)
        if is_bad:
            keep_request(exchange, received, slug)
        exchange.client_buffer = received
        self.lingers = status != 408
        await refuse_unread(exchange, status, termination, slug)

    def is_idle(self) -> bool:
        """Between two requests, as far as we know: nothing of the next one is here."""
        return self.phase == "request" and self.requests > 0 and self.strand is not None and not self._has_input()

    def _has_input(self) -> bool:
        try:
            self.stream.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass  # its strand is about to find that out
        return True

    def close(self) -> None:
        if self.is_withdrawn():
            self.stream.detach().close()  # no shutdown: the connection goes on elsewhere
        else:
            self.stream.close()
        if self.tls is not None:
            self.proxy.tally.words[f.SSL_CUR] -= 1
        for server, connection in self.kept.items():
            server.drop_kept(connection)
        if self.tracked is not None:
            tracking.closed(self)
        self.world.forget(self)
        if self.seat is not None:
            self.seat.ended()

    def is_withdrawn(self) -> bool:
        """Whether another worker has this client by now. If not, he stays ours."""
        if self.seat is not None:
            try:
                self.seat.claim()
            except Withdrawn:
                return True
        return False


_NO_TLS = {"tls_http_request", "tls_wrong_version", "tls_protocol_error"}
_TLS_FAULTS = {
    "tls_closed_in_handshake": ConnectionFault.TLS_CLOSED,
    "tls_no_client_certificate": ConnectionFault.TLS_HANDSHAKE,
    "tls_certificate_verify_failed": ConnectionFault.TLS_CLIENT_CERTIFICATE,
}

_TCP_INFO_FIELDS = {  # offset in struct tcp_info (linux/tcp.h), all unsigned 32 bits
    "unacked": 24,
    "sacked": 28,
    "lost": 32,
    "retrans": 36,
    "fackets": 40,
    "rtt": 68,
    "rttvar": 72,
    "reordering": 88,
}


def tcp_info(sock: socket.socket, name: str) -> int | None:
    """One number of TCP_INFO; None where there is none."""
    offset = _TCP_INFO_FIELDS.get(name)
    if offset is None or sock.family == socket.AF_UNIX:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return None
    return int.from_bytes(info[offset : offset + 4], "little") if len(info) >= offset + 4 else None
