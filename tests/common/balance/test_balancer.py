"""Who is elected: active before backup, one backup or all (manual 4.2 "option allbackups")."""

from __future__ import annotations

import pytest

from common.balance.balancer import Candidate
from common.balance.first import First
from tests.common.balance.farm import candidates, unloaded


@pytest.mark.parametrize(
    ("down", "all_backups", "elected"),
    [
        ((), False, (0, 1)),
        ((), True, (0, 1)),
        ((0,), True, (1,)),
        ((0, 1), False, (2,)),
        ((0, 1), True, (2, 3)),
        ((0, 1, 2), False, (3,)),
        ((0, 1, 2, 3), True, ()),
    ],
)
def test_backups_serve_only_when_no_active_server_can(down: tuple[int, ...], all_backups: bool, elected: tuple[int, ...]) -> None:
    balancer = First(candidates(1, 1, 1, 1, backup=(2, 3)), all_backups=all_backups)
    for index in down:
        balancer.update(index, usable=False)
        balancer.check_invariants()
    assert balancer.elected == elected


def test_active_servers_of_weight_zero_do_not_hold_back_the_backup() -> None:
    balancer = First(candidates(0, 0, 1, backup=(2,)))
    assert balancer.elected == (2,)
    balancer.update(1, weight=1)
    assert balancer.elected == (1,)


def test_server_added_at_run_time_takes_part() -> None:
    balancer = First(candidates(1))
    assert balancer.add(Candidate(9)) == 1
    assert list(balancer.candidates(None, unloaded)) == [0, 1]


def test_update_of_one_property_keeps_the_other() -> None:
    balancer = First(candidates(5, 1))
    balancer.update(0, usable=False)
    balancer.update(0, usable=True)
    assert balancer.weight(0) == 5


@pytest.mark.parametrize("weight", [-1, 257])
def test_weight_out_of_range_is_refused(weight: int) -> None:
    with pytest.raises(ValueError, match="between 0 and 256"):
        Candidate(1, weight)
