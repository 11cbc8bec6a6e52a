"""What is counted while it goes on, once a second: the process itself, and under `option contstats` bytes that still flow.

Everything else is counted when it ends (worker/outcome.py), which costs less.
Source: HAProxy manual 4.2 "option contstats".
"""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

from common.observe import fields as f

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.tally import Tally
    from worker.world import World


class Continuous:
    """One per worker. Totals go on in the row of the process before this one, so that what is added is what is new."""

    __slots__ = ("_busy_ms", "_dropped", "_frontends", "_tally")

    def __init__(self, world: World, tally: Tally) -> None:
        self._tally = tally
        self._busy_ms = _busy_ms()
        self._dropped = 0
        self._frontends = frozenset(name for name, one in world.frontends.items() if one.counts_flowing)

    def second(self, world: World) -> None:
        words = self._tally.words
        busy_ms, dropped = _busy_ms(), world.outlets.dropped
        words[f.P_BUSY_MS] += busy_ms - self._busy_ms
        words[f.P_DROPPED_LOGS] += dropped - self._dropped
        words[f.P_TASKS] = len(world.pump.strands)
        self._busy_ms, self._dropped = busy_ms, dropped
        self._tally.touch()
        if self._frontends:
            for session in world.sessions:
                exchange = session.exchange
                if exchange is not None and exchange.counted is not None and session.proxy.counts_flowing:
                    _count(exchange)


def _count(exchange: Exchange) -> None:
    """Add what has moved since the last time."""
    assert exchange.counted is not None
    before_in, before_out = exchange.counted
    now_in, now_out = _moved(exchange)
    exchange.counted = max(before_in, now_in), max(before_out, now_out)
    served_by = exchange.leased or exchange.routed
    for tally in (exchange.frontend.tally, served_by.tally if served_by is not None else None):
        if tally is not None:
            tally.words[f.BIN] += max(0, now_in - before_in)
            tally.words[f.BOUT] += max(0, now_out - before_out)
            tally.touch()


def _moved(exchange: Exchange) -> tuple[int, int]:
    """Bytes (from the client, to the client) so far."""
    flows, body = exchange.flows, exchange.body
    if flows is not None:
        return exchange.bytes_in + flows[0].moved, exchange.bytes_out + flows[1].moved
    if body is None:
        return exchange.bytes_in, exchange.bytes_out
    if body is exchange.unfinished:
        return exchange.bytes_in + body.moved, exchange.bytes_out
    return exchange.bytes_in, body.moved


def _busy_ms() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1000)
