from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.model import Config
from common.observe import states as s
from common.observe.counters import Counters
from common.observe.layout import G_STATES_VERSION, Layout
from common.observe.state_setup import changed, inherit, initialise, summarise_backend, tracked_servers
from common.observe.states import (
    ADDRESS,
    FQDN,
    LAST_AGENT,
    LAST_CHECK,
    STATUS_OF_NAME,
    read_server,
    read_texts,
    usable,
    write_text,
)
from tests.common.observe.configurations import address, server, web

BE = 1


def service(config: Config) -> Counters:
    layout = Layout.of(config, 1)
    counters = Counters(bytearray(layout.size), layout)
    initialise(counters, config, 10.0)
    return counters


def with_servers(*servers: Any) -> Config:
    config = web()
    config.proxies[BE].servers[:] = servers
    return config


def block_of(counters: Counters, position: int = 0) -> memoryview[int]:
    return counters.state(counters.layout.servers[BE][position])


def test_a_server_starts_up_one_failed_check_from_down() -> None:
    state = read_server(block_of(service(with_servers(server("s", check=True, options={"rise": ("4",)}, weight=7, maxconn=9)))), 12.5)
    assert (state.operational, state.admin, state.check_health, state.check_rise, state.check_fall) == (s.OP_RUNNING, 0, 4, 4, 3)
    assert (state.weight, state.user_weight, state.initial_weight, state.maxconn, state.changed_s) == (7, 7, 7, 9, 2)
    assert state.check_status.name == "INI"
    assert state.check_state == s.CHECK_CONFIGURED | s.CHECK_ENABLED
    assert state.address == "127.0.0.1"
    assert state.status() == "UP 1/3"


def test_a_disabled_server_starts_in_maintenance_as_state_files_say_it() -> None:
    state = read_server(block_of(service(with_servers(server("s", disabled=True)))), 10.0)
    assert (state.operational, state.admin, state.check_state, state.check_health) == (0, 5, 8, 0)
    assert state.status() == "MAINT"
    assert not state.up


def test_an_agent_is_configured_enabled_and_marked() -> None:
    state = read_server(block_of(service(with_servers(server("s", options={"agent-check": ()})))), 10.0)
    assert state.agent_state == 22
    assert state.status() == "no check"


def test_a_server_that_follows_another_has_no_check_of_its_own() -> None:
    config = with_servers(server("a", check=True), server("b", check=True, options={"track": ("a",)}))
    assert read_server(block_of(service(config), 1), 10.0).check_state == 0
    assert [(proxy.name, one.name, name) for proxy, one, name in tracked_servers(config)] == [("be", "b", "be/a")]


def test_a_name_is_kept_until_it_is_resolved() -> None:
    named = server("s")
    named.address = replace(address(80), host="app.example")
    state = read_server(block_of(service(with_servers(named))), 10.0)
    assert (state.address, state.fqdn) == ("", "app.example")


