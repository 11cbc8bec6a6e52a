"""Which process runs what."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model import Address, AddressKind, Bind, Config, Global, Place, Proxy, Rule, Server, Tls
from common.process.plan import Listening, Plan, ProcessPlan, is_dispatcher_listen, plan

NOWHERE = Place()
TCP = Address(AddressKind.INET, "0.0.0.0", 80)
UNIX = Address(AddressKind.UNIX, path="/run/s")


def abns(name: str) -> Address:
    return Address(AddressKind.ABNS, path=name)


def server(address: Address) -> Server:
    return Server(NOWHERE, f"s{address}", address)


def proxy(name: str, binds: Sequence[tuple[Address, set[int]]] = (), servers: Sequence[Address] = (), mode: str = "tcp") -> Proxy:
    return Proxy(
        NOWHERE,
        name,
        frontend=bool(binds),
        backend=bool(servers),
        mode=mode,
        binds=[Bind(NOWHERE, address, processes=frozenset(numbers)) for address, numbers in binds],
        servers=[server(address) for address in servers],
    )


def config(*proxies: Proxy, **settings: Any) -> Config:
    """Binds are numbered through, as the builder does."""
    ids = count()
    for each in proxies:
        for bind in each.binds:
            bind.id = next(ids)
    return Config(globals=Global(**settings), proxies=list(proxies))


def outline(found: Plan) -> list[str]:
    """`role number: bind/shard…`, `*` for a channel twin, `<` for a worker that is handed connections."""
    return [
        f"{process.title}{'<' if process.handover else ''}:"
        + "".join(f" {at.bind_id}/{at.shard}{'*' if at.channel else ''}" for at in process.listening)
        for process in found.processes
    ]


def seed_003() -> tuple[Proxy, Proxy]:
    return (
        proxy("dispatcher", [(TCP, {1})], [abns(f"p{n}") for n in range(2, 6)]),
        proxy("worker", [(abns(f"p{n}"), {n}) for n in range(2, 6)], [TCP], mode="http"),
    )


CASES = {
    "the file of seeds/003": (
        config(*seed_003(), nbproc=5),
        ["dispatcher 1: 0/0", "worker 2: 1/0 1/0*", "worker 3: 2/0 2/0*", "worker 4: 3/0 3/0*", "worker 5: 4/0 4/0*"],
    ),
    "a plain file gets one dispatcher and a worker per core": (
        config(proxy("www", [(TCP, set())], [TCP], mode="http")),
        ["dispatcher 1: 0/0", "worker 1<:", "worker 2<:", "worker 3<:"],
    ),
    "workers and dispatchers say how many; each dispatcher has its own shard of a tcp bind and shares the others": (
        config(proxy("www", [(TCP, set()), (UNIX, set()), (abns("x"), set())], mode="http"), workers=1, dispatchers=2),
        ["dispatcher 1: 0/0 1/0 2/0", "dispatcher 2: 0/1 1/0 2/0", "worker 1<:"],
    ),
    "nbproc alone says how many workers": (
        config(proxy("www", [(TCP, set())], mode="http"), nbproc=2),
        ["dispatcher 1: 0/0", "worker 1<:", "worker 2<:"],
    ),
    "a bind that names processes is listened on by those workers alone": (
        config(proxy("www", [(TCP, {1, 2}), (UNIX, {2})], mode="http")),
        ["worker 1: 0/0", "worker 2: 0/1 1/0"],
    ),
    "a plain bind beside named ones goes through the dispatcher to the named workers": (
        config(*seed_003(), proxy("stats", [(TCP, set())], mode="http")),
        [
            "dispatcher 1: 0/0 5/0",
            "worker 2<: 1/0 1/0*",
            "worker 3<: 2/0 2/0*",
            "worker 4<: 3/0 3/0*",
            "worker 5<: 4/0 4/0*",
        ],
    ),
    "and to every other process of nbproc": (
        config(proxy("www", [(TCP, {1})], mode="http"), proxy("stats", [(TCP, set())], mode="http"), nbproc=3),
        ["dispatcher 1: 1/0", "worker 1<: 0/0", "worker 2<:", "worker 3<:"],
    ),
    "a dispatcher whose workers live elsewhere": (
        config(proxy("dispatcher", [(TCP, set())], [abns("p2")]), dispatchers=2),
        ["dispatcher 1: 0/0", "dispatcher 2: 0/1"],
    ),
    "a number on both sides is one process of each tier": (
        config(proxy("dispatcher", [(TCP, {1})], [abns("p1")]), proxy("worker", [(abns("p1"), {1})], mode="http")),
        ["dispatcher 1: 0/0", "worker 1: 1/0 1/0*"],
    ),
    "without SO_REUSEPORT processes share their tcp sockets": (
        config(proxy("www", [(TCP, set())], mode="http"), workers=1, dispatchers=2, extra={"noreuseport": ((),)}),
        ["dispatcher 1: 0/0", "dispatcher 2: 0/0", "worker 1<:"],
    ),
    "nothing listens": (config(proxy("b", servers=[TCP])), []),
    "nothing at all": (config(), []),
}


@pytest.mark.parametrize("name", CASES)
def test_plan(name: str) -> None:
    given_config, expected = CASES[name]
    assert outline(plan(given_config, cores=3)) == expected


def test_a_disabled_proxy_listens_nowhere() -> None:
    off = proxy("off", [(TCP, set())], mode="http")
    off.disabled = True
    assert plan(config(off), cores=1) == Plan()


def rule(ruleset: str) -> Rule:
    return Rule(NOWHERE, ruleset, ("accept",))


def changed(change: str) -> Proxy:
    """The dispatcher of seeds/003 with one change."""
    dispatcher = seed_003()[0]
    match change:
        case "mode http":
            dispatcher.mode = "http"
        case "a tcp server":
            dispatcher.servers.append(server(TCP))
        case "no server":
            dispatcher.servers = []
        case "tls":
            dispatcher.binds[0].tls = Tls()
        case "content rule":
            dispatcher.rules.append(rule("tcp-request content"))
        case "use_backend":
            dispatcher.rules.append(rule("use_backend"))
        case "another backend":
            dispatcher.default_backend = "other"
        case "connection rule":
            dispatcher.rules.append(rule("tcp-request connection"))
        case "abnsz":
            dispatcher.servers = [server(Address(AddressKind.ABNSZ, path="x"))]
    return dispatcher


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("nothing", True),
        ("abnsz", True),
        ("connection rule", True),
        ("mode http", False),
        ("a tcp server", False),
        ("no server", False),
        ("tls", False),
        ("content rule", False),
        ("use_backend", False),
        ("another backend", False),
    ],
)
def test_what_only_passes_connections_on_is_a_dispatcher_listen(change: str, expected: bool) -> None:
    assert is_dispatcher_listen(changed(change)) is expected


def test_one_tier_or_one_process_alone() -> None:
    whole = plan(config(*seed_003()), cores=1)
    assert [process.title for process in whole.only("dispatcher").processes] == ["dispatcher 1"]
    assert [process.number for process in whole.only("worker").processes] == [2, 3, 4, 5]
    assert whole.only("worker", 3) == Plan((ProcessPlan("worker", 3, (Listening(2), Listening(2, channel=True))),))
    assert whole.only("worker", 1) == Plan()


NUMBERS = st.frozensets(st.integers(1, 6), max_size=3)
BINDS = st.lists(st.tuples(st.sampled_from([TCP, UNIX, abns("a")]), NUMBERS), max_size=4)
PROXIES = st.builds(proxy, st.just("p"), BINDS, st.sampled_from([(), (TCP,), (abns("b"),)]), st.sampled_from(["tcp", "http"]))


@given(st.lists(PROXIES, max_size=4), st.integers(0, 6), st.integers(0, 4), st.integers(1, 3))
def test_every_bind_is_listened_on_and_no_tcp_socket_is_shared(proxies: list[Proxy], nbproc: int, workers: int, dispatchers: int) -> None:
    found = plan(config(*proxies, nbproc=nbproc, workers=workers, dispatchers=dispatchers), cores=2)
    binds = {bind.id: bind for each in proxies for bind in each.binds}
    uses = [at for process in found.processes for at in process.listening]
    assert {at.bind_id for at in uses} == set(binds)
    tcp = [at for at in uses if binds[at.bind_id].address.kind is AddressKind.INET]
    assert len(tcp) == len(set(tcp))
    assert len({(process.role, process.number) for process in found.processes}) == len(found.processes)
    if any(process.handover for process in found.processes):
        assert found.of("dispatcher")
    if found.of("dispatcher") and any(not bind.processes for each in proxies if not is_dispatcher_listen(each) for bind in each.binds):
        assert any(process.handover for process in found.of("worker"))
