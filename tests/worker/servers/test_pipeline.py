from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from worker.servers.pipeline import ClientOrder, Loss, PipelinedConnection, State, choose
from worker.servers.repeatable import Repeatable

SAFE, IDEMPOTENT, ONCE = Repeatable.SAFE, Repeatable.IDEMPOTENT, Repeatable.ONCE


def _proven(depth: int = 8, left: int | None = None) -> PipelinedConnection[str]:
    """A connection that has answered one request."""
    connection: PipelinedConnection[str] = PipelinedConnection(depth)
    connection.send("first", SAFE)
    connection.answered(keep=True, left=left)
    return connection


def _loaded(*kinds: Repeatable, depth: int = 8) -> PipelinedConnection[str]:
    connection = _proven(depth)
    for number, kind in enumerate(kinds):
        connection.send(str(number), kind)
        connection.check_invariants()
    return connection


def test_first_request_after_connecting_goes_alone() -> None:
    connection: PipelinedConnection[str] = PipelinedConnection(8)
    assert connection.may_take(ONCE)
    connection.send("a", SAFE)
    assert not connection.may_take(SAFE)
    assert connection.answered(keep=True) == "a"
    connection.send("b", SAFE)
    assert connection.may_take(SAFE)


@pytest.mark.parametrize(
    ("under_way", "kind", "may"),
    [
        ((), SAFE, True),
        ((), IDEMPOTENT, True),
        ((), ONCE, True),
        ((SAFE,), SAFE, True),
        ((SAFE,), IDEMPOTENT, False),
        ((SAFE,), ONCE, False),
        ((IDEMPOTENT,), SAFE, True),
        ((ONCE,), SAFE, False),
        ((SAFE, SAFE, SAFE), SAFE, True),
    ],
)
def test_only_safe_requests_stand_behind_others_and_nothing_behind_what_is_done_once(
    under_way: tuple[Repeatable, ...], kind: Repeatable, may: bool
) -> None:
    assert _loaded(*under_way).may_take(kind) == may


def test_depth_is_kept() -> None:
    connection = _loaded(SAFE, SAFE, depth=2)
    assert not connection.may_take(SAFE)
    connection.answered(keep=True)
    assert connection.may_take(SAFE)


def test_depth_of_one_is_one_request_at_a_time() -> None:
    assert not _loaded(SAFE, depth=1).may_take(SAFE)


def test_exclusive_request_stands_alone_until_its_body_is_sent() -> None:
    connection = _proven()
    connection.send("upload", SAFE, exclusive=True)
    assert connection.barrier
    assert not connection.may_take(SAFE)
    connection.unblock()
    assert connection.may_take(SAFE)
    assert not connection.may_take(SAFE, exclusive=True)
    once = _loaded(ONCE)
    once.unblock()
    assert not once.may_take(SAFE)


def test_server_that_closes_after_n_requests_gets_no_more_than_those() -> None:
    connection = _proven(left=2)
    connection.send("a", SAFE)
    connection.send("b", SAFE)
    assert not connection.may_take(SAFE)
    connection.answered(keep=True, left=1)
    assert not connection.may_take(SAFE)
    connection.answered(keep=True, left=0)
    assert not connection.may_take(SAFE)


@pytest.mark.parametrize(
    ("under_way", "begun", "loss"),
    [
        ((), False, Loss((), ())),
        ((SAFE, SAFE), False, Loss(("0", "1"), ())),
        ((SAFE, SAFE), True, Loss(("1",), ())),
        ((ONCE,), False, Loss((), ("0",))),
        ((ONCE,), True, Loss((), ())),
        ((IDEMPOTENT, SAFE), False, Loss(("0", "1"), ())),
    ],
)
def test_broken_connection_tells_what_to_repeat_and_what_is_doomed(under_way: tuple[Repeatable, ...], begun: bool, loss: Loss[str]) -> None:
    connection = _loaded(*under_way)
    assert connection.lost(answer_begun=begun) == loss
    assert connection.state is State.LOST
    assert not connection.may_take(SAFE)
    connection.check_invariants()


def test_announced_close_leaves_those_behind_untouched() -> None:
    connection = _loaded(SAFE, SAFE, SAFE)
    assert connection.answered(keep=False) == "0"
    assert not connection.may_take(SAFE)
    assert connection.lost() == Loss(("1", "2"), ())


def test_lost_requests_are_sent_again_one_by_one_and_nobody_joins_before_the_last_is_answered() -> None:
    fresh: PipelinedConnection[str] = PipelinedConnection(8)
    fresh.replay([("a", SAFE), ("b", SAFE), ("c", IDEMPOTENT)])
    order = []
    while (item := fresh.next_replay()) is not None:
        fresh.check_invariants()
        assert fresh.next_replay() is None, "one at a time"
        assert not fresh.may_take(SAFE)
        order.append(item)
        assert fresh.answered(keep=True) == item
    assert order == ["a", "b", "c"]
    assert fresh.may_take(SAFE)
    fresh.replay([])
    assert fresh.state is State.OPEN


def test_connection_that_breaks_while_sending_again_hands_on_the_rest() -> None:
    fresh: PipelinedConnection[str] = PipelinedConnection(8)
    fresh.replay([("a", SAFE), ("b", SAFE)])
    fresh.next_replay()
    assert fresh.lost() == Loss(("a", "b"), ())


