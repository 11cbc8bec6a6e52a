"""One dispatcher or worker of a generation, kept alive: started, watched, started again when it dies, and stopped.

Facts.
- A process is *ready* when it says so over its control channel: its sockets accept. Until then a death is a failed start.
- A stop of a whole process group (Ctrl-C, a service manager) reaches the children before the master has read its own
  signal. So a death by such a signal waits a moment for the master's word before it is called one.
- A stop must come to an end whatever state the process is in: it is asked, then told (SIGTERM), then killed.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from enum import Enum
from itertools import count
from typing import Protocol

import trio

from common.control.console import Console
from common.observe.journal import Journal
from common.process.children import Ended
from common.process.control_channel import ControlChannel
from common.process.launch import CONTROL, Launch
from common.process.messages import Message
from common.process.restarts import WINDOW_S, Restarts, Verdict
from common.process.spawner import Spawned, Spawner, SpawnError

READY_WAIT_S = 60.0  # reading thousands of certificates takes its time; longer means that it is stuck
ASKED_WAIT_S = 0.5  # between asking a process to end at once and telling it
TOLD_WAIT_S = 0.5  # between telling and killing
LAST_WORDS_WAIT_S = 1.0  # for what a dead process still has in its channel
WORD_WAIT_S = 0.2  # for the master's own signal, when a child died of one that is sent to whole groups
REPLY_WAIT_S = 10.0
_GROUP_SIGNALS = (-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP)


Orders = Callable[[Sequence[str]], Awaitable[list[bool]]]
"""Obeys lines of commands that come from a process; says of each whether it was obeyed."""


class Observed(Protocol):
    """Hears what traffic shows of a server ("backend/server"): errors since the last time, after a success if good."""

    def __call__(self, server: str, errors: int, last: str, *, good: bool) -> None: ...


class State(Enum):
    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # it died; the next start comes after a delay
    STOPPING = "stopping"
    ENDED = "ended"


class _Life:
    """One process of a member, from its start to its end."""

    __slots__ = ("changes", "control", "listened", "process", "ready", "replies", "spawning", "words")

    def __init__(self, control: ControlChannel, changes: int) -> None:
        self.control = control
        self.changes = changes  # number in the journal of the last change that it was started with
        self.spawning = trio.CancelScope()
        self.process: Spawned | None = None
        self.ready = trio.Event()
        self.listened = trio.Event()  # everything it said was heard
        self.words = ""  # why it ends, if it said so
        self.replies: dict[int, tuple[trio.Event, list[str]]] = {}


class Member:
    """launch: what each of its processes is told. fds: what it is given, beside its end of a control channel.
    journal: what operators have changed, which each of its processes is told too.

    started is set when the first start came to an end: `ready` tells which. orders: who obeys what this process passes on.
    observed: who hears what its traffic shows of servers.
    """

    __slots__ = (
        *("_console", "_entry", "_ids", "_journal", "_life", "_soft", "_spawner", "_stop"),
        *("fds", "launch", "observed", "on_death", "orders", "over", "ready", "reason", "restarts", "started", "state"),
    )

    def __init__(self, entry: str, launch: Launch, fds: dict[str, int], spawner: Spawner, console: Console, journal: Journal) -> None:
        self.launch = launch
        self.fds = fds
        self.restarts = Restarts()
        self.state = State.STARTING
        self.started = trio.Event()
        self.ready = False  # it was, once
        self.over = trio.Event()  # the last life has ended, there will be no other
        self.reason = ""  # how the last life ended, for the operator
        self._entry = entry
        self._spawner = spawner
        self._console = console
        self._journal = journal
        self._life: _Life | None = None
        self._stop = trio.Event()
        self._soft = False
        self._ids = count(1)
        self.on_death: Callable[[], None] = lambda: None
        self.orders: Orders | None = None
        self.observed: Observed | None = None

    @property
    def title(self) -> str:
        return self.launch.title

    @property
    def pid(self) -> int:
        """0 while there is no process."""
        return self._life.process.pid if self._life and self._life.process else 0

    # --- life ----------------------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Run the process, again and again when it dies, until it is stopped. A first start that fails is the last."""
        while not self._stop.is_set():
            self.state = State.STARTING
            ended = await self._one_life()
            self.on_death()
            if not self.ready:
                break
            if not self._stop.is_set() and ended.code in _GROUP_SIGNALS:
                with trio.move_on_after(WORD_WAIT_S):
                    await self._stop.wait()
            if not self._stop.is_set():
                await self._pause(self.restarts.died(trio.current_time()))
            elif self._soft and ended.code:
                self._console.warning(f"{self.title} {self.reason} before its last session ended")
        self.state = State.ENDED
        self.started.set()
        self.over.set()

    async def _one_life(self) -> Ended:
        life: _Life | None = None
        try:
            ours, theirs = ControlChannel.pair()
            life = self._life = _Life(ours, self._journal.number)
            launch = replace(self.launch, changes=self._journal.since())
            with theirs, life.spawning:
                life.process = await self._spawner.spawn(self._entry, launch, {**self.fds, CONTROL: theirs.fileno()})
            if life.process is None:
                return Ended(None)  # stopped before it started
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, life, nursery)
                nursery.start_soon(self._watch_start, life)
                ended = await life.process.wait()
                with trio.move_on_after(LAST_WORDS_WAIT_S):
                    await life.listened.wait()
                nursery.cancel_scope.cancel()
            self.reason = f"({life.process.pid}) {ended}" + (f": {life.words}" if life.words else "")
            return ended
        except (SpawnError, OSError) as error:
            self.reason = f"cannot be started: {error}"
            return Ended(None)
        finally:
            if life:
                self._life = None
                life.control.close()
                for replied, _parts in life.replies.values():
                    replied.set()

    async def _listen(self, life: _Life, nursery: trio.Nursery) -> None:
        while (message := await life.control.receive()) is not None:
            if message["op"] == "ready":
                await self._catch_up(life)
            if message["op"] == "orders":
                nursery.start_soon(self._obey, life, message)
            else:
                self._hear(life, message)
        life.listened.set()

    async def _obey(self, life: _Life, message: Message) -> None:
        """What an operator wants changed, whom this process serves."""
        obeyed = await self.orders(message["lines"]) if self.orders is not None else []
        await life.control.send({"op": "obeyed", "id": message["id"], "obeyed": obeyed})

    async def _catch_up(self, life: _Life) -> None:
        """What was changed between its start and now, when nobody asks it yet."""
        while changes := self._journal.since(life.changes):
            life.changes = self._journal.number
            for line in changes:
                await life.control.send({"op": "command", "id": 0, "line": line})

    def _hear(self, life: _Life, message: Message) -> None:
        match message["op"]:
            case "ready":
                life.ready.set()
                self.ready = True
                if self.state is State.STARTING:
                    self.state = State.READY
                self.started.set()
            case "failed":
                life.words = message["text"]
            case "log":
                console = self._console
                say = {"alert": console.alert, "warning": console.warning, "remark": console.remark}.get(message["level"], console.notice)
                say(message["text"])
            case "observed" if self.observed is not None:
                self.observed(message["server"], message["errors"], message["last"], good=message["good"])
            case "reply" if message["id"] in life.replies:
                replied, parts = life.replies[message["id"]]
                parts.append(message["text"])
                replied.set()

    async def _watch_start(self, life: _Life) -> None:
        assert life.process
        with trio.move_on_after(READY_WAIT_S):
            await life.ready.wait()
            return
        life.words = f"it was not ready within {READY_WAIT_S:.0f} s"
        life.process.kill(signal.SIGKILL)

    async def _pause(self, verdict: Verdict) -> None:
        """Say that it died, and wait before the next start."""
        self.state = State.WAITING
        when = f" in {verdict.delay_s:.1f} s" if verdict.delay_s else ""
        self._console.alert(f"{self.title} {self.reason}; it is started again{when}")
        if verdict.crash_loop:
            self._console.warning(f"{self.title} died {verdict.deaths} times within {WINDOW_S:.0f} s: a crash loop")
        with trio.move_on_after(verdict.delay_s):
            await self._stop.wait()

    # --- what the master asks of it ------------------------------------------------------------------------------

    async def stop_softly(self, *, is_reload: bool = False) -> None:
        """Let it end after its last session. Returns when it was told, not when it ended."""
        self._soft = True
        await self._ask_to_stop(soft=True, is_reload=is_reload)

    async def stop_now(self) -> None:
        """End it. Returns when it has ended, or when nothing more can be done."""
        self._soft = False
        with trio.move_on_after(ASKED_WAIT_S):
            await self._ask_to_stop(soft=False)
            await self.over.wait()
            return
        self._kill(signal.SIGTERM)
        with trio.move_on_after(TOLD_WAIT_S):
            await self.over.wait()
            return
        self._kill(signal.SIGKILL)

    async def _ask_to_stop(self, *, soft: bool, is_reload: bool = False) -> None:
        self._stop.set()
        if self.state is State.READY:
            self.state = State.STOPPING
        if self._life:
            if not soft and not self._life.ready.is_set():
                self._life.spawning.cancel()
                self._kill(signal.SIGTERM)  # it does not listen yet
            await self._life.control.send({"op": "stop", "soft": soft, "reload": is_reload})

    def end_hung(self, words: str) -> None:
        """It turns no more: kill it, and say why when it has ended."""
        if self._life:
            self._life.words = words
        self._kill(signal.SIGKILL)

    def _kill(self, signum: int) -> None:
        if self._life and self._life.process:
            self._life.process.kill(signum)

    async def ask(self, line: str) -> str | None:
        """The answer to an operator's command; None if the process is gone or silent."""
        life = self._life
        if life is None or not life.ready.is_set():
            return None
        number = next(self._ids)
        replied, parts = life.replies[number] = (trio.Event(), [])
        try:
            with trio.move_on_after(REPLY_WAIT_S):
                if await life.control.send({"op": "command", "id": number, "line": line}):
                    await replied.wait()
        finally:
            del life.replies[number]
        return parts[0] if parts else None
