from __future__ import annotations

import random
from math import inf

import pytest

from worker.servers.idle import DescriptorShare, Fate, IdleBook, Reuse


def _with(book: IdleBook[str], *connections: tuple[str, int]) -> IdleBook[str]:
    """Put connections (name, requests carried) at time 0."""
    for name, requests in connections:
        book.opened()
        assert book.put(name, 0.0, requests) is Fate.POOL
        book.check_invariants()
    return book


@pytest.mark.parametrize(
    ("reuse", "first", "taken"),
    [
        (Reuse.SAFE, True, []),
        (Reuse.SAFE, False, ["unproven 2", "unproven 1", "proven 2", "proven 1"]),
        (Reuse.AGGRESSIVE, True, ["proven 2", "proven 1"]),
        (Reuse.AGGRESSIVE, False, ["unproven 2", "unproven 1", "proven 2", "proven 1"]),
        (Reuse.ALWAYS, True, ["proven 2", "proven 1", "unproven 2", "unproven 1"]),
        (Reuse.ALWAYS, False, ["unproven 2", "unproven 1", "proven 2", "proven 1"]),
    ],
)
def test_strategy_decides_what_a_request_may_take_and_the_last_put_goes_first(reuse: Reuse, first: bool, taken: list[str]) -> None:
    book = _with(IdleBook(reuse), ("unproven 1", 1), ("proven 1", 2), ("unproven 2", 1), ("proven 2", 7))
    got = []
    while (connection := book.take(1.0, first)) is not None:
        got.append(connection)
        book.check_invariants()
    assert got == taken


def test_never_gives_connections_back_to_their_session() -> None:
    book: IdleBook[str] = IdleBook(Reuse.NEVER)
    book.opened()
    assert book.put("a", 0.0, 1) is Fate.SESSION
    assert book.take(0.0, False) is None
    assert book.lent == 1


@pytest.mark.parametrize("options", [{"pool_max_conn": 0}, {"pool_purge_delay_s": 0.0}])
def test_without_a_pool_the_session_keeps_its_connection(options: dict[str, float]) -> None:
    book: IdleBook[str] = IdleBook(**options)  # type: ignore[arg-type]
    book.opened()
    assert book.put("a", 0.0, 1) is Fate.SESSION


def test_private_connection_goes_back_to_its_session() -> None:
    book: IdleBook[str] = IdleBook(Reuse.ALWAYS)
    book.opened()
    assert book.put("ntlm", 0.0, 3, private=True) is Fate.SESSION


def test_connections_of_one_client_serve_only_requests_of_the_same_key() -> None:
    book: IdleBook[str] = IdleBook(Reuse.ALWAYS)
    for name, key in (("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", None)):
        book.opened()
        assert book.put(name, 0.0, 1, key=key) is Fate.POOL
    assert book.take(0.0, False, "10.0.0.3") is None
    assert book.take(0.0, False, "10.0.0.2") == "b"
    assert book.take(0.0, False, "10.0.0.2") is None
    assert book.take(0.0, False) == "c"
    assert book.take(0.0, False) is None
    assert book.remove("a", 1.0)
    book.check_invariants()


def test_full_pool_closes() -> None:
    book = _with(IdleBook(pool_max_conn=2), ("a", 1), ("b", 1))
    book.opened()
    assert book.put("c", 0.0, 1) is Fate.CLOSE
    book.closed()
    assert (book.count, book.lent) == (2, 0)


@pytest.mark.parametrize(
    ("max_reuse", "requests", "fate"), [(-1, 10**6, Fate.POOL), (0, 1, Fate.CLOSE), (2, 2, Fate.POOL), (2, 3, Fate.CLOSE)]
)
def test_max_reuse(max_reuse: int, requests: int, fate: Fate) -> None:
    book: IdleBook[str] = IdleBook(max_reuse=max_reuse)
    book.opened()
    assert book.put("a", 0.0, requests) is fate


def test_announced_end_is_kept() -> None:
    book: IdleBook[str] = IdleBook()
    book.opened()
    assert book.put("a", 0.0, 1, left=0) is Fate.CLOSE
    assert book.put("a", 0.0, 1, timeout_s=5.0, left=3) is Fate.POOL
    assert book.take(4.4, False) == "a"
    assert book.put("a", 10.0, 2, timeout_s=5.0) is Fate.POOL
    assert book.take(14.6, False) is None
    assert book.doomed == ["a"]
    book.check_invariants()
    book.opened()
    assert book.put("b", 0.0, 1, timeout_s=0.1) is Fate.CLOSE


