"""A syslog server for tests: keeps what arrives on a UDP port and lets a test wait for the line it expects."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass

DEADLINE_S = 5.0

_RFC3164 = re.compile(r"<(\d+)>(\w{3} [ \d]\d \d\d:\d\d:\d\d) (?:(\S+) )?([\w./-]+)\[(\d+)\]: (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LogLine:
    """One datagram. priority = facility * 8 + severity; text = what follows "tag[pid]: "; raw = all of it."""

    priority: int
    tag: str
    pid: int
    text: str
    raw: str

    @property
    def severity(self) -> int:
        return self.priority & 7


class SyslogReceiver:
    """Collects datagrams. The kernel's buffer holds them until a test looks, so there is no thread."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.lines: list[LogLine] = []

    def expect(self, pattern: str, *, deadline_s: float = DEADLINE_S) -> LogLine:
        """Takes the first line whose text matches (re.search) and returns it. Fails with all that came instead."""
        wanted = re.compile(pattern)
        until = time.monotonic() + deadline_s
        looked = 0
        while True:
            for index in range(looked, len(self.lines)):
                if wanted.search(self.lines[index].text):
                    return self.lines.pop(index)
            looked = len(self.lines)
            if not self._receive(max(0.0, until - time.monotonic())):
                came = "\n".join(line.text for line in self.lines[-20:])
                raise AssertionError(f"no log line matches {pattern!r} after {deadline_s} s; the last that came:\n{came}")

    def seen(self, pattern: str) -> list[LogLine]:
        """All lines that have arrived and match; waits for nothing."""
        while self._receive(0.0):
            pass
        return [line for line in self.lines if re.search(pattern, line.text)]

    def close(self) -> None:
        self._socket.close()

    def _receive(self, wait_s: float) -> bool:
        self._socket.settimeout(wait_s)
        try:
            raw = self._socket.recv(65536).decode("latin-1")
        except (TimeoutError, BlockingIOError):
            return False
        match = _RFC3164.fullmatch(raw.rstrip("\n"))
        if match:
            self.lines.append(LogLine(int(match[1]), match[4], int(match[5]), match[6], raw))
        else:
            self.lines.append(LogLine(-1, "", 0, raw, raw))
        return True
