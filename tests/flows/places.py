"""The addresses of one flow: ports, socket paths and abstract names that nothing else on the machine can take.

A configuration text names what it needs, and gets it when the flow starts:

    <listen:web>   "127.0.0.1:PORT", for the program to bind
    <port:web>     the port alone, of the same place
    <fd:web>       the number of an inherited descriptor that already listens; the program gets it at exec
    <unix:web>     a socket path in the flow's own folder
    <abns:web>     an abstract name with our pid in it, to write after `abns@` (padded, as HAProxy does)
    <abnsz:web>    the same for `abnsz@` (exact length)
    <server:app>   "127.0.0.1:PORT" of a scripted server of ours, which listens from the start
    <serverport:app>  its port alone
    <unixserver:app>, <abnsserver:app>  a scripted server at a socket path or a padded abstract name
    <full:app>     "127.0.0.1:PORT" of a server whose backlog is full: connecting to it hangs
    <refused:app>  "127.0.0.1:PORT" that refuses connections
    <log>          "127.0.0.1:PORT" of the flow's syslog receiver
    <file:NAME>    the path of a file in the flow's folder

Ports without a race: `<listen:…>` is a socket that we bind to port 0 with SO_REUSEADDR and never let listen. The kernel
gives that port to nobody who asks for "any", neither as a listener nor as the source of a connection, but lets a program
that names the port (with SO_REUSEADDR, as every server does) bind and listen beside us. That beats two other ways:
`bind fd@N` everywhere would leave the ordinary bind untested and keep the backlog open after the program is gone, and
"look for a free port, then hope" needs the program to tell a collision from a fault.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from itertools import count
from pathlib import Path

from tests.flows.peers import Address, Listener
from tests.flows.syslog import SyslogReceiver

_PLACE = re.compile(r"<([a-z]+)(?::([\w./-]+))?>")
_flows = count(1)

SUN_PATH_BYTES = 108


class Places:
    """What one flow owns: reserved ports, scripted servers, a syslog receiver, names, and a folder for files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = SyslogReceiver()
        self.servers: dict[str, Listener] = {}
        self._tag = f"flow-{os.getpid()}-{next(_flows)}"
        self._sockets: dict[tuple[str, str], socket.socket] = {}
        self._local: dict[str, str | bytes] = {}
        self._fillers: list[socket.socket] = []
        self._makers: dict[str, Callable[[str], str]] = {
            "listen": lambda name: f"127.0.0.1:{self._port('listen', name)}",
            "port": lambda name: str(self._port("listen", name)),
            "fd": lambda name: str(self._inherited(name).fileno()),
            "unix": self._unix,
            "abns": lambda name: self._abstract(name, padded=True),
            "abnsz": lambda name: self._abstract(name, padded=False),
            "server": lambda name: f"127.0.0.1:{self.server(name).port}",
            "serverport": lambda name: str(self.server(name).port),
            "unixserver": self._unix_server,
            "abnsserver": self._abstract_server,
            "full": lambda name: f"127.0.0.1:{self._full(name)}",
            "refused": lambda name: f"127.0.0.1:{self._port('refused', name)}",
            "file": lambda name: str(self.path(name)),
        }

    def fill_in(self, text: str) -> str:
        """The text with its places replaced. An unknown kind of place is a mistake in the test: KeyError."""

        def replace(match: re.Match[str]) -> str:
            return f"127.0.0.1:{self.log.port}" if match[1] == "log" else self._makers[match[1]](match[2])

        return _PLACE.sub(replace, text)

    def path(self, name: str) -> Path:
        return self.folder / name

    def address(self, name: str) -> Address:
        """Where a client reaches `<listen:NAME>`, `<fd:NAME>`, `<unix:NAME>`, `<abns:NAME>` or `<abnsz:NAME>`."""
        if name in self._local:
            return self._local[name]
        found = self._sockets.get(("listen", name)) or self._sockets[("fd", name)]
        host, port = found.getsockname()
        return host, port

    def bound(self) -> tuple[set[int], set[str]]:
        """(ports, local names) that programs were told to bind so far, local names as /proc/net/unix writes them."""
        ports = {found.getsockname()[1] for (kind, _), found in self._sockets.items() if kind == "listen"}
        names = {name if isinstance(name, str) else name.rstrip(b"\0").replace(b"\0", b"@").decode() for name in self._local.values()}
        return ports, names

    def port(self, name: str) -> int:
        """The port of `<listen:NAME>` or `<port:NAME>`."""
        return self._port("listen", name)

    def refused_port(self, name: str) -> int:
        """The port of `<refused:NAME>`, for another program of the test that wants to listen there after all."""
        return self._port("refused", name)

    def server(self, name: str) -> Listener:
        if name not in self.servers:
            self.servers[name] = Listener()
        return self.servers[name]

    def inherited(self) -> list[int]:
        """The descriptors of all `<fd:…>` places, for exec."""
        return [found.fileno() for (kind, _), found in self._sockets.items() if kind == "fd"]

    def let_go(self, name: str) -> None:
        """Closes our own copy of `<fd:NAME>`, so that the program alone decides how long it listens."""
        self._sockets.pop(("fd", name)).close()

    def close(self) -> None:
        for found in [*self._sockets.values(), *self._fillers]:
            found.close()
        for server in self.servers.values():
            server.close()
        self.log.close()

    def _port(self, kind: str, name: str) -> int:
        if (kind, name) not in self._sockets:
            reserved = socket.socket()
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            reserved.bind(("127.0.0.1", 0))
            self._sockets[kind, name] = reserved
        port: int = self._sockets[kind, name].getsockname()[1]
        return port

    def _unix(self, name: str) -> str:
        self._local[name] = path = str(self.path(f"{name}.sock"))
        return path

    def _abstract(self, name: str, *, padded: bool) -> str:
        short = f"{self._tag}-{name}"
        self._local[name] = b"\0" + short.encode().ljust(SUN_PATH_BYTES - 1 if padded else 0, b"\0")
        return short

    def _unix_server(self, name: str) -> str:
        path = str(self.path(f"{name}.sock"))
        self.servers[name] = Listener(path)
        return path

    def _abstract_server(self, name: str) -> str:
        short = f"{self._tag}-{name}"
        self.servers[name] = Listener(b"\0" + short.encode().ljust(SUN_PATH_BYTES - 1, b"\0"))
        return short

    def _inherited(self, name: str) -> socket.socket:
        if ("fd", name) not in self._sockets:
            self._sockets["fd", name] = socket.create_server(("127.0.0.1", 0), backlog=64)
        return self._sockets["fd", name]

    def _full(self, name: str) -> int:
        """A listener with room for nobody more: its SYN queue and accept queue are taken by us, later SYNs are dropped."""
        if ("full", name) not in self._sockets:
            self._sockets["full", name] = full = socket.create_server(("127.0.0.1", 0), backlog=0)
            for _ in range(4):
                filler = socket.socket()
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
                self._fillers.append(filler)
        port: int = self._sockets["full", name].getsockname()[1]
        return port
