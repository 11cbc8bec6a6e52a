"""The master's part in the shared counters and states: beginning them, sampling them, handing them on.

Once a second the generation that serves is sampled (rates, maxima, averages), what the earlier ones still count while they
drain is carried over, servers that start slowly get more, and gauges of processes that are no more are taken back: sessions
of the dead are nobody's. A generation that has ended is carried one last time, without its gauges.
"""

from __future__ import annotations

import itertools
import os
import secrets
import time
from collections.abc import Sequence
from typing import Protocol

import trio

from common.control.beginnings import Beginnings
from common.model import Config
from common.observe.counters import Counters
from common.observe.layout import G_GENERATION, G_MASTER_PID, G_SECRET, G_STARTED_AT_MS, G_STARTED_EPOCH, SECRET_WORDS
from common.observe.rates import Sampler
from common.observe.server_changes import ServerChanges
from common.observe.state_file import apply_states
from common.observe.state_setup import inherit, initialise, settle_names, summarise

EVERY_S = 1.0
_NOTHING_KNOWN = Beginnings()


class Process(Protocol):
    """A member of a generation. pid: 0 while there is no process."""

    @property
    def pid(self) -> int: ...


class Configured(Protocol):
    @property
    def config(self) -> Config: ...


class Counted(Protocol):
    """A generation, as far as its counters go. Members are in the order of their rows."""

    @property
    def number(self) -> int: ...
    @property
    def blueprint(self) -> Configured: ...
    @property
    def counters(self) -> Counters | None: ...
    @property
    def members(self) -> Sequence[Process]: ...


class Statistics:
    """One per master. `begin` each generation before its processes start; `keep` runs for as long as the service does."""

    __slots__ = ("_current", "_earlier", "_rows_alive", "_sampler", "changes", "started_at_s")

    def __init__(self) -> None:
        self.started_at_s = time.monotonic()
        self.changes: ServerChanges | None = None  # the book of the generation that serves
        self._current: Counted | None = None
        self._earlier: list[Counted] = []  # oldest first
        self._sampler: Sampler | None = None
        self._rows_alive: dict[int, set[int]] = {}  # generation -> rows whose process was seen alive

    @staticmethod
    def prepare(
        counters: Counters, config: Config, number: int, earlier: Counters | None, beginnings: Beginnings = _NOTHING_KNOWN
    ) -> None:
        """Give a new generation's mapping its states: those of the one before it, or those that the file says."""
        now = time.monotonic()
        words = counters.globals
        words[G_STARTED_AT_MS], words[G_STARTED_EPOCH] = int(now * 1000), int(time.time())
        words[G_MASTER_PID], words[G_GENERATION] = os.getpid(), number
        for word in range(G_SECRET, G_SECRET + SECRET_WORDS):
            words[word] = secrets.randbits(63) if earlier is None else earlier.globals[word]
        initialise(counters, config, now)
        settle_names(counters, config, beginnings.addresses, now)
        if earlier is not None:
            inherit(counters, earlier)
            summarise(counters, config, now)
        else:
            apply_states(counters, config, beginnings.saved, now)

    def begin(self, generation: Counted) -> None:
        """This generation serves from now on. Its states are prepared here if nobody has."""
        counters = generation.counters
        if counters is None or generation is self._current:
            return
        earlier = self._current
        if not counters.globals[G_STARTED_AT_MS]:
            self.prepare(counters, generation.blueprint.config, generation.number, earlier.counters if earlier else None)
        now = time.monotonic()
        self._sampler = Sampler(counters)
        if earlier is not None and earlier.counters is not None:
            self._earlier.append(earlier)
            counters.carry(earlier.counters, gauges=True)
            self._sampler.carry(earlier.counters, now)
        else:
            self._sampler.restart(now)
        self._current = generation
        self.changes = ServerChanges(generation.blueprint.config, counters)

    def servers_changed(self) -> None:
        """A server was added or removed: the book is made anew."""
        if self._current is not None and self._current.counters is not None:
            self.changes = ServerChanges(self._current.blueprint.config, self._current.counters)

    @property
    def counters(self) -> Counters | None:
        """Those of the generation that serves: the truth about all."""
        return self._current.counters if self._current else None

    def clear(self, *, everything: bool) -> None:
        """`clear counters [all]`, in every generation, so that nothing comes back from one that drains."""
        now = time.monotonic()
        for generation in [*self._earlier, *([self._current] if self._current else [])]:
            if generation.counters is not None:
                if everything:
                    generation.counters.clear_counters()
                else:
                    generation.counters.clear_maxima()
        if self._sampler is not None:
            if everything:
                self._sampler.restart(now)
            else:
                self._sampler.clear_maxima()

    def second(self, alive: Sequence[Counted]) -> None:
        """What is done every second. alive: generations that still have processes."""
        now = time.monotonic()
        for generation in alive:
            self._take_back_gauges(generation)
        self._carry(alive)
        if self._sampler is not None and self.changes is not None:
            self._sampler.boundary(now)
            self.changes.ramp(now)

    async def keep(self, alive: Sequence[Counted]) -> None:
        """The trio task. alive: the master's own list, which changes."""
        while True:
            await trio.sleep(EVERY_S)
            self.second(alive)

    def _carry(self, alive: Sequence[Counted]) -> None:
        """Bring what earlier generations counted into the current one, along the chain."""
        chain = [*self._earlier, *([self._current] if self._current else [])]
        for earlier, later in itertools.pairwise(chain):
            if earlier.counters is not None and later.counters is not None:
                if earlier not in alive:
                    for row in range(earlier.counters.layout.processes):
                        earlier.counters.reset_gauges(row)
                later.counters.carry(earlier.counters, gauges=True)
        # What has ended was carried for good: the CARRIED row of its successor keeps it when nobody writes there any more.
        while self._earlier and self._earlier[0] not in alive:
            self._rows_alive.pop(self._earlier.pop(0).number, None)

    def _take_back_gauges(self, generation: Counted) -> None:
        if generation.counters is None:
            return
        seen = self._rows_alive.setdefault(generation.number, set())
        for row, member in enumerate(generation.members):
            if member.pid:
                seen.add(row)
            elif row in seen:
                seen.discard(row)
                generation.counters.reset_gauges(row)
