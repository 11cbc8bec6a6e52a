"""A farm for tests: candidates from weights, and loads that can be set."""

from __future__ import annotations

from common.balance.balancer import Candidate


def candidates(*weights: float, backup: tuple[int, ...] = ()) -> list[Candidate]:
    """Servers with ids 1, 2, … and these weights; `backup` names indexes."""
    return [Candidate(index + 1, weight, backup=index in backup) for index, weight in enumerate(weights)]


def unloaded(index: int) -> int:
    return 0
