"""A whole life of the dispatcher: clients, workers that die, hang, drain and return, channels that fill up, limits. Seeded.

The world here is naive and complete: it knows of every client where it truly is. The books only get the reports that a real
dispatcher would get, with delays. At the end everybody who was accepted must have been served, cut by the death of the
worker that had taken them, or refused by a rule; nobody may have been lost, served twice, or left waiting.

A worker may be stopped between any two of its steps, also between its claim of a client and the read, or between the read and the
report; and it may go on long after its clients were seated elsewhere.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

import pytest

from common.balance.overload import Lane
from common.wire.claims import PAGE_BYTES, GiversCells, TakersCells
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
    cell: int = 0
    taken_times: int = 0


class Step(Enum):
    """How far a worker is with taking one client."""

    CLAIMED = "its byte is written"
    MINE = "it has looked: not withdrawn"
    READ = "the client's first byte was read"


@dataclass(eq=False)
class Given:
    number: int
    client: Client
    cell: int


@dataclass(eq=False)
class Worker:
    """One process: what it has in its channel, what it has taken, what it still wants to report."""

    generation: int
    alive: bool = True
    stopped: bool = False  # SIGSTOP
    was_stopped: bool = False  # woken up: its next heartbeat looks for clients that were withdrawn
    draining: bool = False
    beat: int = 0
    channel: deque[Given] = field(default_factory=deque)
    parked: list[Given] = field(default_factory=list)  # received, not read from
    taking: tuple[Step, Given] | None = None
    page: bytearray = field(default_factory=lambda: bytearray(PAGE_BYTES))
    sessions: list[Client] = field(default_factory=list)
    reports: deque[tuple[str, list[int]]] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.givers, self.takers = GiversCells(self.page), TakersCells(self.page)
        self.withdrawn: dict[int, int] = {}  # what the dispatcher remembers of it: id -> cell


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
        if worker.taking is not None:
            step, given = worker.taking
            if step is Step.READ:
                worker.sessions.append(given.client)
        claimed = [number for number in slot.waiting if worker.givers.is_claimed(self.by_number[number].cell)]
        for number in self.slots.taken(slot, claimed):
            client = self.by_number.pop(number)
            if client not in worker.sessions:
                worker.sessions.append(client)
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
        while self._take(worker):
            if not self.calm and chance.random() < 0.005:
                worker.stopped = True  # right there
                return
        if worker.was_stopped and worker.takers.has_news():
            worker.was_stopped = False
            for given in [given for given in worker.parked if worker.takers.is_withdrawn(given.cell)]:
                worker.parked.remove(given)
                worker.reports.append(("refused", [given.number]))
        ended = [client for client in worker.sessions if chance.random() < (0.5 if self.calm else 0.03)]
        if ended:
            for client in ended:
                client.fate = Fate.SERVED
                worker.sessions.remove(client)
                self.unaccounted.append(client)
            worker.reports.append(("ended", [client.number for client in ended]))

    def _take(self, worker: Worker) -> bool:
        """One step of a worker; False when it has nothing more to do in this turn."""
        cells = worker.takers
        if worker.taking is not None:
            step, given = worker.taking
            worker.taking = None
            if step is Step.CLAIMED and not cells.claim(given.cell):
                worker.reports.append(("refused", [given.number]))
            elif step is Step.CLAIMED:
                worker.taking = (Step.MINE, given)
            elif step is Step.MINE:
                given.client.taken_times += 1
                given.client.fate = Fate.TAKEN
                given.client.worker, given.client.number = worker, given.number
                worker.taking = (Step.READ, given)
            else:
                worker.sessions.append(given.client)
                worker.reports.append(("taken", [given.number]))
            return True
        if worker.channel and self.chance.random() < 0.8:
            given = worker.channel.popleft()
            if cells.is_withdrawn(given.cell):
                worker.reports.append(("refused", [given.number]))
            else:
                worker.parked.append(given)
            return True
        if worker.parked and self.chance.random() < 0.7:
            given = worker.parked.pop(self.chance.randrange(len(worker.parked)))
            cells.claim(given.cell)  # its byte is written; what it sees then may be old by the next step
            if self.chance.random() < 0.1:
                cells.release(given.cell)  # nothing had come
                worker.parked.append(given)
            else:
                worker.taking = (Step.CLAIMED, given)
            return True
        return False

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
            client.number, client.worker, client.fate, client.cell = number, worker, Fate.GIVEN, worker.givers.lease()
            self.by_number[number] = client
            worker.channel.append(Given(number, client, client.cell))
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
                for number in slot.waiting:
                    worker.givers.withdraw(self.by_number[number].cell)
                claimed = {number for number in slot.waiting if worker.givers.is_claimed(self.by_number[number].cell)}
                worker.withdrawn.update((number, self.by_number[number].cell) for number in slot.waiting if number not in claimed)
                self._reseat(self.slots.hung(slot, claimed))
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
                    worker.givers.free(self.by_number.pop(number).cell)
            elif kind == "refused":
                for number in numbers:
                    if number in worker.withdrawn:
                        worker.givers.free(worker.withdrawn.pop(number))
                back = self.slots.refused(slot, numbers)
                for number, _ in back:
                    worker.givers.free(self.by_number[number].cell)
                self._reseat(back)
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
    times = {Fate.SERVED: (1,), Fate.REFUSED: (0,), Fate.CUT: (0, 1)}  # 0: the worker died between its claim and the read
    assert all(client.taken_times in times[client.fate] for client in world.clients), "taken once, by one worker"
    assert sum(client.fate is Fate.CUT and not client.taken_times for client in world.clients) < 10
    assert fates.count(Fate.SERVED) > 200
    for _ in range(50):
        world.step()  # the last reports
    assert not world.by_number
    assert [slot.total for slot in world.slots.slots] == [0] * len(world.slots.slots)
    assert world.admission.total == 0
