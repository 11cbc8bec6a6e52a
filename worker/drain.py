"""The end of a worker whose sessions may go on for a while: after a reload, or when the whole service stops softly.

What becomes of whom:

- Listening sockets. Who waits in their backlog is taken, then they are closed here. After a reload the next generation listens on the
  same ones, and nobody finds a closed door.
- Channels of our own dispatchers stay: whoever they accepted before they were told to stop comes over them. They close them when
  nobody depends on them any more. A channel on an explicit `abns@` name may be of a dispatcher that goes on: after a reload it is
  closed, and its next connection on that name finds our successor; what we have not read from goes there too.
- Clients in an exchange get its answer, with "Connection: close". Idle ones, after a reload: the next request is answered as well,
  so that none is lost that was on its way; when the service stops (unless `option idle-close-on-response`): they are closed.
- With `close-spread-time` each client's time comes at a random moment of that span, so that they do not all come back at once:
  before it nothing changes for him, then he is closed if he is idle (unless `option idle-close-on-response`). With `infinite`
  it never comes: clients end by themselves or by their timeouts.
- Tunnels and mode tcp: to their own end, or until `hard-stop-after`, which is the master's to enforce.

Source: HAProxy management guide 4; configuration manual 3.1 "close-spread-time", "hard-stop-after", 4.2 "option idle-close-on-response".
"""

from __future__ import annotations

import random
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from common.model import Global, last_word
from common.net.pump import DeadlinePassed, Pump, Strand
from common.units import parse_time

if TYPE_CHECKING:
    from worker.session import Session
    from worker.world import World

FOREIGN_DISPATCHER_S = 1.0  # a dispatcher that was not told to stop with us keeps its channel; what is in flight comes in this time


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening socket and the strand that serves it. sweep: takes who is in its backlog."""

    strand: Strand
    socket: socket.socket
    sweep: Callable[[], None] | None = None


class Drain:
    """One per worker."""

    __slots__ = ("_world", "begun", "is_reload", "listening", "spread_s")

    def __init__(self, world: World) -> None:
        self._world = world
        self.begun = False
        self.is_reload = False
        self.listening: list[Listening] = []
        self.spread_s = spread_of(world.config.globals)

    def begin(self, *, is_reload: bool) -> None:
        """Take no more, and end after the last session."""
        if self.begun and self.is_reload <= is_reload:
            return
        self.begun, self.is_reload = True, is_reload
        world = self._world
        world.pump.now = world.monotonic()
        for one in self.listening:
            if one.sweep is not None:
                one.sweep()
            world.pump.end(one.strand)
            one.socket.close()
        self.listening.clear()
        if self.spread_s is None:
            for session in list(world.sessions):
                self.session_may_end(session)
        elif self.spread_s < inf:
            world.pump.spawn(self._spread(self.spread_s), "drain")
        if is_reload:
            self._leave_foreign_channels()
        elif world.channels:
            world.pump.spawn(self._leave_later(), "drain")
        self.look()

    def look(self) -> None:
        """End the process if nobody is left and nobody will come."""
        if self.begun and not self._world.sessions and not self._world.channels:
            self._world.pump.stop()

    def session_may_end(self, session: Session) -> None:
        """Its next answer says that it is the last. An idle one is closed, if that is what idle ones are to be."""
        session.stop_after = True
        if self.closes_idle(session) and session.is_idle():
            assert session.strand is not None
            self._world.pump.end(session.strand)

    def closes_idle(self, session: Session) -> bool:
        waits = "idle-close-on-response" in session.proxy.model.options
        return not waits and (not self.is_reload or self.spread_s is not None)

    def welcome(self, session: Session) -> None:
        """A session that begins while we end."""
        session.stop_after = self.spread_s is None

    def holders(self) -> str:
        """What its sessions wait for, and until when at the latest; one line for each kind."""
        kinds = Counter(_why(session) for session in self._world.sessions)
        lines = [f"{number} {why}" for why, number in kinds.most_common()]
        if self._world.channels and not self._world.sessions:
            lines.append("0 sessions: a dispatcher still holds its channel, as clients may come over it")
        return "".join(f"{line}\n" for line in lines)

    # --- in time -----------------------------------------------------------------------------------------------------

    async def _spread(self, span_s: float) -> None:
        world = self._world
        start = world.pump.now
        times = sorted((start + random.random() * span_s, number, one) for number, one in enumerate(world.sessions))
        for moment, _number, session in times:
            if session in world.sessions:
                await _until(world.pump, moment)
            if session in world.sessions:
                self.session_may_end(session)
        await _until(world.pump, start + span_s)
        for session in list(world.sessions):
            self.session_may_end(session)

    def _leave_foreign_channels(self) -> None:
        for channel in list(self._world.channels):
            if channel.bind is not None:
                channel.let_go()

    async def _leave_later(self) -> None:
        """The service stops: our own dispatchers do too, and close their channels. Whoever does not is told to go elsewhere."""
        await _until(self._world.pump, self._world.pump.now + FOREIGN_DISPATCHER_S)
        for channel in list(self._world.channels):
            if channel.bind is not None or not channel.seats:
                channel.let_go()


def spread_of(settings: Global) -> float | None:
    """`close-spread-time`: seconds, inf for `infinite`, None where it is not set."""
    text = last_word(settings.extra, "close-spread-time")
    if not text:
        return None
    return inf if text == "infinite" else parse_time(text)


def _why(session: Session) -> str:
    if session.phase == "tunnel":
        backend = session.exchange.routed if session.exchange is not None else None
        where = f" to {backend.name}" if backend is not None else ""
        return f"in a tunnel of {session.proxy.name}{where}: until one side ends it, or timeout tunnel"
    if session.phase == "exchange":
        return f"in an exchange of {session.proxy.name}: until its answer has gone"
    if session.phase == "request" and session.requests:
        end = "closed in its time" if session.world.drain.closes_idle(session) else "the next request is answered, then it closes"
        return f"idle between two requests of {session.proxy.name}: {end}, or timeout http-keep-alive"
    return f"just connected to {session.proxy.name} ({session.phase}): its first request is answered, or timeout http-request"


async def _until(pump: Pump, moment: float) -> None:
    if moment <= pump.now:
        return
    try:
        await pump.park(moment)
    except DeadlinePassed:
        pass
