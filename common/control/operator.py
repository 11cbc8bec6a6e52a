"""The operator sockets: `stats socket` lines and -S, opened by the master, each operator served by a session.

Sockets that a new configuration still has stay open over a reload, with everybody who is connected. At most `stats maxconn`
operators are served at one time; others wait in the backlog.

How it is wired into the service: an `Operator` is made with the console; `serving` is called with each generation that begins to
serve, and `run` is one of the master's tasks.

Source: HAProxy configuration manual 3.1 `stats socket`, `stats timeout`, `stats maxconn`; management guide 9.3, 9.4.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import trio

from common.config.address import BIND, AddressError, parse_address
from common.control.console import Console
from common.control.operator_plane import Generation, Master, Plane
from common.control.operator_session import Session
from common.errors import ConfigError, UsherError
from common.model import Address, AddressKind, Bind, Config, Global, Place, Proxy, last_word
from common.net.listener import open_bind
from common.observe.commands import Level
from common.units import parse_time

TIMEOUT_S: Final = 10.0
MAXCONN: Final = 10
MASTER_TIMEOUT_S: Final = 86400.0  # the master's own socket has none in HAProxy
_LEVELS: Final = {"user": Level.USER, "operator": Level.OPERATOR, "admin": Level.ADMIN}
_FLAGS: Final = frozenset(("v4v6", "v6only", "transparent", "defer-accept", "tfo"))


@dataclass(frozen=True, slots=True)
class SocketLine:
    """One `stats socket` line, or -S (on_master). Who may connect to a unix socket: mode, owner by number or by name."""

    address: Address
    level: Level = Level.OPERATOR
    severity: str = "none"
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    user: str | None = None
    group: str | None = None
    on_master: bool = False

    @property
    def shown(self) -> str:
        return f"unix@{self.address.path}" if self.address.kind is AddressKind.UNIX else str(self.address)


def parse_socket(words: Sequence[str], *, on_master: bool = False) -> SocketLine:
    """A `stats socket` line's words, address first. Raises ConfigError; the parser of the file has said all before."""
    text, *rest = words
    try:
        address = parse_address(text if "/" not in text or "@" in text else f"unix@{text}", BIND)
    except AddressError as error:
        raise ConfigError(f"operator socket {text}: {error.message}") from None
    found = {"level": "admin" if on_master else "operator"}
    position = 0
    while position < len(rest):
        name = rest[position]
        position += 1
        if name not in _FLAGS:
            found[name] = rest[position] if position < len(rest) else ""
            position += 1
    if found["level"] not in _LEVELS:
        raise ConfigError(f"operator socket {text}: 'level' only supports 'user', 'operator', and 'admin' (got '{found['level']}')")
    try:
        uid, gid = (int(found[name]) if name in found else None for name in ("uid", "gid"))
        mode = int(found["mode"], 8) if "mode" in found else None
    except ValueError as error:
        raise ConfigError(f"operator socket {text}: {error}") from None
    severity = found.get("severity-output", "none")
    return SocketLine(address, _LEVELS[found["level"]], severity, mode, uid, gid, found.get("user"), found.get("group"), on_master)


class Operator:
    """master_socket: the argument of -S, "" without it."""

    __slots__ = ("_changed", "_console", "_limit", "_master_line", "_open", "_scopes", "_timeout_s", "plane")

    def __init__(self, master: Master, console: Console, master_socket: str = "") -> None:
        self.plane = Plane(master, console)
        self._console = console
        self._master_line = parse_socket(master_socket.split(","), on_master=True) if master_socket else None
        self._open: dict[SocketLine, socket.socket] = {}
        self._scopes: dict[SocketLine, trio.CancelScope] = {}  # of those that accept; the end of a scope closes the socket
        self._changed = trio.Event()
        self._timeout_s = TIMEOUT_S
        self._limit = trio.CapacityLimiter(MAXCONN)

    def serving(self, generation: Generation) -> None:
        """A generation begins to serve: its numbers are the ones to show, its sockets those to listen on."""
        self.plane.serving(generation)
        settings = generation.blueprint.config.globals
        self._timeout_s = _time(settings, "stats timeout", TIMEOUT_S)
        self._limit.total_tokens = int(last_word(settings.extra, "stats maxconn") or MAXCONN)
        self._open_sockets(generation.blueprint.config)
        self._changed.set()
        self._changed = trio.Event()

    async def run(self, _master: object = None) -> None:
        """The master's task: keep the statistics, accept operators; cancelled at the end."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.plane.keep)
                while True:
                    changed = self._changed
                    for line, listener in self._open.items():
                        if line not in self._scopes:
                            self._scopes[line] = trio.CancelScope()
                            nursery.start_soon(self._accept, line, listener, self._scopes[line], nursery)
                    await changed.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Close the listening sockets. Paths of unix sockets stay, as HAProxy leaves them: the next start replaces them."""
        for line in list(self._open):
            self._close(line)

    def _close(self, line: SocketLine) -> None:
        listener = self._open.pop(line)
        scope = self._scopes.pop(line, None)
        if scope is None:
            listener.close()
        else:
            scope.cancel()

    def _open_sockets(self, config: Config) -> None:
        """Open what is new, close what is gone. A socket that cannot be opened is said; the service serves without it."""
        wanted = [parse_socket(words) for words in config.globals.stats_sockets]
        wanted += [self._master_line] if self._master_line is not None else []
        for line in [line for line in self._open if line not in wanted]:
            self._close(line)
        for line in wanted:
            if line not in self._open:
                try:
                    self._open[line] = _listen(line, config.globals)
                except (UsherError, OSError) as error:
                    self._console.alert(f"operator socket {line.shown} cannot be opened: {error}")
        self.plane.sockets = [(line.shown, line.level.name.lower()) for line in self._open if not line.on_master]

    async def _accept(self, line: SocketLine, listener: socket.socket, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
        """Accept for as long as the socket is wanted. Sessions go on when it is not."""
        with scope, trio.socket.from_stdlib_socket(listener) as asynchronous:
            while True:
                await trio.lowlevel.wait_readable(listener)  # only who has come takes a place
                await self._limit.acquire_on_behalf_of(token := object())
                try:
                    connection, _peer = await asynchronous.accept()
                except OSError as error:
                    self._limit.release_on_behalf_of(token)
                    self._console.warning(f"operator socket {line.shown}: {error.strerror or error}")
                    await trio.sleep(1)
                except BaseException:
                    self._limit.release_on_behalf_of(token)
                    raise
                else:
                    nursery.start_soon(self._serve, line, trio.SocketStream(connection), token)

    async def _serve(self, line: SocketLine, stream: trio.SocketStream, token: object) -> None:
        """One operator. A fault in a command ends this session, never the master."""
        timeout_s = MASTER_TIMEOUT_S if line.on_master else self._timeout_s
        session = Session(self.plane, stream, line.level, timeout_s, line.severity, on_master=line.on_master)
        try:
            await session.run()
        except Exception as error:
            self._console.alert(f"a command on operator socket {line.shown} failed: {error!r}")
        finally:
            self._limit.release_on_behalf_of(token)
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await trio.aclose_forcefully(stream)


def _listen(line: SocketLine, settings: Global) -> socket.socket:
    """A listening socket, opened as those of the proxies are."""
    bind = Bind(Place(), line.address, mode=line.mode, uid=line.uid, gid=line.gid, user=line.user, group=line.group)
    return open_bind(bind, Proxy(Place(), "GLOBAL", True, False), settings, reuseport=False)


def _time(settings: Global, name: str, default_s: float) -> float:
    text = last_word(settings.extra, name)
    return parse_time(text) if text else default_s
