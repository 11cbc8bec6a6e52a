"""States at the start, over a reload, and of backends: what follows from the configuration and from the servers. Sans-io.

Only the master calls these.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Final

from common.model import AddressKind, Config, Proxy, Server
from common.observe.counters import Counters
from common.observe.layout import G_STATES_VERSION
from common.observe.states import (
    ADDRESS,
    B_ACTIVE,
    B_BACKUP,
    B_CHANGED_AT_MS,
    B_CHKDOWN,
    B_DOWNTIME_MS,
    B_STATE,
    B_USER_WEIGHT,
    B_WEIGHT,
    BACKEND_DOWN,
    BACKEND_UP,
    CHECK_CONFIGURED,
    CHECK_ENABLED,
    CHECK_IS_AGENT,
    CHECK_PAUSED,
    CONFIGURED_MAINT,
    F_CHANGED_AT_MS,
    F_MAXCONN,
    F_STATE,
    FORCED_DRAIN,
    FORCED_MAINT,
    FQDN,
    LAST_AGENT,
    LAST_CHECK,
    NAME_CHANGED,
    OP_RUNNING,
    OP_STOPPED,
    OPEN,
    RESOLUTION_MAINT,
    S_ADMIN,
    S_AGENT_CODE,
    S_AGENT_DURATION_MS,
    S_AGENT_FALL,
    S_AGENT_HEALTH,
    S_AGENT_RESULT,
    S_AGENT_RISE,
    S_AGENT_STATE,
    S_AGENT_STATUS,
    S_CHANGED_AT_MS,
    S_CHECK_CODE,
    S_CHECK_DURATION_MS,
    S_CHECK_FALL,
    S_CHECK_HEALTH,
    S_CHECK_RESULT,
    S_CHECK_RISE,
    S_CHECK_STATE,
    S_CHECK_STATUS,
    S_CHECKED_AT_MS,
    S_CHKDOWN,
    S_CHKFAIL,
    S_DOWNTIME_MS,
    S_HANAFAIL,
    S_INITIAL_WEIGHT,
    S_MAXCONN,
    S_OPERATIONAL,
    S_PORT,
    S_THROTTLE,
    S_USER_WEIGHT,
    S_WEIGHT,
    STATUS_OF_NAME,
    STOPPED,
    read_texts,
    usable,
    write_text,
)


def changed(counters: Counters) -> None:
    """Tell every reader that states have changed. The master calls it after each change."""
    counters.globals[G_STATES_VERSION] += 1


def initialise(counters: Counters, config: Config, now: float) -> None:
    """States at the start of a service, as the configuration says them."""
    for position, proxy in enumerate(config.proxies):
        initialise_proxy(counters, position, proxy, now)
    changed(counters)


def initialise_proxy(counters: Counters, position: int, proxy: Proxy, now: float) -> None:
    layout = counters.layout
    if proxy.frontend:
        frontend = counters.state(layout.frontends[position])
        frontend[F_STATE] = STOPPED if proxy.disabled else OPEN
        frontend[F_MAXCONN] = proxy.maxconn or 0
        frontend[F_CHANGED_AT_MS] = int(now * 1000)
    for number, server in zip(layout.servers[position], proxy.servers, strict=True):
        initialise_server(counters.state(number), server, now)
    if proxy.backend:
        counters.state(layout.backends[position])[B_CHANGED_AT_MS] = int(now * 1000)
        summarise_backend(counters, position, proxy, now)


def initialise_server(block: memoryview[int], server: Server, now: float) -> None:
    """A server starts up, one failed check away from being down; an agent's word is not waited for."""
    tracking = "track" in server.options
    block[S_OPERATIONAL] = OP_STOPPED if server.disabled else OP_RUNNING
    block[S_ADMIN] = FORCED_MAINT | CONFIGURED_MAINT if server.disabled else 0
    block[S_WEIGHT] = block[S_USER_WEIGHT] = block[S_INITIAL_WEIGHT] = server.weight
    block[S_MAXCONN] = server.maxconn
    block[S_PORT] = server.address.port
    block[S_CHANGED_AT_MS] = int(now * 1000)
    block[S_CHECK_STATUS] = block[S_AGENT_STATUS] = STATUS_OF_NAME["INI"].number
    block[S_CHECK_RISE] = _number(server, "rise", 2)
    block[S_CHECK_FALL] = _number(server, "fall", 3)
    block[S_CHECK_HEALTH] = 0 if server.disabled else initial_health(server, block)
    if not server.disabled and block[S_CHECK_HEALTH] < block[S_CHECK_RISE]:
        block[S_OPERATIONAL] = OP_STOPPED
    if server.check and not tracking:
        block[S_CHECK_STATE] = CHECK_CONFIGURED | CHECK_ENABLED
    if "agent-check" in server.options:
        block[S_AGENT_STATE] = CHECK_CONFIGURED | CHECK_ENABLED | CHECK_IS_AGENT
        block[S_AGENT_RISE] = block[S_AGENT_FALL] = block[S_AGENT_HEALTH] = 1
    if server.disabled:
        block[S_CHECK_STATE] |= CHECK_PAUSED
    if server.address.kind in (AddressKind.INET, AddressKind.INET6):
        if _is_numeric(server.address.host):
            write_text(block, ADDRESS, server.address.host)
        elif not is_service(server):
            write_text(block, FQDN, server.address.host)


