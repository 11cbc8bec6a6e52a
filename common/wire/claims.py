"""Whose a handed-over client is: one byte of each end, in memory that dispatcher and worker share. Sans-io.

Until a worker has read from a client the dispatcher keeps its copy of the descriptor, and gives it to another worker when this one
hangs. But whoever hangs may wake up, in between any two of its instructions: also between "he is still mine" and the read. No message
comes in time for that. So every client that is given has a *cell*, of two bytes with one writer each, and both ends write theirs
before they look at the other one's:

    worker                                  dispatcher
    claimed[cell] = 1                       withdrawn[cell] = 1
    withdrawn[cell]?  then give him back    (barrier: common/net/claim_page.py)
    read                                    claimed[cell]?  then wait for the worker's word, be it its death

Whatever the order, at least one of them sees the other, so never do two processes read one client. When both see each other, the
worker gives the client back, and he is seated elsewhere then. (Dekker's algorithm without its loop, as giving up is allowed.)

A claim may be released when the read found nothing. A cell is leased again only when the worker has reported what became of its
client: *taken*, *ended* or *refused*.

Rejected: epochs in the messages (what they say of is the past); a grant for each client (a message more for every connection, for the
sake of those few whose worker hangs).
"""

from __future__ import annotations

from typing import Final

CELLS: Final = 65536
"""Of one channel: so many clients may wait at one worker for their first byte to be read."""
PAGE_BYTES: Final = 2 * CELLS + 8
"""Of which the kernel only provides what is touched: cells are leased from below."""

Buffer = bytearray | memoryview


class Withdrawn(Exception):
    """The client is somebody else's by now: nothing is read from him, sent to him or logged of him."""


class GiversCells:
    """The dispatcher's end. lease: -1 when none is left."""

    __slots__ = ("_claimed", "_count", "_free", "_unused", "_withdrawn")

    def __init__(self, page: Buffer) -> None:
        view = memoryview(page)
        self._claimed = view[:CELLS]
        self._withdrawn = view[CELLS : 2 * CELLS]
        self._count = view[2 * CELLS : PAGE_BYTES].cast("Q")
        self._free: list[int] = []
        self._unused = 0

    def lease(self) -> int:
        """A cell for a client that is about to be given."""
        if self._free:
            cell = self._free.pop()
            self._claimed[cell] = self._withdrawn[cell] = 0
            return cell
        if self._unused == CELLS:
            return -1
        self._unused += 1
        return self._unused - 1

    def free(self, cell: int) -> None:
        """The worker has said what became of him."""
        self._free.append(cell)

    def withdraw(self, cell: int) -> None:
        """He is to be seated elsewhere: after a barrier, and unless he is claimed."""
        self._withdrawn[cell] = 1
        self._count[0] += 1

    def is_claimed(self, cell: int) -> bool:
        return bool(self._claimed[cell])

    @property
    def leased(self) -> int:
        return self._unused - len(self._free)


class TakersCells:
    """The worker's end."""

    __slots__ = ("_claimed", "_count", "_seen", "_withdrawn")

    def __init__(self, page: Buffer) -> None:
        view = memoryview(page)
        self._claimed = view[:CELLS]
        self._withdrawn = view[CELLS : 2 * CELLS]
        self._count = view[2 * CELLS : PAGE_BYTES].cast("Q")
        self._seen = 0

    def claim(self, cell: int) -> bool:
        """Before the first read. False: not a byte of him may be touched."""
        self._claimed[cell] = 1
        return not self._withdrawn[cell]

    def release(self, cell: int) -> None:
        """There was nothing to read; he may be seated elsewhere again."""
        self._claimed[cell] = 0

    def is_withdrawn(self, cell: int) -> bool:
        return bool(self._withdrawn[cell])

    def has_news(self) -> bool:
        """Whether clients were withdrawn since the last time."""
        count = self._count[0]
        news = count != self._seen
        self._seen = count
        return news
