"""CPU of the dispatcher process per connection, from accept to end: `python -m tests.bench.dispatcher_cost`. Not collected by pytest.

Beside each other in one run: our dispatcher handing over, our dispatcher relaying, and stock HAProxy with `send-proxy` to abstract
sockets. The workers behind are the same small process for all (not counted): it reads a request, answers, closes. The load is
`ab` without keep-alive. CPU is what /proc/PID/schedstat says of the dispatcher process alone, in nanoseconds; the contenders
run in turn, so that a drifting machine hurts all alike.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from common.model import Address, AddressKind
from common.process.launch import CONTROL, DISPATCHER, Launch, bind_fd
from common.wire import handover
from tests.dispatcher.harness import config_of, dispatcher_listen, fresh_name, frontend, padded, server

WORKERS = 2
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
READY_S = 5.0


# --- the workers behind ----------------------------------------------------------------------------------------------


class Workers:
    """All workers in one process: channels that hand clients over, and plain listeners that get PROXY headers."""

    def __init__(self, channels: list[socket.socket], streams: list[socket.socket]) -> None:
        self.epoll = select.epoll()
        self.actions: dict[int, Callable[[], None]] = {}
        self.reports: dict[socket.socket, tuple[list[int], list[int]]] = {}
        for number, listener in enumerate(channels, 1):
            self.watch(listener, lambda listener=listener, number=number: self.greet(listener, number))  # type: ignore[misc]
        for listener in streams:
            self.watch(listener, lambda listener=listener: self.accept(listener))  # type: ignore[misc]

    def watch(self, sock: socket.socket, action: Callable[[], None]) -> None:
        sock.setblocking(False)
        self.actions[sock.fileno()] = action
        self.epoll.register(sock, select.EPOLLIN)

    def forget(self, sock: socket.socket) -> None:
        del self.actions[sock.fileno()]
        self.epoll.unregister(sock)

    def run(self) -> None:
        while True:
            for fd, _events in self.epoll.poll():
                action = self.actions.get(fd)
                if action is not None:
                    action()
            for channel, (taken, ended) in self.reports.items():
                if ended:
                    frames: list[handover.Frame] = [handover.Taken(handover.ids_array(taken)), handover.Ended(handover.ids_array(ended))]
                    with contextlib.suppress(OSError):  # the dispatcher may have been stopped
                        channel.send(handover.encode_report(frames)[0])
                    taken.clear()
                    ended.clear()

    def greet(self, listener: socket.socket, number: int) -> None:
        channel, _ = listener.accept()
        self.reports[channel] = ([], [])
        _page, fds, _flags, _address = socket.recv_fds(channel, 4096, 1)  # of claims: this worker never hangs
        os.close(fds[0])
        channel.send(handover.encode_report([handover.Hello(number, os.getpid(), 1, 0, 0)])[0])
        self.watch(channel, lambda: self.receive(channel))

    def receive(self, channel: socket.socket) -> None:
        while True:
            try:
                message, fds, _flags, _address = socket.recv_fds(channel, 4096, 1)
            except BlockingIOError:
                return
            except ConnectionResetError:
                message = b""
            if not message:
                self.forget(channel)
                del self.reports[channel]
                channel.close()
                return
            number, _bind, _cell, _flags2, _header = handover.decode_give(message)
            client = socket.socket(fileno=fds[0])
            self.watch(client, lambda client=client, number=number: self.answer_taken(channel, client, number))  # type: ignore[misc]

    def answer_taken(self, channel: socket.socket, client: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError):  # the load tool may reset
            client.recv(4096)
            client.send(ANSWER)
            client.shutdown(socket.SHUT_RDWR)
        self.forget(client)
        client.close()
        taken, ended = self.reports[channel]
        taken.append(number)
        ended.append(number)

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except BlockingIOError:
                return
            self.watch(client, lambda client=client: self.answer(client))  # type: ignore[misc]

    def answer(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            data = client.recv(4096)
            if data and not data.endswith(b"\r\n\r\n"):
                return  # the header alone; the request follows
            if data:
                client.send(ANSWER)
        self.forget(client)
        client.close()


@contextmanager
def child(action: Callable[[], object]) -> Iterator[int]:
    """A forked process that runs action; killed at the end."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            action()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# --- the contenders --------------------------------------------------------------------------------------------------