def is_service(server: Server) -> bool:
    """Whether the server's name is that of a service record, which says name and port."""
    return server.address.host.startswith("_")


def settle_names(counters: Counters, config: Config, found: Mapping[str, str], now: float) -> None:
    """After `initialise`: where servers with names are at the start. found: "backend/server" -> address, "" for none yet."""
    for position, proxy in enumerate(config.proxies):
        for number, server in zip(counters.layout.servers[position], proxy.servers, strict=True):
            address = found.get(f"{proxy.name}/{server.name}")
            block = counters.state(number)
            if address:
                write_text(block, ADDRESS, address)
            elif address is not None:
                block[S_ADMIN] |= RESOLUTION_MAINT
                block[S_OPERATIONAL], block[S_CHECK_HEALTH] = OP_STOPPED, 0
                if block[S_CHECK_STATE] & CHECK_CONFIGURED:
                    block[S_CHECK_STATE] |= CHECK_PAUSED
        if proxy.backend:
            summarise_backend(counters, position, proxy, now)
    changed(counters)


def initial_health(server: Server, block: memoryview[int]) -> int:
    """The score that `init-state` gives a server at the start and when it leaves maintenance: one check from down, unless it says
    otherwise; only for servers that are checked."""
    rise, fall = block[S_CHECK_RISE], block[S_CHECK_FALL]
    word = server.options.get("init-state", ("",))[0] if server.check else ""
    return {"fully-up": rise + fall - 1, "down": rise - 1, "fully-down": 0}.get(word, rise)


def inherit(counters: Counters, earlier: Counters) -> None:
    """After `initialise`: the next generation goes on with what checks and operators made of the servers before.

    What the configuration says (weight, maxconn, rise, fall, address) is that of the new one, unless an operator had
    changed it: that stands until the file says something else.
    """
    sources = {key: number for number, key in enumerate(earlier.layout.keys) if key.kind}
    for number, key in enumerate(counters.layout.keys):
        source = sources.get(key)
        if source is None:
            continue
        old, new = earlier.state(source), counters.state(number)
        if key.kind == "S":
            _inherit_server(new, old)
        elif key.kind == "B":
            new[:] = old
        elif key.kind == "F":
            new[F_STATE] = old[F_STATE] if old[F_STATE] == STOPPED else new[F_STATE]
    changed(counters)


def summarise(counters: Counters, config: Config, now: float) -> None:
    """All backends, after states came from elsewhere."""
    for position, proxy in enumerate(config.proxies):
        if proxy.backend:
            summarise_backend(counters, position, proxy, now)


