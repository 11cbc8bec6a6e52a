"""The master: keeps the generations' processes alive and obeys signals. It moves no byte of traffic.

Signals, as HAProxy's: SIGTERM and SIGINT end the service at once (SIGINT also where it was inherited as ignored, as in a
shell's background job), SIGUSR1 after the last session (`grace` before, `hard-stop-after` at the latest), SIGUSR2 and SIGHUP reload.
A reload is a start of another generation beside the one that serves: only when all of its processes are ready does the old
one get its soft stop; if anything fails before, the old one goes on as if nothing had happened.

Source: HAProxy management guide 4.
"""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from enum import Enum
from math import inf

import trio

from common.control.console import Console
from common.control.generation import Blueprint, Generation, StartError
from common.control.listeners import Listeners
from common.control.member import Observed, Orders
from common.errors import UsherError
from common.observe.counters import Counters
from common.process import notify, program
from common.process.faults import describe
from common.process.shared_tables import SharedTables
from common.process.spawner import Spawner, SpawnError

STOP_NOW = (signal.SIGTERM, signal.SIGINT)
STOP_SOFTLY = (signal.SIGUSR1,)
RELOAD = (signal.SIGUSR2, signal.SIGHUP)
# HAProxy asks its predecessor to pause with these. Ours need not: addresses are shared with SO_REUSEPORT or renamed over.
UNUSED = (signal.SIGTTOU, signal.SIGTTIN)
OBEYED = (*STOP_NOW, *STOP_SOFTLY, *RELOAD, *UNUSED)
PURGE_INTERVAL_S = 1.0  # of expired entries of stick tables that nobody asks for
KILLED_WAIT_S = 1.0  # for the kernel to end what was killed; only a process stuck in the kernel takes longer


