"""Parsers of the actions that keep something: variables, maps, tables, captures. Sans-io.

Source: HAProxy configuration manual 4.2 "http-request set-var", "set-map", "track-sc0", "sc-inc-gpc", "capture".
"""

from __future__ import annotations

from common.acl import variables
from common.acl.environment import CompileEnvironment
from common.acl.expressions import Expression
from common.acl.logformat import Format, Purpose
from common.acl.table import did_you_mean
from common.acl.types import SampleType
from common.errors import ExpressionError
from common.rules.actions import Action, Capture, ChangeCounter, ChangeList, SetVariable, Track, UnsetVariable
from common.rules.rulesets import AFTER, CONTENT, EVERYWHERE, HTTP, REQUEST, RESPONSE, TCP_REQUESTS, Ruleset
from common.rules.table import ActionTable
from common.rules.words import Words

TABLE = ActionTable()

CAPTURE_LENGTH_MAX = 1 << 16
TRACKED_MAX = 3
"""Counters that one connection tracks, unless tune.stick-counters says another number."""
ARRAY_INDEX_MAX = 99
COUNTER_MAX = 2**32 - 1

_EARLY_SCOPES = frozenset({"proc", "sess"})


@TABLE.row("set-var", EVERYWHERE, "(<name>[,<condition>…]) <expression>", "Sets a variable.")
def set_variable(words: Words) -> Action:
    name, conditions = _variable(words)
    return _set(words, name, conditions, words.expression())


@TABLE.row("set-var-fmt", EVERYWHERE, "(<name>[,<condition>…]) <fmt>", "Sets a variable to a text.")
def set_variable_format(words: Words) -> Action:
    name, conditions = _variable(words)
    return _set(words, name, conditions, words.format("a format", Purpose.VALUE))


@TABLE.row("unset-var", EVERYWHERE, "(<name>)", "Forgets a variable.")
def unset_variable(words: Words) -> Action:
    (name,) = words.inside("name")
    _check_name(words, name)
    return UnsetVariable(name, variables.remover(name))


def _variable(words: Words) -> tuple[str, tuple[str, ...]]:
    """The name and the conditions in parentheses."""
    if not words.arguments or not words.arguments[0]:
        raise words.fault(f"it is written {words.action}(scope.name)", 0)
    name, *conditions = words.arguments
    _check_name(words, name)
    try:
        variables.check_conditions(tuple(conditions))
    except ExpressionError as error:
        raise words.fault(str(error), 0, error.hint) from None
    return name, tuple(conditions)


def _check_name(words: Words, name: str) -> None:
    try:
        scope, _ = variables.parse_name(name)
    except ExpressionError as error:
        raise words.fault(str(error), 0, error.hint) from None
    if words.ruleset.before_exchange and scope not in _EARLY_SCOPES:
        raise words.fault(f'variable "{name}" belongs to an exchange, and there is none yet: use scope sess or proc', 0)
    if scope == "check":
        raise words.fault(f'variable "{name}": scope check is for health checks', 0)


def _set(words: Words, name: str, conditions: tuple[str, ...], value: Expression | Format) -> SetVariable:
    words.environment.variables_set.add(name)
    return SetVariable(name, value, variables.writer(name, conditions))


@TABLE.row("add-acl del-acl del-map", HTTP, "(<file>) <key fmt>", "Adds to or deletes from a list or map that is loaded from that file.")
def change_list(words: Words) -> Action:
    (file,) = words.inside("file")
    return ChangeList(words.action, file, words.format("a key", Purpose.VALUE))


@TABLE.row("set-map", HTTP, "(<file>) <key fmt> <value fmt>", "Sets a key of a map that is loaded from that file.")
def set_map(words: Words) -> Action:
    (file,) = words.inside("file")
    return ChangeList(words.action, file, words.format("a key", Purpose.VALUE), words.format("a value", Purpose.VALUE))


@TABLE.row("track-sc", (*TCP_REQUESTS, REQUEST, RESPONSE), "<key> [table <table>]", "Counts this under the key in a table.", numbered=True)
def track(words: Words) -> Action:
    index = int(words.action.removeprefix("track-sc"))
    if index >= tracked_max(words):
        raise words.fault(
            f"there are {tracked_max(words)} tracked counters, from track-sc0 on", 0, "tune.stick-counters in section global sets how many."
        )
    key = words.expression("a key")
    table = words.take("the table's name") if words.accept("table") else ""
    _check_table(words, table)
    return Track(index, key, table)


def tracked_max(words: Words) -> int:
    config = words.environment.config
    setting = config.globals.tune.get("stick-counters") if config is not None else None
    return int(setting[0]) if setting else TRACKED_MAX


