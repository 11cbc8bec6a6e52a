"""The shared counters: one writer per block, readers sum. Sans-io (the mapping is made by common/process).

Facts. Statistics kept per process lie as soon as there are several: maxima, rates and limits are those of whoever answers,
and a reload starts from zero while the old processes still serve. So all processes of one generation share one mapping
(common/observe/layout.py), and the next generation's mapping carries what the earlier ones counted in a row of its own.

- A process writes its own row, plainly: `block[STOT] += 1`, about 75 ns.
- A process that is restarted goes on in the row of the one before it; only its gauges start anew (`reset_gauges`).
- `clear counters all` cannot zero words that others write: the master subtracts the totals in a row of its own, CLEARED, and
  the writers never know.
- Maxima may be zeroed by the master (`clear counters`): a writer only ever raises one, so the worst outcome of the race is
  an old maximum that survives.

So a total is the sum over the processes, the CARRIED row (totals of earlier generations) and the CLEARED row.
"""

from __future__ import annotations

from common.observe.fields import BLOCK_WORDS, COUNTERS, GAUGES, LARGEST_OF_SERVERS, MAXIMA, NAMES, SUMMED_FROM_SERVERS
from common.observe.layout import (
    GLOBAL_WORDS,
    HB_GENERATION,
    HB_NUMBER,
    HB_PID,
    HB_ROLE,
    HB_STAMP_MS,
    HB_STARTED_AT_MS,
    HB_STATE,
    HEADER_BYTES,
    HEARTBEAT_WORDS,
    MASTER_ROWS,
    WORD_BYTES,
    Key,
    Layout,
    LayoutError,
)
from common.observe.reason import REASON_WORDS

_WORDS = len(NAMES)
_GLOBALS = HEADER_BYTES // WORD_BYTES
_HEARTBEATS = _GLOBALS + GLOBAL_WORDS
_MAXIMA = tuple(sorted(MAXIMA))
_CLEARED, _WATCH, _STATE = 1, 2, 3  # rows of the master, counted from the CARRIED row


