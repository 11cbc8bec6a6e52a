"""The servers of an explicit `listen`, as a choice: who is next, given what health checks, operators and channels say of them.

Health is checked once per host, by the master; what it finds stands in shared memory (common/observe/states.py).
Source: HAProxy manual 4.2 "balance", "option allbackups"; 5.2 "backup", "disabled", "weight", "check".
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection

from common.balance.balancer import NOBODY, Candidate, Full
from common.balance.make import make, parse_algorithm
from common.model import Proxy
from common.observe import states
from common.observe.counters import Counters
from common.observe.layout import G_STATES_VERSION


class Servers:
    """The choice among the servers of one proxy, by position. Raises ExpressionError for a `balance` line that does not compile."""

    __slots__ = ("_balancer", "_blocks", "_globals", "_reachable", "_version", "needs_source", "usable")

    def __init__(self, proxy: Proxy, index: int, counters: Counters, *, reachable: bool) -> None:
        """reachable: as long as nobody says otherwise."""
        servers = proxy.servers
        self._reachable = [reachable] * len(servers)
        self.usable = [not server.disabled for server in servers]
        self._balancer = make(
            proxy.balance,
            proxy.hash_type,
            [
                Candidate(server.id, server.weight, usable and reachable, server.backup)
                for server, usable in zip(servers, self.usable, strict=True)
            ],
            chance=random.random,
            hash_balance_factor=proxy.hash_balance_factor,
            all_backups="allbackups" in proxy.options,
        )
        self.needs_source = parse_algorithm(proxy.balance).name == "source"
        self._globals = counters.globals
        self._blocks = [counters.state(number) for number in counters.layout.servers[index]]
        self._version = 0

    def choose(
        self, source: bytes | None, load: Callable[[int], int], excluded: Collection[int] = NOBODY, full: Full | None = None
    ) -> int | None:
        """The position of the server for a client; None when there is none. source: its packed address."""
        return self._balancer.choose(source if self.needs_source else None, load, excluded, full)

    @property
    def any_elected(self) -> bool:
        """Somebody could be chosen, were it not full."""
        return bool(self._balancer.elected)

    def reachable(self, position: int, reachable: bool) -> None:
        """Whether there is a way to that server now."""
        self._reachable[position] = reachable
        self._balancer.update(position, usable=reachable and self.usable[position])

    def refresh(self) -> bool:
        """Look whether the master has changed a state or weight. True: something changed. Costs nothing when not."""
        version = self._globals[G_STATES_VERSION]
        if version == self._version:
            return False
        self._version = version
        for position, block in enumerate(self._blocks):
            self.usable[position] = states.usable(block)
            weight = min(256, max(0, block[states.S_WEIGHT]))
            self._balancer.update(position, weight=weight, usable=self._reachable[position] and self.usable[position])
        return True
