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
    """Words in any order; unknown ones change nothing. What follows "down" is its description: the rest after "#", else one word."""
    administrative, weight, down, description = "", "", "", ""
    maxconn: int | None = None
    outcome = NEUTRAL
    for found in _WORD.finditer(line):
        name, sharp, _ = found[0].partition("#")
        word = name.lower()
        if word in _DOWN:
            down = name
        elif word == "up":
            down, outcome = "", Outcome("L7OK", 0, f"via agent : {name}")
        elif word in _ADMINISTRATIVE:
            administrative = word
        elif re.fullmatch(r"[0-9]{1,9}%", word):
            weight = word
        elif re.fullmatch(r"maxconn:[0-9]{1,9}", word):
            maxconn = int(word.partition(":")[2])
        elif word and not sharp:
            description = description or (name if down else "")
        if sharp:
            description = line[found.start() + len(name) + 1 :]
            break
    if down:
        told = printable(description.encode())
        outcome = Outcome("L7STS", 0, f"via agent : {down}" + (f" ({told})" if told else ""))
    return AgentReport(administrative, weight, maxconn, outcome)
