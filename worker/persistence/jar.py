"""The Cookie line of a request, read for one persistence cookie: which servers it asks for, and how it goes on. Sans-io.

    reading = jar.read(b"a=b; SRV=s1|awN/s; c=d")
    reading.offers          # (Offer(b"s1", 1795391408, 0),)
    reading.forwarded(…)    # b"a=b; c=d" where inserted cookies are hidden from servers (`insert indirect`)

Cookies are parted by ";" or ",", a quoted value may hold both, spaces stand where they like, and a name may come several times.
Whatever a client sends is some reading: what makes no sense has no offers. Where a cookie is taken out, its "$Path" and the
like go with it.

`rename` (ours) is for applications that keep sessions under one cookie name and differ in what runs them. The server's cookie gets
a name that says whose it is, and its own name back on the way in; so both applications' sessions stand beside each other in one
browser, each request carries only its own, and a session stays where it was made:

    server                          client
    PHPSESSID=8f31  ──response──▶   PHPSESSID~4c1f~s1=8f31        4c1f: the backend, s1: the server
    PHPSESSID=8f31  ◀──request───   PHPSESSID~4c1f~s1=8f31; PHPSESSID~90aa~big=77

Source: HAProxy manual 4.2 "cookie"; RFC 6265 section 5.4 and, for "," and "$Path", RFC 2965; details seen by asking a stock HAProxy.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from worker.persistence.dates import decode_date
from worker.persistence.settings import CookieSettings, Mode

PREFIX_END = b"~"
_DATES = b"|"
_REMEMBERED_MAX = 1024
_REMEMBERED_BYTES_MAX = 512
_COOKIE = re.compile(rb'[;,]?([^=;,]*+)(?:=[ \t]*+((?:"[^"]*+"?|[^;,"]++)*+))?')
_BLANKS = b" \t"


class Offer(NamedTuple):
    """One cookie: the server's cookie that it names, and the dates in it (seconds, 0 = none)."""

    server: bytes
    last: int = 0
    first: int = 0


class _Cookie(NamedTuple):
    """Where a cookie stands in the line, its separator included. offer: None if it is not ours. own: bytes of its value that are ours."""

    start: int
    end: int
    name: bytes
    value_start: int
    offer: Offer | None
    own: int


class Reading:
    """One Cookie line, understood."""

    __slots__ = ("_jar", "_parts", "_ready", "line", "offers")

    def __init__(self, jar: Jar, line: bytes, parts: list[_Cookie]) -> None:
        self._jar = jar
        self.line = line
        self._parts = parts
        self.offers = tuple(part.offer for part in parts if part.offer is not None)
        self._ready: dict[bytes | None, bytes] = {}

    def forwarded(self, chosen: bytes | None) -> bytes:
        """The line as the server gets it; b"": no such field. chosen: the offer that was followed, if any."""
        found = self._ready.get(chosen)
        if found is None:
            if len(self._ready) > _REMEMBERED_MAX:
                self._ready.clear()
            found = self._ready[chosen] = self._make(chosen)
        return found

    def _make(self, chosen: bytes | None) -> bytes:
        mode = self._jar.settings.mode
        if mode is Mode.RENAME:
            return self._restored(chosen)
        if mode is Mode.PREFIX:
            return _without(self.line, [(part.value_start, part.value_start + part.own) for part in self._parts if part.own])
        if not (mode is Mode.INSERT and self._jar.settings.indirect):
            return self.line
        return self._taken_out([part.offer is not None for part in self._parts])

    def _taken_out(self, leaves: list[bool]) -> bytes:
        line = self.line
        kept = []
        gone = False
        for part, leave in zip(self._parts, leaves, strict=True):
            gone = leave or (gone and part.name[:1] == b"$")
            if not gone:
                kept.append(line[part.start : part.end])
        return b"".join(kept).strip(b";, \t")

    def _restored(self, chosen: bytes | None) -> bytes:
        """Names of this backend's sessions are given back, all others of the kind are left out. One session is enough."""
        jar = self._jar
        ours = [part for part in self._parts if part.offer is not None]
        kept = next((part for part in ours if part.offer is not None and part.offer.server == chosen), ours[0] if ours else None)
        pieces = []
        for part in self._parts:
            if part is kept:
                pieces.append(b"; " + jar.settings.name + b"=" + self.line[part.value_start : part.end].strip(_BLANKS))
            elif not (part.name.startswith(jar.stem) or (kept is not None and part.name == jar.settings.name)):
                pieces.append(self.line[part.start : part.end])
        return b"".join(pieces).strip(b";, \t")


class Jar:
    """Reads lines for one backend. group: what `rename` puts into names for it."""

    __slots__ = ("_remembered", "group", "settings", "stem")

    def __init__(self, settings: CookieSettings, group: bytes = b"") -> None:
        self.settings = settings
        self.group = group
        self.stem = settings.name + PREFIX_END
        self._remembered: dict[bytes, Reading | None] = {}

    def read(self, line: bytes) -> Reading | None:
        """None: nothing in it is ours."""
        if self.settings.name not in line:
            return None
        try:
            return self._remembered[line]
        except KeyError:
            pass
        reading = self._read(line)
        if len(line) <= _REMEMBERED_BYTES_MAX:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[line] = reading
        return reading

    def renamed(self, server: bytes) -> bytes:
        """`rename`: the name under which clients keep the cookie of that server."""
        return self.stem + self.group + PREFIX_END + server

    def _read(self, line: bytes) -> Reading | None:
        parts = []
        ours = False
        for match in _COOKIE.finditer(line):
            name = match[1].strip(_BLANKS)
            value = match[2]
            offer, own = None, 0
            if value is not None:
                offer, own = self._offer(name, value.rstrip(_BLANKS))
                ours = ours or offer is not None or (self.settings.mode is Mode.RENAME and name.startswith(self.stem))
            parts.append(_Cookie(match.start(), match.end(), name, match.start(2), offer, own))
        return Reading(self, line, parts) if ours else None

    def _offer(self, name: bytes, value: bytes) -> tuple[Offer | None, int]:
        """What a cookie asks for, and how many bytes of its value are ours."""
        mode = self.settings.mode
        if mode is Mode.RENAME:
            group, _, server = name[len(self.stem) :].partition(PREFIX_END)
            return (Offer(server), 0) if name.startswith(self.stem) and group == self.group else (None, 0)
        if name != self.settings.name:
            return None, 0
        if mode is Mode.PREFIX:
            server, end, _ = value.partition(PREFIX_END)
            return Offer(server), len(server) + 1 if end else 0
        if mode is Mode.INSERT:
            server, dated, dates = value.partition(_DATES)
            if dated:
                last, _, first = dates.partition(_DATES)
                return Offer(server, decode_date(last), decode_date(first)), 0
        return Offer(value.partition(_DATES)[0] if mode is Mode.INSERT else value), 0


def _without(line: bytes, spans: list[tuple[int, int]]) -> bytes:
    """The line without these spans, which are in order."""
    pieces = []
    at = 0
    for start, end in spans:
        pieces.append(line[at:start])
        at = end
    pieces.append(line[at:])
    return b"".join(pieces)
