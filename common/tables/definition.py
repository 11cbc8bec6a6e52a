"""What a stick table keeps: the words of its line as values, and where each datum stands in an entry. Sans-io.

    definition = read_definition("web", ["type", "ip", "size", "100k", "expire", "30m", "store", "conn_cur,gpc(2)"])
    definition.place("gpc", 1)      # Place(word, period_ms=0) within the data of an entry

A counter is one word, a rate three (when its period began, the count since, the count of the period before). Where the array gpc
is stored, gpc0 and gpc1 are its first two elements; the same for gpc_rate and gpt.

Source: HAProxy manual 4.2 "stick-table", 3.5 "table".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from common.acl.types import SampleType
from common.units import parse_size, parse_time

DEFAULT_LENGTH = 32
RATE_WORDS = 3
FIRST_WORD = 9  # of the data in an entry: what stands before them is said in layout.py

RATES = frozenset({
    *("conn_rate", "sess_rate", "http_req_rate", "http_err_rate", "http_fail_rate", "bytes_in_rate", "bytes_out_rate", "glitch_rate"),
    *("gpc0_rate", "gpc1_rate", "gpc_rate"),
})  # fmt: skip
ARRAYS = frozenset(("gpc", "gpt", "gpc_rate"))
WIDE = frozenset(("bytes_in_cnt", "bytes_out_cnt"))  # 64 bits; all others wrap at 32
_IN_ARRAYS = {
    "gpc0": ("gpc", 0), "gpc1": ("gpc", 1), "gpt0": ("gpt", 0), "gpc0_rate": ("gpc_rate", 0), "gpc1_rate": ("gpc_rate", 1),
}  # fmt: skip
SHOWN = (
    "server_id", "gpt0", "gpc0", "gpc0_rate", "conn_cnt", "conn_rate", "conn_cur", "sess_cnt", "sess_rate", "http_req_cnt",
    "http_req_rate", "http_err_cnt", "http_err_rate", "bytes_in_cnt", "bytes_in_rate", "bytes_out_cnt", "bytes_out_rate", "gpc1",
    "gpc1_rate", "server_key", "http_fail_cnt", "http_fail_rate", "gpt", "gpc", "gpc_rate", "glitch_cnt", "glitch_rate",
)  # fmt: skip
"""In the order of `show table`."""

KEY_TYPES = {
    "ip": SampleType.IPV4,
    "ipv6": SampleType.IPV6,
    "integer": SampleType.INT,
    "string": SampleType.STR,
    "binary": SampleType.BIN,
}
_FIXED = {"ip": 4, "ipv6": 16, "integer": 4}
_STORED = re.compile(r"([a-z_0-9]+)(?:\(([^()]*)\))?")
_ITEMS = re.compile(r"(?:[^,(]|\([^)]*\)?)+")


class Place(NamedTuple):
    """The first word of a datum within an entry. period_ms: of a rate, 0 for anything else."""

    word: int
    period_ms: int


@dataclass(frozen=True, slots=True)
class Stored:
    """One data type. count: elements of an array, else 1."""

    name: str
    word: int
    count: int = 1
    period_ms: int = 0

    @property
    def words(self) -> int:
        return self.count * (RATE_WORDS if self.period_ms else 1)

    def place(self, index: int = 0) -> Place:
        return Place(self.word + index * (RATE_WORDS if self.period_ms else 1), self.period_ms)


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """expire_s: 0 = entries stay. key_bytes: of the longest key. by_address: servers are known by their address (srvkey addr)."""

    name: str
    type: str
    key_bytes: int
    size: int
    expire_s: float = 0.0
    nopurge: bool = False
    by_address: bool = False
    stored: tuple[Stored, ...] = ()
    _by_name: dict[str, Stored] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        self._by_name.update({one.name: one for one in self.stored})

    @property
    def sample_type(self) -> SampleType:
        return KEY_TYPES[self.type]

    @property
    def data_words(self) -> int:
        return sum(one.words for one in self.stored)

    def find(self, name: str) -> Stored | None:
        return self._by_name.get(name)

    def place(self, name: str, index: int = 0) -> Place | None:
        """Where a datum stands; None if the table does not store it."""
        stored = self._by_name.get(name)
        if stored is None:
            array, index = _IN_ARRAYS.get(name, ("", 0))
            stored = self._by_name.get(array)
        return stored.place(index) if stored is not None and index < stored.count else None


def read_definition(name: str, words: Sequence[str], *, keeps_servers: bool = False) -> TableDefinition:
    """The words of a `stick-table` or `table` line, which have been checked. keeps_servers: `stick` rules use it."""
    kind, length, size, expire_s = "ip", DEFAULT_LENGTH, 0, 0.0
    flags: set[str] = set()
    stored: dict[str, tuple[int, int]] = {}
    rest = list(reversed(words))
    by_address = False
    while rest:
        word = rest.pop()
        if word == "type":
            kind = rest.pop()
            if rest and rest[-1] == "len":
                rest.pop()
                length = int(rest.pop())
        elif word == "size":
            size = parse_size(rest.pop())
        elif word == "expire":
            expire_s = parse_time(rest.pop())
        elif word == "srvkey":
            by_address = rest.pop() == "addr"
        elif word == "store":
            stored |= dict(_stored(item) for item in _ITEMS.findall(rest.pop()))
        elif word in ("peers", "brates-factor"):
            rest.pop()
        else:
            flags.add(word)
    if keeps_servers:
        stored.setdefault("server_id", (1, 0))
        stored.setdefault("server_key", (1, 0))
    return TableDefinition(
        name, kind, _FIXED.get(kind, length), size, expire_s, "nopurge" in flags, by_address, _placed(stored)
    )  # fmt: skip


def _stored(item: str) -> tuple[str, tuple[int, int]]:
    """name -> (elements, period in ms)."""
    match = _STORED.fullmatch(item)
    assert match is not None  # has been checked
    name = match[1]
    arguments = [part.strip() for part in (match[2] or "").split(",")]
    count = int(arguments[0]) if name in ARRAYS else 1
    return name, (count, round(parse_time(arguments[-1]) * 1000) if name in RATES else 0)


def _placed(stored: dict[str, tuple[int, int]]) -> tuple[Stored, ...]:
    placed = []
    word = FIRST_WORD
    for name in sorted(stored, key=SHOWN.index):
        count, period_ms = stored[name]
        placed.append(Stored(name, word, count, period_ms))
        word += placed[-1].words
    return tuple(placed)
