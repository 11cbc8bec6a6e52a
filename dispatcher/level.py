"""A descriptor that the pump watches level-triggered: listening sockets and the workers' channels.

An edge-triggered reader must read on until the kernel says "nothing more", or it may miss something. For streams that
is free, a short read says it. Here it would be a failed call for nearly every event, and dear ones: `accept` that finds
nobody costs more than one that finds somebody (5 µs against 2; the kernel makes the new socket first), and a failed
`recv` with its exception costs 2 µs. Level-triggered, one call per event is enough: what is left rings again.

The price: whoever does not want to be rung must say so (`rest`), or the pump would spin.
"""

from __future__ import annotations

import select
from collections.abc import Generator
from types import coroutine

from common.net.stream import Stream

_IN = select.EPOLLIN


class Level(Stream):
    """One descriptor with one strand that serves it."""

    __slots__ = ()

    @coroutine
    def event(self) -> Generator[None, None, None]:
        """Park until there is something to read. No deadline: nobody waits for its end but the strand's own end."""
        pump = self.pump
        strand = pump.current
        assert strand is not None
        if not self.mask:
            self.mask = _IN
            pump.streams[self.fd] = self
            pump.epoll.register(self.fd, _IN)
        self.reader = strand
        yield

    def rest(self) -> None:
        """Ring no more until the next `event`. To be called before the strand waits for anything else."""
        if self.mask:
            self.mask = 0
            self.reader = None
            del self.pump.streams[self.fd]
            self.pump.epoll.unregister(self.fd)
