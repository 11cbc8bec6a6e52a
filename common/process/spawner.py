"""The master's end of the zygote: start a process, hear how it ended, and have a zygote again when one dies.

That a child ended the master sees by itself (children.py); *how* it ended only its parent learns, so the zygote reports
it. When the zygote died first, its children are the master's, which then reaps them itself. A child that was started by
a zygote stays tied to that one (`_Link`), so that the end of one generation of zygotes cannot be taken for another's.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import trio

from common.errors import UsherError
from common.process import messages, zygote
from common.process.children import Child, Ended, become_subreaper
from common.process.launch import Launch

REPORT_WAIT_S = 2.0  # for the zygote's word on a child whose pidfd says that it ended
SPAWN_WAIT_S = 10.0  # for one fork; a zygote that takes longer is stuck and replaced
IMPORT_WAIT_S = 60.0  # for importing the program and making the ticket ring, on a slow and busy machine
LEAVE_WAIT_S = 1.0  # for a zygote to leave at the end of its channel
ZYGOTE_AGAIN_S = 1.0  # between two zygotes, should they keep dying


class SpawnError(UsherError):
    """A process could not be started."""


@dataclass(slots=True)
class _Answer:
    """What the zygote will say about one start, or about the end of one child."""

    known: trio.Event = field(default_factory=trio.Event)
    pid: int = 0
    pidfd: int = -1
    code: int | None = None
    error: str = ""


class _Link:
    """The channel to one zygote, and what it was asked."""

    __slots__ = ("_assembler", "_exits", "_lock", "_number", "_socket", "_starts", "error", "gone", "imported", "zygote")

    def __init__(self, channel: socket.socket, pid: int) -> None:
        channel.setblocking(False)
        self._socket = trio.socket.from_stdlib_socket(channel)
        self._assembler = messages.Assembler()
        self._lock = trio.Lock()
        self._number = 0
        self._starts: dict[int, _Answer] = {}
        self._exits: dict[int, _Answer] = {}
        self.zygote = Child(pid, os.pidfd_open(pid))
        self.imported = trio.Event()
        self.error = ""
        self.gone = trio.Event()

    async def send(self, message: messages.Message, fds: Sequence[int] = ()) -> None:
        """Raises SpawnError when the zygote is gone."""
        async with self._lock:
            try:
                for part, part_fds in messages.packets(message, fds):
                    await self._socket.sendmsg((part,), messages.rights(part_fds))
            except OSError as error:
                raise SpawnError(f"the zygote does not listen: {error.strerror}") from error

    async def serve(self) -> None:
        """Take in reports until the zygote is gone."""
        try:
            while True:
                packet = messages.unpack(*(await self._socket.recvmsg(*messages.RECEIVE))[:3])
                if not packet[0]:
                    break
                received = self._assembler.feed(*packet)
                if received is not None:
                    self._note(*received)
        except (OSError, messages.ChannelError, trio.ClosedResourceError):
            pass
        finally:
            self.gone.set()
            if not self.imported.is_set():
                self.error = "the zygote died of it"
                self.imported.set()
            for answer in (*self._starts.values(), *self._exits.values()):
                answer.known.set()

    def _note(self, message: messages.Message, fds: Sequence[int]) -> None:
        match message["op"]:
            case "imported":
                self.error = message["error"]
                self.imported.set()
            case "exited" if message["pid"] in self._exits:
                self._tell(self._exits[message["pid"]], code=message["code"])
            case "spawned" if message["spawn"] in self._starts:
                self._exits[message["pid"]] = _Answer()
                self._tell(self._starts[message["spawn"]], pid=message["pid"], pidfd=fds[0])
            case "failed" if message["spawn"] in self._starts:
                self._tell(self._starts[message["spawn"]], error=message["error"])
            case "spawned":  # nobody waits for it any more
                Child(message["pid"], fds[0]).kill(signal.SIGKILL)
                messages.close_fds(fds)
            case _:
                messages.close_fds(fds)

    @staticmethod
    def _tell(answer: _Answer, *, pid: int = 0, pidfd: int = -1, code: int | None = None, error: str = "") -> None:
        answer.pid, answer.pidfd, answer.code, answer.error = pid, pidfd, code, error
        answer.known.set()

    async def load(self, names: Sequence[str]) -> None:
        """Have it import modules and call functions. Raises SpawnError."""
        if self.imported.is_set():
            self.imported = trio.Event()
        await self.send({"op": "import", "names": list(names)})
        await self.ready()

    async def ready(self) -> None:
        """Wait until everything asked for is imported. Raises SpawnError if something cannot be."""
        await self.imported.wait()
        if self.error:
            raise SpawnError(f"the program cannot be loaded: {self.error}")

    async def start(self, message: messages.Message, fds: Sequence[int]) -> Child:
        """Raises SpawnError."""
        self._number += 1
        number = self._number
        answer = self._starts[number] = _Answer(error="the zygote died")
        try:
            with trio.fail_after(SPAWN_WAIT_S):
                await self.send(message | {"spawn": number}, fds)
                await answer.known.wait()
        except trio.TooSlowError:
            self.zygote.kill(signal.SIGKILL)
            raise SpawnError(f"the zygote did not fork within {SPAWN_WAIT_S:.0f} s") from None
        finally:
            del self._starts[number]
        if answer.pidfd < 0:
            raise SpawnError(answer.error)
        return Child(answer.pid, answer.pidfd)

    async def how_it_ended(self, child: Child) -> Ended:
        answer = self._exits[child.pid]
        with trio.move_on_after(REPORT_WAIT_S):
            await answer.known.wait()
        del self._exits[child.pid]
        return Ended(answer.code) if answer.code is not None else child.reap()

    async def close(self) -> None:
        """Let the zygote go, and wait for its end."""
        self._socket.close()
        with trio.move_on_after(LEAVE_WAIT_S):
            await self.zygote.gone()
        self.zygote.kill(signal.SIGKILL)  # it was stopped, perhaps; most often it is gone already
        await self.zygote.gone()
        self.zygote.reap()
        self.zygote.close()
        self._assembler.close()


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process that a zygote started for us."""

    child: Child
    _link: _Link

    @property
    def pid(self) -> int:
        return self.child.pid

    def kill(self, signum: int) -> None:
        self.child.kill(signum)

    async def wait(self) -> Ended:
        """Wait for its end and say how it came. To be called once; closes the pidfd."""
        await self.child.gone()
        ended = await self._link.how_it_ended(self.child)
        self.child.close()
        return ended


