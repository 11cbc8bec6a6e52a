"""The server side of a proxy: its servers and their choice, what is worked out once for every request, counters.

Source: HAProxy manual 4.2 ("timeout …", "balance", "retries"), 5.2 ("server").
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from common import model
from common.balance.balancer import NOBODY, Candidate, Full
from common.balance.make import make
from common.balance.redispatch import redispatch_interval
from common.net.pump import DeadlinePassed, Strand
from common.observe import fields as f
from common.units import first_set, parse_size
from worker.calls import LOOK_AGAIN_S, make_places
from worker.finish import finish_of
from worker.forwarded import Adder, adders, adds_fields
from worker.http.head import Limits, ResponseReader
from worker.pages import ErrorPages
from worker.preferring import preferred
from worker.reading import response_options
from worker.route.rules import Rules
from worker.server import Server
from worker.servers.places import Capacity, SharedPlaces
from worker.servers.queue import BackendQueue, Ticket
from worker.servers.retry import Budget, Policy, retry_on
from worker.stickiness import Stickiness

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.world import World


class Backend:
    """A proxy's server side."""

    __slots__ = (
        "_adders",
        "_affinity",
        "_full",
        "_looks_again",
        "aborts_on_close",
        "balancer",
        "checks_cache",
        "closes_server",
        "connect_s",
        "connections",
        "errors",
        "finish",
        "in_use",
        "index",
        "is_http",
        "keep_alive_queue_max",
        "keeps_bodies",
        "keeps_request_trailers",
        "kept_bytes_max",
        "key_of",
        "model",
        "name",
        "only_server",
        "pipelines",
        "places",
        "plain",
        "prefers_last",
        "pretends_keep_alive",
        "queue",
        "queue_s",
        "reader",
        "redirects",
        "request_total_s",
        "response_active",
        "retried_statuses",
        "retries",
        "retry_budget",
        "retry_policy",
        "rules",
        "server_fin_s",
        "server_s",
        "servers",
        "splice_response",
        "stickiness",
        "tally",
        "unlimited",
        "world",
    )

    def __init__(self, world: World, index: int, proxy: model.Proxy, rules: Rules, errors: ErrorPages) -> None:
        timeouts = proxy.timeouts
        self.world = world
        self.index = index
        self.model = proxy
        self.name = proxy.name
        self.rules = rules
        self.errors = errors
        self.is_http = proxy.mode == "http"
        self.connect_s = first_set(timeouts.connect)
        self.server_s = first_set(timeouts.server)
        self.queue_s = first_set(timeouts.queue, timeouts.connect)
        self.server_fin_s = timeouts.server_fin
        self.retries = proxy.retries
        self.retry_policy = Policy(retry_on(proxy.retry_on), proxy.retries, redispatch_interval(proxy), self.connect_s)
        self.retried_statuses = self.retry_policy.on.statuses
        percent = float(model.last_word(proxy.extra, "retry-budget", "0").rstrip("%"))
        self.retry_budget = Budget(percent) if percent else None
        self.request_total_s = timeouts.request_total
        self.keeps_bodies = self.retry_policy.on.needs_request
        self.kept_bytes_max = _kept_bytes_max(world.config.globals)
        self.keeps_request_trailers = "http-drop-request-trailers" not in proxy.options
        self.prefers_last = "prefer-last-server" in proxy.options
        self.keep_alive_queue_max = int(model.last_word(proxy.extra, "max-keep-alive-queue", "-1"))
        self.checks_cache = "checkcache" in proxy.options
        self.pipelines = any(int(server.options.get("pipeline", ("1",))[0]) > 1 for server in proxy.servers)
        self.aborts_on_close = "abortonclose" in proxy.options
        self.closes_server = bool(proxy.options & {"httpclose", "http-server-close"})
        self.pretends_keep_alive = "http-pretend-keepalive" in proxy.options
        self.finish = finish_of(proxy, world.config.globals)
        self.plain = not adds_fields(proxy) and not self.closes_server and self.finish is None
        self.redirects = any(server.redir for server in proxy.servers)
        self.splice_response = bool(proxy.options & {"splice-response", "splice-auto", "tcpsplice"})
        self.reader = ResponseReader(Limits.of(world.config.globals), response_options(proxy, world.config.globals))
        self.response_active = rules.response_active or self.checks_cache
        self._adders: dict[int, list[Adder]] = {}
        self.key_of = rules.balance_key
        self.tally = world.tallies.of(world.counters.backend(index), self._derive)
        self.connections = 0
        self.servers = [Server(world, self, position, server) for position, server in enumerate(proxy.servers)]
        self.stickiness = Stickiness.of(self)
        if self.stickiness is not None and self.stickiness.watches_responses:
            self.response_active = True
        self.only_server = self.servers[0] if len(self.servers) == 1 and self.stickiness is None else None
        self.balancer = make(
            proxy.balance,
            proxy.hash_type,
            [
                Candidate(
                    server.model.id, server.model.weight, not server.model.disabled, server.model.backup, server.hashed_address()
                )
                for server in self.servers
            ],
            chance=random.random,
            hash_balance_factor=proxy.hash_balance_factor,
            all_backups="allbackups" in proxy.options,
            hash_preserve_affinity=model.last_word(proxy.extra, "hash-preserve-affinity", "always"),
            hash_key="addr" if any("hash-key" in server.options for server in proxy.servers) else "id",
        )
        capacities = [Capacity(server.maxconn, server.minconn, server.maxqueue) for server in proxy.servers]
        has_limits = any(server.maxconn or server.minconn for server in proxy.servers)
        # Where no server has a maxconn nobody waits, and a place is a number: the hot path counts it by itself, unless the algorithm
        # asks for loads, which are those of all workers.
        self.unlimited = not has_limits and (world.launch.workers < 2 or not self.balancer.asks_load)
        self.in_use = [0] * len(capacities)
        self.places = make_places(self)
        self.queue: BackendQueue[Strand] = BackendQueue(capacities, self.places, proxy.fullconn or 0, self._load)
        self._looks_again = False
        self._affinity = model.last_word(proxy.extra, "hash-preserve-affinity", "always")
        self._full = self._fullness() if has_limits else None

    def _fullness(self) -> Full | None:
        """What makes a server one that balancing passes over; None: nothing does."""
        queue = self.queue
        if not self.balancer.sticky or self._affinity == "maxconn":
            return queue.is_full
        if self._affinity == "maxqueue":
            return lambda position: queue.is_full(position) and queue.is_queue_full(position)
        return None

    def add_server(self, server: model.Server) -> None:
        """One more, behind the others; it gets requests when the master says so. Raises ConfigError."""
        position = len(self.servers)
        living = Server(self.world, self, position, server)
        living.usable = living.alive = False
        self.servers.append(living)
        self.in_use.append(0)
        if isinstance(self.places, SharedPlaces):
            counters = self.world.counters
            number = counters.layout.servers[self.index][position]
            taken, heads = counters.across(number, f.PLACES), counters.across(number, f.QUEUE_HEAD)[: counters.layout.processes]
            assert counters.process_index is not None
            taken[counters.process_index] = heads[counters.process_index] = 0
            self.places.add(taken, heads)
        self.queue.add(Capacity(server.maxconn, server.minconn, server.maxqueue))
        if server.maxconn or server.minconn:
            self.unlimited = False
            self._full = self._fullness()
        self.balancer.add(Candidate(server.id, server.weight, False, server.backup))
        self.only_server = None
        self.redirects = self.redirects or bool(server.redir)
        if self.stickiness is not None:
            self.stickiness.servers_changed()

    def remove_server(self, server: Server) -> None:
        """The master has seen that nobody uses it. Its position stays, and nobody comes to it any more."""
        server.usable = server.alive = False
        server.model = replace(server.model, name="", cookie=None, options={})
        self.balancer.update(server.position, weight=0, usable=False)
        for connection in server.idle.clear():
            connection.close()
        self.wake(self.queue.server_down(server.position))
        if self.stickiness is not None:
            self.stickiness.servers_changed()

    def added_fields(self, exchange: Exchange) -> bytes:
        """Field lines that options of either side add to the request."""
        frontend = exchange.frontend
        made = self._adders.get(frontend.index)
        if made is None:
            made = self._adders[frontend.index] = adders(frontend.model, self.model, {**frontend.rules.forwarded, **self.rules.forwarded})
        return b"".join([add(exchange) for add in made]) if made else b""

    def choose(self, exchange: Exchange, excluded: Collection[int]) -> Server | None:
        """The server for this exchange; None when none is up, or (algorithms that do not stick) all are full."""
        only = self.only_server
        if only is not None:
            return only if only.usable else None
        servers = self.servers
        named = self._named_by_rule(exchange) if self.rules.use_server and not excluded else None
        if self.stickiness is not None:
            named = self.stickiness.choose(exchange, named, excluded)
        if named is None and exchange.session.last_servers:
            named = preferred(self, exchange, excluded)
        if named is not None:
            return named
        key = self.key_of(exchange) if self.key_of is not None else None
        position = self.balancer.choose(key, self.queue.load_of, excluded, self._full)
        if position is None and excluded:
            # All others have failed too or are down: better one of them again than nobody.
            position = self.balancer.choose(key, self.queue.load_of, NOBODY, self._full)
        return servers[position] if position is not None else None

    def _named_by_rule(self, exchange: Exchange) -> Server | None:
        """`use-server`: the first that is named and usable; one that is down serves if persistence is forced."""
        forced: bool | None = None
        for name in self.rules.servers_to_use(exchange):
            server = next((one for one in self.servers if one.model.name == name), None)
            if server is None:
                continue
            if not server.usable and forced is None:
                forced = "persist" in self.model.options or self.rules.forces_persistence(exchange)
            if server.usable or forced:
                return server
        return None

    def _load(self) -> int:
        """Concurrent connections, those of other workers as they were a moment ago."""
        return self.world.backend_connections(self.name)

    def leave(self, position: int) -> None:
        """An exchange gives its place at a server back; whoever waits for one gets it."""
        if self.unlimited:
            self.in_use[position] -= 1
            return
        admitted = self.queue.leave(position)
        if admitted:
            self.wake(admitted)

    def resize(self, position: int, capacity: Capacity) -> list[Ticket[Strand]]:
        """The operator changed a server's limits. Returns who is admitted now."""
        if capacity.maxconn or capacity.minconn:
            if self.unlimited:
                self.unlimited = False
                self.places = self.queue.places = make_places(self)
            self._full = self._fullness()
        return self.queue.resize(position, capacity)

    def look_again(self) -> None:
        """Somebody begins to wait for places that other workers may give back."""
        if not self._looks_again and isinstance(self.places, SharedPlaces):
            self._looks_again = True
            self.world.pump.spawn(self._look_again(), "queue", late=True)

    async def _look_again(self) -> None:
        pump, rounds = self.world.pump, 0
        while self.queue.anybody_waits:
            rounds += 1
            try:
                await pump.park(pump.now + LOOK_AGAIN_S)
            except DeadlinePassed:
                self.admit_all(in_any_order=rounds % 10 == 0)
        self._looks_again = False

    def admit_all(self, *, in_any_order: bool = False) -> None:
        """Give every free place to whoever waits for it here."""
        for position in range(len(self.servers)):
            self.wake(self.queue.admit(position, in_any_order=in_any_order))

    def wake(self, admitted: list[Ticket[Strand]]) -> None:
        for ticket in admitted:
            self.world.pump.wake(ticket.item)

    def _derive(self, words: array[int]) -> None:
        words[f.SCUR] = self.connections
        words[f.SMAX] = max(words[f.SMAX], self.connections)
        words[f.STOT] = words[f.REQ_TOT] + self.connections


def _kept_bytes_max(settings: model.Global) -> int:
    """`tune.retry.body-size`: how much of a request's body is kept for sending it again."""
    words = settings.tune.get("tune.retry.body-size")
    return parse_size(words[0]) if words else settings.bufsize
