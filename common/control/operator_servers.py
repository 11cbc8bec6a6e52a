"""Commands that change servers: `set server`, `set weight`, `enable|disable server|health|agent`, `set maxconn server`.

Changes are made in the shared states, where every process sees them; their lines go to console and logs.

Source: HAProxy management guide 9.3; answers observed from 2.6.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import Final

from common.control.operator_handlers import Request, handles
from common.control.operator_plane import ERROR, WARNING, Answer
from common.observe.server_changes import FROM_OPERATOR
from common.observe.server_notices import Place
from common.observe.state_setup import changed
from common.observe.states import (
    ADDRESS,
    CHECK_CONFIGURED,
    CHECK_ENABLED,
    RESOLUTION_MAINT,
    S_ADMIN,
    S_AGENT_STATE,
    S_CHECK_STATE,
    S_MAXCONN,
    S_PORT,
    read_server,
    write_text,
)

PORT_MAX: Final = 65535
BY: Final = "by 'stats socket command'"
USAGE: Final = (
    "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | check-addr | check-port | fqdn | "
    "health | ssl | state | weight\n"
)
_NO_AGENT: Final = "agent checks are not enabled on this server.\n"
_NO_HEALTH: Final = "health checks are not enabled on this server\n"

Change = Callable[[Request, Place], Awaitable[Answer]]


def _find(request: Request, name: str) -> Place | Answer:
    changes = request.plane.changes
    if "/" not in name:
        return Answer("Require 'backend/server'.\n", ERROR)
    if changes.find_backend(name.partition("/")[0]) is None:
        return Answer("No such backend.\n", ERROR)
    place = changes.find(name)
    return Answer("No such server.\n", ERROR) if place is None else place


@handles("set server")
async def set_server(request: Request) -> Answer:
    place = _find(request, request.word(2))
    if isinstance(place, Answer):
        return place
    change = _CHANGES.get(request.word(3))
    return Answer(USAGE, ERROR) if change is None else await change(request, place)


@handles("enable server", "disable server")
async def switch_server(request: Request) -> Answer:
    place = _find(request, request.word(2))
    if isinstance(place, Answer):
        return place
    change = request.plane.changes.ready if request.words[0] == "enable" else request.plane.changes.maintain
    request.plane.notify(change(place, request.plane.now))
    return Answer()


@handles("enable health", "disable health")
async def switch_health(request: Request) -> Answer:
    return _switch_check(request, S_CHECK_STATE, "Health check was not configured on this server, cannot enable.\n")


@handles("enable agent", "disable agent")
async def switch_agent(request: Request) -> Answer:
    return _switch_check(request, S_AGENT_STATE, "Agent was not configured on this server, cannot enable.\n")


def _switch_check(request: Request, word: int, not_configured: str) -> Answer:
    place = _find(request, request.word(2))
    if isinstance(place, Answer):
        return place
    block = request.plane.changes.block(place)
    if request.words[0] == "disable":
        block[word] &= ~CHECK_ENABLED
    elif not block[word] & CHECK_CONFIGURED:
        return Answer(not_configured, ERROR)
    else:
        block[word] |= CHECK_ENABLED
    changed(request.plane.counters)
    return Answer()


@handles("set weight")
async def set_weight(request: Request) -> Answer:
    place = _find(request, request.word(2))
    return place if isinstance(place, Answer) else _weigh(request, place, request.word(3))


@handles("set maxconn server")
async def set_maxconn_server(request: Request) -> Answer:
    place = _find(request, request.word(3))
    if isinstance(place, Answer):
        return place
    text = request.word(4)
    if not text:
        return Answer("Require <maxconn>.\n", ERROR)
    if not text.isdigit():
        return Answer("maxconn string empty or preceded by garbage\n", ERROR)
    request.plane.changes.block(place)[S_MAXCONN] = int(text)
    changed(request.plane.counters)
    return Answer()


# --- set server B/S … ---------------------------------------------------------------------------------------------------


def _weigh(request: Request, place: Place, text: str) -> Answer:
    if not text:
        return Answer("Require <weight> or <weight%>.\n", ERROR)
    fault = request.plane.changes.set_weight(place, text, request.plane.now)
    request.plane.notify(request.plane.changes.told())
    return Answer(f"{fault}\n", ERROR) if fault else Answer()


async def _weight(request: Request, place: Place) -> Answer:
    return _weigh(request, place, request.word(4))


async def _state(request: Request, place: Place) -> Answer:
    changes = request.plane.changes
    orders = {"ready": changes.ready, "drain": changes.drain, "maint": changes.maintain}
    order = orders.get(request.word(4))
    if order is None:
        return Answer("'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n", ERROR)
    request.plane.notify(order(place, request.plane.now))
    return Answer()


async def _health(request: Request, place: Place) -> Answer:
    changes = request.plane.changes
    if changes.is_tracking(place):
        return Answer("cannot change health on a tracking server.\n", ERROR)
    orders = {"up": changes.goes_up, "stopping": changes.stops, "down": changes.goes_down}
    order = orders.get(request.word(4))
    if order is None:
        return Answer("'set server <srv> health' expects 'up', 'stopping', or 'down'.\n", ERROR)
    request.plane.notify(order(place, FROM_OPERATOR, request.plane.now))
    return Answer()


async def _agent(request: Request, place: Place) -> Answer:
    changes, word = request.plane.changes, request.word(4)
    if not changes.block(place)[S_AGENT_STATE] & CHECK_ENABLED:
        return Answer(_NO_AGENT, ERROR)
    if word not in ("up", "down"):
        return Answer("'set server <srv> agent' expects 'up' or 'down'.\n", ERROR)
    request.plane.notify(changes.agent_says(place, up=word == "up", why=FROM_OPERATOR, now=request.plane.now))
    return Answer()


async def _address(request: Request, place: Place) -> Answer:
    """Move a server; says what has changed and what has not, in HAProxy's words."""
    if not request.word(4):
        return Answer("set server <b>/<s> addr requires an address and optionally a port.\n", ERROR)
    address = _ip(request.word(4))
    if address is None:
        return Answer(f"Invalid addr '{request.word(4)}' {BY}\n", WARNING)
    block = request.plane.changes.block(place)
    state = read_server(block, request.plane.now)
    said = [f"IP changed from '{state.address}' to '{address}'" if address != state.address else "no need to change the addr"]
    if request.word(5) == "port":
        port = request.word(6)
        if not port.isdigit() or int(port) > PORT_MAX:
            said.append(f"problem converting port '{port}' to an int")
            return Answer(f"{', '.join(said)} {BY}\n", WARNING)
        if int(port) == state.port:
            said.append("no need to change the port")
        else:
            said.append(f"port changed from '{state.port}' to '{port}'")
            block[S_PORT] = int(port)
    if block[S_ADMIN] & RESOLUTION_MAINT:
        request.plane.notify(request.plane.changes.resolved(place, address, BY.removeprefix("by "), request.plane.now))
    write_text(block, ADDRESS, address)
    changed(request.plane.counters)
    return Answer(f"{', '.join(said)} {BY}\n", WARNING)


