"""`usher top`: the running service in a terminal, renewed every second.

    usher top                   of the socket that `usher ctl` would use (-s, -f, USHER_SOCKET)
    usher top --once            one picture, for scripts

Keys: s sorts by the next column, r by the one before, / filters by name, space pauses, q ends.

Needs the package rich (extra `views`), which knows terminals; without it the command says so.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import select
import socket
import sys
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from common.control.ctl import EXIT_NOBODY, NobodyThere, connect, find_socket
from common.control.operator import SocketLine
from common.errors import ConfigError
from common.observe.live_view import COLUMNS, SORTS, Stat, colour, lines

if TYPE_CHECKING:
    from rich.console import RenderableType

EXIT_NO_LIBRARY: Final = 1
PRINTED_WIDTH: Final = 140
MISSING: Final = (
    "usher top needs the Python package rich: pip install 'usher[views]', or apt-get install python3-rich; "
    "`usher ctl show stat` does without"
)


def main(argv: Sequence[str]) -> int:
    options = _parser().parse_args(list(argv))
    if importlib.util.find_spec("rich") is None:
        print(MISSING, file=sys.stderr)
        return EXIT_NO_LIBRARY
    try:
        line, origin = find_socket(options.socket, options.file, os.environ)
        return View(line, origin, options.every).show(once=options.once)
    except (NobodyThere, ConfigError) as error:
        print(f"usher top: {error}", file=sys.stderr)
        return EXIT_NOBODY


class View:
    """Polls and draws. sort and wanted: what the keys have chosen."""

    def __init__(self, line: SocketLine, origin: str, every_s: float) -> None:
        self._line, self._origin, self._every_s = line, origin, every_s
        self._before: tuple[float, list[Stat]] = (0.0, [])
        self._now: tuple[float, list[Stat]] = (0.0, [])
        self._facts: dict[str, str] = {}
        self.sort, self.wanted = 0, ""
        self._typing = self._paused = False

    def show(self, *, once: bool) -> int:
        from rich.console import Console
        from rich.live import Live

        self._poll()
        if once or not sys.stdout.isatty():
            time.sleep(self._every_s)
            self._poll()
            Console(width=None if sys.stdout.isatty() else PRINTED_WIDTH).print(self._drawn())
            return 0
        with Live(self._drawn(), screen=True, auto_refresh=False) as live, _keys():
            next_at = time.monotonic() + self._every_s
            while True:
                ready = select.select([sys.stdin], [], [], max(0.0, next_at - time.monotonic()))[0]
                if ready and not self._press(os.read(sys.stdin.fileno(), 64).decode("utf-8", "replace")):
                    return 0
                if time.monotonic() >= next_at:
                    next_at = time.monotonic() + self._every_s
                    if not self._paused:
                        self._poll()
                live.update(self._drawn(), refresh=True)

    def _press(self, keys: str) -> bool:
        """False: the end."""
        for key in keys:
            if self._typing:
                self._typing = key not in "\r\n\x1b"
                if key == "\x7f":
                    self.wanted = self.wanted[:-1]
                elif key.isprintable():
                    self.wanted += key
            elif key in "q\x03":
                return False
            elif key in "sr":
                self.sort = (self.sort + (1 if key == "s" else -1)) % len(SORTS)
            elif key == "/":
                self._typing, self.wanted = True, ""
            elif key == " ":
                self._paused = not self._paused
        return True

    def _poll(self) -> None:
        """Raises NobodyThere."""
        with connect(self._line, self._origin) as sock:
            sock.sendall(b"show info;show stat\n")
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("r", encoding="utf-8", errors="replace") as stream:
                info, _, stat = stream.read().partition("\n\n")
        self._facts = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
        self._before, self._now = self._now, (time.monotonic(), list(csv.DictReader(stat.strip().removeprefix("# ").splitlines())))

    def _drawn(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        facts, sort = self._facts, SORTS[self.sort]
        shown = ("Version", "Uptime", "Nbproc", "CurrConns", "ConnRate", "SessRate", "SslRate", "Idle_pct", "DroppedLogs")
        head = Text("Usher ", style="bold") + Text("  ".join(f"{name} {facts.get(name, '?')}" for name in shown))
        keys = f"sorted by {sort} (s, r)   filter {self.wanted or '-'}{'_' if self._typing else ''} (/)   q ends"
        table = Table(box=None, padding=(0, 1), header_style="bold", expand=True)
        for place, column in enumerate(COLUMNS):
            table.add_column(column, justify="left" if place < 2 else "right", no_wrap=True, style="cyan" if column == sort else None)
        elapsed_s = self._now[0] - self._before[0]
        for line in lines(self._before[1], self._now[1], elapsed_s, sort, self.wanted):
            name, state, *numbers = line.cells()
            title = Text(name, style="bold" if line.kind in ("frontend", "backend") else "")
            table.add_row(title, Text(state, style=colour(state)), *numbers, style="dim" if line.kind == "listener" else None)
        return Group(head, Text(("PAUSED   " if self._paused else "") + keys, style="dim"), table)


@contextmanager
def _keys() -> Iterator[None]:
    """Keys come one by one, and are not shown."""
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _parser() -> argparse.ArgumentParser:
    keys = "Keys: s, r sort; / filters; space pauses; q ends."
    parser = argparse.ArgumentParser(prog="usher top", description=f"The running service, live. {keys}")
    parser.add_argument("-s", "--socket", metavar="SOCKET", help="a path, an address with port, or abns@NAME")
    parser.add_argument("-f", "--file", metavar="FILE", action="append", default=[], help="the configuration whose socket is meant")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS", help="how often to look (1)")
    parser.add_argument("--once", action="store_true", help="one picture")
    return parser
