"""Fetches of constants, variables, clocks and the process: they need no client and no request. Sans-io.

Source: HAProxy configuration manual 7.3.2.
"""

from __future__ import annotations

import binascii

from common.acl import variables
from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.table import FetchTable, Getter
from common.acl.types import SampleType, Typed, wrap
from common.errors import ExpressionError

TABLE = FetchTable()

_INTERNAL = "7.3.2"
_UNITS = {"s": 1, "ms": 1000, "us": 1000000}


@TABLE.row("always_true", SampleType.BOOL, Needs.NOTHING, _INTERNAL, "True.", constant=True)
def make_true(environment: CompileEnvironment) -> Getter:
    return lambda facts: True


@TABLE.row("always_false", SampleType.BOOL, Needs.NOTHING, _INTERNAL, "False.", constant=True)
def make_false(environment: CompileEnvironment) -> Getter:
    return lambda facts: False


@TABLE.row("str", SampleType.STR, Needs.NOTHING, _INTERNAL, "That string.", arguments="string:string", constant=True, required=0)
def make_string(environment: CompileEnvironment, text: bytes | None) -> Getter:
    value = text or b""
    return lambda facts: value


@TABLE.row("int", SampleType.INT, Needs.NOTHING, _INTERNAL, "That signed integer.", arguments="integer:integer", constant=True)
def make_integer(environment: CompileEnvironment, value: int) -> Getter:
    return lambda facts: value


@TABLE.row("bool", SampleType.BOOL, Needs.NOTHING, _INTERNAL, "That boolean: true, false, 1 or 0.", arguments="bool:string", constant=True)
def make_boolean(environment: CompileEnvironment, text: bytes) -> Getter:
    if text not in (b"true", b"false", b"1", b"0"):
        raise ExpressionError(f'bool() takes true, false, 1 or 0, got "{text.decode("utf-8", "replace")}"')
    value = text in (b"true", b"1")
    return lambda facts: value


@TABLE.row("bin", SampleType.BIN, Needs.NOTHING, _INTERNAL, "Those bytes, given in hexadecimal.", arguments="hex:string", constant=True)
def make_binary(environment: CompileEnvironment, text: bytes) -> Getter:
    try:
        value = binascii.unhexlify(text)
    except binascii.Error:
        raise ExpressionError(f'bin() takes an even number of hexadecimal digits, got "{text.decode("utf-8", "replace")}"') from None
    return lambda facts: value


@TABLE.row("ipv4", SampleType.IPV4, Needs.NOTHING, _INTERNAL, "That IPv4 address.", arguments="ipv4:ipv4", constant=True)
def make_ipv4(environment: CompileEnvironment, packed: bytes) -> Getter:
    return lambda facts: packed


@TABLE.row("ipv6", SampleType.IPV6, Needs.NOTHING, _INTERNAL, "That IPv6 address.", arguments="ipv6:ipv6", constant=True)
def make_ipv6(environment: CompileEnvironment, packed: bytes) -> Getter:
    return lambda facts: packed


@TABLE.row("meth", SampleType.METHOD, Needs.NOTHING, _INTERNAL, "That method.", arguments="method:string", constant=True)
def make_method(environment: CompileEnvironment, text: bytes) -> Getter:
    return lambda facts: text


@TABLE.row(
    "var", SampleType.ANY, Needs.NOTHING, _INTERNAL, "A variable, with the type it was set with; <default>, a string, if it is not set.",
    arguments="name:variable default:string", required=1,
)  # fmt: skip
def make_variable(environment: CompileEnvironment, name: str, default: bytes | None) -> Getter:
    read = variables.reader(name)
    if default is None:
        return read
    fallback = Typed(SampleType.STR, default)
    return lambda facts: read(facts) or fallback


@TABLE.row("env", SampleType.STR, Needs.NOTHING, _INTERNAL, "An environment variable of the process.", arguments="name:string")
def make_environment(environment: CompileEnvironment, name: bytes) -> Getter:
    wanted = name.decode("utf-8", "surrogateescape")

    def get(facts: Facts) -> bytes | None:
        value = facts.world.environment.get(wanted)
        return None if value is None else value.encode("utf-8", "surrogateescape")

    return get


@TABLE.row(
    "date", SampleType.INT, Needs.NOTHING, _INTERNAL, "The time since 1970, plus <offset>, in <unit>: s, ms or us.",
    arguments="offset:integer unit:string", required=0,
)  # fmt: skip
def make_date(environment: CompileEnvironment, offset: int | None, unit: bytes | None) -> Getter:
    factor = unit_factor(unit)
    shift = offset or 0
    return lambda facts: wrap(int(facts.world.date() * factor) + shift)


def unit_factor(unit: bytes | None) -> int:
    """Units per second of "s", "ms" or "us"; seconds if None."""
    name = "s" if unit is None else unit.decode("utf-8", "replace")
    if name not in _UNITS:
        raise ExpressionError(f'a time unit is s, ms or us, not "{name}"')
    return _UNITS[name]


@TABLE.plain("date_us", SampleType.INT, Needs.NOTHING, _INTERNAL, "The microseconds of the current second.")
def date_us(facts: Facts) -> int:
    return int(facts.world.date() * 1000000) % 1000000


