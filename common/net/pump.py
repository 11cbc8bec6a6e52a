"""The pump: one trio task that drives every session of a process over an epoll of its own.

Facts. A trio task per connection costs about 75 µs for a small proxied request, most of it trio's own turn (one
`epoll_ctl` and one scheduling round per wait). The same straight `async def` code resumed by a small loop of ours costs
less than half. So trio stays the runtime of the process (signals, timers, the control channel), and the data plane is
one of its tasks: this one.

Plan.
- A *strand* is a coroutine that the pump resumes. It parks on a `Stream` (readable, writable), on several at once, or on
  nothing but a deadline; whoever fires first resumes it. A deadline that passes is thrown into it as `DeadlinePassed`.
- Descriptors are registered once, edge-triggered. A short read proves a socket empty, so the next read parks at once
  instead of asking the kernel; an edge that comes while nobody is parked is kept in `Stream.drained`/`ended`. Spurious
  wake-ups are harmless: whoever wakes tries and parks again.
- Deadlines live in coarse buckets. A strand sits in one bucket; moving a deadline later writes a float and nothing
  else, the bucket looks again when its time comes. Only an earlier deadline costs an insertion. No bucket is farther
  away than `LOOK_AHEAD_S`: for later deadlines it only looks, so that strands which have ended long before theirs (most of
  them do) are not remembered for an hour.
- Within one batch of events a descriptor may be closed and its number given to a new socket. What the batch still holds
  for that number is about the old one, and is skipped (`closed_fds`).
- While there is work the pump waits in its own epoll for `LINGER_S` before it goes back to trio, because a trip through
  trio costs more than the work of one event; at least every `TRIO_EVERY_S` trio gets its turn.
- Established strands go first: strands spawned with `late=True` (new connections, handshakes) start after all events of
  a turn, at most `LATE_PER_TURN` of them.

Rejected: callbacks (a third cheaper per request, but the story cannot be read any more); one-shot registration (an
`epoll_ctl` per wait); a heap of deadlines (a push and a pop per wait).
"""

from __future__ import annotations

import heapq
import select
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from inspect import CORO_CREATED, CORO_RUNNING, CORO_SUSPENDED, getcoroutinestate
from math import inf
from types import coroutine
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    from common.net.stream import Stream

TICK_S = 1 / 64
LOOK_AHEAD_S = 4.0
LINGER_S = 0.002
TRIO_EVERY_S = 0.02
EVENTS_PER_POLL = 512
LATE_PER_TURN = 4

_GONE = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_READ = select.EPOLLIN | _GONE
_WRITE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR


class DeadlinePassed(Exception):
    """Thrown into a strand whose wait passed its deadline."""


class Ended(Exception):
    """Thrown into a strand that is told to end: a session shut down by the operator, or the process stopping."""


class Strand:
    """One coroutine of the data plane.

    deadline is meaningful while it waits; bucket is where the wheel looks for it. parked: it waits in `park`, for `wake`.
    queued: it is to be resumed at the end of this turn.
    """

    __slots__ = ("bucket", "coro", "deadline", "done", "name", "parked", "queued")

    def __init__(self, coro: Coroutine[Any, Any, object], name: str) -> None:
        self.coro = coro
        self.name = name
        self.deadline = inf
        self.bucket = inf
        self.parked = False
        self.queued = False
        self.done = False


