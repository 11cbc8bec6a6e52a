from __future__ import annotations

import random

import pytest

from worker.servers.places import Capacity, LocalPlaces
from worker.servers.queue import BackendQueue, Ticket, Waiting


def _queue(*capacities: Capacity, fullconn: int = 0) -> BackendQueue[str]:
    return BackendQueue(list(capacities), LocalPlaces([0] * len(capacities)), fullconn)


def _wait(
    queue: BackendQueue[str], name: str, server: int | None = None, now: float = 0.0, priority: int = 0, offset: int = 0
) -> Ticket[str]:
    ticket = queue.wait(name, server, now, priority_class=priority, priority_offset_ms=offset)
    assert ticket is not None
    queue.check_invariants()
    return ticket


def _names(tickets: list[Ticket[str]]) -> str:
    return " ".join(ticket.item for ticket in tickets)


def test_place_goes_to_the_first_who_waits() -> None:
    queue = _queue(Capacity(maxconn=1))
    assert queue.enter(0)
    assert not queue.enter(0)
    tickets = [_wait(queue, name, 0, 1.0) for name in "abc"]
    assert [ticket.ahead for ticket in tickets] == [0, 1, 2]
    assert queue.is_full(0)
    assert [_names(queue.leave(0)) for _ in range(4)] == ["a", "b", "c", ""]
    assert queue.places.used(0) == 0
    assert not queue.is_full(0)


def test_first_of_both_queues_is_served_in_order_of_arrival() -> None:
    queue = _queue(Capacity(maxconn=1), Capacity(maxconn=1))
    assert queue.enter(0)
    assert queue.enter(1)
    for now, (name, server) in enumerate((("any1", None), ("s0", 0), ("any2", None), ("s1", 1))):
        _wait(queue, name, server, float(now))
    admitted = queue.leave(1)
    assert (_names(admitted), admitted[0].server) == ("any1", 1)
    assert _names(queue.leave(0)) == "s0"
    assert _names(queue.leave(1)) == "any2"
    assert _names(queue.leave(0)) == "", "s1 waits for its own server"
    assert _names(queue.leave(1)) == "s1"


@pytest.mark.parametrize(
    ("waiting", "order"),
    [
        ([("a", 0, 0, 0.0), ("b", -1, 0, 1.0), ("c", 1, 0, 0.0), ("d", -1, 0, 0.5)], "d b a c"),
        ([("a", 0, 0, 0.0), ("b", 0, -2000, 1.0), ("c", 0, 5000, 0.1)], "b a c"),
        ([("a", -5000, 0, 1.0), ("b", -2047, 0, 0.0)], "b a"),  # out of range: as the lowest
        ([("a", 0, 10**9, 0.0), ("b", 0, 524287, 0.1)], "a b"),
    ],
)
def test_class_then_time_with_offset_decides(waiting: list[tuple[str, int, int, float]], order: str) -> None:
    queue = _queue(Capacity(maxconn=1))
    queue.enter(0)
    for name, priority, offset, now in waiting:
        _wait(queue, name, None, now, priority, offset)
    assert " ".join(_names(queue.leave(0)) for _ in waiting) == order


def test_full_queue_sends_elsewhere() -> None:
    queue = _queue(Capacity(maxconn=1, maxqueue=2))
    queue.enter(0)
    _wait(queue, "a", 0)
    assert not queue.is_queue_full(0)
    assert not queue.is_full_with_queue(0)
    _wait(queue, "b", 0)
    assert queue.is_queue_full(0)
    assert queue.is_full_with_queue(0)
    assert queue.wait("c", 0, 0.0) is None
    assert queue.load_of(0) == 3
    assert (queue.queued(0), queue.queued(), queue.load()) == (2, 0, 3)


def test_unlimited_server_is_never_full() -> None:
    queue = _queue(Capacity())
    assert all(queue.enter(0) for _ in range(100))
    assert not queue.is_full(0)
    assert not queue.is_full_with_queue(0)


def test_nobody_overtakes_who_waits_for_the_server() -> None:
    queue = _queue(Capacity(maxconn=2))
    queue.enter(0)
    queue.enter(0)
    _wait(queue, "a", 0)
    queue.places.leave(0)  # another worker gave one back, nobody told us yet
    assert not queue.enter(0)
    assert _names(queue.admit(0)) == "a"


def test_who_leaves_the_queue_is_not_admitted() -> None:
    queue = _queue(Capacity(maxconn=1))
    queue.enter(0)
    first, _ = _wait(queue, "a", 0), _wait(queue, "b", 0)
    assert queue.abandon(first) == []
    assert queue.abandon(first) == []
    assert first.state is Waiting.LEFT
    queue.check_invariants()
    assert _names(queue.leave(0)) == "b"


def test_place_of_one_who_left_when_admitted_goes_on_to_the_next() -> None:
    queue = _queue(Capacity(maxconn=1))
    queue.enter(0)
    _wait(queue, "a", 0)
    _wait(queue, "b", 0)
    admitted = queue.leave(0)
    assert _names(queue.abandon(admitted[0])) == "b"
    assert queue.places.used(0) == 1


