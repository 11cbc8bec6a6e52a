"""The dispatcher program: the first tier. Accepts connections and seats each one at a worker.

    usher-dispatcher -f FILE        this tier alone, e.g. in front of stock HAProxy workers

`usher` starts dispatchers through `run`, forked from the zygote. Everything happens on one pump; the other trio tasks hear the
master, write the heartbeat and watch those of the workers, empty log backlogs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import trio

from common.errors import UsherError
from common.observe.counters import Counters
from common.process import privileges
from common.process.control_channel import ControlChannel
from common.process.launch import Launch
from common.process.tier import obey, open_control, open_counters, report_failure
from dispatcher import show_sessions  # noqa: F401 - registers its commands
from dispatcher.commands import COMMANDS
from dispatcher.policy.heartbeat import BEAT_S
from dispatcher.world import World

WATCHES_PER_BEAT = 4


def run(launch: Launch, make: Callable[[Launch, Counters], World] = World) -> int:
    """The whole life of a dispatcher process; its exit code."""
    try:
        world = make(launch, open_counters(launch))
        privileges.drop(privileges.identity(launch.config.globals))
    except UsherError as error:
        trio.run(report_failure, launch, str(error))
        return 1
    world.trust(os.getuid())
    trio.run(_main, world)
    world.close()
    return world.exit_code


async def _main(world: World) -> None:
    launch = world.launch
    control = open_control(launch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.outlets.drain)
        nursery.start_soon(_heartbeat, world)
        for change in launch.changes:
            COMMANDS.answer(world, change)
        if control is not None:
            nursery.start_soon(obey, world, control, COMMANDS)
            nursery.start_soon(_tell, world, control)
            if not await control.send({"op": "ready"}):
                world.pump.stop()  # the master died before anybody could know of us
        await world.pump.run()
        nursery.cancel_scope.cancel()
    if control is not None:
        control.close()


async def _tell(world: World, control: ControlChannel) -> None:
    """Remarks for whoever started the service."""
    async for text in world.remarks:
        await control.send({"op": "log", "level": "remark", "text": text})


async def _heartbeat(world: World) -> None:
    """Tell whoever looks that this process still turns, and look after the workers."""
    turns = 0
    while True:
        if turns % WATCHES_PER_BEAT == 0:
            world.counters.beat(time.monotonic())
        world.watch()
        turns += 1
        if turns * BEAT_S / WATCHES_PER_BEAT >= 1:
            turns = 0
            world.every_second()
        await trio.sleep(BEAT_S / WATCHES_PER_BEAT)
