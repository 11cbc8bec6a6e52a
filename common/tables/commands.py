"""The operator's `show table`, `set table`, `clear table`, over tables in shared memory. Sans-io.

    show table                                   the tables
    show table T [key K | data.TYPE OP VALUE …]  entries
    clear table T [key K | data.TYPE OP VALUE …] those that nobody tracks go
    set table T key K [data.TYPE VALUE]…         make or change one

Ours beside HAProxy's: keys of binary tables can be named, in hexadecimal.
Source: HAProxy management guide 9.3; the texts were compared with a stock HAProxy.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from common.tables.definition import SHOWN, Stored
from common.tables.entry import Entry
from common.tables.keys import key_of_text, text_of_key
from common.tables.table import Table

FILTERS_MAX = 4
_WORD_BYTES = 8
_WORDS_BEFORE = 3  # e.g. "show table NAME"
_OPERATORS: Mapping[str, Callable[[int, int], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "le": operator.le, "ge": operator.ge, "lt": operator.lt, "gt": operator.gt,
}  # fmt: skip
_NO_TABLE = "No such table\n"
_USAGE = 'Required arguments: <table> "data.<store_data_type>" <operator> <value> or <table> key <key>\n'
_ONLY = 'Optional argument only supports "data.<store_data_type>" <operator> <value> and key <key>\n'


class Refused(Exception):
    """A command that makes no sense. Its text is the answer."""


class _Filter(NamedTuple):
    stored: Stored
    test: Callable[[int, int], bool]
    value: int

    def holds(self, entry: Entry) -> bool:
        return self.stored.count == 1 and self.test(entry.get(self.stored.name) or 0, self.value)


def show(tables: Mapping[str, Table], words: Sequence[str]) -> Iterator[str]:
    """Pieces of the answer to `show table …`; words: all of the command. Raises Refused."""
    if len(words) < _WORDS_BEFORE:
        return iter([_title(table) for table in reversed(list(tables.values()))])
    table = _named(tables, words)
    if list(words[3:4]) == ["key"]:
        found = _by_key(table, words)
        return iter(() if found is None else (_title(table), line_of(found)))
    filters = _filters(table, words, "show")
    return _listed(table, filters)


def clear(tables: Mapping[str, Table], words: Sequence[str]) -> str:
    """The answer to `clear table …`. Raises Refused."""
    if len(words) < _WORDS_BEFORE:
        raise Refused(_USAGE)
    table = _named(tables, words)
    if list(words[3:4]) == ["key"]:
        found = _by_key(table, words)
        if found is not None and not table.drop(found) and found.is_live:
            raise Refused("Entry currently in use, cannot remove\n")
        return ""
    filters = _filters(table, words, "clear")
    for entry in list(table.entries()):
        if all(one.holds(entry) for one in filters):
            table.drop(entry)
    return ""


def change(tables: Mapping[str, Table], words: Sequence[str]) -> str:
    """The answer to `set table …`. Raises Refused."""
    if len(words) < _WORDS_BEFORE:
        raise Refused(_USAGE)
    table = _named(tables, words)
    if len(words) == _WORDS_BEFORE:
        return ""
    if words[3] != "key":
        if words[3].startswith("data."):
            raise Refused('content-based lookup is only supported with the "show" and "clear" actions\n')
        raise Refused(_ONLY)
    key = _key(table, words)
    entry = table.enter(key)
    if entry is None:
        raise Refused("Unable to allocate a new entry\n")
    for at in range(5, len(words), 2):
        stored = _data_type(table, words[at], '"data.<type>" followed by a value expected\n')
        value = _integer(words[at + 1] if at + 1 < len(words) else "")
        if value is None or stored.name == "server_key" or stored.count > 1:
            raise Refused("Require a valid integer value to store\n")
        entry.set(stored.name, value)
    return ""


def line_of(entry: Entry) -> str:
    """One entry as `show table` writes it."""
    table = entry.table
    fields = [f"{entry.base * _WORD_BYTES:#x}: key={text_of_key(table.definition, entry.key_bytes)}"]
    fields.append(f"use={entry.trackers} exp={round(entry.expires_in * 1000)}")
    fields += [text for name in SHOWN if (stored := table.definition.find(name)) is not None for text in _shown(entry, stored)]
    return " ".join(fields) + "\n"


def _shown(entry: Entry, stored: Stored) -> Iterator[str]:
    if stored.name == "server_key":
        yield f"server_key={(entry.text('server_key') or b'-').decode('utf-8', 'replace')}"
        return
    period = f"({stored.period_ms})" if stored.period_ms else ""
    for index in range(stored.count):
        name = stored.name.replace("gpc", f"gpc{index}").replace("gpt", f"gpt{index}") if stored.name in _NUMBERED else stored.name
        yield f"{name}{period}={entry.get(stored.name, index)}"


_NUMBERED = frozenset(("gpc", "gpt", "gpc_rate"))


def _title(table: Table) -> str:
    definition = table.definition
    return f"# table: {definition.name}, type: {definition.type}, size:{definition.size}, used:{table.used}\n"


def _listed(table: Table, filters: Sequence[_Filter]) -> Iterator[str]:
    yield _title(table)
    numeric = table.definition.type == "integer"
    entries = sorted(table.entries(), key=lambda entry: entry.key_bytes[::-1] if numeric else entry.key_bytes)
    for entry in entries:
        if entry.is_live and all(one.holds(entry) for one in filters):
            yield line_of(entry)


def _named(tables: Mapping[str, Table], words: Sequence[str]) -> Table:
    table = tables.get(words[2])
    if table is None:
        raise Refused(_NO_TABLE)
    return table


def _by_key(table: Table, words: Sequence[str]) -> Entry | None:
    return table.lookup(_key(table, words))


def _key(table: Table, words: Sequence[str]) -> bytes:
    if len(words) < 5:
        raise Refused("Key value expected\n")
    key = key_of_text(table.definition, words[4])
    if not key:
        raise Refused("Invalid key\n")
    return key


def _filters(table: Table, words: Sequence[str], action: str) -> list[_Filter]:
    filters: list[_Filter] = []
    at = _WORDS_BEFORE
    while at < len(words):
        if not filters and not words[at].startswith("data."):
            raise Refused(_ONLY)
        number = len(filters) + 1
        if number > FILTERS_MAX:
            raise Refused(f"Detected extra data in filter, {at + 1}th word of input, after '{words[at - 1]}'\n")
        stored = _data_type(table, words[at], "Unknown data type\n", f"Filter entry #{number}: ")
        test = _OPERATORS.get(words[at + 1] if at + 1 < len(words) else "")
        if test is None:
            raise Refused(f'Filter entry #{number}: Require and operator among "eq", "ne", "le", "ge", "lt", "gt"\n')
        value = _integer(words[at + 2] if at + 2 < len(words) else "")
        if value is None:
            raise Refused(f"Filter entry #{number}: Require a valid integer value to compare against\n")
        filters.append(_Filter(stored, test, value))
        at += 3
    return filters


def _data_type(table: Table, word: str, other: str, before: str = "") -> Stored:
    name = word.removeprefix("data.")
    if name == word:
        raise Refused(before + other)
    if name not in SHOWN:
        raise Refused(f"{before}Unknown data type\n")
    stored = table.definition.find(name)
    if stored is None:
        raise Refused(f"{before}Data type not stored in this table\n")
    return stored


def _integer(text: str) -> int | None:
    try:
        value = int(text, 10) if text.isascii() else None
    except ValueError:
        return None
    return value if value is not None and -(1 << 63) <= value < 1 << 63 else None