class Spawner:
    """Starts processes through a zygote, and another zygote when one is lost.

    imports: "module" or "module:function", for each zygote to import (and call) before its first child.
    report: hears in a sentence when a zygote was lost.
    """

    __slots__ = ("_again", "_closing", "_imports", "_link", "_loading", "_nursery", "_previous", "_report")

    def __init__(self, channel: socket.socket, pid: int, imports: Sequence[str], report: Callable[[str], None]) -> None:
        """channel, pid: of a first zygote, made before trio started (zygote.start_by_fork)."""
        self._imports = list(imports)
        self._report = report
        self._link = _Link(channel, pid)
        self._previous: _Link | None = None  # while it is not settled whether the one after it is as good
        self._nursery: trio.Nursery | None = None
        self._again = trio.Event()
        self._closing = False
        self._loading = trio.Lock()
        become_subreaper()

    @property
    def zygote_pid(self) -> int:
        return self._link.zygote.pid

    async def run(self) -> None:
        """Serve one zygote after the other. Cancel it to stop; then call `close`."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._serve, self._link)
            with contextlib.suppress(SpawnError):
                await self._link.load(self._imports)
            await trio.sleep_forever()

    async def _serve(self, link: _Link) -> None:
        """Hear one zygote; when it is lost, start another in its place."""
        await link.serve()
        if link is not self._link or self._closing:
            return
        await link.close()
        self._report(f"zygote ({link.zygote.pid}) was lost; another one is started for processes to come")
        self._link = await self._another()
        self._again.set()
        self._again = trio.Event()
        assert self._nursery is not None
        self._nursery.start_soon(self._serve, self._link)
        with contextlib.suppress(SpawnError):
            await self._link.load(self._imports)

    async def renew(self) -> None:
        """A fresh zygote, which imports the program as it is on disk now, for all processes to come. Raises SpawnError.

        It is on trial until `settle` or `revert`. To be called while `run` runs.
        """
        async with self._loading:
            assert self._nursery is not None and self._previous is None
            try:
                fresh = _Link(*zygote.start_by_exec())
            except OSError as error:
                raise SpawnError(f"no zygote can be started: {error.strerror}") from error
            self._nursery.start_soon(self._serve, fresh)
            try:
                with trio.fail_after(IMPORT_WAIT_S):
                    await fresh.load(self._imports)
            except (SpawnError, trio.TooSlowError) as error:
                await fresh.close()
                raise error if isinstance(error, SpawnError) else SpawnError("the program was not loaded in time")
            self._previous, self._link = self._link, fresh

    async def settle(self) -> None:
        """What the fresh zygote started is ready: the one before it may go. Its children become ours."""
        previous, self._previous = self._previous, None
        if previous is not None:
            await previous.close()

    async def revert(self) -> None:
        """What the fresh zygote started was not ready: back to the one before it."""
        previous, self._previous = self._previous, None
        if previous is not None:
            fresh, self._link = self._link, previous
            await fresh.close()

    async def _another(self) -> _Link:
        """Another zygote, as soon as the machine can bear one."""
        while True:
            await trio.sleep(ZYGOTE_AGAIN_S)
            try:
                return _Link(*zygote.start_by_exec())
            except OSError as error:
                self._report(f"no zygote can be started ({error.strerror}); trying again")

    async def load(self, names: Sequence[str]) -> None:
        """Have more imported, by this zygote and every later one. Raises SpawnError."""
        async with self._loading:
            missing = [name for name in names if name not in self._imports]
            if not missing:
                return
            link = await self._ready()
            try:
                await link.load(missing)
            except SpawnError:
                link.error = ""  # what was loaded before is as good as it was
                raise
            self._imports += missing

    async def spawn(self, entry: str, launch: Launch, fds: dict[str, int]) -> Spawned:
        """Start `entry` ("module:function") in a process of its own, which gets these descriptors under these names.

        Raises SpawnError.
        """
        link = await self._ready()
        payload = _memfd(pickle.dumps(replace(launch, fds={name: index for index, name in enumerate(fds)}), pickle.HIGHEST_PROTOCOL))
        try:
            message = {"op": "spawn", "entry": entry, "title": f"usher-{launch.role[:4]}-{launch.number}"}
            return Spawned(await link.start(message, [payload, *fds.values()]), link)
        finally:
            os.close(payload)

    async def close(self) -> None:
        """Let the zygote go. Its children are not touched."""
        self._closing = True
        await self._link.close()

    async def _ready(self) -> _Link:
        """A zygote that has imported the program."""
        with trio.move_on_after(IMPORT_WAIT_S):
            while self._link.gone.is_set():
                await self._again.wait()
            link = self._link
            await link.ready()
            return link
        raise SpawnError(f"no zygote became ready within {IMPORT_WAIT_S:.0f} s")


def _memfd(content: bytes) -> int:
    fd = os.memfd_create("usher-launch")
    view = memoryview(content)
    while view:
        view = view[os.write(fd, view) :]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
