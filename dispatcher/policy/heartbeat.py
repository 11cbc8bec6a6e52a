"""Whether workers are alive, from a number that each one counts up in shared memory. Sans-io.

Source: seeds/003 ("timestamps … the least ugly" way to know who is present); architecture, section 2.

A worker adds one to its word each turn of its loop, and at least every `beat_s`. Whoever watches compares with what it saw
before; times are the watcher's own, so clocks are not compared across processes, and a word needs no more than 8 bytes.

    no beat for 2 beats      hung: no new connections, those it has not taken go elsewhere
    no beat for kill_after_s kill it; its sessions have waited long enough
    a beat again             alive
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

BEAT_S = 0.25
KILL_AFTER_S = 30.0
_BEATS_TO_HANG = 2


class Pulse(Enum):
    """What changed."""

    HUNG = "hung"
    ALIVE = "alive"
    KILL = "kill"


@dataclass(slots=True)
class _Worker:
    beat: int
    seen_at: float  # when the beat last changed
    hung: bool = False
    killed: bool = False


class Heartbeats:
    """One watcher's memory of all workers."""

    __slots__ = ("_workers", "beat_s", "kill_after_s")

    def __init__(self, beat_s: float = BEAT_S, kill_after_s: float = KILL_AFTER_S) -> None:
        self.beat_s = beat_s
        self.kill_after_s = kill_after_s
        self._workers: dict[int, _Worker] = {}

    def start(self, worker: int, now: float, beat: int = 0) -> None:
        """A worker was started, or a new generation of it."""
        self._workers[worker] = _Worker(beat, now)

    def stop(self, worker: int) -> None:
        """It is dead; nobody needs to look any more."""
        self._workers.pop(worker, None)

    def look(self, worker: int, now: float, beat: int) -> Pulse | None:
        """The word reads `beat` now. What changed by that, or None. KILL comes once."""
        known = self._workers.get(worker)
        if known is None:
            return None
        if beat != known.beat:
            known.beat, known.seen_at = beat, now
            if known.hung and not known.killed:
                known.hung = False
                return Pulse.ALIVE
            return None
        silent_s = now - known.seen_at
        if not known.hung and silent_s >= _BEATS_TO_HANG * self.beat_s:
            known.hung = True
            return Pulse.HUNG
        if known.hung and not known.killed and silent_s >= self.kill_after_s:
            known.killed = True
            return Pulse.KILL
        return None

    def last_seen_s(self, worker: int, now: float) -> float:
        """Seconds since its last beat was seen; 0 for one that is not watched."""
        known = self._workers.get(worker)
        return 0.0 if known is None else now - known.seen_at
