"""Orders to the master: what an operator wants changed, given where the worker serves him (the statistics page).

A worker changes no states: there is one writer, the master. So a strand puts its lines here, a trio task sends them over the
control channel, and the answer wakes the strand. The master obeys only what `common/observe/page_request.py` can make.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Final

import trio

from common.net.pump import DeadlinePassed, Pump, Strand
from common.process.control_channel import ControlChannel
from common.process.messages import Message

ANSWER_WAIT_S: Final = 5.0
LINES_AT_ONCE: Final = 500
LINES_TOLD_MAX: Final = 65536


class Orders:
    """One per worker. Without a master (`run` never called) every order fails."""

    __slots__ = ("_answers", "_ids", "_news", "_outbox", "_pump", "_told", "_waiting", "is_heard")

    def __init__(self, pump: Pump) -> None:
        self.is_heard = False
        self._pump = pump
        self._ids = count(1)
        self._outbox: deque[Message] = deque()
        self._waiting: dict[int, Strand] = {}
        self._answers: dict[int, list[bool]] = {}
        self._told: deque[str] = deque(maxlen=LINES_TOLD_MAX)
        self._news = trio.Event()

    async def give(self, lines: Sequence[str]) -> list[bool]:
        """For a strand: whether each line was obeyed. Empty when the master does not answer."""
        strand = self._pump.current
        if not self.is_heard or strand is None:
            return []
        number = next(self._ids)
        self._waiting[number] = strand
        self._outbox.append({"op": "orders", "id": number, "lines": list(lines)})
        self._news.set()
        try:
            await self._pump.park(self._pump.now + ANSWER_WAIT_S)
        except DeadlinePassed:
            pass
        finally:
            del self._waiting[number]
        return self._answers.pop(number, [])

    def tell(self, line: str) -> None:
        """For rules: one line, and no answer is waited for. While the master does not listen the oldest go."""
        if self.is_heard:
            self._told.append(line)
            self._news.set()

    def answered(self, message: Message) -> None:
        """The master's answer."""
        strand = self._waiting.get(message["id"])
        if strand is not None:
            self._answers[message["id"]] = [bool(obeyed) for obeyed in message["obeyed"]]
            self._pump.wake(strand)

    async def run(self, control: ControlChannel) -> None:
        """The trio task that sends."""
        self.is_heard = True
        while True:
            await self._news.wait()
            self._news = trio.Event()
            while self._told or self._outbox:
                if self._told:
                    lines = [self._told.popleft() for _ in range(min(len(self._told), LINES_AT_ONCE))]
                    self._outbox.append({"op": "orders", "id": 0, "lines": lines})
                if not await control.send(self._outbox.popleft()):
                    self.is_heard = False
                    return
