"""What the master says about servers (up, down, drain, weight, address, maxconn), taken over by this worker.

The master writes states into the shared mapping and raises one word after every change; a worker compares that word before it
sleeps, which costs 60 ns, and looks at the states only when it has changed.
Source: HAProxy management guide 9.3 "set server", "disable server", "set maxconn server".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.model import Address, AddressKind
from common.observe import states
from common.observe.layout import G_STATES_VERSION
from worker.servers.places import Capacity

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.server import Server
    from worker.world import World


class Standing:
    """Follows the states of all servers of one worker."""

    __slots__ = ("_globals", "_seen", "_world")

    def __init__(self, world: World) -> None:
        self._world = world
        self._globals = world.counters.globals
        self._seen = -1

    def follow(self) -> None:
        """Take over what has changed. Called before the pump sleeps."""
        version = self._globals[G_STATES_VERSION]
        if version == self._seen:
            return
        self._seen = version
        if not version:
            return  # nobody keeps states: what the configuration says holds
        for backend in self._world.backends.values():
            for server in backend.servers:
                self._follow(backend, server)

    def look_again(self) -> None:
        """There are servers of which nothing was seen yet."""
        self._seen = -1

    def _follow(self, backend: Backend, server: Server) -> None:
        if not server.model.name:
            return  # it was removed
        block = self._world.counters.state(self._world.counters.layout.servers[backend.index][server.position])
        weight = block[states.S_WEIGHT]
        was_usable = server.usable
        server.usable = states.usable(block)
        was_alive, server.alive = server.alive, states.alive(block)
        backend.balancer.update(server.position, weight=weight, usable=server.usable)
        maxconn = block[states.S_MAXCONN]
        if maxconn != server.maxconn:
            server.maxconn = maxconn
            backend.wake(backend.resize(server.position, Capacity(maxconn, server.model.minconn, server.model.maxqueue)))
        self._follow_address(server, block)
        if was_alive != server.alive:
            _end_sessions(self._world, backend, server)
        if was_usable and not server.usable:
            for connection in server.idle.clear():
                connection.close()
            backend.wake(backend.queue.server_down(server.position))
        elif server.usable and not was_usable:
            backend.wake(backend.queue.server_up(server.position))

    def _follow_address(self, server: Server, block: memoryview[int]) -> None:
        """`set server … addr`: connections that are open stay where they are."""
        kind = server.model.address.kind
        if kind not in (AddressKind.INET, AddressKind.INET6):
            return
        *_, address, _name = states.read_texts(block)
        port = block[states.S_PORT]
        if address and (address, port) != server.told:
            server.told = (address, port)
            family = AddressKind.INET6 if ":" in address else AddressKind.INET
            server.move(Address(family, address, port, port_offset=server.model.address.port_offset))


def _end_sessions(world: World, backend: Backend, server: Server) -> None:
    """`on-marked-down shutdown-sessions`: of a server that went down; `on-marked-up shutdown-backup-sessions`: of the backup servers."""
    options = server.model.options
    if not server.alive:
        if "on-marked-down" in options:
            world.end_sessions({server}, b"D", "server_marked_down")
    elif "on-marked-up" in options and not server.model.backup:
        world.end_sessions({one for one in backend.servers if one.model.backup}, b"U", "backup_sessions_ended")
