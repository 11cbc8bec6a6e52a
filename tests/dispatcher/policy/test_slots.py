from __future__ import annotations

import random
from collections import Counter

import pytest

from dispatcher.policy.slots import Others, Slot, Slots, State


def _up(workers: int, listeners: int = 2, maxconn: int = 0, **options: object) -> Slots:
    book = Slots([1] * workers, listeners, **options)  # type: ignore[arg-type]
    for slot in book.slots:
        book.hello(slot, 1, maxconn)
    return book


def _seat(book: Slots, listener: int = 0, source: bytes | None = None) -> tuple[Slot, int]:
    slot = book.choose(listener, source)
    assert slot is not None
    return slot, book.give(slot, listener)


@pytest.mark.parametrize("workers", [1, 2, 4, 7])
def test_two_hundred_long_connections_differ_by_at_most_one(workers: int) -> None:
    book = _up(workers)
    for _ in range(200):
        _seat(book)
        counts = [slot.counts[0] for slot in book.slots]
        assert max(counts) - min(counts) <= 1


def test_each_listener_is_even_even_when_another_one_is_not() -> None:
    book = _up(4)
    seated = [_seat(book, 0) for _ in range(40)]
    for slot, number in seated:
        if slot.index:
            book.ended(slot, [number])
    for _ in range(40):
        _seat(book, 1)
    assert [slot.counts[1] for slot in book.slots] == [10, 10, 10, 10]


def test_tie_of_a_listener_goes_to_the_lowest_total() -> None:
    book = _up(3)
    slot, _ = _seat(book, 0)
    assert slot.index == 0
    assert [_seat(book, 1)[0].index for _ in range(3)] == [1, 2, 0]


def test_tie_counts_handshakes_in_progress() -> None:
    book = _up(3)
    book.load(book.slots[0], 5)
    book.load(book.slots[1], 2)
    assert [_seat(book)[0].index for _ in range(3)] == [2, 1, 0]


def test_handshake_cost_counts_as_connections() -> None:
    book = _up(2, handshake_cost=2)
    book.load(book.slots[0], 3)
    assert [_seat(book)[0].index for _ in range(8)] == [1] * 6 + [0, 1]


def test_full_ties_take_turns() -> None:
    book = _up(3)
    assert [_seat(book)[0].index for _ in range(9)] == [0, 1, 2] * 3


def test_weights_are_kept() -> None:
    book = Slots([3, 1], 1)
    for slot in book.slots:
        book.hello(slot, 1, 0)
    for _ in range(40):
        _seat(book)
    assert [slot.total for slot in book.slots] == [30, 10]


def test_worker_at_its_maxconn_is_passed_over_and_all_full_says_stop_then_resume() -> None:
    book = _up(2, maxconn=2)
    seated = [_seat(book) for _ in range(4)]
    assert book.saturated
    assert book.choose(0) is None
    assert [slot.state for slot in book.slots] == [State.FULL, State.FULL]
    slot, number = seated[1]
    assert book.taken(slot, [number]) == [number]
    assert book.ended(slot, [number]) == ([], True)
    assert not book.saturated
    slot, number = seated[0]
    assert book.ended(slot, [number]) == ([number], False), "only the first end tells to resume; it was still waiting"
    book.check_invariants()


def test_raised_limit_resumes() -> None:
    book = _up(1, maxconn=1)
    _seat(book)
    assert book.saturated
    assert book.limit(book.slots[0], 0)
    assert not book.saturated


def test_full_channel_is_passed_over_until_it_takes_again() -> None:
    book = _up(2)
    slot, number = _seat(book)
    book.take_back(slot, number)
    book.blocked(slot)
    assert [_seat(book)[0].index for _ in range(3)] == [1, 1, 1]
    assert not book.unblocked(slot)
    assert _seat(book)[0] is slot
    book.check_invariants()


def test_dead_worker_gives_back_what_it_had_not_taken_in_order() -> None:
    book = _up(2)
    seated = [_seat(book, listener) for listener in (0, 1, 0, 1, 0, 1)]
    victim = book.slots[0]
    mine = [number for slot, number in seated if slot is victim]
    assert book.taken(victim, [mine[1]]) == [mine[1]]
    back, died = book.lost(victim)
    assert [number for number, _ in back] == [mine[0], mine[2]]
    assert died == 1
    assert victim.state is State.DEAD
    book.check_invariants()
    for _, listener in back:
        assert _seat(book, listener)[0] is book.slots[1]
    assert book.lost(victim) == ([], 0)


def test_hung_worker_keeps_its_sessions_and_loses_the_waiting_ones() -> None:
    book = _up(2)
    slot, first = _seat(book)
    _seat(book)
    other, second = _seat(book)
    assert other is slot
    book.taken(slot, [first])
    assert book.hung(slot) == [(second, 0)]
    assert book.hung(slot) == []
    assert slot.total == 1
    assert {_seat(book)[0].index for _ in range(5)} == {1}
    assert not book.alive(slot)
    assert slot.state is State.UP
    assert book.taken(slot, [second]) == [], "woken up, it took what had moved away"
    assert book.stale == 1
    book.check_invariants()


