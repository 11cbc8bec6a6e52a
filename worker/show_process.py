"""What a worker tells of itself: `show activity`, `show errors`, `show fd`, and the variables of the process.

Source: HAProxy management guide 9.3.
"""

from __future__ import annotations

import resource
import time

from common.acl.absent import AbsentExchange, AbsentSession
from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import compile_expression
from common.acl.logformat import Purpose, compile_format
from common.acl.types import SampleType, Typed
from common.acl.variables import parse_name
from common.errors import ExpressionError
from common.observe import bad_messages
from common.observe import fields as f
from common.observe.stats import proxy_id
from common.process.commands import Asked
from common.process.descriptors import show_descriptors
from worker.bad_messages import date_text
from worker.commands import COMMANDS
from worker.world import World

_SHOWN_TYPES = {
    SampleType.BOOL: "bool", SampleType.INT: "sint", SampleType.STR: "str", SampleType.BIN: "bin", SampleType.IPV4: "ipv4",
    SampleType.IPV6: "ipv6", SampleType.METHOD: "meth",
}  # fmt: skip
NO_PROXY = "No such proxy.\n"
_NOT_FOUND = "Variable not found.\n"


@COMMANDS.answers("show activity")
def show_activity(asked: Asked[World]) -> str:
    """`name: value` lines; those of several processes are added up by the master."""
    world, used = asked.world, resource.getrusage(resource.RUSAGE_SELF)
    pump = world.pump
    idle = sum(server.idle.count for backend in world.backends.values() for server in backend.servers)
    values = {
        "ctxsw": used.ru_nvcsw + used.ru_nivcsw,
        "accepted": sum(frontend.tally.words[f.STOT] for frontend in world.frontends.values()),
        "stream_calls": sum(frontend.tally.words[f.REQ_TOT] for frontend in world.frontends.values()),
        "sessions": len(world.sessions),
        "strands": len(pump.strands),
        "streams": len(pump.streams),
        "handshakes": world.handshakes,
        "idle_conn": idle,
        "pool_fail": 0,
        "cpust_ms_tot": round((used.ru_utime + used.ru_stime) * 1000),
        "minflt": used.ru_minflt,
        "majflt": used.ru_majflt,
    }
    return f"date_now: {time.time():.6f}\n" + "".join(f"{name}: {value}\n" for name, value in values.items())


@COMMANDS.answers("show errors")
def show_errors(asked: Asked[World]) -> str:
    """`show errors [<proxy>|-1] [request|response]`"""
    world, name, kind = asked.world, asked.word(2), asked.word(3)
    config = world.config
    wanted = {place for place, proxy in enumerate(config.proxies) if name in ("", "-1", proxy.name, str(proxy_id(config, place)))}
    if not wanted:
        return NO_PROXY
    kinds = {"request": (False,), "response": (True,)}.get(kind, (False, True))
    kept = [bad for (place, is_response), bad in sorted(world.bad_messages.items()) if place in wanted and is_response in kinds]
    return bad_messages.show(date_text(time.time()), world.bad_messages_total, kept)


@COMMANDS.answers("show fd")
def show_fd(asked: Asked[World]) -> str:
    pump = asked.world.pump
    users = {fd: _users(stream) for fd, stream in list(pump.streams.items())}
    return show_descriptors(asked.word(2), users)


def _users(stream: object) -> str:
    reader, writer = getattr(stream, "reader", None), getattr(stream, "writer", None)
    return f"R:{reader.name if reader is not None else '-'} W:{writer.name if writer is not None else '-'}"


@COMMANDS.answers("get var")
def get_var(asked: Asked[World]) -> str:
    try:
        scope, name = parse_name(asked.word(2))
    except ExpressionError:
        return _NOT_FOUND
    value = asked.world.variables.get(name) if scope == "proc" else None
    return _NOT_FOUND if value is None else f"{asked.word(2)}: type={_SHOWN_TYPES[value.type]} value=<{_text(value)}>\n"


@COMMANDS.answers("set var")
def set_var(asked: Asked[World]) -> str:
    """`set var <name> [expr] <expression>`, `set var <name> fmt <format>`"""
    world, words = asked.world, asked.words[3:]
    try:
        scope, name = parse_name(asked.word(2))
        if scope != "proc":
            return "Only variables of the process can be set here: their names begin with 'proc.'.\n"
        environment = CompileEnvironment(config=world.config, maps=world.maps, where=Where.START)
        facts = AbsentExchange(AbsentSession(), world)
        if words[:1] == ("fmt",):
            text = compile_format(" ".join(words[1:]), environment, Purpose.VALUE).build(facts)
            world.variables[name] = Typed(SampleType.STR, text)
            return ""
        expression = compile_expression(words[1:] if words[:1] == ("expr",) else words, environment)
        found = expression.get(facts)
    except ExpressionError as error:
        return f"{error}\n"
    if found is None:
        return "The expression has no value.\n"
    world.variables[name] = found if isinstance(found, Typed) else Typed(expression.type, found)
    return ""


def _text(value: Typed) -> str:
    if value.type is SampleType.BIN and isinstance(value.value, bytes):
        return value.value.hex()
    return value.value.decode("utf-8", "replace") if isinstance(value.value, bytes) else str(int(value.value))
