"""What a server's agent says: one line of words. Sans-io.

Source: HAProxy configuration manual 5.2 "agent-check"; texts observed from 2.6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from common.health.outcome import Outcome, printable

_WORD: Final = re.compile(r"[^ \t,]+")
_ADMINISTRATIVE: Final = frozenset(("ready", "drain", "maint"))
NEUTRAL: Final = Outcome("L7OK", neutral=True)
_DOWN: Final = frozenset(("down", "fail", "stopped"))


@dataclass(frozen=True, slots=True)
class AgentReport:
    """What is to change. weight: as `set weight` takes it, "75%". maxconn: None as it is. outcome: neutral if neither up nor down."""

    administrative: str = ""
    weight: str = ""
    maxconn: int | None = None
    outcome: Outcome = NEUTRAL


def read_report(line: str) -> AgentReport:
    """Words in any order; unknown ones change nothing. Text after "down", with or without "#", is its description."""
    administrative, weight = "", ""
    maxconn: int | None = None
    outcome = NEUTRAL
    for found in _WORD.finditer(line):
        word, description = found[0], ""
        name, sharp, _ = word.partition("#")
        if name.lower() in _DOWN:
            after = line[found.start() + len(name) :].lstrip(" \t,") if not sharp else line[found.start() + len(name) :]
            description = printable(after.removeprefix("#").encode())
            shown = f"via agent : {name.lower()}" + (f" ({description})" if description else "")
            outcome = Outcome("L7STS", 0, shown)
            break
        word = word.lower()
        if word in _ADMINISTRATIVE:
            administrative = word
        elif word == "up":
            outcome = Outcome("L7OK", 0, "via agent : up")
        elif re.fullmatch(r"[0-9]{1,9}%", word):
            weight = word
        elif re.fullmatch(r"maxconn:[0-9]{1,9}", word):
            maxconn = int(word.partition(":")[2])
    return AgentReport(administrative, weight, maxconn, outcome)
