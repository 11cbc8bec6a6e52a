from __future__ import annotations

from collections.abc import Callable
from math import inf

from common.model import Global
from common.net.pump import DeadlinePassed
from tests.common.net.driving import Clock, Driver
from worker.handshakes import PER_TURN, Handshakes, TooLate


def make(driver: Driver, **tune: str) -> Handshakes:
    settings = Global()
    settings.tune = {name: (value,) for name, value in tune.items()}
    return Handshakes(driver.pump, settings)


def client(driver: Driver, handshakes: Handshakes, name: int, told: list[object], deadline: float = inf) -> None:
    async def run() -> None:
        try:
            await handshakes.turn(deadline)
            told.append(name)
        except (TooLate, DeadlinePassed) as error:
            told.append((name, type(error).__name__))

    driver.pump.spawn(run(), f"client {name}")


def turns_until(driver: Driver, condition: Callable[[], bool]) -> int:
    turns = 0
    while not condition():
        driver.pump.turn()
        turns += 1
        assert turns < 1000
    return turns


def test_at_most_so_many_handshakes_in_one_turn_in_the_order_of_arrival(driver: Driver) -> None:
    handshakes = make(driver)
    told: list[object] = []
    for name in range(10):
        client(driver, handshakes, name, told)
    seen = [0]
    while len(told) < 10:
        driver.pump.turn()
        assert len(told) - seen[-1] <= PER_TURN
        seen.append(len(told))
        assert len(seen) < 50
    assert told == list(range(10))


def test_number_per_turn_is_the_configurations(driver: Driver) -> None:
    handshakes = make(driver, **{"tune.handshakes-per-turn": "1"})
    told: list[object] = []
    for name in range(6):
        client(driver, handshakes, name, told)
    assert turns_until(driver, lambda: len(told) == 6) >= 6


def test_established_strands_are_served_between(driver: Driver) -> None:
    handshakes = make(driver, **{"tune.handshakes-per-turn": "2"})
    told: list[object] = []

    async def established() -> None:
        while True:
            await driver.pump.pause()
            told.append("established")

    strand = driver.pump.spawn(established(), "established")
    for name in range(6):
        client(driver, handshakes, name, told)
    turns_until(driver, lambda: sum(one != "established" for one in told) == 6)
    driver.pump.end(strand)
    run = 0
    for one in told:
        run = 0 if one == "established" else run + 1
        assert run <= 2, told


def test_who_has_waited_past_the_deadline_is_refused_and_the_newest_goes_first_under_overload(clock: Clock, driver: Driver) -> None:
    handshakes = make(driver, **{"tune.handshakes-per-turn": "1", "tune.dispatch.handshake-deadline": "1s"})
    told: list[object] = []
    for name in range(40):  # one every 100 ms can be done, and ten come
        for number in range(10):
            client(driver, handshakes, 10 * name + number, told)
        clock.now += 0.1
        driver.pump.turn()
    served = [one for one in told if isinstance(one, int)]
    refused = [one for one in told if not isinstance(one, int)]
    assert refused and all(one[1] == "TooLate" for one in refused if isinstance(one, tuple))
    assert handshakes.refused == len(refused)
    ages = [39 - place - one // 10 for place, one in enumerate(reversed(served[-10:]))]
    assert max(ages) <= 2, "those that are served came a moment ago, not the longest that is allowed"


def test_who_leaves_is_forgotten_and_a_deadline_of_its_own_holds(clock: Clock, driver: Driver) -> None:
    handshakes = make(driver, **{"tune.handshakes-per-turn": "1"})
    told: list[object] = []
    client(driver, handshakes, 0, told)
    client(driver, handshakes, 1, told, deadline=driver.pump.now + 0.05)
    clock.now += 0.2
    driver.settle()
    assert told == [0, 1] or told == [0, (1, "DeadlinePassed")] or told == [(1, "DeadlinePassed"), 0]
    client(driver, handshakes, 2, told)
    driver.settle()
    assert told[-1] == 2


def test_loads_are_reported_when_a_handshake_ends(driver: Driver) -> None:
    handshakes = make(driver)

    class Channel:
        woken = 0

        def wake(self) -> None:
            self.woken += 1

    channel = Channel()
    handshakes.begin()
    assert handshakes.under_way == 1
    handshakes.end([channel])
    assert handshakes.under_way == 0 and channel.woken == 1
