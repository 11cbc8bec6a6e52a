"""Commands about the processes: `show proc`, `show generations`, `show libs`, `show pools`, `reload`, `stop`, `wait`.

Source: HAProxy management guide 9.3, 9.4.
"""

from __future__ import annotations

import re
import signal
import time
from itertools import groupby
from pathlib import Path

import trio

from common.control.operator_handlers import Request, handles
from common.control.operator_plane import ERROR, Answer, Generation
from common.observe.fields import QCUR, SCUR, USED_CONN_CUR
from common.observe.layout import HB_PID, HB_STARTED_AT_MS
from common.observe.server_notices import Place
from common.observe.states import MAINT, S_ADMIN
from common.process.facts import resident_bytes, version
from common.units import parse_time

WAIT_POLL_S = 0.05
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) .{4} [0-9a-f]+ \S+ \d+ +(/\S+)")


@handles("show proc")
async def show_proc(request: Request) -> Answer:
    """The processes, as HAProxy's master lists them; behind the version stands which tier and number each is."""
    plane = request.plane
    generations = list(plane.master.generations)
    text = f"{'#<PID>':<16}{'<type>':<16}{'<reloads>':<16}{'<uptime>':<16}<version>\n"
    reloads = f"{plane.reloads} [failed: {plane.reloads_failed}]"
    text += _line(plane.pid, "master", reloads, time.time() - plane.master.started_at_s)
    text += "# workers\n"
    text += "".join(_members(request, one, "0") for one in generations if one is plane.generation)
    text += "# old workers\n"
    for one in reversed(generations):
        if plane.generation is not None and one.number < plane.generation.number:
            text += _members(request, one, str(plane.generation.number - one.number))
    return Answer(text + "# programs\n")


@handles("show generations")
async def show_generations(request: Request) -> Answer:
    """What still holds each generation: its processes, their sessions, and why those are still there."""
    lines = []
    for generation in request.plane.master.generations:
        serves = "serves" if generation is request.plane.generation else "ends with its last session"
        lines.append(f"generation {generation.number}: {serves}")
        for row, member in enumerate(generation.members):
            if member.pid and generation.counters is not None:
                own = generation.counters.only(row)
                sessions = sum(own.total(number)[SCUR] for number in own.layout.frontends if number >= 0)
                lines.append(f"  {member.title} ({member.pid}): {sessions} sessions")
                if generation is not request.plane.generation:
                    why = await member.ask("show generations") or ""
                    lines += [f"    {line}" for line in why.splitlines() if line]
    return Answer("\n".join(lines) + "\n")


@handles("show pools")
async def show_pools(request: Request) -> Answer:
    """Memory of each process: Python has no pools to show."""
    members = [member for member in request.plane.members if member.pid]
    sizes = [(f"{member.title} ({member.pid})", resident_bytes(member.pid)) for member in members]
    lines = "".join(f"  - {name} : {size} bytes resident\n" for name, size in sizes)
    total = f"Total: {len(sizes)} processes, {sum(size for _, size in sizes)} bytes resident.\n"
    return Answer(f"Dumping memory usage.\n{lines}{total}")


@handles("show libs")
async def show_libs(_request: Request) -> Answer:
    """Address ranges of the shared objects in the master; the other processes come from the same zygote."""
    return Answer(_libraries())


@handles("reload")
async def reload(request: Request) -> Answer:
    """Success=1 when the next generation serves, else 0 and why this one goes on; behind it, what was said meanwhile."""
    plane = request.plane
    outer, plane.console.transcript = plane.console.transcript, []
    try:
        reason = await plane.master.reload()
        said = "".join(plane.console.transcript)
    finally:
        plane.console.transcript = outer
    plane.reload_failed = bool(reason)
    plane.reloads += not reason
    plane.reloads_failed += bool(reason)
    if reason and not said:
        said = f"{reason}\n"
    return Answer(f"Success={int(not reason)}\n--\n{said}")


@handles("stop", "drain")
async def stop(request: Request) -> Answer:
    """End the service, as by SIGTERM or SIGUSR1. The answer is sent before the master reads the signal."""
    request.plane.signal_master(signal.SIGTERM if request.words[0] == "stop" else signal.SIGUSR1)
    return Answer()


@handles("wait")
async def wait(request: Request) -> Answer:
    """`wait <delay>`, or until a server can be removed, whatever comes first. A bare number is in milliseconds."""
    try:
        delay_s = parse_time(request.word(1))
    except ValueError as error:
        return Answer(f"Invalid delay: {error}.\n", ERROR)
    condition = request.word(2)
    if not condition:
        await trio.sleep(delay_s)
        return Answer()
    if condition != "srv-removable":
        return Answer(f"Unknown condition '{condition}': only 'srv-removable <backend>/<server>' can be waited for.\n", ERROR)
    place = request.plane.changes.find(request.word(3))
    if place is None:
        return Answer("No such server.\n", ERROR)
    with trio.move_on_after(delay_s):
        while why_not_removable(request, place):  # noqa: ASYNC110 - the counters are shared memory: nobody can set an event
            await trio.sleep(WAIT_POLL_S)
        return Answer("Done.\n")
    return Answer(f"Wait delay expired: {why_not_removable(request, place)}\n", ERROR)


def why_not_removable(request: Request, place: Place) -> str:
    """Why a server cannot be removed now; "" if it can."""
    plane = request.plane
    if not plane.changes.block(place)[S_ADMIN] & MAINT:
        return "Only servers in maintenance mode can be deleted."
    number = plane.counters.layout.servers[place.proxy][place.server]
    words = plane.counters.total(number)
    if words[SCUR] or words[USED_CONN_CUR] or words[QCUR]:
        return "Server still has connections attached to it, cannot remove it."
    return ""


def _members(request: Request, generation: Generation, reloads: str) -> str:
    text = ""
    for row, member in enumerate(generation.members):
        if member.pid and generation.counters is not None:
            heart = generation.counters.heartbeat(row)
            uptime_s = request.plane.now - heart[HB_STARTED_AT_MS] / 1000 if heart[HB_PID] == member.pid else 0.0
            text += _line(member.pid, member.launch.role, reloads, uptime_s, f"  {member.title}")
    return text


def _line(pid: int, kind: str, reloads: str, uptime_s: float, title: str = "") -> str:
    whole = max(0, int(uptime_s))
    uptime = f"{whole // 86400}d{whole // 3600 % 24:02d}h{whole // 60 % 60:02d}m{whole % 60:02d}s"
    return f"{pid:<16}{kind:<16}{reloads:<16}{uptime:<16}{version()}{title}\n"


def _libraries() -> str:
    mappings = [(match[3], int(match[1], 16), int(match[2], 16)) for match in _MAPPING.finditer(Path("/proc/self/maps").read_text())]
    lines = []
    for path, parts in groupby(mappings, key=lambda mapping: mapping[0]):
        ranges = list(parts)
        if ".so" in path or "python" in path:
            start, end = min(low for _path, low, _high in ranges), max(high for _path, _low, high in ranges)
            lines.append(f"0x{start:012x}-0x{end - 1:012x} (0x{end - start:07x}) {path}\n")
    return "".join(lines)
