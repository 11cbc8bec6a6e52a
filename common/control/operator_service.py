"""Commands that change the service: frontends, limits, counters, servers added and removed.

Source: HAProxy management guide 9.3; answers observed from 2.6.
"""

from __future__ import annotations

import base64
import pickle
import re
import socket
from collections.abc import Sequence
from typing import Final

from common.config.build import load
from common.config.diagnostics import Severity
from common.config.options import LoadOptions
from common.control.operator_handlers import Request, handles
from common.control.operator_plane import ERROR, INFO, NOTICE, Answer
from common.control.operator_processes import why_not_removable
from common.model import Proxy, Server
from common.net.listener import pause, resume
from common.observe.fields import CONN_TOT, STOT
from common.observe.layout import G_MAXCONN, G_RATE_COMPRESSION, G_RATE_CONNECTIONS, G_RATE_SESSIONS, G_RATE_SSL, LayoutError
from common.observe.server_changes import is_dynamic
from common.observe.state_setup import changed, initialise_server
from common.observe.states import CHECK_CONFIGURED, CONFIGURED_MAINT, F_MAXCONN, F_STATE, OPEN, S_ADMIN, S_CHECK_STATE, SHUT_DOWN, STOPPED
from common.observe.stats import proxy_id
from common.process.plan import is_dispatcher_listen

_LOG_WARNING: Final = 4
_RATE_LIMITS: Final = {
    "connections": (G_RATE_CONNECTIONS, 1),
    "sessions": (G_RATE_SESSIONS, 1),
    "ssl-sessions": (G_RATE_SSL, 1),
    "http-compression": (G_RATE_COMPRESSION, 1024),  # given in kilobytes
}
_RATE_USAGE: Final = (
    "'set rate-limit' only supports :\n"
    "   - 'connections global' to set the per-process maximum connection rate\n"
    "   - 'sessions global' to set the per-process maximum session rate\n"
    "   - 'ssl-sessions global' to set the per-process maximum SSL session rate\n"
    "   - 'http-compression global' to set the per-process maximum compression speed in kB/s\n"
)


# --- frontends ----------------------------------------------------------------------------------------------------------


def _frontend(request: Request, name: str) -> int | Answer:
    """The position of a frontend, by name or #id."""
    if not name:
        return Answer("A frontend name is expected.\n", ERROR)
    config = request.plane.config
    for position, proxy in enumerate(config.proxies):
        if proxy.frontend and name in (proxy.name, f"#{proxy_id(config, position)}"):
            return position
    return Answer("No such frontend.\n", ERROR)


def _frontend_state(request: Request, position: int) -> memoryview[int]:
    counters = request.plane.counters
    return counters.state(counters.layout.frontends[position])


@handles("disable frontend")
async def disable_frontend(request: Request) -> Answer:
    position = _frontend(request, request.word(2))
    if isinstance(position, Answer):
        return position
    state = _frontend_state(request, position)
    if state[F_STATE] == SHUT_DOWN:
        return Answer("Frontend was previously shut down, cannot disable.\n", ERROR)
    if state[F_STATE] == STOPPED:
        return Answer("All sockets are already disabled.\n", NOTICE)
    for sock, _backlog in _listening(request, position):
        pause(sock)
    _set_frontend(request, position, STOPPED, f"Paused frontend {request.plane.config.proxies[position].name}.")
    return Answer()


@handles("enable frontend")
async def enable_frontend(request: Request) -> Answer:
    position = _frontend(request, request.word(2))
    if isinstance(position, Answer):
        return position
    state = _frontend_state(request, position)
    if state[F_STATE] == SHUT_DOWN:
        return Answer("Frontend was previously shut down, cannot enable.\n", ERROR)
    if state[F_STATE] == OPEN:
        return Answer("All sockets are already enabled.\n", NOTICE)
    try:
        for sock, backlog in _listening(request, position):
            resume(sock, backlog)
    except OSError as error:
        return Answer(f"Failed to resume frontend, check logs for precise cause (port conflict?): {error.strerror}.\n", ERROR)
    _set_frontend(request, position, OPEN, f"Resumed frontend {request.plane.config.proxies[position].name}.")
    return Answer()


