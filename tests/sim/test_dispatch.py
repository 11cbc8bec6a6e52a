"""A whole life of the dispatcher: clients, workers that die, hang, drain and return, channels that fill up, limits. Seeded.

The world here is naive and complete: it knows of every client where it truly is. The books only get the reports that a real
dispatcher would get, with delays. At the end everybody who was accepted must have been served, cut by the death of the
worker that had taken them, or refused by a rule; nobody may have been lost, served twice, or left waiting.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

import pytest

from common.balance.overload import Lane
from dispatcher.policy.admission import Admission, Limits, ListenerLimits, Verdict
from dispatcher.policy.heartbeat import Heartbeats, Pulse
from dispatcher.policy.slots import Slot, Slots, State

STEPS = 4000
STEP_S = 0.05
LISTENERS = 2
CHANNEL_MESSAGES = 5


class Fate(Enum):
    BACKLOG = "backlog"
    DISPATCHER = "dispatcher"
    GIVEN = "given"
    TAKEN = "taken"
    SERVED = "served"
    CUT = "cut"
    REFUSED = "refused"


@dataclass(eq=False)
class Client:
    listener: int
    source: int
    fate: Fate = Fate.BACKLOG
    worker: Worker | None = None
    number: int = 0
    taken_times: int = 0


@dataclass(eq=False)
class Worker:
    """One process: what it has in its channel, what it has taken, what it still wants to report."""

    generation: int
    alive: bool = True
    stopped: bool = False  # SIGSTOP
    was_stopped: bool = False  # woken up: it refuses what is in its channel
    draining: bool = False
    beat: int = 0
    channel: deque[tuple[int, Client]] = field(default_factory=deque)
    sessions: list[Client] = field(default_factory=list)
    reports: deque[tuple[str, list[int]]] = field(default_factory=deque)


class World:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = 0.0
        self.clients: list[Client] = []
        self.backlog: list[deque[Client]] = [deque() for _ in range(LISTENERS)]
        self.by_number: dict[int, Client] = {}
        self.held: Lane[Client] = Lane(patience_s=1e9)
        algorithm = self.chance.choice(["leastconn", "leastconn", "roundrobin", "source", "random(2)"])
        self.slots = Slots([1] * self.chance.randint(2, 4), LISTENERS, algorithm=(algorithm,), chance=self.chance.random)
        self.is_leastconn = algorithm == "leastconn"
        self.admission = Admission(
            Limits(maxconn=60, maxconnrate=400, source_maxconn=12),
            [ListenerLimits(0, maxconn=40), ListenerLimits(1, rate_limit_sessions=200, tls=True)],
        )
        self.hearts = Heartbeats(0.25, 3.0)
        self.workers: list[Worker | None] = [None] * len(self.slots.slots)
        self.generation = 0
        self.restart_at = [0.0] * len(self.workers)
        self.unaccounted: list[Client] = []  # served, and the dispatcher does not know yet
        self.calm = False

    # --- what the outside does -----------------------------------------------------------------------------------------

    def step(self) -> None:
        chance = self.chance
        self.now += STEP_S
        if not self.calm:
            for _ in range(chance.choice([0, 0, 1, 1, 2, 10])):
                client = Client(chance.randrange(LISTENERS), chance.randrange(8))
                self.clients.append(client)
                self.backlog[client.listener].append(client)
        for index, worker in enumerate(self.workers):
            if worker is None:
                if self.now >= self.restart_at[index]:
                    self._start(index)
                continue
            if not self.calm and chance.random() < 0.002:
                self._kill(index, worker)
                continue
            if not self.calm and chance.random() < 0.002:
                worker.stopped = True
            elif worker.stopped and (self.calm or chance.random() < 0.05):
                worker.stopped, worker.was_stopped = False, True
            if not worker.stopped:
                self._work(worker)
        self._accept()
        self._watch()
        self._read_reports()
        self.slots.check_invariants()
        self.admission.check_invariants()
        self.held.check_invariants()

    def _start(self, index: int) -> None:
        self.generation += 1
        self.workers[index] = Worker(self.generation)
        slot = self.slots.slots[index]
        self.slots.starting(slot, self.generation)
        self.hearts.start(index, self.now)
        assert self.slots.expects(slot, self.generation)
        self.slots.hello(slot, self.generation, self.chance.choice([0, 8, 20]))
        self._seat_held()

    def _kill(self, index: int, worker: Worker) -> None:
        """What it had taken is cut. What it reported can still be read; what is in its channel the dispatcher still has."""
        slot = self.slots.slots[index]
        self._read_reports_of(slot, worker)
        worker.alive = False
        for client in worker.sessions:
            client.fate = Fate.CUT
            self.admission.ended(client.listener, client.source)
        self.workers[index] = None
        self.restart_at[index] = self.now + 0.5
        self.hearts.stop(index)
        back, died = self.slots.lost(slot)
        assert died == len(worker.sessions)
        self._reseat(back)

    def _work(self, worker: Worker) -> None:
        chance = self.chance
        worker.beat += 1
        if worker.was_stopped:  # it slept, so it refuses unread what is in its channel
            worker.was_stopped = False
            if worker.channel:
                worker.reports.append(("refused", [number for number, _ in worker.channel]))
            worker.channel.clear()
        taken = []
        while worker.channel and chance.random() < 0.8:
            number, client = worker.channel.popleft()
            client.taken_times += 1
            client.fate = Fate.TAKEN
            worker.sessions.append(client)
            taken.append(number)
        if taken:
            worker.reports.append(("taken", taken))
        ended = [client for client in worker.sessions if chance.random() < (0.5 if self.calm else 0.03)]
        if ended:
            for client in ended:
                client.fate = Fate.SERVED
                worker.sessions.remove(client)
                self.unaccounted.append(client)
            worker.reports.append(("ended", [client.number for client in ended]))

    # --- what a dispatcher does ----------------------------------------------------------------------------------------

    def _accept(self) -> None:
        for listener in range(LISTENERS):
            if len(self.held) or self.slots.saturated:
                return
            permission = self.admission.may_accept(self.now, listener, 4)
            for _ in range(min(permission.accept, len(self.backlog[listener]))):
                if len(self.held) or self.slots.saturated:
                    break
                client = self.backlog[listener].popleft()
                if self.admission.admit(self.now, listener, client.source) is not Verdict.ADMIT:
                    client.fate = Fate.REFUSED
                    continue
                client.fate = Fate.DISPATCHER
                if not self._give(client):
                    self.held.push(client, self.now)

    def _give(self, client: Client) -> bool:
        while (slot := self.slots.choose(client.listener, bytes([10, 0, client.source, 7]))) is not None:
            if self.is_leastconn:
                up = [one for one in self.slots.slots if one.state is State.UP]
                assert slot.counts[client.listener] == min(one.counts[client.listener] for one in up)
            number = self.slots.give(slot, client.listener)
            worker = self.workers[slot.index]
            assert worker is not None and worker.alive, "given to a dead worker"
            if len(worker.channel) >= CHANNEL_MESSAGES:
                self.slots.take_back(slot, number)
                self.slots.blocked(slot)
                continue
            client.number, client.worker, client.fate = number, worker, Fate.GIVEN
            self.by_number[number] = client
            worker.channel.append((number, client))
            return True
        return False

    def _reseat(self, back: list[tuple[int, int]]) -> None:
        clients = [self.by_number.pop(number) for number, _ in back]
        for client in clients:
            client.worker, client.fate = None, Fate.DISPATCHER
        while clients and not len(self.held) and self._give(clients[0]):
            del clients[0]
        for client in reversed(clients):
            self.held.push_back(client, -1.0)

    def _seat_held(self) -> None:
        while (client := self.held.take(self.now)) is not None:
            if not self._give(client):
                self.held.push_back(client, -1.0)
                return

    def _watch(self) -> None:
        for index, worker in enumerate(self.workers):
            if worker is None:
                continue
            slot = self.slots.slots[index]
            pulse = self.hearts.look(index, self.now, worker.beat)
            if pulse is Pulse.HUNG:
                self._read_reports_of(slot, worker)
                self._reseat(self.slots.hung(slot))
            elif pulse is Pulse.ALIVE:
                self.slots.alive(slot)
                self._seat_held()
            elif pulse is Pulse.KILL:
                self._kill(index, worker)
            elif slot.blocked and len(worker.channel) < CHANNEL_MESSAGES:
                self.slots.unblocked(slot)
                self._seat_held()

    def _read_reports(self) -> None:
        for index, worker in enumerate(self.workers):
            if worker is not None and self.chance.random() < 0.7:
                self._read_reports_of(self.slots.slots[index], worker)

    def _read_reports_of(self, slot: Slot, worker: Worker) -> None:
        while worker.reports:
            kind, numbers = worker.reports.popleft()
            if kind == "taken":
                for number in self.slots.taken(slot, numbers):
                    del self.by_number[number]
            elif kind == "refused":
                self._reseat(self.slots.refused(slot, numbers))
            else:
                self._ended(slot, numbers)

    def _ended(self, slot: Slot, numbers: list[int]) -> None:
        untaken, resume = self.slots.ended(slot, numbers)
        assert not untaken, "taken is reported before ended"
        for client in [client for client in self.unaccounted if client.number in numbers]:
            self.admission.ended(client.listener, client.source)
            self.unaccounted.remove(client)
        if resume:
            self._seat_held()


@pytest.mark.parametrize("seed", range(8))
def test_nobody_is_lost_whatever_happens_to_workers(seed: int) -> None:
    world = World(seed)
    for _ in range(STEPS // 4):
        world.step()
    world.calm = True  # nothing breaks any more: all must come to an end
    for _ in range(STEPS // 4):
        world.step()
        if all(client.fate in (Fate.SERVED, Fate.CUT, Fate.REFUSED) for client in world.clients):
            break
    fates = [client.fate for client in world.clients]
    assert set(fates) <= {Fate.SERVED, Fate.CUT, Fate.REFUSED}, {fate: fates.count(fate) for fate in Fate}
    assert all(client.taken_times == (client.fate is not Fate.REFUSED) for client in world.clients), "taken once, by one worker"
    assert fates.count(Fate.SERVED) > 200
    for _ in range(50):
        world.step()  # the last reports
    assert not world.by_number
    assert [slot.total for slot in world.slots.slots] == [0] * len(world.slots.slots)
    assert world.admission.total == 0