def test_learned_number_of_requests_ends_a_connection_before_the_server_does() -> None:
    book: IdleBook[str] = IdleBook()
    book.habits.closed_after(100)
    book.habits.closed_after(100)
    book.opened()
    assert book.put("a", 0.0, 99) is Fate.POOL
    assert book.take(0.0, False) == "a"
    assert book.put("a", 0.0, 100) is Fate.CLOSE


def test_idle_closes_by_the_server_teach_its_timeout() -> None:
    book = _with(IdleBook(), ("a", 1), ("b", 1))
    assert book.remove("a", 60.0)
    assert book.remove("b", 60.0)
    assert not book.remove("b", 60.0)
    book.opened()
    book.put("c", 100.0, 1)
    assert book.take(155.0, False) is None
    assert book.doomed == ["c"]


def test_purge_closes_half_of_the_excess_each_delay_oldest_first() -> None:
    book: IdleBook[str] = IdleBook(pool_purge_delay_s=5.0)
    assert book.purge_at() == inf
    for _ in range(8):
        book.opened()
    for number in range(8):
        book.put(str(number), 0.1 * number, 1)
    assert book.purge_at() == 5.0
    assert book.purge(4.9) == []
    assert book.purge(5.0) == [], "the last period needed all eight"
    assert book.purge(10.0) == ["0", "1", "2", "3"]
    assert book.purge(12.0) == []
    assert book.purge(15.0) == ["4", "5"]
    assert [book.purge(20.0), book.purge(25.0), book.purge(30.0)] == [["6"], ["7"], []]
    assert book.purge_at() == inf
    book.check_invariants()


def test_purge_keeps_what_the_busiest_moment_needed() -> None:
    book = _with(IdleBook(), *((str(number), 1) for number in range(10)))
    book.purge(5.0)
    taken = [book.take(6.0, False) for _ in range(3)]
    for connection in taken:
        assert connection is not None
        book.put(connection, 6.5, 2)
    remaining = book.count
    closed = book.purge(10.0)
    assert len(closed) == (remaining - 3 + 1) // 2
    book.check_invariants()


def test_purge_leaves_the_low_number_and_the_warm_ones() -> None:
    low = _with(IdleBook(pool_low_conn=3), *((str(number), 1) for number in range(6)))
    for now in range(5, 100, 5):
        low.purge(float(now))
    assert low.count == 3
    warm: IdleBook[str] = IdleBook(warm=2)
    assert warm.to_open() == 2
    for name in ("a", "b"):
        warm.opened()
        warm.put_warm(name, 0.0)
    assert warm.to_open() == 0
    for now in range(5, 100, 5):
        assert warm.purge(float(now)) == []
    assert warm.take(100.0, False) == "b"
    assert warm.to_open() == 0, "lent ones count: they come back"
    warm.closed()
    assert warm.to_open() == 1
    warm.check_invariants()


def test_purge_closes_what_expired() -> None:
    book: IdleBook[str] = IdleBook()
    book.opened()
    book.put("a", 0.0, 1, timeout_s=2.0)
    assert book.purge(1.0) == []
    assert book.purge(1.8) == ["a"]
    assert book.count == 0


def test_descriptor_share_limits_all_books_of_a_process() -> None:
    share = DescriptorShare(100, low_percent=2, high_percent=3)
    books: list[IdleBook[str]] = [IdleBook(descriptors=share), IdleBook(descriptors=share)]
    for book, name in ((books[0], "a"), (books[1], "b")):
        book.opened()
        assert book.put(name, 0.0, 1) is Fate.POOL
    books[0].opened()
    assert books[0].put("c", 0.0, 1) is Fate.CLOSE
    share.high = 1
    assert books[0].purge(0.1) == ["a"]
    assert books[1].purge(0.1) == []
    assert share.idle == 1
    assert books[1].take(0.2, False) == "b"
    assert share.idle == 0
    books[1].put_warm("b", 0.3)
    assert share.idle == 1
    assert books[1].remove("b", 0.4)
    assert share.idle == 0


