"""Which function answers which command of the master.

The modules with the functions (operator_show, operator_servers, operator_service) register them here by the words of the
command; the session finds them here. Every command that common/observe/commands.py gives to the master has one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from common.control.operator_plane import Answer, Member, Plane


@dataclass(frozen=True, slots=True)
class Request:
    """One command for the master. words: all of it. only: the process that it was addressed to."""

    plane: Plane
    words: tuple[str, ...]
    payload: str | None = None
    only: Member | None = None

    def word(self, index: int) -> str:
        """The word at a place, "" if there is none."""
        return self.words[index] if index < len(self.words) else ""


Handler = Callable[[Request], Awaitable[Answer]]
HANDLERS: Final[dict[tuple[str, ...], Handler]] = {}


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register a function for commands, by their words."""

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[tuple(name.split())] = handler
        return handler

    return register
