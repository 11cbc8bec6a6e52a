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
from math import inf
from typing import TYPE_CHECKING, Protocol

from common import model
from common.acl.types import Variables
from common.balance.balancer import NOBODY, Candidate
from common.balance.make import make, parse_algorithm
from common.errors import WireError
from common.model import Bind
from common.net.dial import dial
from common.net.fdpass import peer_credentials
from common.net.pump import DeadlinePassed, Ended, Pump, Strand
from common.net.relay import Flow, Idle, relay
from common.net.sockaddr import packed, sockaddr
from common.net.stream import Stream
from common.observe import fields as f
from common.observe.counters import Counters
from common.wire.address_text import inet6_text, inet_text
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.proxy_protocol import encode_v1, encode_v2
from dispatcher.accept import Take, as_inet6, read_header, stream_socket
from dispatcher.handover import pause

if TYPE_CHECKING:
    from dispatcher.sessionlog import SessionLog

RETRY_PAUSE_S = 1.0  # before the same server is tried again (manual 4.2 "retries")
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


class Owner(Protocol):
    """The dispatcher as relaying sees it."""

    pump: Pump
    counters: Counters

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...
    def wall(self, pump_time: float) -> float: ...
    def session_ended(self) -> None: ...


def first_set(*values: float | None) -> float:
    """The first timeout that is set; inf when none is. 0 counts as not set, as in HAProxy."""
    for value in values:
        if value:
            return value
    return inf


class RelayServer:
    """One `server` line. connections: of this process."""

    __slots__ = ("address", "connections", "counters", "everywhere", "family", "model")

    def __init__(self, owner: Owner, proxy: int, position: int, server: model.Server) -> None:
        self.model = server
        self.family, self.address = sockaddr(server.address)
        self.connections = 0
        self.counters = owner.counters.server(proxy, position)
        # What all dispatchers have there: each counts in a row of its own.
        self.everywhere = owner.counters.across(owner.counters.layout.servers[proxy][position], f.SCUR)

    def load(self) -> int:
        return sum(self.everywhere)

    def enter(self) -> None:
        self.connections += 1
        f.enter(self.counters)
        self.counters[f.LBTOT] += 1

    def leave(self) -> None:
        self.connections -= 1
        self.counters[f.SCUR] -= 1


