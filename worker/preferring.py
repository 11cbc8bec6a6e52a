"""The server that a client's session used last: when its next request goes there too, though nothing makes it.

After a 401 or 407 this happens by itself, because what follows usually goes on with the same conversation; otherwise `option
prefer-last-server` asks for it. It is a preference: a server that is down, full with a queue that is too long, or that has failed
this request already is not preferred. Algorithms that stick a key to a server are not overruled.

Source: HAProxy manual 4.2 "option prefer-last-server", "max-keep-alive-queue"; RFC 4559 (authentication of connections).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from worker.http.head import Response

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange
    from worker.server import Server

_CHALLENGES = {401: b"www-authenticate", 407: b"proxy-authenticate"}
_OF_CONNECTIONS = (b"ntlm", b"negotiate", b"nego2")


def preferred(backend: Backend, exchange: Exchange, excluded: Collection[int]) -> Server | None:
    """The server that this session used last, if it is to be used again."""
    found = exchange.session.last_servers.get(backend)
    if found is None or backend.balancer.sticky:
        return None
    server, insists = found
    if not server.usable or server.position in excluded:
        return None
    queue = backend.queue
    if insists or backend.keep_alive_queue_max < 0 or not queue.is_full(server.position):
        return server
    return server if queue.queued(server.position) < backend.keep_alive_queue_max else None


def remember(server: Server, exchange: Exchange, response: Response) -> None:
    """After a response: whether the next request of this session is to go to the same server."""
    challenges = response.status in _CHALLENGES
    if challenges or server.backend.prefers_last:
        last = exchange.session.last_servers
        exchange.session.last_servers = {**last, server.backend: (server, challenges)}


def authenticates_connection(response: Response) -> bool:
    """Whether who is allowed will be a fact about this connection from now on, so that no other client may use it."""
    field = _CHALLENGES.get(response.status)
    return field is not None and any(value.lower().startswith(_OF_CONNECTIONS) for value in response.values(field))
