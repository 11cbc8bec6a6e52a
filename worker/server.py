"""One server of a backend, as this worker uses it: where it is, who may use it now, its idle connections.

Source: HAProxy manual 5.2 "maxconn", "maxqueue", "pool-max-conn", "pool-purge-delay"; 4.2 "http-reuse".
"""

from __future__ import annotations

import socket
from array import array
from collections import deque
from typing import TYPE_CHECKING

from common import model
from common.model import AddressKind
from common.net.pump import Strand
from common.net.sockaddr import SockAddr, resolve, sockaddr
from common.observe import fields as f
from worker.certs import ServerTls
from worker.http.head import Response

if TYPE_CHECKING:
    from worker.connect import ServerConnection
    from worker.exchange import Exchange
    from worker.proxies import Backend
    from worker.world import World


class Ticket:
    """One exchange's place in the queue of a server."""

    __slots__ = ("admitted", "strand")

    def __init__(self, strand: Strand) -> None:
        self.strand = strand
        self.admitted = False


class Server:
    """See the module. used: connections that carry an exchange now; limit: how many may (0: any number)."""

    __slots__ = (
        "_address",
        "_family",
        "_never_reuse",
        "_pool_is_limited",
        "_safe_only",
        "_waiting",
        "backend",
        "idle",
        "limit",
        "model",
        "position",
        "source",
        "tally",
        "tls",
        "usable",
        "used",
        "words",
        "world",
    )

    def __init__(self, world: World, backend: Backend, position: int, server: model.Server) -> None:
        self.world = world
        self.backend = backend
        self.position = position
        self.model = server
        self._family: socket.AddressFamily | None = None
        self._address: SockAddr = ""
        self.tls = ServerTls(server.tls) if server.tls is not None else None
        self.source = sockaddr(resolve(server.source)) if server.source is not None else None
        self.usable = not server.disabled
        self.used = 0
        self.limit = server.maxconn
        self._waiting: deque[Ticket] = deque()
        self.idle: deque[ServerConnection] = deque()
        reuse = backend.model.http_reuse
        self._never_reuse = reuse == "never" or not backend.is_http or server.pool_max_conn == 0
        self._safe_only = reuse == "safe"
        self._pool_is_limited = server.pool_max_conn >= 0 or server.max_reuse >= 0
        self.tally = world.tallies.of(world.counters.server(backend.index, position), self._derive)
        self.words = self.tally.words

    # --- where it is -------------------------------------------------------------------------------------------------

    def endpoint(self, exchange: Exchange) -> tuple[socket.AddressFamily, SockAddr]:
        """(family, address) to connect to. Address 0.0.0.0 means the client's destination, a port offset adds to its port."""
        if self._family is None:
            self._family, self._address = sockaddr(resolve(self.model.address))
        address = self.model.address
        if address.kind in (AddressKind.INET, AddressKind.INET6):
            wants_host = address.host in ("", "0.0.0.0", "::", "*")
            if wants_host or address.port_offset or not address.port:
                return self._relative(exchange, wants_host)
        return self._family, self._address

    def _relative(self, exchange: Exchange, wants_host: bool) -> tuple[socket.AddressFamily, SockAddr]:
        """An endpoint that depends on where the client connected to (manual 5.2 "server")."""
        assert isinstance(self._address, tuple)
        address = self.model.address
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
        """What to send as SNI: the `sni` expression, else the host that the client asked for when it is a name (as `sni-auto`)."""
        tls = self.model.tls
        assert tls is not None
        make = self.backend.rules.sni_of(self.model)
        if make is not None:
            return make(exchange)
        return None

    # --- how busy it is ----------------------------------------------------------------------------------------------

    def load(self) -> int:
        """Connections in use and requests that wait, of this worker."""
        return self.used + len(self._waiting)

    def enter(self) -> bool:
        """Take a place; False when all are taken."""
        if self.limit and self.used >= self.limit:
            return False
        self.used += 1
        return True

    def leave(self) -> None:
        """Give the place back; the first who waits gets it."""
        self.used -= 1
        while self._waiting and (not self.limit or self.used < self.limit):
            ticket = self._waiting.popleft()
            ticket.admitted = True
            self.used += 1
            self.world.pump.wake(ticket.strand)

    def may_queue(self) -> bool:
        return not self.model.maxqueue or len(self._waiting) < self.model.maxqueue

    def queue_up(self, strand: Strand) -> Ticket:
        ticket = Ticket(strand)
        self._waiting.append(ticket)
        if len(self._waiting) > self.words[f.QMAX]:
            self.words[f.QMAX] = len(self._waiting)
        self.tally.touch()
        return ticket

    def leave_queue(self, ticket: Ticket, *, gave_up: bool) -> None:
        """The wait is over. gave_up: also when the place came in the same moment, it is not used."""
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        elif gave_up:
            self.leave()

    @property
    def queued(self) -> int:
        return len(self._waiting)

    # --- its idle connections ----------------------------------------------------------------------------------------

    def take_idle(self, exchange: Exchange) -> ServerConnection | None:
        """A connection that may carry this exchange, or None. Dead ones that it meets are closed."""
        kept = exchange.session.kept
        if kept:
            own = kept.pop(self, None)
            if own is not None:
                if not own.stream.peek_end():
                    return own
                own.close()
        idle = self.idle
        if not idle or (self._safe_only and exchange.is_first_request):
            return None
        while idle:
            connection = idle.pop()
            stream = connection.stream
            if stream.drained or not stream.peek_end():
                return connection
            connection.close()
        return None

    def give_back(self, connection: ServerConnection, response: Response, exchange: Exchange) -> None:
        """After an exchange whose connection may carry another one."""
        if self._waiting:
            self.leave()
        else:
            self.used -= 1
        stream = connection.stream
        if not stream.drained and stream.peek_end():
            connection.close()
        elif b"keep-alive" in response.special and response.keep_alive_hints.requests_left == 0:
            connection.close()
        elif self._never_reuse or connection.is_private:
            previous = exchange.session.kept.pop(self, None)
            if previous is not None:
                previous.close()
            exchange.session.kept[self] = connection
        elif self._pool_is_limited and not self._pool_takes(connection):
            connection.close()
        else:
            connection.idle_since = stream.pump.now
            self.idle.append(connection)

    def _pool_takes(self, connection: ServerConnection) -> bool:
        """`pool-max-conn` and `max-reuse`; -1 is no limit."""
        settings = self.model
        return not (0 <= settings.pool_max_conn <= len(self.idle) or 0 <= settings.max_reuse < connection.requests)

    def drop(self, connection: ServerConnection) -> None:
        """After an exchange whose connection is of no more use."""
        connection.close()
        self.leave()

    def purge(self, now: float) -> None:
        """Close idle connections that ended or have been idle for the purge delay. Oldest first; called about once a second."""
        idle = self.idle
        limit = now - self.model.pool_purge_delay
        kept: deque[ServerConnection] = deque()
        while idle:
            connection = idle.popleft()
            if connection.stream.ended or (connection.idle_since < limit and len(idle) + len(kept) >= self.model.pool_low_conn):
                connection.close()
            else:
                kept.append(connection)
        self.idle = kept
        self.tally.touch()

    def _derive(self, words: array[int]) -> None:
        words[f.SCUR] = self.used
        words[f.SMAX] = max(words[f.SMAX], self.used)
        words[f.QCUR] = len(self._waiting)
        words[f.IDLE_CONN_CUR] = len(self.idle)
        words[f.USED_CONN_CUR] = self.used
        words[f.REUSE] = words[f.STOT] - words[f.CONNECT]

    # --- counting ----------------------------------------------------------------------------------------------------

    def count_connect(self) -> None:
        self.words[f.CONNECT] += 1

    def count_failed_connect(self) -> None:
        self.words[f.ECON] += 1

    def count_retry(self) -> None:
        self.words[f.WRETR] += 1

    def count_redispatch(self) -> None:
        self.words[f.WREDIS] += 1
