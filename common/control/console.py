"""What the service says to whoever started it: HAProxy's lines on stderr, and the same in the logs of section global.

Source: HAProxy management guide 3 (-q, -V), 8.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from enum import Enum


class Level(Enum):
    """The label of a line, and its syslog level."""

    ALERT = ("[ALERT]    ", 1)
    WARNING = ("[WARNING]  ", 4)
    NOTICE = ("[NOTICE]   ", 5)


class Console:
    """Lines carry the pid of the master, which names the service.

    fd: where lines go; -1 = nowhere (a daemon, once it has started). also: hears (syslog level, text), for logs.
    transcript: while somebody wants to know what is said, it is kept there too.
    """

    __slots__ = ("also", "fd", "quiet", "transcript")

    def __init__(self, *, quiet: bool = False, fd: int = 2) -> None:
        self.quiet = quiet
        self.fd = fd
        self.also: Callable[[int, str], None] | None = None
        self.transcript: list[str] | None = None

    def alert(self, text: str) -> None:
        self._say(Level.ALERT, text)

    def warning(self, text: str) -> None:
        self._say(Level.WARNING, text)

    def notice(self, text: str) -> None:
        self._say(Level.NOTICE, text)

    def remark(self, text: str) -> None:
        """A notice for whoever started the service, and not for the logs: what HAProxy has no line for."""
        also, self.also = self.also, None
        try:
            self._say(Level.NOTICE, text)
        finally:
            self.also = also

    def show(self, text: str) -> None:
        """A report that has its labels already, such as that of the configuration; not for logs."""
        if self.transcript is not None:
            self.transcript.append(text)
        if self.fd >= 0 and not self.quiet:
            write(self.fd, text)

    def _say(self, level: Level, text: str) -> None:
        label, syslog_level = level.value
        lines = "".join(f"{label}({os.getpid()}) : {line}\n" for line in text.splitlines())
        if self.transcript is not None:
            self.transcript.append(lines)
        # -q silences the chatter of a start, never the reason of a failure.
        if self.fd >= 0 and not (self.quiet and level is not Level.ALERT):
            write(self.fd, lines)
        if self.also is not None:
            self.also(syslog_level, text)


def write(fd: int, text: str) -> None:
    """All of it, or as much as whoever reads will take: a closed terminal is no reason to fail."""
    content = text.encode("utf-8", "backslashreplace")
    with contextlib.suppress(OSError):
        while content:
            content = content[os.write(fd, content) :]
