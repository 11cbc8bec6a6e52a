"""Orders that come from workers: what an operator asked for on a statistics page.

A worker talks to strangers, so it is believed only what the page can ask for, changes of servers, and what rules change in lists that
all workers have: these commands and no other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from common.control.operator_handlers import HANDLERS, Request
from common.control.operator_plane import ERROR, Plane
from common.observe.command_line import split_words
from common.observe.commands import Where, find
from common.observe.states import CHECK_CONFIGURED, S_AGENT_STATE, S_CHECK_STATE

ORDERS_MAX: Final = 1000
ALLOWED: Final = frozenset((
    "set server", "enable server", "disable server", "enable health", "disable health", "enable agent", "disable agent",
    "shutdown sessions server", "share acl", "share map",
))  # fmt: skip
_CHECKS: Final = {"health": S_CHECK_STATE, "agent": S_AGENT_STATE}
_CHANGES: Final = ("state", "health", "agent")  # of `set server`


async def obey(plane: Plane, lines: Sequence[str]) -> list[bool]:
    """Whether each line was obeyed."""
    return [await _obey(plane, line) for line in lines[:ORDERS_MAX]]


async def _obey(plane: Plane, line: str) -> bool:
    words = tuple(split_words(line))
    info = find(words)
    if info is None or info.name not in ALLOWED or (info.name == "set server" and words[3:4] not in [(word,) for word in _CHANGES]):
        return False
    if info.where is Where.MASTER:
        if info.words[1] in _CHECKS and not _is_checked(plane, words):
            return False
        severity = (await HANDLERS[info.words](Request(plane, words))).severity
        return severity is None or severity > ERROR
    return not await plane.ask(info, line)


def _is_checked(plane: Plane, words: tuple[str, ...]) -> bool:
    """Whether a server has the checks that are to be switched on or off."""
    place = plane.changes.find(words[2])
    return place is not None and bool(plane.changes.block(place)[_CHECKS[words[1]]] & CHECK_CONFIGURED)