@pytest.mark.parametrize(
    ("words", "tracked", "status"),
    [
        ({}, "", "no check"),
        ({}, "be/x", "no check"),
        ({s.S_CHECK_STATE: 6, s.S_CHECK_HEALTH: 3, s.S_ADMIN: s.FORCED_DRAIN}, "", "DRAIN 2/3"),
        ({s.S_CHECK_STATE: 6, s.S_CHECK_HEALTH: 4}, "", "UP"),
        ({s.S_CHECK_STATE: 6, s.S_CHECK_HEALTH: 3}, "", "UP 2/3"),
        ({s.S_CHECK_STATE: 6, s.S_CHECK_HEALTH: 2}, "", "UP 1/3"),
        ({s.S_CHECK_STATE: 6, s.S_CHECK_HEALTH: 1, s.S_OPERATIONAL: s.OP_STOPPED}, "", "DOWN 1/2"),
        ({s.S_CHECK_STATE: 6, s.S_CHECK_HEALTH: 0, s.S_OPERATIONAL: s.OP_STOPPED}, "", "DOWN"),
        ({s.S_CHECK_STATE: 6, s.S_CHECK_HEALTH: 4, s.S_OPERATIONAL: s.OP_STOPPING}, "", "NOLB"),
        ({s.S_ADMIN: s.FORCED_MAINT}, "", "MAINT"),
        ({s.S_ADMIN: s.INHERITED_MAINT}, "be/x", "MAINT (via be/x)"),
        ({s.S_ADMIN: s.RESOLUTION_MAINT}, "", "MAINT (resolution)"),
        ({s.S_ADMIN: s.FORCED_DRAIN}, "", "DRAIN"),
        ({s.S_ADMIN: s.FORCED_DRAIN, s.S_OPERATIONAL: s.OP_STOPPED}, "", "DOWN"),
        ({s.S_AGENT_STATE: 22, s.S_OPERATIONAL: s.OP_STOPPED}, "", "DOWN (agent)"),
        ({s.S_AGENT_STATE: 22, s.S_AGENT_HEALTH: 1, s.S_ADMIN: s.FORCED_DRAIN}, "", "DRAIN (agent)"),
        ({s.S_AGENT_STATE: 22, s.S_AGENT_HEALTH: 1}, "", "no check"),
    ],
)
def test_the_status_says_what_an_operator_wants_to_know(words: dict[int, int], tracked: str, status: str) -> None:
    block = block_of(service(web()))
    for word, value in words.items():
        block[word] = value
    assert read_server(block, 10.0).status(tracked) == status


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, True),
        ({s.S_OPERATIONAL: s.OP_STARTING}, True),
        ({s.S_OPERATIONAL: s.OP_STOPPED}, False),
        ({s.S_OPERATIONAL: s.OP_STOPPING}, False),
        ({s.S_ADMIN: s.FORCED_DRAIN}, False),
        ({s.S_ADMIN: s.NAME_CHANGED}, True),
        ({s.S_WEIGHT: 0}, False),
    ],
)
def test_load_balancing_chooses_only_usable_servers(words: dict[int, int], expected: bool) -> None:
    block = block_of(service(web()))
    for word, value in words.items():
        block[word] = value
    assert usable(block) is expected


def test_downtime_counts_also_while_it_lasts() -> None:
    block = block_of(service(web()))
    block[s.S_DOWNTIME_MS], block[s.S_OPERATIONAL], block[s.S_CHANGED_AT_MS] = 5000, s.OP_STOPPED, 20_000
    assert read_server(block, 23.0).downtime_s == 8
    block[s.S_OPERATIONAL] = s.OP_RUNNING
    assert read_server(block, 30.0).downtime_s == 5


@given(st.text(max_size=300), st.sampled_from([LAST_CHECK, LAST_AGENT, ADDRESS, FQDN]))
def test_a_text_is_kept_as_far_as_it_fits(text: str, place: tuple[int, int]) -> None:
    block = block_of(service(web()))
    numbers = block[: s.S_TEXT_VERSION].tolist()
    before = list(read_texts(block))
    write_text(block, place, text)
    after = list(read_texts(block))
    which = (LAST_CHECK, LAST_AGENT, ADDRESS, FQDN).index(place)
    kept = after[which].encode()
    assert text.encode("utf-8", "replace").startswith(kept)
    assert len(kept) >= min(len(text.encode("utf-8", "replace")), place[1] * 8 - 1) - 3
    before[which] = after[which]
    assert after == before
    assert block[: s.S_TEXT_VERSION].tolist() == numbers
    assert block[s.S_TEXT_VERSION] % 2 == 0


def test_a_reader_does_not_hang_on_a_writer_that_died_in_the_middle() -> None:
    block = block_of(service(web()))
    block[s.S_TEXT_VERSION] += 1
    assert read_texts(block)[2] == "127.0.0.1"


