"""The programs under test, and one running instance of any of them.

`haproxy` is Debian's package: running the same stories with it proves that the stories ask for HAProxy's behaviour.
`usher` is ours. USHER_FLOWS="usher haproxy" (or one of them) chooses what the parameterised tests run with.

Every instance is started with a mark in its environment. Children keep their environment for life, wherever they are
re-parented, so the mark finds what a program left behind.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.flows.peers import eventually

PROGRAMS = os.environ.get("USHER_FLOWS", "usher haproxy").split()
STOP_S = 10.0
_MARK = "USHER_FLOW_MARK"
_marks = count(1)


@dataclass(frozen=True, slots=True)
class Program:
    """How a program is started (command, configuration file, after) and what it says when it is told to end.

    notifies: it tells NOTIFY_SOCKET when it is ready, which is later than when the kernel shows its sockets.
    codes_after: exit codes that a stop by this signal may give; HAProxy in the foreground dies of SIGTERM by default.
    """

    name: str
    command: tuple[str, ...]
    package: str = ""
    after: tuple[str, ...] = ()
    codes_after: tuple[tuple[int, tuple[int, ...]], ...] = ()
    notifies: bool = False

    def available(self) -> bool:
        return bool(self.command[0] == sys.executable or shutil.which(self.command[0]))

    def codes(self, signal_number: int) -> tuple[int, ...]:
        return dict(self.codes_after).get(signal_number, (0,))


HAPROXY = Program(
    "haproxy",
    ("haproxy", "-db", "-f"),
    package="haproxy",
    codes_after=((signal.SIGTERM, (-signal.SIGTERM, 0, 143)), (signal.SIGINT, (-signal.SIGINT, 130, 0))),
)
USHER = Program(
    "usher",
    (*shlex.split(os.environ.get("USHER_COMMAND", f"{sys.executable} -m common.control.command")), "-f"),
    codes_after=((signal.SIGTERM, (0, 143, -signal.SIGTERM)), (signal.SIGINT, (0, 130, -signal.SIGINT))),
    notifies=True,
)


def usher_tier(name: str, *after: str) -> Program:
    """One tier alone: `usher-dispatcher` or `usher-worker`, however the source is installed."""
    module = name.removeprefix("usher-")
    call = f"import sys; from common.control.command import {module}; sys.exit({module}())"
    return Program(name, (sys.executable, "-c", call, "-f"), after=after, codes_after=USHER.codes_after, notifies=True)


BY_NAME = {program.name: program for program in (HAPROXY, USHER)}


class Instance:
    """One started program: its process, what it prints, and how it is ended."""

    def __init__(
        self,
        program: Program,
        config: Path | None,
        *,
        pass_fds: tuple[int, ...] = (),
        arguments: tuple[str, ...] = (),
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        self.program = program
        self.mark = f"{os.getpid()}-{next(_marks)}"
        self._output: list[bytes] = []
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(f"\0usher-flow-{self.mark}")
        self.process = subprocess.Popen(
            [*program.command, *([str(config)] if config else []), *program.after, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=source_root(),
            env=os.environ | {_MARK: self.mark, "NOTIFY_SOCKET": f"@usher-flow-{self.mark}"},
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=before_exec,
        )
        self._reader = threading.Thread(target=self._read_output, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return int(self.process.pid)

    @property
    def output(self) -> str:
        return b"".join(self._output).decode("utf-8", "replace")

    def processes(self) -> dict[int, str]:
        """pid -> command line of every living process of this instance, its children wherever they are."""
        found = {}
        wanted = f"{_MARK}={self.mark}\0".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "environ").read_bytes() and _state(folder) not in "ZX":
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            except OSError:
                continue
        return found

    def by_role(self, role: str) -> list[int]:
        """The pids of Usher's living workers or dispatchers, by the name that the kernel shows: "usher-work-2", "usher-disp-1"."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                if re.fullmatch(rf"usher-{role[:4]}-[0-9]+", name):
                    found.append(pid)
        return sorted(found)

    def wait_listening(self, ports: set[int], names: set[str], *, deadline_s: float = STOP_S) -> None:
        """Waits until the kernel shows every port and local name as listening. No connection is made: it would be logged."""

        def ready() -> bool:
            if self.process.poll() is not None:
                self._reader.join(STOP_S)
                raise AssertionError(f"{self.program.name} ended with {self.process.returncode} at its start:\n{self.output}")
            return listening_ports(ports) and listening_names(names)

        eventually(ready, f"{self.program.name} listens on {ports} {names}", deadline_s=deadline_s)

    def wait_ready(self, *, deadline_s: float = STOP_S) -> None:
        """Waits until the program says that all of it is ready."""
        said = b""
        self._notices.settimeout(deadline_s)
        while b"READY=1" not in said:
            try:
                said += self._notices.recv(4096) + b"\n"
            except TimeoutError:
                raise AssertionError(f"{self.program.name} is not ready after {deadline_s} s:\n{self.output}") from None

    def send_signal(self, number: int) -> None:
        self.process.send_signal(number)

    def wait(self, *, deadline_s: float = STOP_S) -> int:
        try:
            return int(self.process.wait(deadline_s))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.program.name} still runs after {deadline_s} s:\n{self.output}") from None

    def stop(self, number: int = signal.SIGTERM, *, codes: tuple[int, ...] | None = None) -> str:
        """Ends the program by a signal and checks all that an orderly end promises; returns what it printed."""
        try:
            if self.process.poll() is None:
                self.send_signal(number)
            code = self.wait()
            eventually(lambda: not self.processes(), f"orphans are left: {self.processes()}")
            self._reader.join(STOP_S)
            assert not self._reader.is_alive(), "somebody still holds the program's stdout"
            assert code in (codes or self.program.codes(number)), f"exit code {code} after signal {number}:\n{self.output}"
            self.check_output()
            return self.output
        finally:
            self.kill()

    def check_output(self) -> None:
        assert "Traceback (most recent call last)" not in self.output, self.output
        assert "Task exception was never retrieved" not in self.output, self.output

    def kill(self) -> None:
        """Ends whatever is left, however; only processes of this instance. Idempotent."""
        for pid in [self.pid, *self.processes()]:
            if self.process.poll() is None or pid != self.pid:
                _kill(pid)
        if self.process.poll() is None:
            self.process.wait(STOP_S)
        self._reader.join(STOP_S)
        assert self.process.stdout
        self.process.stdout.close()
        self._notices.close()

    def _read_output(self) -> None:
        assert self.process.stdout
        while data := os.read(self.process.stdout.fileno(), 65536):
            self._output.append(data)


def listening_ports(ports: set[int]) -> bool:
    listening = {
        int(columns[1].rsplit(":", 1)[1], 16)
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for line in Path(table).read_text().splitlines()[1:]
        if (columns := line.split())[3] == "0A"
    }
    return ports <= listening


def listening_names(names: set[str]) -> bool:
    """Socket paths, and abstract names as /proc/net/unix writes them: they begin with @, and so does each NUL that pads them.

    A path counts when it exists: HAProxy binds another name first and renames it, which the kernel's table does not show.
    """
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    abstract = {row[7].rstrip("@") for row in rows if len(row) > 7 and row[3] == "00010000"}
    return all(name in abstract if name.startswith("@") else Path(name).exists() for name in names)


def open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def source_root() -> Path:
    return Path(__file__).resolve().parents[2]


def _state(folder: Path) -> str:
    return (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
