"""The worker program: the second tier. Terminates TLS, routes requests to servers.

    usher-worker -f FILE --process N        one worker alone, e.g. behind a stock HAProxy dispatcher

`usher` starts workers through `run`, forked from the zygote. Everything happens on one pump; the other trio tasks hear the
master, write the heartbeat, empty log backlogs.
"""

from __future__ import annotations

import gc
import os
import socket
import time

import trio

from common.errors import UsherError
from common.model import AddressKind
from common.net.claim_page import join_barriers
from common.process import privileges
from common.process.launch import Launch, abns_channel_fd, channel_fd
from common.process.switches import rejects_privileged_ports
from common.process.tier import obey, open_control, open_counters, report_failure
from worker import certificate_commands, server_commands, show_process, show_sessions, trust_commands
from worker.commands import COMMANDS
from worker.doors import ClientDoor, accept_channels
from worker.drain import Listening
from worker.world import World

HEARTBEAT_S = 0.25
COLLECT_AFTER = 20_000  # container objects more than freed before the collector looks at the young
MODULES = (certificate_commands, server_commands, show_process, show_sessions, trust_commands)  # they registered what they answer
_ABSTRACT = (AddressKind.ABNS, AddressKind.ABNSZ)


def run(launch: Launch) -> int:
    """The whole life of a worker process; its exit code."""
    try:
        world = World(launch, open_counters(launch))
        # Last: certificates, files and names above may be for root's eyes only.
        privileges.drop(privileges.identity(launch.config.globals))
    except UsherError as error:
        trio.run(report_failure, launch, str(error))
        return 1
    world.trust(os.getuid())
    join_barriers()
    # What is there now stays: the collector need not look at it again, and sessions make few cycles.
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    trio.run(_main, world)
    world.outlets.close()
    return 0


async def _main(world: World) -> None:
    launch = world.launch
    control = open_control(launch)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.outlets.drain)
        nursery.start_soon(_heartbeat, world)
        for change in launch.changes:
            COMMANDS.answer(world, change)
        _listen(world)
        if control is not None:
            nursery.start_soon(obey, world, control, COMMANDS, world.orders.answered)
            nursery.start_soon(world.orders.run, control)
            nursery.start_soon(world.watches.run, control)
            if not await control.send({"op": "ready"}):
                world.pump.stop()  # the master died before anybody could know of us
        await world.pump.run()
        nursery.cancel_scope.cancel()


def _listen(world: World) -> None:
    """Accept dispatchers on the names of this worker, and clients on its own binds."""
    fds = world.launch.fds
    pump = world.pump
    if world.counters.layout.processes > 1 and world.counters.process_index is not None:
        world.calls.listen(world.counters.process_index)
    own = fds.get(channel_fd(world.number))
    if own is not None:
        pump.spawn(accept_channels(world, _listener(own), None), "channel listener")
    for bind_id, fd in world.launch.bind_fds().items():
        bind = world.bind_by_id(bind_id)
        if bind is None:
            continue
        door = ClientDoor(world, _listener(fd), bind, check_peer=bind.address.kind in _ABSTRACT)
        if rejects_privileged_ports(world.config.globals):
            door.reject_privileged_ports()
        strand = pump.spawn(door.run(), f"listener {bind.address}")
        world.drain.listening.append(Listening(strand, door.listener, door.sweep))
        twin = fds.get(abns_channel_fd(bind_id))
        if twin is not None:
            listener = _listener(twin)
            strand = pump.spawn(accept_channels(world, listener, bind), f"channel listener {bind.address}")
            world.drain.listening.append(Listening(strand, listener))


def _listener(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


async def _heartbeat(world: World) -> None:
    """Tell whoever looks (dispatchers, the master) that this process still turns."""
    beats = 0
    while True:
        world.counters.beat(time.monotonic())
        world.standing.follow()  # what must not wait for the next event, such as on-marked-down
        beats += 1
        for channel in list(world.channels):
            channel.look()
        if beats % 4 == 0:
            world.every_second()
        await trio.sleep(HEARTBEAT_S)
