"""`pool-warm N`: so many connections to a server are kept established and ready, TLS done, before anybody asks.

Each worker keeps its share. A connection that was opened ahead has carried nothing, so it may carry anybody's first request whatever
`http-reuse` says. Servers whose address depends on the client, or that are told of the client in a PROXY header, cannot be prepared for.
With TLS the name must be known: it is the one that was asked for last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.net.dial import dial
from common.net.pump import DeadlinePassed
from common.observe.layout import HB_ROLE
from common.process.launch import WORKER
from common.process.tier import ROLES
from worker.connect import ServerConnection
from worker.tls import TlsError

if TYPE_CHECKING:
    from common.observe.counters import Counters
    from worker.server import Server

OPENED_AT_ONCE = 16
"""Connections that one worker opens to a server in one go: a server that comes back is not to drown."""


def share_of(wanted: int, counters: Counters) -> int:
    """How many of `wanted` connections this worker keeps: all workers together keep exactly so many."""
    rows = [row for row in range(counters.layout.processes) if counters.heartbeat(row)[HB_ROLE] == ROLES[WORKER]]
    if counters.process_index not in rows:
        return wanted
    rank = rows.index(counters.process_index)
    return wanted // len(rows) + (rank < wanted % len(rows))


def keep_warm(server: Server) -> None:
    """Open what is missing. Called about once a second."""
    if not server.usable or server.announcement is not None or (server.tls is not None and server.warm_name is None):
        return
    server.idle.warm = share_of(server.warm, server.world.counters)
    for _ in range(min(server.idle.to_open(), OPENED_AT_ONCE)):
        server.idle.opened()
        server.world.pump.spawn(_open(server), "pool-warm", late=True)


async def _open(server: Server) -> None:
    pump = server.world.pump
    deadline = pump.now + server.backend.connect_s
    name = server.warm_name or None
    try:
        family, address = server.fixed_endpoint()
        stream = await dial(pump, family, address, deadline, outlet=server.outlet)
        if server.tls is not None:
            stream = await server.tls.connect(stream, name, deadline)
    except (OSError, DeadlinePassed, TlsError):
        server.idle.closed()  # the next second is another try
        return
    server.count_connect()
    connection = ServerConnection(server, stream, name)
    if not server.usable or connection.address is not server.address:
        server.idle.closed()
        connection.close()
        return
    if not stream.mask:
        stream.watch()
    server.idle.put_warm(connection, pump.now, name)
