"""`warn-blocked-traffic-after`: who held everybody up, in the log, at most once a second.

Source: HAProxy configuration manual 3.1 "warn-blocked-traffic-after".
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from common.model import Global
from common.net.pump import Pump
from common.units import parse_time

KEYWORD = "warn-blocked-traffic-after"
WARN_EVERY_S = 1.0


def watch_turns(pump: Pump, settings: Global, log: Callable[[str, str], None]) -> None:
    """Have the log told of turns that take longer than section global allows. log: takes a level and a text."""
    if KEYWORD not in settings.extra:
        return
    words = settings.extra[KEYWORD][-1]
    told_at = -inf

    def tell(took_s: float) -> None:
        nonlocal told_at
        if pump.now - told_at >= WARN_EVERY_S:
            told_at = pump.now
            log("warning", f"traffic was blocked for {took_s * 1000:.0f} ms ({KEYWORD} {words[0]})")

    pump.slow_s = parse_time(words[0])
    pump.on_slow_turn = tell