class Life(Enum):
    """What the service is doing."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING_SOFTLY = "stopping softly"
    STOPPING = "stopping"


Task = Callable[["Master"], Awaitable[None]]


class Master:
    """read: makes the blueprint of the next generation from the files; raises UsherError with all that is wrong.

    on_serving: hears of each generation when it begins to serve. tasks: what else runs for as long as the service does.
    """

    __slots__ = (
        *("_console", "_contract", "_found", "_listeners", "_number", "_nursery", "_on_serving", "_program", "_read", "_reloading"),
        *("_spawner", "_started", "_stop", "_tables", "_tasks"),
        *("exit_signal", "generations", "life", "observed", "orders", "started_at_s"),
    )

    def __init__(
        self,
        spawner: Spawner,
        listeners: Listeners,
        tables: SharedTables,
        console: Console,
        read: Callable[[], Blueprint],
        on_serving: Callable[[Generation], None],
        tasks: Sequence[Task] = (),
    ) -> None:
        self.exit_signal = 0  # the signal that ended the service, 0 if none did
        self.generations: list[Generation] = []  # those that have processes; the last one is, or is about to be, the one that serves
        self.life = Life.STARTING
        self.started_at_s = time.time()
        self._spawner = spawner
        self._listeners = listeners
        self._tables = tables
        self._console = console
        self._read = read
        self._on_serving = on_serving
        self._tasks = tasks
        self.observed: Observed | None = None  # hears what traffic shows of servers
        self.orders: Orders | None = None  # obeys what operators tell the processes
        self._number = 0
        self._program = ""
        self._contract: dict[str, bytes] = {}
        self._found = ""  # fingerprint of a program that is on trial
        self._reloading = trio.Lock()
        self._started = trio.Event()
        self._stop = trio.Event()  # everything is to end at once
        self._nursery: trio.Nursery

    async def run(self, first: Generation) -> bool:
        """Serve until told to stop. False if the first generation could not be started."""
        self._number = first.number
        with trio.open_signal_receiver(*OBEYED) as signals:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whatever was inherited, and what came in since `hold_signals`
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._obey, signals)
                nursery.start_soon(self._spawner.run)
                nursery.start_soon(self._feed_watchdog)
                nursery.start_soon(self._purge_tables)
                for task in self._tasks:
                    nursery.start_soon(self._keep, task)
                started = await self._start_first(first)
                if started:
                    await self._stop.wait()
                await self._end()
                nursery.cancel_scope.cancel()
        return started

    async def _obey(self, signals: AsyncIterator[int]) -> None:
        async for signum in signals:
            if signum in STOP_NOW:
                self._stop_now(signum)
            elif signum in STOP_SOFTLY:
                self._nursery.start_soon(self.stop_softly)
            elif signum in RELOAD:
                self._nursery.start_soon(self.reload)

    async def _keep(self, task: Task) -> None:
        """A fault in what runs beside the supervision must not end the supervision."""
        try:
            await task(self)
        except Exception as error:
            self._console.alert(f"a part of the master ended by a fault of ours, the service goes on: {describe(error)}")

    async def _purge_tables(self) -> None:
        """Entries of stick tables that have expired go, used or not."""
        while True:
            more = self._tables.purge()
            await trio.sleep(0 if more else PURGE_INTERVAL_S)

    async def _feed_watchdog(self) -> None:
        """Tell the service manager that this loop turns, if it wants to know."""
        interval_s = notify.watchdog_interval_s()
        while interval_s:
            notify.watchdog()
            await trio.sleep(interval_s)

    # --- start and reload ----------------------------------------------------------------------------------------

    async def _start_first(self, first: Generation) -> bool:
        started = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_at_stop, nursery.cancel_scope)
            try:
                await self._begin(first)
                started = True
            except (StartError, SpawnError) as error:
                self._console.alert(str(error))
            nursery.cancel_scope.cancel()
        if started:
            self.life = Life.SERVING
            self._program, self._contract = program.fingerprint(), program.contract()
            self._on_serving(first)
            notify.ready(self.status())
            self._started.set()
        return started

    async def _cancel_at_stop(self, scope: trio.CancelScope) -> None:
        await self._stop.wait()
        scope.cancel()

    async def _begin(self, generation: Generation) -> None:
        """Start a generation. Raises StartError; by then all its processes have ended."""
        self.generations.append(generation)
        try:
            await self._spawner.load(generation.blueprint.imports)
            await generation.start(self._nursery, self._spawner, self._console, self.started_at_s, self.orders, self.observed)
        except (StartError, SpawnError):
            await generation.stop_now()
            self._forget(generation)
            raise

    async def reload(self) -> str:
        """Replace the generation that serves. Returns "" or, when nothing was changed, why."""
        async with self._reloading:
            if self.life is not Life.SERVING:
                return f"the service is {self.life.value}"
            notify.reloading()
            try:
                await self._renew()
                generation = Generation(self._read(), self._number + 1, self._listeners, self._tables, self._earlier_counters())
                await self._begin(generation)
                await self._settle()
            except Exception as error:  # a bug in reading a file must not end a service that works
                reason = str(error) if isinstance(error, UsherError | OSError) else describe(error)
                await self._spawner.revert()
                self._console.alert(f"reload failed, generation {self._number} goes on:\n{reason}")
                return reason
            finally:
                notify.ready(self.status())
            self._number = generation.number
            self._console.notice(f"generation {generation.number} serves; the one before it ends with its last session")
            self._on_serving(generation)
            for old in self.generations[:-1]:
                self._nursery.start_soon(self._retire, old)
            return ""

    async def _retire(self, generation: Generation) -> None:
        """After a reload: its sessions may end by themselves, within `hard-stop-after` and `mworker-max-reloads`."""
        settings = generation.blueprint.config.globals
        most = settings.extra.get("mworker-max-reloads")
        if most and self._number - generation.number > int(most[-1][0]):
            self._console.notice(f"generation {generation.number} has survived {most[-1][0]} reloads: its sessions are cut")
            await generation.stop_now()
        if generation.retired:
            return
        generation.retired = True
        with trio.move_on_after(inf if settings.hard_stop_after is None else settings.hard_stop_after) as limit:
            await self._drain(generation, is_reload=True)
        if limit.cancelled_caught:
            self._console.warning(f"hard-stop-after has passed: the sessions of generation {generation.number} that are left are cut")
            await generation.stop_now()
            await generation.over()
            self._forget(generation)

    async def _renew(self) -> None:
        """If the program on disk has changed: a fresh zygote, for the next generation to be of that program. Raises UsherError."""
        found, self._found = program.fingerprint(), ""
        if found == self._program:
            return
        try:
            agreed = program.agree(self._contract, program.contract())
        except (OSError, SyntaxError) as error:
            raise UsherError(f"the program on disk cannot be read: {error}") from error
        if not agreed:
            raise UsherError(
                "the program on disk is another version, whose processes do not understand this master: start it beside this one with "
                "-sf, which shares the addresses, or restart the service"
            )
        await self._spawner.renew()
        self._found = found

    async def _settle(self) -> None:
        """The next generation is ready."""
        await self._spawner.settle()
        if self._found:
            self._console.notice("the program on disk has changed: this generation is of the new one; older TLS tickets cannot be resumed")
            self._program, self._found = self._found, ""

    def _earlier_counters(self) -> Counters | None:
        """Of the generation that serves: its states of servers are handed on."""
        return self.generations[-1].counters if self.generations else None

    def status(self) -> str:
        """One line for the service manager."""
        members = self.generations[-1].members if self.generations else []
        return f"{self.life.value}, generation {self._number}, {len(members)} processes"

    # --- stopping ------------------------------------------------------------------------------------------------

    def _stop_now(self, signum: int) -> None:
        if not self._stop.is_set():
            self.exit_signal = signum
            self._console.notice(f"stopping at once: {signal.Signals(signum).name}")
            self._stop.set()

    async def stop_softly(self) -> None:
        """End after the last session; at the latest after `hard-stop-after`. During the start: once that is done."""
        await self._started.wait()
        if self.life is not Life.SERVING:
            return
        self.life = Life.STOPPING_SOFTLY
        notify.stopping()
        settings = self.generations[-1].blueprint.config.globals
        self._console.notice("stopping after the last session")
        with trio.move_on_after(inf if settings.hard_stop_after is None else settings.hard_stop_after + (settings.grace or 0)) as limit:
            if settings.grace:
                await trio.sleep(settings.grace)
            async with trio.open_nursery() as nursery:
                for generation in list(self.generations):
                    nursery.start_soon(self._drain, generation)
        if limit.cancelled_caught:
            self._console.warning("hard-stop-after has passed: the sessions that are left are cut")
        self._stop.set()

    async def _drain(self, generation: Generation, *, is_reload: bool = False) -> None:
        """Soft stop of one generation, and its end."""
        await generation.stop_softly(is_reload=is_reload)
        await generation.over()
        self._forget(generation)

    async def _end(self) -> None:
        self.life = Life.STOPPING
        notify.stopping()
        async with trio.open_nursery() as nursery:
            for generation in self.generations:
                nursery.start_soon(generation.stop_now)
        await self._spawner.close()
        with trio.move_on_after(KILLED_WAIT_S):
            for generation in self.generations:
                await generation.over()
        for generation in list(self.generations):
            self._forget(generation)

    def _forget(self, generation: Generation) -> None:
        generation.close()
        if generation in self.generations:
            self.generations.remove(generation)
