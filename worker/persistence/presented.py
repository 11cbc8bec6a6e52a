"""What a client's cookies say about its server: which one, and the letter that logs show for it. Sans-io.

Source: HAProxy manual 4.2 "cookie" (maxidle, maxlife), "option persist", "force-persist"; 8.5 (the third letter).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Generic, NamedTuple, TypeVar

from worker.persistence.dates import is_outside
from worker.persistence.jar import Offer
from worker.persistence.settings import CookieSettings

T = TypeVar("T")


class Shown(Enum):
    """The third letter of the termination state."""

    NONE = b"N"
    INVALID = b"I"
    DOWN = b"D"
    EXPIRED = b"E"
    OLD = b"O"
    UNUSED = b"U"
    VALID = b"V"


class Presented(NamedTuple, Generic[T]):
    """server: the one to use, None if none of the cookies leads to one. offer: the cookie that was followed, else the last one's dates."""

    shown: Shown
    server: T | None
    offer: Offer | None


def choose(
    settings: CookieSettings,
    offers: Iterable[Offer],
    servers: Callable[[bytes], Iterable[T]],
    is_alive: Callable[[T], bool],
    now: float,
    *,
    forced: Callable[[], bool],
) -> Presented[T]:
    """Go through the cookies until one leads to a server.

    servers: those with that cookie, in the order of the configuration. now: wall clock. forced: whether one that is down serves too.
    """
    shown = Shown.NONE
    last_offer: Offer | None = None
    for offer in offers:
        last_offer = offer
        if is_outside(offer.last, now, settings.max_idle_s):
            shown, last_offer = Shown.EXPIRED, None
            continue
        if is_outside(offer.first, now, settings.max_life_s):
            shown, last_offer = Shown.OLD, None
            continue
        known = False
        for server in servers(offer.server) if offer.server else ():
            known = True
            if is_alive(server):
                return Presented(Shown.VALID, server, offer)
            if forced():
                return Presented(Shown.DOWN, server, offer)
        if known:
            shown = Shown.DOWN
        elif shown is Shown.NONE:
            shown = Shown.INVALID
    return Presented(shown, None, last_offer)
