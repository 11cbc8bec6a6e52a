"""A running HAProxy for interop tests: started from a text, asked over its socket, ended with the test."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class RunningHaproxy:
    """lines: what it has written so far."""

    def __init__(self, socket_path: Path, process: subprocess.Popen[str]) -> None:
        self.socket_path = socket_path
        self.lines: list[str] = []
        self._process = process
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()

    def wait_for(self, text: str, times: int = 1) -> None:
        """Until so many lines with this text were written. Raises AssertionError after a while."""
        with self._more:
            assert self._more.wait_for(lambda: sum(text in line for line in self.lines) >= times, 10), f"{text!r} not in {self.lines}"

    def ask(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(str(self.socket_path))
            sock.sendall(command.encode() + b"\n")
            with sock.makefile() as answer:
                return answer.read()

    def ask_until(self, command: str, seen: Callable[[str], bool]) -> None:
        """Ask again and again until the answer is as wanted; AssertionError after a while."""
        end = time.monotonic() + 10
        while not seen(answer := self.ask(command)):
            assert time.monotonic() < end, answer

    def end(self) -> None:
        self._process.terminate()
        self._reader.join(10)


@contextlib.contextmanager
def haproxy(folder: Path, text: str) -> Iterator[RunningHaproxy]:
    """text: a configuration with {socket} for the path of its `stats socket`."""
    path = folder / "stats"
    (folder / "haproxy.cfg").write_text(text.replace("{socket}", str(path)))
    command = ["haproxy", "-db", "-W", "-f", str(folder / "haproxy.cfg")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        running = RunningHaproxy(path, process)
        try:
            running.wait_for("Loading success")
            yield running
        finally:
            running.end()
