"""The counters of an explicit `listen`: who came, where they sit, when they left.

The dispatcher counts its own listens, whether it relays or hands over: nobody else sees their servers. What comes in by the
implicit tier belongs to the workers' proxies and is counted there.
"""

from __future__ import annotations

from common.model import Proxy
from common.observe import fields as f
from common.observe.counters import Counters


class Tally:
    """The blocks of one proxy in this process's row. Positions are those of the servers, binds are ids."""

    __slots__ = ("_everywhere", "backend", "frontend", "listeners", "servers")

    def __init__(self, counters: Counters, index: int, proxy: Proxy) -> None:
        self.frontend = counters.frontend(index)
        self.backend = counters.backend(index)
        self.listeners = {bind.id: counters.listener(bind.id) for bind in proxy.binds}
        self.servers = [counters.server(index, position) for position in range(len(proxy.servers))]
        # What all dispatchers have at a server: each counts in a row of its own.
        self._everywhere = [counters.across(number, f.SCUR) for number in counters.layout.servers[index]]

    def at_server(self, position: int) -> int:
        """Connections of all dispatchers at one server, now."""
        return sum(self._everywhere[position])

    def came(self, bind: int) -> None:
        """A connection was accepted."""
        self.frontend[f.CONN_TOT] += 1
        f.enter(self.frontend)
        f.enter(self.listeners[bind])

    def left(self, bind: int) -> None:
        self.frontend[f.SCUR] -= 1
        self.listeners[bind][f.SCUR] -= 1

    def denied(self, bind: int) -> None:
        """A connection was refused at the door."""
        self.frontend[f.DCON] += 1
        self.listeners[bind][f.DCON] += 1

    def routed(self) -> None:
        """It goes to the servers."""
        f.enter(self.backend)

    def unrouted(self) -> None:
        self.backend[f.SCUR] -= 1

    def seated(self, position: int) -> None:
        """It sits at a server."""
        block = self.servers[position]
        f.enter(block)
        block[f.LBTOT] += 1

    def unseated(self, position: int) -> None:
        self.servers[position][f.SCUR] -= 1

    def adopted(self, position: int, bind: int) -> None:
        """One that a process before this one had counted already as come."""
        for block in (self.frontend, self.listeners[bind], self.backend, self.servers[position]):
            block[f.SCUR] += 1

    def carried(self, bind: int, position: int | None, bytes_in: int, bytes_out: int) -> None:
        """Bytes of a connection that went through this process."""
        back = self.backend if position is None else self.servers[position]
        for block in (self.frontend, self.listeners[bind], back):
            block[f.BIN] += bytes_in
            block[f.BOUT] += bytes_out
