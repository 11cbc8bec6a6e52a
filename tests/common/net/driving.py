"""A pump driven by hand: turn after turn, with a clock of the test's own where deadlines matter."""

from __future__ import annotations

import gc
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from common.net import pump as pump_module
from common.net.pump import Pump, Strand
from common.net.stream import Stream

TURNS_MAX = 20_000


class Clock:
    """Stands for the module `time` in the pump."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Driver:
    """A pump, and what became of its strands: results by name, and crashes, which `check` (and so every test) does not expect."""

    def __init__(self) -> None:
        self.crashes: list[tuple[str, BaseException]] = []
        self.pump = Pump(lambda strand, error: self.crashes.append((strand.name, error)))
        self.results: dict[str, object] = {}
        self._sockets: list[socket.socket] = []

    def start(self, name: str, story: Coroutine[Any, Any, object], *, late: bool = False) -> Strand:
        return self.pump.spawn(self._tell(name, story), name, late=late)

    async def _tell(self, name: str, story: Coroutine[Any, Any, object]) -> None:
        try:
            self.results[name] = await story
        except Exception as error:
            self.results[name] = error
            raise

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until that is true. Waits for what the kernel still has to do, but not for nothing."""
        for _ in range(TURNS_MAX):
            if condition():
                return
            self.pump.turn(0.002)
        raise AssertionError("it does not come to that")

    def settle(self) -> None:
        """Turn until nobody is ready."""
        for _ in range(TURNS_MAX):
            if not self.pump.turn():
                return
        raise AssertionError("somebody is always ready")

    def run(self, story: Coroutine[Any, Any, object]) -> Any:
        """Run one story to its end: what it returns, or raises."""
        self.start("story", story)
        self.until(lambda: "story" in self.results)
        result = self.results.pop("story")
        self.crashes = [crash for crash in self.crashes if crash[0] != "story"]
        if isinstance(result, Exception):
            raise result
        return result

    def pair(self, *, tcp: bool = False, buffer_bytes: int = 0) -> tuple[Stream, socket.socket]:
        """A stream of the pump's, and the peer's end as a plain socket that does not block."""
        if tcp:
            with socket.create_server(("127.0.0.1", 0)) as listener:
                ours = socket.create_connection(listener.getsockname())
                theirs, _ = listener.accept()
        else:
            ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
            if buffer_bytes:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        self._sockets += [ours, theirs]
        return Stream(self.pump, ours), theirs

    def own(self, sock: socket.socket) -> None:
        """Close it at the end."""
        self._sockets.append(sock)

    def close(self) -> None:
        for strand in list(self.pump.strands):
            self.pump.end(strand)
        for sock in self._sockets:
            sock.close()
        self.pump.epoll.close()

    def check(self) -> None:
        assert not self.crashes


@pytest.fixture
def driver():  # type: ignore[no-untyped-def]
    made = Driver()
    yield made
    made.close()
    made.check()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """To be asked for before `driver`."""
    made = Clock()
    monkeypatch.setattr(pump_module, "time", made)
    return made


def reset(sock: socket.socket) -> None:
    """Close with a reset (TCP)."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def open_descriptors() -> int:
    gc.collect()  # what earlier tests left in cycles is not counted
    return len(os.listdir("/proc/self/fd"))


def receive_all(sock: socket.socket) -> bytes:
    """What is there now."""
    found = b""
    try:
        while data := sock.recv(1 << 20):
            found += data
    except BlockingIOError:
        pass
    return found