def test_a_backend_goes_down_with_its_last_usable_server_and_comes_back() -> None:
    config = with_servers(server("a", weight=3), server("b", backup=True, weight=5))
    counters = service(config)
    backend = counters.state(counters.layout.backends[BE])
    proxy = config.proxies[BE]

    def words() -> list[int]:
        return [backend[word] for word in (s.B_STATE, s.B_ACTIVE, s.B_BACKUP, s.B_WEIGHT, s.B_CHKDOWN)]

    assert words() == [s.BACKEND_UP, 1, 1, 3, 0]
    block_of(counters, 0)[s.S_OPERATIONAL] = s.OP_STOPPED
    assert not summarise_backend(counters, BE, proxy, 11.0)
    assert words() == [s.BACKEND_UP, 0, 1, 5, 0]
    block_of(counters, 1)[s.S_ADMIN] = s.FORCED_MAINT
    assert summarise_backend(counters, BE, proxy, 12.0)
    assert words() == [s.BACKEND_DOWN, 0, 0, 0, 1]
    block_of(counters, 1)[s.S_ADMIN] = 0
    assert summarise_backend(counters, BE, proxy, 15.0)
    assert words() == [s.BACKEND_UP, 0, 1, 5, 1]
    assert backend[s.B_DOWNTIME_MS] == 3000


def test_a_backend_without_servers_is_not_down() -> None:
    counters = service(with_servers())
    assert counters.state(counters.layout.backends[BE])[s.B_STATE] == s.BACKEND_UP


def test_readers_see_that_something_changed() -> None:
    counters = service(web())
    before = counters.globals[G_STATES_VERSION]
    changed(counters)
    assert counters.globals[G_STATES_VERSION] == before + 1


def reload(old_config: Config, new_config: Config, words: dict[int, int]) -> memoryview[int]:
    """The state of the first server after a reload, given what the old one's words were."""
    old = service(old_config)
    block = block_of(old)
    for word, value in words.items():
        block[word] = value
    write_text(block, LAST_CHECK, "Connection refused")
    new = service(new_config)
    inherit(new, old)
    return block_of(new)


def test_health_survives_a_reload() -> None:
    l4con = STATUS_OF_NAME["L4CON"].number
    down = {s.S_OPERATIONAL: s.OP_STOPPED, s.S_CHECK_STATUS: l4con, s.S_CHECK_HEALTH: 0, s.S_CHKFAIL: 4, s.S_CHANGED_AT_MS: 5000}
    block = reload(with_servers(server("s", check=True)), with_servers(server("s", check=True, weight=9)), down)
    state = read_server(block, 12.0)
    assert (state.operational, state.check_status.name, state.check_health, state.chkfail, state.changed_s) == (0, "L4CON", 0, 4, 7)
    assert state.last_check == "Connection refused"
    assert state.weight == 9


@pytest.mark.parametrize(
    ("before", "after", "words", "admin", "weight"),
    [
        ({}, {}, {s.S_ADMIN: s.FORCED_MAINT}, s.FORCED_MAINT, 1),
        ({}, {}, {s.S_ADMIN: s.FORCED_DRAIN}, s.FORCED_DRAIN, 1),
        ({}, {}, {s.S_WEIGHT: 5, s.S_USER_WEIGHT: 5}, 0, 5),
        ({}, {"weight": 8}, {s.S_WEIGHT: 5, s.S_USER_WEIGHT: 5}, 0, 8),
        ({"disabled": True}, {}, {}, 0, 1),
        ({"disabled": True}, {"disabled": True}, {s.S_ADMIN: s.CONFIGURED_MAINT}, s.CONFIGURED_MAINT, 1),
        ({}, {"disabled": True}, {}, 5, 1),
    ],
    ids=["maintenance", "drain", "weight", "weight in the file", "enabled in the file", "enabled by hand", "disabled in the file"],
)
def test_what_an_operator_ordered_survives_a_reload_unless_the_file_says_otherwise(
    before: dict[str, Any], after: dict[str, Any], words: dict[int, int], admin: int, weight: int
) -> None:
    block = reload(with_servers(server("s", **before)), with_servers(server("s", **after)), words)
    assert (block[s.S_ADMIN], block[s.S_WEIGHT]) == (admin, weight)


def test_a_new_server_starts_as_it_is_written() -> None:
    new = service(with_servers(server("other", weight=4)))
    inherit(new, service(web()))
    assert block_of(new)[s.S_WEIGHT] == 4


def test_a_paused_frontend_stays_paused() -> None:
    old, new = service(web()), service(web())
    old.state(old.layout.frontends[0])[s.F_STATE] = s.STOPPED
    inherit(new, old)
    assert new.state(new.layout.frontends[0])[s.F_STATE] == s.STOPPED
