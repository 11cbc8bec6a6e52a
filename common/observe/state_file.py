"""Server state files: what `show servers state` printed, read again at a start. Sans-io.

A line is believed as far as it fits: a server that is not in the configuration, a number that is none, a version that we do not know
change nothing. What an operator had ordered holds again (maintenance, drain, weight, address, name); whether a server is up is the
last check's word until the next one.

Source: HAProxy configuration manual 3.1 "server-state-file", 4.2 "load-server-state-from-file"; management guide 9.3 "show servers state".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from common.model import AddressKind, Config, Server
from common.observe.counters import Counters
from common.observe.state_setup import changed, summarise_backend
from common.observe.states import (
    ADDRESS,
    CHECK_CONFIGURED,
    CHECK_ENABLED,
    CHECK_PAUSED,
    DRAIN,
    FORCED_DRAIN,
    FORCED_MAINT,
    FQDN,
    MAINT,
    NAME_CHANGED,
    OP_RUNNING,
    OP_STOPPED,
    OP_STOPPING,
    RESOLUTION_MAINT,
    S_ADMIN,
    S_CHANGED_AT_MS,
    S_CHECK_FALL,
    S_CHECK_HEALTH,
    S_CHECK_RESULT,
    S_CHECK_RISE,
    S_CHECK_STATE,
    S_CHECK_STATUS,
    S_INITIAL_WEIGHT,
    S_OPERATIONAL,
    S_PORT,
    S_USER_WEIGHT,
    S_WEIGHT,
    write_text,
)

VERSION: Final = "1"
_COLUMNS_LEAST: Final = 19
WEIGHT_MAX: Final = 256
_PORT_MAX: Final = 65535


@dataclass(frozen=True, slots=True)
class Saved:
    """One server's line."""

    address: str
    operational: int
    admin: int
    user_weight: int
    initial_weight: int
    changed_s: int
    check_status: int
    check_result: int
    check_health: int
    check_state: int
    fqdn: str
    port: int
    backend_id: int
    server_id: int


def read_states(text: str) -> dict[str, Saved]:
    """The servers of a file by "backend/server". Empty for a version that is not ours."""
    lines = text.splitlines()
    if not lines or lines[0].strip() != VERSION:
        return {}
    found = {}
    for line in lines[1:]:
        words = line.split()
        if line.startswith("#") or len(words) < _COLUMNS_LEAST:
            continue
        saved = _read(words)
        if saved is not None:
            found[f"{words[1]}/{words[3]}"] = saved
    return found


def _read(words: list[str]) -> Saved | None:
    try:
        numbers = {column: int(words[column]) for column in (0, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 18)}
    except ValueError:
        return None
    address = words[4] if _is_numeric(words[4]) else ""
    if not 0 <= numbers[5] <= OP_STOPPING or not 0 <= numbers[7] <= WEIGHT_MAX or not 0 <= numbers[18] <= _PORT_MAX:
        return None
    name = "" if words[17] == "-" else words[17]
    return Saved(
        address=address,
        operational=numbers[5],
        admin=numbers[6],
        user_weight=numbers[7],
        initial_weight=numbers[8],
        changed_s=numbers[9],
        check_status=numbers[10],
        check_result=numbers[11],
        check_health=numbers[12],
        check_state=numbers[13],
        fqdn=name,
        port=numbers[18],
        backend_id=numbers[0],
        server_id=numbers[2],
    )


def apply_states(counters: Counters, config: Config, saved: Mapping[str, Saved], now: float) -> None:
    """After `initialise` and `settle_names`. saved: for the servers of backends that load it."""
    for position, proxy in enumerate(config.proxies):
        for number, server in zip(counters.layout.servers[position], proxy.servers, strict=True):
            found = saved.get(f"{proxy.name}/{server.name}")
            if found is not None:
                _apply(counters.state(number), server, found, now)
        if proxy.backend and saved:
            summarise_backend(counters, position, proxy, now)
    changed(counters)


def _apply(block: memoryview[int], server: Server, saved: Saved, now: float) -> None:
    if saved.user_weight != saved.initial_weight and saved.initial_weight == block[S_INITIAL_WEIGHT]:
        block[S_USER_WEIGHT] = block[S_WEIGHT] = saved.user_weight
    if server.address.kind in (AddressKind.INET, AddressKind.INET6):
        if saved.address:
            write_text(block, ADDRESS, saved.address)
            block[S_ADMIN] &= ~RESOLUTION_MAINT
        if saved.fqdn and saved.admin & NAME_CHANGED:
            write_text(block, FQDN, saved.fqdn)
            block[S_ADMIN] |= NAME_CHANGED
        if saved.port:
            block[S_PORT] = saved.port
    block[S_ADMIN] |= saved.admin & (FORCED_MAINT | FORCED_DRAIN)
    block[S_CHANGED_AT_MS] = int((now - max(0, saved.changed_s)) * 1000)
    if block[S_ADMIN] & MAINT:
        block[S_OPERATIONAL], block[S_CHECK_HEALTH] = OP_STOPPED, 0
        if block[S_CHECK_STATE] & CHECK_CONFIGURED:
            block[S_CHECK_STATE] |= CHECK_PAUSED
        return
    block[S_CHECK_STATE] &= ~CHECK_PAUSED
    if not block[S_CHECK_STATE] & CHECK_ENABLED:
        block[S_OPERATIONAL] = OP_RUNNING
        return
    block[S_OPERATIONAL] = saved.operational if not block[S_ADMIN] & DRAIN or saved.operational != OP_STOPPING else OP_RUNNING
    most = block[S_CHECK_RISE] + block[S_CHECK_FALL] - 1
    down = block[S_OPERATIONAL] == OP_STOPPED
    least, top = (0, block[S_CHECK_RISE] - 1) if down else (block[S_CHECK_RISE], most)
    block[S_CHECK_HEALTH] = min(max(saved.check_health, least), top)
    block[S_CHECK_STATUS], block[S_CHECK_RESULT] = saved.check_status, saved.check_result


def _is_numeric(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
