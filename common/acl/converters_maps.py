"""Converters that look something up: maps, stick tables, servers, variables, captures; and those that only watch. Sans-io.

map_MATCH_OUTPUT(file[,default]): MATCH is how keys are compared, OUTPUT how the value is read. The same file used several times is one
list with one index per way of matching.

Source: HAProxy configuration manual 7.3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common import model
from common.acl.addresses import parse_address
from common.acl.arguments import encode, parse_integer
from common.acl.casts import text_of, wrapper
from common.acl.conditional import when_test
from common.acl.environment import CompileEnvironment
from common.acl.facts import Facts
from common.acl.facts_world import StickEntry
from common.acl.indexes import Entry, RegexIndex
from common.acl.patterns import Method, new_index
from common.acl.regexes import expand, parse_substitution
from common.acl.table import ConverterTable, FactsStep, Step
from common.acl.types import SampleType, Typed
from common.acl.variables import check_conditions, remover, writer
from common.errors import ExpressionError

TABLE = ConverterTable()

_S, _I, _A, _B, _ANY = SampleType.STR, SampleType.INT, SampleType.ADDR, SampleType.BOOL, SampleType.ANY

_INPUTS = {Method.INT: _I, Method.IP: _A}


def _read_integer(value: bytes) -> int:
    return parse_integer(value.decode("latin-1"))


def _read_address(value: bytes) -> bytes:
    packed = parse_address(value)
    if packed is None:
        raise ExpressionError(f'"{value.decode("utf-8", "replace")}" is not an IP address')
    return packed


def _read_text(value: bytes) -> bytes:
    return value


_OUTPUTS: dict[str, tuple[SampleType, Callable[[bytes], Any]]] = {
    "": (_S, _read_text),
    "_str": (_S, _read_text),
    "_int": (_I, _read_integer),
    "_ip": (_A, _read_address),
}


def _add_map(name: str, method: Method, output: str) -> None:
    kind, read = _OUTPUTS[output]
    doc = f"What a map file gives for it, keys compared by {method.value}" + (f", as {kind.value}" if output else "")

    @TABLE.row(
        name, _INPUTS.get(method, _S), kind, doc + "; else <default>.", arguments="file:file default:string", required=1, living=True
    )
    def make(environment: CompileEnvironment, path: str, default: bytes | None) -> Step:
        index = _index(environment, path, method, name, read)
        fallback = None if default is None else read(default)
        find = index.find
        if kind is _S:

            def text(value: Any) -> bytes | None:
                entry = find(value)
                return fallback if entry is None else entry.value

            return text

        def converted(value: Any) -> Any:
            entry = find(value)
            return fallback if entry is None else read(entry.value or b"")

        return converted


def _index(environment: CompileEnvironment, path: str, method: Method, name: str, read: Callable[[bytes], Any]) -> Any:
    place = environment.place
    user = f"map at file '{place.file}' line {place.line}" if place is not None else f"map '{name}'"
    found = environment.maps.file(path, True, environment.read_file, user)
    title = "regm" if name == "map_regm" else method.value
    return found.shared(title, lambda: new_index(method), read if read is not _read_text else None)


def _add_key_map(method: Method) -> None:
    name = f"map_{method.value}_key"

    @TABLE.row(name, _INPUTS.get(method, _S), _S, "The key of the map file's entry that matches.", arguments="file:file", living=True)
    def make(environment: CompileEnvironment, path: str) -> Step:
        find: Callable[[Any], Entry | None] = _index(environment, path, method, name, _read_text).find

        def step(value: Any) -> bytes | None:
            entry = find(value)
            return None if entry is None else entry.key

        return step


for _method in (
    Method.STR, Method.BEG, Method.DIR, Method.DOM, Method.END, Method.INT, Method.IP, Method.REG, Method.SUB,
):  # fmt: skip
    for _output in ("", "_int", "_ip", "_str"):
        if _output == "_str" and _method is Method.STR:
            continue
        _add_map(f"map_{_method.value}{_output}", _method, _output)
    _add_key_map(_method)
_add_map("map", Method.STR, "")


@TABLE.row(
    "map_regm",
    _S,
    _S,
    r"What a map file of regexes gives for it, with \1 … replaced by the groups; else <default>.",
    arguments="file:file default:string",
    required=1,
    living=True,
)
def make_group_map(environment: CompileEnvironment, path: str, default: bytes | None) -> Step:
    index = _index(environment, path, Method.REG, "map_regm", _read_text)
    assert isinstance(index, RegexIndex)
    pieces: dict[bytes, Any] = {}  # parsed replacements; as many as the map has had values

    def step(value: bytes) -> bytes | None:
        found = index.search(value)
        if found is None:
            return default
        entry, match = found
        text = entry.value or b""
        parsed = pieces.get(text)
        if parsed is None:
            if len(pieces) > REPLACEMENTS_KEPT_MAX:
                pieces.clear()
            parsed = pieces[text] = parse_substitution(text)
        return expand(parsed, match)

    return step


REPLACEMENTS_KEPT_MAX = 100_000


def _table_entry(table: str) -> Callable[[Any, Facts, Callable[[Any], Typed]], StickEntry | None]:
    def find(value: Any, facts: Facts, wrap: Callable[[Any], Typed]) -> StickEntry | None:
        found = facts.world.stick_table(table)
        return None if found is None else found.lookup(wrap(value))

    return find


def _add_table(name: str, doc: str, ask: Callable[[StickEntry, int], int | None], indexed: bool = False) -> None:
    arguments = "idx:integer table:table" if indexed else "table:table"

    @TABLE.row(name, _ANY, _I, f"{doc} of its entry in a stick table; 0 without one.", arguments=arguments, facts=True)
    def make(environment: CompileEnvironment, kind: SampleType, *given: Any) -> FactsStep:
        index, table = (given[0], given[1]) if indexed else (0, given[0])
        find, typed = _table_entry(table), wrapper(kind)

        def step(value: Any, facts: Facts) -> int:
            entry = find(value, facts, typed)
            return 0 if entry is None else ask(entry, index) or 0

        return step


def _stored(data: str, divisor: int = 1) -> Callable[[StickEntry, int], int | None]:
    def ask(entry: StickEntry, index: int) -> int | None:
        value = entry.get(data, index)
        return None if value is None else value // divisor

    return ask


for _data in (
    "bytes_in_rate", "bytes_out_rate", "conn_cnt", "conn_cur", "conn_rate", "glitch_cnt", "glitch_rate", "gpc0", "gpc0_rate", "gpc1",
    "gpc1_rate", "gpt0", "http_err_cnt", "http_err_rate", "http_fail_cnt", "http_fail_rate", "http_req_cnt", "http_req_rate",
    "server_id", "sess_cnt", "sess_rate",
):  # fmt: skip
    _add_table(f"table_{_data}", f"Counter {_data}", _stored(_data))
for _data in ("gpc", "gpc_rate", "gpt"):
    _add_table(f"table_{_data}", f"Element <idx> of {_data}", _stored(_data), indexed=True)
_add_table("table_kbytes_in", "Kilobytes from the client", _stored("bytes_in_cnt", 1024))
_add_table("table_kbytes_out", "Kilobytes to the client", _stored("bytes_out_cnt", 1024))
_add_table("table_trackers", "How many sessions track it now", lambda entry, index: entry.trackers)
_add_table("table_inc_gpc0", "Adds 1 to gpc0", lambda entry, index: entry.increase("gpc0"))
_add_table("table_inc_gpc1", "Adds 1 to gpc1", lambda entry, index: entry.increase("gpc1"))
_add_table("table_clr_gpc0", "Clears gpc0", lambda entry, index: entry.clear("gpc0"))
_add_table("table_clr_gpc1", "Clears gpc1", lambda entry, index: entry.clear("gpc1"))
_add_table("table_inc_gpc", "Adds 1 to element <idx> of gpc", lambda entry, index: entry.increase("gpc", index), indexed=True)
_add_table("table_clr_gpc", "Clears element <idx> of gpc", lambda entry, index: entry.clear("gpc", index), indexed=True)


@TABLE.row("in_table", _ANY, _B, "A stick table has an entry for it.", arguments="table:table", facts=True)
def make_in_table(environment: CompileEnvironment, kind: SampleType, table: str) -> FactsStep:
    find, typed = _table_entry(table), wrapper(kind)
    return lambda value, facts: find(value, facts, typed) is not None


def _add_age(name: str, doc: str, read: Callable[[StickEntry], float]) -> None:
    @TABLE.row(name, _ANY, _I, doc, arguments="table:table default:integer", required=1, facts=True)
    def make(environment: CompileEnvironment, kind: SampleType, table: str, default: int | None) -> FactsStep:
        find, typed = _table_entry(table), wrapper(kind)

        def step(value: Any, facts: Facts) -> int | None:
            entry = find(value, facts, typed)
            return default if entry is None else round(read(entry) * 1000)

        return step


_add_age("table_expire", "Milliseconds until its entry in a stick table expires; <default> without one.", lambda entry: entry.expires_in)
_add_age("table_idle", "Milliseconds since its stick table entry was refreshed; <default> without one.", lambda entry: entry.idle)


@TABLE.row("nbsrv", _S, _I, "Usable servers of the backend of that name.", facts=True)
def make_usable_servers(environment: CompileEnvironment) -> FactsStep:
    def step(value: bytes, facts: Facts) -> int | None:
        name = value.decode("utf-8", "surrogateescape")
        return facts.world.usable_servers(name) if facts.world.config_proxy(name, backend=True) is not None else None

    return step


@TABLE.row("fe_exists", _S, _B, "There is a frontend of that name.", facts=True)
def make_frontend_exists(environment: CompileEnvironment) -> FactsStep:
    return lambda value, facts: facts.world.config_proxy(value.decode("utf-8", "surrogateescape"), backend=False) is not None


def _find_server(value: bytes, facts: Facts, own: model.Proxy | None) -> tuple[str, str] | None:
    """(backend, server) of "backend/server", or of a server of the current backend."""
    backend, slash, server = value.decode("utf-8", "surrogateescape").rpartition("/")
    current = facts.backend or own
    name = backend if slash else current.name if current is not None else ""
    proxy = facts.world.config_proxy(name, backend=True)
    if proxy is None or all(found.name != server for found in proxy.servers):
        return None
    return proxy.name, server


def _add_server(name: str, kind: SampleType, doc: str, ask: Callable[[Facts, str, str], int | bool]) -> None:
    @TABLE.row(name, _S, kind, doc, facts=True)
    def make(environment: CompileEnvironment) -> FactsStep:
        own = environment.proxy if environment.proxy is not None and environment.proxy.backend else None

        def step(value: bytes, facts: Facts) -> int | bool | None:
            found = _find_server(value, facts, own)
            return None if found is None else ask(facts, *found)

        return step


_add_server(
    "srv_queue", _I, "Requests in the queue of the server of that name.", lambda facts, be, name: facts.world.server_queue(be, name)
)
_add_server("srv_is_up", _B, "The server of that name is up.", lambda facts, backend, name: facts.world.server_is_up(backend, name))


@TABLE.row(
    "set-var",
    _ANY,
    _ANY,
    "Also put into a variable, if all conditions hold; else fails.",
    arguments="var:variable cond:string",
    required=1,
    many=True,
    facts=True,
)
def make_set_variable(environment: CompileEnvironment, kind: SampleType, name: str, *conditions: bytes | None) -> FactsStep:
    environment.variables_set.add(name)
    words = tuple(condition.decode("utf-8", "replace") for condition in conditions if condition is not None)
    check_conditions(words)
    write, typed = writer(name, words), wrapper(kind)
    return lambda value, facts: value if write(facts, typed(value)) else None


@TABLE.row("unset-var", _ANY, _ANY, "As it is; the variable is removed.", arguments="var:variable", facts=True)
def make_unset_variable(environment: CompileEnvironment, kind: SampleType, name: str) -> FactsStep:
    remove = remover(name)

    def step(value: Any, facts: Facts) -> Any:
        remove(facts)
        return value

    return step


def _add_capture(name: str, side: str) -> None:
    @TABLE.row(name, _S, _S, f"As it is; also put into {side} capture slot <id>.", arguments="id:integer", facts=True)
    def make(environment: CompileEnvironment, slot: int) -> FactsStep:
        limit = capture_length(environment.proxy, side, slot)

        def step(value: bytes, facts: Facts) -> bytes:
            slots = facts.request_captures if side == "request" else facts.response_captures
            if isinstance(slots, list) and 0 <= slot < len(slots):
                slots[slot] = value if limit is None else value[:limit]
            return value

        return step


def capture_length(proxy: model.Proxy | None, side: str, slot: int) -> int | None:
    """How long a captured value may be; None for a slot that the proxy does not declare."""
    lengths = [] if proxy is None else [length for direction, _, length in proxy.captures if direction == side]
    return lengths[slot] if 0 <= slot < len(lengths) else None


_add_capture("capture-req", "request")
_add_capture("capture-res", "response")


@TABLE.row(
    "debug", _ANY, _ANY, "As it is; also told to a sink (buf0), after <prefix>.", arguments="prefix:string destination:string", required=0
)
def make_debug(environment: CompileEnvironment, kind: SampleType, prefix: bytes | None, sink: bytes | None) -> Step:
    tell, typed = environment.debug, wrapper(kind)
    destination = (sink or b"buf0").decode("utf-8", "replace")

    def step(value: Any) -> Any:
        if tell is not None:
            shown = typed(value)
            tell(destination, b"[debug] %b: type=%b <%b>" % (prefix or b"", encode(shown.type.value), text_of(shown)))
        return value

    return step


@TABLE.row(
    "when", _ANY, _ANY, "As it is, if it holds; else fails: error, normal, forwarded, processed, stopping, toapplet, acl,<name>.",
    arguments="condition:string argument:string", required=1, facts=True,
)  # fmt: skip
def make_when(environment: CompileEnvironment, kind: SampleType, condition: bytes, argument: bytes | None) -> FactsStep:
    holds = when_test(environment, condition.decode("utf-8", "replace"), argument)
    return lambda value, facts: value if holds(facts) else None
