"""Relaying: a client's bytes to a server and back, after a PROXY header that says who the client is.

The way to workers that are not ours (a stock HAProxy behind `server p2 abns@p2 send-proxy`), and to ours where the configuration
does not say `pass-fd`. One strand per connection; what it does is told by `RelaySession.run`.

Source: HAProxy manual 4.2 "mode tcp", "retries", "option redispatch", "timeout connect|client|server|tunnel|client-fin|server-fin",
"option splice-auto"; 5.2 "send-proxy"; 8.5 (termination codes).
"""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Protocol

from common import model
from common.acl.types import Variables
from common.errors import WireError
from common.model import Bind
from common.net.dial import dial
from common.net.fdpass import peer_credentials
from common.net.pump import DeadlinePassed, Ended, Pump, Strand
from common.net.relay import Flow, Idle, relay
from common.net.sockaddr import sockaddr
from common.net.stream import Stream
from common.observe import fields as f
from common.observe.counters import Counters
from common.wire.address_text import inet6_text, inet_text
from common.wire.proxy_header import Family, ProxyHeader, tcp4_header
from common.wire.proxy_protocol import SslInfo, TlvType, encode_ssl, encode_v1, encode_v2
from common.wire.tlv import Tlvs
from dispatcher.accept import Welcome, as_inet6, header_of, read_header
from dispatcher.gates import Gates
from dispatcher.handover import pause
from dispatcher.servers import Servers
from dispatcher.tally import Tally
from dispatcher.visitor import Visitor

if TYPE_CHECKING:
    from dispatcher.sessionlog import SessionLog

QUEUE_LOOK_S = 0.1  # how often one who waits for a place looks whether another dispatcher gave one back
RETRY_PAUSE_S = 1.0  # before the same server is tried again (manual 4.2 "retries")
_SSL_OPTIONS = frozenset({"ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key"})
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


class Owner(Protocol):
    """The dispatcher as relaying sees it."""

    pump: Pump
    gates: Gates | None
    counters: Counters

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...
    def wall(self, pump_time: float) -> float: ...
    def may_relay(self) -> bool:
        """One more relayed connection is within the process's `maxconn`."""

    def relay_began(self) -> None: ...
    def relay_ended(self) -> None: ...


def first_set(*values: float | None) -> float:
    """The first timeout that is set; inf when none is. 0 counts as not set, as in HAProxy."""
    for value in values:
        if value:
            return value
    return inf


class RelayServer:
    """One `server` line, ready to use."""

    __slots__ = ("address", "family", "limit", "model", "position")

    def __init__(self, position: int, server: model.Server) -> None:
        self.position = position
        self.model = server
        self.limit = server.maxconn
        self.family, self.address = sockaddr(server.address)


