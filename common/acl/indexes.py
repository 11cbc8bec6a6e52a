"""Lookup structures for patterns: one class per way of matching. Sans-io.

Each holds entries of a pattern list and finds the one that a value matches. All can be changed at run time, one entry at a time,
without rebuilding (maps of 100,000 lines are changed through the operator socket):

    exact, bin, method   dict                            O(1)
    beg, end             one dict per pattern length     O(lengths)
    ip                   one dict per prefix length      O(prefix lengths), the longest first
    int, len             dict of single numbers, and a list of ranges
    dir, dom             dict of single labels, and a list of patterns with delimiters inside
    sub, reg             in order

Two answers: `matches(value)`, which conditions ask, and `find(value)`, the first matching entry, or the finest for beg and ip, as
HAProxy does; maps and `explain` ask that. Entries added with -i live in a second structure that is looked up with the value in lower
case, and only if it holds any.

Source: HAProxy configuration manual 7.1 and 7.3.1 (map: "the first of the finest match").
"""

from __future__ import annotations

import binascii
import bisect
from collections.abc import Callable
from typing import Any, TypeVar

from common.acl import numbers
from common.acl.addresses import V4_MAPPED, embedded_ipv4
from common.acl.networks import Network, parse_network
from common.acl.regexes import compile_regex
from common.errors import ExpressionError


class Entry:
    """One pattern. key: as written; value: what a map gives for it. order: position in its list, and the number in its `#` id."""

    __slots__ = ("generation", "key", "order", "value")

    def __init__(self, order: int, key: bytes, value: bytes | None = None, generation: int = 0) -> None:
        self.order = order
        self.key = key
        self.value = value
        self.generation = generation


class Index:
    """Base of all. `add` raises ExpressionError for a key that is no pattern of this kind; `check` only does that."""

    __slots__ = ()

    def add(self, entry: Entry, fold: bool) -> None:
        raise NotImplementedError

    def remove(self, entry: Entry, fold: bool) -> None:
        raise NotImplementedError

    def find(self, value: Any) -> Entry | None:
        raise NotImplementedError

    def matches(self, value: Any) -> bool:
        return self.find(value) is not None


Buckets = dict[Any, list[Entry]]
_Item = TypeVar("_Item", bound="tuple[Entry, Any, Any]")


def _put(buckets: Buckets, key: Any, entry: Entry) -> None:
    """Entries of one key stay in their list's order: the first one counts."""
    entries = buckets.setdefault(key, [])
    entries.append(entry)
    if len(entries) > 1:
        entries.sort(key=_order)


def _drop(buckets: Buckets, key: Any, entry: Entry) -> None:
    entries = buckets.get(key)
    if entries and entry in entries:
        entries.remove(entry)
        if not entries:
            del buckets[key]


def _insert(items: list[_Item], item: _Item) -> None:
    """Keeps a list of tuples, whose first member is an entry, in order. New entries nearly always go last."""
    if items and items[-1][0].order > item[0].order:
        bisect.insort(items, item, key=lambda other: other[0].order)
    else:
        items.append(item)


def _order(entry: Entry) -> int:
    return entry.order


def _earlier(one: Entry | None, other: Entry | None) -> Entry | None:
    if one is None or other is None:
        return one or other
    return one if one.order <= other.order else other


class ExactIndex(Index):
    """`str`; `bin` and `method` with another reading of the key."""

    __slots__ = ("_exact", "_folded", "_read")

    def __init__(self, read: Callable[[bytes], bytes] = bytes) -> None:
        self._exact: Buckets = {}
        self._folded: Buckets = {}
        self._read = read

    def add(self, entry: Entry, fold: bool) -> None:
        key = self._read(entry.key)
        if fold:
            _put(self._folded, key.lower(), entry)
        else:
            _put(self._exact, key, entry)

    def remove(self, entry: Entry, fold: bool) -> None:
        key = self._read(entry.key)
        _drop(self._folded if fold else self._exact, key.lower() if fold else key, entry)

    def find(self, value: bytes) -> Entry | None:
        found = self._exact.get(value)
        if found:
            return found[0]
        if self._folded:
            found = self._folded.get(value.lower())
            if found:
                return found[0]
        return None

    def matches(self, value: bytes) -> bool:
        return value in self._exact or (bool(self._folded) and value.lower() in self._folded)


def read_hex(key: bytes) -> bytes:
    try:
        return binascii.unhexlify(key)
    except binascii.Error:
        raise ExpressionError(f'"{key.decode("latin-1")}" is not an even number of hexadecimal digits') from None


