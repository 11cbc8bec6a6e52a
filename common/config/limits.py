"""Every limit that holds, and where it comes from: what `usher -c -V` prints.

A limit of the file that the machine does not allow never stops a start: a notice says which one holds instead. Descriptors are limited per
process, connections over all of them; a connection through a worker takes two descriptors (client and server), and a pipe pair while it
is spliced. Memory is the worst case of buffers, not what an idle service takes.
Sans-io: what the machine has comes in as numbers.
Source: HAProxy configuration manual 3.2 "maxconn", "maxpipes", 3.1 "ulimit-n", "fd-hard-limit", 4.2 "fullconn", "backlog", "timeout".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from common.config.diagnostics import Diagnostic, Severity
from common.model import Config, Global, Place, Proxy, Timeouts
from common.units import milliseconds

DESCRIPTORS_PER_CONNECTION = 2
DESCRIPTORS_RESERVED = 100  # standard streams, epolls, channels, logs, pipes, shared memory, the operator socket, files being read
BACKLOG_KERNEL = "net.core.somaxconn caps it"
TLS_CONNECTION_BYTES = 31 << 10  # an idle TLS 1.3 connection with released buffers
PLAIN_CONNECTION_BYTES = 4 << 10
FULLCONN_SHARE = 10


@dataclass(frozen=True, slots=True)
class Machine:
    """What the system gives: descriptors per process (hard limit), cores that may be used, memory; 0 = unknown.

    holders: processes that hold connections for as long as these live: the workers (0), or the dispatchers that relay.
    """

    descriptors: int
    cores: int
    memory_bytes: int = 0
    holders: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """One line of the report. scope: "global", "frontend web" …"""

    scope: str
    name: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The effective numbers that processes use, the report, and the notices about sums that do not fit."""

    workers: int
    dispatchers: int
    maxconn: int
    descriptors_per_process: int
    descriptors_needed: int
    memory_needed_bytes: int
    rows: tuple[Limit, ...]
    notices: tuple[Diagnostic, ...]


