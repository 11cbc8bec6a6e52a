"""A stand-in for both programs: answers a few words, enough to test the process layer without them.

On each inherited listening socket it answers "ROLE NUMBER GENERATION" and a line feed, then closes. A word sent first
makes it do something else: see `_answer`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import trio

from common.process.control_channel import ControlChannel
from common.process.launch import CONTROL, Launch

PRELOADED: list[int] = []


def preload() -> None:
    """Called in the zygote, once."""
    PRELOADED.append(os.getpid())


def broken_preload() -> None:
    raise RuntimeError("this program cannot be loaded")


def run(launch: Launch) -> int:
    return trio.run(_main, launch)


def run_exit_at_once(launch: Launch) -> int:
    return 3


def run_raise_oserror(launch: Launch) -> int:
    raise FileNotFoundError(2, "No such file or directory", "/nowhere.pem")


def run_bug(launch: Launch) -> int:
    raise KeyError("bug")


def run_describe(launch: Launch) -> int:
    """Write what this process is into the pipe called "out"."""
    stat = {
        "pid": os.getpid(),
        "title": launch.title,
        "preloaded": PRELOADED,
        "fds": {name: os.fstat(fd).st_ino for name, fd in launch.fds.items()},
        "open": len(os.listdir("/proc/self/fd")) - 1,
        "sigint": signal.getsignal(signal.SIGINT) == signal.SIG_DFL,
        "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "proxies": [proxy.name for proxy in launch.config.proxies],
        "comm": open("/proc/self/comm").read().strip(),  # noqa: SIM115
    }
    os.write(launch.fds["out"], json.dumps(stat).encode())
    return 0


def run_wait(launch: Launch) -> int:
    """Live until killed."""
    while True:
        time.sleep(60)


async def _main(launch: Launch) -> int:
    control = ControlChannel.from_fd(launch.fds[CONTROL])
    sessions: set[trio.socket.SocketType] = set()
    async with trio.open_nursery() as nursery, trio.open_nursery() as listeners:
        for fd in launch.bind_fds().values():
            listeners.start_soon(_accept, launch, socket.socket(fileno=fd), nursery, sessions)
        if not await control.send({"op": "ready"}):
            return 1
        while (message := await control.receive()) is not None:
            if message["op"] == "stop":
                listeners.cancel_scope.cancel()
                if not message["soft"]:
                    nursery.cancel_scope.cancel()
                break
            if message["op"] == "command":
                text = "x" * int(message["line"]) if message["line"].isdigit() else f"{launch.title}: {message['line']}\n"
                await control.send({"op": "reply", "id": message["id"], "text": text})
        else:
            await trio.sleep_forever()  # the master is gone: go on serving
    return 0


async def _accept(launch: Launch, listener: socket.socket, nursery: trio.Nursery, sessions: set[trio.socket.SocketType]) -> None:
    listener.setblocking(False)
    sock = trio.socket.from_stdlib_socket(listener)
    while True:
        client, _address = await sock.accept()
        nursery.start_soon(_answer, launch, client)


async def _answer(launch: Launch, client: trio.socket.SocketType) -> None:
    with client:
        word = (await client.recv(100)).decode().strip()
        if word == "hang":  # a session that lives until the client closes
            await client.send(b"hanging\n")
            await client.recv(1)
        elif word == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif word == "exit":
            os._exit(4)
        await client.send(f"{launch.role} {launch.number} {launch.generation} {os.getpid()}\n".encode())