class _Affixes:
    """Patterns of one case, by length: the value's beginning (or end) of that length is looked up."""

    __slots__ = ("by_length", "lengths", "plain")

    FEW = 32  # up to here one startswith/endswith over all is faster than one lookup per length

    def __init__(self) -> None:
        self.by_length: dict[int, Buckets] = {}
        self.lengths: list[int] = []  # longest first
        self.plain: tuple[bytes, ...] | None = ()  # all patterns while they are few

    def add(self, key: bytes, entry: Entry) -> None:
        _put(self.by_length.setdefault(len(key), {}), key, entry)
        self._refresh()

    def remove(self, key: bytes, entry: Entry) -> None:
        buckets = self.by_length.get(len(key))
        if buckets is not None:
            _drop(buckets, key, entry)
            if not buckets:
                del self.by_length[len(key)]
        self._refresh()

    def _refresh(self) -> None:
        if len(self.by_length) != len(self.lengths):
            self.lengths = sorted(self.by_length, reverse=True)
        count = sum(map(len, self.by_length.values()))
        self.plain = tuple(key for buckets in self.by_length.values() for key in buckets) if count <= self.FEW else None


class PrefixIndex(Index):
    """`beg`: the longest prefix is the finest."""

    __slots__ = ("_exact", "_folded")

    def __init__(self) -> None:
        self._exact = _Affixes()
        self._folded = _Affixes()

    def add(self, entry: Entry, fold: bool) -> None:
        if fold:
            self._folded.add(entry.key.lower(), entry)
        else:
            self._exact.add(entry.key, entry)

    def remove(self, entry: Entry, fold: bool) -> None:
        if fold:
            self._folded.remove(entry.key.lower(), entry)
        else:
            self._exact.remove(entry.key, entry)

    def find(self, value: bytes) -> Entry | None:
        found = self._longest(self._exact, value)
        if self._folded.lengths:
            folded = self._longest(self._folded, value.lower())
            if found is None or (folded is not None and len(folded.key) > len(found.key)):
                return folded
        return found

    @staticmethod
    def _longest(affixes: _Affixes, value: bytes) -> Entry | None:
        for length in affixes.lengths:
            found = affixes.by_length[length].get(value[:length])
            if found:
                return found[0]
        return None

    def matches(self, value: bytes) -> bool:
        plain = self._exact.plain
        if plain is not None:
            if value.startswith(plain):
                return True
        elif self._longest(self._exact, value) is not None:
            return True
        if self._folded.lengths:
            return self._longest(self._folded, value.lower()) is not None
        return False


class SuffixIndex(Index):
    """`end`: the first in order wins."""

    __slots__ = ("_exact", "_folded")

    def __init__(self) -> None:
        self._exact = _Affixes()
        self._folded = _Affixes()

    def add(self, entry: Entry, fold: bool) -> None:
        if fold:
            self._folded.add(entry.key.lower(), entry)
        else:
            self._exact.add(entry.key, entry)

    def remove(self, entry: Entry, fold: bool) -> None:
        if fold:
            self._folded.remove(entry.key.lower(), entry)
        else:
            self._exact.remove(entry.key, entry)

    def find(self, value: bytes) -> Entry | None:
        found = self._first(self._exact, value)
        if self._folded.lengths:
            found = _earlier(found, self._first(self._folded, value.lower()))
        return found

    @staticmethod
    def _first(affixes: _Affixes, value: bytes) -> Entry | None:
        size = len(value)
        best: Entry | None = None
        for length in affixes.lengths:
            if length <= size:
                found = affixes.by_length[length].get(value[size - length :])
                if found:
                    best = _earlier(best, found[0])
        return best

    def matches(self, value: bytes) -> bool:
        plain = self._exact.plain
        if plain is not None:
            if value.endswith(plain):
                return True
        elif self._first(self._exact, value) is not None:
            return True
        if self._folded.lengths:
            return self._first(self._folded, value.lower()) is not None
        return False