def test_client_that_has_gone_is_not_sent_again() -> None:
    fresh: PipelinedConnection[str] = PipelinedConnection(8)
    fresh.replay([("a", SAFE), ("b", SAFE)])
    assert fresh.next_replay() == "a"
    assert fresh.withdraw("b")
    assert not fresh.withdraw("a"), "under way: its response must come and be dropped"
    fresh.answered(keep=True)
    assert fresh.may_take(SAFE)
    idle: PipelinedConnection[str] = PipelinedConnection(8)
    idle.replay([("x", SAFE)])
    assert idle.withdraw("x")
    assert idle.state is State.FRESH


def test_choice_prefers_idle_then_new_then_short_and_avoids_barriers() -> None:
    barrier, long, short, idle = _loaded(ONCE), _loaded(SAFE, SAFE), _loaded(SAFE), _proven()
    assert choose([barrier, long, short, idle], SAFE) is idle
    assert choose([barrier, long, short], SAFE, may_open=True) is None
    assert choose([barrier, long, short], SAFE) is short
    assert choose([barrier], SAFE) is None
    assert choose([long, short], ONCE) is None
    assert choose([long, idle], ONCE) is idle
    assert choose([short], SAFE, exclusive=True) is None


def test_answers_leave_in_the_order_of_the_client() -> None:
    order: ClientOrder[str, int] = ClientOrder()
    for request in "abc":
        order.asked(request)
    assert order.is_first("a")
    assert not order.is_first("b")
    assert order.complete("c", 3) == []
    assert order.complete("b", 2) == []
    order.check_invariants()
    assert order.complete("a", 1) == [1, 2, 3]
    assert len(order) == 0
    assert not order.is_first("a")


class PipelineMachine(RuleBasedStateMachine):
    """Requests over connections that answer, close and break: every request gets exactly one outcome, rules 1-6 always hold."""

    def __init__(self) -> None:
        super().__init__()
        self.connections: list[PipelinedConnection[int]] = []
        self.kinds: dict[int, Repeatable] = {}
        self.acted: dict[int, int] = {}  # how often a server may have acted on it
        self.outcome: dict[int, str] = {}
        self.order: ClientOrder[int, str] = ClientOrder()
        self.released: list[int] = []

    def _done(self, request: int, outcome: str) -> None:
        assert request not in self.outcome
        self.outcome[request] = outcome
        self.released += [int(answer) for answer in self.order.complete(request, str(request))]

    def _again(self, loss: Loss[int]) -> None:
        for request in loss.doomed:
            assert self.kinds[request] is ONCE
            self._done(request, "error")
        if loss.repeat:
            fresh: PipelinedConnection[int] = PipelinedConnection(4)
            fresh.replay([(request, self.kinds[request]) for request in loss.repeat])
            self.connections.append(fresh)

    @rule(kind=st.sampled_from(Repeatable), exclusive=st.booleans(), may_open=st.booleans())
    def request(self, kind: Repeatable, exclusive: bool, may_open: bool) -> None:
        may_open = may_open or len(self.connections) < 2
        chosen = choose(self.connections, kind, exclusive=exclusive, may_open=may_open)
        if chosen is None:
            if not may_open:
                return
            chosen = PipelinedConnection(4)
            self.connections.append(chosen)
        number = len(self.kinds)
        self.kinds[number] = kind
        self.order.asked(number)
        chosen.send(number, kind, exclusive)

    @precondition(lambda self: any(len(one) for one in self.connections))
    @rule(data=st.data(), keep=st.sampled_from([True, True, True, False]))
    def response(self, data: st.DataObject, keep: bool) -> None:
        connection = data.draw(st.sampled_from([one for one in self.connections if len(one)]))
        request = connection.answered(keep)
        self.acted[request] = self.acted.get(request, 0) + 1
        self._done(request, "answer")
        if not keep:
            self.connections.remove(connection)
            self._again(connection.lost())

    @precondition(lambda self: bool(self.connections))
    @rule(data=st.data())
    def breaks(self, data: st.DataObject) -> None:
        connection = data.draw(st.sampled_from(self.connections))
        self.connections.remove(connection)
        for request, _ in connection._under_way:
            self.acted[request] = self.acted.get(request, 0) + 1
        self._again(connection.lost())

    @rule()
    def replays(self) -> None:
        for connection in self.connections:
            connection.next_replay()

    @invariant()
    def holds(self) -> None:
        for connection in self.connections:
            connection.check_invariants()
        self.order.check_invariants()
        assert self.released == sorted(self.released), "answers in the client's order"
        assert all(times <= 1 for request, times in self.acted.items() if self.kinds[request] is ONCE), "done once"

    def teardown(self) -> None:
        """Let everything finish: nobody is left without an outcome."""
        while any(not one.idle for one in self.connections):
            for connection in self.connections:
                connection.next_replay()
                while len(connection):
                    self._done(connection.answered(keep=True), "answer")
        assert self.outcome.keys() == self.kinds.keys()
        assert self.released == list(range(len(self.kinds)))


PipelineMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestPipelineMachine = PipelineMachine.TestCase


@pytest.mark.parametrize("seed", range(3))
def test_long_life_of_one_connection(seed: int) -> None:
    chance = random.Random(seed)
    connection: PipelinedConnection[int] = PipelinedConnection(chance.randint(1, 8))
    sent = answered = 0
    for _ in range(3000):
        kind = chance.choice([SAFE, SAFE, SAFE, IDEMPOTENT, ONCE])
        if chance.random() < 0.6:
            if connection.may_take(kind):
                connection.send(sent, kind)
                sent += 1
        elif len(connection):
            assert connection.answered(keep=True) == answered
            answered += 1
        connection.check_invariants()
        assert len(connection) == sent - answered
