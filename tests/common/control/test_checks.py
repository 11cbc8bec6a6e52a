"""Checks over real sockets: servers that refuse, reset, stall, dribble and lie; tasks that begin, pause and begin anew."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trustme

from common.acl.environment import CompileEnvironment, Where
from common.control.check_connection import Target, check_context
from common.control.check_talk import hold
from common.control.checks import Checks
from common.control.console import Console
from common.control.operator_plane import Plane
from common.health.compile import compile_script
from common.health.outcome import Outcome
from common.health.steps import Connect
from common.health.talk import CheckFacts, Talk
from common.model import Address, AddressKind, Config, Timeouts, Tls
from common.observe import states as s
from tests.common.control.fake_master import plane
from tests.common.health.conversations import backend

Handler = Callable[[trio.SocketStream], Awaitable[None]]
OK = b"HTTP/1.0 200 OK\r\n\r\n"
LIMIT_S = 0.05


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Address]:
    """A server on a port of its own."""

    async def serve(stream: trio.SocketStream) -> None:
        try:
            await handler(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield Address(AddressKind.INET, "127.0.0.1", listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


def refused() -> Address:
    """An address that nobody listens at."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return Address(AddressKind.INET, "127.0.0.1", sock.getsockname()[1])


async def check(lines: str, address: Address, read_s: float = 5.0, **target: object) -> Outcome:
    proxy = backend(lines)
    script = compile_script(proxy, CompileEnvironment(Where.CHECK, proxy), 16384)
    talk = Talk(script, CheckFacts(proxy, proxy.servers[0]))
    with trio.fail_after(10):
        return await hold(talk, lambda step: Target(address, **target), 5.0, 5.0, read_s)  # type: ignore[arg-type]


