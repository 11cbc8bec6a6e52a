"""What operators say about frontends and limits while the dispatcher runs, taken over by it. A version in shared memory tells of news.

Source: HAProxy management guide 9.3 "disable frontend", "enable frontend", "shutdown frontend", "set maxconn frontend|global",
"set rate-limit".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.observe.layout import G_MAXCONN, G_STATES_VERSION
from common.observe.states import F_STATE, OPEN
from dispatcher.gates import limits_of, make_gates

if TYPE_CHECKING:
    from dispatcher.accept import Door
    from dispatcher.world import World


class Standing:
    """See the module."""

    __slots__ = ("_version", "_world")

    def __init__(self, world: World) -> None:
        self._world = world
        self._version = world.counters.globals[G_STATES_VERSION]

    def follow(self) -> None:
        """To be called several times a second. Costs nothing while nothing changes."""
        version = self._world.counters.globals[G_STATES_VERSION]
        if version != self._version:
            self._version = version
            self._change_limits()
            self.pause_doors()

    def _change_limits(self) -> None:
        world = self._world
        world.room.resize(maxconn_of(world))
        if world.gates is not None:
            world.gates.change(*limits_of(world.config, world.listening, world.counters))
            return
        gates = world.gates = make_gates(world.pump, world.config, world.listening, world.counters, world.board)
        if gates is not None:
            for farm in world.farms:
                gates.adopt(farm.by_bind())
            for relay in world.relays:
                gates.adopt(session.bind.id for session in relay.sessions)

    def pause_doors(self) -> None:
        """Doors of frontends that are disabled or shut down are closed, and opened again when these are enabled."""
        world = self._world
        frontends = world.counters.layout.frontends
        states = {bind.id: world.counters.state(frontends[index])[F_STATE] for index, _proxy, bind in world.listening}
        doors: list[Door] = world.doors
        for door in doors:
            paused = states[door.bind.id] != OPEN
            if paused != door.paused:
                door.pause(paused=paused)


def maxconn_of(world: World) -> int:
    return world.counters.globals[G_MAXCONN] or world.config.globals.maxconn
