"""How soon a process that died is started again, and when dying becomes a habit. Sans-io.

The first death costs no delay: its connections are lost, but the next client must not notice. Each further one within the window
doubles the delay, so that a fault that comes at every start does not eat the machine. A process is never given up:
what made it die (a full disk, a killer request, a missing file) may end.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW_S = 60.0
DELAY_FIRST_S = 0.1
DELAY_MAX_S = 10.0
LOOP_DEATHS = 5  # so many deaths within the window are a crash loop


@dataclass(frozen=True, slots=True)
class Verdict:
    """delay_s: wait so long before the next start. deaths: within the window, this one included."""

    delay_s: float
    deaths: int

    @property
    def crash_loop(self) -> bool:
        return self.deaths >= LOOP_DEATHS


@dataclass(slots=True)
class Restarts:
    """One process's deaths. total: since the beginning."""

    total: int = 0
    _recent: deque[float] = field(default_factory=deque)

    def died(self, now: float) -> Verdict:
        self.total += 1
        self._recent.append(now)
        while self._recent[0] <= now - WINDOW_S:
            self._recent.popleft()
        deaths = len(self._recent)
        if deaths == 1:
            return Verdict(0.0, deaths)
        return Verdict(min(DELAY_FIRST_S * 2.0 ** min(deaths - 2, 30), DELAY_MAX_S), deaths)

    def in_crash_loop(self, now: float) -> bool:
        return sum(death > now - WINDOW_S for death in self._recent) >= LOOP_DEATHS
