"""Bytes both ways between two streams until both directions have ended: mode tcp, tunnels, and the bulk of bodies.

Two ways to move them. *Copy* reads into one scratch buffer of the process and writes from there; only what the other side
does not take at once is kept, so an idle relay holds no memory. *Splice* moves pages through a pipe without bringing them
into the process (`option splice-auto/-request/-response`); it pays for bulk between two plain sockets, so a direction
switches to it when reads come back full, and a pipe is held only while bytes are in it.

The end of one direction is passed on (half-close) and the other goes on. Source: splice(2); HAProxy manual 4.2
"option splice-auto", "timeout tunnel", "timeout client-fin".
"""

from __future__ import annotations

import fcntl
import os
import socket
from dataclasses import dataclass
from math import ceil, inf

from common.model import Global
from common.net.pump import TICK_S, DeadlinePassed, Pump, Strand
from common.net.stream import Stream
from common.units import parse_size

SCRATCH_BYTES = 262144
SMALL_READ_BYTES = 32768
TURN_BYTES_MAX = 1 << 20
PIPE_BYTES = 262144
PIPES_KEPT_MAX = 64
_SPLICE = 0x01 | 0x02  # SPLICE_F_MOVE | SPLICE_F_NONBLOCK
_F_SETPIPE_SZ = 1031

_scratch = bytearray(SCRATCH_BYTES)
_scratch_view = memoryview(_scratch)
_pipes: list[tuple[int, int]] = []


class _PipeLimits:
    """bytes_each: `tune.pipesize`. most: `maxpipes`, 0 for `nosplice`. made: how many there are."""

    __slots__ = ("bytes_each", "made", "most")

    def __init__(self) -> None:
        self.bytes_each = PIPE_BYTES
        self.most: float = inf
        self.made = 0


_limits = _PipeLimits()


def limit_pipes(settings: Global, processes: int) -> None:
    """What section global says of pipes, for a process that is one of so many. Source: HAProxy manual 3.2 "maxpipes", "nosplice"."""
    if "tune.pipesize" in settings.tune:
        _limits.bytes_each = parse_size(settings.tune["tune.pipesize"][0]) or PIPE_BYTES
    if "maxpipes" in settings.extra:
        _limits.most = ceil(int(settings.extra["maxpipes"][-1][0]) / max(1, processes))
    if "nosplice" in settings.extra:
        _limits.most = 0


def take_pipe() -> tuple[int, int] | None:
    """An empty pipe, or None when descriptors have run out, or as many are used as may be (then bytes are copied)."""
    if _pipes:
        return _pipes.pop()
    if _limits.made >= _limits.most:
        return None
    try:
        ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    _limits.made += 1
    try:
        fcntl.fcntl(ends[1], _F_SETPIPE_SZ, _limits.bytes_each)
    except OSError:
        pass  # the user's share of pipe memory is used up: the kernel's default size does too
    return ends


def give_pipe(ends: tuple[int, int], *, empty: bool) -> None:
    """Return a pipe. One with bytes in it would leak them into another session, so it is closed."""
    if empty and len(_pipes) < PIPES_KEPT_MAX:
        _pipes.append(ends)
    else:
        _limits.made -= 1
        os.close(ends[0])
        os.close(ends[1])


