"""A running dispatcher in a thread of the test, and workers that do what the test tells them."""

from __future__ import annotations

import itertools
import mmap
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common.model import Address, AddressKind, Bind, Config, LogTarget, Place, Proxy, Server, Timeouts
from common.net.claim_page import open_page
from common.net.sockaddr import sockaddr
from common.observe.counters import Counters
from common.observe.layout import Layout
from common.process import messages
from common.process.launch import BOARD, CONTROL, COUNTERS, DISPATCHER, Launch, bind_fd
from common.wire import handover
from common.wire.claims import TakersCells
from common.wire.proxy_protocol import ProxyHeader
from dispatcher import main
from dispatcher.policy.board import Board
from dispatcher.policy.slots import Slot, State
from dispatcher.world import World

PATIENCE_S = 10.0
_numbers = itertools.count(1)


def fresh_name() -> str:
    """An abstract name that nobody else has."""
    return f"usher-test-{os.getpid()}-{next(_numbers)}"


class FakeWorker:
    """The worker's end of the handover channel; blocking, with deadlines. name: with its leading NUL."""

    def __init__(self, name: bytes, number: int = 1, maxconn: int = 0) -> None:
        self.name = name
        self.number = number
        self.maxconn = maxconn
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(name)
        self.listener.listen(64)
        self.listener.settimeout(PATIENCE_S)
        self.channel: socket.socket | None = None
        self.clients: dict[int, socket.socket] = {}
        self.headers: dict[int, ProxyHeader] = {}
        self.binds: dict[int, int] = {}
        self.flags: dict[int, int] = {}
        self.cells: TakersCells | None = None
        self.cell_of: dict[int, int] = {}

    def greet(self, generation: int = 1, *more: handover.Frame, pid: int | None = None) -> FakeWorker:
        """Accept the dispatcher and say hello. Channels of dispatchers that have ended meanwhile are dropped."""
        hello = handover.Hello(self.number, os.getpid() if pid is None else pid, generation, len(self.clients), self.maxconn)
        if self.channel is not None:
            self.channel.close()
        while True:
            self.channel = self.accept()
            try:
                self.say(hello, *more)
            except (BrokenPipeError, ConnectionResetError):
                self.channel.close()
            else:
                return self

    def accept(self) -> socket.socket:
        channel, _ = self.listener.accept()
        channel.settimeout(PATIENCE_S)
        message, fds, _flags, _address = socket.recv_fds(channel, 65536, 4)
        if message:  # else that dispatcher has ended already
            handover.decode_page(message)
            [fd] = fds
            self.cells = TakersCells(open_page(fd))
            os.close(fd)
        return channel

    def accept_and_say(self, message: bytes) -> None:
        """Send bytes on the next channel, and wait for its end."""
        with self.accept() as channel:
            channel.send(message)
            assert channel.recv(1) == b""

    def say(self, *frames: handover.Frame) -> None:
        assert self.channel is not None
        for message in handover.encode_report(frames):
            self.channel.send(message)

    def receive(self) -> int:
        """The next connection's id."""
        assert self.channel is not None
        message, fds, _flags, _address = socket.recv_fds(self.channel, 65536, 4)
        assert message, "the channel ended"
        assert len(fds) == 1
        number, bind, cell, flags, header = handover.decode_give(message)
        self.cell_of[number] = cell
        assert number not in self.clients
        self.clients[number] = socket.socket(fileno=fds[0])
        self.headers[number], self.binds[number], self.flags[number] = header, bind, flags
        return number

    def poll(self, wait_s: float = 0.0) -> int | None:
        """The next connection's id, None when none came."""
        assert self.channel is not None
        self.channel.settimeout(wait_s)
        try:
            return self.receive()
        except (BlockingIOError, TimeoutError):
            return None
        finally:
            self.channel.settimeout(PATIENCE_S)

    def take(self, *numbers: int) -> None:
        self.say(handover.Taken(handover.ids_array(numbers)))

    def end(self, *numbers: int) -> None:
        for number in numbers:
            self.clients.pop(number).close()
        self.say(handover.Ended(handover.ids_array(numbers)))

    def refuse(self, *numbers: int) -> None:
        for number in numbers:
            self.clients.pop(number).close()
        self.say(handover.Refused(handover.ids_array(numbers)))

    def read(self, number: int, size: int = 65536) -> bytes:
        """What a client sent, as far as it has come."""
        client = self.clients[number]
        client.settimeout(PATIENCE_S)
        return client.recv(size)

    def die(self) -> None:
        """What the kernel does for a killed worker. The listening socket is the master's and stays."""
        for client in self.clients.values():
            client.close()
        self.clients.clear()
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def close(self) -> None:
        self.die()
        self.listener.close()