def test_last_worker_that_hangs_saturates_and_its_waking_resumes() -> None:
    book = _up(1)
    book.hung(book.slots[0])
    assert book.saturated
    assert book.alive(book.slots[0])


def test_refused_connections_come_back_and_foreign_ids_do_not() -> None:
    book = _up(1)
    slot, first = _seat(book)
    _, second = _seat(book, 1)
    book.taken(slot, [first])
    assert book.refused(slot, [second, first, 999]) == [(second, 1)]
    assert slot.total == 1
    book.check_invariants()


def test_end_of_an_unknown_connection_changes_nothing() -> None:
    book = _up(1)
    slot, number = _seat(book)
    assert book.ended(slot, [number + 1]) == ([], False)
    assert (slot.total, book.stale) == (1, 1)
    assert "generation 1 up" in repr(slot)


def test_draining_worker_gets_nothing_and_finishes() -> None:
    book = _up(2)
    slot, number = _seat(book)
    book.drain(slot)
    assert {_seat(book)[0].index for _ in range(3)} == {1}
    assert book.taken(slot, [number]) == [number]
    assert book.ended(slot, [number]) == ([], False)
    assert not book.alive(slot)
    book.lost(slot)
    book.drain(slot)
    assert slot.state is State.DEAD


def test_restarted_worker_is_even_again_soon() -> None:
    book = _up(4)
    for _ in range(40):
        _seat(book)
    victim = book.slots[2]
    book.lost(victim)
    for _ in range(8):
        _seat(book)
    book.starting(victim, 2)
    assert book.choose(0) is not victim
    assert not book.expects(victim, 1)
    assert book.expects(victim, 2)
    book.hello(victim, 2, 0)
    for _ in range(12):
        _seat(book)
    assert [slot.counts[0] for slot in book.slots] == [13, 13, 12, 12]
    for _ in range(10):
        _seat(book)
    counts = [slot.counts[0] for slot in book.slots]
    assert max(counts) - min(counts) <= 1


def test_restarted_dispatcher_learns_counts_and_avoids_their_ids() -> None:
    book = Slots([1, 1], 2)
    assert book.saturated
    slot = book.slots[0]
    assert book.hello(slot, 7, 0)
    book.held(slot, [1, 2, 4], [0, 1, 0])
    book.hello(book.slots[1], 3, 0)
    assert slot.counts == [2, 1]
    book.check_invariants()
    numbers = [_seat(book)[1] for _ in range(3)]
    assert numbers == [3, 5, 6]
    assert book.ended(slot, [1, 2, 4]) == ([], False)
    assert slot.total == slot.counts[0]
    book.held(slot, [77], [5])
    assert book.stale == 1


def test_ids_wrap_and_skip_those_in_use() -> None:
    book = _up(1)
    slot, first = _seat(book)
    book._last_id = 2**32 - 2
    assert [_seat(book)[1] for _ in range(3)] == [2**32 - 1, 2, 3]
    assert first in slot.connections
    book.check_invariants()


def test_old_generation_drains_while_the_new_one_serves() -> None:
    book = _up(2)
    seated = [_seat(book) for _ in range(4)]
    old = book.slots[0]
    new = book.retire(old)
    book.starting(new, 2)
    book.hello(new, 2, 0)
    book.check_invariants()
    assert {_seat(book)[0] for _ in range(2)} == {new}
    for slot, number in seated:
        if slot is old:
            book.taken(old, [number])
            book.ended(old, [number])
    assert book.lost(old) == ([], 0)
    assert book.retired == []
    book.check_invariants()


def test_new_place_takes_part_when_its_worker_says_hello() -> None:
    for algorithm in ("leastconn", "roundrobin"):
        book = _up(1, algorithm=(algorithm,))
        slot = book.add()
        book.starting(slot, 1)
        book.hello(slot, 1, 0)
        assert {_seat(book)[0].index for _ in range(4)} == {0, 1}
        book.check_invariants()


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [("roundrobin", [0, 1, 2, 0, 1, 2]), ("static-rr", [0, 1, 2, 0, 1, 2]), ("first", [0, 0, 1, 1, 2, 2]), ("budget", [0, 1, 2, 0, 1, 2])],
)
def test_other_algorithms(algorithm: str, expected: list[int]) -> None:
    book = _up(3, maxconn=2, algorithm=(algorithm,))
    assert [_seat(book)[0].index for _ in range(6)] == expected
    assert book.choose(0) is None