@contextmanager
def ours(paths: list[str], *, relay: bool, profile: str = "") -> Iterator[tuple[int, int]]:
    """(pid, port) of our dispatcher."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    if relay:
        proxy = dispatcher_listen(*(server(f"p{index}", path, send_proxy=1) for index, path in enumerate(paths)))
        names: dict[int, bytes] = {}
    else:
        proxy = frontend()
        names = {number: padded(path) for number, path in enumerate(paths, 1)}
    config = config_of(proxy, log=Address(AddressKind.ABNSZ, path=fresh_name()))
    proxy.logs = []
    control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def serve() -> None:
        from dispatcher import main

        fds = {bind_fd(0): os.dup(listener.fileno()), CONTROL: theirs.detach()}
        launch = Launch(config, DISPATCHER, 1, generation=1, master_pid=os.getpid(), fds=fds, channel_names=names)
        if profile:
            import cProfile

            cProfile.runctx("main.run(launch)", globals() | {"main": main}, {"launch": launch}, profile)
        else:
            main.run(launch)

    with listener, control, child(serve) as pid:
        theirs.close()
        control.settimeout(READY_S)
        control.recv(4096)
        yield pid, listener.getsockname()[1]
        if profile:
            control.send(b'\0{"op":"stop","soft":false}')
            time.sleep(1)


HAPROXY = """
global
    maxconn 4000
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen dispatcher
    bind 127.0.0.1:{port}
    balance leastconn
{servers}
"""


@contextmanager
def haproxy(paths: list[str]) -> Iterator[tuple[int, int]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    servers = "\n".join(f"    server p{index} abns@{path} send-proxy" for index, path in enumerate(paths))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "d.cfg"
        file.write_text(HAPROXY.format(port=port, servers=servers).replace("global\n", "global\n    nbthread 1\n"))
        process = subprocess.Popen(["haproxy", "-db", "-f", str(file)], stderr=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield process.pid, port
        finally:
            process.kill()
            process.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(port)


# --- measuring -------------------------------------------------------------------------------------------------------


def cpu_ns(pid: int) -> int:
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def load(port: int, connections: int, concurrency: int) -> int:
    """Connections that were served."""
    result = subprocess.run(
        ["ab", "-q", "-r", "-n", str(connections), "-c", str(concurrency), f"http://127.0.0.1:{port}/"],
        capture_output=True,
        text=True,
        check=False,
    )
    match = re.search(r"Complete requests:\s+(\d+)", result.stdout)
    failed = re.search(r"Failed requests:\s+(\d+)", result.stdout)
    assert match and failed, result.stdout + result.stderr
    assert int(failed[1]) == 0, result.stdout
    return int(match[1])


def measure(pid: int, port: int, connections: int, concurrency: int) -> float:
    """Microseconds of CPU per connection."""
    load(port, 500, concurrency)
    before = cpu_ns(pid)
    served = load(port, connections, concurrency)
    return (cpu_ns(pid) - before) / served / 1000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, nargs="*", default=[1, 16, 64])
    parser.add_argument("--only", default="", help="contenders whose name matches")
    parser.add_argument("--profile", default="", help="write a cProfile of our dispatcher to this file")
    options = parser.parse_args()
    paths = [fresh_name() for _ in range(WORKERS)]
    channels: list[socket.socket] = []
    streams: list[socket.socket] = []
    for path in paths:
        for kind, listeners in ((socket.SOCK_SEQPACKET, channels), (socket.SOCK_STREAM, streams)):
            listener = socket.socket(socket.AF_UNIX, kind)
            listener.bind(padded(path))
            listener.listen(1024)
            listeners.append(listener)
    contenders: dict[str, Callable[[], AbstractContextManager[tuple[int, int]]]] = {
        "haproxy, send-proxy": lambda: haproxy(paths),
        "ours, relay": lambda: ours(paths, relay=True, profile=options.profile),
        "ours, handover": lambda: ours(paths, relay=False, profile=options.profile),
    }
    with child(Workers(channels, streams).run):
        for concurrency in options.concurrency:
            found: dict[str, list[float]] = {}
            for _ in range(options.rounds):
                for name, contender in contenders.items():
                    if re.search(options.only, name):
                        with contender() as (pid, port):
                            found.setdefault(name, []).append(measure(pid, port, options.connections, concurrency))
            reference = statistics.median(found.get("haproxy, send-proxy", [0])) or 1
            for name, values in found.items():
                median = statistics.median(values)
                rounded = [round(value, 1) for value in values]
                print(f"{concurrency:4} at a time  {name:24} {median:7.1f} us  {median / reference:5.2f} x  {rounded}", flush=True)


if __name__ == "__main__":
    main()