@TABLE.row(
    "rand", SampleType.INT, Needs.NOTHING, _INTERNAL, "A random integer from 0 to <range> - 1 (2^32).",
    arguments="range:integer", required=0,
)  # fmt: skip
def make_random(environment: CompileEnvironment, limit: int | None) -> Getter:
    if limit is not None and limit <= 0:
        raise ExpressionError(f"the range of rand() must be positive, got {limit}")
    if limit is None:
        return lambda facts: facts.world.random_bits(32)
    return lambda facts: facts.world.random_bits(32) * limit >> 32


@TABLE.row(
    "uuid", SampleType.STR, Needs.NOTHING, _INTERNAL, "A new random UUID: version 4, or 7 (by time).",
    arguments="version:integer", required=0,
)  # fmt: skip
def make_uuid(environment: CompileEnvironment, version: int | None) -> Getter:
    if version not in (None, 4, 7):
        raise ExpressionError(f"uuid() makes versions 4 and 7, not {version}")
    return _uuid7 if version == 7 else _uuid4


def _uuid4(facts: Facts) -> bytes:
    return _format_uuid(facts.world.random_bits(128), 4)


def _uuid7(facts: Facts) -> bytes:
    return _format_uuid(int(facts.world.date() * 1000) << 80 | facts.world.random_bits(80), 7)


def _format_uuid(bits: int, version: int) -> bytes:
    """RFC 9562: the version in bits 48 to 51, the variant in bits 64 and 65."""
    bits = bits & ~(0xF << 76) | version << 76
    bits = bits & ~(0x3 << 62) | 0x2 << 62
    digits = b"%032x" % bits
    return b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@TABLE.plain("hostname", SampleType.STR, Needs.NOTHING, _INTERNAL, "The machine's name.")
def hostname(facts: Facts) -> bytes:
    return facts.world.hostname


@TABLE.plain("pid", SampleType.INT, Needs.NOTHING, _INTERNAL, "The pid that log lines carry.")
def pid(facts: Facts) -> int:
    return facts.world.pid


@TABLE.plain("proc", SampleType.INT, Needs.NOTHING, _INTERNAL, "The number of this process among its like.")
def process(facts: Facts) -> int:
    return facts.world.process_index


@TABLE.plain("nbproc", SampleType.INT, Needs.NOTHING, _INTERNAL, "1: how many processes share the work is no concern of rules.")
def processes(facts: Facts) -> int:
    return 1


@TABLE.plain("thread", SampleType.INT, Needs.NOTHING, _INTERNAL, "0: a process here has one thread.")
def thread(facts: Facts) -> int:
    return 0


@TABLE.plain("stopping", SampleType.BOOL, Needs.NOTHING, _INTERNAL, "The process is stopping.")
def stopping(facts: Facts) -> bool:
    return facts.world.stopping


@TABLE.plain("last_rule_file", SampleType.STR, Needs.NOTHING, _INTERNAL, "The file of the last final rule that matched.")
def last_rule_file(facts: Facts) -> bytes | None:
    place = facts.last_rule
    return None if place is None else place.file.encode("utf-8", "surrogateescape")


@TABLE.plain("last_rule_line", SampleType.INT, Needs.NOTHING, _INTERNAL, "The line of the last final rule that matched.")
def last_rule_line(facts: Facts) -> int | None:
    place = facts.last_rule
    return None if place is None else place.line


@TABLE.plain("last_entity", SampleType.STR, Needs.NOTHING, _INTERNAL, "Where the last rule evaluated stands: file:line.")
def last_entity(facts: Facts) -> bytes | None:
    place = facts.current_rule
    return None if place is None else f"{place.file}:{place.line}".encode("utf-8", "surrogateescape")


@TABLE.plain("waiting_entity", SampleType.STR, Needs.NOTHING, _INTERNAL, "What was waited for when the exchange ended.")
def waiting_entity(facts: Facts) -> bytes | None:
    return facts.waiting_for.encode("utf-8", "surrogateescape") or None


@TABLE.plain("prio_class", SampleType.INT, Needs.NOTHING, _INTERNAL, "The class that set-priority-class gave.")
def priority_class(facts: Facts) -> int:
    return facts.priority_class


@TABLE.plain("prio_offset", SampleType.INT, Needs.NOTHING, _INTERNAL, "The offset that set-priority-offset gave.")
def priority_offset(facts: Facts) -> int:
    return facts.priority_offset


@TABLE.row(
    "acl", SampleType.BOOL, Needs.NOTHING, _INTERNAL, "All those ACLs match; a name may be negated with !.",
    arguments="name:string", many=True,
)  # fmt: skip
def make_acl(environment: CompileEnvironment, *names: bytes) -> Getter:
    # Imported here: conditions are made of expressions, and this one fetch is made of conditions.
    from common.acl.conditions import compile_condition

    words = [name.decode("utf-8", "surrogateescape") for name in names]
    return compile_condition(words, environment.acls, environment).test


@TABLE.plain("usher_reason", SampleType.STR, Needs.NOTHING, _INTERNAL, "**ours** Why we answered, or it ended early (`usher reason`).")
def usher_reason(facts: Facts) -> bytes | None:
    return facts.slug.encode() or None
