"""Commands that show what the master knows: `show …`, `get weight`.

Source: HAProxy management guide 9.3, 9.4.
"""

from __future__ import annotations

import re

from common.control.operator_handlers import Request, handles
from common.control.operator_plane import ERROR, INFO, Answer
from common.observe import info, show, stat_formats
from common.observe.states import S_INITIAL_WEIGHT, S_USER_WEIGHT
from common.observe.stats import Selection, Statistics, proxy_id
from common.process.facts import version

_STAT_WORDS = frozenset(("typed", "json", "desc", "up", "no-maint"))


@handles("show info")
async def show_info(request: Request) -> Answer:
    plane, options = request.plane, set(request.words[2:])
    items = info.items(plane.config, plane.counters_of(request.only), plane.facts(request.only), plane.now, floats="float" in options)
    if "json" in options:
        return Answer(info.json_text(items))
    shown = info.typed if "typed" in options else info.plain
    return Answer(shown(items, descriptions="desc" in options))


@handles("show stat")
async def show_stat(request: Request) -> Answer:
    words = list(request.words[2:])
    if words[:1] == ["domain"]:
        if words[1:2] != ["proxy"]:
            return Answer("Invalid statistics domain.\n", ERROR)
        del words[:2]
    proxy, kinds, number = "", -1, -1
    if len(words) >= 3 and not _STAT_WORDS & set(words[:3]):
        proxy, kinds, number = words[0], _integer(words[1]), _integer(words[2])
        del words[:3]
        if not _known_proxy(request, proxy):
            return Answer("No such proxy.\n", ERROR)
    options = set(words)
    plane = request.plane
    statistics = Statistics(plane.config, plane.counters_of(request.only), plane.now, plane.config.globals.maxconn)
    rows = statistics.rows(Selection(proxy, kinds, number, "up" in options, "no-maint" in options))
    if "json" in options:
        return Answer(stat_formats.json_text(rows))
    if "typed" in options:
        return Answer(stat_formats.typed(rows, descriptions="desc" in options))
    return Answer(stat_formats.csv(rows))


@handles("show schema json")
async def show_schema(_request: Request) -> Answer:
    return Answer(stat_formats.schema())


@handles("show servers state")
async def show_servers_state(request: Request) -> Answer:
    plane = request.plane
    text = show.servers_state(plane.config, plane.counters, plane.now, request.word(3))
    return Answer(text, ERROR if text == show.NO_BACKEND else None)


@handles("show servers conn")
async def show_servers_conn(request: Request) -> Answer:
    plane = request.plane
    text = show.servers_connections(plane.config, plane.counters, plane.now, request.word(3))
    return Answer(text, ERROR if text == show.NO_BACKEND else None)


@handles("show backend")
async def show_backend(request: Request) -> Answer:
    return Answer(show.backends(request.plane.config))


@handles("get weight")
async def get_weight(request: Request) -> Answer:
    name, changes = request.word(2), request.plane.changes
    if "/" not in name:
        return Answer("Require 'backend/server'.\n", ERROR)
    if changes.find_backend(name.partition("/")[0]) is None:
        return Answer("No such backend.\n", ERROR)
    place = changes.find(name)
    if place is None:
        return Answer("No such server.\n", ERROR)
    block = changes.block(place)
    return Answer(f"{block[S_USER_WEIGHT]} (initial {block[S_INITIAL_WEIGHT]})\n")


@handles("show version")
async def show_version(_request: Request) -> Answer:
    return Answer(version() + "\n", INFO)


@handles("show events")
async def show_events(request: Request) -> Answer:
    """Where events go: the two streams of the master, with what its own log could not deliver."""
    name = request.word(2)
    if name and name not in ("stdout", "stderr", "-w", "-n", "-nw", "-wn"):
        return Answer("No such event sink.\n", ERROR)
    sinks = "".join(f"    {sink:<10} : type=fd, 0 dropped, standard output (fd#{fd})\n" for sink, fd in (("stdout", 1), ("stderr", 2)))
    return Answer(f"Supported events sinks are listed below. Add -w(wait), -n(new). Any key to stop\n{sinks}")


@handles("show peers")
async def show_peers(_request: Request) -> Answer:
    """All processes share what peers would exchange: there is nobody to list."""
    return Answer()


@handles("show env")
async def show_env(request: Request) -> Answer:
    environment, name = request.plane.environment, request.word(2)
    if not name:
        return Answer("".join(f"{key}={value}\n" for key, value in environment.items()))
    return Answer(f"{name}={environment[name]}\n") if name in environment else Answer("Variable not found\n", ERROR)


@handles("show cli sockets")
async def show_cli_sockets(request: Request) -> Answer:
    return Answer("# socket lvl processes\n" + "".join(f"{address} {level} all\n" for address, level in request.plane.sockets))


@handles("show startup-logs")
async def show_startup_logs(request: Request) -> Answer:
    return Answer("".join(f"{line}\n" for line in request.plane.startup_lines))


@handles("show reasons")
async def show_reasons(request: Request) -> Answer:
    return Answer(show.reasons(request.plane.counters_of(request.only), request.word(2)))


def _known_proxy(request: Request, name: str) -> bool:
    config = request.plane.config
    return name == "-1" or any(name in (proxy.name, str(proxy_id(config, place))) for place, proxy in enumerate(config.proxies))


def _integer(text: str) -> int:
    """As atoi: what is no number is 0."""
    match = re.match(r"-?[0-9]+", text)
    return int(match[0]) if match else 0