async def _fqdn(request: Request, place: Place) -> Answer:
    if not request.word(4):
        return Answer("set server <b>/<s> fqdn requires a FQDN.\n", ERROR)
    if "resolvers" not in request.plane.changes.server(place).options:
        return Answer("set server <b>/<s> fqdn failed because no resolution is configured.\n", ERROR)
    plane = request.plane
    plane.notify(plane.changes.renamed(place, request.word(4), plane.changes.block(place)[S_PORT], "stats socket command"))
    for changed_names in plane.servers_changed:
        changed_names()
    return Answer()


async def _tls(_request: Request, _place: Place) -> Answer:
    return Answer("'set server <srv> ssl' cannot be set.  default-server should define ssl settings\n", ERROR)


async def _check_address(request: Request, place: Place) -> Answer:
    """check-addr and agent-addr: where the checks of a server go."""
    kind = request.word(3)
    if fault := _unchecked(request, place, kind):
        return fault
    if not request.word(4):
        return Answer(f"set server <b>/<s> {kind} requires an address and optionally a port.\n", ERROR)
    address = _ip(request.word(4))
    if address is None:
        return Answer(f"invalid {kind.partition('-')[0]} address\n", ERROR)
    options = request.plane.changes.server(place).options
    options["addr" if kind == "check-addr" else "agent-addr"] = (address,)
    if request.word(5) == "port":
        return _set_port(request, place, kind.replace("addr", "port"), request.word(6))
    changed(request.plane.counters)
    return Answer()


async def _check_port(request: Request, place: Place) -> Answer:
    kind = request.word(3)
    if not request.word(4):
        return Answer(f"set server <b>/<s> {kind} requires a port.\n", ERROR)
    return _unchecked(request, place, kind) or _set_port(request, place, kind, request.word(4))


async def _agent_send(request: Request, place: Place) -> Answer:
    if fault := _unchecked(request, place, "agent-send"):
        return fault
    if not request.word(4):
        return Answer("set server <b>/<s> agent-send requires a string.\n", ERROR)
    request.plane.changes.server(place).options["agent-send"] = (request.word(4),)
    changed(request.plane.counters)
    return Answer()


def _set_port(request: Request, place: Place, kind: str, text: str) -> Answer:
    if not text.isdigit():
        return Answer("provided port is not an integer\n", ERROR)
    if not 0 < int(text) <= PORT_MAX:
        return Answer("provided port is not in range [1-65535]\n", ERROR)
    request.plane.changes.server(place).options["port" if kind == "check-port" else "agent-port"] = (text,)
    changed(request.plane.counters)
    return Answer()


def _unchecked(request: Request, place: Place, kind: str) -> Answer | None:
    """The refusal for a server that has no such check."""
    block = request.plane.changes.block(place)
    if kind.startswith("agent"):
        return None if block[S_AGENT_STATE] & CHECK_CONFIGURED else Answer(_NO_AGENT, ERROR)
    return None if block[S_CHECK_STATE] & CHECK_CONFIGURED else Answer(_NO_HEALTH, ERROR)


def _ip(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        return None


_CHANGES: Final[dict[str, Change]] = {
    "weight": _weight,
    "state": _state,
    "health": _health,
    "agent": _agent,
    "addr": _address,
    "fqdn": _fqdn,
    "ssl": _tls,
    "check-addr": _check_address,
    "agent-addr": _check_address,
    "check-port": _check_port,
    "agent-port": _check_port,
    "agent-send": _agent_send,
}
