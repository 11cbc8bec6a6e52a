"""Clients, a farm of servers, and all the books between them: balance, queue, idle connections, retries, health. Seeded.

The servers of this world refuse, hang, close idle connections, close after N requests, and go down in the middle. They count
what they acted on. After each step every book holds, and at the end:

- no server ever had more requests at once than its maxconn;
- a request that may be done only once was never acted on twice;
- a connection never carried two requests at a time, nor one of another key;
- everybody got an answer, or an error with a reason, and nothing is left in any book.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from common.balance.balancer import Candidate
from common.balance.make import make
from common.health.score import Health, InitState, OnError, State
from worker.servers.idle import Fate, IdleBook, Reuse
from worker.servers.places import Capacity, LocalPlaces
from worker.servers.queue import BackendQueue, Ticket, Waiting
from worker.servers.repeatable import Repeatable, repeatable
from worker.servers.retry import Action, Attempt, Budget, Failure, Policy, decide, retry_on

STEPS = 1500
QUEUE_S = 5.0
METHODS = (b"GET", b"GET", b"GET", b"PUT", b"POST")


@dataclass(eq=False)
class Connection:
    server: int
    key: str | None
    requests: int = 0
    busy: bool = False
    open: bool = True
    idle_since: float = 0.0
    was_idle: bool = False


@dataclass(eq=False)
class Request:
    kind: Repeatable
    session: int
    first: bool
    key: str | None
    hash_key: bytes
    retries: int = 0
    stale_before: bool = False
    excluded: set[int] = field(default_factory=set)
    server: int | None = None
    connection: Connection | None = None
    ticket: Ticket[Request] | None = None
    acted: int = 0
    again_at: float = 0.0
    ends_at: float = 0.0
    outcome: str = ""


class Farm:
    def __init__(self, seed: int) -> None:
        chance = self.chance = random.Random(seed)
        self.now = 0.0
        self.size = chance.randint(2, 4)
        self.truly_up = [True] * self.size
        self.closes_after = [chance.choice([0, 0, 5, 20]) for _ in range(self.size)]
        self.capacities = [Capacity(chance.choice([2, 5]), chance.choice([0, 1]), chance.choice([0, 4])) for _ in range(self.size)]
        algorithm = chance.choice(["leastconn", "roundrobin", "uri", "first", "random(2)", "budget"])
        self.balancer = make(
            [algorithm], ["consistent"], [Candidate(index + 1, chance.choice([1, 3])) for index in range(self.size)], chance=chance.random
        )
        self.queue: BackendQueue[Request] = BackendQueue(self.capacities, LocalPlaces([0] * self.size), fullconn=8)
        self.reuse = chance.choice(list(Reuse))
        self.idle: list[IdleBook[Connection]] = [IdleBook(self.reuse, pool_max_conn=3, pool_purge_delay_s=2.0) for _ in range(self.size)]
        self.health = [
            Health(2, 2, init=InitState.FULLY_UP, error_limit=3, on_error=chance.choice(list(OnError))) for _ in range(self.size)
        ]
        self.policy = Policy(
            retry_on(chance.choice([["conn-failure"], ["all-retryable-errors"], ["none"]])), 3, chance.choice([0, -1, 1, 2])
        )
        self.budget = Budget(chance.choice([0, 30]))
        self.requests: list[Request] = []
        self.running: list[Request] = []
        self.pausing: list[Request] = []
        self.ready: deque[Request] = deque()
        self.waiting: dict[Request, None] = {}
        self.woken: deque[Ticket[Request]] = deque()
        self.kept: dict[tuple[int, int], Connection] = {}  # (session, server) -> the session's own connection
        self.connections: list[Connection] = []
        self.slugs: Counter[str] = Counter()

    # --- the world -----------------------------------------------------------------------------------------------------

    def step(self, calm: bool) -> None:
        chance = self.chance
        self.now += 0.1
        for _ in range(0 if calm else chance.choice([0, 1, 1, 2, 6])):
            session = chance.randrange(10)
            kind = repeatable(chance.choice(METHODS))
            request = Request(kind, session, chance.random() < 0.3, chance.choice([None, None, f"client {session}"]), b"%d" % session)
            self.requests.append(request)
            self.budget.request()
            self.ready.append(request)
        for index in range(self.size):
            if chance.random() < ((0.0 if calm else 0.01) if self.truly_up[index] else 0.05):
                self._flip(index)
            if chance.random() < 0.3:
                self._check(index)
            for connection in self.idle[index].purge(self.now):
                connection.open = False
        self._idle_ends()
        self.pausing, due = (
            [one for one in self.pausing if one.again_at > self.now],
            [one for one in self.pausing if one.again_at <= self.now],
        )
        for request in due:
            self._connect(request)
        for request in [one for one in self.running if one.ends_at <= self.now]:
            self._respond(request)
        self._impatient()
        while self.ready or self.woken:
            self._wake()
            if self.ready:
                self._route(self.ready.popleft())
        self._check_books()

    def _flip(self, index: int) -> None:
        """The server crashes, cutting what it was doing, or comes back."""
        self.truly_up[index] = not self.truly_up[index]
        if not self.truly_up[index]:
            for request in [one for one in self.running if one.server == index]:
                self._failed(request, Failure.EMPTY, sent=True)
            for connection in self.connections:
                if connection.server == index and not connection.busy:
                    connection.open = False

    def _check(self, index: int) -> None:
        health = self.health[index]
        transition = health.passed(self.now) if self.truly_up[index] else health.failed(self.now)
        if transition is not None:
            self._standing_changed(index, transition.after)

    def _standing_changed(self, index: int, state: State) -> None:
        self.balancer.update(index, usable=state is State.UP)
        if state is State.UP:
            self._admitted(self.queue.server_up(index))
            return
        for connection in self.idle[index].clear():
            connection.open = False
        for ticket in self.queue.server_down(index):
            ticket.item.ticket = None
            self.ready.append(ticket.item)

    def _idle_ends(self) -> None:
        """Servers close idle connections; the book hears of it at once or not in time."""
        for connection in self.connections:
            if connection.open and not connection.busy and self.chance.random() < 0.01:
                connection.open = False
                if self.chance.random() < 0.7:
                    self.idle[connection.server].remove(connection, self.now)
        self.connections = [one for one in self.connections if one.open or one.busy]

    def _impatient(self) -> None:
        """Clients leave while they wait; who has waited too long gets an error."""
        for request in list(self.waiting):
            ticket = request.ticket
            if ticket is None:
                del self.waiting[request]
                continue
            is_late = self.now - ticket.since > QUEUE_S
            if ticket.state is Waiting.WAITING and (is_late or self.chance.random() < 0.005):
                request.ticket = None
                self._admitted(self.queue.abandon(ticket))
                self._done(request, "queue timeout" if is_late else "client gone")

    # --- the worker ------------------------------------------------------------------------------------------------------

    def _route(self, request: Request) -> None:
        balancer, queue = self.balancer, self.queue
        request.server = None
        index = balancer.choose(request.hash_key, queue.load_of, request.excluded, queue.is_full)
        if index is None and request.excluded:
            index = balancer.choose(request.hash_key, queue.load_of, (), queue.is_full)
        if index is not None:
            if queue.enter(index):
                self._connect_at(request, index)
                return
            ticket = queue.wait(request, index, self.now) if balancer.sticky else None
        else:
            ticket = None
        if not balancer.elected:
            self._done(request, "no server")
            return
        request.ticket = ticket or queue.wait(request, None, self.now)
        self.waiting[request] = None
        for one in range(self.size):
            self._admitted(queue.admit(one))

    def _admitted(self, tickets: list[Ticket[Request]]) -> None:
        """They run on when this turn is over; they have their places already."""
        self.woken.extend(tickets)

    def _wake(self) -> None:
        while self.woken:
            ticket = self.woken.popleft()
            assert ticket.server is not None and ticket.state is Waiting.ADMITTED
            ticket.item.ticket = None
            self._connect_at(ticket.item, ticket.server)

    def _connect_at(self, request: Request, index: int) -> None:
        request.server = index
        self._connect(request)

    def _connect(self, request: Request) -> None:
        index = request.server
        assert index is not None
        book = self.idle[index]
        own = self.kept.pop((request.session, index), None)
        connection = own if own is not None and own.open else None
        if own is not None and connection is None:
            book.closed()
        if connection is None:
            connection = book.take(self.now, request.first, request.key) if not request.stale_before else None
            for dead in book.doomed:
                dead.open = False
            book.doomed.clear()
        if connection is None:
            if not self.truly_up[index]:
                self._failed(request, Failure.CONNECT, sent=False)
                return
            connection = Connection(index, request.key)
            self.connections.append(connection)
            book.opened()
        assert not connection.busy, "two requests on one connection"
        assert connection.key == request.key or own is connection
        connection.busy = True
        request.connection = connection
        self.running.append(request)
        connection.requests += 1
        assert sum(one.server == index for one in self.running) <= self.capacities[index].maxconn
        if not connection.open or not self.truly_up[index]:
            connection.open = False
            self._failed(request, Failure.EMPTY, sent=True)
            return
        request.acted += 1
        request.ends_at = self.now + self.chance.choice([0.1, 0.3, 1.0])

    def _respond(self, request: Request) -> None:
        index, connection = request.server, request.connection
        assert index is not None and connection is not None
        roll = self.chance.random()
        if roll < 0.03:
            self._failed(request, self.chance.choice([Failure.EMPTY, Failure.JUNK, Failure.TIMEOUT]), sent=True)
            return
        if roll < 0.06:
            decision = decide(self._attempt(request, Failure.STATUS, sent=True, status=503), self.policy, self.budget)
            if decision.action is not Action.STOP:
                self._finish(request, keep=True)
                self._again(request, decision.action, decision.pause_s, decision.counts)
                return
        self.health[index].observed(self.now, True)
        habits, limit = self.idle[index].habits, self.closes_after[index]
        if limit and connection.requests >= limit:
            habits.closed_after(connection.requests)
            self._finish(request, keep=False)
        else:
            habits.answered(connection.requests)
            self._finish(request, keep=True)
        self._done(request, "answered")

    def _finish(self, request: Request, *, keep: bool) -> None:
        """The attempt is over: connection and place go back."""
        index, connection = request.server, request.connection
        assert index is not None
        if connection is not None:
            self.running.remove(request)
            request.connection = None
            connection.busy = False
            book = self.idle[index]
            fate = book.put(connection, self.now, connection.requests, key=connection.key) if keep and connection.open else Fate.CLOSE
            place = request.session, index
            if fate is Fate.SESSION and place not in self.kept:
                self.kept[place] = connection
            elif fate is not Fate.POOL:
                connection.open = False
                book.closed()
        self._admitted(self.queue.leave(index))

    def _failed(self, request: Request, failure: Failure, *, sent: bool) -> None:
        index, connection = request.server, request.connection
        assert index is not None
        transition = self.health[index].observed(self.now, False)
        attempt = self._attempt(request, failure, sent=sent)
        decision = decide(attempt, self.policy, self.budget)
        if connection is not None:
            connection.open = False
        self._finish(request, keep=False)
        if transition is not None:
            self._standing_changed(index, transition.after)
        self.slugs[decision.slug] += 1
        if decision.action is Action.STOP:
            self._done(request, decision.slug)
        else:
            request.stale_before |= decision.slug == "stale_connection"
            self._again(request, decision.action, decision.pause_s, decision.counts)

    def _attempt(self, request: Request, failure: Failure, *, sent: bool, status: int = 0) -> Attempt:
        connection = request.connection
        return Attempt(
            failure,
            request.kind,
            retries=request.retries,
            status=status,
            sent=sent,
            reused=connection is not None and connection.requests > 1,
            stale_before=request.stale_before,
            first_request=request.first,
        )

    def _again(self, request: Request, action: Action, pause_s: float, counts: bool) -> None:
        request.retries += counts
        assert request.retries <= self.policy.retries
        if action is Action.OTHER and request.server is not None:
            request.excluded.add(request.server)
            self.ready.append(request)
        elif request.server is not None and self.queue.enter(request.server):
            request.again_at = self.now + pause_s  # keeps its place while it waits, as HAProxy does
            self.pausing.append(request)
        else:
            self.ready.append(request)

    def _done(self, request: Request, outcome: str) -> None:
        assert not request.outcome, "answered twice"
        request.outcome = outcome

    def _check_books(self) -> None:
        self.queue.check_invariants()
        self.balancer.check_invariants()
        self.budget.check_invariants()
        for index in range(self.size):
            self.idle[index].check_invariants()
            self.health[index].check_invariants()
            holding = sum(one.server == index for one in self.running) + sum(one.server == index for one in self.pausing)
            assert self.queue.places.used(index) == holding <= self.capacities[index].maxconn
            busy = sum(one.server == index and one.busy for one in self.connections)
            kept = sum(server == index for _, server in self.kept)
            assert self.idle[index].lent == busy + kept


@pytest.mark.parametrize("seed", range(12))
def test_farm_through_a_bad_day(seed: int) -> None:
    farm = Farm(seed)
    for _ in range(STEPS):
        farm.step(calm=False)
    for _ in range(400):
        farm.step(calm=True)
    outcomes = Counter(request.outcome for request in farm.requests)
    assert not outcomes[""], outcomes
    assert outcomes["answered"] > 500
    for request in farm.requests:
        assert request.kind is not Repeatable.ONCE or request.acted <= 1, "done twice"
    assert not farm.running and not farm.pausing
    assert farm.queue.load() == 0