class SubstringIndex(Index):
    """`sub`."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: list[tuple[Entry, bytes, bool]] = []

    def add(self, entry: Entry, fold: bool) -> None:
        _insert(self._entries, (entry, entry.key.lower() if fold else entry.key, fold))

    def remove(self, entry: Entry, fold: bool) -> None:
        self._entries = [item for item in self._entries if item[0] is not entry]

    def find(self, value: bytes) -> Entry | None:
        lower: bytes | None = None
        for entry, key, fold in self._entries:
            if fold:
                if lower is None:
                    lower = value.lower()
                if key in lower:
                    return entry
            elif key in value:
                return entry
        return None


class LabelIndex(Index):
    """`dir` and `dom`: a run of whole labels between delimiters. Delimiters around the pattern do not count."""

    __slots__ = ("_delimiters", "_folded", "_long", "_single", "_to_first")

    def __init__(self, delimiters: bytes) -> None:
        self._delimiters = delimiters
        self._to_first = bytes.maketrans(delimiters, delimiters[:1] * len(delimiters))
        self._single: Buckets = {}  # one label
        self._folded: Buckets = {}
        self._long: list[tuple[Entry, bytes, bool]] = []  # several labels: delimiters are compared too

    def add(self, entry: Entry, fold: bool) -> None:
        key = self._key(entry, fold)
        if any(byte in self._delimiters for byte in key):
            _insert(self._long, (entry, key, fold))
        else:
            _put(self._folded if fold else self._single, key, entry)

    def remove(self, entry: Entry, fold: bool) -> None:
        self._long = [item for item in self._long if item[0] is not entry]
        _drop(self._folded if fold else self._single, self._key(entry, fold), entry)

    def _key(self, entry: Entry, fold: bool) -> bytes:
        key = entry.key.strip(self._delimiters)
        return key.lower() if fold else key

    def find(self, value: bytes) -> Entry | None:
        best: Entry | None = None
        if self._single:
            best = self._first_label(self._single, value)
        if self._folded:
            best = _earlier(best, self._first_label(self._folded, value.lower()))
        for entry, key, fold in self._long:
            if self._contains(value.lower() if fold else value, key):
                return _earlier(best, entry)
        return best

    def _first_label(self, buckets: Buckets, value: bytes) -> Entry | None:
        best: Entry | None = None
        for label in value.translate(self._to_first).split(self._delimiters[:1]):
            found = buckets.get(label)
            # The empty label of a pattern that is all delimiters is found in an empty value only.
            if found and (label or not value):
                best = _earlier(best, found[0])
        return best

    def _contains(self, value: bytes, key: bytes) -> bool:
        delimiters = self._delimiters
        start = value.find(key)
        while start >= 0:
            end = start + len(key)
            if (start == 0 or value[start - 1] in delimiters) and (end == len(value) or value[end] in delimiters):
                return True
            start = value.find(key, start + 1)
        return False


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
            _put(self._single, low, entry)
        else:
            _insert(self._ranges, (entry, low, high))

    def remove_bounds(self, entry: Entry, bounds: numbers.Bounds) -> None:
        self._ranges = [item for item in self._ranges if item[0] is not entry]
        _drop(self._single, bounds[0], entry)

    def find(self, value: Any) -> Entry | None:
        number = self._measure(value)
        found = self._single.get(number)
        best = found[0] if found else None
        for entry, low, high in self._ranges:
            if low <= number <= high:
                return _earlier(best, entry)
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
        _put(table.setdefault(bits, {}), key, entry)
        self._refresh()

    def remove(self, entry: Entry, fold: bool) -> None:
        table, key, bits = self._slot(parse_network(entry.key))
        if bits in table:
            _drop(table[bits], key, entry)
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


class RegexIndex(Index):
    """`reg`, in order. All patterns of one case are also joined into one alternation, so that a miss costs one search."""

    __slots__ = ("_entries", "_joined")

    def __init__(self) -> None:
        self._entries: list[tuple[Entry, Any, bool]] = []
        self._joined: list[Any] | None = None

    def add(self, entry: Entry, fold: bool) -> None:
        text = entry.key.decode("latin-1")
        _insert(self._entries, (entry, compile_regex(text, fold), fold))
        self._joined = None

    def remove(self, entry: Entry, fold: bool) -> None:
        self._entries = [item for item in self._entries if item[0] is not entry]
        self._joined = None

    def find(self, value: bytes) -> Entry | None:
        for entry, pattern, _ in self._entries:
            if pattern.search(value):
                return entry
        return None

    def search(self, value: bytes) -> tuple[Entry, Any] | None:
        """The first matching entry and its match, for the groups (`map_regm`)."""
        for entry, pattern, _ in self._entries:
            match = pattern.search(value)
            if match:
                return entry, match
        return None

    def matches(self, value: bytes) -> bool:
        if len(self._entries) == 1:
            return self._entries[0][1].search(value) is not None
        if self._joined is None:
            self._joined = self._join()
        return any(pattern.search(value) for pattern in self._joined)

    def _join(self) -> list[Any]:
        joined = []
        for fold in (False, True):
            keys = [entry.key.decode("latin-1") for entry, _, folded in self._entries if folded is fold]
            if keys:
                try:
                    joined.append(compile_regex("|".join(f"(?:{key})" for key in keys), fold))
                except ExpressionError:  # together they exceed RE2's memory: search one by one
                    joined.extend(pattern for _, pattern, folded in self._entries if folded is fold)
        return joined


class TruthIndex(Index):
    """`bool`: patterns are ignored."""

    __slots__ = ()

    ENTRY = Entry(0, b"true")

    def add(self, entry: Entry, fold: bool) -> None:
        pass

    def remove(self, entry: Entry, fold: bool) -> None:
        pass

    def find(self, value: Any) -> Entry | None:
        return self.ENTRY if value else None

    def matches(self, value: Any) -> bool:
        return bool(value)


class FoundIndex(TruthIndex):
    """`found`: there is a sample; patterns are ignored."""

    __slots__ = ()

    ENTRY = Entry(0, b"found")

    def find(self, value: Any) -> Entry | None:
        return self.ENTRY

    def matches(self, value: Any) -> bool:
        return True
