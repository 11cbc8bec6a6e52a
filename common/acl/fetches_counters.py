"""Fetches of stick tables: counters that are tracked (sc_*), counters of the source address (src_*), sizes of tables. Sans-io.

One table of names makes the four spellings of each: sc_NAME(counter[,table]), sc0_, sc1_ and sc2_NAME([table]), src_NAME([table]).
A counter that a table does not store, or that is not tracked, is not found; an address that a table does not know counts zero.

Source: HAProxy configuration manual 7.3.2 (table_*), 7.3.3 (sc_*, src_*).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.facts_world import StickEntry
from common.acl.table import FetchTable, Getter
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError

TABLE = FetchTable()

_INTERNAL, _LAYER4 = "7.3.2", "7.3.3"
COUNTERS_MAX = 100  # tracked counters a configuration may ask for (tune.stick-counters)
ARRAY_MAX = 100  # elements of gpc, gpc_rate, gpt

Ask = Callable[[StickEntry, int], int | None]


@dataclass(frozen=True, slots=True)
class Counter:
    """suffix: what follows sc_ and src_. ask(entry, index). indexed: the first argument is an index into an array. changes: asking
    writes, so src_ makes the entry."""

    suffix: str
    doc: str
    ask: Ask
    indexed: bool = False
    changes: bool = False


def _stored(data: str, divisor: int = 1) -> Ask:
    def ask(entry: StickEntry, index: int) -> int | None:
        value = entry.get(data, index)
        return None if value is None else value // divisor

    return ask


COUNTERS = (
    Counter("bytes_in_rate", "bytes per period from the client", _stored("bytes_in_rate")),
    Counter("bytes_out_rate", "bytes per period to the client", _stored("bytes_out_rate")),
    Counter("conn_cnt", "connections so far", _stored("conn_cnt")),
    Counter("conn_cur", "connections now", _stored("conn_cur")),
    Counter("conn_rate", "connections per period", _stored("conn_rate")),
    Counter("get_gpc", "general purpose counter <idx>", _stored("gpc"), indexed=True),
    Counter("get_gpc0", "general purpose counter 0", _stored("gpc0")),
    Counter("get_gpc1", "general purpose counter 1", _stored("gpc1")),
    Counter("get_gpt", "general purpose tag <idx>", _stored("gpt"), indexed=True),
    Counter("get_gpt0", "general purpose tag 0", _stored("gpt0")),
    Counter("glitch_cnt", "protocol glitches so far", _stored("glitch_cnt")),
    Counter("glitch_rate", "protocol glitches per period", _stored("glitch_rate")),
    Counter("gpc_rate", "increments per period of general purpose counter <idx>", _stored("gpc_rate"), indexed=True),
    Counter("gpc0_rate", "increments per period of general purpose counter 0", _stored("gpc0_rate")),
    Counter("gpc1_rate", "increments per period of general purpose counter 1", _stored("gpc1_rate")),
    Counter("http_err_cnt", "HTTP errors of the client so far", _stored("http_err_cnt")),
    Counter("http_err_rate", "HTTP errors of the client per period", _stored("http_err_rate")),
    Counter("http_fail_cnt", "failures of servers so far", _stored("http_fail_cnt")),
    Counter("http_fail_rate", "failures of servers per period", _stored("http_fail_rate")),
    Counter("http_req_cnt", "HTTP requests so far", _stored("http_req_cnt")),
    Counter("http_req_rate", "HTTP requests per period", _stored("http_req_rate")),
    Counter("kbytes_in", "kilobytes from the client so far", _stored("bytes_in_cnt", 1024)),
    Counter("kbytes_out", "kilobytes to the client so far", _stored("bytes_out_cnt", 1024)),
    Counter("sess_cnt", "accepted sessions so far", _stored("sess_cnt")),
    Counter("sess_rate", "accepted sessions per period", _stored("sess_rate")),
    Counter("inc_gpc", "adds 1 to general purpose counter <idx> and gives it", lambda e, i: e.increase("gpc", i), True, True),
    Counter("inc_gpc0", "adds 1 to general purpose counter 0 and gives it", lambda e, i: e.increase("gpc0"), changes=True),
    Counter("inc_gpc1", "adds 1 to general purpose counter 1 and gives it", lambda e, i: e.increase("gpc1"), changes=True),
    Counter("clr_gpc", "gives general purpose counter <idx> and clears it", lambda e, i: e.clear("gpc", i), True, True),
    Counter("clr_gpc0", "gives general purpose counter 0 and clears it", lambda e, i: e.clear("gpc0"), changes=True),
    Counter("clr_gpc1", "gives general purpose counter 1 and clears it", lambda e, i: e.clear("gpc1"), changes=True),
)
_TRACKERS = Counter("trackers", "sessions that track the entry now", lambda entry, index: entry.trackers)


def _tracked(counter: int, table: str | None) -> Callable[[Facts], StickEntry | None]:
    """The entry that a counter tracks, or the same key's in another table."""
    if table is None:
        return lambda facts: facts.tracked(counter)

    def elsewhere(facts: Facts) -> StickEntry | None:
        entry = facts.tracked(counter)
        other = facts.world.stick_table(table) if entry is not None else None
        return other.lookup(entry.key) if other is not None and entry is not None else None

    return elsewhere