class RelayProxy:
    """One `listen` whose connections are relayed: its servers, limits and counters. Also the target of its doors."""

    __slots__ = (
        "_closed_doors",
        "backend_counters",
        "balancer",
        "client_fin_s",
        "client_s",
        "connect_s",
        "counters",
        "header_s",
        "is_paused",
        "listeners",
        "log",
        "maxconn",
        "model",
        "needs_source",
        "owner",
        "redispatch_interval",
        "retries",
        "server_fin_s",
        "server_s",
        "servers",
        "sessions",
        "splice_down",
        "splice_up",
        "tunnel_s",
    )

    def __init__(self, owner: Owner, index: int, proxy: model.Proxy, maxconn: int, log: SessionLog) -> None:
        timeouts = proxy.timeouts
        self.owner = owner
        self.model = proxy
        self.log = log
        self.maxconn = maxconn
        self.connect_s = first_set(timeouts.connect)
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
        self.counters = owner.counters.frontend(index)
        self.backend_counters = owner.counters.backend(index)
        self.listeners = {bind.id: owner.counters.listener(bind.id) for bind in proxy.binds}
        self.servers = [RelayServer(owner, index, position, server) for position, server in enumerate(proxy.servers)]
        self.balancer = make(
            proxy.balance,
            proxy.hash_type,
            [Candidate(server.id, server.weight, not server.disabled, server.backup) for server in proxy.servers],
            all_backups="allbackups" in proxy.options,
        )
        self.needs_source = parse_algorithm(proxy.balance).name == "source"
        self.sessions: set[RelaySession] = set()
        self._closed_doors: list[Strand] = []

    # --- as the target of doors ------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return not self.maxconn or len(self.sessions) < self.maxconn

    def close_door(self, strand: Strand) -> None:
        self._closed_doors.append(strand)

    def taker(self, bind: Bind, listening: socket.socket) -> Take:
        """What a door does with a client."""
        family = int(listening.family)
        return lambda fd, address: self.accepted(bind, stream_socket(fd, family), address)

    def accepted(self, bind: Bind, sock: socket.socket, address: object) -> None:
        session = RelaySession(self, bind, Stream(self.owner.pump, sock), address)
        self.sessions.add(session)
        self.counters[f.CONN_TOT] += 1
        f.enter(self.counters)
        f.enter(self.listeners[bind.id])
        session.strand = self.owner.pump.spawn(session.run(), "relay", late=True)

    def forget(self, session: RelaySession) -> None:
        """A session has ended."""
        self.sessions.discard(session)
        self.counters[f.SCUR] -= 1
        self.listeners[session.bind.id][f.SCUR] -= 1
        if self._closed_doors:
            strands, self._closed_doors = self._closed_doors, []
            for strand in strands:
                self.owner.pump.wake(strand)
        self.owner.session_ended()

    # --- as a backend ----------------------------------------------------------------------------------------------

    def choose(self, source: bytes, excluded: set[int]) -> int | None:
        """The position of the server for this client; None when there is none."""
        key = source if self.needs_source else None
        position = self.balancer.choose(key, self._load, excluded or NOBODY)
        if position is None and excluded:
            # All others have failed too: better one of them again than nobody.
            position = self.balancer.choose(key, self._load)
        return position

    def _load(self, position: int) -> int:
        return self.servers[position].load()

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
        "proxy",
        "queued_at",
        "redispatched",
        "retries",
        "server",
        "src",
        "src_port",
        "strand",
        "termination",
        "variables",
    )

    def __init__(self, proxy: RelayProxy, bind: Bind, client: Stream, address: object) -> None:
        self.proxy = proxy
        self.bind = bind
        self.client = client
        self.accepted_at = proxy.owner.pump.now
        self.queued_at: float | None = None
        self.connected_at: float | None = None
        self.src, self.src_port = packed(address)
        self.dst, self.dst_port = b"", 0
        self.server: RelayServer | None = None
        self.strand: Strand | None = None
        self.retries = 0
        self.redispatched = False
        self.bytes_in = self.bytes_out = 0
        self.termination = b"--"
        self.variables: Variables = {}

    async def run(self) -> None:
        """The whole life of the connection; one log line."""
        proxy = self.proxy
        server_stream: Stream | None = None
        try:
            await self._introduce()
            proxy.log.connected(self)
            f.enter(proxy.backend_counters)
            try:
                server_stream = await self._connect()
                await self._relay(server_stream)
            except _Failed as failed:
                self.termination = failed.termination
            except Ended:
                self.termination = b"KD" if server_stream is not None else b"KC"
            finally:
                self._account()
                proxy.backend_counters[f.SCUR] -= 1
                if self.server is not None:
                    self.server.leave()
        except (WireError, DeadlinePassed, OSError) as error:
            proxy.counters[f.EREQ] += 1
            proxy.log.refusal(self, error)
        finally:
            self.client.close()
            if server_stream is not None:
                server_stream.close()
            proxy.forget(self)

    async def _introduce(self) -> None:
        """Who the client is. Raises WireError, DeadlinePassed, OSError."""
        self.dst, self.dst_port = packed(self.client.sock.getsockname())
        if self.bind.accept_proxy:
            header = await read_header(self.client, self.accepted_at + self.proxy.header_s)
            if not header.local:
                self.src, self.src_port = header.source_packed, header.source_port
                self.dst, self.dst_port = header.destination_packed, header.destination_port

    def _header_for(self, server: model.Server) -> bytes:
        if not server.send_proxy:
            return b""
        header = self.proxy_header()
        return encode_v1(header) if server.send_proxy == 1 else encode_v2(header, crc32c="crc32c" in server.proxy_v2_options)

    def proxy_header(self) -> ProxyHeader:
        source, to = self.src, self.dst
        if len(source) == len(to) == 4:
            return ProxyHeader(2, False, Family.INET, inet_text(source), self.src_port, inet_text(to), self.dst_port)
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
        position: int | None = None
        self.queued_at = pump.now
        while True:
            if position is None:
                position = proxy.choose(self.src, excluded)
                if position is None:
                    raise _Failed(b"SC")
            server = self.server = proxy.servers[position]
            server.enter()
            try:
                stream = await self._dial(server)
                self.connected_at = pump.now
                return stream
            except DeadlinePassed:
                failed = _Failed(b"sC")
            except OSError as error:
                failed = _Failed(b"RC" if error.errno in _OUT_OF_RESOURCES else b"SC")
            server.counters[f.ECON] += 1
            if self.retries >= proxy.retries:
                raise failed
            self.retries += 1
            server.leave()
            self.server = None
            if proxy.redispatches(self.retries):
                excluded.add(position)
                self.redispatched = True
                server.counters[f.WREDIS] += 1
                position = None
            else:
                server.counters[f.WRETR] += 1
                if failed.termination != b"sC":
                    await pause(pump, min(RETRY_PAUSE_S, proxy.connect_s))

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
            spliced = up.spliced + down.spliced
            if spliced:
                proxy.counters[f.H1_SPLICED_BYTES_IN] += up.spliced
                proxy.counters[f.H1_SPLICED_BYTES_OUT] += down.spliced

    def _account(self) -> None:
        """Count and log a session that has ended."""
        proxy = self.proxy
        back = self.server.counters if self.server is not None else proxy.backend_counters
        for block in (proxy.counters, proxy.listeners[self.bind.id], back):
            block[f.BIN] += self.bytes_in
            block[f.BOUT] += self.bytes_out
        cause = self.termination[:1]
        if cause in b"Cc":
            back[f.CLI_ABRT] += 1
        elif cause in b"Ss" and self.connected_at is not None:
            back[f.SRV_ABRT] += 1
        proxy.log.session(self)
