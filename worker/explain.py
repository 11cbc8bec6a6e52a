"""`usher explain`'s engine: what this configuration makes of a request, found by the data plane itself.

    with Explainer(config) as explainer:
        explanation = explainer.explain(request_bytes, frontend="web", bind=None, source=…)

A whole worker is built, as one that is started, without listeners, logs and master. The request goes through `Exchange.run`, with
rules that tell what they see (worker/route/trace.py), and is stopped where a server would be connected to; then the backend is asked
for its choice, and the head is made that the server would get. An answer of ours is read off the client's end of a socket pair.
"""

from __future__ import annotations

import copy
import os
import socket
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from common import model
from common.acl.absent import AbsentTls
from common.errors import UsherError, WireError
from common.net.stream import Stream
from common.process.launch import WORKER, Launch
from common.process.tier import open_counters
from common.wire.proxy_header import Family, ProxyHeader
from worker import decide
from worker.asking import head_for
from worker.backend import Backend
from worker.cut import Cut
from worker.exchange import Exchange
from worker.http.head import Request
from worker.route.trace import Step, Trace, applied
from worker.session import Session
from worker.steps import Step as Phase
from worker.world import World

ANSWER_BYTES_MAX = 1 << 20
TURNS_MAX = 10_000
_TURN_S = 0.01


@dataclass(frozen=True, slots=True)
class Choice:
    """One server of the backend. elected: the algorithm chooses among those; weight: effective, of the algorithm."""

    name: str
    address: str
    usable: bool
    elected: bool
    backup: bool
    weight: float
    load: int


@dataclass(slots=True)
class Explanation:
    """What would be done. verdict: "served", "answered", "closed" or "unread". answer: our own, as it would be sent."""

    frontend: str
    bind: str
    verdict: str = ""
    steps: list[Step] = field(default_factory=list)
    backend: str = ""
    backend_place: model.Place | None = None
    server: str = ""
    candidates: list[Choice] = field(default_factory=list)
    persistence: str = ""
    answer: bytes = b""
    received: bytes = b""
    forwarded: bytes = b""
    timeouts: dict[str, float] = field(default_factory=dict)
    termination: str = ""
    reason: str = ""
    variables: dict[str, str] = field(default_factory=dict)


class _Stopped(BaseException):
    """The exchange has come to where a server is connected to. No exception that it would treat as its own."""


class _Explained(Exchange):
    """An exchange that goes as far as its server."""

    @property
    def step(self) -> Phase:
        return self._step

    @step.setter
    def step(self, step: Phase) -> None:
        self._step = step
        if step is Phase.CONNECT:
            raise _Stopped

    _step = Phase.REQUEST