def _tracked_getter(counter: Counter, number: int, index: int, table: str | None) -> Getter:
    _check(number, index)
    find, ask = _tracked(number, table), counter.ask
    missing = None if table is None else 0

    def get(facts: Facts) -> int | None:
        entry = find(facts)
        if entry is not None:
            return ask(entry, index)
        return missing if facts.tracked(number) is not None else None

    return get


def _check(number: int, index: int) -> None:
    if not 0 <= number < COUNTERS_MAX:
        raise ExpressionError(f"there is no tracked counter {number}: they count from 0 to {COUNTERS_MAX - 1}")
    if not 0 <= index < ARRAY_MAX:
        raise ExpressionError(f"array index {index} is out of range: 0 to {ARRAY_MAX - 1}")


def own_table(environment: CompileEnvironment, name: str | None, keyword: str) -> str:
    """The named table, or the one of the proxy itself."""
    if name is not None:
        return name
    proxy = environment.proxy
    if proxy is None or (environment.config is not None and not proxy.stick_table):
        where = f'"{proxy.name}"' if proxy is not None else "this section"
        raise ExpressionError(f"{keyword}: {where} has no stick-table of its own: name one")
    return proxy.name


def _source_getter(counter: Counter, table: str, index: int) -> Getter:
    _check(0, index)
    ask, changes = counter.ask, counter.changes

    def get(facts: Facts) -> int | None:
        key = source_key(facts)
        found = facts.world.stick_table(table)
        if key is None or found is None:
            return None
        entry = found.enter(key) if changes else found.lookup(key)
        return 0 if entry is None else ask(entry, index)

    return get


def source_key(facts: Facts) -> Typed | None:
    address = facts.src
    return Typed(SampleType.IPV4 if len(address) == 4 else SampleType.IPV6, address) if address else None


def _add_counter(counter: Counter) -> None:
    suffix, integer = counter.suffix, SampleType.INT
    indexed = "idx:integer " if counter.indexed else ""
    doc = f"{counter.doc[0].upper()}{counter.doc[1:]}"

    @TABLE.row(
        f"sc_{suffix}", integer, Needs.NOTHING, _LAYER4, f"{doc}, of a tracked counter.",
        arguments=f"{indexed}ctr:integer table:table", required=2 if counter.indexed else 1,
    )  # fmt: skip
    def make_any(environment: CompileEnvironment, *arguments: int | str | None) -> Getter:
        *numbers, table = arguments
        return _tracked_getter(counter, int(numbers[-1] or 0), int(numbers[0] or 0) if counter.indexed else 0, _name(table))

    for number in range(3):
        _add_numbered(counter, number, indexed, doc)
    if counter is _TRACKERS:
        return

    @TABLE.row(
        f"src_{suffix}", integer, Needs.CLIENT, _LAYER4, f"{doc}, of the source address in a table.",
        arguments=f"{indexed}table:table", required=1 if counter.indexed else 0,
    )  # fmt: skip
    def make_source(environment: CompileEnvironment, *arguments: int | str | None) -> Getter:
        *numbers, table = arguments
        name = own_table(environment, _name(table), f"src_{suffix}")
        return _source_getter(counter, name, int(numbers[0] or 0) if counter.indexed else 0)


