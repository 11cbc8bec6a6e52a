"""Which connections the dispatcher accepts, and when. Sans-io.

Source: HAProxy manual 3.2 "maxconn", "maxconnrate", "maxsessrate", "maxsslrate", "maxsslconn"; 4.2 "maxconn",
"rate-limit sessions"; 5.1 "maxconn".

Two kinds of limits, because they have two kinds of answer:

    before accept   The limits of the process, of a proxy and of a bind. A listener that may not accept is left alone: the
                    kernel's backlog is the queue, nobody is refused. `may_accept` says how many of a listener to accept now,
                    or how long to leave it alone.
    after accept    The limits of one source. Its address is only known after accept, and leaving the listener alone would
                    punish everybody else; so the connection is closed at once. `admit` decides.

Sessions are counted when they are accepted and given back when they end. maxsslrate counts connections to TLS binds before
their handshake, as the manual says, so it also protects against bad handshakes.

Other dispatchers' connections count too: `elsewhere` tells how many they hold, and `learn` how many have come to them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf

from dispatcher.policy.rates import Rate

SOURCES_MAX = 100_000  # remembered sources; beyond, the ones longest without a connection are forgotten


@dataclass(frozen=True, slots=True)
class Limits:
    """Of the whole process. 0: none."""

    maxconn: int = 0
    maxconnrate: int = 0
    maxsessrate: int = 0
    maxsslrate: int = 0
    maxsslconn: int = 0
    source_maxconn: int = 0  # ours: connections of one address at a time
    source_maxconnrate: int = 0  # ours: new connections of one address per second


@dataclass(frozen=True, slots=True)
class ListenerLimits:
    """Of one bind and of its proxy. 0: none. proxy: binds of one proxy share its maxconn and rate."""

    proxy: int
    maxconn: int = 0
    proxy_maxconn: int = 0
    rate_limit_sessions: int = 0
    tls: bool = False


class Verdict(Enum):
    """About one accepted connection; the value is the reason for log and counter."""

    ADMIT = "admitted"
    SOURCE_FULL = "source_maxconn"
    SOURCE_FAST = "source_maxconnrate"


@dataclass(frozen=True, slots=True)
class Permission:
    """How many connections of a listener to accept now. With 0: limit names what is reached, and after wait_s it is worth asking
    again; inf means when a connection has ended."""

    accept: int
    limit: str = ""
    wait_s: float = 0.0


@dataclass(slots=True)
class _Proxy:
    connections: int = 0
    rate: Rate = field(default_factory=Rate)
    listeners: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Source:
    connections: int = 0
    rate: Rate = field(default_factory=Rate)


class Admission:
    """The book of one dispatcher."""

    __slots__ = (
        "_all",
        "_by_listener",
        "_conn_rate",
        "_elsewhere",
        "_limits",
        "_listeners",
        "_proxies",
        "_session_rate",
        "_sources",
        "_ssl_rate",
        "_tls",
        "_tls_total",
        "_total",
        "refused",
    )

    def __init__(self, limits: Limits, listeners: list[ListenerLimits], elsewhere: Callable[[int], int] | None = None) -> None:
        """elsewhere: listener -> connections that other dispatchers hold of it."""
        self._limits = limits
        self._elsewhere = elsewhere
        self._listeners = listeners
        self._by_listener = [0] * len(listeners)
        self._total = self._tls_total = 0
        self._all = range(len(listeners))
        self._tls = [number for number, listener in enumerate(listeners) if listener.tls]
        self._proxies: dict[int, _Proxy] = {listener.proxy: _Proxy() for listener in listeners}
        for number, listener in enumerate(listeners):
            self._proxies[listener.proxy].listeners.append(number)
        self._conn_rate, self._session_rate, self._ssl_rate = Rate(), Rate(), Rate()
        self._sources: dict[Hashable, _Source] = {}  # in the order of their last connection
        self.refused: dict[Verdict, int] = {Verdict.SOURCE_FULL: 0, Verdict.SOURCE_FAST: 0}

    @property
    def total(self) -> int:
        return self._total

    def of_listener(self, listener: int) -> int:
        return self._by_listener[listener]

    def may_accept(self, now: float, listener: int, wanted: int) -> Permission:
        """How many of `wanted` (tune.maxaccept) connections to accept from a listener now."""
        limits, mine = self._limits, self._listeners[listener]
        proxy = self._proxies[mine.proxy]
        accept = wanted
        for limit, name, used, group in (
            (limits.maxconn, "maxconn", self._total, self._all),
            (limits.maxsslconn if mine.tls else 0, "maxsslconn", self._tls_total, self._tls),
            (mine.proxy_maxconn, "proxy maxconn", proxy.connections, proxy.listeners),
            (mine.maxconn, "bind maxconn", self._by_listener[listener], (listener,)),
        ):
            if limit:
                accept = min(accept, limit - used - self._held_elsewhere(group))
                if accept <= 0:
                    return Permission(0, name, inf if self._elsewhere is None else _LOOK_S)
        for limit, name, rate in (
            (limits.maxconnrate, "maxconnrate", self._conn_rate),
            (limits.maxsessrate, "maxsessrate", self._session_rate),
            (limits.maxsslrate if mine.tls else 0, "maxsslrate", self._ssl_rate),
            (mine.rate_limit_sessions, "rate-limit sessions", proxy.rate),
        ):
            if limit:
                accept = min(accept, rate.room(now, limit))
                if accept <= 0:
                    return Permission(0, name, rate.wait_s(now, limit))
        return Permission(accept)

    def admit(self, now: float, listener: int, source: Hashable) -> Verdict:
        """A connection was accepted. ADMIT: it counts, call `ended` when it is over. Else close it now."""
        limits = self._limits
        self._conn_rate.add(now)
        if limits.source_maxconn or limits.source_maxconnrate:
            verdict = self._of_source(now, source)
            if verdict is not Verdict.ADMIT:
                self.refused[verdict] += 1
                return verdict
        mine = self._listeners[listener]
        proxy = self._proxies[mine.proxy]
        self._session_rate.add(now)
        if mine.tls:
            self._ssl_rate.add(now)
        proxy.rate.add(now)
        proxy.connections += 1
        self._by_listener[listener] += 1
        self._total += 1
        self._tls_total += mine.tls
        return Verdict.ADMIT

    def ended(self, listener: int, source: Hashable) -> bool:
        """An admitted connection is over. True if that may let a listener accept again that was at a maxconn."""
        limits, mine = self._limits, self._listeners[listener]
        proxy = self._proxies[mine.proxy]
        was_full = (
            0 < limits.maxconn <= self._total
            or 0 < mine.proxy_maxconn <= proxy.connections
            or 0 < mine.maxconn <= self._by_listener[listener]
            or (mine.tls and 0 < limits.maxsslconn <= self._tls_total)
        )
        self._total -= 1
        self._tls_total -= mine.tls
        self._by_listener[listener] -= 1
        proxy.connections -= 1
        known = self._sources.get(source)
        if known is not None and known.connections:  # 0: it was forgotten meanwhile, and came again
            known.connections -= 1
        return was_full

    def adopt(self, listener: int, connections: int) -> None:
        """Connections that workers hold since before this dispatcher was started: they count, but not as new."""
        self._total += connections
        self._tls_total += connections * self._listeners[listener].tls
        self._by_listener[listener] += connections
        self._proxies[self._listeners[listener].proxy].connections += connections

    def learn(self, now: float, listener: int, connections: int) -> None:
        """So many came to other dispatchers."""
        mine = self._listeners[listener]
        for rate in (self._conn_rate, self._session_rate, self._proxies[mine.proxy].rate):
            rate.add(now, connections)
        if mine.tls:
            self._ssl_rate.add(now, connections)

    def change(self, limits: Limits, listeners: list[ListenerLimits]) -> None:
        """Other limits from now on, for the same listeners; what is counted stays."""
        self._limits = limits
        self._listeners = listeners

    def _held_elsewhere(self, listeners: Sequence[int]) -> int:
        """Connections of these listeners at other dispatchers."""
        return sum(map(self._elsewhere, listeners)) if self._elsewhere is not None else 0

    def rates(self, now: float) -> dict[str, float]:
        """For statistics: connections, sessions and TLS sessions per second."""
        return {"conn": self._conn_rate.value(now), "sess": self._session_rate.value(now), "ssl": self._ssl_rate.value(now)}

    def check_invariants(self) -> None:
        """Raises AssertionError when the book is broken."""
        assert self._total == sum(self._by_listener) == sum(proxy.connections for proxy in self._proxies.values())
        assert all(count >= 0 for count in self._by_listener)
        assert self._tls_total == sum(self._by_listener[number] for number in self._tls)
        assert len(self._sources) <= SOURCES_MAX
        assert all(source.connections >= 0 for source in self._sources.values())

    def _of_source(self, now: float, source: Hashable) -> Verdict:
        limits = self._limits
        known = self._sources.pop(source, None)
        if known is None:
            known = _Source()
            if len(self._sources) >= SOURCES_MAX:
                self._forget_one()
        self._sources[source] = known
        if limits.source_maxconn and known.connections >= limits.source_maxconn:
            return Verdict.SOURCE_FULL
        if limits.source_maxconnrate and not known.rate.room(now, limits.source_maxconnrate):
            return Verdict.SOURCE_FAST
        known.connections += 1
        known.rate.add(now)
        return Verdict.ADMIT

    def _forget_one(self) -> None:
        """The source longest without a new connection; one that holds none, if there is one among the first few."""
        first = []
        for source, known in self._sources.items():
            if not known.connections:
                del self._sources[source]
                return
            first.append(source)
            if len(first) == _FORGET_TRIES:
                break
        del self._sources[first[0]]


_FORGET_TRIES = 16
_LOOK_S = 0.02  # ends at other dispatchers come without an event
