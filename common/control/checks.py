"""Health checks and agents of all servers: one trio task each, in the master, once per host.

Checks start spread over the shortest interval, so that no server is asked for all its names at one moment, and `spread-checks` adds chance
to each pause. What an operator changes of a check (`set server … check-port`, `agent-send` …) holds from the next one on. A reload begins
the tasks anew, each with its next check when it would have come anyway; scores stand in the shared states, which the next generation
inherits.

Source: HAProxy configuration manual 5.2 "check", "inter", "agent-check", 3.2 "spread-checks", "max-spread-checks", 4.2 "timeout check".
"""

from __future__ import annotations

import random
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

import trio

from common.acl.environment import CompileEnvironment, Where
from common.control.check_connection import Target, check_context, is_internet
from common.control.check_talk import hold
from common.control.console import Console
from common.control.following import Following
from common.control.operator_plane import Plane
from common.errors import UsherError
from common.health.compile import compile_script
from common.health.outcome import Outcome
from common.health.protocols import agent_script
from common.health.record import health_of, record_agent, record_check, record_observed
from common.health.request import name_in
from common.health.score import Intervals
from common.health.steps import Connect, Script, host_of
from common.health.talk import CheckFacts, Talk
from common.model import Address, AddressKind, Proxy, Server, last_word
from common.net.sockaddr import resolve
from common.observe.fields import QCUR, SCUR
from common.observe.server_notices import Place
from common.observe.states import (
    B_WEIGHT,
    CHECK_CONFIGURED,
    CHECK_ENABLED,
    CHECK_IN_PROGRESS,
    CHECK_PAUSED,
    MAINT,
    S_ADMIN,
    S_AGENT_STATE,
    S_CHECK_STATE,
    S_CHECKED_AT_MS,
    S_PORT,
    S_WEIGHT,
    read_texts,
)
from common.units import parse_time

INTER: Final = "2s"
PORT_MAX: Final = 65535


class Checks(Following):
    """One per master: a task for each check."""

    __slots__ = ("_chance", "_console", "_limit", "_running")

    def __init__(self, plane: Plane, console: Console, chance: Callable[[], float] = random.random) -> None:
        super().__init__(plane)
        self._console = console
        self._chance = chance
        self._running: dict[Place, _Check] = {}
        self._limit: trio.CapacityLimiter | None = None  # of checks under way

    def observed(self, server: str, errors: int, last: str, *, good: bool) -> None:
        """A worker has seen traffic of "backend/server"."""
        place = self._plane.changes.find(server)
        if place is None:
            return  # removed meanwhile
        proxy = self._plane.config.proxies[place.proxy]
        notices, soon = record_observed(self._plane.changes, proxy, place, errors, last, self._plane.now, good=good)
        self._plane.notify(notices)
        if soon and place in self._running:
            self._running[place].hurry()

    def _start(self, nursery: trio.Nursery) -> None:
        """A task for each check, spread over the shortest interval."""
        checks = list(self._all())
        if not checks:
            return
        settings = self._plane.config.globals.extra
        shortest_s = min(check.intervals().inter_s for check in checks)
        most_s = parse_time(last_word(settings, "max-spread-checks")) if "max-spread-checks" in settings else shortest_s
        spread = int(last_word(settings, "spread-checks", "0")) / 100
        window_s = min(shortest_s, most_s)
        most = int(self._plane.config.globals.tune.get("tune.max-checks-per-thread", ("0",))[0])
        self._limit = trio.CapacityLimiter(most) if most else None  # one thread does them all
        self._running = {check.place: check for check in checks if check.word == S_CHECK_STATE}
        for number, check in enumerate(checks):
            due_s = check.due_s(self._plane.now)
            nursery.start_soon(self._repeat, check, window_s * number / len(checks) if due_s is None else due_s, spread)

    def _all(self) -> Iterator[_Check]:
        for position, proxy in enumerate(self._plane.config.proxies):
            if proxy.disabled or not proxy.backend:
                continue
            script: Script | None = None
            for number, server in enumerate(proxy.servers):
                place = Place(position, number)
                block = self._plane.changes.block(place)
                if block[S_CHECK_STATE] & CHECK_CONFIGURED and (script := script or self._script(proxy)) is not None:
                    yield _Check(self._plane, proxy, server, place, script)
                if block[S_AGENT_STATE] & CHECK_CONFIGURED:
                    yield _AgentCheck(self._plane, proxy, server, place, agent_script(b""))

    def _script(self, proxy: Proxy) -> Script | None:
        """None where it cannot be made, for a file that is gone: said once, and the other backends are checked."""
        environment = CompileEnvironment(Where.CHECK, proxy, self._plane.config, read_file=lambda path: Path(path).read_bytes())
        try:
            return compile_script(proxy, environment, self._plane.config.globals.bufsize)
        except (UsherError, OSError) as error:
            self._console.alert(f"the servers of backend {proxy.name} cannot be checked: {error}")
            return None

    async def _repeat(self, check: _Check, offset_s: float, spread: float) -> None:
        """One server's check, for as long as its generation serves. A fault of ours is told and does not end the others."""
        await trio.sleep(offset_s)
        while True:
            started_s = trio.current_time()
            try:
                if check.is_on():
                    async with self._limit or nullcontext():
                        await check.once()
            except Exception as error:
                self._console.alert(f"check of server {check.title} cannot be made: {error!r}")
            pause_s = check.pause_s() * (1 + spread * (2 * self._chance() - 1))
            await check.pause_until(started_s + pause_s)