def summarise_backend(counters: Counters, position: int, proxy: Proxy, now: float) -> bool:
    """Bring a backend's words up to date with its servers; True when it went up or down by that. The master calls it
    after every change of a server."""
    layout, now_ms = counters.layout, int(now * 1000)
    block = counters.state(layout.backends[position])
    active = backup = weight = user_weight = backup_weight = backup_user_weight = 0
    for number, server in zip(layout.servers[position], proxy.servers, strict=True):
        state = counters.state(number)
        if not usable(state):
            continue
        if server.backup:
            backup += 1
            if backup == 1 or "allbackups" in proxy.options:
                backup_weight, backup_user_weight = backup_weight + state[S_WEIGHT], backup_user_weight + state[S_USER_WEIGHT]
        else:
            active, weight, user_weight = active + 1, weight + state[S_WEIGHT], user_weight + state[S_USER_WEIGHT]
    block[B_ACTIVE], block[B_BACKUP] = active, backup
    block[B_WEIGHT], block[B_USER_WEIGHT] = (weight, user_weight) if active else (backup_weight, backup_user_weight)
    down = bool(proxy.servers) and not active and not backup
    if down == (block[B_STATE] == BACKEND_DOWN):
        return False
    if down:
        block[B_STATE], block[B_CHKDOWN] = BACKEND_DOWN, block[B_CHKDOWN] + 1
    else:
        block[B_STATE], block[B_DOWNTIME_MS] = BACKEND_UP, block[B_DOWNTIME_MS] + now_ms - block[B_CHANGED_AT_MS]
    block[B_CHANGED_AT_MS] = now_ms
    return True


def tracked_servers(config: Config) -> Iterator[tuple[Proxy, Server, str]]:
    """Servers that follow another one, with the "backend/server" that they follow."""
    for proxy in config.proxies:
        for server in proxy.servers:
            if "track" in server.options:
                name = server.options["track"][0]
                yield proxy, server, name if "/" in name else f"{proxy.name}/{name}"


_CARRIED: Final = (
    S_OPERATIONAL, S_CHANGED_AT_MS, S_DOWNTIME_MS, S_CHECK_STATUS, S_CHECK_RESULT, S_CHECK_CODE, S_CHECK_DURATION_MS, S_CHECKED_AT_MS,
    S_CHKFAIL, S_CHKDOWN, S_HANAFAIL, S_THROTTLE, S_AGENT_STATUS, S_AGENT_RESULT, S_AGENT_CODE, S_AGENT_DURATION_MS, S_AGENT_HEALTH,
)  # fmt: skip
_OPERATORS: Final = FORCED_MAINT | FORCED_DRAIN


def _inherit_server(new: memoryview[int], old: memoryview[int]) -> None:
    was_configured_down = old[S_ADMIN] & CONFIGURED_MAINT
    now_configured_down = new[S_ADMIN] & CONFIGURED_MAINT
    if bool(was_configured_down) == bool(now_configured_down):
        new[S_ADMIN] = old[S_ADMIN] & ~CONFIGURED_MAINT | now_configured_down
        for word in _CARRIED:
            new[word] = old[word]
    elif not now_configured_down:
        new[S_ADMIN] = old[S_ADMIN] & _OPERATORS & ~FORCED_MAINT
    if old[S_USER_WEIGHT] != old[S_INITIAL_WEIGHT] and old[S_INITIAL_WEIGHT] == new[S_INITIAL_WEIGHT]:
        new[S_WEIGHT], new[S_USER_WEIGHT] = old[S_WEIGHT], old[S_USER_WEIGHT]
    new[S_CHECK_HEALTH] = min(old[S_CHECK_HEALTH], new[S_CHECK_RISE] + new[S_CHECK_FALL] - 1)
    last_check, last_agent, address, name = read_texts(old)
    if _is_resolved(new, old, name):
        write_text(new, ADDRESS, address)
        write_text(new, FQDN, name)
        new[S_PORT] = old[S_PORT]
    elif old[S_ADMIN] & RESOLUTION_MAINT and read_texts(new)[2]:
        new[S_ADMIN] &= ~RESOLUTION_MAINT
        new[S_OPERATIONAL] = OP_RUNNING
    write_text(new, LAST_CHECK, last_check)
    write_text(new, LAST_AGENT, last_agent)


def _is_resolved(new: memoryview[int], old: memoryview[int], name: str) -> bool:
    """Whether what the old one's name was resolved to is good for the new one: the same name, or one that a record or operator gave."""
    *_, now_named = read_texts(new)
    return bool(name) and (name == now_named or bool(old[S_ADMIN] & NAME_CHANGED))


def _number(server: Server, option: str, default: int) -> int:
    words = server.options.get(option)
    return int(words[0]) if words else default


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
