"""Lookup structures for numbers and addresses. Sans-io. See common/acl/indexes.py.

Source: HAProxy configuration manual 7.1.2, 7.1.6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common.acl import numbers
from common.acl.addresses import V4_MAPPED, embedded_ipv4
from common.acl.indexes import Buckets, Entry, Index, drop, earlier, insert, put
from common.acl.networks import Network, parse_network


class IntegerIndex(Index):
    """`int`: numbers and ranges. `read` turns a key into bounds; `measure` a sample into the number (len takes its length)."""

    __slots__ = ("_measure", "_ranges", "_read", "_single")

    def __init__(self, read: Callable[[bytes], numbers.Bounds] = numbers.parse_range, measure: Callable[[Any], int] = int) -> None:
        self._read = read
        self._measure = measure
        self._single: Buckets = {}
        self._ranges: list[tuple[Entry, int, int]] = []

    def add(self, entry: Entry, fold: bool) -> None:
        self.add_bounds(entry, self._read(entry.key))

    def remove(self, entry: Entry, fold: bool) -> None:
        self.remove_bounds(entry, self._read(entry.key))

    def add_bounds(self, entry: Entry, bounds: numbers.Bounds) -> None:
        low, high = bounds
        if low == high:
            put(self._single, low, entry)
        else:
            insert(self._ranges, (entry, low, high))

    def remove_bounds(self, entry: Entry, bounds: numbers.Bounds) -> None:
        self._ranges = [item for item in self._ranges if item[0] is not entry]
        drop(self._single, bounds[0], entry)

    def find(self, value: Any) -> Entry | None:
        number = self._measure(value)
        found = self._single.get(number)
        best = found[0] if found else None
        for entry, low, high in self._ranges:
            if low <= number <= high:
                return earlier(best, entry)
        return best

    def matches(self, value: Any) -> bool:
        number = self._measure(value)
        if number in self._single:
            return True
        return any(low <= number <= high for _, low, high in self._ranges)


class AddressIndex(Index):
    """`ip`: the longest prefix is the finest. Families meet as in manual 7.1.6."""

    __slots__ = ("_v4", "_v4_lengths", "_v6", "_v6_lengths")

    def __init__(self) -> None:
        self._v4: dict[int, Buckets] = {}  # prefix length -> network bits, shifted down -> entries
        self._v6: dict[int, Buckets] = {}
        self._v4_lengths: list[int] = []
        self._v6_lengths: list[int] = []

    def add(self, entry: Entry, fold: bool) -> None:
        table, key, bits = self._slot(parse_network(entry.key))
        put(table.setdefault(bits, {}), key, entry)
        self._refresh()

    def remove(self, entry: Entry, fold: bool) -> None:
        table, key, bits = self._slot(parse_network(entry.key))
        if bits in table:
            drop(table[bits], key, entry)
            if not table[bits]:
                del table[bits]
        self._refresh()

    def _slot(self, network: Network) -> tuple[dict[int, Buckets], int, int]:
        width = len(network.address) * 8
        key = int.from_bytes(network.address, "big") >> (width - network.bits)
        return (self._v4 if width == 32 else self._v6), key, network.bits

    def _refresh(self) -> None:
        if len(self._v4) != len(self._v4_lengths):
            self._v4_lengths = sorted(self._v4, reverse=True)
        if len(self._v6) != len(self._v6_lengths):
            self._v6_lengths = sorted(self._v6, reverse=True)

    def find(self, value: bytes) -> Entry | None:
        if len(value) == 4:
            found = self._lookup(self._v4, self._v4_lengths, value, 32)
            if found is None and self._v6_lengths:
                found = self._lookup(self._v6, self._v6_lengths, V4_MAPPED + value, 128)
            return found
        found = self._lookup(self._v6, self._v6_lengths, value, 128) if value else None
        if found is None and self._v4_lengths and value:
            inner = embedded_ipv4(value)
            if inner is not None:
                found = self._lookup(self._v4, self._v4_lengths, inner, 32)
        return found

    @staticmethod
    def _lookup(table: dict[int, Buckets], lengths: list[int], value: bytes, width: int) -> Entry | None:
        number = int.from_bytes(value, "big")
        for bits in lengths:
            found = table[bits].get(number >> (width - bits))
            if found:
                return found[0]
        return None