def effective_limits(config: Config, machine: Machine) -> Limits:
    """What holds for this configuration on this machine."""
    held = config.globals
    workers, workers_origin = _workers(config, machine)
    descriptors, descriptors_origin = _descriptors(held, machine)
    holders = machine.holders or workers
    possible = connections_per_process(config, descriptors) * holders
    maxconn, maxconn_origin = _maxconn(held, possible, descriptors)
    needed = -(-maxconn // holders) * DESCRIPTORS_PER_CONNECTION + descriptors_reserved(config)
    memory = maxconn * (2 * held.bufsize + (TLS_CONNECTION_BYTES if _uses_tls(config) else PLAIN_CONNECTION_BYTES))
    rows = [
        Limit("global", "workers", str(workers), workers_origin),
        Limit("global", "dispatchers", str(held.dispatchers), "dispatchers" if held.dispatchers != 1 else "default"),
        Limit("global", "descriptors per process", str(descriptors), descriptors_origin),
        Limit("global", "maxconn", str(maxconn), maxconn_origin),
        Limit(
            "global",
            "descriptors needed per process",
            str(needed),
            "two per connection; listeners, servers and a reserve",
        ),
        Limit("global", "memory needed", f"{memory >> 20} MB", "worst case: two buffers per connection and the TLS library's share"),
        *_global_rows(held),
    ]
    for proxy in config.proxies:
        rows += _proxy_rows(config, proxy, maxconn)
    notices = tuple(_notices(config, machine, possible, memory))
    return Limits(workers, held.dispatchers, maxconn, descriptors, needed, memory, tuple(rows), notices)


def render_limits(limits: Limits) -> str:
    """The report as aligned text, one limit per line."""
    widths = [max((len(getattr(row, name)) for row in limits.rows), default=0) for name in ("scope", "name", "value")]
    return "\n".join(f"{row.scope:<{widths[0]}}  {row.name:<{widths[1]}}  {row.value:>{widths[2]}}  ({row.origin})" for row in limits.rows)


def connections_per_process(config: Config, descriptors: int) -> int:
    """How many connections fit into so many descriptors, at least one."""
    return max(1, (descriptors - descriptors_reserved(config)) // DESCRIPTORS_PER_CONNECTION)


def descriptors_reserved(config: Config) -> int:
    """What a process needs beside its connections."""
    return DESCRIPTORS_RESERVED + sum(len(proxy.binds) + len(proxy.servers) for proxy in config.proxies)


def _workers(config: Config, machine: Machine) -> tuple[int, str]:
    held = config.globals
    if held.workers:
        return held.workers, "workers"
    named = {number for proxy in config.proxies for bind in proxy.binds for number in bind.processes}
    if named:
        return len(named), "process on bind lines"
    if held.nbproc:
        return held.nbproc, "nbproc"
    return max(machine.cores, 1), "one per usable core"


def _descriptors(held: Global, machine: Machine) -> tuple[int, str]:
    limits = [(machine.descriptors, "the system's hard limit (ulimit -Hn)")]
    for keyword in ("ulimit-n", "fd-hard-limit"):
        if held.extra.get(keyword):
            limits.append((int(held.extra[keyword][-1][0]), keyword))
    return min(limits)


def _maxconn(held: Global, possible: int, descriptors: int) -> tuple[int, str]:
    if not held.maxconn:
        return possible, f"from {descriptors} descriptors per process"
    if held.maxconn > possible:
        return possible, f"maxconn {held.maxconn} does not fit into {descriptors} descriptors per process"
    return held.maxconn, "maxconn"


def _uses_tls(config: Config) -> bool:
    return any(bind.tls for proxy in config.proxies for bind in proxy.binds)


def _global_rows(held: Global) -> Iterator[Limit]:
    for name, value, default in (
        ("tune.bufsize", held.bufsize, 16384),
        ("tune.maxrewrite", held.maxrewrite, 1024),
        ("tune.http.maxhdr", held.max_headers, 101),
        ("tune.maxaccept", held.maxaccept, 4),
    ):
        yield Limit("global", name, str(value), "default" if value == default else name)
    yield Limit("global", "largest head", str(held.bufsize - held.maxrewrite), "tune.bufsize - tune.maxrewrite")
    for name in ("maxconnrate", "maxsessrate", "maxsslrate", "maxsslconn"):
        value = getattr(held, name)
        yield Limit("global", name, str(value) if value else "no limit", name if value else "default")


def _proxy_rows(config: Config, proxy: Proxy, maxconn: int) -> Iterator[Limit]:
    kind = "listen" if proxy.frontend and proxy.backend else "frontend" if proxy.frontend else "backend"
    scope = f"{kind} {proxy.name}"
    if proxy.frontend:
        own = min(proxy.maxconn or maxconn, maxconn)
        origin = (
            "global maxconn"
            if not proxy.maxconn
            else "maxconn"
            if proxy.maxconn <= maxconn
            else f"maxconn {proxy.maxconn} is above global maxconn"
        )
        yield Limit(scope, "maxconn", str(own), origin)
        yield Limit(scope, "backlog", str(proxy.backlog or own), f"{'backlog' if proxy.backlog else 'maxconn'}; {BACKLOG_KERNEL}")
    if proxy.backend:
        fullconn, origin = _fullconn(config, proxy, maxconn)
        yield Limit(scope, "fullconn", str(fullconn), origin)
        limited = [server.maxconn for server in proxy.servers if server.maxconn]
        if limited and len(limited) == len(proxy.servers):
            yield Limit(scope, "servers' maxconn", str(sum(limited)), f"sum over {len(limited)} servers; more requests wait")
    for name, seconds, origin in _timeouts(proxy):
        value = "no limit" if seconds is None else f"{milliseconds(seconds)} ms"
        yield Limit(scope, f"timeout {name}", value, origin)


def _fullconn(config: Config, proxy: Proxy, maxconn: int) -> tuple[int, str]:
    """HAProxy's rule: a tenth of the maxconn of all frontends that may lead here."""
    if proxy.fullconn:
        return proxy.fullconn, "fullconn"
    total = 0
    for other in config.proxies:
        leads = other is proxy or other.default_backend == proxy.name
        leads = leads or any(rule.ruleset == "use_backend" and rule.words[0] == proxy.name for rule in other.rules)
        if other.frontend and leads:
            total += other.maxconn or maxconn
    return max(-(-total // FULLCONN_SHARE), 1), f"a tenth of the maxconn of the frontends that lead here ({total})"


def _timeouts(proxy: Proxy) -> Iterator[tuple[str, float | None, str]]:
    """Each time-out with what it falls back to."""
    times = proxy.timeouts
    chains: tuple[tuple[str, bool, tuple[str, ...]], ...] = (
        ("client", proxy.frontend, ()),
        ("client-hs", proxy.frontend, ("client",)),
        ("client-fin", proxy.frontend, ("client",)),
        ("http-request", proxy.frontend and proxy.mode == "http", ("client",)),
        ("http-keep-alive", proxy.frontend and proxy.mode == "http", ("http-request", "client")),
        ("connect", proxy.backend, ()),
        ("server", proxy.backend, ()),
        ("server-fin", proxy.backend, ("server",)),
        ("queue", proxy.backend, ("connect",)),
        ("tarpit", proxy.mode == "http", ("connect",)),
        ("tunnel", proxy.backend, ("client", "server")),
        ("check", proxy.backend, ()),
        ("request-total", proxy.mode == "http", ()),
    )
    for name, applies, fallbacks in chains:
        if applies:
            seconds, origin = _first(times, name, fallbacks)
            if not (seconds is None and name in ("check", "request-total")):
                yield name, seconds, origin


def _first(times: Timeouts, name: str, fallbacks: tuple[str, ...]) -> tuple[float | None, str]:
    for candidate in (name, *fallbacks):
        seconds = getattr(times, candidate.replace("-", "_"))
        if seconds:
            return seconds, f"timeout {candidate}"
    return None, "not set"


def _notices(config: Config, machine: Machine, possible: int, memory: int) -> Iterator[Diagnostic]:
    held = config.globals
    if held.maxconn > possible:
        yield _note(
            f"maxconn {held.maxconn} needs more descriptors than the system allows: {possible} holds instead",
            "Raise the hard limit (LimitNOFILE= in systemd, ulimit -Hn), or lower maxconn.",
            "maxconn-above-descriptors",
        )
    if machine.memory_bytes and memory > machine.memory_bytes and held.maxconn:
        yield _note(
            f"{min(held.maxconn, possible)} connections with full buffers need {memory >> 20} MB, the machine has "
            f"{machine.memory_bytes >> 20} MB",
            "Lower maxconn or tune.bufsize if connections carry much at one time.",
            "memory",
        )
    for proxy in config.proxies:
        if proxy.frontend and proxy.maxconn and held.maxconn and proxy.maxconn > held.maxconn:
            yield _note(
                f"maxconn {proxy.maxconn} of '{proxy.name}' is above the global maxconn {held.maxconn}, which holds",
                "Raise the global maxconn, or lower this one.",
                "maxconn-above-global",
                proxy.place,
            )


def _note(message: str, hint: str, slug: str, place: Place | None = None) -> Diagnostic:
    return Diagnostic(Severity.NOTICE, place or Place(), message, hint, slug=slug, whole=True)
