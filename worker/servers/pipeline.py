"""Several requests on one server connection at a time: who may join, what happens when it breaks, who answers in which order. Sans-io.

Source: RFC 9112 section 9.3.2 (pipelining); seeds, "HTTP requests proxying" (2018), on pipeline queues, retransmission and the
order of responses; `server … pipeline N` is ours (1, the default: one request at a time).

The rules of one connection:

 1 Responses come in the order of the requests; at most `depth` requests are under way.
 2 Only safe requests stand behind others.
 3 Nothing stands behind a request that may be acted on only once, nor behind one that needs the connection for itself
   (an upgrade, CONNECT, a body that is still on its way, Expect).
 4 The first request after connecting goes alone: until something was answered nobody knows whether the server closes after
   one request, or is killed by it.
 5 A connection that the server is known to close after some more requests gets no more than those.
 6 When a connection breaks, the unanswered are sent again on another one *one by one*, in order, so a request that kills
   servers shows itself; new requests join only when the last of them is answered. What may have been acted on is not sent
   again: its client gets an error, in its place.

What was broken can only ever contain one request of rule 3, and it is the last one: behind it nothing stood.

Clients do not notice any of this: `ClientOrder` releases what is complete in the order of the client's own requests, so
answers that became ready together leave together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from worker.servers.repeatable import Repeatable

T = TypeVar("T")
A = TypeVar("A")

DEPTH_MAX = 1024  # `pipeline N`


class State(Enum):
    """Of a server connection."""

    FRESH = "fresh"  # nothing was answered on it yet
    OPEN = "open"  # carries requests
    REPLAYING = "replaying"  # sends again, one by one, what another connection lost
    CLOSING = "closing"  # takes no more: the server ends it after what it answers now
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Loss(Generic[T]):
    """A broken connection's unanswered requests, in order. doomed: may have been acted on, its client gets an error."""

    repeat: tuple[T, ...]
    doomed: tuple[T, ...]


