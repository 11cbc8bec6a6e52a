"""What becomes of cookies in a response: the server's own, and ours. Sans-io.

    settings    the server's cookie of that name    ours
    passive     stays                               none
    rewrite     gets the server's mark as its value none
    prefix      gets "MARK~" before its value       none
    rename      gets another name (jar.py)          none
    insert      goes                                a new one, where the client has none that leads here
    preserve    stays, and nothing is inserted      if the server set none
    indirect    goes, if the client's led here

Source: HAProxy manual 4.2 "cookie", 8.5 (the fourth letter); doc/cookie-options.txt; texts seen by asking a stock HAProxy.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from worker.persistence.dates import encode_date
from worker.persistence.jar import PREFIX_END, Jar, Offer
from worker.persistence.settings import CookieSettings, Mode

NEVER = b"Thu, 01-Jan-1970 00:00:01 GMT"
_SET_COOKIE = re.compile(rb'[ \t]*+([^=;,]*+)=[ \t]*+((?:"[^"]*+"?|[^;"])*+)', re.DOTALL)
_BLANKS = b" \t"


class Set(Enum):
    """The fourth letter of the termination state."""

    NONE = b"N"
    INSERTED = b"I"
    UPDATED = b"U"
    PROVIDED = b"P"
    REWRITTEN = b"R"
    DELETED = b"D"


class Treated(NamedTuple):
    """found: the server set the cookie. fields: the Set-Cookie values as they go on, None if unchanged."""

    found: bool
    told: Set
    fields: list[bytes] | None


def treat(jar: Jar, values: list[bytes], mark: bytes | None, *, led_here: bool) -> Treated:
    """The server's Set-Cookie values. mark: the server's `cookie`, None without one. led_here: the client's cookie chose this server."""
    settings = jar.settings
    found, told, changed = False, Set.NONE, False
    fields = []
    for value in values:
        match = _SET_COOKIE.match(value) if settings.name in value else None
        if match is None or match[1].strip(_BLANKS) != settings.name:
            fields.append(value)
            continue
        found = True
        new, told = _treat_one(jar, value, match, mark, led_here=led_here)
        changed = changed or new is not value
        if new is not None:
            fields.append(new)
    return Treated(found, told, fields if changed else None)


def _treat_one(jar: Jar, value: bytes, match: re.Match[bytes], mark: bytes | None, *, led_here: bool) -> tuple[bytes | None, Set]:
    settings = jar.settings
    if not settings.preserve and (settings.mode is Mode.INSERT or (settings.indirect and led_here)):
        return None, Set.DELETED
    if mark is None or settings.preserve or settings.mode in (Mode.PASSIVE, Mode.INSERT):
        return value, Set.PROVIDED
    rest = value[match.end(2) :]
    own = match[2].rstrip(_BLANKS)
    if settings.mode is Mode.REWRITE:
        return match[1].strip(_BLANKS) + b"=" + mark + match[2][len(own) :] + rest, Set.REWRITTEN
    if settings.mode is Mode.PREFIX:
        return match[1].strip(_BLANKS) + b"=" + mark + PREFIX_END + match[2] + rest, Set.REWRITTEN
    return jar.renamed(mark) + b"=" + match[2] + rest, Set.REWRITTEN


def due(settings: CookieSettings, offer: Offer | None, now: float, *, led_here: bool, method: bytes, found: bool) -> Set:
    """Whether to insert a cookie: INSERTED, UPDATED (its dates) or NONE. offer: the cookie that led here."""
    if settings.mode is not Mode.INSERT or (found and settings.preserve) or (settings.postonly and method != b"POST"):
        return Set.NONE
    if not led_here:
        return Set.INSERTED
    last, first = (offer.last, offer.first) if offer is not None else (0, 0)
    stale = (settings.max_idle_s or last) and (not last or last < now)
    if stale or bool(settings.max_life_s) != bool(first):
        return Set.UPDATED
    return Set.NONE


def inserted(settings: CookieSettings, mark: bytes | None, offer: Offer | None, now: float) -> bytes:
    """The value of our Set-Cookie. Without a mark it takes the client's cookie away: this server does not want it back."""
    if mark is None:
        return settings.name + b"=; Expires=" + NEVER + b"; path=/" + settings.attributes
    text = settings.name + b"=" + mark
    if settings.dates:
        text += b"|" + encode_date(now)
        if settings.max_life_s:
            text += b"|" + encode_date(offer.first if offer is not None and offer.first else now)
    return text + b"; path=/" + settings.attributes
