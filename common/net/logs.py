"""Sending log lines: datagrams to syslog, lines to stdout, stderr or a descriptor. Never waits.

Facts. A receiver may be slow, full, gone or restarted; the data plane must not notice. Python's logging module takes 15 µs
a line and a lock; this takes about 4 (most of it the system call).

Plan.
- An *outlet* is one receiver. A line is tried at once; when the receiver would block, it waits in the outlet's backlog of at
  most BACKLOG_BYTES_MAX; beyond that it is dropped and counted. `drain()` is the trio task that empties backlogs.
- A datagram socket per process and target, connected, so that the kernel tells us when nobody listens: such lines are
  counted as dropped too. Paths of unix sockets are looked up on every line, so a restarted receiver is found again.
- stdout and stderr are shared with whoever started us; setting O_NONBLOCK on them would break a shell or a parent. A pipe
  or terminal is opened anew through /proc/self/fd, which gives a file description of our own; a socket is asked per
  call (MSG_DONTWAIT); a regular file does not block. Only what can be opened in none of these ways is polled before each write.
- Lines of up to PIPE_BUF bytes are written whole, also when several processes share the pipe. What was written in part is
  finished before anything else.

Source: HAProxy configuration manual 4.2 `log`; pipe(7), unix(7).
"""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from common.errors import ConfigError
from common.model import Address, AddressKind, LogTarget
from common.net.sockaddr import resolve, sockaddr
from common.observe.log_line import DEFAULT_PORT, LEVELS, NO_STRUCTURED_DATA, LineWriter, Sample, stamps

BACKLOG_BYTES_MAX = 256 * 1024
RETRY_S = 0.05  # how soon a full outlet is tried again
_STREAMS = {"stdout": 1, "stderr": 2}


class Sender(Protocol):
    """Sends one line. Returns how many bytes were taken (all of them for a datagram).

    Raises BlockingIOError when the receiver is full, OSError when it is gone.
    """

    def __call__(self, line: bytes, /) -> int: ...


class Outlet:
    """One receiver: its sender, what waits for it, and how many lines it did not get.

    connected: a datagram socket that reports on the next send that nobody listens.
    """

    __slots__ = ("_backlog", "_close", "_connected", "_send", "_waiting", "dropped", "name")

    def __init__(self, name: str, send: Sender, close: Callable[[], None], *, connected: bool = False) -> None:
        self.name = name
        self._connected = connected
        self.dropped = 0
        self._send = send
        self._close = close
        self._backlog: deque[bytes] = deque()
        self._waiting = 0  # bytes in the backlog

    def write(self, line: bytes) -> bool:
        """Send a line now or keep it for later; False says that the backlog has begun to fill (see `Outlets.drain`)."""
        if not self._backlog:
            try:
                sent = self._offer(line)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.dropped += 1
                return True
            if sent == len(line):
                return True
            line = line[sent:]
        elif self._waiting + len(line) > BACKLOG_BYTES_MAX:
            self.dropped += 1
            return True
        self._backlog.append(line)
        self._waiting += len(line)
        return False

    def _offer(self, line: bytes) -> int:
        try:
            return self._send(line)
        except ConnectionRefusedError:
            if not self._connected:
                raise
            self.dropped += 1  # an earlier line is lost; this one was not sent yet
            return self._send(line)

    def flush(self) -> bool:
        """Send what waits, as far as the receiver takes it. True when nothing waits any more."""
        backlog = self._backlog
        while backlog:
            try:
                sent = self._offer(backlog[0])
            except BlockingIOError:
                return False
            except OSError:
                self.dropped += 1
                sent = len(backlog[0])
            self._waiting -= sent
            if sent < len(backlog[0]):
                backlog[0] = backlog[0][sent:]
                return False
            backlog.popleft()
        return True

    @property
    def waiting(self) -> int:
        return len(self._backlog)

    def close(self) -> None:
        self.flush()
        self.dropped += len(self._backlog)
        self._backlog.clear()
        self._close()


class Outlets:
    """All receivers of one process, each opened once however many `log` lines name it."""

    __slots__ = ("_event", "_outlets")

    def __init__(self) -> None:
        self._outlets: dict[str, Outlet] = {}
        self._event: trio.Event | None = None

    def open(self, target: LogTarget) -> Outlet:
        """The outlet of a target. Raises ConfigError when it cannot be opened at all."""
        name = target.stream or str(target.address)
        if name not in self._outlets:
            self._outlets[name] = _open_outlet(target)
        return self._outlets[name]

    @property
    def dropped(self) -> int:
        return sum(outlet.dropped for outlet in self._outlets.values())

    def backlog_began(self) -> None:
        if self._event is not None:
            self._event.set()

    def flush(self) -> bool:
        """Try every backlog once. True when nothing waits any more."""
        return not [outlet.name for outlet in self._outlets.values() if not outlet.flush()]

    async def drain(self) -> None:
        """The trio task that empties backlogs; cancel it at the end of the process."""
        while True:
            self._event = trio.Event()
            if self.flush():
                await self._event.wait()
            else:
                await trio.sleep(RETRY_S)

    def close(self) -> None:
        """Last try for what waits, then close. For the end of the process."""
        for outlet in self._outlets.values():
            outlet.close()
        self._outlets.clear()


