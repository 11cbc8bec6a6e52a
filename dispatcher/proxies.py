"""The living proxies of relayed connections: what a `listen` of the model says, made ready to be used.

Source: HAProxy manual 4.2 "timeout …", "retries", "option redispatch", "option splice-auto", "balance", "maxconn"; 5.2 "server", "maxconn".
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from common import model
from common.balance.redispatch import redispatch_interval, redispatches
from common.model import Bind
from common.net.pump import DeadlinePassed, Pump, Strand
from common.net.sockaddr import sockaddr
from common.observe import fields as f
from common.observe.counters import Counters
from common.units import first_set
from dispatcher.gates import Gates
from dispatcher.servers import Servers
from dispatcher.tally import Tally

if TYPE_CHECKING:
    from dispatcher.relay import RelaySession
    from dispatcher.sessionlog import SessionLog

QUEUE_LOOK_S = 0.1  # how often one who waits for a place looks whether another dispatcher gave one back


class Owner(Protocol):
    """The dispatcher as relaying sees it."""

    pump: Pump
    gates: Gates | None
    counters: Counters

    def is_trusted(self, uid: int) -> bool: ...
    def log(self, level: str, text: str) -> None: ...
    def wall(self, pump_time: float) -> float: ...
    def relay_began(self) -> None: ...
    def relay_ended(self, session: RelaySession) -> None: ...


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

    # --- as the target of doors ------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return True  # who finds no server waits in our own queue

    def close_door(self, strand: Strand) -> None:
        """Doors of relays are only closed by limits."""

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
        self.owner.relay_ended(session)

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
        return redispatches(self.redispatch_interval, attempt, self.retries)
