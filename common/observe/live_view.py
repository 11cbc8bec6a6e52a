"""What `usher top` shows: rows of `show stat` between two moments, sorted. Sans-io; the terminal is common/control/top.py.

Rates are differences of totals between two polls, so that they are right over reloads and for any interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

KINDS: Final = {"0": "frontend", "1": "backend", "2": "server", "3": "listener"}
COLUMNS: Final = ("name", "state", "sess", "sess/s", "req/s", "in/s", "out/s", "2xx/s", "4xx/s", "5xx/s", "queue", "err", "ms")
SORTS: Final = ("file", *COLUMNS[2:])
_UNITS: Final = ("", "k", "M", "G", "T")

Stat = Mapping[str, str]
"""One row of `show stat`, by column."""


@dataclass(frozen=True, slots=True)
class Line:
    """kind: frontend, backend, server or listener. values: the numbers behind the cells, by column."""

    kind: str
    proxy: str
    name: str
    state: str
    values: Mapping[str, float]

    def cells(self) -> list[str]:
        title = self.proxy if self.kind in ("frontend", "backend") else f"  {self.name}"
        shown = [title, self.state]
        for column in COLUMNS[2:]:
            shown.append(short(self.values[column]) if column in self.values else "")
        return shown


def lines(before: Sequence[Stat], now: Sequence[Stat], elapsed_s: float, sort: str = "file", wanted: str = "") -> list[Line]:
    """The lines of two polls. sort: a column, largest first, or "file": as the configuration has them. wanted: part of a name."""
    earlier = {(row["pxname"], row["svname"]): row for row in before}
    made = [_line(earlier.get((row["pxname"], row["svname"])), row, max(elapsed_s, 0.001)) for row in now]
    made = [line for line in made if wanted.lower() in f"{line.proxy} {line.name}".lower()]
    return made if sort == "file" else sorted(made, key=lambda line: -line.values.get(sort, 0.0))


def _line(before: Stat | None, row: Stat, elapsed_s: float) -> Line:
    values: dict[str, float] = {}

    def rate(name: str, *columns: str) -> None:
        if any(row.get(column) for column in columns):
            past = sum(_number(before.get(column, "")) for column in columns) if before is not None else None
            total = sum(_number(row.get(column, "")) for column in columns)
            values[name] = max(0.0, (total - past) / elapsed_s) if past is not None else 0.0

    for name, column in (("sess", "scur"), ("queue", "qcur"), ("ms", "ttime")):
        if row.get(column):
            values[name] = _number(row[column])
    rate("sess/s", "stot")
    rate("req/s", "req_tot")
    rate("in/s", "bin")
    rate("out/s", "bout")
    for digit in "245":
        rate(f"{digit}xx/s", f"hrsp_{digit}xx")
    errors = [row[column] for column in ("ereq", "econ", "eresp", "eint") if row.get(column)]
    if errors:
        values["err"] = sum(map(_number, errors))
    return Line(KINDS.get(row.get("type", ""), ""), row["pxname"], row["svname"], row.get("status", ""), values)


def short(value: float) -> str:
    """1234567 as 1.2M; nothing for zero, so that the eye finds what is not."""
    if not value:
        return "·"
    unit = 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f}{_UNITS[unit]}" if value < 10 and (unit or value != int(value)) else f"{value:.0f}{_UNITS[unit]}"


def colour(state: str) -> str:
    """Of a state's cell."""
    if state.startswith("MAINT"):
        return "magenta"
    if state.startswith(("DOWN", "STOP")):
        return "red"
    return "yellow" if state.startswith(("NOLB", "DRAIN", "FULL", "PAUSED")) or "/" in state else "green"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