class Pump:
    """Drives strands. `now` is the monotonic time of this turn, in seconds; read it instead of the clock.

    on_crash(strand, error) hears of a strand that ended with an exception other than the ones above. on_pause() is called
    before and after the pump sleeps, and at least every TRIO_EVERY_S while it is busy.
    """

    __slots__ = (
        "_batons",
        "_buckets",
        "_heap",
        "_late",
        "_pending",
        "_scope",
        "_stopping",
        "closed_fds",
        "current",
        "epoll",
        "now",
        "on_crash",
        "on_pause",
        "on_slow_turn",
        "slow_s",
        "strands",
        "streams",
    )

    def __init__(self, on_crash: Callable[[Strand, BaseException], None], on_pause: Callable[[], None] = lambda: None) -> None:
        self.epoll = select.epoll()
        self.streams: dict[int, Stream] = {}
        self.closed_fds: set[int] = set()  # since the last poll
        self.strands: set[Strand] = set()
        self.current: Strand | None = None
        self.now = time.monotonic()
        self.on_crash = on_crash
        self.on_pause = on_pause
        self.on_slow_turn: Callable[[float], None] | None = None  # hears how long a turn took that took longer than slow_s
        self.slow_s = inf
        self._pending: deque[Strand] = deque()
        self._batons: deque[Strand] = deque()
        self._late: deque[Strand] = deque()
        self._buckets: dict[int, list[Strand]] = {}
        self._heap: list[int] = []
        self._scope: trio.CancelScope | None = None
        self._stopping = False

    # --- strands -------------------------------------------------------------------------------------------------

    def spawn(self, coro: Coroutine[Any, Any, object], name: str, *, late: bool = False) -> Strand:
        """Start a strand: at once within this call (so that it is parked on something when this returns), or late."""
        strand = Strand(coro, name)
        self.strands.add(strand)
        if late:
            strand.queued = True
            self._late.append(strand)
            self._poke()
        else:
            outer = self.current
            self._resume(strand)
            self.current = outer
        return strand

    def wake(self, strand: Strand) -> None:
        """Resume a strand that waits in `park`, later in this turn. Harmless when it does not."""
        if strand.parked and not strand.queued:
            strand.queued = True
            self._pending.append(strand)
            self._poke()

    def hand_on(self, strand: Strand) -> None:
        """Resume a strand that waits in `park` within this turn, even if others were handed on before it: a line of strands that take
        turns at one stream moves as far as what was received goes."""
        self._batons.append(strand)
        self._poke()

    def rouse(self, strand: Strand) -> None:
        """Resume a strand later in this turn, whatever it waits for: there is news that no event will bring."""
        if not strand.queued and getcoroutinestate(strand.coro) == CORO_SUSPENDED:
            strand.queued = True
            self._pending.append(strand)
            self._poke()

    def end(self, strand: Strand, error: BaseException | None = None) -> None:
        """Throw `Ended` (or error) into a strand, now. One that was spawned late and has not begun begins first, so that it can clean up.

        Not for the strand that calls it, nor for one that waits for this call to return.
        """
        if strand.done:
            return
        state = getcoroutinestate(strand.coro)
        assert state != CORO_RUNNING, "a strand cannot end itself"
        outer = self.current
        self.now = time.monotonic()
        if state == CORO_CREATED:
            self._resume(strand)
        if not strand.done:
            self._resume(strand, error or Ended())
        self.current = outer

    @coroutine
    def pause(self) -> Generator[None, None, None]:
        """Let everybody else have a turn: for loops that always find work."""
        strand = self.current
        assert strand is not None
        strand.queued = True
        self._pending.append(strand)
        yield

    @coroutine
    def late(self) -> Generator[None, None, None]:
        """Let everybody who is established go first: for the dear part of a new connection (see LATE_PER_TURN)."""
        strand = self.current
        assert strand is not None
        strand.queued = True
        self._late.append(strand)
        yield

    @coroutine
    def park(self, deadline: float = inf) -> Generator[None, None, None]:
        """Wait for `wake()`. Raises DeadlinePassed."""
        strand = self.current
        assert strand is not None
        strand.parked = True
        self.set_deadline(strand, deadline)
        yield

    async def sleep(self, seconds: float) -> None:
        """Do nothing for so long, or until `wake()`: instead of spinning on what only time mends."""
        try:
            await self.park(self.now + seconds)
        except DeadlinePassed:
            pass

    @coroutine
    def wait_any(self, readers: tuple[Stream, ...], writers: tuple[Stream, ...], deadline: float) -> Generator[None, None, None]:
        """Wait until one of the streams may be read or written. Raises DeadlinePassed.

        When one may be read already, everybody else has a turn before: what goes on and on must not starve them.
        """
        strand = self.current
        assert strand is not None
        for stream in readers:
            if not stream.drained:
                strand.queued = True
                self._pending.append(strand)
                yield
                return
        try:
            for stream in readers:
                stream.watch_read(strand)
            for stream in writers:
                stream.writer = strand
                stream.watch_write()
            self.set_deadline(strand, deadline)
            yield
        finally:
            for stream in readers:
                stream.reader = None
            for stream in writers:
                stream.writer = None

    def set_deadline(self, strand: Strand, deadline: float) -> None:
        """A waiting strand's wait ends at `deadline` (pump time; inf = never)."""
        strand.deadline = deadline
        if deadline < strand.bucket:
            # Never a bucket whose time has come: whoever waits until a time in the past would be resumed without end.
            tick = int(max(self.now, min(deadline, self.now + LOOK_AHEAD_S)) / TICK_S) + 1
            strand.bucket = tick * TICK_S
            bucket = self._buckets.get(tick)
            if bucket is None:
                self._buckets[tick] = [strand]
                heapq.heappush(self._heap, tick)
                self._poke()
            else:
                bucket.append(strand)

    def _resume(self, strand: Strand, error: BaseException | None = None) -> None:
        self.current = strand
        strand.deadline = inf
        strand.parked = strand.queued = False
        try:
            trap = strand.coro.send(None) if error is None else strand.coro.throw(error)
        except BaseException as end:
            self._ended(strand, end)
        else:
            if trap is not None:
                self._trapped(strand)

    def _ended(self, strand: Strand, end: BaseException) -> None:
        """A strand has returned, or raised."""
        strand.done = True
        strand.queued = False
        self.strands.discard(strand)
        if isinstance(end, StopIteration | DeadlinePassed | Ended):
            return
        if not isinstance(end, Exception):
            raise end
        self.on_crash(strand, end)

    def _trapped(self, strand: Strand) -> None:
        """A strand waits for something that is not ours."""
        strand.coro.close()
        self._ended(strand, TypeError(f"{strand.name} awaited trio; the data plane waits on the pump only"))

    # --- turns ---------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """The trio task. Returns after `stop()`."""
        fd = self.epoll.fileno()
        while not self._stopping:
            self.on_pause()
            if not (self._pending or self._late or self._batons):
                with trio.CancelScope(deadline=self._next_deadline()) as self._scope:
                    await trio.lowlevel.wait_readable(fd)
                self._scope = None
                self.on_pause()
            else:
                await trio.lowlevel.checkpoint()
            until = time.monotonic() + TRIO_EVERY_S
            linger = 0.0
            while self.turn(linger) and self.now < until and not self._stopping:
                linger = LINGER_S

    def stop(self) -> None:
        """End `run()` at the end of this turn."""
        self._stopping = True
        self._poke()

    def turn(self, wait_s: float = 0.0) -> bool:
        """Resume everybody who is ready once; whether there was anybody. Waits up to wait_s for the first one."""
        if self._pending or self._late or self._batons:
            wait_s = 0.0
        events = self.epoll.poll(wait_s, EVENTS_PER_POLL)
        now = self.now = time.monotonic()
        streams = self.streams
        closed = self.closed_fds
        if closed:
            closed.clear()
        for fd, mask in events:
            stream = streams.get(fd)
            if stream is None or (closed and fd in closed):
                continue
            if mask & _READ:
                stream.drained = False
                if mask & _GONE:
                    stream.ended = True
                strand = stream.reader
                if strand is not None:
                    # As in _resume, spelt out: this is once per event.
                    self.current = strand
                    strand.deadline = inf
                    try:
                        trap = strand.coro.send(None)
                    except BaseException as end:
                        self._ended(strand, end)
                    else:
                        if trap is not None:
                            self._trapped(strand)
            if mask & _WRITE:
                strand = stream.writer
                if strand is not None:
                    self._resume(strand)
                if stream.answer_waits:
                    stream.answer()
                    if stream.reader is not None:
                        self._resume(stream.reader)
        busy = bool(events)
        if self._heap and self._heap[0] * TICK_S <= now:
            busy = True
            self._expire(now)
        if self._pending:
            busy = True
            for _ in range(len(self._pending)):
                strand = self._pending.popleft()
                if strand.queued:  # else it was resumed, or ended, by something else meanwhile
                    self._resume(strand)
        batons = self._batons
        if batons:
            busy = True
            while batons:
                strand = batons.popleft()
                if strand.parked:
                    self._resume(strand)
        if self._late:
            busy = True
            for _ in range(min(len(self._late), LATE_PER_TURN)):
                strand = self._late.popleft()
                if strand.queued:
                    self._resume(strand)
        if self.on_slow_turn is not None and (took := time.monotonic() - now) > self.slow_s:
            self.on_slow_turn(took)
        return busy

    def _expire(self, now: float) -> None:
        """Look into every bucket whose time has come: throw into the late, move the others to where they belong now."""
        heap = self._heap
        while heap and heap[0] * TICK_S <= now:
            tick = heapq.heappop(heap)
            at = tick * TICK_S
            for strand in self._buckets.pop(tick):
                if strand.done or strand.bucket != at:
                    continue
                strand.bucket = inf
                if strand.queued:
                    continue  # it was woken in time, or only lets others go first
                if strand.deadline <= now:
                    self._resume(strand, DeadlinePassed())
                elif strand.deadline < inf:
                    self.set_deadline(strand, strand.deadline)

    def _next_deadline(self) -> float:
        """When run() must wake, on trio's clock."""
        return trio.current_time() + max(0.0, self._heap[0] * TICK_S - time.monotonic()) if self._heap else inf

    def _poke(self) -> None:
        """If the pump sleeps, it must look again: somebody outside a turn has given it work, or an earlier deadline."""
        if self._scope is not None:
            self._scope.deadline = -inf