class Running:
    """A dispatcher that runs in a thread, its listening sockets, and its log."""

    def __init__(
        self, config: Config, channel_names: dict[int, bytes], counters_fd: int | None, log: socket.socket, dispatchers: int
    ) -> None:
        self.config = config
        self.channel_names = channel_names
        self.counters_fd = counters_fd
        self.dispatchers = dispatchers
        self.board_fd: int | None = None
        self.listeners: dict[int, socket.socket] = {}
        self.clients: list[socket.socket] = []
        self.code: int | None = None
        self.world: World | None = None
        self.log = log
        self._control: socket.socket | None = None
        self._thread: threading.Thread | None = None

    def listen(self, bind: Bind) -> None:
        """Open a bind's address; ports are chosen by the kernel."""
        address = bind.address
        if address.kind in (AddressKind.INET, AddressKind.INET6):
            listener = socket.socket(socket.AF_INET6 if address.kind is AddressKind.INET6 else socket.AF_INET)
            listener.bind((address.host, 0))
        else:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(sockaddr(address)[1])
        listener.listen(1024)
        self.listeners[bind.id] = listener

    def start(self, number: int = 1, row: int = 0) -> Running:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fds = {bind_fd(bind_id): os.dup(listener.fileno()) for bind_id, listener in self.listeners.items()}
        fds[CONTROL] = theirs.detach()
        if self.counters_fd is not None:
            fds[COUNTERS] = os.dup(self.counters_fd)
        if self.board_fd is not None:
            fds[BOARD] = os.dup(self.board_fd)
        launch = Launch(self.config, DISPATCHER, number, generation=1, master_pid=os.getpid(), fds=fds)
        launch.channel_names = self.channel_names
        launch.workers, launch.dispatchers, launch.row = len(self.channel_names), self.dispatchers, row or number - 1
        self.code = None
        self._control = ours
        ours.settimeout(PATIENCE_S)
        self._thread = threading.Thread(target=self._run, args=(launch,), daemon=True)
        self._thread.start()
        received = messages.receive_blocking(ours, messages.Assembler())
        assert received is not None and received[0] == {"op": "ready"}, received
        return self

    def _run(self, launch: Launch) -> None:
        world = self

        class Seen(World):
            """Lets tests look at the dispatcher's books."""

            def __init__(self, launch: Launch, counters: Counters) -> None:
                world.world = self
                super().__init__(launch, counters)

        self.code = main.run(launch, Seen)

    def stop(self, *, soft: bool = False) -> None:
        if self._thread is None:
            return
        assert self._control is not None
        messages.send_blocking(self._control, {"op": "stop", "soft": soft})
        self.join()

    def ask_to_stop(self) -> None:
        assert self._control is not None
        messages.send_blocking(self._control, {"op": "stop", "soft": True})

    def ask(self, line: str) -> str:
        """A command of the operator."""
        assert self._control is not None
        messages.send_blocking(self._control, {"op": "command", "id": 7, "line": line})
        received = messages.receive_blocking(self._control, messages.Assembler())
        while received is not None and received[0]["op"] == "log":
            received = messages.receive_blocking(self._control, messages.Assembler())
        assert received is not None and received[0]["op"] == "reply" and received[0]["id"] == 7
        return str(received[0]["text"])

    def cut_control(self) -> None:
        """What the kernel does when the master dies."""
        assert self._control is not None
        self._control.close()

    def join(self, code: int = 0) -> None:
        assert self._thread is not None and self._control is not None
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the dispatcher does not end"
        self._thread = None
        self._control.close()
        assert self.code == code

    def address(self, bind: int = 0) -> tuple[str, int]:
        name = self.listeners[bind].getsockname()
        return ("127.0.0.1" if name[0] == "0.0.0.0" else "::1" if name[0] == "::" else name[0]), name[1]

    def connect(self, bind: int = 0, data: bytes = b"") -> socket.socket:
        client = socket.create_connection(self.address(bind), PATIENCE_S)
        self.clients.append(client)
        if data:
            client.sendall(data)
        return client

    def connect_many(self, count: int, bind: int = 0) -> list[socket.socket]:
        """So many clients, one after the other; each says its number. The harness closes them at the end."""
        return [self.connect(bind, b"%d" % number) for number in range(count)]

    def slot(self, index: int, farm: int = 0) -> Slot:
        """A place in the dispatcher's book, to wait for what shows nowhere else."""
        assert self.world is not None
        return self.world.farms[farm].slots.slots[index]

    def meet(self, *workers: FakeWorker) -> None:
        """Greet, and wait until the dispatcher has heard it."""
        for worker in workers:
            worker.greet()
        for worker in workers:
            wait_until(lambda worker=worker: self.slot(worker.number - 1).state in (State.UP, State.FULL), "a worker is up")

    @property
    def cpu_s(self) -> float:
        """CPU time of the dispatcher's thread so far."""
        assert self._thread is not None
        assert self._thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread.ident))

    def log_line(self, containing: str) -> str:
        """The next log line that contains a text."""
        deadline = time.monotonic() + PATIENCE_S
        seen = []
        while time.monotonic() < deadline:
            self.log.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                line = self.log.recv(65536).decode()
            except TimeoutError:
                break
            assert "Traceback" not in line
            seen.append(line)
            if containing in line:
                return line
        raise AssertionError(f"no log line with {containing!r}; there were {seen}")

    def close(self) -> None:
        try:
            self.stop()
        finally:
            for sock in (*self.clients, *self.listeners.values()):
                sock.close()


