"""The dispatcher's book of workers: who is there, what each holds, and who gets the next connection. Sans-io.

Source: the seeds' two-tier layout (counts are kept per listener, not per process: with TLS and plain listeners side by side one
worker must not end up with all the TLS); HAProxy manual 4.2 "balance".

A *slot* is the place of one worker; its *generation* counts the processes that have sat there. A connection is

    waiting   given to the worker, its first byte not yet read there: the dispatcher still has its copy of the descriptor
    taken     the worker has read from it: it lives and dies with that worker

and belongs to the slot from `give` until it has ended, was refused, or had to be seated elsewhere (`lost`, `hung`).

The states of a slot (`MOVES`, in slot.py, holds every move there is):

    STARTING  a process was started; its channel or its hello is not there yet
    UP        may be chosen
    FULL      lives, but is at its maxconn, or its channel takes no more just now
    HUNG      its heart does not beat; its waiting connections were given back
    DRAINING  said that it takes no more, and finishes what it has
    DEAD      no process

`leastconn` is decided here and not by common/balance, for exactness (ties between listeners) and for speed, as it stands in
the way of every connection: the fewest connections of this listener (for the weight), then the fewest of all listeners with
handshakes in progress added, then turns. A handshake costs many times what an established session costs; `handshake_cost`
counts each as that many connections in the first comparison too, so a surge spreads by what it costs.

With several dispatchers each counts its own; `others` tells what the rest has, from shared memory.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from common.balance.balancer import Balancer, Candidate
from common.balance.make import make, parse_algorithm
from dispatcher.policy.slot import LIVE, MOVES, Counts, Others, Reseat, Slot, State

__all__ = ["Others", "Reseat", "Slot", "Slots", "State"]

_ID_MAX = 2**32 - 1


class Slots:
    """The book. `saturated`: nobody may be chosen now, so accepting should stop; methods that free a place tell when to resume."""

    __slots__ = (
        "_balancers", "_check_ids", "_last_id", "_others", "_seatable", "_turn", "_twice", "_weighs",
        "handshake_cost", "listeners", "retired", "slots", "stale",
    )  # fmt: skip

    def __init__(
        self,
        weights: Sequence[float],
        listeners: int,
        *,
        algorithm: Sequence[str] = ("leastconn",),
        hash_type: Sequence[str] = ("map-based",),
        handshake_cost: float = 0,
        others: Others | None = None,
        chance: Callable[[], float] | None = None,
        counts: Callable[[int], Counts] | None = None,
    ) -> None:
        """counts: where each slot counts, so that other dispatchers see it."""
        self.slots = [Slot(index, listeners, weight, counts and counts(index)) for index, weight in enumerate(weights)]
        self.retired: list[Slot] = []  # old generations that drain while a new one sits in their place
        self.listeners = listeners
        self.handshake_cost = handshake_cost
        self.stale = 0  # reports about connections that were not (any more) the worker's
        self._others = others
        self._last_id = 0
        self._check_ids = False
        self._turn = 0
        self._seatable: list[Slot] = []
        self._twice: list[Slot] = []
        self._weighs = others is not None
        self._balancers: list[Balancer] | None = None
        if parse_algorithm(algorithm).name != "leastconn":
            candidates = [Candidate(slot.index + 1, slot.weight, usable=False) for slot in self.slots]
            self._balancers = [make(algorithm, hash_type, candidates, chance=chance) for _ in range(listeners)]

    # --- choosing ------------------------------------------------------------------------------------------------

    @property
    def saturated(self) -> bool:
        """True while no slot may be chosen. Other dispatchers' ends come without an event: with `others`, look again now and then."""
        return not self._seatable if self._others is None else not any(self._has_room(slot) for slot in self._seatable)

    def choose(self, listener: int, source: bytes | None = None) -> Slot | None:
        """The slot for a new connection of that listener; None when saturated. source: the packed address, for `source`."""
        if self._balancers is not None:
            return self._choose_by(self._balancers[listener], listener, source)
        if self._weighs:
            return self._choose_weighed(listener)
        size = len(self._seatable)
        turn = self._turn
        best = None
        best_count = best_tie = best_ahead = 0
        for ahead, slot in enumerate(self._twice[turn : turn + size], 1):
            count = slot.counts[listener]
            if best is None or count < best_count:
                best, best_count, best_tie, best_ahead = slot, count, slot.total, ahead
            elif count == best_count and slot.total < best_tie:
                best, best_tie, best_ahead = slot, slot.total, ahead
        if best is not None:
            turn += best_ahead
            self._turn = turn if turn < size else turn - size
        return best

    def give(self, slot: Slot, listener: int) -> int:
        """Seat a connection at a slot that `choose` returned; its id, unique among all that this dispatcher has seated."""
        number = self._last_id + 1
        if number > _ID_MAX or self._check_ids:
            number = self._free_id(number)
        self._last_id = number
        slot.connections[number] = listener
        slot.waiting[number] = listener
        slot.counts[listener] += 1
        slot.total += 1
        if slot.maxconn and slot.total >= slot.maxconn:
            self._settle(slot)
        return number

    # --- what the channel reports ----------------------------------------------------------------------------------

    def starting(self, slot: Slot, generation: int) -> None:
        """A process was started for this slot."""
        assert generation > slot.generation, "generations only grow"
        slot.generation = generation
        self._move(slot, State.STARTING)

    def expects(self, slot: Slot, generation: int) -> bool:
        """Whether a hello of that generation may come now. A newer one at a live slot: report the old one as `lost`, or `retire` it."""
        return generation > 0 and (slot.state is State.DEAD or (slot.state is State.STARTING and generation == slot.generation))

    def hello(self, slot: Slot, generation: int, maxconn: int) -> bool:
        """The worker speaks for the first time on a channel, and is expected. True: accepting may resume.

        A slot that nobody announced (this dispatcher was restarted, the workers were not) starts and is there at once.
        """
        assert self.expects(slot, generation), f"hello of generation {generation} at {slot}"
        was_saturated = not self._seatable
        if slot.state is State.DEAD:
            slot.generation = generation - 1
            self.starting(slot, generation)
        slot.maxconn = maxconn
        self._move(slot, State.FULL if self._is_full(slot) else State.UP)
        return was_saturated and bool(self._seatable)

    def held(self, slot: Slot, ids: Iterable[int], listeners: Iterable[int]) -> None:
        """Sessions that the worker got from a dispatcher before this one: they count, and their ids are in use."""
        for number, listener in zip(ids, listeners, strict=True):
            if number in slot.connections or not 0 <= listener < self.listeners:
                self.stale += 1
                continue
            slot.connections[number] = listener
            slot.counts[listener] += 1
            slot.total += 1
            self._check_ids = True
        self._settle(slot)

    def taken(self, slot: Slot, ids: Iterable[int]) -> list[int]:
        """First bytes were read. Returns the ids whose descriptors the dispatcher now drops."""
        mine = []
        waiting = slot.waiting
        for number in ids:
            if waiting.pop(number, None) is None:
                self.stale += 1
            else:
                mine.append(number)
        return mine

    def ended(self, slot: Slot, ids: Iterable[int]) -> tuple[list[int], bool]:
        """Sessions are over. Returns the ids that were still waiting (drop their descriptors) and whether to resume accepting."""
        untaken = []
        was_saturated = not self._seatable
        connections, waiting, counts = slot.connections, slot.waiting, slot.counts
        for number in ids:
            listener = connections.pop(number, None)
            if listener is None:
                self.stale += 1
                continue
            counts[listener] -= 1
            slot.total -= 1
            if waiting and waiting.pop(number, None) is not None:
                untaken.append(number)
        if slot.state is State.FULL:
            self._settle(slot)
        return untaken, was_saturated and bool(self._seatable)

    def refused(self, slot: Slot, ids: Iterable[int]) -> Reseat:
        """The worker will not take these: seat them elsewhere, in this order."""
        back = [(number, slot.waiting[number]) for number in ids if number in slot.waiting]
        for number, _ in back:
            self._forget(slot, number)
        self._settle(slot)
        return back

    def load(self, slot: Slot, handshakes: int) -> None:
        """How many handshakes the worker has in progress."""
        slot.handshakes = handshakes
        self._weigh()

    def limit(self, slot: Slot, maxconn: int) -> bool:
        """The worker's maxconn changed. True: accepting may resume."""
        was_saturated = not self._seatable
        slot.maxconn = maxconn
        self._settle(slot)
        return was_saturated and bool(self._seatable)

    def drain(self, slot: Slot) -> None:
        """The worker takes no more and finishes what it has."""
        if slot.state is not State.DRAINING and slot.state is not State.DEAD:
            self._move(slot, State.DRAINING)

    # --- what the dispatcher sees ------------------------------------------------------------------------------------

    def blocked(self, slot: Slot) -> None:
        """Its channel takes no more for now; the connection that did not fit is taken back with `take_back`."""
        slot.blocked = True
        self._settle(slot)

    def unblocked(self, slot: Slot) -> bool:
        """Its channel takes messages again. True: accepting may resume."""
        was_saturated = not self._seatable
        slot.blocked = False
        self._settle(slot)
        return was_saturated and bool(self._seatable)

    def take_back(self, slot: Slot, number: int) -> None:
        """A connection that was given could not be sent: as if it had never been given."""
        assert number in slot.waiting
        self._forget(slot, number)
        self._settle(slot)

    def hung(self, slot: Slot, claimed: Container[int] = ()) -> Reseat:
        """Its heart stopped. What it has not taken is to be seated elsewhere; what it has taken waits for it.

        claimed: it may have begun to read these just when it stopped (common/wire/claims.py). They wait on, until it says that it
        has taken or refuses them, or is lost. A worker that wakes up finds the others withdrawn and refuses them unread.
        """
        if slot.state not in LIVE:
            return []
        self._move(slot, State.HUNG)
        back = [(number, listener) for number, listener in slot.waiting.items() if number not in claimed]
        for number, _ in back:
            self._forget(slot, number)
        return back

    def alive(self, slot: Slot) -> bool:
        """Its heart beats again. True: accepting may resume."""
        was_saturated = not self._seatable
        if slot.state is State.HUNG:
            self._move(slot, State.FULL if self._is_full(slot) else State.UP)
        return was_saturated and bool(self._seatable)

    def lost(self, slot: Slot) -> tuple[Reseat, int]:
        """Its channel ended: the worker is dead. Returns what to seat elsewhere, and how many sessions died with it."""
        if slot.state is State.DEAD:
            return [], 0
        self._move(slot, State.DEAD)
        back = self._withdraw_waiting(slot)
        died = slot.total
        slot.connections.clear()
        for listener in range(self.listeners):
            slot.counts[listener] = 0
        slot.total = slot.handshakes = 0
        slot.blocked = False
        if slot in self.retired:
            self.retired.remove(slot)
        return back, died

    def retire(self, slot: Slot) -> Slot:
        """A new generation takes the place while the old one drains: returns the new slot of that index.

        The old slot goes on to take reports until it is `lost`; it is never chosen.
        """
        self.drain(slot)
        fresh = Slot(slot.index, self.listeners, slot.weight)
        fresh.generation = slot.generation
        self.slots[slot.index] = fresh
        if slot.state is not State.DEAD:
            self.retired.append(slot)
        return fresh

    def add(self, weight: float = 1) -> Slot:
        """One more place for a worker."""
        slot = Slot(len(self.slots), self.listeners, weight)
        self.slots.append(slot)
        for balancer in self._balancers or ():
            balancer.add(Candidate(slot.index + 1, weight, usable=False))
        return slot

    def check_invariants(self) -> None:
        """Raises AssertionError when the book is broken."""
        seen: set[int] = set()
        assert [slot.index for slot in self.slots] == list(range(len(self.slots)))
        assert all(slot.state is State.DRAINING for slot in self.retired)
        for slot in self.slots + self.retired:
            assert slot.total == sum(slot.counts) == len(slot.connections), slot
            for listener, count in enumerate(slot.counts):
                assert count == sum(1 for one in slot.connections.values() if one == listener), slot
            assert slot.waiting.items() <= slot.connections.items(), slot
            assert not seen & slot.waiting.keys(), "one connection waits at two workers"
            seen |= slot.waiting.keys()
            assert slot.state is not State.DEAD or slot.total == 0, slot
            assert slot.state is not State.UP or not self._is_full(slot), slot
            assert slot.state is not State.FULL or self._is_full(slot), slot
        assert self._seatable == [slot for slot in self.slots if slot.state is State.UP]
        assert self._twice == self._seatable * 2

    # --- inside ----------------------------------------------------------------------------------------------------

    def _choose_weighed(self, listener: int) -> Slot | None:
        """The same as `choose` with weights, the cost of handshakes and the counts of other dispatchers."""
        others, cost = self._others, self.handshake_cost
        size = len(self._seatable)
        best, best_key, best_ahead = None, (0.0, 0.0), 0
        for ahead, slot in enumerate(self._twice[self._turn : self._turn + size], 1):
            count, total = slot.counts[listener], slot.total
            if others is not None:
                count += others(slot.index, listener)
                total += others(slot.index, -1)
                if slot.maxconn and total >= slot.maxconn:
                    continue
            weight = slot.weight
            key = (count + cost * slot.handshakes) / weight, (total + slot.handshakes) / weight
            if best is None or key < best_key:
                best, best_key, best_ahead = slot, key, ahead
        if best is not None:
            self._turn = (self._turn + best_ahead) % size
        return best

    def _choose_by(self, balancer: Balancer, listener: int, source: bytes | None) -> Slot | None:
        slots, others = self.slots, self._others
        full = {slot.index for slot in slots if slot.state is State.FULL or (others is not None and not self._has_room(slot))}

        def load(index: int) -> int:
            count = slots[index].counts[listener]
            return count if others is None else count + others(index, listener)

        index = balancer.choose(source, load, full)
        return None if index is None else slots[index]

    def _has_room(self, slot: Slot) -> bool:
        assert self._others is not None
        return not slot.maxconn or slot.total + self._others(slot.index, -1) < slot.maxconn

    def _is_full(self, slot: Slot) -> bool:
        return slot.blocked or bool(slot.maxconn and slot.total >= slot.maxconn)

    def _settle(self, slot: Slot) -> None:
        """UP or FULL, whichever it is now."""
        if slot.state is State.UP:
            if self._is_full(slot):
                self._move(slot, State.FULL)
        elif slot.state is State.FULL and not self._is_full(slot):
            self._move(slot, State.UP)

    def _move(self, slot: Slot, state: State) -> None:
        assert (slot.state, state) in MOVES, f"{slot} cannot become {state.value}"
        was_live = slot.state in LIVE
        slot.state = state
        following = self._twice[self._turn] if self._seatable else None
        self._seatable = [one for one in self.slots if one.state is State.UP]
        self._twice = self._seatable * 2
        self._weigh()
        start = following.index if following is not None else 0
        self._turn = next((turn for turn, one in enumerate(self._seatable) if one.index >= start), 0)
        if self._balancers is not None and was_live != (state in LIVE):
            for balancer in self._balancers:
                balancer.update(slot.index, usable=state in LIVE)

    def _weigh(self) -> None:
        """Whether counts alone do not tell who is next. Handshakes in progress are rare enough to be looked for when they change."""
        seatable = self._seatable
        self._weighs = (
            self._others is not None or any(slot.handshakes for slot in seatable) or len({slot.weight for slot in seatable}) > 1
        )

    def _forget(self, slot: Slot, number: int) -> bool:
        """Take a connection out of the slot. True if it was still waiting."""
        listener = slot.connections.pop(number, None)
        if listener is None:
            self.stale += 1
            return False
        slot.counts[listener] -= 1
        slot.total -= 1
        return slot.waiting.pop(number, None) is not None

    def _withdraw_waiting(self, slot: Slot) -> Reseat:
        back = list(slot.waiting.items())
        for number, _ in back:
            self._forget(slot, number)
        return back

    def _free_id(self, number: int) -> int:
        self._check_ids = True
        number = number if number <= _ID_MAX else 1
        while any(number in slot.connections for slot in self.slots + self.retired):
            number = number + 1 if number < _ID_MAX else 1
        return number