class Flow:
    """One direction of a relay, or one body: from source to target.

    limit: bytes still to move before the flow is done (inf: until the source ends). Reads never pass it, so what follows a
    body on the same connection stays in the socket. held: read but not yet taken by the target. failed: the stream that
    raised, after an OSError. taken_from_source: bytes read from there.
    """

    __slots__ = (
        "bulk",
        "copied",
        "failed",
        "held",
        "limit",
        "pair",
        "pipe",
        "pipe_bytes",
        "source",
        "source_ended",
        "splice",
        "spliced",
        "taken_from_source",
        "target",
    )

    def __init__(self, source: Stream, target: Stream, *, limit: float = inf, held: bytes = b"", splice: bool = False) -> None:
        self.source = source
        self.target = target
        self.limit = limit
        self.held: memoryview | bytes = held
        self.splice = splice and not source.tls and not target.tls
        self.bulk = False
        self.pipe: tuple[int, int] | None = None
        self.pipe_bytes = 0
        self.source_ended = False
        self.copied = 0
        self.spliced = 0
        self.failed: Stream | None = None
        self.taken_from_source = 0
        self.pair: _Pair | None = None  # while it runs beside its other direction

    @property
    def expires_at(self) -> float:
        """When the relay that this belongs to has been silent for too long, in pump time; inf outside of one."""
        return self.pair.active_at + self.pair.limit_s if self.pair is not None else inf

    @property
    def moved(self) -> int:
        return self.copied + self.spliced

    @property
    def waiting(self) -> bool:
        """Bytes are on the way that the target did not take yet."""
        return bool(self.held) or self.pipe_bytes > 0

    @property
    def done(self) -> bool:
        return not self.waiting and (self.source_ended or self.limit <= 0)

    def step(self) -> bool:
        """Move what can be moved without waiting, at most TURN_BYTES_MAX; whether anything happened. Raises OSError."""
        start = self.copied + self.spliced
        source = self.source
        while True:
            if (self.held or self.pipe_bytes) and not self._flush():
                break
            if self.source_ended or self.limit <= 0 or source.drained:
                break
            if (self._splice() if self.splice and self.bulk else self._copy()) is None:
                break
            if self.copied + self.spliced - start >= TURN_BYTES_MAX:
                break
        return self.copied + self.spliced != start

    def _flush(self) -> bool:
        """Send what is held; whether nothing is left."""
        if self.held:
            held, self.held = self.held, b""
            return self._send(held)
        if self.pipe_bytes:
            return self._drain_pipe()
        return True

    def _send(self, data: bytes | memoryview) -> bool:
        """Send what the target takes now and hold the rest; whether it took all."""
        try:
            sent = self.target.send_now(data)
        except OSError:
            self.failed = self.target
            raise
        self.copied += sent
        if sent < len(data):
            rest = memoryview(data)[sent:]
            # The scratch buffer is everybody's: what stays must be taken out of it.
            self.held = rest if isinstance(data, bytes) or isinstance(rest.obj, bytes) else bytes(rest)
            return False
        return True

    def _copy(self) -> bool | None:
        """One read and one write. None: nothing to read now."""
        size = SCRATCH_BYTES if self.bulk else SMALL_READ_BYTES
        if self.limit < size:
            size = int(self.limit)
        source = self.source
        if source.tls:
            data = self._receive(size)
            if data is None:
                return None
            count = len(data)
            view = memoryview(data)
        else:
            if source.drained:
                return None
            try:
                count = source.sock.recv_into(_scratch, size)
            except BlockingIOError:
                source.drained = not source.ended
                return None
            except OSError:
                self.failed = source
                raise
            if count < size and not source.ended:
                source.drained = True
            view = _scratch_view[:count]
        if count == 0:
            self.source_ended = True
            return True
        self.taken_from_source += count
        self.bulk = count >= SMALL_READ_BYTES or (self.bulk and count == size)
        self.limit -= count
        self._send(view)
        return True

    def _receive(self, size: int) -> bytes | None:
        """As `recv_now`, but says who failed."""
        try:
            return self.source.recv_now(size)
        except OSError:
            self.failed = self.source
            raise

    def _splice(self) -> bool | None:
        """Fill the pipe from the source and empty it into the target. None: nothing to read now."""
        source = self.source
        if source.drained:
            return None
        if self.pipe is None:
            self.pipe = take_pipe()
            if self.pipe is None:
                self.splice = False
                return self._copy()
        try:
            count = os.splice(source.fd, self.pipe[1], int(min(self.limit, PIPE_BYTES)), flags=_SPLICE)
        except BlockingIOError:
            source.drained = not source.ended
            self._release_pipe()
            return None
        except OSError:
            self.failed = source
            raise
        if count == 0:
            self.source_ended = True
            self._release_pipe()
            return True
        self.taken_from_source += count
        self.bulk = count >= 4096
        self.limit -= count
        self.pipe_bytes += count
        self._drain_pipe()
        return True

    def _drain_pipe(self) -> bool:
        assert self.pipe is not None
        while self.pipe_bytes:
            try:
                sent = os.splice(self.pipe[0], self.target.fd, self.pipe_bytes, flags=_SPLICE)
            except BlockingIOError:
                return False
            except OSError:
                self.failed = self.target
                raise
            self.pipe_bytes -= sent
            self.spliced += sent
        self._release_pipe()
        return True

    def _release_pipe(self) -> None:
        if self.pipe is not None:
            give_pipe(self.pipe, empty=self.pipe_bytes == 0)
            self.pipe = None

    def close(self) -> None:
        """Let go of the pipe, whatever is in it."""
        self._release_pipe()
        self.pipe_bytes = 0
        self.held = b""