async def stall(stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


async def close(stream: trio.SocketStream) -> None:
    await stream.receive_some()


async def reset(stream: trio.SocketStream) -> None:
    await stream.receive_some()
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def say(*parts: bytes, first: bool = False) -> Handler:
    """Answers, one read apart; then waits for the end. first: it speaks first."""

    async def handler(stream: trio.SocketStream) -> None:
        for number, part in enumerate(parts):
            if number or not first:
                await stream.receive_some()
            await stream.send_all(part)
        await stream.receive_some()

    return handler


async def dribble(stream: trio.SocketStream) -> None:
    for byte in OK:
        await stream.send_all(bytes((byte,)))


async def flood(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(b"x" * 4096)


HTTP, TCP = "option httpchk\n", "option tcp-check\n"


@pytest.mark.parametrize(
    ("lines", "handler", "outcome"),
    [
        ("", stall, Outcome("L4OK")),
        (HTTP, say(OK), Outcome("L7OK", 200)),
        (HTTP, dribble, Outcome("L7OK", 200)),
        (HTTP, close, Outcome("L7RSP")),
        (HTTP, reset, Outcome("SOCKERR", 0, "Connection reset by peer")),
        (HTTP, flood, Outcome("L7RSP")),
        (TCP + "tcp-check expect string +OK", say(b"+OK\r\n", first=True), Outcome("L7OK", 0, "(tcp-check)")),
        (TCP + "tcp-check expect string +OK", flood, Outcome("L7RSP", 0, "TCPCHK did not match content '+OK' at step 1")),
        ("option smtpchk", say(b"220 hi\r\n", b"250 ok\r\n", b"221 bye\r\n", first=True), Outcome("L7OK", 221, "bye")),
    ],
)
async def test_a_server_is_taken_at_its_word(lines: str, handler: Handler, outcome: Outcome) -> None:
    async with serving(handler) as address:
        assert await check(lines, address) == outcome


async def test_a_refused_connection_says_so() -> None:
    assert await check("", refused()) == Outcome("L4CON", 0, "Connection refused")


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [(HTTP, "L7TOUT"), ("option ssl-hello-chk", "L6TOUT"), (TCP + "tcp-check expect tout-status L4TOUT string x", "L4TOUT")],
)
async def test_silence_ends_at_the_limit(lines: str, outcome: str) -> None:
    async with serving(stall) as address:
        assert (await check(lines, address, LIMIT_S)).name == outcome


@pytest.mark.parametrize(("version", "begins"), [(1, b"PROXY TCP4 127.0.0.1 127.0.0.1 "), (2, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")])
async def test_a_proxy_header_goes_first(version: int, begins: bytes) -> None:
    heard = bytearray()

    async def listen(stream: trio.SocketStream) -> None:
        while b"HTTP/1.0\r\n\r\n" not in heard:
            heard.extend(await stream.receive_some())
        await stream.send_all(OK)

    async with serving(listen) as address:
        assert await check(HTTP, address, proxy_version=version) == Outcome("L7OK", 200)
    assert heard.startswith(begins)


class TestTls:
    @staticmethod
    def over_tls(handler: Handler, names: list[str | None]) -> tuple[Handler, trustme.CA]:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("a.example").configure_cert(context)
        context.set_alpn_protocols(["x"])
        context.sni_callback = lambda _sock, name, _context: names.append(name)

        async def wrapped(stream: trio.SocketStream) -> None:
            await handler(trio.SSLStream(stream, context, server_side=True, https_compatible=True))  # type: ignore[arg-type]

        return wrapped, authority

    async def test_a_check_over_tls_sends_its_name(self) -> None:
        names: list[str | None] = []
        handler, _ = self.over_tls(say(OK), names)
        context = check_context(Tls(verify="none"), ("x",), verify_default=True)
        async with serving(handler) as address:
            assert await check(HTTP, address, context=context, server_name="a.example") == Outcome("L7OK", 200)
        assert names == ["a.example"]

    async def test_a_handshake_alone_is_layer_6(self) -> None:
        async def greet(stream: trio.SocketStream) -> None:
            await stream.do_handshake()  # type: ignore[attr-defined]

        handler, _ = self.over_tls(greet, [])
        async with serving(handler) as address:
            assert await check("", address, context=check_context(Tls(verify="none"), (), verify_default=False)) == Outcome("L6OK")

    async def test_an_unknown_authority_is_refused_where_it_is_verified(self) -> None:
        handler, _ = self.over_tls(say(OK), [])
        async with serving(handler) as address:
            outcome = await check(HTTP, address, context=check_context(Tls(verify="required"), (), verify_default=False))
        assert outcome.name == "L6RSP"
        assert outcome.info.startswith("SSL handshake failure")

    @pytest.mark.parametrize("handler", [close, reset, say(b"HTTP/1.0 400 Bad\r\n\r\n")])
    async def test_a_server_without_tls_fails_the_handshake(self, handler: Handler) -> None:
        async with serving(handler) as address:
            outcome = await check("", address, context=check_context(Tls(verify="none"), (), verify_default=False))
        assert outcome.name == "L6RSP"

    async def test_a_silent_server_runs_into_the_limit_of_the_connection(self) -> None:
        proxy = backend("")
        talk = Talk(compile_script(proxy, CompileEnvironment(Where.CHECK, proxy), 16384), CheckFacts(proxy, proxy.servers[0]))
        context = check_context(Tls(verify="none"), (), verify_default=False)
        async with serving(stall) as address:

            def aim(_step: Connect) -> Target:
                return Target(address, context=context)

            assert (await hold(talk, aim, LIMIT_S, 5.0, 5.0)).name == "L6TOUT"


class Watched:
    """A plane whose lines are kept, and its checks running."""

    def __init__(self, config: Config) -> None:
        self.plane: Plane = plane(config)
        self.plane.console = Console(fd=os.memfd_create("console"))
        self.checks = Checks(self.plane, Console(fd=-1), chance=lambda: 0.5)

    @property
    def lines(self) -> list[str]:
        """What the console was told."""
        said = os.pread(self.plane.console.fd, 1 << 20, 0).decode()
        return [line.partition(" : ")[2] for line in said.splitlines()]

    def state(self, name: str) -> s.ServerState:
        place = self.plane.changes.find(name)
        assert place is not None
        return s.read_server(self.plane.changes.block(place), self.plane.now)

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(10):
            while not condition():  # noqa: ASYNC110 - what is waited for stands in shared memory
                await trio.sleep(0.002)


@asynccontextmanager
async def watching(config: Config) -> AsyncIterator[Watched]:
    watched = Watched(config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watched.checks.run)
        watched.checks.serving()
        yield watched
        os.close(watched.plane.console.fd)
        nursery.cancel_scope.cancel()


def farm(address: Address, lines: str = HTTP, **options: tuple[str, ...]) -> Config:
    proxy = backend(lines)
    proxy.timeouts = Timeouts(connect=5.0, check=5.0)
    proxy.servers[0].address = address
    proxy.servers[0].options = {"inter": ("5ms",)} | {name.replace("_", "-"): value for name, value in options.items()}
    return Config(proxies=[proxy])


async def test_a_server_goes_down_and_comes_back_with_its_answers() -> None:
    answers = {"now": OK}

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answers["now"])

    async with serving(answer) as address, watching(farm(address)) as watched:
        await watched.until(lambda: watched.state("be/s1").check_status.name == "L7OK")
        answers["now"] = b"HTTP/1.0 503 Busy\r\n\r\n"
        await watched.until(lambda: watched.state("be/s1").status() == "DOWN")
        assert watched.state("be/s1").check_code == 503
        assert watched.state("be/s1").last_check == "Busy"
        answers["now"] = OK
        await watched.until(lambda: watched.state("be/s1").status() == "UP")
        assert watched.lines[0].startswith('Server be/s1 is DOWN, reason: Layer7 wrong status, code: 503, info: "Busy", check duration: ')
        assert watched.lines[1] == "backend be has no server available!"
        assert watched.lines[2].startswith("Server be/s1 is UP, reason: Layer7 check passed, code: 200, check duration: ")


async def test_in_maintenance_nobody_is_asked() -> None:
    asked = []

    async def count(stream: trio.SocketStream) -> None:
        asked.append(1)
        await stream.receive_some()
        await stream.send_all(OK)

    async with serving(count) as address, watching(farm(address)) as watched:
        await watched.until(lambda: len(asked) > 1)
        place = watched.plane.changes.find("be/s1")
        assert place is not None
        watched.plane.changes.maintain(place, watched.plane.now)
        await watched.until(lambda: not watched.state("be/s1").check_state & s.CHECK_IN_PROGRESS)
        before = len(asked)
        await trio.sleep(0.03)  # several intervals
        assert len(asked) == before
        watched.plane.changes.ready(place, watched.plane.now)
        await watched.until(lambda: len(asked) > before)


async def test_port_and_addr_lead_elsewhere_and_operators_may_change_them() -> None:
    async with serving(say(OK)) as address, watching(farm(refused(), port=(str(address.port),))) as watched:
        await watched.until(lambda: watched.state("be/s1").check_status.name == "L7OK")
        watched.plane.config.proxies[0].servers[0].options["port"] = (str(refused().port),)
        await watched.until(lambda: watched.state("be/s1").check_status.name == "L4CON")


async def test_an_agent_is_heard() -> None:
    heard: list[bytes] = []

    async def agent(stream: trio.SocketStream) -> None:
        heard.append(bytes(await stream.receive_some()))
        await stream.send_all(b"fail #broken\n")

    async with serving(agent) as address:
        config = farm(refused(), "", agent_check=(), agent_port=(str(address.port),), agent_inter=("5ms",), agent_send=("who\n",))
        config.proxies[0].servers[0].check = False
        async with watching(config) as watched:
            await watched.until(lambda: watched.state("be/s1").status() == "DOWN (agent)")
            assert 'info: "via agent : fail (broken)"' in watched.lines[0]
    assert heard[0] == b"who\n"


async def test_the_state_header_tells_how_the_server_stands() -> None:
    heard: list[bytes] = []

    async def listen(stream: trio.SocketStream) -> None:
        heard.append(bytes(await stream.receive_some()))
        await stream.send_all(OK)

    async with serving(listen) as address, watching(farm(address, HTTP + "http-check send-state")) as watched:
        await watched.until(lambda: len(heard) > 1)
    state = heard[0].decode().split("x-haproxy-server-state: ")[1].split("\r\n")[0]
    assert state.startswith(f"UP 1/3; address=127.0.0.1; port={address.port}; name=be/s1; node=")
    assert state.endswith("; weight=1/1; scur=0/0; qcur=0")


async def test_a_new_generation_is_checked_from_where_the_old_one_stood() -> None:
    async with serving(say(OK)) as address, watching(farm(refused())) as watched:
        await watched.until(lambda: watched.state("be/s1").status() == "DOWN")
        watched.plane.config.proxies[0].servers[0].options["port"] = (str(address.port),)
        watched.checks.serving()
        await watched.until(lambda: watched.state("be/s1").status() == "UP")
