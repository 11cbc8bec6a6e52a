"""Servers that come and go while the worker runs: `add server`, `del server`, as the master passes them on.

The master has checked the line; what comes here is the server as its parser made it. Objects of the shared memory are numbered by the
order of additions, which is the same in all processes. A server that is removed keeps its position, so that nothing that counts by
position moves; it has no name any more, and nobody chooses it. A worker that is started later hears all of it again, in its order.

Source: HAProxy management guide 9.3 "add server", "del server".
"""

from __future__ import annotations

import base64
import pickle

from common import model
from common.errors import ExpressionError, UsherError
from common.process.commands import Asked
from worker.backend import Backend
from worker.commands import COMMANDS
from worker.world import World


@COMMANDS.answers("add server")
def add_server(asked: Asked[World]) -> str:
    backend, _, name = asked.word(2).partition("/")
    found = asked.world.backends.get(backend)
    if found is None:
        return "No such backend.\n"
    server: model.Server = pickle.loads(base64.b64decode(asked.word(3)))
    try:
        _add(asked.world, found, server)
    except (UsherError, ExpressionError, OSError) as error:
        return f"{name}: {error}\n"
    return ""


def _add(world: World, backend: Backend, server: model.Server) -> None:
    world.counters.layout = world.counters.layout.with_server(backend.index, server.name)
    backend.model.servers.append(server)
    backend.add_server(server)
    world.standing.look_again()


@COMMANDS.answers("del server")
def del_server(asked: Asked[World]) -> str:
    backend, _, name = asked.word(2).partition("/")
    found = asked.world.backends.get(backend)
    server = next((one for one in found.servers if one.model.name == name), None) if found is not None else None
    if found is None or server is None:
        return "No such server.\n"
    found.remove_server(server)
    return ""
