"""The zygote: a small process without threads or event loop, from which every dispatcher and worker is forked.

Facts.
- Forking a process that runs trio (or has threads) is asking for trouble, and forking one that holds client
  connections would copy them. So the fork happens in a process that does nothing else.
- TLS session tickets: contexts made before a fork share their ticket key. Made here, a ticket of any worker is good at
  every other one, and at those that replace it after a crash.
- What is imported here once is shared by all children, and they start in milliseconds.

Plan. The master forks the zygote before it starts trio, and tells it over a SEQPACKET pair what to import and what to
start. A start carries its `Launch` pickled in a memfd, which the zygote passes on unread, and all descriptors of the
child. The zygote answers with pid and pidfd, reaps its children and reports how they ended. It lives as long as its
master: at the end of the channel it leaves, and its children go on serving.

When the zygote dies, the master needs another one but now runs trio. Forking there would inherit the event loop, its
descriptors and whatever thread holds a lock; so a later zygote is a fresh interpreter (`start_by_exec`) that imports
the program again: 0.3 s that nobody waits for. This is also how a reload picks up an upgraded program.

Source: unix(7), pidfd_open(2), fork(2).
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import os
import pickle
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import UsherError
from common.process import affinity, messages
from common.process.faults import describe
from common.process.launch import CONTROL, Launch
from common.process.limits import limit_memory

EXIT_BROKEN = 70  # EX_SOFTWARE of sysexits.h: a bug of ours ended the process
_FIRST_FD = 3
_EXEC_CODE = "import sys; sys.path[:] = {path!r}; from common.process import zygote; zygote.main({fd})"


@dataclass(frozen=True, slots=True)
class Job:
    """What a forked child is to do. payload_fd: the memfd with its pickled Launch."""

    entry: str
    title: str
    payload_fd: int
    fds: tuple[int, ...]


def start_by_fork() -> tuple[socket.socket, int]:
    """(the master's end of the channel, pid). For a process that has no threads and runs no event loop."""
    ours, theirs = _pair()
    _flush()  # or the child would write it once more
    pid = os.fork()
    if pid == 0:
        ours.detach()  # or its finaliser would one day close a number that by then is someone else's
        main(theirs.detach())
    theirs.close()
    return ours, pid


def start_by_exec() -> tuple[socket.socket, int]:
    """(the master's end of the channel, pid) of a zygote in a fresh interpreter. Works anywhere."""
    ours, theirs = _pair()
    with theirs:
        code = _EXEC_CODE.format(path=[os.path.abspath(entry) for entry in sys.path], fd=_FIRST_FD)
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-c", code],
            os.environ,
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), _FIRST_FD)],
            setsigmask=(),
        )
    return ours, pid


def main(channel_fd: int) -> None:
    """The whole life of a zygote, and of each of its children; never returns."""
    code = EXIT_BROKEN
    try:
        job = _Zygote(channel_fd).serve()
        code = run(job) if job else 0
    except BaseException:  # nothing may climb into the master's frames, of which this process has a copy
        traceback.print_exc()
    finally:
        os._exit(code)


def run(job: Job) -> int:
    """Run a child's program and return its exit code.

    An error that ends the program is told to the master over the control channel, in one line, and the master logs it
    under its own pid: a child has no name that an operator knows, and in daemon mode no stderr.
    """
    _set_name(job.title)
    with open(job.payload_fd, "rb") as payload:
        launch: Launch = pickle.load(payload)
    launch.fds = {name: job.fds[index] for name, index in launch.fds.items()}
    _settle_inherited(launch)
    if launch.environment:
        os.environ.clear()
        os.environ.update(launch.environment)
    if launch.memory_bytes_max:
        limit_memory(launch.memory_bytes_max)
    _settle_on_cores(launch)
    try:
        if launch.config.directory:
            os.chdir(launch.config.directory)
        return _call(job.entry, launch)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (OSError, UsherError) as error:
        _tell(launch, str(error))
        return 1
    except BaseException as error:
        _tell(launch, describe(error))
        if "" in launch.debug:
            traceback.print_exc()
        return EXIT_BROKEN
    finally:
        _flush()


def resolve(name: str) -> Callable[..., Any] | None:
    """Import "module" (None) or "module:function" (the function)."""
    module_name, _, function_name = name.partition(":")
    module = importlib.import_module(module_name)
    function: Callable[..., Any] | None = getattr(module, function_name) if function_name else None
    return function


