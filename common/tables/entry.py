"""One entry of a stick table as rules and fetches see it: counters, rates, tags, who tracks it. Sans-io. Hot path.

An `Entry` names a place and the generation that it means. When the entry has gone meanwhile, reading it gives zeroes and writing it
does nothing; nobody ever writes into the entry that has taken its place.

Each change is the same five steps: take the lock, see that the entry is still meant, say what is being written, write, give the lock back.
They stand written out where it matters, because a call costs as much as two of the writes.

Source: HAProxy manual 4.2 "stick-table", 7.3.3 (sc_*).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from common.acl.types import Typed
from common.tables import rates
from common.tables.definition import WIDE, Place
from common.tables.keys import typed_key
from common.tables.layout import LISTED, TOUCHED, TRACKERS, Header

if TYPE_CHECKING:
    from common.tables.table import Table

MASK32 = 0xFFFFFFFF
LISTED_FOR_MS = 1000
"""How long an entry keeps its place in the list however often it is used; who looks for the oldest knows."""

_BUSY = Header.BUSY.value
_RATES = {"gpc0": "gpc0_rate", "gpc1": "gpc1_rate", "gpc": "gpc_rate", "conn_cnt": "conn_rate"}


class Entry:
    """Implements common.acl.facts_world.StickEntry. base: its first word. place: its number + 1."""

    __slots__ = ("base", "generation", "key_bytes", "place", "table")

    def __init__(self, table: Table, place: int, base: int, generation: int, key: bytes) -> None:
        self.table = table
        self.place = place
        self.base = base
        self.generation = generation
        self.key_bytes = key

    # --- what is asked -----------------------------------------------------------------------------------------------

    @property
    def key(self) -> Typed:
        return typed_key(self.table.definition, self.key_bytes)

    @property
    def trackers(self) -> int:
        return self.table.words[self.base + TRACKERS] if self.is_live else 0

    @property
    def is_live(self) -> bool:
        return self.table.words[self.base] == self.generation

    @property
    def expires_in(self) -> float:
        table = self.table
        return max(0, table.expire_ms - self._age_ms()) / 1000 if table.expire_ms else 0.0

    @property
    def idle(self) -> float:
        return self._age_ms() / 1000

    def get(self, data: str, index: int = 0) -> int | None:
        table = self.table
        place = table.definition.place(data, index)
        if place is None:
            return None
        word, period_ms = place
        words, base = table.words, self.base
        if not period_ms:  # one word is read whole, lock or not
            value = words[base + word]
            return value if words[base] == self.generation else 0
        if not table.hold():
            return 0
        value = rates.read(words, base + word, period_ms, table.now_ms()) if words[base] == self.generation else 0
        table.unlock()
        return value

    def text(self, data: str) -> bytes | None:
        """The server's name, of server_key; None if there is none."""
        number = self.get(data)
        return self.table.string(number).encode("utf-8", "surrogateescape") or None if number else None

    # --- what is done ------------------------------------------------------------------------------------------------

    def count(self, places: Sequence[Place], by: int = 1) -> None:
        """One event, or `by`, in each of these counters and rates."""
        if not places:
            return
        table = self.table
        words, base = table.words, self.base
        try:
            table.lock()
        except OSError:
            if not table.wait():
                return
        if words[_BUSY]:
            table.mend()
        if words[base] == self.generation:
            now = table.now_ms()
            words[base + TOUCHED] = now
            if now - words[base + LISTED] > LISTED_FOR_MS:
                table.relist(self.place, base, now)
            words[_BUSY] = self.place
            for word, period_ms in places:
                if period_ms:
                    rates.count(words, base + word, period_ms, now, by)
                else:
                    words[base + word] += by
            words[_BUSY] = 0
        table.unlock()

    def increase(self, data: str, index: int = 0, by: int = 1) -> int | None:
        """gpc0, gpc1, gpc or conn_cnt and their rates. The new value, of the rate where only that is stored; None: neither is."""
        table = self.table
        places = table.increased(data, index)
        if not places:
            return None
        if not table.hold():
            return 0
        words, base = table.words, self.base
        value = 0
        if words[base] == self.generation:
            now = table.now_ms()
            table.touch(self.place, base, now)
            words[_BUSY] = self.place
            for word, period_ms in places:
                if period_ms:
                    rates.count(words, base + word, period_ms, now, by)
                else:
                    words[base + word] = words[base + word] + by & MASK32
            words[_BUSY] = 0
            word, period_ms = places[0]
            value = rates.read(words, base + word, period_ms, now) if period_ms else words[base + word]
        table.unlock()
        return value

    def set(self, data: str, value: int, index: int = 0) -> None:
        """Any counter, tag or number. A rate becomes so many events in the period that begins now."""
        self.set_many([(data, index, value)])

    def set_many(self, values: Sequence[tuple[str, int, int]]) -> None:
        """(data, index, value) of each, in one step; what is not stored is passed over."""
        table = self.table
        placed = [(data, place, value) for data, index, value in values if (place := table.definition.place(data, index)) is not None]
        if not placed or not table.hold():
            return
        words, base = table.words, self.base
        if words[base] == self.generation:
            now = table.now_ms()
            table.touch(self.place, base, now)
            words[_BUSY] = self.place
            for data, (word, period_ms), value in placed:
                if period_ms:
                    rates.begin(words, base + word, now, value)
                else:
                    words[base + word] = value & (1 << 63) - 1 if data in WIDE else value & MASK32
            words[_BUSY] = 0
        table.unlock()

    def set_server(self, number: int, name: str) -> None:
        """The server that serves this key from now on."""
        table = self.table
        if table.definition.find("server_key") is None or not table.hold():
            self.set("server_id", number)
            return
        text = table.string_number(name)
        table.unlock()
        self.set_many([("server_id", 0, number), ("server_key", 0, text)])

    def clear(self, data: str, index: int = 0) -> int | None:
        """Sets a counter and its rate to zero; what it was before, or None if neither is stored."""
        table = self.table
        places = table.increased(data, index)
        if not places:
            return None
        before = self.get(data, index)
        if before is None:
            before = self.get(_RATES[data], index)
        if not table.hold():
            return before
        words, base = table.words, self.base
        if words[base] == self.generation:
            words[_BUSY] = self.place
            for word, period_ms in places:
                if period_ms:
                    rates.begin(words, base + word, 0, 0)
                else:
                    words[base + word] = 0
            words[_BUSY] = 0
        table.unlock()
        return before

    # --- tracking ----------------------------------------------------------------------------------------------------

    def let_go(self) -> None:
        """This process tracks it once less (`Table.track`). It is refreshed: its time runs from now."""
        table = self.table
        if not table.hold():
            return
        if table.words[self.base] == self.generation:
            now = table.now_ms()
            table.touch(self.place, self.base, now)
            self.step_held(-1, (), now)
        table.unlock()

    def step_held(self, step: int, places: Sequence[Place], now: int) -> None:
        """One tracker more or less, and one event in these places; with the lock held."""
        table = self.table
        words, base = table.words, self.base
        words[_BUSY] = self.place
        words[base + TRACKERS] += step
        if table.share:
            words[base + table.share] += step
        current = table.plans.current
        if current:
            at = base + current
            words[at] = max(0, words[at] + step)
        for word, period_ms in places:
            if period_ms:
                rates.count(words, base + word, period_ms, now)
            else:
                words[base + word] += 1
        words[_BUSY] = 0

    def _age_ms(self) -> int:
        return max(0, self.table.now_ms() - self.table.words[self.base + TOUCHED])


def names_of(data: str) -> tuple[str, ...]:
    """What one increase of this counter counts in."""
    return (data, _RATES[data]) if data in _RATES else (data,)
