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
from dataclasses import replace
from math import inf

from common import model
from common.acl.types import Variables
from common.errors import WireError
from common.model import Bind
from common.net.dial import dial
from common.net.introduction import read_header
from common.net.peers import peer_credentials
from common.net.pump import DeadlinePassed, Ended, Strand
from common.net.relay import Flow, Idle, relay
from common.net.stream import Stream
from common.observe import fields as f
from common.wire.proxy_header import header_between
from common.wire.proxy_protocol import SslInfo, TlvType, encode_ssl, encode_v1, encode_v2
from common.wire.tlv import Tlvs
from dispatcher.introduction import Welcome, header_of
from dispatcher.proxies import RelayProxy, RelayServer
from dispatcher.visitor import Visitor

RETRY_PAUSE_S = 1.0  # before the same server is tried again (manual 4.2 "retries")
_SSL_OPTIONS = frozenset({"ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key"})
_OUT_OF_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


def relay_welcome(proxy: RelayProxy, bind: Bind) -> Welcome:
    """What happens to a client of one bind: a session, started after all that is established had its turn."""

    def welcome(sock: socket.socket, visitor: Visitor) -> None:
        pump = proxy.owner.pump
        session = RelaySession(proxy, bind, Stream(pump, sock), visitor)
        proxy.sessions.add(session)
        proxy.tally.came(bind.id)
        proxy.owner.relay_began()
        session.strand = pump.spawn(session.run(), "relay", late=True)

    return welcome


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
        "ended_at",
        "expects_header",
        "flows",
        "introduced",
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
        self.introduced = False
        self.flows: tuple[Flow, Flow] | None = None  # while bytes flow: from the client, to him
        self.ended_at = inf
        self.termination = b"--"
        self.tlvs: Tlvs = ()
        self.variables: Variables = {}

    @property
    def at(self) -> float:
        """When it ended, for `show sess closed`."""
        return self.ended_at

    async def run(self) -> None:
        """The whole life of the connection; one log line."""
        proxy = self.proxy
        server_stream: Stream | None = None
        try:
            await self._introduce()
            self.introduced = True
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
            self.ended_at = proxy.owner.pump.now
            self.strand = None
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
        header = header_between(self.src, self.src_port, self.dst, self.dst_port)
        if server.send_proxy == 1:
            return encode_v1(header)
        tlvs = list(self.tlvs)
        if "unique-id" in options:
            tlvs.append((TlvType.UNIQUE_ID, self.proxy.log.unique_id(self)))
        if options & _SSL_OPTIONS:
            tlvs.append((TlvType.SSL, encode_ssl(SslInfo())))  # no TLS ends here
        return encode_v2(replace(header, tlvs=tuple(tlvs)), crc32c="crc32c" in options)

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
                    await pump.sleep(min(RETRY_PAUSE_S, proxy.connect_s))

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
        self.flows = (up, down)
        both_s = proxy.tunnel_s if proxy.tunnel_s < inf else min(proxy.client_s, proxy.server_s)
        try:
            await relay(proxy.owner.pump, client, server, up, down, Idle(both_s, proxy.client_fin_s, proxy.server_fin_s))
        except DeadlinePassed:
            self.termination = b"cD" if proxy.client_s <= proxy.server_s else b"sD"
        except OSError:
            self.termination = b"CD" if client in (up.failed, down.failed) else b"SD"
        finally:
            self.flows = None
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
