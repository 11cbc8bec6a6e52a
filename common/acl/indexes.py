"""Lookup structures for patterns: one class per way of matching. Sans-io.

Each holds entries of a pattern list and finds the one that a value matches. Here are the base and the plain ones; those for parts of
text are in indexes_text.py, those for numbers and addresses in indexes_numbers.py. All can be changed at run time, one entry at a time,
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

from common.acl.regexes import compile_regex, matcher
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
Item = TypeVar("Item", bound="tuple[Entry, Any, Any]")


def put(buckets: Buckets, key: Any, entry: Entry) -> None:
    """Entries of one key stay in their list's order: the first one counts."""
    entries = buckets.setdefault(key, [])
    entries.append(entry)
    if len(entries) > 1:
        entries.sort(key=_by_order)


def drop(buckets: Buckets, key: Any, entry: Entry) -> None:
    entries = buckets.get(key)
    if entries and entry in entries:
        entries.remove(entry)
        if not entries:
            del buckets[key]


def insert(items: list[Item], item: Item) -> None:
    """Keeps a list of tuples, whose first member is an entry, in order. New entries nearly always go last."""
    if items and items[-1][0].order > item[0].order:
        bisect.insort(items, item, key=lambda other: other[0].order)
    else:
        items.append(item)


def _by_order(entry: Entry) -> int:
    return entry.order


def earlier(one: Entry | None, other: Entry | None) -> Entry | None:
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
            put(self._folded, key.lower(), entry)
        else:
            put(self._exact, key, entry)

    def remove(self, entry: Entry, fold: bool) -> None:
        key = self._read(entry.key)
        drop(self._folded if fold else self._exact, key.lower() if fold else key, entry)

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


class RegexIndex(Index):
    """`reg`, in order. Whether any matches is asked of all at once."""

    __slots__ = ("_entries", "_matches")

    def __init__(self) -> None:
        self._entries: list[tuple[Entry, Any, bool]] = []
        self._matches: Callable[[bytes], bool] | None = None

    def add(self, entry: Entry, fold: bool) -> None:
        insert(self._entries, (entry, compile_regex(entry.key, fold), fold))
        self._matches = None

    def remove(self, entry: Entry, fold: bool) -> None:
        self._entries = [item for item in self._entries if item[0] is not entry]
        self._matches = None

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
        test = self._matches
        if test is None:
            test = self._matches = matcher([(entry.key, fold) for entry, _, fold in self._entries])
        return test(value)


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
