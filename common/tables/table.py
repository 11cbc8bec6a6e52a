"""A stick table in shared memory: find, enter, count, expire, evict; exact whoever else does the same at once. Sans-io.

One short lock per table, which the kernel takes back from a process that dies (`Guard`; measured: half the cost of an update). Under it
everything is plain reading and writing of words. Nobody waits behind it: whoever does not get it within the guard's patience goes
on without the table.

A process may be killed between two writes. So before it writes it says what (`Header.BUSY`): the data of one entry, or the structure
itself. The next holder who finds that unfinished drops that entry, or builds chains and list anew from the entries (which takes
a microsecond each, and happens once per kill at that very spot).

Entries stand in one list by their last use; all live equally long after it, so the list's old end is both what expires next and what
must go when the table is full. Who is tracked stays, however old.

The place of a key is found by a chain; processes remember places of keys they asked for, and an entry's generation says whether that
still holds. Chains are hashed with a secret factor modulo a prime: whoever chooses keys cannot choose their chain.

Rejected: rows per process as in the shared counters (exact without a lock, but who may use a freed place again?); robust futexes through
ctypes (slower than the lock); a database (a hundred times slower).

Source: HAProxy manual 4.2 "stick-table".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from common.tables.definition import Place, TableDefinition
from common.tables.entry import LISTED_FOR_MS, Entry, names_of
from common.tables.layout import (
    BUCKET,
    DATA,
    GENERATION,
    HEADER_WORDS,
    KEY_BYTES,
    LISTED,
    NEWER,
    NEXT,
    OLDER,
    STRING_BYTES,
    STRINGS_MAX,
    STRUCTURE,
    TOUCHED,
    TRACKERS,
    WORD_BYTES,
    Header,
    Layout,
)
from common.tables.plans import Plans
from common.tables.repair import rebuild

_PRIME = (1 << 61) - 1
_REMEMBERED_MAX = 16384
_BATCH_SHIFT = 8  # of a full table, one 256th of the entries goes at once
_PURGED_PER_ENTRY = 4
_LOOKED_AT_MAX = 256  # entries that a full table looks at beyond those that must go: some are tracked, some were used lately

_USED, _TOP, _FREE, _NEWEST, _OLDEST = Header.USED.value, Header.TOP.value, Header.FREE.value, Header.NEWEST.value, Header.OLDEST.value
_BUSY, _FACTOR, _STRINGS, _REPAIRED = Header.BUSY.value, Header.FACTOR.value, Header.STRINGS.value, Header.REPAIRED.value


class Guard(Protocol):
    """The lock of one table among processes."""

    def lock(self) -> object:
        """Raises OSError when somebody else holds it."""

    def wait(self) -> bool:
        """Try for a while. False: somebody holds it for longer than we are willing to wait."""

    def unlock(self) -> object: ...


class Table:
    """One process's hold on a table. share: where an entry says how often this process tracks it; 0 for one that never does."""

    __slots__ = (
        *("_increased", "_memory", "_places", "_strings", "definition", "expire_ms", "layout", "lock", "now_ms", "plans", "share"),
        *("unlock", "wait", "words"),
    )

    def __init__(
        self, definition: TableDefinition, layout: Layout, memory: memoryview, guard: Guard, now_ms: Callable[[], int], column: int = -1
    ) -> None:
        """memory: at least layout.bytes of bytes. now_ms: monotonic, the same for all processes. column: of the process, -1 = none."""
        self.definition = definition
        self.layout = layout
        self.share = layout.shares + column if column >= 0 else 0
        self.plans = Plans(definition)
        self.expire_ms = round(definition.expire_s * 1000)
        self.words = memory[: layout.strings].cast("q")
        self.now_ms = now_ms
        self.lock = guard.lock
        self.wait = guard.wait
        self.unlock = guard.unlock
        self._memory = memory
        self._places: dict[bytes, Entry] = {}
        self._strings: dict[str, int] = {}
        self._increased: dict[tuple[str, int], tuple[Place, ...]] = {}

    # --- asking ------------------------------------------------------------------------------------------------------

    @property
    def used(self) -> int:
        return self.words[_USED]

    @property
    def available(self) -> int:
        return self.definition.size - self.words[_USED]

    def lookup(self, key: bytes) -> Entry | None:
        """The entry of a key, not refreshed; None if there is none or it has expired."""
        if not self.hold():
            return None
        try:
            return self._find(key, self.now_ms())
        finally:
            self.unlock()

    def refresh(self, key: bytes) -> Entry | None:
        """As `lookup`, and its time runs anew."""
        if not self.hold():
            return None
        try:
            now = self.now_ms()
            found = self._find(key, now)
            if found is not None:
                self.touch(found.place, found.base, now)
            return found
        finally:
            self.unlock()

    def enter(self, key: bytes) -> Entry | None:
        """The entry of a key, refreshed, made if need be; None when the table is full of what must stay."""
        if not self.hold():
            return None
        try:
            return self.enter_held(key, self.now_ms())
        finally:
            self.unlock()

    def track(self, key: bytes, places: Sequence[Place]) -> Entry | None:
        """As `enter`; this process tracks the entry from now on, once more, until `let_go`; and one event in these places."""
        if not self.hold():
            return None
        try:
            now = self.now_ms()
            entry = self.enter_held(key, now)
            if entry is not None:
                entry.step_held(1, places, now)
            return entry
        finally:
            self.unlock()

    def drop(self, entry: Entry) -> bool:
        """Take an entry out, unless somebody tracks it."""
        if not self.hold():
            return False
        try:
            if not entry.is_live or entry.trackers > 0:
                return False
            self._drop(entry.place, entry.base)
            return True
        finally:
            self.unlock()

    def purge(self, most: int = 64) -> bool:
        """Take out what has expired, at most so many entries. True: there may be more."""
        if not self.expire_ms or not self.words[_OLDEST] or not self.hold():
            return False
        try:
            return self._purge(self.now_ms(), most) == most
        finally:
            self.unlock()

    def entries(self) -> Iterator[Entry]:
        """All entries, as they are met; others may come and go meanwhile."""
        words, layout = self.words, self.layout
        for number in range(words[_TOP]):
            base = layout.entries + number * layout.entry_words
            if words[base + GENERATION] & 1 and self.hold():
                try:
                    found = self._at(number + 1, base)
                finally:
                    self.unlock()
                if found is not None:
                    yield found

    def give_back(self, column: int) -> int:
        """What a dead process tracked is tracked no more. Returns how many entries that were."""
        words, layout = self.words, self.layout
        current = self.definition.place("conn_cur")
        given = 0
        top = words[_TOP]
        shares = words[layout.entries + layout.shares + column : layout.entries + top * layout.entry_words : layout.entry_words]
        for number, share in enumerate(shares.tolist()):
            if not share or not self.hold():
                continue
            base = layout.entries + number * layout.entry_words
            try:
                words[_BUSY] = number + 1
                words[base + TRACKERS] = max(0, words[base + TRACKERS] - share)
                if current is not None:
                    at = base + current.word
                    words[at] = max(0, words[at] - share)
                words[base + layout.shares + column] = 0
                words[_BUSY] = 0
            finally:
                self.unlock()
            given += 1
        return given

    # --- the lock ----------------------------------------------------------------------------------------------------

    def hold(self) -> bool:
        """Take the lock; what a dead holder left unfinished is mended first. False: it is not to be had."""
        try:
            self.lock()
        except OSError:
            if not self.wait():
                return False
        if self.words[_BUSY]:
            self.mend()
        return True

    # --- with the lock held ------------------------------------------------------------------------------------------

    def enter_held(self, key: bytes, now: int) -> Entry | None:
        found = self._find(key, now)
        if found is not None:
            self.touch(found.place, found.base, now)
            return found
        if self.expire_ms:
            self._purge(now, _PURGED_PER_ENTRY)
        if self.words[_USED] >= self.definition.size and (self.definition.nopurge or not self._evict()):
            return None
        return self._make(key, now)

    def touch(self, place: int, base: int, now: int) -> None:
        """It was used now."""
        words = self.words
        words[base + TOUCHED] = now
        if now - words[base + LISTED] > LISTED_FOR_MS:
            self.relist(place, base, now)

    def relist(self, place: int, base: int, now: int) -> None:
        """To the new end of the list."""
        words = self.words
        words[_BUSY] = STRUCTURE
        if words[_NEWEST] != place:
            self._unlist(base)
            self._list(base, place)
        words[base + LISTED] = now
        words[_BUSY] = 0

    def increased(self, data: str, index: int) -> tuple[Place, ...]:
        """The counter and its rate, as far as they are stored."""
        found = self._increased.get((data, index))
        if found is None:
            places = [self.definition.place(name, index) for name in names_of(data)]
            found = self._increased[data, index] = tuple(place for place in places if place is not None)
        return found

    def string_number(self, text: str) -> int:
        """The number of a name that entries keep, entered if need be; 0: no room for it."""
        number = self._strings.get(text)
        if number is None:
            for known in range(len(self._strings) + 1, self.words[_STRINGS] + 1):
                self._strings[self.string(known)] = known
            number = self._strings.get(text)
        if number is None:
            data = text.encode("utf-8", "surrogateescape")
            number = self.words[_STRINGS] + 1
            if number > STRINGS_MAX or len(data) >= STRING_BYTES:
                return 0
            at = self.layout.strings + (number - 1) * STRING_BYTES
            self._memory[at : at + len(data) + 1] = bytes([len(data)]) + data
            self.words[_STRINGS] = number
            self._strings[text] = number
        return number

    def string(self, number: int) -> str:
        if not 1 <= number <= min(self.words[_STRINGS], STRINGS_MAX):
            return ""
        at = self.layout.strings + (number - 1) * STRING_BYTES
        return bytes(self._memory[at + 1 : at + 1 + self._memory[at]]).decode("utf-8", "surrogateescape")

    # --- inside ------------------------------------------------------------------------------------------------------

    def key_at(self, base: int) -> bytes:
        at = (base + self.layout.key) * WORD_BYTES
        return bytes(self._memory[at : at + self.words[base + KEY_BYTES]])

    def bucket_of(self, key: bytes) -> int:
        number = int.from_bytes(key, "little") + len(key)
        return HEADER_WORDS + (number * self.words[_FACTOR] % _PRIME & self.layout.buckets - 1)

    def _find(self, key: bytes, now: int) -> Entry | None:
        words = self.words
        known = self._places.get(key)
        if known is None or words[known.base] != known.generation:
            known = self._search(key)
            if known is None:
                return None
        expire = self.expire_ms
        base = known.base
        if expire and now - words[base + TOUCHED] >= expire and not words[base + TRACKERS]:
            self._drop(known.place, base)
            return None
        return known

    def _search(self, key: bytes) -> Entry | None:
        words, layout = self.words, self.layout
        place = words[self.bucket_of(key)]
        size = len(key)
        while place:
            base = layout.entries + (place - 1) * layout.entry_words
            if words[base + KEY_BYTES] == size and self.key_at(base) == key:
                return self._remember(Entry(self, place, base, words[base], key))
            place = words[base + NEXT]
        return None

    def _remember(self, entry: Entry) -> Entry:
        if len(self._places) >= _REMEMBERED_MAX:
            self._places.clear()
        self._places[entry.key_bytes] = entry
        return entry

    def _at(self, place: int, base: int) -> Entry | None:
        generation = self.words[base]
        return Entry(self, place, base, generation, self.key_at(base)) if generation & 1 else None

    def _make(self, key: bytes, now: int) -> Entry:
        words, layout = self.words, self.layout
        words[_BUSY] = STRUCTURE
        place = words[_FREE]
        if place:
            base = layout.entries + (place - 1) * layout.entry_words
            words[_FREE] = words[base + NEXT]
        else:
            place = words[_TOP] = words[_TOP] + 1
            base = layout.entries + (place - 1) * layout.entry_words
        for word in range(base + DATA, base + layout.key):
            words[word] = 0
        bucket = self.bucket_of(key)
        words[base + TOUCHED] = words[base + LISTED] = now
        words[base + TRACKERS] = 0
        words[base + KEY_BYTES] = len(key)
        words[base + BUCKET] = bucket
        at = (base + layout.key) * WORD_BYTES
        self._memory[at : at + len(key)] = key
        words[base + NEXT] = words[bucket]
        words[bucket] = place
        words[base] += 1  # odd: in use
        self._list(base, place)
        words[_USED] += 1
        words[_BUSY] = 0
        return self._remember(Entry(self, place, base, words[base], key))

    def _drop(self, place: int, base: int) -> None:
        words, layout = self.words, self.layout
        words[_BUSY] = STRUCTURE
        at = words[base + BUCKET]
        while words[at] != place:
            at = layout.entries + (words[at] - 1) * layout.entry_words + NEXT
        words[at] = words[base + NEXT]
        self._unlist(base)
        words[base] += 1  # even: free
        words[base + NEXT] = words[_FREE]
        words[_FREE] = place
        words[_USED] -= 1
        words[_BUSY] = 0

    def _list(self, base: int, place: int) -> None:
        """At the new end."""
        words, layout = self.words, self.layout
        newest = words[_NEWEST]
        words[base + NEWER] = 0
        words[base + OLDER] = newest
        if newest:
            words[layout.entries + (newest - 1) * layout.entry_words + NEWER] = place
        else:
            words[_OLDEST] = place
        words[_NEWEST] = place

    def _unlist(self, base: int) -> None:
        words, layout = self.words, self.layout
        newer, older = words[base + NEWER], words[base + OLDER]
        if newer:
            words[layout.entries + (newer - 1) * layout.entry_words + OLDER] = older
        else:
            words[_NEWEST] = older
        if older:
            words[layout.entries + (older - 1) * layout.entry_words + NEWER] = newer
        else:
            words[_OLDEST] = newer

    def _purge(self, now: int, most: int) -> int:
        """Drop what has expired from the old end on, at most so many; how many were looked at."""
        words, layout = self.words, self.layout
        for looked in range(most):
            oldest = words[_OLDEST]
            if not oldest:
                return looked
            base = layout.entries + (oldest - 1) * layout.entry_words
            if words[base + TRACKERS]:
                self.relist(oldest, base, now)  # in use
            elif now - words[base + TOUCHED] >= self.expire_ms:
                self._drop(oldest, base)
            else:
                return looked
        return most

    def _evict(self) -> bool:
        """A full table: a few of the oldest go. False: nobody may.

        Places in the list are up to LISTED_FOR_MS behind the last use, so all are looked at that could be older than those found so far.
        """
        words, layout = self.words, self.layout
        wanted = (self.definition.size >> _BATCH_SHIFT) + 1
        found: list[tuple[int, int, int]] = []
        latest = looked = 0
        place = words[_OLDEST]
        while place and looked < wanted + _LOOKED_AT_MAX:
            base = layout.entries + (place - 1) * layout.entry_words
            if len(found) >= wanted and words[base + LISTED] > latest:
                break
            if not words[base + TRACKERS]:
                found.append((words[base + TOUCHED], place, base))
                if len(found) <= wanted:
                    latest = max(latest, words[base + TOUCHED])
            looked += 1
            place = words[base + NEWER]
        found.sort()
        for _, place, base in found[:wanted]:
            self._drop(place, base)
        return bool(found)

    def mend(self) -> None:
        """With the lock held: somebody died while he wrote."""
        words, layout = self.words, self.layout
        busy = words[_BUSY]
        words[_REPAIRED] += 1
        if busy == STRUCTURE:
            rebuild(words, layout)
            words[_BUSY] = 0
        elif 1 <= busy <= layout.size and words[base := layout.entries + (busy - 1) * layout.entry_words] & 1:
            self._drop(busy, base)
        else:
            words[_BUSY] = 0
