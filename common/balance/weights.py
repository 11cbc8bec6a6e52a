"""The weight and the connection limit of a server that comes back: slow start. Sans-io.

Source: HAProxy manual 5.2 "slowstart": both grow linearly from 1 (weight: the smallest step) to all; never at start-up.
"""

from __future__ import annotations

from math import ceil

from common.balance.balancer import WEIGHT_STEP


def slowstart_ratio(now: float, up_since: float, slowstart_s: float) -> float:
    """How far the server has come, 0 … 1. Pass up_since=-inf for one that was never seen down."""
    if slowstart_s <= 0 or now >= up_since + slowstart_s:
        return 1.0
    return max(0.0, (now - up_since) / slowstart_s)


def effective_weight(weight: float, ratio: float) -> float:
    """The weight to balance with, a multiple of 1/16; only a weight of 0 stays 0."""
    if ratio >= 1 or weight <= 0:
        return weight
    return max(1, ceil(weight * ratio / WEIGHT_STEP)) * WEIGHT_STEP


def effective_maxconn(limit: int, ratio: float) -> int:
    """The connections to allow; 0 means no limit and stays so."""
    return limit if ratio >= 1 or limit <= 0 else max(1, int(limit * ratio))