def test_each_listener_has_its_own_turns() -> None:
    book = _up(3, algorithm=("roundrobin",))
    assert [_seat(book, listener)[0].index for listener in (0, 1, 0, 1, 0, 1)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("hash_type", ["map-based", "consistent"])
def test_source_stays_at_its_worker_unless_it_is_full_or_gone(hash_type: str) -> None:
    book = _up(4, algorithm=("source",), hash_type=(hash_type,))
    homes = {bytes([10, 0, 7, number]): _seat(book, 0, bytes([10, 0, 7, number]))[0].index for number in range(50)}
    assert len(set(homes.values())) == 4
    for source, home in homes.items():
        assert _seat(book, 0, source)[0].index == home
    source, home = next(iter(homes.items()))
    book.blocked(book.slots[home])
    assert _seat(book, 0, source)[0].index != home
    book.unblocked(book.slots[home])
    book.lost(book.slots[home])
    assert _seat(book, 0, source)[0].index != home


def test_random_of_two_is_nearly_even() -> None:
    book = _up(4, algorithm=("random(2)",), chance=random.Random(5).random)
    for _ in range(400):
        _seat(book)
    assert all(90 <= slot.total <= 110 for slot in book.slots)


class _Shared:
    """Counts of several dispatchers over the same workers, as shared memory has them."""

    def __init__(self, dispatchers: int, workers: int, **options: object) -> None:
        self.books: list[Slots] = []
        for number in range(dispatchers):
            self.books.append(_up(workers, others=self._others_of(number), **options))  # type: ignore[arg-type]

    def _others_of(self, me: int) -> Others:
        def others(slot: int, listener: int) -> int:
            rest = [book.slots[slot] for number, book in enumerate(self.books) if number != me]
            return sum(one.total if listener < 0 else one.counts[listener] for one in rest)

        return others

    def counts(self, listener: int) -> list[int]:
        return [sum(book.slots[index].counts[listener] for book in self.books) for index in range(len(self.books[0].slots))]


def test_several_dispatchers_keep_one_balance() -> None:
    chance = random.Random(11)
    shared = _Shared(3, 4)
    for _ in range(200):
        _seat(chance.choice(shared.books))
        assert max(shared.counts(0)) - min(shared.counts(0)) <= 1


def test_maxconn_holds_over_several_dispatchers() -> None:
    for algorithm in ("leastconn", "roundrobin"):
        shared = _Shared(2, 2, maxconn=3, algorithm=(algorithm,))
        for number in range(6):
            _seat(shared.books[number % 2])
        assert all(book.saturated and book.choose(0) is None for book in shared.books)
        slot = shared.books[0].slots[0]
        shared.books[0].ended(slot, list(slot.connections)[:1])
        assert shared.books[1].choose(0) is not None


@pytest.mark.parametrize("seed", range(6))
def test_random_life_against_a_naive_model(seed: int) -> None:
    """Thousands of events; after each one the counts are the model's, and what is chosen is least loaded."""
    chance = random.Random(seed)
    listeners = chance.randint(1, 3)
    maxconn = chance.choice([0, 3, 20])
    book = Slots([1] * chance.randint(1, 5), listeners)
    generation = 0
    where: dict[int, tuple[int, int]] = {}  # id -> (slot, listener)
    waiting: list[int] = []
    for _ in range(3000):
        slot = chance.choice(book.slots)
        event = chance.random()
        mine = [number for number, (index, _) in where.items() if index == slot.index]
        if slot.state is State.DEAD:
            generation += 1
            book.starting(slot, generation)
        elif slot.state is State.STARTING:
            book.hello(slot, generation if slot.generation == generation else slot.generation, maxconn)
        elif event < 0.01:
            back, died = book.lost(slot)
            assert [number for number, _ in back] == [number for number in waiting if number in mine]
            assert died == len(mine) - len(back)
            for number in mine:
                del where[number]
            waiting = [number for number in waiting if number not in mine]
        elif event < 0.02:
            for number, _ in book.hung(slot):
                waiting.remove(number)
                del where[number]
        elif event < 0.04:
            book.alive(slot)
        elif event < 0.05:
            book.drain(slot)
        elif event < 0.08:
            book.blocked(slot) if chance.random() < 0.3 else book.unblocked(slot)
        elif event < 0.3 and mine:
            taken = [number for number in mine if number in waiting][: chance.randint(0, 4)]
            assert book.taken(slot, taken) == taken
            waiting = [number for number in waiting if number not in taken]
        elif event < 0.55 and mine:
            ended = chance.sample(mine, chance.randint(0, len(mine)))
            was_saturated = book.saturated
            untaken, resume = book.ended(slot, ended)
            assert resume == (was_saturated and not book.saturated)
            assert set(untaken) == set(ended) & set(waiting)
            waiting = [number for number in waiting if number not in ended]
            for number in ended:
                del where[number]
        else:
            listener = chance.randrange(listeners)
            chosen = book.choose(listener)
            up = [one for one in book.slots if one.state is State.UP]
            assert (chosen is None) == book.saturated == (not up)
            if chosen is not None:
                assert chosen.counts[listener] == min(one.counts[listener] for one in up)
                ties = [one.total for one in up if one.counts[listener] == chosen.counts[listener]]
                assert chosen.total == min(ties)
                number = book.give(chosen, listener)
                assert number not in where
                where[number] = chosen.index, listener
                waiting.append(number)
        book.check_invariants()
        counts = Counter(where.values())
        for one in book.slots:
            assert one.counts == [counts[one.index, listener] for listener in range(listeners)]
