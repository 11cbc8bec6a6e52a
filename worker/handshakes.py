"""Nobody waits for somebody else's handshake: who is next, how many in one turn, and who has waited too long for his to be of use.

A handshake costs a thousand times what a small request costs. So a client whose first bytes have come waits for the end of a turn, when
all established sessions have been served, and no more than `tune.handshakes-per-turn` are done before these have their turn again. Under
overload the newest goes first, and whoever waited longer than `tune.dispatch.handshake-deadline` is refused: he has left by now, or will
before he is served (common/balance/overload.py). The dispatchers hear how many are under way, and seat others elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from common.balance.overload import Lane
from common.model import Global
from common.net.pump import Pump, Strand
from common.units import parse_time

PER_TURN = 4
DEADLINE = "10s"


class TooLate(Exception):
    """This client has waited so long that he is refused."""


class Channel(Protocol):
    def wake(self) -> None:
        """There is something to report."""


class Handshakes:
    """Of one worker. under_way: those that wait included."""

    __slots__ = ("_lane", "_per_turn", "_pump", "_runner", "under_way")

    def __init__(self, pump: Pump, settings: Global) -> None:
        self.under_way = 0
        self._pump = pump
        self._per_turn = int(settings.tune.get("tune.handshakes-per-turn", (str(PER_TURN),))[0])
        self._lane: Lane[Strand] = Lane(parse_time(settings.tune.get("tune.dispatch.handshake-deadline", (DEADLINE,))[0]))
        self._runner = pump.spawn(self._run(), "handshakes")

    @property
    def refused(self) -> int:
        return self._lane.refused

    async def turn(self, deadline: float) -> None:
        """Wait until this strand may do its handshake. Raises TooLate, DeadlinePassed."""
        strand = self._pump.current
        assert strand is not None
        self._lane.push(strand, self._pump.now)
        self._pump.wake(self._runner)
        try:
            await self._pump.park(deadline)
        finally:
            self._lane.remove(strand)

    def begin(self) -> None:
        self.under_way += 1

    def end(self, channels: Iterable[Channel]) -> None:
        self.under_way -= 1
        for channel in channels:
            channel.wake()

    async def _run(self) -> None:
        """The strand that gives turns."""
        pump, lane = self._pump, self._lane
        while True:
            if not len(lane):
                await pump.park()
                continue
            for strand in lane.expire(pump.now):
                pump.end(strand, TooLate())
            for _ in range(self._per_turn):
                chosen = lane.take(pump.now)
                if chosen is None:
                    break
                pump.wake(chosen)
            await pump.pause()