class PipelinedConnection(Generic[T]):
    """The requests of one server connection. Items are opaque."""

    __slots__ = ("_barrier", "_replay", "_under_way", "carried", "depth", "left", "state")

    def __init__(self, depth: int) -> None:
        assert 1 <= depth <= DEPTH_MAX
        self.depth = depth
        self.state = State.FRESH
        self.left: int | None = None  # how many more requests the server will answer, if that is known
        self.carried = 0
        self._under_way: deque[tuple[T, Repeatable]] = deque()
        self._replay: deque[tuple[T, Repeatable]] = deque()
        self._barrier = False  # the last one under way lets nothing stand behind it

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._under_way)

    @property
    def barrier(self) -> bool:
        """Whether something is under way that nothing may stand behind."""
        return self._barrier

    @property
    def idle(self) -> bool:
        """Nothing is under way or to be sent again."""
        return not self._under_way and not self._replay

    def may_take(self, kind: Repeatable, exclusive: bool = False) -> bool:
        """Whether a new request may be sent now. exclusive: it needs the connection for itself (rule 3)."""
        state = self.state
        if state is not State.OPEN and state is not State.FRESH:
            return False
        if self.left is not None and self.left <= len(self._under_way):
            return False
        under_way = len(self._under_way)
        if not under_way:
            return True
        return state is State.OPEN and not self._barrier and not exclusive and kind is Repeatable.SAFE and under_way < self.depth

    def send(self, item: T, kind: Repeatable, exclusive: bool = False) -> None:
        """A new request is on its way; `may_take` said yes."""
        taken = self.try_send(item, kind, exclusive)
        assert taken, f"{kind} onto {self!r}"

    def try_send(self, item: T, kind: Repeatable, exclusive: bool = False) -> bool:
        """Put it in line if `may_take` says yes; whether it does."""
        if not self.may_take(kind, exclusive):
            return False
        self._push(item, kind, exclusive)
        return True

    def unblock(self) -> None:
        """The last request does not need the connection for itself any more: its body is sent, and it is safe."""
        if self._under_way and self._under_way[-1][1] is not Repeatable.ONCE:
            self._barrier = False

    def answered(self, keep: bool, left: int | None = None) -> T:
        """The first one's response is complete. keep: the connection goes on; left: how many more requests, if that is known.

        Where it goes on no longer the state is CLOSING: the story closes it and asks `lost` for those that stood behind.
        """
        item, _ = self._under_way.popleft()
        self.left = left
        if not self._under_way:
            self._barrier = False
        if not keep or left == 0:
            self.state = State.CLOSING
        elif self.state is State.FRESH or (self.state is State.REPLAYING and self.idle):
            self.state = State.OPEN
        return item

    def replay(self, items: Iterable[tuple[T, Repeatable]]) -> None:
        """Take over what another connection lost; `next_replay` says what to send."""
        assert self.state in (State.FRESH, State.OPEN) and self.idle
        self._replay.extend(items)
        if self._replay:
            self.state = State.REPLAYING

    def next_replay(self) -> T | None:
        """The next one to send again; None while one is under way, and at the end. What is returned counts as sent."""
        if self.state is not State.REPLAYING or self._under_way or not self._replay:
            return None
        item, kind = self._replay.popleft()
        self._push(item, kind, False)
        return item

    def lost(self, *, answer_begun: bool = False) -> Loss[T]:
        """The connection is gone. answer_begun: part of the first one's response had gone to its client, who sees it cut.

        An announced end (CLOSING) is different from a break: what stood behind was never looked at, and may all go again.
        """
        was_closing = self.state is State.CLOSING
        self.state = State.LOST
        self._barrier = False
        under_way = list(self._under_way)
        if answer_begun and under_way:
            under_way = under_way[1:]
        doomed = () if was_closing else tuple(item for item, kind in under_way if kind is Repeatable.ONCE)
        again = [item for item, kind in under_way if was_closing or kind is not Repeatable.ONCE]
        again += [item for item, _ in self._replay]
        self._under_way.clear()
        self._replay.clear()
        return Loss(tuple(again), doomed)

    def withdraw(self, item: T) -> bool:
        """The client of a request has gone. True if it was not sent yet; what is under way must still be answered and dropped."""
        for entry in self._replay:
            if entry[0] == item:
                self._replay.remove(entry)
                if not self._replay and not self._under_way and self.state is State.REPLAYING:
                    self.state = State.OPEN if self.carried else State.FRESH
                return True
        return False

    def check_invariants(self) -> None:
        """Raises AssertionError when a rule is broken."""
        under_way = list(self._under_way)
        assert len(under_way) <= self.depth
        assert all(kind is Repeatable.SAFE for _, kind in under_way[1:]), "only safe ones stand behind others"
        assert all(kind is not Repeatable.ONCE for _, kind in under_way[:-1]), "nothing stands behind what is done once"
        assert self.state is not State.FRESH or len(under_way) <= 1
        assert self.state is not State.REPLAYING or len(under_way) <= 1
        assert bool(self._replay) <= (self.state in (State.REPLAYING, State.CLOSING))
        assert self.state is not State.LOST or self.idle
        assert not self._barrier or under_way

    def _push(self, item: T, kind: Repeatable, exclusive: bool) -> None:
        self._under_way.append((item, kind))
        self._barrier = exclusive or kind is Repeatable.ONCE
        self.carried += 1


def choose(
    connections: Iterable[PipelinedConnection[T]], kind: Repeatable, *, exclusive: bool = False, may_open: bool = False
) -> PipelinedConnection[T] | None:
    """The connection for a new request; None: open a new one (if may_open), or wait.

    An idle one is best; then, as long as more may be opened, a new one; then the one with the fewest under way, one with a
    barrier never. Among equals the first: the caller lists them in the order it likes.
    """
    best = None
    fewest = DEPTH_MAX + 1
    for connection in connections:
        under_way = len(connection)
        if under_way < fewest and connection.may_take(kind, exclusive):
            best, fewest = connection, under_way
            if not under_way:
                return best
    return None if may_open else best


class ClientOrder(Generic[T, A]):
    """One client connection's requests in their order, with the answers that are complete."""

    __slots__ = ("_answers", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._answers: dict[T, A] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def asked(self, request: T) -> None:
        """One more request of this client; hashable, and not one that waits already."""
        assert request not in self._answers and request not in self._waiting
        self._waiting.append(request)

    def is_first(self, request: T) -> bool:
        """Whether its answer may stream to the client as it comes, without waiting for it to be complete."""
        return bool(self._waiting) and self._waiting[0] == request

    def complete(self, request: T, answer: A) -> list[A]:
        """An answer (or an error) is complete. Returns all that may be sent now, in order."""
        self._answers[request] = answer
        ready = []
        while self._waiting and self._waiting[0] in self._answers:
            ready.append(self._answers.pop(self._waiting.popleft()))
        return ready

    def check_invariants(self) -> None:
        assert self._answers.keys() <= set(self._waiting)
        assert not self._waiting or self._waiting[0] not in self._answers
