"""A service under test: real processes, started from a configuration text, and everything that a test asks about them."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

DEADLINE_S = 20.0
ROOT = Path(__file__).parents[3]

DEFAULTS = """
defaults
    mode http
    timeout client 5s
    timeout connect 5s
    timeout server 5s
"""


def eventually(what: str, holds: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
    """Wait for a fact of the outside that nobody announces."""
    end = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < end, f"never came true: {what}"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Running:
    """One started service. folder holds its file (usher.cfg) and its unix sockets. Everything it prints is in `output`."""

    def __init__(
        self,
        folder: Path,
        text: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        before_exec: Callable[[], None] | None = None,
        command: Sequence[str] = ("-m", "tests.common.control.echo_service"),
    ) -> None:
        self.folder = folder
        self.output = ""
        self._eof = False
        self.config = folder / "usher.cfg"
        self.write(text)
        self._ready, ready = os.pipe()
        self._output, output = os.pipe()
        os.set_blocking(self._output, False)
        self.mark = f"{os.getpid()}-{time.monotonic_ns()}"
        self.process = subprocess.Popen(
            [sys.executable, *command, *arguments, "-f", str(self.config)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "ECHO_READY": str(ready), "ECHO_MARK": self.mark, **(environment or {})},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(ready, *pass_fds),
            preexec_fn=before_exec,
            start_new_session=True,
        )
        os.close(ready)
        os.close(output)

    def write(self, text: str) -> None:
        """The configuration; {folder} stands for the folder of the test, {pid} for a number that no other test run has."""
        self.config.write_text(DEFAULTS + text.replace("{folder}", str(self.folder)).replace("{pid}", str(os.getpid())))

    # --- what it says --------------------------------------------------------------------------------------------

    def ready(self) -> Running:
        """Wait until it serves."""
        readable, _, _ = select.select([self._ready], [], [], DEADLINE_S)
        said = os.read(self._ready, 100) if readable else b""
        assert said == b"READY\n", f"it never served: {self.read()}"
        return self

    def read(self) -> str:
        """Everything printed until now."""
        while not self._eof:
            try:
                part = os.read(self._output, 65536)
            except BlockingIOError:
                break
            self._eof = not part
            self.output += part.decode()
        return self.output

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until a line matches."""
        eventually(f"{pattern!r} in the output", lambda: re.search(pattern, self.read(), re.MULTILINE))
        found = re.search(pattern, self.output, re.MULTILINE)
        assert found
        return found

    # --- its processes -------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self.process.pid

    def processes(self) -> dict[int, str]:
        """pid -> name of every living process of the service, whoever its parent is by now."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if f"ECHO_MARK={self.mark}\0".encode() in (entry / "environ").read_bytes() and alive(int(entry.name)):
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
            except OSError:
                continue
        return found

    def pid_of(self, name: str) -> int:
        """The pid of the one process with that name: "usher-zygote", "usher-work-1", "usher-disp-1"."""
        eventually(f"one process {name}", lambda: list(self.processes().values()).count(name) == 1)
        return next(pid for pid, found in self.processes().items() if found == name)

    # --- its answers ---------------------------------------------------------------------------------------------

    def connect(self, name: str) -> socket.socket:
        """A connection to the unix socket of that name in the folder."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(DEADLINE_S)
        try:
            client.connect(str(self.folder / name))
        except OSError:
            client.close()
            raise
        return client

    def ask(self, name: str, word: str = "who") -> str:
        """Role, number, generation and pid of the process that answers on a socket; "" if it hung up."""
        with self.connect(name) as client:
            client.sendall(word.encode() + b"\n")
            return client.recv(200).decode().strip()

    # --- its end -------------------------------------------------------------------------------------------------

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def end(self, signum: int = 0, *, within_s: float = DEADLINE_S) -> int:
        """Send a signal, wait for the end and return the exit code. Nobody may be left, and nobody may hold its output."""
        if signum:
            self.signal(signum)
        code = self.process.wait(within_s)
        eventually("everybody has let go of stdout", lambda: self.read() is not None and self._eof, 2.0)
        assert self.processes() == {}
        assert "Traceback" not in self.output, self.output
        return code

    def close(self) -> None:
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        os.close(self._ready)
        os.close(self._output)


@contextmanager
def running(folder: Path, text: str, *arguments: str, **more: object) -> Iterator[Running]:
    """A service that serves, and is gone afterwards whatever happened."""
    service = Running(folder, text, *arguments, **more)  # type: ignore[arg-type]
    try:
        yield service.ready()
    finally:
        service.close()