def _check_table(words: Words, name: str) -> None:
    """The table exists: in the proxy of that name, or of a peers section as section/table."""
    config, proxy = words.environment.config, words.environment.proxy
    if config is None or proxy is None:
        return
    if not name:
        if not proxy.stick_table and proxy.name:
            raise words.fault(f'"{proxy.name}" has no stick-table', 0, "Declare one, or name another proxy's with table NAME.")
        return
    known = [one.name for one in config.proxies if one.stick_table]
    known += [f"{peers.name}/{inside}" for peers in config.peers.values() for inside in peers.tables]
    if name not in known:
        raise words.fault(f'there is no stick-table "{name}"', hint=did_you_mean(name, known))


@TABLE.row("sc-inc-gpc", EVERYWHERE, "(<index>,<sc>)", "Adds one to a general purpose counter of the tracked entry.")
def increase_array(words: Words) -> Action:
    index, tracked = words.inside("idx,sc-id")
    return ChangeCounter("add", "gpc", _index(words, index), _tracked(words, tracked), 1)


@TABLE.row("sc-inc-gpc0 sc-inc-gpc1", EVERYWHERE, "(<sc>)", "Adds one to a general purpose counter of the tracked entry.")
def increase(words: Words) -> Action:
    (tracked,) = words.inside("sc-id")
    return ChangeCounter("add", words.action.removeprefix("sc-inc-"), 0, _tracked(words, tracked), 1)


@TABLE.row("sc-add-gpc", EVERYWHERE, "(<index>,<sc>) {<number>|<expression>}", "Adds to a general purpose counter of the tracked entry.")
def add(words: Words) -> Action:
    index, tracked = words.inside("idx,sc-id")
    return ChangeCounter("add", "gpc", _index(words, index), _tracked(words, tracked), _number(words))


@TABLE.row("sc-set-gpt", EVERYWHERE, "(<index>,<sc>) {<number>|<expression>}", "Sets a general purpose tag of the tracked entry.")
def set_array(words: Words) -> Action:
    index, tracked = words.inside("idx,sc-id")
    return ChangeCounter("set", "gpt", _index(words, index), _tracked(words, tracked), _number(words))


@TABLE.row("sc-set-gpt0", EVERYWHERE, "(<sc>) {<number>|<expression>}", "Sets the general purpose tag of the tracked entry.")
def set_tag(words: Words) -> Action:
    (tracked,) = words.inside("sc-id")
    return ChangeCounter("set", "gpt0", 0, _tracked(words, tracked), _number(words))


def _index(words: Words, text: str) -> int:
    if not text.isdigit() or int(text) > ARRAY_INDEX_MAX:
        raise words.fault(f'"{text}" is not an index: a number from 0 to {ARRAY_INDEX_MAX}', 0)
    return int(text)


def _tracked(words: Words, text: str) -> int:
    most = tracked_max(words) - 1
    if not text.isdigit() or int(text) > most:
        raise words.fault(f'"{text}" is not a tracked counter: a number from 0 to {most}', 0)
    return int(text)


def _number(words: Words) -> int | Expression:
    if words.peek().isdigit():
        return words.number("the value", 0, COUNTER_MAX)
    return words.expression("a number or an expression", SampleType.INT)


@TABLE.row(
    "capture",
    (CONTENT, REQUEST, RESPONSE, AFTER),
    "<expression> {len <length>|id <slot>}",
    "Keeps a text for logs and capture.req.hdr; in responses in a declared slot only.",
)
def capture(words: Words) -> Action:
    expression = words.expression(target=SampleType.STR)
    kind = "response" if words.ruleset.is_response else "request"
    with_length = words.ruleset in (Ruleset.TCP_REQUEST, Ruleset.HTTP_REQUEST)
    if with_length and words.accept("len"):
        proxy = words.environment.proxy
        if proxy is not None and not proxy.frontend:
            raise words.fault("a backend has no slots of its own: use id with a slot that the frontend declares")
        length = words.number("the length", 1, CAPTURE_LENGTH_MAX)
        slot = len(slot_lengths(words.environment, kind))
        words.environment.added_captures.append(length)
        return Capture(expression, slot)
    if not words.accept("id"):
        raise words.fault('"len" or "id" is missing' if with_length else '"id" is missing', words.position)
    slot = words.number("the slot", 0, CAPTURE_LENGTH_MAX)
    _check_slot(words, slot, kind)
    return Capture(expression, slot)


def slot_lengths(environment: CompileEnvironment, kind: str) -> list[int]:
    """How much each capture slot of the proxy keeps: those that it declares, then those that its rules have added so far."""
    proxy = environment.proxy
    declared = [length for direction, _, length in proxy.captures if direction == kind] if proxy is not None else []
    return declared + (environment.added_captures if kind == "request" else [])


def _check_slot(words: Words, slot: int, kind: str) -> None:
    """A frontend's slots are known here; those that a backend meets are not."""
    proxy = words.environment.proxy
    if proxy is not None and proxy.frontend and slot >= len(slot_lengths(words.environment, kind)):
        raise words.fault(f'"{proxy.name}" has no {kind} capture slot {slot}', hint=f"declare capture {kind} len LENGTH makes one.")
