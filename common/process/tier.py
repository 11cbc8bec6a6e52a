"""What the programs of both tiers do alike: open their counters, report a failed start, obey the master."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from common.net.pump import Pump
from common.observe.counters import Counters
from common.observe.layout import Layout
from common.process import shared_counters
from common.process.commands import Commands
from common.process.control_channel import ControlChannel
from common.process.launch import CONTROL, COUNTERS, DISPATCHER, WORKER, Launch
from common.process.messages import Message

ROLES = {DISPATCHER: 1, WORKER: 2}
"""In the heartbeat (common/observe/layout.py)."""


class World(Protocol):
    """A process of either tier."""

    pump: Pump

    def soft_stop(self, *, is_reload: bool) -> None: ...


AnyWorld = TypeVar("AnyWorld", bound=World)


def open_counters(launch: Launch) -> Counters:
    """This process's row of the shared counters (of a mapping of its own, when nobody shares one)."""
    if COUNTERS in launch.fds:
        counters = shared_counters.attach(launch)
    else:
        layout = Layout.of(launch.config, 1)
        private = bytearray(layout.size)
        layout.write(memoryview(private))
        counters = Counters(private, layout, 0)
    counters.start(os.getpid(), ROLES[launch.role], launch.number, launch.generation, time.monotonic())
    return counters


def open_control(launch: Launch) -> ControlChannel | None:
    """The channel to the master; None where nobody supervises this process."""
    return ControlChannel.from_fd(launch.fds[CONTROL]) if CONTROL in launch.fds else None


async def report_failure(launch: Launch, text: str) -> None:
    """Tell the master why this process is about to end."""
    control = open_control(launch)
    if control is not None:
        await control.send({"op": "failed", "text": text})
        control.close()


async def obey(
    world: AnyWorld, control: ControlChannel, commands: Commands[AnyWorld], obeyed: Callable[[Message], None] = lambda message: None
) -> None:
    """The master's words. At the end of the channel the master is dead: go on serving. obeyed: hears what it says to orders."""
    while (message := await control.receive()) is not None:
        if message["op"] == "stop":
            if message.get("soft"):
                world.soft_stop(is_reload=message.get("reload", False))
            else:
                world.pump.stop()
                return
        elif message["op"] == "obeyed":
            obeyed(message)
        elif message["op"] == "command":
            await control.send({"op": "reply", "id": message["id"], "text": commands.answer(world, message["line"])})
