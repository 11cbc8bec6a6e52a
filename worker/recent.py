"""What is remembered of sessions that have ended, for `show sess closed`: as little as one tuple holds, made when they end."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from common.model import Bind

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.session import Session


class Remembered(NamedTuple):
    """at: pump time. From `termination` on it is about the last exchange."""

    at: float
    number: int
    source: bytes
    source_port: int
    frontend: str
    bind: Bind
    phase: str
    age_s: float
    requests: int
    termination: bytes
    slug: str
    backend: str
    server: str
    bytes_in: int
    bytes_out: int


def remember(session: Session) -> Remembered:
    now = session.world.pump.now
    exchange: Exchange | None = session.exchange
    if exchange is None:
        end = (b"--", "", "", "", 0, 0)
    else:
        backend, server = exchange.routed, exchange.leased
        end = (
            exchange.termination,
            exchange.slug,
            backend.name if backend is not None else "",
            server.model.name if server is not None else "",
            exchange.bytes_in,
            exchange.bytes_out,
        )
    return Remembered(
        now, session.id, session.src, session.src_port, session.proxy.name, session.bind,
        session.phase, now - session.accepted_at, session.requests, *end,
    )  # fmt: skip
