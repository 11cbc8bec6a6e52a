"""`balance first`: the lowest id that still has room. Sans-io. Source: HAProxy manual 4.2 "balance".

Weights do not matter (but for 0). Without a maxconn nobody is ever full, and the first server gets everything.
"""

from __future__ import annotations

from collections.abc import Collection

from common.balance.balancer import NOBODY, Balancer, Full, Load


class First(Balancer):
    """Fills one server after the other, so that the last ones can be switched off in quiet hours."""

    __slots__ = ("_by_id",)

    def choose(self, key: bytes | None, load: Load, exclude: Collection[int] = NOBODY, full: Full | None = None) -> int | None:
        for index in self._by_id:
            if index not in exclude and (full is None or not full(index)):
                return index
        return None

    def _elected_changed(self) -> None:
        self._by_id = sorted(self._elected, key=lambda index: self._candidates[index].id)
