"""One worker process: its pump, its living proxies, its sessions, and what rules may ask about the process."""

from __future__ import annotations

import os
import random
import resource
import socket
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from common import model
from common.acl.environment import CompileEnvironment
from common.acl.facts_tls import TlsFacts
from common.acl.maps import MapStore
from common.acl.start import set_global_variables
from common.acl.types import Variables
from common.errors import ConfigError, ExpressionError
from common.model import Bind, Config
from common.net.logs import Logger, Outlets
from common.net.pump import Pump, Strand
from common.net.relay import limit_pipes
from common.net.stream import Stream
from common.observe import fields as f
from common.observe.bad_messages import BadMessage
from common.observe.counters import Counters
from common.observe.history import History
from common.observe.log_line import LEVELS
from common.observe.misdirected import Memory
from common.observe.rates import RATE_REQUESTS, RATE_SESSIONS, Rates
from common.observe.sessions import Recent
from common.process.blocked import watch_turns
from common.process.launch import Launch
from common.process.shared_tables import attach
from common.tables.samples import SampleTable
from common.wire.claims import Withdrawn
from common.wire.proxy_header import ProxyHeader
from worker.backend import Backend
from worker.calls import Calls
from worker.certificate import CertificateStore
from worker.certs import BindTls
from worker.continuous import Continuous
from worker.cut import Cut
from worker.drain import Drain
from worker.frontend import Frontend
from worker.handshakes import Handshakes
from worker.orders import Orders
from worker.pages import ErrorPages
from worker.receive import Channel, ChannelSeat, Seat
from worker.recent import Remembered, remember
from worker.route.rules import compile_rules, link_backends
from worker.server import Server
from worker.servers.idle import DescriptorShare
from worker.session import Session
from worker.sessionlog import SessionLog
from worker.standing import Standing
from worker.steps import Step
from worker.tally import Tallies, Tally
from worker.tickets import rings
from worker.tls import TlsStream, limit_records
from worker.tls_facts import ConnectionFacts
from worker.tls_tuning import Tuning
from worker.trust import Authorities
from worker.warming import keep_warm
from worker.watch import Watches

if TYPE_CHECKING:
    from worker.certificate_commands import Change
    from worker.trust_commands import TrustChange


