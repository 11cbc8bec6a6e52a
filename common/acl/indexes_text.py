"""Lookup structures for parts of text: beginnings, ends, substrings, runs of labels. Sans-io. See common/acl/indexes.py.

Source: HAProxy configuration manual 7.1.3.
"""

from __future__ import annotations

from common.acl.indexes import Buckets, Entry, Index, drop, earlier, insert, put


class _Affixes:
    """Patterns of one case, by length: the value's beginning (or end) of that length is looked up."""

    __slots__ = ("by_length", "lengths", "plain")

    FEW = 32  # up to here one startswith/endswith over all is faster than one lookup per length

    def __init__(self) -> None:
        self.by_length: dict[int, Buckets] = {}
        self.lengths: list[int] = []  # longest first
        self.plain: tuple[bytes, ...] | None = ()  # all patterns while they are few

    def add(self, key: bytes, entry: Entry) -> None:
        put(self.by_length.setdefault(len(key), {}), key, entry)
        self._refresh()

    def remove(self, key: bytes, entry: Entry) -> None:
        buckets = self.by_length.get(len(key))
        if buckets is not None:
            drop(buckets, key, entry)
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
            found = earlier(found, self._first(self._folded, value.lower()))
        return found

    @staticmethod
    def _first(affixes: _Affixes, value: bytes) -> Entry | None:
        size = len(value)
        best: Entry | None = None
        for length in affixes.lengths:
            if length <= size:
                found = affixes.by_length[length].get(value[size - length :])
                if found:
                    best = earlier(best, found[0])
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
        insert(self._entries, (entry, entry.key.lower() if fold else entry.key, fold))

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
            insert(self._long, (entry, key, fold))
        else:
            put(self._folded if fold else self._single, key, entry)

    def remove(self, entry: Entry, fold: bool) -> None:
        self._long = [item for item in self._long if item[0] is not entry]
        drop(self._folded if fold else self._single, self._key(entry, fold), entry)

    def _key(self, entry: Entry, fold: bool) -> bytes:
        key = entry.key.strip(self._delimiters)
        return key.lower() if fold else key

    def find(self, value: bytes) -> Entry | None:
        best: Entry | None = None
        if self._single:
            best = self._first_label(self._single, value)
        if self._folded:
            best = earlier(best, self._first_label(self._folded, value.lower()))
        for entry, key, fold in self._long:
            if self._contains(value.lower() if fold else value, key):
                return earlier(best, entry)
        return best

    def _first_label(self, buckets: Buckets, value: bytes) -> Entry | None:
        best: Entry | None = None
        for label in value.translate(self._to_first).split(self._delimiters[:1]):
            found = buckets.get(label)
            # The empty label of a pattern that is all delimiters is found in an empty value only.
            if found and (label or not value):
                best = earlier(best, found[0])
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