@handles("shutdown frontend")
async def shutdown_frontend(request: Request) -> Answer:
    position = _frontend(request, request.word(2))
    if isinstance(position, Answer):
        return position
    if _frontend_state(request, position)[F_STATE] == SHUT_DOWN:
        return Answer("Frontend was already shut down.\n", NOTICE)
    plane, proxy = request.plane, request.plane.config.proxies[position]
    layout = plane.counters.layout
    front = plane.counters.total(layout.frontends[position])[CONN_TOT]
    back = plane.counters.total(layout.backends[position])[STOT] if proxy.backend else 0
    for sock, _backlog in _listening(request, position):
        pause(sock)
    _set_frontend(request, position, SHUT_DOWN, f"Proxy {proxy.name} stopped (cumulated conns: FE: {front}, BE: {back}).")
    return Answer()


def _listening(request: Request, position: int) -> Sequence[tuple[socket.socket, int]]:
    """The sockets that a frontend's binds listen on, of all processes."""
    plane = request.plane
    return plane.generation.listening(plane.config.proxies[position]) if plane.generation is not None else ()


def _set_frontend(request: Request, position: int, state: int, text: str) -> None:
    _frontend_state(request, position)[F_STATE] = state
    changed(request.plane.counters)
    request.plane.say(position, _LOG_WARNING, text)


# --- limits -------------------------------------------------------------------------------------------------------------


@handles("set maxconn frontend")
async def set_maxconn_frontend(request: Request) -> Answer:
    position = _frontend(request, request.word(3))
    if isinstance(position, Answer):
        return position
    value = _number(request.word(4))
    if value is None:
        return Answer("Integer value expected.\n", ERROR)
    if value < 0:
        return Answer("Value out of range.\n", ERROR)
    _frontend_state(request, position)[F_MAXCONN] = value
    changed(request.plane.counters)
    return Answer()


@handles("set maxconn global")
async def set_maxconn_global(request: Request) -> Answer:
    value = _number(request.word(3))
    if value is None:
        return Answer("Expects an integer value.\n", ERROR)
    if not 0 <= value <= request.plane.config.globals.maxconn:
        return Answer("Value out of range.\n", ERROR)
    request.plane.counters.globals[G_MAXCONN] = value  # 0: what it was at the start
    changed(request.plane.counters)
    return Answer()


@handles("set rate-limit")
async def set_rate_limit(request: Request) -> Answer:
    limit = _RATE_LIMITS.get(request.word(2))
    if limit is None or request.word(3) != "global":
        return Answer(_RATE_USAGE, ERROR)
    value = _number(request.word(4))
    if value is None:
        return Answer("Expects an integer value.\n", ERROR)
    word, unit = limit
    request.plane.counters.globals[word] = max(0, value) * unit
    changed(request.plane.counters)
    return Answer()


@handles("clear counters")
async def clear_counters(request: Request) -> Answer:
    request.plane.statistics.clear(everything=request.word(2) == "all")
    return Answer()


# --- servers that come and go -------------------------------------------------------------------------------------------


