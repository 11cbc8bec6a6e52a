from __future__ import annotations

import pytest

from common.balance.redispatch import redispatches


@pytest.mark.parametrize(
    ("interval", "retries_max", "redispatched"),
    [(0, 3, []), (-1, 3, [3]), (-2, 3, [2]), (-9, 3, [1]), (1, 3, [1, 2, 3]), (2, 5, [2, 4]), (3, 3, [3]), (-1, 1, [1])],
)
def test_redispatch_interval(interval: int, retries_max: int, redispatched: list[int]) -> None:
    assert [retry for retry in range(1, retries_max + 1) if redispatches(interval, retry, retries_max)] == redispatched