def test_queue_of_a_server_that_goes_down_moves_in_order() -> None:
    queue = _queue(Capacity(maxconn=1), Capacity(maxconn=1))
    queue.enter(0)
    queue.enter(1)
    _wait(queue, "a", 0, 1.0)
    _wait(queue, "b", 1, 2.0)
    _wait(queue, "c", 0, 3.0)
    moved = queue.server_down(0)
    assert _names(moved) == "a c"
    for ticket in moved:
        _wait(queue, ticket.item, None, ticket.since)
    assert queue.leave(0) == [], "a server that is down takes nobody from the common queue"
    assert [_names(queue.leave(1)) for _ in range(3)] == ["a", "b", "c"]


def test_server_that_returns_takes_from_the_common_queue_and_grows() -> None:
    queue = _queue(Capacity(maxconn=4), Capacity(maxconn=1))
    queue.server_down(0)
    queue.enter(1)
    for name in "abcdef":
        _wait(queue, name)
    assert _names(queue.server_up(0, 0.25)) == "a"
    assert _names(queue.warm(0, 0.5)) == "b"
    assert _names(queue.warm(0, 1.0)) == "c d"
    assert _names(queue.resize(0, Capacity(maxconn=5))) == "e"
    assert _names(queue.resize(0, Capacity())) == "f"


def test_limit_follows_the_load_of_the_backend() -> None:
    queue = _queue(Capacity(maxconn=10, minconn=2), fullconn=20)
    assert queue.enter(0)
    assert queue.enter(0)
    assert not queue.enter(0)
    admitted = []
    for number in range(18):
        _ = queue.wait(str(number), None, 0.0)
        admitted += queue.admit(0)
    assert queue.load() == 20
    assert queue.places.used(0) == 10
    assert [ticket.item for ticket in admitted] == [str(number) for number in range(8)]


def test_server_added_at_run_time_takes_from_the_common_queue() -> None:
    places = LocalPlaces([0])
    queue: BackendQueue[str] = BackendQueue([Capacity(maxconn=1)], places)
    queue.enter(0)
    _wait(queue, "a")
    places.add()
    assert queue.add(Capacity(maxconn=1)) == 1
    assert _names(queue.admit(1)) == "a"


def test_many_who_left_do_not_stay_in_memory() -> None:
    queue = _queue(Capacity(maxconn=1))
    queue.enter(0)
    for _ in range(1000):
        queue.abandon(_wait_quickly(queue))
    assert len(queue._common._heap) < 100


def _wait_quickly(queue: BackendQueue[str]) -> Ticket[str]:
    ticket = queue.wait("x", None, 0.0)
    assert ticket is not None
    return ticket


@pytest.mark.parametrize("seed", range(6))
def test_random_life_against_a_naive_model(seed: int) -> None:
    """Sorted lists instead of heaps; after each event the same requests are at the servers and waiting."""
    chance = random.Random(seed)
    capacities = [Capacity(maxconn=chance.randint(1, 4), maxqueue=chance.choice([0, 3])) for _ in range(3)]
    queue: BackendQueue[int] = BackendQueue(capacities, LocalPlaces([0] * 3))
    waiting: dict[int, tuple[tuple[int, float, int], int | None]] = {}
    tickets: dict[int, Ticket[int]] = {}
    at: dict[int, int] = {}
    up = [True] * 3
    arrivals = 0

    def model_admits(server: int) -> list[int]:
        names = []
        while list(at.values()).count(server) < capacities[server].maxconn:
            may = [(order, name) for name, (order, target) in waiting.items() if target == server or (target is None and up[server])]
            if not may:
                break
            name = min(may)[1]
            del waiting[name]
            at[name] = server
            names.append(name)
        return names

    for step in range(3000):
        now = step / 10
        event = chance.random()
        server = chance.randrange(3)
        if event < 0.5:
            arrivals += 1
            target = chance.choice([None, server])
            if (target is not None or up[server]) and queue.enter(server):
                at[arrivals] = server
                assert not any(goal == server for _, goal in waiting.values())
            else:
                order = chance.randint(-2, 2), chance.choice([0, 0, -3000, 7000])
                ticket = queue.wait(arrivals, target, now, priority_class=order[0], priority_offset_ms=order[1])
                full = target is not None and 0 < capacities[target].maxqueue <= sum(goal == target for _, goal in waiting.values())
                assert (ticket is None) == full
                if ticket is not None:
                    tickets[arrivals] = ticket
                    waiting[arrivals] = ((order[0], now + order[1] / 1000, arrivals), target)
                    for one in range(3):
                        assert [ticket.item for ticket in queue.admit(one)] == model_admits(one)
        elif event < 0.85 and at:
            name = chance.choice(list(at))
            server = at.pop(name)
            assert [ticket.item for ticket in queue.leave(server)] == model_admits(server)
        elif event < 0.9 and waiting:
            name = chance.choice(list(waiting))
            del waiting[name]
            assert queue.abandon(tickets[name]) == []
        elif event < 0.92:
            up[server] = False
            moved = [ticket.item for ticket in queue.server_down(server)]
            assert moved == [name for _, name in sorted((order, name) for name, (order, goal) in waiting.items() if goal == server)]
            for name in moved:
                del waiting[name]
        elif event < 0.96:
            up[server] = True
            assert [ticket.item for ticket in queue.server_up(server)] == model_admits(server)
        queue.check_invariants()
        assert [queue.places.used(one) for one in range(3)] == [list(at.values()).count(one) for one in range(3)]
        assert queue.load() == len(at) + len(waiting)
