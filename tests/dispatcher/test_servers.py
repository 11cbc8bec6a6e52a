"""The choice among servers: what health checks, operators and channels say is heeded."""

from __future__ import annotations

from common.model import Address, AddressKind, Proxy
from common.observe import state_setup, states
from common.observe.counters import Counters
from common.observe.layout import Layout
from dispatcher.servers import Servers
from tests.dispatcher.harness import config_of, dispatcher_listen, server


def servers(*, reachable: bool = True, **settings: object) -> tuple[Servers, Counters, Proxy]:
    proxy = dispatcher_listen(server("a", "a"), server("b", "b"), server("c", "c", backup=True))
    for name, value in settings.items():
        setattr(proxy, name, value)
    config = config_of(proxy, log=Address(AddressKind.ABNSZ, path="nobody"))
    layout = Layout.of(config, 1)
    memory = bytearray(layout.size)
    layout.write(memoryview(memory))
    counters = Counters(memory, layout, 0)
    made = Servers(proxy, 0, counters, reachable=reachable)
    state_setup.initialise(counters, config, 0.0)
    return made, counters, proxy


def chosen(made: Servers, count: int = 4, source: bytes | None = None) -> set[int | None]:
    return {made.choose(source, lambda position: 0) for _ in range(count)}


def test_backup_serves_when_no_other_is_reachable() -> None:
    made, _, _ = servers(reachable=False)
    assert chosen(made) == {None} and not made.any_elected
    made.reachable(2, True)
    assert chosen(made) == {2} and made.any_elected
    made.reachable(0, True)
    assert chosen(made) == {0}


def test_state_in_shared_memory_is_followed() -> None:
    made, counters, _ = servers()
    made.refresh()
    assert chosen(made) == {0, 1}
    block = counters.state(counters.layout.servers[0][0])
    block[states.S_ADMIN] = states.FORCED_MAINT
    assert not made.refresh(), "nobody said that something has changed"
    state_setup.changed(counters)
    assert made.refresh() and chosen(made) == {1}
    block[states.S_ADMIN] = 0
    state_setup.changed(counters)
    assert made.refresh() and chosen(made) == {0, 1}


def test_state_does_not_make_an_unreachable_server_usable() -> None:
    made, counters, _ = servers(reachable=False)
    state_setup.changed(counters)
    assert made.refresh() and chosen(made) == {None}
    made.reachable(1, True)
    assert chosen(made) == {1}


def test_weight_in_shared_memory_is_followed() -> None:
    made, counters, _ = servers(balance=("roundrobin",))
    counters.state(counters.layout.servers[0][1])[states.S_WEIGHT] = 3
    state_setup.changed(counters)
    made.refresh()
    order = [made.choose(None, lambda position: 0) for _ in range(8)]
    assert order.count(1) == 6 and order.count(0) == 2


def test_source_stays_with_its_server() -> None:
    made, _, _ = servers(balance=("source",))
    assert made.needs_source
    assert len(chosen(made, source=b"\x0a\0\0\1")) == 1


def test_disabled_server_is_not_chosen_although_it_is_reachable() -> None:
    proxy = dispatcher_listen(server("a", "a", disabled=True), server("b", "b"))
    config = config_of(proxy, log=Address(AddressKind.ABNSZ, path="nobody"))
    layout = Layout.of(config, 1)
    memory = bytearray(layout.size)
    layout.write(memoryview(memory))
    made = Servers(proxy, 0, Counters(memory, layout, 0), reachable=False)
    made.reachable(0, True)
    made.reachable(1, True)
    assert chosen(made) == {1}
