"""One server of a backend, as this worker uses it: where it is, its idle connections, its counters.

How many may use it at once, and who waits, is the backend's queue (worker/servers/queue.py); which idle connection may carry
what is the idle book's (worker/servers/idle.py).
Source: HAProxy manual 5.2 "server", "maxconn", "sni"; 4.2 "http-reuse".
"""

from __future__ import annotations

import errno
import socket
from array import array
from typing import TYPE_CHECKING

from common import model
from common.model import AddressKind
from common.net.outlet import outlet_of
from common.net.pump import Strand
from common.net.sockaddr import SockAddr, initial, is_numeric, sockaddr
from common.observe import fields as f
from common.observe.layout import G_STATES_VERSION
from worker.announcement import Announcement
from worker.http.head import Response
from worker.pipelining import Pipe, flush
from worker.preferring import authenticates_connection, remember
from worker.server_tls import ServerTls
from worker.servers.idle import Fate, IdleBook, Reuse
from worker.stickiness import packed_place
from worker.tls import TlsStream

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.connect import ServerConnection
    from worker.exchange import Exchange
    from worker.world import World


_POOL = Fate.POOL  # looking a member up in its class costs more than the comparison


class Server:
    """See the module."""

    __slots__ = (
        "_address",
        "_family",
        "_flusher",
        "address",
        "alive",
        "announcement",
        "backend",
        "depth",
        "idle",
        "is_unusual",
        "maxconn",
        "model",
        "outlet",
        "pipes",
        "position",
        "reuse",
        "shared",
        "tally",
        "tls",
        "to_flush",
        "told",
        "usable",
        "warm",
        "warm_name",
        "watch",
        "words",
        "world",
    )

    def __init__(self, world: World, backend: Backend, position: int, server: model.Server) -> None:
        """Raises ConfigError for addresses and certificates that cannot be used."""
        self.world = world
        self.backend = backend
        self.position = position
        self.model = server
        self.address = server.address
        self.maxconn = server.maxconn
        self.told: tuple[str, int] | None = None  # the address that the master last told
        self._family: socket.AddressFamily | None = None
        self._address: SockAddr = ""
        supervised = world.counters.globals[G_STATES_VERSION]  # then the master tells the addresses of names
        found = (server.address if is_numeric(server.address) else None) if supervised else initial(server)
        if found is not None:
            self._family, self._address = sockaddr(found)
        self.tls = ServerTls(server.tls, world.tuning, world.authorities, world.certificates) if server.tls is not None else None
        self.announcement = Announcement(server, backend.rules.tlvs.get(server.name, ())) if server.send_proxy else None
        self.outlet = outlet_of(server, backend.model, world.config.globals)
        self.is_unusual = self.tls is not None or backend.prefers_last
        self.reuse = Reuse(backend.model.http_reuse)
        self.depth = 1 if self.reuse is Reuse.NEVER else int(server.options.get("pipeline", ("1",))[0])
        self.warm = int(server.options.get("pool-warm", ("0",))[0])
        self.warm_name: bytes | None = None  # what was asked for last in a TLS handshake; b"": nothing
        self.pipes: list[Pipe] = []
        self.to_flush: list[Pipe] = []
        self._flusher: Strand | None = None
        self.usable = not server.disabled
        self.alive = not server.disabled  # it serves who must come to it, though balancing may not choose it
        self.idle: IdleBook[ServerConnection] = IdleBook(
            self.reuse,
            pool_max_conn=server.pool_max_conn,
            pool_low_conn=server.pool_low_conn,
            pool_purge_delay_s=server.pool_purge_delay,
            max_reuse=server.max_reuse,
            descriptors=world.descriptors,
        )
        self.shared = world.counters.server(backend.index, position)
        self.tally = world.tallies.of(self.shared, self._derive)
        self.words = self.tally.words
        self.watch = world.watches.of(self, world.counters.state(world.counters.layout.servers[backend.index][position]))

    # --- where it is -------------------------------------------------------------------------------------------------

    def endpoint(self, exchange: Exchange) -> tuple[socket.AddressFamily, SockAddr]:
        """(family, address) to connect to. Address 0.0.0.0 means the client's destination, a port offset adds to its port.

        Raises OSError when its name has not been resolved.
        """
        address = self.address
        if self._family is None:
            if not is_numeric(address):
                # Looking it up would hold everybody up. It has no address until the master tells one.
                raise OSError(errno.EHOSTUNREACH, f"'{address.host}' has no address yet")
            self._family, self._address = sockaddr(address)
        if address.kind in (AddressKind.INET, AddressKind.INET6):
            wants_host = address.host in ("", "0.0.0.0", "::", "*")
            if wants_host or address.port_offset or not address.port:
                return self._relative(exchange, wants_host)
        return self._family, self._address

    def fixed_endpoint(self) -> tuple[socket.AddressFamily, SockAddr]:
        """The same, where it does not depend on the client. Raises OSError where it does, and before the name has been resolved."""
        address = self.address
        if address.kind in (AddressKind.INET, AddressKind.INET6):
            if address.host in ("", "0.0.0.0", "::", "*") or address.port_offset or not address.port:
                raise OSError(errno.EDESTADDRREQ, "the client's destination decides")
            if self._family is None and not is_numeric(address):
                raise OSError(errno.EHOSTUNREACH, f"'{address.host}' has no address yet")
        if self._family is None:
            self._family, self._address = sockaddr(address)
        return self._family, self._address

    def move(self, address: model.Address) -> None:
        """Another address from now on; open connections stay where they are, idle ones are closed."""
        if address != self.address:
            self.address = address
            self._family = None
            for connection in self.idle.clear():
                connection.close()
            if self.backend.stickiness is not None:
                self.backend.stickiness.servers_changed()
            if "hash-key" in self.model.options:
                self.backend.balancer.update(self.position, address=self.hashed_address())

    def hashed_address(self) -> bytes:
        """`hash-key addr|addr-port`: what stands for it on the ring of consistent hashing; b"": its id does."""
        (kind,) = self.model.options.get("hash-key") or ("id",)
        place = self.packed_place() if kind != "id" else None
        if place is None:
            return b""
        address, port = place
        return address + port.to_bytes(2, "big") if kind == "addr-port" else address

    def packed_place(self) -> tuple[bytes, int] | None:
        """Its address as bytes, and its port; None while it has none."""
        address = self.address
        if is_numeric(address):
            return packed_place(address.kind, address.host, address.port)
        known = self._address
        return packed_place(address.kind, str(known[0]), address.port) if isinstance(known, tuple) else None

    def _relative(self, exchange: Exchange, wants_host: bool) -> tuple[socket.AddressFamily, SockAddr]:
        """An endpoint that depends on where the client connected to (manual 5.2 "server")."""
        assert isinstance(self._address, tuple)
        address = self.address
        host, port = str(self._address[0]), address.port
        if address.port_offset or not address.port:
            port = (exchange.dst_port + address.port) % 65536
        if wants_host and exchange.dst:
            family = socket.AF_INET if len(exchange.dst) == 4 else socket.AF_INET6
            host = socket.inet_ntop(family, exchange.dst)
            return family, (host, port) if family == socket.AF_INET else (host, port, 0, 0)
        assert self._family is not None
        return self._family, (host, port) if self._family == socket.AF_INET else (host, port, 0, 0)

    def server_name(self, exchange: Exchange) -> bytes | None:
        """What to send as SNI: the `sni` expression, else (`sni-auto`) the host that the client asked for, when it is a name."""
        settings = self.model.tls
        assert settings is not None
        make = self.backend.rules.sni_of(self.model)
        if make is not None:
            return make(exchange) or None
        request = exchange.request
        if request is None or not settings.sni_auto:
            return None
        hosts = request.values(b"host")
        return _name_in(hosts[0]) if hosts else None

    # --- its connections ---------------------------------------------------------------------------------------------

    def take_idle(self, exchange: Exchange) -> ServerConnection | None:
        """A connection that may carry this exchange, or None. Dead ones that it meets are closed."""
        session = exchange.session
        if session.kept:
            own = session.kept.pop(self, None)
            if own is not None:
                if not own.stream.peek_end() and self._suits(own, exchange):
                    return own
                self.idle.closed()
                own.close()
        book = self.idle
        if not book.count:
            return None
        now = self.world.pump.now
        first = session.requests <= 1
        # A TLS connection was opened for a name, and its certificate verified for that one.
        name = self.server_name(exchange) if self.tls is not None else None
        while (connection := book.take(now, first, name)) is not None:
            stream = connection.stream
            if stream.drained or not stream.peek_end():
                break
            book.closed()
            connection.close()
        if book.doomed:
            for expired in book.doomed:
                expired.close()
            book.doomed.clear()
        return connection

    def _suits(self, own: ServerConnection, exchange: Exchange) -> bool:
        """Whether a connection of this client may carry its next request: it was opened for a name, and with a header."""
        if self.tls is not None and own.name != self.server_name(exchange):
            return False
        announcement = self.announcement
        return announcement is None or not announcement.varies or own.announced == announcement.bytes_for(exchange)

    def give_back(self, connection: ServerConnection, response: Response, exchange: Exchange) -> None:
        """After an exchange whose connection may carry another one."""
        backend = self.backend
        if backend.unlimited:
            backend.in_use[self.position] -= 1
        else:
            backend.leave(self.position)
        stream = connection.stream
        if self.tls is not None:
            self._learn_session(connection)
        if (not stream.drained and stream.peek_end()) or connection.address is not self.address:
            fate = Fate.CLOSE
        elif connection.is_private or self.is_unusual or response.tells_pool:
            remember(self, exchange, response)
            if authenticates_connection(response):
                connection.is_private = True
            timeout_s, left = response.keep_alive_hints
            fate = self.idle.put(
                connection,
                stream.pump.now,
                connection.requests,
                key=connection.name,
                private=connection.is_private,
                timeout_s=timeout_s,
                left=left,
            )
        else:
            fate = self.idle.put(connection, stream.pump.now, connection.requests)
        if fate is _POOL:
            return
        if fate is Fate.CLOSE:
            self.idle.closed()
            connection.close()
        else:
            previous = exchange.session.kept.pop(self, None)
            if previous is not None:
                self.idle.closed()
                previous.close()
            if len(exchange.session.kept) >= exchange.frontend.kept_connections_max:
                self.idle.closed()
                connection.close()
            else:
                exchange.session.kept[self] = connection

    def drop(self, connection: ServerConnection) -> None:
        """After an exchange whose connection is of no more use."""
        if connection.pipe is not None:
            connection.pipe.broken()
        if self.tls is not None:
            self._learn_session(connection)
        self.idle.closed()
        connection.close()
        self.backend.leave(self.position)

    def drop_kept(self, connection: ServerConnection) -> None:
        """A connection that was kept for a session which has ended."""
        self.idle.closed()
        connection.close()

    def _learn_session(self, connection: ServerConnection) -> None:
        """After its first exchange a TLS connection has brought what is needed to resume its session."""
        stream = connection.stream
        if connection.requests <= 1 and self.tls is not None and isinstance(stream, TlsStream):
            self.tls.remember(connection.name, stream)

    def purge(self, now: float) -> None:
        """Close idle connections that the server has ended, that expired, or that are too many. Called about once a second."""
        book = self.idle
        for connection in book.connections():
            if not connection.stream.drained and connection.stream.peek_end():
                book.remove(connection, now)
                connection.close()
        for connection in book.purge(now):
            connection.close()
        self.tally.touch()

    def flush_soon(self, pipe: Pipe) -> None:
        """What has joined this pipe is to leave at the end of this turn."""
        if pipe not in self.to_flush:
            self.to_flush.append(pipe)
        pump = self.world.pump
        if self._flusher is None or self._flusher.done:
            self._flusher = pump.spawn(flush(self, pump), "pipeline", late=True)
        else:
            pump.wake(self._flusher)

    def load(self) -> int:
        """Exchanges that use it or wait for it, of this worker."""
        return self.backend.queue.load_of(self.position)

    def _derive(self, words: array[int]) -> None:
        queue = self.backend.queue
        used = queue.places.own(self.position)
        # These two are written in the mapping itself, as they change (worker/servers/places.py).
        words[f.PLACES], words[f.QUEUE_HEAD] = self.shared[f.PLACES], self.shared[f.QUEUE_HEAD]
        words[f.SCUR] = used
        words[f.SMAX] = max(words[f.SMAX], used)
        words[f.QCUR] = queue.queued(self.position)
        words[f.IDLE_CONN_CUR] = self.idle.count
        words[f.USED_CONN_CUR] = self.idle.lent
        words[f.REUSE] = max(words[f.REUSE], words[f.STOT] - words[f.CONNECT])
        words[f.LBTOT] = words[f.STOT] - words[f.WRETR]  # how often it was chosen: a retry is no new choice
        words[f.REQ_TOT] = max(words[f.REQ_TOT], words[f.STOT] - words[f.WRETR] - words[f.WREDIS] - words[f.ECON])

    # --- counting ----------------------------------------------------------------------------------------------------

    def count_tls(self, is_resumed: bool) -> None:
        self.words[f.SSL_SESS] += 1
        self.words[f.SSL_CUR] += 1
        if is_resumed:
            self.words[f.SSL_REUSED_SESS] += 1

    def count_connect(self) -> None:
        self.words[f.CONNECT] += 1
        if self.watch is not None:
            self.watch.connected()

    def count_failed_connect(self) -> None:
        """One attempt: it may be tried again."""
        self.words[f.CONNECT] += 1
        self.tally.touch()
        if self.watch is not None:
            self.watch.not_connected()

    def count_given_up(self) -> None:
        """A request that got no connection here, after all attempts."""
        self.words[f.ECON] += 1
        self.tally.touch()

    def count_retry(self) -> None:
        self.words[f.WRETR] += 1
        self.words[f.STOT] += 1  # of the attempt that failed; the last one is counted when the exchange ends
        self.tally.touch()

    def count_redispatch(self) -> None:
        self.words[f.WREDIS] += 1
        self.words[f.STOT] += 1
        self.tally.touch()


def _name_in(host: bytes) -> bytes | None:
    """The name in a Host field; None for an address, which is none (RFC 6066 section 3)."""
    name = host.partition(b":")[0]
    return name if name.strip(b"0123456789.") and not host.startswith(b"[") else None
