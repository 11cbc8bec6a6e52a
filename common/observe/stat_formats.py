"""Rows of statistics as text: CSV, typed lines, JSON. Sans-io.

Source: HAProxy management guide 9.1 (CSV), 9.2 (typed), 9.3 `show stat`; the JSON form and its schema observed from 2.6.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, NamedTuple

from common.observe.columns import COLUMNS, FIXED, FREE, HEADER, SEPARATOR
from common.observe.stats import Row, Value

_ORIGINS: Final = {"M": "Metric", "S": "Status", "K": "Key", "C": "Config", "P": "Product"}
_NATURES: Final = {
    "G": "Gauge", "L": "Limit", "m": "Min", "M": "Max", "R": "Rate", "C": "Counter", "D": "Duration",
    "A": "Age", "T": "Time", "N": "Name", "O": "Output", "a": "Avg",
}  # fmt: skip
_SCOPES: Final = {"C": "Cluster", "P": "Process", "S": "Service", "s": "System"}
_OBJECTS: Final = {"F": "Frontend", "B": "Backend", "L": "Listener", "S": "Server"}
_JSON_INTEGER_MAX: Final = 2**53 - 1  # what every JSON reader holds exactly


class Item(NamedTuple):
    """One value with what the typed formats say of it."""

    position: int
    name: str
    tags: str
    type: str
    value: Value | float
    description: str


def csv(rows: Iterable[Row]) -> str:
    """The header line and a line per row, each ended by a comma and LF."""
    return HEADER + "\n" + "".join(csv_line(row) for row in rows)


def csv_line(row: Row) -> str:
    values = row.values
    cells = [_cell(values.get(column.name, "")) for column in FIXED]
    cells.append(SEPARATOR)
    cells += [_cell(values.get(column.name, "")) for column in FREE]
    return ",".join(cells) + ",\n"


def typed(rows: Iterable[Row], *, descriptions: bool = False) -> str:
    """`<side>.<proxy>.<object>.<position>.<name>.1:<tags>:<type>:<value>`; the lines of an object stand together."""
    return "".join(_typed_row(row, descriptions) for row in rows)


def json_text(rows: Iterable[Row]) -> str:
    """A list with one list per object."""
    return _dump([[_object(row, item) for item in items_of(row)] for row in rows])


def items_of(row: Row) -> list[Item]:
    """The values that a row has, in the order of the columns."""
    return [
        Item(column.position, column.name, column.tags_of(row.side), column.type, row.values[column.name], column.description)
        for column in COLUMNS
        if column.name in row.values
    ]


def typed_line(item: Item, prefix: str, *, descriptions: bool) -> str:
    """One line of a typed format; prefix: what stands before the position."""
    line = f"{prefix}{item.position}.{item.name}.1:{item.tags}:{item.type}:{one_line(item.value)}"
    return f'{line}:"{item.description}"\n' if descriptions else line + "\n"


def json_object(item: Item) -> dict[str, object]:
    """One value of a JSON format."""
    value = min(item.value, _JSON_INTEGER_MAX) if isinstance(item.value, int) else item.value
    return {
        "field": {"pos": item.position, "name": item.name},
        "processNum": 1,
        "tags": {"origin": _ORIGINS[item.tags[0]], "nature": _NATURES[item.tags[1]], "scope": _SCOPES[item.tags[2]]},
        "value": {"type": item.type, "value": value},
    }


def dump_items(items: Iterable[Item]) -> str:
    return _dump([json_object(item) for item in items])


def one_line(value: Value | float) -> str:
    """A value that cannot end its line early: no command emits an empty line, whatever a check got."""
    if isinstance(value, float):
        return f"{value:f}"
    return value.replace("\n", " ").replace("\r", " ") if isinstance(value, str) else str(value)


def schema() -> str:
    """`show schema json`: the JSON schema of both JSON formats."""

    def integer(low: int, high: int | None = None) -> dict[str, object]:
        return {"type": "integer", "minimum": low} | ({} if high is None else {"maximum": high})

    def value(name: str, shape: dict[str, object]) -> dict[str, object]:
        return {"properties": {"type": {"type": "string", "enum": [name]}, "value": shape}, "required": ["type", "value"]}

    def reference(name: str) -> dict[str, object]:
        return {"$ref": f"#/definitions/{name}"}

    kinds: dict[str, dict[str, object]] = {
        "s32": integer(-(2**31), 2**31 - 1),
        "s64": integer(-_JSON_INTEGER_MAX, _JSON_INTEGER_MAX),
        "u32": integer(0, 2**32 - 1),
        "u64": integer(0, _JSON_INTEGER_MAX),
        "flt": {"type": "number"},
        "str": {"type": "string"},
    }
    common = {name: reference(name) for name in ("field", "processNum", "tags")} | {"value": reference("typedValue")}
    needed = ["field", "processNum", "tags", "value"]
    stat = {"objType": {"enum": [*_OBJECTS.values(), "Unknown"]}, "proxyId": integer(0), "id": integer(0)}

    def enum(names: Iterable[str]) -> dict[str, object]:
        return {"type": "string", "enum": [*names, "Unknown"]}

    def listing(title: str, items: dict[str, object]) -> dict[str, object]:
        return {"title": title, "type": "array", "items": items}

    return _dump({
        "$schema": "http://json-schema.org/draft-04/schema#",
        "oneOf": [
            listing("Info", {"title": "InfoItem", "type": "object", "properties": common, "required": needed}),
            listing("Stat", listing("StatObject", {
                "title": "StatItem", "type": "object", "properties": stat | common, "required": [*stat, *needed],
            })),
            {"title": "Error", "type": "object", "properties": {"errorStr": {"type": "string"}}, "required": ["errorStr"]},
        ],
        "definitions": {
            "field": {"type": "object", "properties": {"pos": integer(0), "name": {"type": "string"}}, "required": ["pos", "name"]},
            "processNum": integer(1),
            "tags": {
                "type": "object",
                "properties": {"origin": enum(_ORIGINS.values()), "nature": enum(_NATURES.values()), "scope": enum(_SCOPES.values())},
                "required": ["origin", "nature", "scope"],
            },
            "typedValue": {"type": "object", "oneOf": [value(name, shape) for name, shape in kinds.items()]},
        },
    })  # fmt: skip


def _typed_row(row: Row, descriptions: bool) -> str:
    prefix = f"{row.side}.{row.proxy_id}.{row.object_id}."
    return "".join(typed_line(item, prefix, descriptions=descriptions) for item in items_of(row))


def _object(row: Row, item: Item) -> dict[str, object]:
    return {"objType": _OBJECTS[row.side], "proxyId": row.proxy_id, "id": row.object_id} | json_object(item)


def _cell(value: Value) -> str:
    """A field of CSV: quoted only where it has a comma, a quote or a line break."""
    if isinstance(value, int):
        return str(value)
    if "," in value or '"' in value or "\n" in value or "\r" in value:
        return '"' + one_line(value).replace('"', '""') + '"'
    return value


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False) + "\n"
