"""The service's `maxconn`: how many connections dispatchers may still accept. Who finds none waits in the kernel's backlog.

Looked at once per event of a door, so it is a number that is counted down, and counted anew only when it has come to nothing. With
several dispatchers (dispatcher/policy/board.py) each takes places in advance, a part of those that are left, and gives back what it did
not use some times a second; the last ones are taken singly.

Source: HAProxy manual 3.2 "maxconn"; management guide 9.3 "set maxconn global".
"""

from __future__ import annotations

from collections.abc import Callable

from common.net.pump import Pump, Strand
from dispatcher.policy.board import Board

LOOK_S = 0.02  # how often one looks whether another dispatcher gave places back, which comes without an event
SHARES = 2  # of what is left, each dispatcher takes one of so many shares at a time


class Room:
    """count: connections that this process answers for. left: so many more may be accepted without asking."""

    __slots__ = ("_board", "_closed", "_count", "_dispatchers", "_maxconn", "_pump", "left")

    def __init__(self, pump: Pump, maxconn: int, count: Callable[[], int], board: Board | None, dispatchers: int) -> None:
        self._pump = pump
        self._maxconn = maxconn
        self._count = count
        self._board = board
        self._dispatchers = dispatchers
        self._closed: list[Strand] = []
        self.left = 0

    def is_full(self) -> bool:
        """To be asked when nothing is left."""
        if not self._maxconn:
            self.left = 1 << 30
            return False
        here = self._count()
        if self._board is None:
            self.left = self._maxconn - here
        else:
            free = self._maxconn - here - self._board.reserved_elsewhere
            share = free // (SHARES * self._dispatchers)
            self.left = share or int(free > 0)
            self._board.reserve(here + share)  # not the last ones: they would be lost to the others
        return self.left <= 0

    def tell(self) -> None:
        """Some are about to be accepted, or were: the others must know."""
        if self._board is not None:
            self._board.reserve(self._count() + max(0, self.left))

    def give_back(self) -> None:
        """What was taken in advance and not used. To be called several times a second."""
        if self._board is not None:
            self.left = 0
            self._board.reserve(self._count())

    async def wait(self) -> None:
        """Until there may be room."""
        if self._board is not None:
            await self._pump.sleep(LOOK_S)
            return
        assert self._pump.current is not None
        self._closed.append(self._pump.current)
        await self._pump.park()

    def freed(self) -> None:
        """Somebody has gone."""
        if self._closed:
            strands, self._closed = self._closed, []
            for strand in strands:
                self._pump.wake(strand)

    def resize(self, maxconn: int) -> None:
        """The limit is another one now."""
        if maxconn != self._maxconn:
            self._maxconn = maxconn
            self.left = 0
            self.freed()
