"""How one health check ended, and what is said of it. Sans-io.

Source: HAProxy configuration manual 4.2 "option log-health-checks", management guide 9.1 (check_status, check_code, last_chk);
texts observed from 2.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from common.observe.states import (
    RESULT_CONDITIONAL,
    RESULT_FAILED,
    RESULT_NEUTRAL,
    RESULT_PASSED,
    STATUS_OF_NAME,
    WITH_CODE,
    CheckStatus,
)

INFO_CHARACTERS_MAX: Final = 256
_PASSED: Final = frozenset(("L4OK", "L6OK", "L7OK"))


class Result(Enum):
    """What a check makes of the server; the value is its number in state files, the text that of log lines."""

    NEUTRAL = (RESULT_NEUTRAL, "")
    FAILED = (RESULT_FAILED, "failed")
    PASSED = (RESULT_PASSED, "succeeded")
    CONDITIONAL = (RESULT_CONDITIONAL, "conditionally succeeded")

    @property
    def number(self) -> int:
        return self.value[0]

    @property
    def word(self) -> str:
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """name: HAProxy's short name ("L7STS"). code: an HTTP or protocol's own status, 0 without. neutral: an agent that said
    nothing about up or down."""

    name: str
    code: int = 0
    info: str = ""
    neutral: bool = False

    @property
    def status(self) -> CheckStatus:
        return STATUS_OF_NAME[self.name]

    @property
    def result(self) -> Result:
        if self.neutral:
            return Result.NEUTRAL
        if self.name in _PASSED:
            return Result.PASSED
        return Result.CONDITIONAL if self.name == "L7OKC" else Result.FAILED

    def reason(self, duration_ms: int) -> str:
        """As it follows "is DOWN" or "failed": `, reason: …, code: N, info: "…", check duration: Nms`. duration_ms: -1 without one."""
        parts = [f"reason: {self.status.description}"]
        if self.name in WITH_CODE:
            parts.append(f"code: {self.code}")
        if self.info:
            parts.append(f'info: "{self.info}"')
        if duration_ms >= 0:
            parts.append(f"check duration: {duration_ms}ms")
        return f", {', '.join(parts)}"


def check_line(what: str, server: str, outcome: Outcome, duration_ms: int, steps: str) -> str:
    """The line of `option log-health-checks`. what: "Health" or "Agent". steps: "2/3 UP"."""
    return f"{what} check for server {server} {outcome.result.word}{outcome.reason(duration_ms)}, status: {steps}."


def printable(text: bytes) -> str:
    """What a server said, fit for a log line: control characters become spaces, what is no UTF-8 is replaced."""
    shown = text.decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in shown).strip()[:INFO_CHARACTERS_MAX]