def test_server_that_goes_down_loses_all_idle_connections() -> None:
    book = _with(IdleBook(), ("a", 1), ("b", 5))
    assert sorted(book.clear()) == ["a", "b"]
    assert book.count == 0
    book.check_invariants()


@pytest.mark.parametrize("seed", range(6))
def test_random_life(seed: int) -> None:
    """Thousands of events: nothing is lost, doubled, shared across keys, or used after its end."""
    chance = random.Random(seed)
    reuse = chance.choice([Reuse.SAFE, Reuse.AGGRESSIVE, Reuse.ALWAYS])
    share = DescriptorShare(200, 10, 12)
    book: IdleBook[int] = IdleBook(reuse, pool_max_conn=chance.choice([-1, 5, 20]), pool_low_conn=chance.choice([0, 2]), descriptors=share)
    now, made = 0.0, 0
    lent: dict[int, tuple[int, str | None]] = {}  # connection -> requests, key
    idle: dict[int, tuple[int, str | None, float]] = {}
    for _ in range(3000):
        now += chance.random()
        event = chance.random()
        if event < 0.45:
            first, key = chance.random() < 0.5, chance.choice([None, None, "k1", "k2"])
            taken = book.take(now, first, key)
            for dead in book.doomed:
                assert idle.pop(dead)[2] <= now
            book.doomed.clear()
            may = [one for one, (requests, its_key, end) in idle.items() if its_key == key and end > now]
            if first:
                may = [one for one in may if reuse is Reuse.ALWAYS or (reuse is Reuse.AGGRESSIVE and idle[one][0] > 1)]
            assert (taken is None) == (not may)
            if taken is None:
                made += 1
                taken = made
                book.opened()
                lent[taken] = 1, key
            else:
                assert taken in may
                requests, its_key, _ = idle.pop(taken)
                lent[taken] = requests + 1, its_key
        elif event < 0.85 and lent:
            connection = chance.choice(list(lent))
            requests, key = lent.pop(connection)
            timeout = chance.choice([None, None, 3.0])
            fate = book.put(connection, now, requests, key=key, timeout_s=timeout)
            if fate is Fate.POOL:
                idle[connection] = requests, key, now + book.habits.idle_for_s(timeout)
            else:
                assert fate is Fate.CLOSE
                book.closed()
        elif event < 0.9 and idle:
            connection = chance.choice(list(idle))
            assert book.remove(connection, now)
            del idle[connection]
        else:
            for connection in book.purge(now):
                del idle[connection]
        book.check_invariants()
        assert (book.count, book.lent, share.idle) == (len(idle), len(lent), len(idle))


@pytest.mark.parametrize("reuse", list(Reuse))
def test_warm_connections_carry_anybodys_first_request(reuse: Reuse) -> None:
    book: IdleBook[str] = IdleBook(reuse, warm=2)
    for name in ("a", "b"):
        book.opened()
        book.put_warm(name, 0.0, b"name")
        book.check_invariants()
    assert book.take(1.0, True) is None, "opened for another name"
    assert book.take(1.0, True, b"name") == "b"
    assert book.take(1.0, False, b"name") == "a"
    assert (book.count, book.lent) == (0, 2)
    book.check_invariants()


def test_warm_connections_for_another_name_are_given_up() -> None:
    book: IdleBook[str] = IdleBook(warm=2)
    book.opened()
    book.put_warm("a", 0.0, b"old")
    book.opened()
    book.put_warm("b", 0.0, b"new")
    book.check_invariants()
    assert book.doomed == ["a"]
    assert book.take(1.0, True, b"old") is None
    assert book.take(1.0, True, b"new") == "b"


def test_server_that_closes_silently_after_so_many_requests_is_left_before_and_tried_again_seldom() -> None:
    book: IdleBook[str] = IdleBook(Reuse.ALWAYS)
    for _ in range(2):
        book.habits.closed_after(100)
    fates = []
    for number in range(300):
        book.opened()
        fates.append(book.put(str(number), 0.0, 100))
        if fates[-1] is Fate.CLOSE:
            book.closed()
    assert fates.count(Fate.CLOSE) == 299
    book.opened()
    assert book.put("longer", 0.0, 102) is Fate.POOL, "it outlived the belief"
    book.opened()
    assert book.put("then", 0.0, 100) is Fate.POOL
    book.check_invariants()