class _Zygote:
    """The loop. In a forked child `serve` returns the child's job; in the zygote it returns None when the master is gone."""

    __slots__ = ("_assembler", "_channel", "_poll", "_wakeup_in", "_wakeup_out")

    def __init__(self, channel_fd: int) -> None:
        _keep_only([channel_fd])
        _set_name("usher-zygote")
        self._channel = socket.socket(fileno=channel_fd)
        self._assembler = messages.Assembler()
        self._wakeup_in, self._wakeup_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(self._channel, select.POLLIN)
        self._poll.register(self._wakeup_in, select.POLLIN)
        _ignore_signals()
        signal.signal(signal.SIGCHLD, lambda _signum, _frame: None)
        signal.set_wakeup_fd(self._wakeup_out, warn_on_full_buffer=False)

    def serve(self) -> Job | None:
        while True:
            ready = {fd for fd, _events in self._poll.poll()}
            try:
                if self._wakeup_in in ready:
                    self._reap()
                if self._channel.fileno() in ready:
                    received = messages.receive_blocking(self._channel, self._assembler)
                    if received is None:
                        return None
                    job = self._obey(*received)
                    if job:
                        return job
            except (OSError, messages.ChannelError):
                return None  # the master is gone, or talks nonsense: then it starts another zygote

    def _obey(self, message: messages.Message, fds: Sequence[int]) -> Job | None:
        if message["op"] == "import":
            self._reply({"op": "imported", "error": self._import(message["names"])})
            return None
        assert message["op"] == "spawn", message
        job = Job(message["entry"], message["title"], fds[0], tuple(fds[1:]))
        # A signal that comes between fork and `_default_signals` must wait, or the child would ignore it as we do.
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                self._leave(job)
                return job
        except OSError as error:
            self._reply({"op": "failed", "spawn": message["spawn"], "error": f"fork: {error.strerror}"})
            messages.close_fds(fds)
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
        messages.close_fds(fds)
        pidfd = os.pidfd_open(pid)
        self._reply({"op": "spawned", "spawn": message["spawn"], "pid": pid}, [pidfd])
        os.close(pidfd)
        return None

    def _import(self, names: Sequence[str]) -> str:
        """Import modules and call functions once, for all children to come. Returns what went wrong, in a line."""
        try:
            for name in names:
                function = resolve(name)
                if function:
                    function()
        except Exception as error:
            return describe(error)
        # What lives now lives for ever. Kept out of the collector's sight it is never written to, and so stays shared.
        gc.collect()
        gc.freeze()
        return ""

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wakeup_in, 4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                self._reply({"op": "exited", "pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _reply(self, message: messages.Message, fds: Sequence[int] = ()) -> None:
        messages.send_blocking(self._channel, message, fds)

    def _leave(self, job: Job) -> None:
        """In the child: let go of everything that is the zygote's."""
        signal.set_wakeup_fd(-1)
        self._channel.detach()
        _keep_only([job.payload_fd, *job.fds])
        _default_signals()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # whoever reads it may be gone
            if stream is not None:  # as it is when the descriptor was closed at the start
                stream.flush()


def _pair() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def _keep_only(fds: Sequence[int]) -> None:
    """Close every descriptor but the three standard ones and these."""
    start = _FIRST_FD
    for fd in sorted(fds):
        os.closerange(start, fd)
        start = fd + 1
    os.closerange(start, os.sysconf("SC_OPEN_MAX"))


def _ignore_signals() -> None:
    """The zygote ends with its master, never before: a Ctrl-C or a stop of the whole control group is the master's to handle."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT):
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _default_signals() -> None:
    """What a program expects at its start, whatever the shell or the zygote ignored: SIGINT ends it."""
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE}:
        with contextlib.suppress(OSError, ValueError):  # two of the C library's own cannot be set
            signal.signal(signum, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def _set_name(title: str) -> None:
    """The name that top and `ps -o comm` show; the kernel cuts it to 15 bytes."""
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
        comm.write(title)


def _settle_inherited(launch: Launch) -> None:
    """Put descriptors that the configuration names by number (`log fd@3`) at that number; whatever sits there moves away."""
    wanted = {name: int(name.partition(":")[2]) for name in launch.fds if name.startswith("inherited:")}
    floor = max(wanted.values(), default=0) + 1
    for name, fd in launch.fds.items():
        if wanted and fd < floor:
            launch.fds[name] = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, floor)
            os.close(fd)
    for name, number in wanted.items():
        os.dup2(launch.fds[name], number, inheritable=False)
        os.close(launch.fds[name])
        launch.fds[name] = number


def _settle_on_cores(launch: Launch) -> None:
    wanted = affinity.cores(launch.config, launch.role, launch.number)
    if wanted:
        # Cores that this machine does not have are the configuration's business (a file for several machines): the others hold.
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, wanted)


def _call(entry: str, launch: Launch) -> int:
    program = resolve(entry)
    assert program, entry
    return int(program(launch) or 0)


def _tell(launch: Launch, text: str) -> None:
    """Tell the master why this process ends; without a master, whoever reads stderr."""
    with contextlib.suppress(KeyError, OSError):
        with socket.socket(fileno=os.dup(launch.fds[CONTROL])) as control:
            messages.send_blocking(control, {"op": "failed", "text": text})
        return
    with contextlib.suppress(OSError):
        os.write(2, f"[ALERT]    ({launch.master_pid}) : {launch.title}: {text}\n".encode())