class Counters:
    """One process's view of the mapping. process_index None: a reader, or the master, which writes no row of a process.

    The blocks returned are memoryviews of words; keep them, they are cheap to use and dear to make.
    """

    __slots__ = ("_counting", "_objects_offset", "_reasons", "_rows", "_words", "layout", "process_index")

    def __init__(self, buffer: memoryview | bytearray, layout: Layout, process_index: int | None = None) -> None:
        view = memoryview(buffer).cast("B")
        if len(view) < layout.size:
            raise LayoutError(f"the statistics mapping has {len(view)} bytes, this configuration needs {layout.size}")
        if process_index is not None and not 0 <= process_index < layout.processes:
            raise LayoutError(f"process {process_index} of {layout.processes} has no row in the statistics mapping")
        self.layout = layout
        self.process_index = process_index
        self._words: memoryview[int] = view[: layout.size].cast("q")
        self._objects_offset = layout.rows_offset // WORD_BYTES
        self._rows = [self._row(row) for row in range(layout.processes + MASTER_ROWS)]
        self._counting = self._rows[: layout.processes + 2]
        self._reasons = layout.reasons_offset // WORD_BYTES

    # --- blocks of this process -----------------------------------------------------------------------------------------

    def process(self) -> memoryview[int]:
        """What concerns the process and no proxy: words P_…."""
        return self._own(0)

    def frontend(self, proxy: int) -> memoryview[int]:
        return self._own(self.layout.frontends[proxy])

    def backend(self, proxy: int) -> memoryview[int]:
        return self._own(self.layout.backends[proxy])

    def server(self, proxy: int, position: int) -> memoryview[int]:
        return self._own(self.layout.servers[proxy][position])

    def listener(self, bind_id: int) -> memoryview[int]:
        return self._own(self.layout.listeners[bind_id])

    def reasons(self, proxy: int) -> memoryview[int]:
        """Early ends and own answers by reason: index = common.observe.reasons.INDEX[slug]."""
        assert self.process_index is not None
        return self._reason_block(self.process_index, proxy)

    # --- life of a process ----------------------------------------------------------------------------------------------

    def start(self, pid: int, role: int, number: int, generation: int, now: float) -> None:
        """A process begins (or begins again) on this row: its gauges are zero, its counters go on."""
        self.reset_gauges()
        heart = self.heartbeat(self._index())
        heart[HB_PID], heart[HB_ROLE], heart[HB_NUMBER], heart[HB_GENERATION] = pid, role, number, generation
        heart[HB_STARTED_AT_MS] = heart[HB_STAMP_MS] = int(now * 1000)

    def beat(self, now: float, state: int = 0) -> None:
        """Say that this process lives and what it does."""
        heart = self.heartbeat(self._index())
        heart[HB_STAMP_MS], heart[HB_STATE] = int(now * 1000), state

    def reset_gauges(self, process_index: int | None = None) -> None:
        """Zero the gauges of a row: of this process, or (the master, for one that died) of another."""
        row = self._rows[self._index() if process_index is None else process_index]
        for number in range(len(self.layout.keys)):
            start = number * BLOCK_WORDS
            for gauge in GAUGES:
                row[start + gauge] = 0

    def heartbeat(self, process_index: int) -> memoryview[int]:
        """The heartbeat words (HB_…) of a process."""
        start = _HEARTBEATS + process_index * HEARTBEAT_WORDS
        return self._words[start : start + HEARTBEAT_WORDS]

    @property
    def globals(self) -> memoryview[int]:
        """The master's words about the whole service (G_…)."""
        return self._words[_GLOBALS : _GLOBALS + GLOBAL_WORDS]

    # --- reading --------------------------------------------------------------------------------------------------------

    def across(self, number: int, word: int) -> memoryview[int]:
        """One word of one object in every row that counts: sum() of it is the total, at any later time."""
        first = self._objects_offset + number * BLOCK_WORDS + word
        last = first + (self.layout.processes + 1) * self.layout.row_words
        return self._words[first : last + 1 : self.layout.row_words]

    def total_column(self, word: int) -> list[int]:
        """One word of every object over all processes: for samples, at a fraction of the cost of `total` for each."""
        columns = (row[word::BLOCK_WORDS].tolist() for row in self._counting)
        return [sum(values) for values in zip(*columns, strict=True)]

    def total(self, number: int) -> list[int]:
        """All words of an object over all processes: counters and gauges summed, maxima the largest.

        A maximum over processes is not the maximum of the whole: common/observe/rates.py samples that one.
        """
        start = number * BLOCK_WORDS
        blocks = [row[start : start + _WORDS].tolist() for row in self._counting]
        words = [sum(column) for column in zip(*blocks, strict=True)]
        for word in _MAXIMA:
            words[word] = max(block[word] for block in blocks)
        return words

    def total_backend(self, proxy: int) -> list[int]:
        """A backend with what is counted at its servers added."""
        words = self.total(self.layout.backends[proxy])
        for number in self.layout.servers[proxy]:
            server = self.total(number)
            for word in SUMMED_FROM_SERVERS:
                words[word] += server[word]
            for word in LARGEST_OF_SERVERS:
                words[word] = max(words[word], server[word])
        return words

    def total_reasons(self, proxy: int) -> list[int]:
        blocks = [self._reason_block(row, proxy) for row in range(self.layout.processes + 2)]
        return [sum(column) for column in zip(*blocks, strict=True)]

    def of_process(self, process_index: int, number: int) -> list[int]:
        """All words of one object as one process counted them."""
        start = number * BLOCK_WORDS
        return self._rows[process_index][start : start + _WORDS].tolist()

    def only(self, process_index: int) -> Counters:
        """A reader for which one process is the whole service (`@2 show stat`)."""
        view = object.__new__(Counters)
        for name in Counters.__slots__:
            setattr(view, name, getattr(self, name))
        view.process_index = None
        view._counting = [self._rows[process_index]]
        return view

    # --- the master's rows ----------------------------------------------------------------------------------------------

    def watch(self, number: int) -> memoryview[int]:
        """Samples of one object (common/observe/rates.py)."""
        return self._block(self.layout.processes + _WATCH, number)

    def watch_column(self, word: int) -> memoryview[int]:
        return self._rows[self.layout.processes + _WATCH][word::BLOCK_WORDS]

    def state(self, number: int) -> memoryview[int]:
        """State of one object as the master sees it (common/observe/states.py)."""
        return self._block(self.layout.processes + _STATE, number)

    def carry(self, earlier: Counters, *, gauges: bool) -> None:
        """Take over what an earlier generation counted, by key: called at the switch and again while it drains.

        gauges False when none of its processes lives any more: sessions of the dead are nobody's.
        """
        numbers = {key: number for number, key in enumerate(earlier.layout.keys) if key.kind}
        for number, key in enumerate(self.layout.keys):
            source = numbers.get(key)
            if not key.kind or source is None:
                continue
            self._carry_object(number, earlier.total(source), gauges)
        self._carry_reasons(earlier)

    def _carry_object(self, number: int, words: list[int], gauges: bool) -> None:
        block = self._block(self.layout.processes, number)
        for word in COUNTERS:
            block[word] = words[word]
        for word in GAUGES:
            block[word] = words[word] if gauges else 0
        for word in _MAXIMA:
            if words[word] > block[word]:
                block[word] = words[word]

    def _carry_reasons(self, earlier: Counters) -> None:
        sources = {_proxy_name(earlier.layout, proxy): proxy for proxy in range(len(earlier.layout.frontends))}
        words = {slug: word for word, slug in enumerate(self.layout.reasons)}
        for proxy in range(len(self.layout.frontends)):
            source = sources.get(_proxy_name(self.layout, proxy))
            if source is not None:
                block = self._reason_block(self.layout.processes, proxy)
                for slug, value in zip(earlier.layout.reasons, earlier.total_reasons(source), strict=False):
                    if slug in words:
                        block[words[slug]] = value

    def clear_maxima(self) -> None:
        """`clear counters`."""
        for row in self._rows[: self.layout.processes + 2]:
            for number in range(len(self.layout.keys)):
                for word in MAXIMA:
                    row[number * BLOCK_WORDS + word] = 0

    def clear_counters(self) -> None:
        """`clear counters all`: every total becomes zero; gauges stay what they are."""
        self.clear_maxima()
        cleared = self.layout.processes + _CLEARED
        for number in range(len(self.layout.keys)):
            block, words = self._block(cleared, number), self.total(number)
            for word in COUNTERS:
                block[word] -= words[word]
        for proxy in range(len(self.layout.frontends)):
            reasons = self._reason_block(cleared, proxy)
            for word, value in enumerate(self.total_reasons(proxy)):
                reasons[word] -= value

    # --- helpers --------------------------------------------------------------------------------------------------------

    def _index(self) -> int:
        assert self.process_index is not None, "only a process with a row of its own counts"
        return self.process_index

    def _own(self, number: int) -> memoryview[int]:
        assert number >= 0, "the proxy has no such side"
        return self._block(self._index(), number)

    def _row(self, row: int) -> memoryview[int]:
        start = self._objects_offset + row * self.layout.row_words
        return self._words[start : start + self.layout.row_words]

    def _block(self, row: int, number: int) -> memoryview[int]:
        start = number * BLOCK_WORDS
        return self._rows[row][start : start + BLOCK_WORDS]

    def _reason_block(self, row: int, proxy: int) -> memoryview[int]:
        start = self._reasons + (row * len(self.layout.frontends) + proxy) * REASON_WORDS
        return self._words[start : start + REASON_WORDS]


def _proxy_name(layout: Layout, proxy: int) -> Key:
    """A key for the reasons of a proxy: a frontend and a backend of one name are two proxies."""
    return layout.keys[layout.frontends[proxy] if layout.frontends[proxy] >= 0 else layout.backends[proxy]]