class RelayProxy:
    """One `listen` whose connections are relayed: its servers, limits and counters. Also the target of its doors."""

    __slots__ = (
        "_closed_doors",
        "_queue",
        "client_fin_s",
        "client_s",
        "connect_s",
        "header_s",
        "log",
        "model",
        "owner",
        "queue_s",
        "redispatch_interval",
        "retries",
        "server_fin_s",
        "server_s",
        "servers",
        "sessions",
        "splice_down",
        "splice_up",
        "tally",
        "targets",
        "tunnel_s",
    )

    def __init__(self, owner: Owner, index: int, proxy: model.Proxy, log: SessionLog) -> None:
        timeouts = proxy.timeouts
        self.owner = owner
        self.model = proxy
        self.log = log
        self.connect_s = first_set(timeouts.connect)
        self.queue_s = first_set(timeouts.queue, timeouts.connect)
        self.client_s = first_set(timeouts.client)
        self.server_s = first_set(timeouts.server)
        self.tunnel_s = first_set(timeouts.tunnel)
        self.client_fin_s = first_set(timeouts.client_fin)
        self.server_fin_s = first_set(timeouts.server_fin)
        self.header_s = first_set(timeouts.client_hs, timeouts.client)
        self.retries = proxy.retries
        self.redispatch_interval = redispatch_interval(proxy)
        self.splice_up = bool(proxy.options & {"splice-request", "splice-auto", "tcpsplice"})
        self.splice_down = bool(proxy.options & {"splice-response", "splice-auto", "tcpsplice"})
        self.tally = Tally(owner.counters, index, proxy)
        self.targets = [RelayServer(position, server) for position, server in enumerate(proxy.servers)]
        self.servers = Servers(proxy, index, owner.counters, reachable=True)
        self.sessions: set[RelaySession] = set()
        self._queue: deque[Strand] = deque()
        self._closed_doors: list[Strand] = []

    # --- as the target of doors ------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return self.owner.may_relay()

    def close_door(self, strand: Strand) -> None:
        self._closed_doors.append(strand)

    def open_doors(self) -> None:
        strands, self._closed_doors = self._closed_doors, []
        for strand in strands:
            self.owner.pump.wake(strand)

    def welcome(self, bind: Bind) -> Welcome:
        """What happens to a client of one bind."""

        def welcome(sock: socket.socket, visitor: Visitor) -> None:
            session = RelaySession(self, bind, Stream(self.owner.pump, sock), visitor)
            self.sessions.add(session)
            self.tally.came(bind.id)
            self.owner.relay_began()
            session.strand = self.owner.pump.spawn(session.run(), "relay", late=True)

        return welcome

    def turned_away(self, bind: Bind, *, denied: bool) -> None:
        """A client that was accepted came no further. denied: by a rule."""
        if denied:
            self.tally.denied(bind.id)
        if self.owner.gates is not None:
            self.owner.gates.ended(bind.id)

    def forget(self, session: RelaySession) -> None:
        """A session has ended."""
        self.sessions.discard(session)
        self.tally.left(session.bind.id)
        if self.owner.gates is not None:
            self.owner.gates.ended(session.bind.id)
        self.owner.relay_ended()

    # --- as a backend ----------------------------------------------------------------------------------------------

    def choose(self, source: bytes, excluded: set[int]) -> RelayServer | None:
        """The server for this client; None when there is none, or none with a place."""
        tally, targets = self.tally, self.targets
        full = {target.position for target in targets if target.limit and tally.at_server(target.position) >= target.limit}
        position = self.servers.choose(source, tally.at_server, excluded, full.__contains__ if full else None)
        if position is None and excluded:
            # All others have failed too: better one of them again than nobody.
            position = self.servers.choose(source, tally.at_server, full=full.__contains__ if full else None)
        return None if position is None else targets[position]

    async def queue(self, deadline: float) -> bool:
        """Wait until a server may have a place. False: the deadline came first."""
        strand = self.owner.pump.current
        assert strand is not None
        backend = self.tally.backend
        self._queue.append(strand)
        backend[f.QCUR] += 1
        if backend[f.QCUR] > backend[f.QMAX]:
            backend[f.QMAX] = backend[f.QCUR]
        try:
            # Places that other dispatchers give back come without an event.
            await self.owner.pump.park(min(deadline, self.owner.pump.now + QUEUE_LOOK_S))
        except DeadlinePassed:
            return self.owner.pump.now < deadline
        finally:
            backend[f.QCUR] -= 1
            if strand in self._queue:
                self._queue.remove(strand)
        return True

    def leave(self, server: RelayServer) -> None:
        """A connection gives its place back; the first who waits gets it."""
        self.tally.unseated(server.position)
        if self._queue:
            self.owner.pump.wake(self._queue.popleft())

    def redispatches(self, attempt: int) -> bool:
        """Whether retry number `attempt` goes to another server. HAProxy manual 4.2 "option redispatch"."""
        interval = self.redispatch_interval
        if interval == 0:
            return False
        if interval < 0:
            return attempt > self.retries + interval and (attempt - self.retries) % interval == 0
        return attempt % interval == 0


def redispatch_interval(proxy: model.Proxy) -> int:
    """`option redispatch [N]`: every Nth retry; -1 (the default) only the last one; 0: the option is off."""
    if "redispatch" in proxy.option_args:
        words = proxy.option_args["redispatch"]
        return int(words[0]) if words else -1
    return -1 if "redispatch" in proxy.options else 0