class _Check:
    """The health check of one server."""

    __slots__ = ("_contexts", "_hurried", "_plane", "_proxy", "_script", "_server", "place")

    def __init__(self, plane: Plane, proxy: Proxy, server: Server, place: Place, script: Script) -> None:
        self._plane = plane
        self._proxy = proxy
        self._server = server
        self.place = place
        self._hurried = trio.Event()
        self._script = script
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}

    word: ClassVar[int] = S_CHECK_STATE

    @property
    def title(self) -> str:
        return f"{self._proxy.name}/{self._server.name}"

    @property
    def _block(self) -> memoryview[int]:
        return self._plane.changes.block(self.place)

    def is_on(self) -> bool:
        state = self._block[self.word]
        return bool(state & CHECK_ENABLED) and not state & CHECK_PAUSED and not self._block[S_ADMIN] & MAINT

    def intervals(self) -> Intervals:
        options = self._server.options
        fast, down = (parse_time(options[name][0]) if name in options else None for name in ("fastinter", "downinter"))
        return Intervals(parse_time(options.get("inter", (INTER,))[0]), fast, down)

    def pause_s(self) -> float:
        return health_of(self._block).interval_s(self.intervals())

    def due_s(self, now: float) -> float | None:
        """How soon the next one is due, as the generation before this one has checked; None if it has not."""
        checked_at_ms = self._block[S_CHECKED_AT_MS]
        return max(0.0, checked_at_ms / 1000 + self.pause_s() - now) if checked_at_ms else None

    def hurry(self) -> None:
        """The next check is to come after `fastinter`."""
        self._hurried.set()

    async def pause_until(self, due_s: float) -> None:
        """Wait for the moment of the next check, which may come nearer meanwhile."""
        with trio.move_on_at(max(due_s, trio.current_time())):
            await self._hurried.wait()
            intervals = self.intervals()
            soon_s = intervals.inter_s if intervals.fastinter_s is None else intervals.fastinter_s
            self._hurried = trio.Event()
            await trio.sleep(soon_s)
        self._hurried = trio.Event()

    async def once(self) -> None:
        """Check, and write down what came of it."""
        block = self._block
        address = await self._address()
        started_s = time.monotonic()
        block[self.word] |= CHECK_IN_PROGRESS
        try:
            outcome = await self._converse(address)
        finally:
            block[self.word] &= ~CHECK_IN_PROGRESS
        now = time.monotonic()
        self._record(outcome, int((now - started_s) * 1000), now)

    def _record(self, outcome: Outcome, duration_ms: int, now: float) -> None:
        self._plane.notify(record_check(self._plane.changes, self._proxy, self.place, outcome, duration_ms, now))

    async def _converse(self, address: Address) -> Outcome:
        facts = CheckFacts(self._proxy, self._server)
        facts.state = self._shown_state()
        running = health_of(self._block).score >= health_of(self._block).rise
        talk = Talk(self._script, facts, running=running)
        times, inter_s = self._proxy.timeouts, self.intervals().inter_s
        connect_s = min(inter_s, times.connect or inter_s) if times.check else inter_s
        return await hold(talk, lambda step: self._target(step, address, facts), connect_s, inter_s, times.check)

    # --- where to -----------------------------------------------------------------------------------------------------

    async def _address(self) -> Address:
        """Where checks go: `addr` and `port`, or where the traffic goes by now."""
        options = self._server.options
        return await self._resolved(options.get("addr", ("",))[0], int(options.get("port", ("0",))[0]))

    async def _resolved(self, host: str, port: int) -> Address:
        address = self._server.address
        if is_internet(address):
            *_, current, _name = read_texts(self._block)
            address = replace(address, host=current or address.host, port=self._block[S_PORT])
        if host:
            address = _at(host, address.port)
        if port:
            address = replace(address, port=port)
        return await _numeric(address)

    def _target(self, step: Connect, address: Address, facts: CheckFacts) -> Target:
        """Raises ValueError where an expression makes no port."""
        server, options = self._server, self._server.options
        if step.host:
            address = _at(step.host, address.port)
        if step.port is not None:
            port = step.port(facts) or address.port
            if not 0 < port <= PORT_MAX:
                raise ValueError(f"invalid port {port}")
            address = replace(address, port=port)
        elsewhere = "port" in options or "addr" in options
        own_header = step.server_defaults and ("check-send-proxy" in options or (server.send_proxy and not elsewhere))
        name = step.sni or (options.get("check-sni", ("",))[0] if step.server_defaults else "")
        if not name and "no-check-sni-auto" not in options:
            name = name_in(host_of(self._script, facts))
        tls = server.tls_check
        if tls is not None and tls.verifyhost:
            name = tls.verifyhost  # the name that is asked for is the one that is verified
        return Target(
            address,
            server.source,
            (server.send_proxy or 1) if step.send_proxy or own_header else 0,
            self._context(step),
            name,
            step.linger,
        )

    def _context(self, step: Connect) -> ssl.SSLContext | None:
        server = self._server
        settings = server.tls_check if step.server_defaults else None
        if step.tls and settings is None:
            settings = server.tls_check or server.tls or self._plane.config.globals.tls_server_defaults
        if settings is None:
            return None
        alpn = step.alpn or (server.options.get("check-alpn", ()) if step.server_defaults else ())
        if alpn not in self._contexts:
            self._contexts[alpn] = check_context(settings, alpn, verify_default=settings.ca_file is not None)
        return self._contexts[alpn]

    def _shown_state(self) -> str:
        """The value of X-Haproxy-Server-State."""
        counters, block = self._plane.counters, self._block
        layout = counters.layout
        everyone = layout.servers[self.place.proxy]
        own = everyone[self.place.server]
        address = self._server.address
        *_, current, _name = read_texts(block)
        shown, port = (current or address.host, str(block[S_PORT])) if is_internet(address) else ("unix", "unix")
        node = self._plane.config.globals.node or socket.gethostname()
        weight = counters.state(layout.backends[self.place.proxy])[B_WEIGHT]
        sessions = sum(sum(counters.across(number, SCUR)) for number in everyone)
        return (
            f"{health_of(block).text()}; address={shown}; port={port}; name={self.title}; node={node}; "
            f"weight={block[S_WEIGHT]}/{weight}; scur={sum(counters.across(own, SCUR))}/{sessions}; qcur={sum(counters.across(own, QCUR))}"
        )


