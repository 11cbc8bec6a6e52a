"""The worker program: the second tier. Terminates TLS, routes requests to servers.

    usher-worker -f FILE --process N        one worker alone, e.g. behind a stock HAProxy dispatcher

`usher` starts workers through `run`, forked from the zygote. Everything happens on one pump; the other trio tasks hear the
master, write the heartbeat, empty log backlogs.
"""

from __future__ import annotations

import gc
import mmap
import os
import socket
import time

import trio

from common.errors import UsherError
from common.model import AddressKind
from common.observe.counters import Counters
from common.observe.layout import Layout
from common.process import privileges
from common.process.control_channel import ControlChannel
from common.process.launch import CONTROL, COUNTERS, Launch, abns_channel_fd, channel_fd
from worker.receive import accept_channels, accept_clients
from worker.world import World

HEARTBEAT_S = 0.25
COLLECT_AFTER = 20_000  # container objects more than freed before the collector looks at the young
ROLE = 2  # in the heartbeat: 1 dispatcher, 2 worker
_ABSTRACT = (AddressKind.ABNS, AddressKind.ABNSZ)


def run(launch: Launch) -> int:
    """The whole life of a worker process; its exit code."""
    try:
        world = World(launch, open_counters(launch))
        # Last: certificates, files and names above may be for root's eyes only.
        privileges.drop(privileges.identity(launch.config.globals))
    except UsherError as error:
        trio.run(_report_failure, launch, str(error))
        return 1
    world.trust(os.getuid())
    # What is there now stays: the collector need not look at it again, and sessions make few cycles.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    trio.run(_main, world)
    world.outlets.close()
    return 0


def open_counters(launch: Launch) -> Counters:
    """This process's row of the shared counters (of a mapping of its own, when nobody shares one)."""
    fd = launch.fds.get(COUNTERS)
    if fd is None:
        layout = Layout.of(launch.config, 1)
        private = bytearray(layout.size)
        layout.write(memoryview(private))
        return Counters(private, layout, 0)
    shared = memoryview(mmap.mmap(fd, 0))
    counters = Counters(shared, Layout.read(shared), launch.row)
    counters.start(os.getpid(), ROLE, launch.number, launch.generation, time.monotonic())
    return counters


async def _report_failure(launch: Launch, text: str) -> None:
    await ControlChannel.from_fd(launch.fds[CONTROL]).send({"op": "failed", "text": text})


async def _main(world: World) -> None:
    launch = world.launch
    control = ControlChannel.from_fd(launch.fds[CONTROL]) if CONTROL in launch.fds else None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.outlets.drain)
        nursery.start_soon(_heartbeat, world)
        _listen(world)
        if control is not None:
            nursery.start_soon(_obey, world, control)
            if not await control.send({"op": "ready"}):
                world.pump.stop()  # the master died before anybody could know of us
        await world.pump.run()
        nursery.cancel_scope.cancel()


def _listen(world: World) -> None:
    """Accept dispatchers on the names of this worker, and clients on its own binds."""
    fds = world.launch.fds
    pump = world.pump
    own = fds.get(channel_fd(world.number))
    if own is not None:
        pump.spawn(accept_channels(world, _listener(own), None), "channel listener")
    for bind_id, fd in world.launch.bind_fds().items():
        bind = world.bind_by_id(bind_id)
        if bind is None:
            continue
        pump.spawn(accept_clients(world, _listener(fd), bind, check_peer=bind.address.kind in _ABSTRACT), f"listener {bind.address}")
        twin = fds.get(abns_channel_fd(bind_id))
        if twin is not None:
            pump.spawn(accept_channels(world, _listener(twin), bind), f"channel listener {bind.address}")


def _listener(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


async def _heartbeat(world: World) -> None:
    """Tell whoever looks (dispatchers, the master) that this process still turns."""
    beats = 0
    while True:
        world.counters.beat(time.monotonic())
        beats += 1
        if beats % 4 == 0:
            world.every_second()
        await trio.sleep(HEARTBEAT_S)


async def _obey(world: World, control: ControlChannel) -> None:
    """The master's words. At the end of the channel the master is dead: go on serving."""
    while (message := await control.receive()) is not None:
        if message["op"] == "stop":
            if message.get("soft"):
                world.soft_stop()
            else:
                world.pump.stop()
                return
        elif message["op"] == "command":
            await control.send({"op": "reply", "id": message["id"], "text": "Unknown command.\n"})