def _add_numbered(counter: Counter, number: int, indexed: str, doc: str) -> None:
    @TABLE.row(
        f"sc{number}_{counter.suffix}", SampleType.INT, Needs.NOTHING, _LAYER4, f"{doc}, of tracked counter {number}.",
        arguments=f"{indexed}table:table", required=1 if counter.indexed else 0,
    )  # fmt: skip
    def make(environment: CompileEnvironment, *arguments: int | str | None) -> Getter:
        *numbers, table = arguments
        return _tracked_getter(counter, number, int(numbers[0] or 0) if counter.indexed else 0, _name(table))


def _name(table: int | str | None) -> str | None:
    assert not isinstance(table, int)  # bind() has checked the kinds
    return table


for _counter in (*COUNTERS, _TRACKERS):
    _add_counter(_counter)


def _tracked_test(number: int, table: str | None) -> Getter:
    _check(number, 0)
    find = _tracked(number, table)
    return lambda facts: find(facts) is not None


@TABLE.row(
    "sc_tracked", SampleType.BOOL, Needs.NOTHING, _LAYER4, "The counter tracks something.",
    arguments="ctr:integer table:table", required=1,
)  # fmt: skip
def make_tracked(environment: CompileEnvironment, number: int, table: str | None) -> Getter:
    return _tracked_test(number, table)


@TABLE.row("sc_key", SampleType.ANY, Needs.NOTHING, _LAYER4, "The key that the counter tracks.", arguments="ctr:integer")
def make_key(environment: CompileEnvironment, number: int) -> Getter:
    return _key_getter(number)


def _key_getter(number: int) -> Getter:
    _check(number, 0)

    def get(facts: Facts) -> Typed | None:
        entry = facts.tracked(number)
        return None if entry is None else entry.key

    return get


def _add_numbered_tests(number: int) -> None:
    @TABLE.row(
        f"sc{number}_tracked", SampleType.BOOL, Needs.NOTHING, _LAYER4, f"Counter {number} tracks something.",
        arguments="table:table", required=0,
    )  # fmt: skip
    def make_test(environment: CompileEnvironment, table: str | None) -> Getter:
        return _tracked_test(number, table)

    @TABLE.row(f"sc{number}_key", SampleType.ANY, Needs.NOTHING, _LAYER4, f"The key that counter {number} tracks.")
    def make_own_key(environment: CompileEnvironment) -> Getter:
        return _key_getter(number)


for _number in range(3):
    _add_numbered_tests(_number)


@TABLE.row(
    "src_updt_conn_cnt", SampleType.INT, Needs.CLIENT, _LAYER4, "Adds 1 to the source address's conn_cnt in a table and gives it.",
    arguments="table:table", required=0,
)  # fmt: skip
def make_update(environment: CompileEnvironment, table: str | None) -> Getter:
    counter = Counter("updt_conn_cnt", "", lambda entry, index: entry.increase("conn_cnt"), changes=True)
    return _source_getter(counter, own_table(environment, table, "src_updt_conn_cnt"), 0)


@TABLE.row("table_cnt", SampleType.INT, Needs.NOTHING, _INTERNAL, "Entries in use of a table.", arguments="table:table", required=0)
def make_used(environment: CompileEnvironment, table: str | None) -> Getter:
    name = own_table(environment, table, "table_cnt")

    def get(facts: Facts) -> int | None:
        found = facts.world.stick_table(name)
        return None if found is None else found.used

    return get


@TABLE.row("table_avl", SampleType.INT, Needs.NOTHING, _INTERNAL, "Entries left in a table.", arguments="table:table", required=0)
def make_available(environment: CompileEnvironment, table: str | None) -> Getter:
    name = own_table(environment, table, "table_avl")

    def get(facts: Facts) -> int | None:
        found = facts.world.stick_table(name)
        return None if found is None else found.available

    return get
