"""One worker's place at a dispatcher: its states, its counts, its connections. Sans-io. slots.py, which keeps them, explains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum
from typing import Protocol


class State(Enum):
    STARTING = "starting"
    UP = "up"
    FULL = "full"
    HUNG = "hung"
    DRAINING = "draining"
    DEAD = "dead"


MOVES: frozenset[tuple[State, State]] = frozenset(
    [
        (State.DEAD, State.STARTING),
        (State.STARTING, State.UP),
        (State.STARTING, State.FULL),
        (State.STARTING, State.DRAINING),
        (State.UP, State.FULL),
        (State.FULL, State.UP),
        (State.UP, State.HUNG),
        (State.FULL, State.HUNG),
        (State.HUNG, State.UP),
        (State.HUNG, State.FULL),
        (State.UP, State.DRAINING),
        (State.FULL, State.DRAINING),
        (State.HUNG, State.DRAINING),
        *((state, State.DEAD) for state in State if state is not State.DEAD),
    ]
)

LIVE = (State.UP, State.FULL)

Others = Callable[[int, int], int]
"""(slot, listener) -> connections that the other dispatchers have there; listener -1: of all listeners."""

Reseat = list[tuple[int, int]]
"""(connection id, listener) in the order in which they were given."""


class Counts(Protocol):
    """A list of numbers, or as many words of shared memory."""

    def __getitem__(self, index: int, /) -> int: ...
    def __setitem__(self, index: int, value: int, /) -> None: ...
    def __iter__(self) -> Iterator[int]: ...


class Slot:
    """One worker's place. Read by everybody, changed by `Slots` only."""

    __slots__ = (
        "blocked", "connections", "counts", "generation", "handshakes", "index", "maxconn", "state", "total", "waiting", "weight",
    )  # fmt: skip

    def __init__(self, index: int, listeners: int, weight: float, counts: Counts | None = None) -> None:
        """counts: where to count the connections of each listener, if not in a list of its own."""
        self.index = index
        self.weight = weight
        self.generation = 0
        self.state = State.DEAD
        self.maxconn = 0  # 0: no limit
        self.handshakes = 0  # TLS handshakes in progress, as the worker reports
        self.blocked = False  # its channel would block
        self.counts: Counts = [0] * listeners if counts is None else counts
        self.total = 0  # sum of counts
        self.connections: dict[int, int] = {}  # id -> listener, waiting and taken
        self.waiting: dict[int, int] = {}  # id -> listener, in the order of giving

    def __repr__(self) -> str:
        return f"<slot {self.index} generation {self.generation} {self.state.value} {list(self.counts)} waiting {len(self.waiting)}>"
