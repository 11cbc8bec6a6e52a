"""Tasks of the master about servers: begun anew whenever there are others, with the next generation or by an operator."""

from __future__ import annotations

from abc import ABC, abstractmethod

import trio

from common.control.operator_plane import Plane


class Following(ABC):
    """`serving` is called with every generation that begins to serve, and when servers change; `run` is one of the master's tasks."""

    __slots__ = ("_changed", "_plane")

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._changed = trio.Event()
        plane.servers_changed.append(self.serving)

    def serving(self) -> None:
        """There are other servers, or they have got other names: those are followed from now on."""
        self._changed.set()

    async def run(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = trio.Event()
            async with trio.open_nursery() as nursery:
                self._start(nursery)
                await self._changed.wait()
                nursery.cancel_scope.cancel()

    @abstractmethod
    def _start(self, nursery: trio.Nursery) -> None:
        """Start what is to run until the next change."""