class Explainer:
    """A worker that serves nobody. traced: rules tell what they see."""

    def __init__(self, config: model.Config, *, traced: bool = True) -> None:
        """Raises ConfigError for what only shows in a running worker."""
        self.config = _without_logs(config)
        launch = Launch(self.config, WORKER, 1, 1, os.getpid(), workers=1)
        self.world = World(launch, open_counters(launch))
        self.trace = Trace()
        if traced:
            for frontend in self.world.frontends.values():
                self.trace.watch(frontend.rules, frontend.model)
            for backend in self.world.backends.values():
                self.trace.watch(backend.rules, backend.model)

    def __enter__(self) -> Explainer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.world.calls.close()
        self.world.outlets.close()
        self.world.pump.epoll.close()

    def explain(
        self,
        request: bytes,
        *,
        frontend: str,
        bind: model.Bind | None = None,
        source: tuple[str, int] = ("127.0.0.1", 50000),
        destination: tuple[str, int] = ("127.0.0.1", 80),
        sni: str = "",
    ) -> Explanation:
        """request: as the client sends it, head and body. sni: what he asks for where the bind speaks TLS.

        Raises UsherError for a frontend that there is not.
        """
        side = self.world.frontends.get(frontend)
        if side is None:
            raise UsherError(f'there is no frontend "{frontend}"')
        chosen = bind or next(iter(side.model.binds), None) or model.Bind(side.model.place, model.Address(model.AddressKind.INET, "", 0))
        told = Explanation(side.name, str(chosen.address), received=request)
        self.trace.steps = told.steps
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            end.setblocking(False)
        stream = Stream(self.world.pump, ours)
        stream.watch()
        theirs.shutdown(socket.SHUT_WR)
        header = ProxyHeader(2, False, _family(source[0]), source[0], source[1], destination[0], destination[1])
        session = Session(self.world, side, chosen, stream, header, None)
        session.awaits_header = False
        if session.has_tls:
            session.tls = AbsentTls(sni.encode())
        try:
            self._drive(self._run(session, request, told))
            told.answer = _received(theirs)
        finally:
            stream.close()
            theirs.close()
        return told

    def _drive(self, story: Any) -> None:
        """Let the pump turn until the story is over: rules may wait for bodies."""
        failure: list[BaseException] = []
        over = False

        async def strand() -> None:
            nonlocal over
            try:
                await story
            except BaseException as error:
                failure.append(error)
            over = True

        pump = self.world.pump
        pump.spawn(strand(), "explain")
        for _ in range(TURNS_MAX):
            if over:
                break
            pump.turn(_TURN_S)
        if failure:
            raise failure[0]

    async def _run(self, session: Session, data: bytes, told: Explanation) -> None:
        rules = session.proxy.rules
        for admission in (rules.tcp_connection, rules.tcp_session):
            if admission and not decide.admit(session, admission):
                told.verdict, told.reason = "closed", "a tcp-request rule refuses the connection"
                return
        await (self._exchange if session.proxy.is_http else self._tunnel)(session, data, told)

    async def _tunnel(self, session: Session, data: bytes, told: Explanation) -> None:
        """Mode tcp: content rules and the backend; it may become HTTP there."""
        session.requests = 1
        exchange = Exchange(session, None, session.accepted_at)
        exchange.client_buffer = data
        try:
            backend = await decide.tcp(exchange)
        except Cut as cut:
            _cut(told, cut)
            return
        if backend is None:
            await self._exchange(session, data, told)
        else:
            self._served(exchange, backend, told)

    async def _exchange(self, session: Session, data: bytes, told: Explanation) -> None:
        try:
            found = session.proxy.reader.parse(data, 0)
        except WireError as error:
            told.verdict, told.reason = "unread", f"{error.slug}: answered {error.status}"
            return
        if found is None:
            told.verdict, told.reason = "unread", "the head is not complete"
            return
        request, end = found
        session.requests = 1
        exchange = _Explained(session, request, session.accepted_at)
        exchange.first_byte_at = exchange.request_at = self.world.pump.now
        exchange.client_buffer = data[end:]
        try:
            await exchange.run()
        except _Stopped:
            backend = exchange.routed
            assert backend is not None
            self._served(exchange, backend, told, request)
            return
        told.verdict = "answered" if exchange.response_started else "closed"
        self._note(exchange, told)

    def _served(self, exchange: Exchange, backend: Backend, told: Explanation, request: Request | None = None) -> None:
        told.verdict = "served"
        told.candidates = [_choice(backend, position) for position in range(len(backend.servers))]
        server = backend.choose(exchange, ())
        if server is not None:
            exchange.leased = server
            told.server = server.model.name
        else:
            told.reason = "no server is usable"
        stuck = getattr(exchange, "stuck", None)
        if stuck is not None and stuck.direct:
            told.persistence = f"{server.model.name if server else '-'} ({exchange.persistence_state.decode()})"
        if request is not None and server is not None:
            try:
                told.forwarded = head_for(exchange, request, backend)
            except Cut as cut:
                _cut(told, cut)
                return
        self._note(exchange, told)

    def _note(self, exchange: Exchange, told: Explanation) -> None:
        routed = exchange.routed
        told.backend = routed.name if routed is not None else ""
        switches = [step.place for step in applied(told.steps) if step.ruleset.endswith(": use_backend")]
        told.backend_place = switches[-1] if switches else None
        told.termination = exchange.termination.decode()
        told.reason = told.reason or exchange.slug
        names = ("client", "connect", "queue", "server", "tunnel", "tarpit")
        told.timeouts = {name: value for name in names if (value := exchange.timeout(name)) is not None}
        for scope, values in (("sess", exchange.session.variables), ("txn", exchange.txn_variables), ("req", exchange.req_variables)):
            told.variables |= {f"{scope}.{name}": _shown(value.value) for name, value in values.items()}


def _choice(backend: Backend, position: int) -> Choice:
    server, balancer = backend.servers[position], backend.balancer
    one = server.model
    elected = position in balancer.elected
    load = backend.queue.load_of(position)
    return Choice(one.name, str(one.address), server.usable, elected, one.backup, balancer.weight(position), load)


def _cut(told: Explanation, cut: Cut) -> None:
    told.verdict, told.reason, told.termination = "closed", cut.slug, cut.termination.decode()


def _shown(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _received(sock: socket.socket) -> bytes:
    data = b""
    while len(data) < ANSWER_BYTES_MAX:
        try:
            more = sock.recv(65536)
        except OSError:
            break
        if not more:
            break
        data += more
    return data


def _family(address: str) -> Family:
    return Family.INET6 if ":" in address else Family.INET


def _without_logs(config: model.Config) -> model.Config:
    """The same, silent: nobody asked for log lines of what did not happen."""
    quiet = copy.copy(config)
    quiet.globals = copy.copy(config.globals)
    quiet.globals.logs = []
    quiet.proxies = [copy.copy(proxy) for proxy in config.proxies]
    for proxy in quiet.proxies:
        proxy.logs = []
    return quiet