class Logger:
    """Where one proxy (or the process itself) logs to.

    tag: the proxy's `log-tag` or the global one. pid: the master's. hostname: of `log-send-hostname`, "" without it.
    """

    __slots__ = ("_outlets", "_second", "_stamps", "_targets", "level")

    def __init__(self, targets: Sequence[LogTarget], outlets: Outlets, tag: str, pid: int, hostname: str = "") -> None:
        self._outlets = outlets
        self._targets = [_Target(target, outlets.open(target), LineWriter(target, tag, pid, hostname)) for target in targets]
        self.level = max((LEVELS[target.level] for target in targets), default=-1)  # the least important that anyone wants
        self._second = 0
        self._stamps = stamps(0, 0)

    def __bool__(self) -> bool:
        """Whether anybody listens: without it no line need be made."""
        return bool(self._targets)

    def log(self, level: int, text: bytes, structured: bytes = NO_STRUCTURED_DATA) -> None:
        """Send one line to every target that wants this level. Never waits, never raises."""
        if level > self.level:
            return
        now_ns = time.time_ns()
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second = second
            self._stamps = stamps(second, time.localtime(second).tm_gmtoff)
        microsecond = now_ns // 1000 % 1_000_000
        for target in self._targets:
            if level <= target.level and (target.sample is None or target.sample.take()):
                shown = level if level > target.min_level else target.min_level
                if not target.write(target.render(shown, text, self._stamps, microsecond, structured)):
                    self._outlets.backlog_began()


class _Target:
    """One `log` line of a logger, ready to use."""

    __slots__ = ("level", "min_level", "render", "sample", "write")

    def __init__(self, target: LogTarget, outlet: Outlet, writer: LineWriter) -> None:
        self.level = LEVELS[target.level]
        self.min_level = LEVELS[target.min_level]
        self.sample = Sample(target.sample, target.sample_size) if target.sample else None
        self.write = outlet.write
        self.render = writer.render


def _open_outlet(target: LogTarget) -> Outlet:
    if target.stream:
        return _open_descriptor(target.stream, _STREAMS[target.stream])
    address = target.address
    if address is None:
        raise ConfigError("a log line without an address has no receiver")
    if address.kind is AddressKind.FD:
        return _open_descriptor(str(address), address.fd)
    if address.kind in (AddressKind.INET, AddressKind.INET6):
        return _open_internet(address)
    return _open_unix(address)


def _open_internet(address: Address) -> Outlet:
    """Connected: cheaper per line, and an ICMP "port unreachable" is heard (on the next send, which is then tried again)."""
    family, where = sockaddr(resolve(address))
    if isinstance(where, tuple) and not where[1]:
        where = (where[0], DEFAULT_PORT, *where[2:])
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.connect(where)
    except OSError as error:
        sock.close()
        raise ConfigError(f"cannot log to {address}: {error.strerror or error}") from error
    return Outlet(str(address), sock.send, sock.close, connected=True)


def _open_unix(address: Address) -> Outlet:
    """Not connected: the path is looked up on each line, for a receiver that was restarted has a new socket there."""
    _family, where = sockaddr(address)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    return Outlet(str(address), lambda line: sock.sendto(line, where), sock.close)


def _open_descriptor(name: str, fd: int) -> Outlet:
    """A descriptor that was given to us, without touching the flags that others share with it."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError as error:
        raise ConfigError(f"cannot log to {name}: {error.strerror or error}") from error
    if stat.S_ISSOCK(mode):
        sock = socket.socket(fileno=os.dup(fd))
        return Outlet(name, lambda line: sock.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL), sock.close)
    if stat.S_ISREG(mode):
        return Outlet(name, lambda line: os.write(fd, line), lambda: None)
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return _polled_descriptor(name, fd)
    return Outlet(name, lambda line: os.write(own, line), lambda: os.close(own))


def _polled_descriptor(name: str, fd: int) -> Outlet:
    """Ask before each write. A pipe that polls writable takes PIPE_BUF bytes without blocking, so no more are offered."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)

    def send(line: bytes) -> int:
        if not poll.poll(0):
            raise BlockingIOError
        return os.write(fd, line[: select.PIPE_BUF])

    return Outlet(name, send, lambda: None)