class _Failed(Exception):
    """The session ends before bytes flow."""

    def __init__(self, termination: bytes) -> None:
        super().__init__(termination)
        self.termination = termination


class RelaySession:
    """One relayed connection. What log lines ask of it is answered by dispatcher/sessionlog.py."""

    __slots__ = (
        "accepted_at",
        "bind",
        "bytes_in",
        "bytes_out",
        "client",
        "connected_at",
        "dst",
        "dst_port",
        "expects_header",
        "proxy",
        "queued_at",
        "redispatched",
        "retries",
        "server",
        "src",
        "src_port",
        "strand",
        "termination",
        "tlvs",
        "variables",
    )

    def __init__(self, proxy: RelayProxy, bind: Bind, client: Stream, visitor: Visitor) -> None:
        self.proxy = proxy
        self.bind = bind
        self.client = client
        self.expects_header = visitor.expects_header
        self.accepted_at = proxy.owner.pump.now
        self.queued_at: float | None = None
        self.connected_at: float | None = None
        self.src, self.src_port = visitor.src, visitor.src_port
        self.dst, self.dst_port = visitor.dst, visitor.dst_port
        self.server: RelayServer | None = None
        self.strand: Strand | None = None
        self.retries = 0
        self.redispatched = False
        self.bytes_in = self.bytes_out = 0
        self.termination = b"--"
        self.tlvs: Tlvs = ()
        self.variables: Variables = {}

    async def run(self) -> None:
        """The whole life of the connection; one log line."""
        proxy = self.proxy
        server_stream: Stream | None = None
        try:
            await self._introduce()
            proxy.log.connected(self)
            proxy.tally.routed()
            try:
                server_stream = await self._connect()
                await self._relay(server_stream)
            except _Failed as failed:
                self.termination = failed.termination
            except Ended:
                self.termination = b"KD" if server_stream is not None else b"KC"
            finally:
                self._account()
                proxy.tally.unrouted()
                if self.server is not None:
                    proxy.leave(self.server)
        except (WireError, DeadlinePassed, OSError) as error:
            proxy.tally.frontend[f.EREQ] += 1
            proxy.log.refusal(self, error)
        finally:
            self.client.close()
            if server_stream is not None:
                server_stream.close()
            proxy.forget(self)

    async def _introduce(self) -> None:
        """Who the client is. Raises WireError, DeadlinePassed, OSError."""
        if self.expects_header:
            header = await read_header(self.client, self.accepted_at + self.proxy.header_s)
            self.tlvs = header.tlvs
            if not header.local:
                self.src, self.src_port = header.source_packed, header.source_port
                self.dst, self.dst_port = header.destination_packed, header.destination_port

    def _header_for(self, server: model.Server) -> bytes:
        """The PROXY header as that server wants it. TLVs that the client's own header had go on to servers that take version 2."""
        if not server.send_proxy:
            return b""
        options = server.proxy_v2_options
        if server.send_proxy == 2 and not options and not self.tlvs:
            return header_of(self.src, self.src_port, self.dst, self.dst_port)
        header = self._proxy_header()
        if server.send_proxy == 1:
            return encode_v1(header)
        tlvs = list(self.tlvs)
        if "unique-id" in options:
            tlvs.append((TlvType.UNIQUE_ID, self.proxy.log.unique_id(self)))
        if options & _SSL_OPTIONS:
            tlvs.append((TlvType.SSL, encode_ssl(SslInfo())))  # no TLS ends here
        return encode_v2(replace(header, tlvs=tuple(tlvs)), crc32c="crc32c" in options)

    def _proxy_header(self) -> ProxyHeader:
        source, to = self.src, self.dst
        if len(source) == len(to) == 4:
            return tcp4_header(inet_text(source), self.src_port, inet_text(to), self.dst_port)
        if source and to:
            return ProxyHeader(
                2, False, Family.INET6, inet6_text(as_inet6(source)), self.src_port, inet6_text(as_inet6(to)), self.dst_port
            )
        return ProxyHeader(2, True, Family.UNSPEC)

    async def _connect(self) -> Stream:
        """A connection to one of the servers, the PROXY header sent. Raises _Failed, Ended."""
        proxy = self.proxy
        pump = proxy.owner.pump
        excluded: set[int] = set()
        server: RelayServer | None = None
        while True:
            if server is None:
                server = await self._place(excluded)
                self.queued_at = pump.now
            self.server = server
            proxy.tally.seated(server.position)
            try:
                stream = await self._dial(server)
                self.connected_at = pump.now
                return stream
            except DeadlinePassed:
                failed = _Failed(b"sC")
            except OSError as error:
                failed = _Failed(b"RC" if error.errno in _OUT_OF_RESOURCES else b"SC")
            counters = proxy.tally.servers[server.position]
            counters[f.ECON] += 1
            if self.retries >= proxy.retries:
                raise failed
            self.retries += 1
            self.server = None
            proxy.leave(server)
            if proxy.redispatches(self.retries):
                excluded.add(server.position)
                self.redispatched = True
                counters[f.WREDIS] += 1
                server = None
            else:
                counters[f.WRETR] += 1
                if failed.termination != b"sC":
                    await pause(pump, min(RETRY_PAUSE_S, proxy.connect_s))

    async def _place(self, excluded: set[int]) -> RelayServer:
        """The server to try next, after a wait in the queue when all are full. Raises _Failed, Ended."""
        proxy = self.proxy
        deadline = proxy.owner.pump.now + proxy.queue_s
        while (server := proxy.choose(self.src, excluded)) is None:
            if not proxy.servers.any_elected:
                raise _Failed(b"SC")
            if not await proxy.queue(deadline):
                raise _Failed(b"sQ")
        return server

    async def _dial(self, server: RelayServer) -> Stream:
        """Raises DeadlinePassed, OSError."""
        owner = self.proxy.owner
        deadline = owner.pump.now + self.proxy.connect_s
        stream = await dial(owner.pump, server.family, server.address, deadline)
        try:
            if server.family == socket.AF_UNIX:
                pid, uid, _gid = peer_credentials(stream.sock)
                if not owner.is_trusted(uid):
                    owner.log(
                        "alert",
                        f"server {self.proxy.model.name}/{server.model.name} refused: process {pid} of user {uid} listens on "
                        f"{server.model.address} and is neither root nor our own user; 'channel-uids' in section global lists others",
                    )
                    raise OSError(errno.EACCES, os.strerror(errno.EACCES))
            header = self._header_for(server.model)
            if header:
                await stream.send(header, deadline)
        except BaseException:
            stream.close()
            raise
        stream.drained = True
        return stream

    async def _relay(self, server: Stream) -> None:
        """Bytes both ways until both directions have ended; sets termination when it was not a normal end. Raises Ended."""
        proxy = self.proxy
        client = self.client
        up = Flow(client, server, splice=proxy.splice_up)
        down = Flow(server, client, splice=proxy.splice_down)
        both_s = proxy.tunnel_s if proxy.tunnel_s < inf else min(proxy.client_s, proxy.server_s)
        try:
            await relay(proxy.owner.pump, client, server, up, down, Idle(both_s, proxy.client_fin_s, proxy.server_fin_s))
        except DeadlinePassed:
            self.termination = b"cD" if proxy.client_s <= proxy.server_s else b"sD"
        except OSError:
            self.termination = b"CD" if client in (up.failed, down.failed) else b"SD"
        finally:
            self.bytes_in, self.bytes_out = up.moved, down.moved
            if up.spliced or down.spliced:
                proxy.tally.frontend[f.H1_SPLICED_BYTES_IN] += up.spliced
                proxy.tally.frontend[f.H1_SPLICED_BYTES_OUT] += down.spliced

    def _account(self) -> None:
        """Count and log a session that has ended."""
        proxy, server = self.proxy, self.server
        position = server.position if server is not None else None
        proxy.tally.carried(self.bind.id, position, self.bytes_in, self.bytes_out)
        back = proxy.tally.backend if position is None else proxy.tally.servers[position]
        cause = self.termination[:1]
        if cause in b"Cc":
            back[f.CLI_ABRT] += 1
        elif cause in b"Ss" and self.connected_at is not None:
            back[f.SRV_ABRT] += 1
        proxy.log.session(self)
