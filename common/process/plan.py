"""Which process runs what: a pure function of the configuration. Sans-io.

HAProxy's `process N` numbers one flat set of processes. Usher has two programs, so each number must find its tier:

- A *dispatcher listen* is a proxy in mode tcp that has servers, all of them abstract sockets (`abns@`, `abnsz@`), and
  nothing that would need to look into the stream: no TLS on its binds, no rules but on the connection, no other backend.
  It does nothing but pass connections on, and runs in the dispatcher program.
- Every other proxy runs in workers. A bind of it that names processes is listened on by just those workers. A bind
  that names none belongs to the implicit tier: dispatchers listen, and hand each connection to the least-loaded worker.

Numbers. Where the file names processes, they keep the file's numbers (in seeds/003 process 1 is the dispatcher, 2 to 5
are the workers); a number that is named on both sides gets one process of each tier. Where it names none, dispatchers
count from 1 to `dispatchers` and workers from 1 to `workers`.

Each process that listens on a TCP bind gets a socket of its own in one SO_REUSEPORT group (a *shard*), so that they do
not wake each other up. Unix and abstract sockets and inherited descriptors cannot be sharded: processes share them, as
they do everything under `noreuseport`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from common.model import AddressKind, Bind, Config, Proxy
from common.process.launch import DISPATCHER, WORKER
from common.process.switches import is_on

_TCP = (AddressKind.INET, AddressKind.INET6)
_ABSTRACT = (AddressKind.ABNS, AddressKind.ABNSZ)


@dataclass(frozen=True, slots=True)
class Listening:
    """One listening socket of one process. channel: the SEQPACKET twin of an abstract bind rather than its stream socket."""

    bind_id: int
    shard: int = 0
    channel: bool = False


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process. handover: it is a worker that the implicit tier's dispatchers give connections to."""

    role: str
    number: int
    listening: tuple[Listening, ...] = ()
    handover: bool = False

    @property
    def title(self) -> str:
        return f"{self.role} {self.number}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All processes, dispatchers first, each tier in order of number."""

    processes: tuple[ProcessPlan, ...] = ()

    def of(self, role: str) -> tuple[ProcessPlan, ...]:
        return tuple(process for process in self.processes if process.role == role)

    def only(self, role: str, number: int | None = None) -> Plan:
        """The plan of one tier alone, or of one process of it."""
        return Plan(tuple(process for process in self.of(role) if number in (None, process.number)))

    def sockets(self) -> set[Listening]:
        return {listening for process in self.processes for listening in process.listening}


def is_dispatcher_listen(proxy: Proxy) -> bool:
    """True if the proxy only passes connections on to abstract sockets."""
    return (
        proxy.mode == "tcp"
        and bool(proxy.servers)
        and all(server.address.kind in _ABSTRACT for server in proxy.servers)
        and not any(bind.tls for bind in proxy.binds)
        and all(rule.ruleset == "tcp-request connection" for rule in proxy.rules)
        and proxy.default_backend in (None, proxy.name)
    )


def plan(config: Config, cores: int) -> Plan:
    """The processes of a configuration. cores: how many this process may use; workers when nothing says how many."""
    tiers = _sort_binds(config)
    dispatchers = _dispatcher_numbers(config, tiers)
    workers = _worker_numbers(config, tiers, set(dispatchers), cores)
    listeners = _listeners(tiers, dispatchers, workers, sharded=() if is_on(config.globals, "noreuseport") else _TCP)
    handover = bool(tiers.implicit)
    return Plan(
        tuple(ProcessPlan(DISPATCHER, number, listeners[DISPATCHER, number]) for number in dispatchers)
        + tuple(ProcessPlan(WORKER, number, listeners[WORKER, number], handover) for number in workers)
    )


@dataclass(slots=True)
class _Tiers:
    """Every enabled bind by who listens. dispatching: binds of dispatcher listens; implicit and direct: of all other proxies."""

    dispatching: list[Bind] = field(default_factory=list)
    implicit: list[Bind] = field(default_factory=list)
    direct: list[Bind] = field(default_factory=list)


def _sort_binds(config: Config) -> _Tiers:
    tiers = _Tiers()
    for proxy in config.proxies:
        if proxy.disabled:
            continue
        if is_dispatcher_listen(proxy):
            tiers.dispatching += proxy.binds
            continue
        for bind in proxy.binds:
            (tiers.direct if bind.processes else tiers.implicit).append(bind)
    return tiers


def _named(binds: list[Bind]) -> set[int]:
    return {number for bind in binds for number in bind.processes}


def _dispatcher_numbers(config: Config, tiers: _Tiers) -> list[int]:
    if not tiers.dispatching and not tiers.implicit:
        return []
    return sorted(_named(tiers.dispatching)) or list(range(1, max(1, config.globals.dispatchers) + 1))


def _worker_numbers(config: Config, tiers: _Tiers, dispatchers: set[int], cores: int) -> list[int]:
    """Named processes are the workers. With binds that name none, `nbproc` adds its other processes to them;
    where nothing is named at all, `workers`, then `nbproc`, then the cores say how many."""
    named = _named(tiers.direct)
    if not tiers.implicit:
        return sorted(named)
    if named:
        others = {number for number in range(1, config.globals.nbproc + 1) if number not in dispatchers}
        return sorted(named | others)
    return list(range(1, max(1, config.globals.workers or config.globals.nbproc or cores) + 1))


def _listeners(
    tiers: _Tiers, dispatchers: list[int], workers: list[int], sharded: Collection[AddressKind]
) -> dict[tuple[str, int], tuple[Listening, ...]]:
    found: dict[tuple[str, int], list[Listening]] = {(DISPATCHER, number): [] for number in dispatchers}
    found |= {(WORKER, number): [] for number in workers}
    for bind in tiers.dispatching + tiers.implicit:
        for shard, number in enumerate(sorted(bind.processes) or dispatchers):
            found[DISPATCHER, number].append(Listening(bind.id, shard if bind.address.kind in sharded else 0))
    for bind in tiers.direct:
        for shard, number in enumerate(sorted(bind.processes)):
            found[WORKER, number].extend(_direct(bind, shard if bind.address.kind in sharded else 0))
    return {key: tuple(listening) for key, listening in found.items()}


def _direct(bind: Bind, shard: int) -> Iterator[Listening]:
    """A worker's own bind; on an abstract name also the channel on which a dispatcher with `pass-fd` hands connections over."""
    yield Listening(bind.id, shard)
    if bind.address.kind in _ABSTRACT:
        yield Listening(bind.id, shard, channel=True)