@dataclass(frozen=True, slots=True)
class Idle:
    """How long a relay may be silent, in seconds (inf: for ever).

    both: while both sides may speak: `timeout tunnel`, or the smaller of client and server. Once one side has ended its
    stream only the other one is waited for: for the server `server_fin`, else `server`; for the client `client_fin`, else
    `client`; where neither is set, as long as before. independent: what goes to a side is no sign of life from it, so that each
    direction has its own timeout (`option independent-streams`). Source: HAProxy manual 4.2 "timeout client-fin", "timeout server-fin".
    """

    both: float = inf
    client_fin: float = inf
    server_fin: float = inf
    client: float = inf
    server: float = inf
    independent: bool = False

    @property
    def for_client(self) -> float:
        return first_finite(self.client_fin, self.client, self.both)

    @property
    def for_server(self) -> float:
        return first_finite(self.server_fin, self.server, self.both)


def first_finite(*values: float) -> float:
    return next((value for value in values if value < inf), inf)


class _Pair:
    """What the two directions of a relay share."""

    __slots__ = ("active_at", "error", "limit_s", "main", "pump", "strands")

    def __init__(self, pump: Pump, main: Strand, limit_s: float) -> None:
        self.pump = pump
        self.main = main
        self.limit_s = limit_s
        self.active_at = pump.now
        self.error: BaseException | None = None  # of the strand beside the main one
        self.strands = [main]

    def ended(self, limit_s: float) -> None:
        """One direction has ended; from now on the other one has its own patience, counted from here."""
        self.limit_s = limit_s
        self.active_at = self.pump.now
        for strand in self.strands:
            if not (strand.done or strand.parked) and strand is not self.pump.current:
                self.pump.set_deadline(strand, self.pump.now + limit_s)


async def relay(pump: Pump, client: Stream, server: Stream, up: Flow, down: Flow, idle: Idle) -> None:
    """Run both flows to their ends: up from client to server, down from server to client.

    A strand for each direction: a message costs one wake-up, one read, one write. This strand carries `down`.
    Raises DeadlinePassed when neither moved for the idle time, OSError when a side failed (`up`/`down` tell how far they got).
    """
    main = pump.current
    assert main is not None
    up_s, down_s = (first_finite(idle.client, idle.both), first_finite(idle.server, idle.both)) if idle.independent else (0.0, 0.0)
    pair = _Pair(pump, main, max(up_s, down_s) or idle.both)
    beside = pump.spawn(_carry_beside(up, pair, idle.for_server, up_s), "relay")
    pair.strands.append(beside)
    up.pair = down.pair = pair
    try:
        await _carry(down, pair, idle.for_client, down_s)
        while not beside.done:
            await pump.park()
        if pair.error is not None:
            raise pair.error
    finally:
        pump.end(beside)
        up.pair = down.pair = None
        up.close()
        down.close()


async def _carry_beside(flow: Flow, pair: _Pair, limit_after_s: float, own_s: float) -> None:
    """The other direction: what it raises is raised in the main strand, once this one is over."""
    try:
        await _carry(flow, pair, limit_after_s, own_s)
    except (OSError, DeadlinePassed) as error:
        pair.error = error
        pair.pump.rouse(pair.main)
    else:
        pair.pump.wake(pair.main)


async def _carry(flow: Flow, pair: _Pair, limit_after_s: float, own_s: float) -> None:
    """One direction to its end, which is passed on. limit_after_s: how long the other one may be silent after that.

    own_s: how long this one may be, whatever the other one does; 0: what moves either way counts for both.
    """
    pump, source, target = pair.pump, flow.source, flow.target
    while True:
        if pair.error is not None:
            raise pair.error
        if flow.step():
            pair.active_at = pump.now
        if flow.done:
            break
        try:
            if flow.waiting:
                await _until_target_takes(flow, pump, pump.now + pair.limit_s)
            elif source.drained:
                await source.readable(pump.now + (min(own_s, pair.limit_s) if own_s else pair.limit_s))
            else:
                await pump.pause()
        except DeadlinePassed:
            # Not before the other direction is silent as well.
            if own_s or pump.now - pair.active_at >= pair.limit_s - TICK_S:
                raise
    target.shutdown_write()
    pair.ended(limit_after_s)


async def _until_target_takes(flow: Flow, pump: Pump, deadline: float) -> None:
    """Wait for the target, but not for one that takes its time when the source has been reset meanwhile. Raises OSError, DeadlinePassed.

    An ordinary end of the source is no news here: what it has sent before is still to be delivered.
    """
    source, strand = flow.source, pump.current
    assert strand is not None
    source.watch_read(strand)
    try:
        await flow.target.writable(deadline)
    finally:
        source.reader = None
    if source.ended and (error := source.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
        flow.failed = source
        raise OSError(error, os.strerror(error))
