"""What a worker answers to an operator. The functions stand beside what they show, and register here."""

from __future__ import annotations

from typing import Final

from common.acl import list_commands
from common.process.commands import Asked, Commands
from worker.world import World

COMMANDS: Final[Commands[World]] = Commands()


@COMMANDS.answers(*list_commands.NAMES)
def lists(asked: Asked[World]) -> str:
    """Maps and ACLs."""
    return list_commands.answer(asked.world.maps, asked.words, asked.payload)


@COMMANDS.answers("show generations")
def holders(asked: Asked[World]) -> str:
    """Why this process is still there though another generation serves: its sessions by what they are in the middle of."""
    return asked.world.drain.holders()
