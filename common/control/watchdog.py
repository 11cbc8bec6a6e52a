"""Watching the hearts of a generation's processes: who hangs for longer than `tune.worker.hang-timeout` is killed and started again.

Dispatchers see a hanging worker within two heartbeats and pass it over (dispatcher/seat.py); its sessions wait for it, as it may
only have been stopped for a moment. Somebody must end the waiting, and only the master outlives everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import trio

from common.model import Config
from common.observe.counters import Counters
from common.observe.layout import HB_PID, HB_STAMP_MS
from common.units import parse_time
from dispatcher.policy.heartbeat import BEAT_S, Heartbeats, Pulse

TIMEOUT = "tune.worker.hang-timeout"
LATE_BEATS = 4  # a look that comes so much later than it should: it is this process that slept


class Member(Protocol):
    """One process of the generation."""

    @property
    def pid(self) -> int: ...
    @property
    def over(self) -> trio.Event: ...
    def end_hung(self, words: str) -> None: ...


def hang_timeout_s(config: Config) -> float:
    """30 s unless the file says otherwise; 0 for ever."""
    return parse_time(config.globals.tune.get(TIMEOUT, ("30s",))[0])


async def watch(members: Sequence[Member], counters: Counters, timeout_s: float) -> None:
    """The trio task, until the last member has ended. counters: the row of a member is its position."""
    if not timeout_s:
        return
    hearts = Heartbeats(kill_after_s=timeout_s)
    watched = [0] * len(members)
    last_at = trio.current_time()
    while not all(member.over.is_set() for member in members):
        await trio.sleep(BEAT_S)
        now = trio.current_time()
        if now - last_at > LATE_BEATS * BEAT_S:
            watched = [0] * len(members)
        last_at = now
        for row, member in enumerate(members):
            heart = counters.heartbeat(row)
            pid = heart[HB_PID] if heart[HB_PID] == member.pid else 0  # 0: it has not begun to beat
            if pid != watched[row]:
                watched[row] = pid
                hearts.start(row, now, heart[HB_STAMP_MS])
            elif pid and hearts.look(row, now, heart[HB_STAMP_MS]) is Pulse.KILL:
                member.end_hung(f"it hung, without a heartbeat for {hearts.last_seen_s(row, now):.1f} s ({TIMEOUT})")