def config_of(*proxies: Proxy, log: Address, **settings: object) -> Config:
    """A configuration of these proxies, binds and servers numbered as the builder does."""
    config = Config()
    config.globals.logs = [LogTarget(Place(), log, length=8192)]
    config.globals.maxaccept = 64
    for name, value in settings.items():
        setattr(config.globals, name, value)
    config.proxies = list(proxies)
    bind_id = 0
    for proxy in proxies:
        proxy.logs = config.globals.logs
        for number, server in enumerate(proxy.servers, 1):
            server.id = number
        for bind in proxy.binds:
            bind.id = bind_id
            bind_id += 1
    return config


LOOPBACK = Address(AddressKind.INET, "127.0.0.1", 0)


def frontend(name: str = "web", binds: int = 1, address: Address = LOOPBACK) -> Proxy:
    """A frontend whose binds belong to the implicit tier."""
    proxy = Proxy(Place(), name, frontend=True, backend=False, mode="http")
    proxy.binds = [Bind(Place(), address) for _ in range(binds)]
    return proxy


def dispatcher_listen(
    *servers: Server, binds: int = 1, name: str = "dispatcher", address: Address = LOOPBACK, timeouts: Timeouts | None = None
) -> Proxy:
    """An explicit `listen` of the dispatcher."""
    proxy = Proxy(Place(), name, frontend=True, backend=True, mode="tcp", balance=("leastconn",))
    proxy.binds = [Bind(Place(), address, processes=frozenset({1})) for _ in range(binds)]
    proxy.servers = list(servers)
    proxy.timeouts = timeouts or Timeouts(connect=2.0, client=5.0, server=5.0)
    return proxy


def server(name: str, path: str, **settings: object) -> Server:
    made = Server(Place(), name, Address(AddressKind.ABNS, path=path), send_proxy=2)
    for key, value in settings.items():
        setattr(made, key, value)
    return made


def padded(path: str) -> bytes:
    return (b"\0" + path.encode()).ljust(108, b"\0")


@contextmanager
def running(
    *proxies: Proxy,
    workers: int = 0,
    counters: bool = False,
    dispatchers: int = 1,
    start: bool = True,
    **settings: object,
) -> Iterator[tuple[Running, list[FakeWorker]]]:
    """A dispatcher for these proxies, with so many fake workers of the implicit tier (not yet greeted)."""
    log_path = fresh_name()
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(b"\0" + log_path.encode())
    config = config_of(*proxies, log=Address(AddressKind.ABNSZ, path=log_path), **settings)
    names = {number: b"\0" + fresh_name().encode() for number in range(1, workers + 1)}
    fakes = [FakeWorker(name, number) for number, name in names.items()]
    fd = counters_memfd(config, dispatchers + workers) if counters else None
    dispatcher = Running(config, names, fd, log, dispatchers)
    if dispatchers > 1:
        dispatcher.board_fd = os.memfd_create("usher-test-board")
        binds = sum(len(proxy.binds) for proxy in proxies)
        os.ftruncate(dispatcher.board_fd, Board.page_bytes(dispatchers, binds, workers))
    for proxy in proxies:
        for bind in proxy.binds:
            dispatcher.listen(bind)
    try:
        if start:
            dispatcher.start()
        yield dispatcher, fakes
    finally:
        dispatcher.close()
        for fake in fakes:
            fake.close()
        log.close()
        for one in (fd, dispatcher.board_fd):
            if one is not None:
                os.close(one)


@contextmanager
def explicit(count: int = 2, *, binds: int = 1, **settings: object) -> Iterator[tuple[Running, list[FakeWorker], Proxy]]:
    """A dispatcher with one `listen` of so many `pass-fd` servers, and the workers behind (not yet greeted)."""
    paths = [fresh_name() for _ in range(count)]
    proxy = dispatcher_listen(*(server(f"p{number}", path, pass_fd=True) for number, path in enumerate(paths, 1)), binds=binds)
    for name, value in settings.items():
        setattr(proxy, name, value)
    workers = [FakeWorker(padded(path), number) for number, path in enumerate(paths, 1)]
    try:
        with running(proxy, counters=True) as (dispatcher, _):
            yield dispatcher, workers, proxy
    finally:
        for worker in workers:
            worker.close()


def counters_memfd(config: Config, processes: int) -> int:
    layout = Layout.of(config, processes)
    fd = os.memfd_create("usher-test-counters")
    os.ftruncate(fd, layout.size)
    with memory(fd) as view:
        layout.write(view)
    return fd


@contextmanager
def memory(fd: int) -> Iterator[memoryview]:
    mapped = mmap.mmap(fd, 0)
    with memoryview(mapped) as view:
        yield view
    mapped.close()


def counters_of(dispatcher: Running, row: int | None = None) -> Counters:
    assert dispatcher.counters_fd is not None
    shared = memoryview(mmap.mmap(dispatcher.counters_fd, 0))
    return Counters(shared, Layout.read(shared), row)


def wait_until(condition: object, what: str) -> None:
    """Poll something that only shows from outside, with a deadline."""
    assert callable(condition)
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.005)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