class _AgentCheck(_Check):
    """The agent of one server."""

    __slots__ = ()

    word: ClassVar[int] = S_AGENT_STATE

    def intervals(self) -> Intervals:
        return Intervals(parse_time(self._server.options.get("agent-inter", (INTER,))[0]))

    def pause_s(self) -> float:
        return self.intervals().inter_s

    def due_s(self, now: float) -> float | None:
        """An agent is asked soon."""
        return None

    def is_on(self) -> bool:
        """Agents are asked in maintenance too: only they can end what they began."""
        return bool(self._block[self.word] & CHECK_ENABLED)

    async def once(self) -> None:
        self._script = agent_script(self._server.options.get("agent-send", ("",))[0].encode("utf-8", "surrogateescape"))
        await super().once()

    def _record(self, outcome: Outcome, duration_ms: int, now: float) -> None:
        self._plane.notify(record_agent(self._plane.changes, self._proxy, self.place, outcome, duration_ms, now))

    async def _address(self) -> Address:
        options = self._server.options
        host = options.get("agent-addr", options.get("addr", ("",)))[0]
        return await self._resolved(host, int(options.get("agent-port", ("0",))[0]))


def _at(host: str, port: int) -> Address:
    return Address(AddressKind.INET6 if ":" in host else AddressKind.INET, host, port)


async def _numeric(address: Address) -> Address:
    """A name is asked for in a thread, for the resolver waits. Raises ConfigError."""
    if not is_internet(address):
        return address
    try:
        socket.inet_pton(socket.AF_INET6 if address.kind is AddressKind.INET6 else socket.AF_INET, address.host)
    except OSError:
        return await trio.to_thread.run_sync(resolve, address)
    return address