class World:
    """See the module. Implements common.acl.facts_world.WorldFacts and worker.receive.Receiver."""

    def __init__(self, launch: Launch, counters: Counters) -> None:
        """Raises ConfigError for whatever in the configuration cannot be used."""
        self.launch = launch
        self.config: Config = launch.config
        self.number = launch.number
        self.generation = launch.generation
        self.counters = counters
        self.tallies = Tallies()
        self.descriptors = DescriptorShare(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.pump = Pump(self._crashed, self._pause)
        self.calls = Calls(self.pump, f"usher-calls-{launch.master_pid}-{launch.generation}-", self._called)
        self._fence_lock = threading.Lock()
        self.handshaking = Handshakes(self.pump, self.config.globals)
        self.channels: set[Channel] = set()
        self.orphans: set[ChannelSeat] = set()
        self.sessions: set[Session] = set()
        self.drain = Drain(self)
        self.recent: Recent[Remembered] = Recent()
        self.process_id = os.getpid()
        self.watches = Watches()
        self.variables: Variables = {}
        self.bad_messages: dict[tuple[int, bool], BadMessage] = {}  # by proxy and whether it is a response
        self.bad_messages_total = 0
        self.maps = MapStore()
        self.tables = {name: SampleTable(table) for name, table in attach(launch, lambda: int(self.pump.now * 1000)).items()}
        self.outlets = Outlets()
        self._session_ids = 0
        self.requests_numbered = 0
        self._wall_offset = time.time() - time.monotonic()
        self._uids = {0, os.getuid(), *self.config.globals.channel_uids}
        self._hostname = socket.gethostname()
        self._process = self.tallies.of(counters.process())
        self.logger = self._logger(self.config.globals.logs, None)
        watch_turns(self.pump, self.config.globals, self.log)
        limit_pipes(self.config.globals, launch.workers)
        self.frontends: dict[str, Frontend] = {}
        self.backends: dict[str, Backend] = {}
        self._binds: dict[int, tuple[Bind, Frontend]] = {}
        self.tuning = Tuning.of(self.config.globals)
        limit_records(self.tuning.max_record, self.tuning.hard_max_record, self.tuning.idle_s)
        self.certificates = CertificateStore(self.config)
        self.authorities = Authorities()
        secure = [_ring_name(proxy, bind) for proxy in self.config.proxies for bind in proxy.binds if bind.tls is not None]
        self._rings = rings(secure, self.tuning.rotation_s, self.tuning.lifetime_s)
        self.bind_contexts: dict[int, BindTls] = {}
        self.misdirected = Memory()
        self.certificate_change: Change | None = None  # transactions of operators
        self.trust_changes: dict[str, TrustChange] = {}
        self._build()
        self.orders = Orders(self.pump)
        self.continuous = Continuous(self, self._process)
        self.maps.tell = self.orders.tell
        shows_page = any(front.rules.page for front in self.frontends.values()) or any(back.rules.page for back in self.backends.values())
        self.history = History() if shows_page else None
        self.standing = Standing(self)
        self.standing.follow()

    def _pause(self) -> None:
        """Before and after the pump sleeps: tell what was counted, hear what the master says of servers."""
        self.tallies.publish()
        self.standing.follow()

    # --- building ------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        config = self.config
        try:
            set_global_variables(config, self)
            compiled = []
            for index, proxy in enumerate(config.proxies):
                environment = CompileEnvironment(proxy=proxy, config=config, read_file=_read_file, maps=self.maps)
                compiled.append((index, proxy, environment, compile_rules(proxy, config, environment), ErrorPages(proxy, environment)))
            for index, proxy, _environment, rules, errors in compiled:
                if proxy.backend and not proxy.disabled:
                    self.backends[proxy.name] = Backend(self, index, proxy, rules, errors)
            for index, proxy, environment, rules, errors in compiled:
                if proxy.frontend and not proxy.disabled:
                    self._build_frontend(index, proxy, environment, rules, errors)
        except ExpressionError as error:
            raise ConfigError(str(error)) from error

    def _build_frontend(self, index: int, proxy: model.Proxy, environment: CompileEnvironment, rules: Any, errors: ErrorPages) -> None:
        log = SessionLog(proxy, self._logger(proxy.logs, proxy.log_tag), environment)
        frontend = Frontend(self, index, proxy, rules, log, errors)
        link_backends(rules, proxy, environment, self.backends)
        name = proxy.name if proxy.backend and not proxy.default_backend else proxy.default_backend
        frontend.default_backend = self.backends.get(name) if name else None
        self.frontends[proxy.name] = frontend
        for bind in proxy.binds:
            self._binds[bind.id] = (bind, frontend)
            if bind.tls is not None:
                ring = self._rings[_ring_name(proxy, bind)]
                self.bind_contexts[bind.id] = BindTls(bind.tls, ring, self.certificates, self.authorities, self.tuning)

    def _logger(self, targets: list[model.LogTarget], tag: str | None) -> Logger:
        settings = self.config.globals
        hostname = settings.log_send_hostname
        name = "" if hostname is None else hostname or self._hostname
        return Logger(targets, self.outlets, tag or settings.log_tag, self.launch.master_pid, name)

    # --- connections ---------------------------------------------------------------------------------------------

    def bind_by_id(self, number: int) -> Bind | None:
        found = self._binds.get(number)
        return found[0] if found is not None else None

    def bind_tls(self, bind: Bind) -> BindTls:
        return self.bind_contexts[bind.id]

    def spawn_session(self, bind: Bind, stream: Stream, header: ProxyHeader | None, seat: Seat | None, *, introduced: bool) -> None:
        """A new client. header: what the dispatcher says of it. introduced: nothing more will say who it is."""
        frontend = self._binds[bind.id][1]
        session = Session(self, frontend, bind, stream, header, seat)
        session.awaits_header = bind.accept_proxy and not introduced
        if self.drain.begun:
            self.drain.welcome(session)
        self.sessions.add(session)
        frontend.open(session)
        self._process.words[f.CONN_TOT] += 1
        self._process.words[f.SCUR] += 1
        self._process.touch()
        session.strand = self.pump.spawn(session.run(), "session", late=bind.nice >= 0)

    def forget(self, session: Session) -> None:
        """A session has ended."""
        self.sessions.discard(session)
        self.recent.add(remember(session))
        session.proxy.close(session)
        self._process.words[f.SCUR] -= 1
        self._process.touch()
        if self.drain.begun and not self.sessions:
            self.drain.look()

    def withdraw(self, seats: set[ChannelSeat]) -> None:
        for session in [session for session in self.sessions if session.seat in seats]:
            assert session.strand is not None
            self.pump.end(session.strand, Withdrawn())

    def channel_ended(self) -> None:
        self.drain.look()

    def _called(self) -> None:
        """Another worker has given a place back that somebody here waits for."""
        for backend in self.backends.values():
            if backend.queue.anybody_waits:
                backend.admit_all()

    def fence(self) -> None:
        """What was written before is seen by the other processes before anything is read after."""
        with self._fence_lock:
            pass

    def end_sessions(self, servers: set[Server], cause: bytes, slug: str) -> None:
        """Cut what is under way on these servers. cause: the first letter of the termination state."""
        for session in list(self.sessions):
            exchange = session.exchange
            if exchange is not None and exchange.leased in servers and session.phase in ("exchange", "tunnel"):
                assert session.strand is not None
                status = 502 if exchange.step is Step.HEADERS else 503
                self.pump.end(session.strand, Cut(cause + exchange.step.letter, status, slug))

    def next_session_id(self) -> int:
        self._session_ids += 1
        return self._session_ids

    @property
    def handshakes(self) -> int:
        return self.handshaking.under_way

    @property
    def connections_here(self) -> int:
        return len(self.sessions)

    def connections_max(self) -> int:
        return self.config.globals.maxconn

    def trust(self, uid: int) -> None:
        """One more user that may speak on our abstract names."""
        self._uids.add(uid)

    def is_trusted(self, uid: int) -> bool:
        return uid in self._uids

    @property
    def stopping(self) -> bool:
        return self.drain.begun

    def soft_stop(self, *, is_reload: bool) -> None:
        """End after the last session. is_reload: another generation goes on with our sockets."""
        self.drain.begin(is_reload=is_reload)

    def tls_facts_of(self, stream: Stream) -> TlsFacts | None:
        return ConnectionFacts(stream) if isinstance(stream, TlsStream) else None

    def _crashed(self, strand: Strand, error: BaseException) -> None:
        """A strand ended by a fault of ours: one line that says where, never a traceback."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else "?"
        self.log("alert", f"internal error in {strand.name} at {where}: {type(error).__name__}: {error}; only this connection is lost")

    # --- time and logs -------------------------------------------------------------------------------------------

    def log(self, level: str, text: str) -> None:
        self.logger.log(LEVELS[level], text.encode("utf-8", "replace"))

    def wall(self, pump_time: float) -> float:
        """Wall clock of a pump time."""
        return pump_time + self._wall_offset

    def every_second(self) -> None:
        """Housekeeping: the wall clock may have been set, idle server connections grow old."""
        self._wall_offset = time.time() - time.monotonic()
        now = self.pump.now = time.monotonic()
        self.recent.forget_old(now)
        for backend in self.backends.values():
            for server in backend.servers:
                if server.idle.count:
                    server.purge(now)
                if server.warm:
                    keep_warm(server)
        self.continuous.second(self)
        if self.history is not None:
            self.history.sample(self.counters, now)

    def date(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def gmt_offset(self, date: float) -> int:
        try:
            return time.localtime(date).tm_gmtoff
        except (OverflowError, ValueError, OSError):
            return 0  # a date that no calendar has: what it was made of may have come from a client

    def random_bits(self, count: int) -> int:
        return random.getrandbits(count)

    # --- what rules may ask (common/acl/facts_world.py) -----------------------------------------------------------

    @property
    def environment(self) -> Mapping[str, str]:
        return os.environ

    @property
    def hostname(self) -> bytes:
        return self._hostname.encode()

    @property
    def node(self) -> bytes:
        return (self.config.globals.node or self._hostname).encode()

    @property
    def pid(self) -> int:
        return self.launch.master_pid

    @property
    def process_index(self) -> int:
        return self.number

    @property
    def connections(self) -> int:
        """Of all processes."""
        return self._gauge(0, self._process)

    def _gauge(self, number: int, tally: Tally) -> int:
        """Current sessions of one object over all processes: what the others have published, and our own as they are now."""
        return sum(self.counters.across(number, f.SCUR)) + tally.unpublished(f.SCUR)

    def frontend_connections(self, name: str) -> int:
        frontend = self.frontends.get(name)
        return self._gauge(self.counters.layout.frontends[frontend.index], frontend.tally) if frontend is not None else 0

    def backend_connections(self, name: str) -> int:
        backend = self.backends.get(name)
        return self._gauge(self.counters.layout.backends[backend.index], backend.tally) if backend is not None else 0

    def server_connections(self, backend: str, server: str) -> int:
        found = self._server(backend, server)
        if found is None:
            return 0
        return self._gauge(self.counters.layout.servers[found.backend.index][found.position], found.tally)

    def bind_connections(self, bind: model.Bind) -> int:
        return self._gauge(self.counters.layout.listeners[bind.id], self._binds[bind.id][1].listeners[bind.id])

    def _rate(self, number: int, rate: int, word: int) -> int:
        now = time.monotonic()
        return Rates(self.counters, now).rate(number, rate, sum(self.counters.across(number, word)))

    def frontend_request_rate(self, name: str) -> int:
        frontend = self.frontends.get(name)
        if frontend is None:
            return 0
        return self._rate(self.counters.layout.frontends[frontend.index], RATE_REQUESTS, f.REQ_TOT)

    def frontend_session_rate(self, name: str) -> int:
        frontend = self.frontends.get(name)
        if frontend is None:
            return 0
        return self._rate(self.counters.layout.frontends[frontend.index], RATE_SESSIONS, f.STOT)

    def backend_session_rate(self, name: str) -> int:
        backend = self.backends.get(name)
        return self._rate(self.counters.layout.backends[backend.index], RATE_SESSIONS, f.STOT) if backend is not None else 0

    def server_session_rate(self, backend: str, server: str) -> int:
        found = self._server(backend, server)
        if found is None:
            return 0
        return self._rate(self.counters.layout.servers[found.backend.index][found.position], RATE_SESSIONS, f.STOT)

    def usable_servers(self, backend: str) -> int:
        found = self.backends.get(backend)
        return len(found.balancer.elected) if found is not None else 0

    def server_is_up(self, backend: str, server: str) -> bool:
        found = self._server(backend, server)
        return found is not None and found.usable

    def server_queue(self, backend: str, server: str) -> int:
        found = self._server(backend, server)
        return found.backend.queue.queued(found.position) if found is not None else 0

    def backend_queue(self, name: str) -> int:
        backend = self.backends.get(name)
        return backend.queue.queued() if backend is not None else 0

    def server_weight(self, backend: str, server: str) -> int:
        found = self._server(backend, server)
        return found.model.weight if found is not None else 0

    server_user_weight = server_weight

    def stick_table(self, name: str) -> SampleTable | None:
        return self.tables.get(name)

    def config_proxy(self, name: str, *, backend: bool) -> model.Proxy | None:
        return self.config.proxy(name, backend=backend)

    def is_local(self, address: bytes) -> bool:
        return address[:1] == b"\x7f" or address == b"\0" * 15 + b"\x01"

    def _server(self, backend: str, server: str) -> Server | None:
        found = self.backends.get(backend)
        if found is None:
            return None
        return next((one for one in found.servers if one.model.name == server), None)


def _ring_name(proxy: model.Proxy, bind: Bind) -> str:
    """What a bind's tickets are good for: the same after a reload that leaves the line as it is."""
    return f"{proxy.name} {bind.address}"


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
