"""Messages that broke the protocol, kept for the operator: the last request of each frontend, the last response of each backend."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from common.observe.bad_messages import KEPT_BYTES_MAX, BadMessage
from common.observe.stats import proxy_id
from common.wire.address_text import inet6_text, inet_text

if TYPE_CHECKING:
    from worker.exchange import Exchange

def keep_request(exchange: Exchange, data: bytes, slug: str) -> None:
    """A request that could not be read."""
    _keep(exchange, data, slug, is_response=False)


def keep_response(exchange: Exchange, data: bytes, slug: str) -> None:
    """What a server said that is no response."""
    _keep(exchange, data, slug, is_response=True)


def _keep(exchange: Exchange, data: bytes, slug: str, *, is_response: bool) -> None:
    world, session, frontend, backend, server = (
        exchange.world, exchange.session, exchange.frontend, exchange.routed, exchange.leased,
    )  # fmt: skip
    proxy = backend if is_response and backend is not None else frontend
    config = world.config
    world.bad_messages[proxy.index, is_response] = BadMessage(
        at=date_text(time.time()),
        proxy=proxy.name,
        proxy_id=proxy_id(config, proxy.index),
        is_response=is_response,
        reason=slug,
        source=_source(session.src, session.src_port),
        session=session.id,
        frontend=frontend.name,
        frontend_id=proxy_id(config, frontend.index),
        backend=backend.name if backend is not None else "<NONE>",
        backend_id=proxy_id(config, backend.index) if backend is not None else -1,
        server=server.model.name if server is not None else "",
        server_id=server.model.id if server is not None else -1,
        number=world.bad_messages_total,
        data=data[:KEPT_BYTES_MAX],
    )
    world.bad_messages_total += 1


def _source(packed: bytes, port: int) -> str:
    if not packed:
        return "unix"
    return f"{inet_text(packed) if len(packed) == 4 else inet6_text(packed)}:{port}"


def date_text(moment: float) -> str:
    return time.strftime("%d/%b/%Y:%H:%M:%S", time.localtime(moment)) + f".{int(moment * 1000) % 1000:03d}"
