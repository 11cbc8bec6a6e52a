"""Lines for the log about servers going up and down, in HAProxy's words. Sans-io.

Source: texts and levels observed from HAProxy 2.6.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from common.model import Config
from common.observe.counters import Counters
from common.observe.fields import QCUR, SCUR
from common.observe.log_line import LEVELS
from common.observe.states import B_ACTIVE, B_BACKUP

_EMERGENCY: Final = LEVELS["emerg"]


class Place(NamedTuple):
    """A server: position of its proxy in Config.proxies, and its own in that."""

    proxy: int
    server: int


class Notice(NamedTuple):
    """A line for the log of a proxy (and for the console)."""

    proxy: int
    level: int
    text: str


class ServerNotices:
    """Collects the lines of one change; `take` hands them out."""

    __slots__ = ("_config", "_counters", "_lines")

    def __init__(self, config: Config, counters: Counters) -> None:
        self._config = config
        self._counters = counters
        self._lines: list[Notice] = []

    def say(self, place: Place, level: int, text: str) -> None:
        """A line that begins with "Server be/s1" or "Backup Server be/s1"."""
        backup = self._config.proxies[place.proxy].servers[place.server].backup
        self._lines.append(Notice(place.proxy, level, f"{'Backup Server' if backup else 'Server'} {self.name(place)} {text}"))

    def about(self, place: Place, text: str) -> None:
        """A line that begins with the bare "be/s1"."""
        self._lines.append(Notice(place.proxy, LEVELS["notice"], f"{self.name(place)} {text}"))

    def backend_down(self, place: Place, went_down: bool) -> None:
        if went_down:
            proxy = self._config.proxies[place.proxy]
            kind = "proxy" if proxy.frontend else "backend"
            self._lines.append(Notice(place.proxy, _EMERGENCY, f"{kind} {proxy.name} has no server available!"))

    def left(self, place: Place) -> str:
        """How the backend stands after a server left it."""
        number = self._counters.layout.servers[place.proxy][place.server]
        sessions = sum(self._counters.across(number, SCUR))
        return f"{self._counts(place, 'left')} {sessions} sessions active, 0 requeued, {self._queued(place)} remaining in queue."

    def online(self, place: Place) -> str:
        """How the backend stands after a server came, or stayed in part."""
        return f"{self._counts(place, 'online')} 0 sessions requeued, {self._queued(place)} total in queue."

    def name(self, place: Place) -> str:
        proxy = self._config.proxies[place.proxy]
        return f"{proxy.name}/{proxy.servers[place.server].name}"

    def take(self) -> list[Notice]:
        lines, self._lines = self._lines, []
        return lines

    def _counts(self, place: Place, word: str) -> str:
        backend = self._counters.state(self._counters.layout.backends[place.proxy])
        active, backup = backend[B_ACTIVE], backend[B_BACKUP]
        running = " Running on backup." if backup and not active else ""
        return f"{active} active and {backup} backup servers {word}.{running}"

    def _queued(self, place: Place) -> int:
        return sum(self._counters.across(self._counters.layout.servers[place.proxy][place.server], QCUR))