@handles("add server")
async def add_server(request: Request) -> Answer:
    """A new server, in maintenance, its checks not yet enabled. Every worker is sent what was made of the line."""
    plane, name = request.plane, request.word(2)
    backend, _, server_name = name.partition("/")
    if not server_name:
        return Answer("Require 'backend/server'.\n", ERROR)
    position = plane.changes.find_backend(backend)
    if position is None:
        return Answer("No such backend.\n", ERROR)
    proxy = plane.config.proxies[position]
    if is_dispatcher_listen(proxy):
        return Answer("Servers of a dispatcher are its workers: change them in the configuration, and reload.\n", ERROR)
    if not is_dynamic(proxy):
        return Answer("Backend must use a dynamic load balancing to support dynamic servers.\n", ERROR)
    if plane.changes.find(f"{proxy.name}/{server_name}") is not None:
        return Answer("Already exists a server with the same name in backend.\n", ERROR)
    if not request.word(3):
        return Answer("'server' expects <name> and <addr>[:<port>] as arguments.\n", ERROR)
    server = _parse_server(proxy, server_name, request.words[3:])
    if isinstance(server, Answer):
        return server
    if server.tls is not None and server.tls.sni is not None:
        return Answer("'sni' : an expression needs the configuration, and a reload; without it the Host of the request is sent.\n", ERROR)
    if "id" not in request.words[3:]:
        server.id = max((one.id for one in proxy.servers), default=0) + 1
    try:
        layout = plane.counters.layout.with_server(position, server_name)
    except LayoutError as error:
        return Answer(f"{error}\n", ERROR)
    plane.generation_keeps_its_files()
    plane.counters.layout = layout
    proxy.servers.append(server)
    _begin_in_maintenance(plane.counters.state(layout.servers[position][-1]), server, plane.now)
    plane.statistics.servers_changed()
    faults = await plane.change_servers(f"add server {proxy.name}/{server_name} {base64.b64encode(pickle.dumps(server)).decode()}")
    return Answer("".join(f"{fault}\n" for fault in dict.fromkeys(faults)) + "New server registered.\n", INFO)


@handles("del server")
async def del_server(request: Request) -> Answer:
    plane, name = request.plane, request.word(2)
    if "/" not in name:
        return Answer("Require 'backend/server'.\n", ERROR)
    if plane.changes.find_backend(name.partition("/")[0]) is None:
        return Answer("No such backend.\n", ERROR)
    place = plane.changes.find(name)
    if place is None:
        return Answer("No such server.\n", ERROR)
    if plane.changes.is_followed(place):
        return Answer("This server cannot be removed at runtime due to other configuration elements pointing to it.\n", ERROR)
    reason = why_not_removable(request, place)
    if reason:
        return Answer(f"{reason}\n", ERROR)
    plane.generation_keeps_its_files()
    proxy = plane.config.proxies[place.proxy]
    server = proxy.servers.pop(place.server)
    plane.counters.layout = plane.counters.layout.without_server(place.proxy, place.server)
    plane.statistics.servers_changed()
    await plane.change_servers(f"del server {proxy.name}/{server.name}")
    return Answer("Server deleted.\n", INFO)


def _parse_server(proxy: Proxy, name: str, words: tuple[str, ...]) -> Server | Answer:
    """The server of a line, read by the parser of the file. Settings of `default-server` are not inherited, as in HAProxy."""
    quoted = " ".join("'" + word.replace("'", "'\\''") + "'" for word in (name, *words))
    text = f"backend {proxy.name}\n mode {proxy.mode}\n balance roundrobin\n server {quoted}\n"
    loaded = load([("add server", text.encode("utf-8", "surrogateescape"))], {}, options=LoadOptions())
    faults = [found.message for found in loaded.diagnostics if found.severity is Severity.ALERT]
    if loaded.config is None or not loaded.config.proxies or not loaded.config.proxies[-1].servers:
        return Answer("".join(f"{fault}\n" for fault in faults[:1]) or "The server line is not valid.\n", ERROR)
    return loaded.config.proxies[-1].servers[0]


def _begin_in_maintenance(block: memoryview[int], server: Server, now: float) -> None:
    server.disabled = True
    initialise_server(block, server, now)
    block[S_ADMIN] &= ~CONFIGURED_MAINT
    block[S_CHECK_STATE] &= CHECK_CONFIGURED  # its checks are enabled by hand
    server.disabled = False


def _number(text: str) -> int | None:
    """None for nothing at all. What is no number is refused too: HAProxy takes it for 0, which closes a frontend by a typing error."""
    match = re.fullmatch(r"-?[0-9]+", text)
    return int(match[0]) if match else None
