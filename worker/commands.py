"""What a worker answers to an operator. The functions stand beside what they show, and register here."""

from __future__ import annotations

from typing import Final

from common.process.commands import Commands
from worker.world import World

COMMANDS: Final[Commands[World]] = Commands()
