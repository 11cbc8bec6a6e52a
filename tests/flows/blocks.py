"""One configuration of many independent blocks, of which a program may refuse a few.

Hundreds of cases share one start. A block that the program cannot read must fail its own case and no other, so the text
is checked first (`-c`), the blocks at fault are found by the line numbers of the report, and left out. Each block begins
with a line `# block NAME`.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.flows.programs import Program, source_root

ROUNDS_MAX = 10
_BLOCK = re.compile(r"^# block (\S+)$", re.MULTILINE)
_FAULT = re.compile(r"\[ALERT\].*?:(\d+)\] ?: ?(.*)")


def block(name: str, text: str) -> str:
    return f"\n# block {name}\n{text.strip()}\n"


def without_refused(program: Program, text: str, folder: Path, pass_fds: tuple[int, ...]) -> tuple[str, dict[str, str]]:
    """(the text without blocks that the program refuses, block -> what it said about it). Places must be filled in."""
    refused: dict[str, str] = {}
    if not _BLOCK.search(text):
        return text, refused
    config = folder / f"check-{program.name}.cfg"
    for _ in range(ROUNDS_MAX):
        config.write_text(text)
        command = [*program.command[:-1], "-c", "-f", str(config), *program.after]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=source_root(), pass_fds=pass_fds)
        if done.returncode == 0:
            return text, refused
        faults = faulty_blocks(text, done.stdout + done.stderr)
        if not faults:
            return text, refused  # not the fault of a block: let the start fail and show why
        refused |= faults
        text = remove(text, set(faults))
    return text, refused


def faulty_blocks(text: str, report: str) -> dict[str, str]:
    starts = [(text.count("\n", 0, match.start()) + 1, match[1]) for match in _BLOCK.finditer(text)]
    faults: dict[str, str] = {}
    for match in _FAULT.finditer(report):
        line = int(match[1])
        owner = [name for start, name in starts if start <= line]
        if owner:
            faults.setdefault(owner[-1], match[2])
    return faults


def remove(text: str, names: set[str]) -> str:
    head, *rest = re.split(r"(?m)^(?=# block )", text)
    kept = []
    for part in rest:
        match = _BLOCK.match(part)
        assert match
        if match[1] not in names:
            kept.append(part)
    return head + "".join(kept)
