from __future__ import annotations

from functools import partial
from itertools import permutations

from common.wire.claims import CELLS, PAGE_BYTES, GiversCells, TakersCells


def test_both_ends_see_what_the_other_one_wrote() -> None:
    page = bytearray(PAGE_BYTES)
    giver, taker = GiversCells(page), TakersCells(page)
    first, second = giver.lease(), giver.lease()
    assert taker.claim(first) and giver.is_claimed(first) and not giver.is_claimed(second)
    assert not taker.has_news()
    giver.withdraw(second)
    assert taker.has_news() and not taker.has_news()
    assert taker.is_withdrawn(second) and not taker.claim(second)


def test_claim_that_is_released_lets_the_client_be_withdrawn() -> None:
    page = bytearray(PAGE_BYTES)
    giver, taker = GiversCells(page), TakersCells(page)
    cell = giver.lease()
    taker.claim(cell)
    taker.release(cell)
    assert not giver.is_claimed(cell)


def test_in_no_order_of_their_steps_do_two_processes_have_the_client() -> None:
    """The steps of each end keep their order; between them anything may happen."""
    outcomes = set()
    for order in set(permutations("wwdd")):
        page = bytearray(PAGE_BYTES)
        giver, taker = GiversCells(page), TakersCells(page)
        cell = giver.lease()
        worker_steps = iter([partial(taker.claim, cell), lambda taker=taker, cell=cell: not taker.is_withdrawn(cell)])
        dispatcher_steps = iter([partial(giver.withdraw, cell), lambda giver=giver, cell=cell: not giver.is_claimed(cell)])
        reads = seats_elsewhere = False
        for who in order:
            if who == "w":
                reads = bool(next(worker_steps)())
            else:
                seats_elsewhere = bool(next(dispatcher_steps)())
        assert not (reads and seats_elsewhere), order
        outcomes.add((reads, seats_elsewhere))
    assert outcomes == {(True, False), (False, True), (False, False)}


def test_cells_are_leased_from_below_and_clean_and_run_out() -> None:
    page = bytearray(PAGE_BYTES)
    giver, taker = GiversCells(page), TakersCells(page)
    assert [giver.lease() for _ in range(3)] == [0, 1, 2]
    taker.claim(1)
    giver.withdraw(1)
    giver.free(1)
    assert giver.leased == 2
    assert giver.lease() == 1 and not giver.is_claimed(1) and not taker.is_withdrawn(1)
    assert [giver.lease() for _ in range(CELLS - 3)][-1] == CELLS - 1
    assert giver.lease() == -1
    giver.free(7)
    assert giver.lease() == 7
