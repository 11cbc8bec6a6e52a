"""Which processor cores a process runs on: `cpu-map`, read for processes instead of threads. Sans-io.

HAProxy maps process numbers, and threads within a process. Here a worker is what a thread is there: `cpu-map 2 1` and
`cpu-map 1/2 1` both put number 2 on core 1. Where the file names processes, its numbers mean dispatchers as well; where it does
not, dispatchers are left to the kernel, for they would share the numbers of workers.

Source: HAProxy configuration manual 3.1 "cpu-map".
"""

from __future__ import annotations

from collections.abc import Sequence

from common.model import Config
from common.process.launch import WORKER

NUMBERS_MAX = 4096  # of a set that is open to the right, such as "2-"


def cores(config: Config, role: str, number: int) -> frozenset[int]:
    """The cores of one process; empty = not said. Of several lines that name it, the last one holds."""
    named = any(bind.processes for proxy in config.proxies for bind in proxy.binds)
    if role != WORKER and not named:
        return frozenset()
    found: frozenset[int] = frozenset()
    for line in config.globals.cpu_map:
        found = _cores_of_line(line, number) or found
    return found


def _cores_of_line(line: Sequence[str], number: int) -> frozenset[int]:
    target, *sets = line
    target, automatic = target.removeprefix("auto:"), target.startswith("auto:")
    processes, slash, threads = target.partition("/")
    numbers = _numbers(threads if slash else processes, first=1)
    if number not in numbers:
        return frozenset()
    listed = [core for text in sets for part in text.split(",") for core in _numbers(part, first=0)]
    if not automatic:
        return frozenset(listed)
    # auto: the first number gets the first core, and so on.
    position = numbers.index(number)
    return frozenset(listed[position : position + 1])


def _numbers(text: str, *, first: int) -> list[int] | range:
    """A set as HAProxy writes it: 3, 1-4, 2-, all, odd, even."""
    if text in ("all", "odd", "even"):
        start = first if text == "all" else 1 if text == "odd" else 2 - 2 * (first == 0)
        return range(start, NUMBERS_MAX, 1 if text == "all" else 2)
    low, dash, high = text.partition("-")
    return range(int(low), (int(high) if high else NUMBERS_MAX if dash else int(low)) + 1)
