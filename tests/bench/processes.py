"""CPU time and memory of a process and all its descendants, from /proc. Source: proc(5)."""

from __future__ import annotations

import os
import re
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """`pid` and its living descendants."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(_after_name(stat.read_text())[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def name(pid: int) -> str:
    """What the kernel calls the process; without the number that ours have at the end."""
    try:
        return re.sub(r"[- ]\d+$", "", Path(f"/proc/{pid}/comm").read_text().strip())
    except OSError:
        return "gone"


def cpu_s(pid: int) -> float:
    """User and system seconds of one process, those of its reaped children included; 0 if it is gone."""
    try:
        fields = _after_name(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def resident_kb(pid: int) -> int:
    try:
        match = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(match[1]) if match else 0


def _after_name(stat: str) -> list[str]:
    """The fields of /proc/PID/stat after the name in parentheses, which may hold spaces."""
    return stat.rsplit(")", 1)[1].split()
