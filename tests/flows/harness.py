"""A flow: one or several programs running from configuration texts, with everything around them that a test needs.

    with Flow(folder, HAPROXY, text) as flow:
        client = flow.connect("web")          # to <listen:web>
        server = flow.server("app").accept()  # behind <server:app>
        flow.log.expect("app/s1")

Leaving the block stops the programs and checks that they end as they should: exit code, no process left, stdout at its
end, no traceback. Starts cost (half a second for a program in Python), so modules start one flow and give every
scenario a `listen` section of its own in it: own port, own servers, own log lines, nothing shared but the processes.
"""

from __future__ import annotations

import re
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.flows.blocks import without_refused
from tests.flows.peers import Listener, Peer, connect, connect_tls
from tests.flows.places import Places
from tests.flows.programs import Instance, Program
from tests.flows.story import Scene, play
from tests.flows.syslog import SyslogReceiver

DEFAULTS = """
global
    maxconn 1000
    log <log> local0
    {globals}
defaults
    mode http
    log global
    option httplog
    option dontlognull
    timeout connect 1s
    timeout client 3s
    timeout server 3s
    {defaults}
"""


def one_worker(program: str) -> str:
    """The global line for stories that tell of one process: what its clients share is not shared between processes."""
    return "workers 1" if program == "usher" else "nbthread 1"


def defaults(*, global_lines: str = "", default_lines: str = "") -> str:
    return DEFAULTS.replace("{globals}", global_lines.strip()).replace("{defaults}", default_lines.strip())


class Flow:
    """Programs and their places. tiers: (program, configuration text) each; all share the same places."""

    def __init__(
        self,
        folder: Path,
        *tiers: tuple[Program, str],
        arguments: tuple[str, ...] = (),
        before_exec: Callable[[], None] | None = None,
        until_ready: bool = True,
    ) -> None:
        """until_ready: start() waits for the program's own word that it is ready, not only for its sockets."""
        self.folder = folder
        self.places = Places(folder)
        self.tiers = tiers
        self.arguments = arguments
        self.before_exec = before_exec
        self.until_ready = until_ready
        self.instances: list[Instance] = []
        self.refused: dict[str, str] = {}  # block of the configuration -> what the program says against it
        self.end_signal: int = signal.SIGTERM
        self._clients: list[Peer] = []
        self._ready = 0  # how many instances have said so
        self._awaited: tuple[set[int], set[str]] = (set(), set())

    @property
    def log(self) -> SyslogReceiver:
        return self.places.log

    @property
    def instance(self) -> Instance:
        return self.instances[0]

    def start(self) -> Flow:
        try:
            for number, (program, text) in enumerate(self.tiers):
                self._start_tier(program, text, number)
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        try:
            for instance in self.instances:
                instance.stop(self.end_signal)
        finally:
            self.kill()

    def kill(self) -> None:
        for instance in self.instances:
            instance.kill()
        for client in self._clients:
            client.close()
        self.places.close()

    def __enter__(self) -> Flow:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self.stop()
            return
        self.kill()
        for instance in self.instances:
            if instance.output:
                error.add_note(f"--- {instance.program.name} printed:\n{instance.output[-4000:]}")

    def connect(self, name: str) -> Peer:
        return self._keep(connect(self.places.address(name)))

    def connect_tls(self, name: str, context: ssl.SSLContext, *, server_name: str | None = "localhost") -> Peer:
        return self._keep(connect_tls(self.places.address(name), context, server_name=server_name))

    def server(self, name: str) -> Listener:
        return self.places.server(name)

    def port(self, name: str) -> int:
        return self.places.port(name)

    def play(
        self,
        story: str,
        *,
        name: str = "",
        tls: ssl.SSLContext | None = None,
        server_name: str | None = "localhost",
        server_tls: ssl.SSLContext | None = None,
    ) -> None:
        """Plays a story. name: of the scenario whose places (`NAME.client`, `NAME.server`) and log lines it uses.
        tls: what clients speak; server_tls: what servers speak; None: nothing."""
        __tracebackhide__ = True
        prefix = f"{name}." if name else ""

        def open_client(actor: str) -> Peer:
            listen = f"{prefix}{actor.rstrip('0123456789')}"
            peer = self.connect_tls(listen, tls, server_name=server_name) if tls else self.connect(listen)
            peer.name = actor
            return peer

        play(story, Scene(open_client, lambda kind: self.server(prefix + kind), self.log, name, server_tls))

    def _keep(self, peer: Peer) -> Peer:
        """Remembers a client, so that one which a failing test left open is closed with the flow."""
        self._clients.append(peer)
        return peer

    def _start_tier(self, program: Program, text: str, number: int) -> None:
        config = self.folder / f"{program.name}-{number}.cfg"
        filled = self.places.fill_in(text)
        fds = tuple(self.places.inherited())
        filled, refused = without_refused(program, filled, self.folder, fds)
        self.refused |= refused
        config.write_text(filled)
        instance = Instance(program, config, pass_fds=fds, arguments=self.arguments, before_exec=self.before_exec)
        self.instances.append(instance)
        if any(other == text for _, other in self.tiers[number + 1 :]):
            return  # the same file goes to another program, which may be the one that listens
        ports_now, names_now = self.places.bound()
        ports, names = self._awaited
        instance.wait_listening(
            {port for port in ports_now - ports if re.search(rf":{port}\b", filled)},
            {name for name in names_now - names if name.lstrip("@") in filled},
        )
        self._awaited = ports_now, names_now
        if self.until_ready:
            for started in self.instances[self._ready :]:
                if started.program.notifies:
                    started.wait_ready()
            self._ready = len(self.instances)
