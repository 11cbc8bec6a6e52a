"""One dispatcher process: its pump, its doors, the farms and relays behind them, and what they may ask of the process."""

from __future__ import annotations

import mmap
import os
import socket
import time
from collections.abc import Iterator
from functools import partial

import trio

from common.acl.start import set_global_variables
from common.errors import ConfigError, ExpressionError
from common.model import Bind, Config, LogTarget, Proxy
from common.net.logs import Logger, Outlets
from common.net.pump import Pump, Strand
from common.net.relay import limit_pipes
from common.net.sockaddr import abstract_name, has_privileged_port
from common.observe import fields as f
from common.observe.counters import Counters
from common.observe.layout import HB_PID
from common.observe.log_line import LEVELS
from common.observe.sessions import Recent
from common.process.blocked import watch_turns
from common.process.launch import BOARD, Launch
from common.process.plan import is_dispatcher_listen
from common.process.switches import rejects_privileged_ports
from common.process.zygote import EXIT_BROKEN
from common.units import first_set
from dispatcher.accept import Door, Take
from dispatcher.facts import ProcessFacts
from dispatcher.gates import make_gates
from dispatcher.introduction import Rules, farm_welcome, handover_taker, visitor_taker
from dispatcher.policy.board import Board
from dispatcher.policy.slots import Slots
from dispatcher.proxies import RelayProxy
from dispatcher.relay import RelaySession, relay_welcome
from dispatcher.room import Room
from dispatcher.servers import Servers
from dispatcher.standing import Standing, maxconn_of
from dispatcher.tally import Tally
from dispatcher.workers import Farm

_VITAL = ("door", "channel")
"""How the strands are called without which there is no dispatcher."""

REMARKS_MAX = 256  # that wait for the master; more are dropped


class World:
    """See the module. The Owner of dispatcher/accept.py, handover.py, workers.py and relay.py."""

    def __init__(self, launch: Launch, counters: Counters) -> None:
        """Raises ConfigError for whatever in the configuration cannot be used."""
        self.launch = launch
        self.config: Config = launch.config
        self.counters = counters
        self.pump = Pump(self._crashed)
        self.outlets = Outlets()
        self.stopping = False
        self._succeeded = False  # by another generation
        self.exit_code = 0
        self.farms: list[Farm] = []
        self.relays: list[RelayProxy] = []
        self.relayed = 0
        self.recent: Recent[RelaySession] = Recent()
        self.process_id = os.getpid()
        self.binds = {bind.id: bind for proxy in launch.config.proxies for bind in proxy.binds}
        self._doors: list[tuple[Door, Strand]] = []
        self._listeners = {bind_id: _listener(fd) for bind_id, fd in launch.bind_fds().items()}
        self._wall_offset = time.time() - time.monotonic()
        self._uids = {0, os.getuid(), *self.config.globals.channel_uids}
        self._hostname = socket.gethostname()
        self._process = counters.process()
        self._facts = ProcessFacts(launch, counters)
        self._remarks, self.remarks = trio.open_memory_channel[str](REMARKS_MAX)
        self.logger = self._logger(self.config.globals.logs, None)
        watch_turns(self.pump, self.config.globals, self.log)
        limit_pipes(self.config.globals, launch.dispatchers)
        self.listening = tuple(self._find_listening())
        self.board = self._open_board()
        self.gates = make_gates(self.pump, self.config, self.listening, counters, self.board)
        self.room = Room(self.pump, maxconn_of(self), self.count, self.board, launch.dispatchers)
        self.standing = Standing(self)
        try:
            set_global_variables(self.config, self._facts)
            self._build()
            self.standing.pause_doors()
        except ExpressionError as error:
            raise ConfigError(str(error)) from error

    def _open_board(self) -> Board | None:
        """What several dispatchers share."""
        if BOARD not in self.launch.fds:
            return None
        page = memoryview(mmap.mmap(self.launch.fds[BOARD], 0))
        return Board(page, self.launch.row, self.launch.dispatchers, len(self.binds), self.launch.workers)

    # --- building ------------------------------------------------------------------------------------------------

    def _find_listening(self) -> Iterator[tuple[int, Proxy, Bind]]:
        """Every bind that this process accepts from."""
        for index, proxy in enumerate(self.config.proxies):
            for bind in proxy.binds:
                if bind.id in self._listeners:
                    yield index, proxy, bind

    def _build(self) -> None:
        implicit: list[Bind] = []
        for index, proxy in enumerate(self.config.proxies):
            if proxy.disabled:
                continue
            if not is_dispatcher_listen(proxy):
                implicit += [bind for bind in proxy.binds if not bind.processes]
            elif any(bind.id in self._listeners for bind in proxy.binds):
                if all(server.pass_fd for server in proxy.servers):
                    self._build_explicit(index, proxy)
                else:
                    self._build_relay(index, proxy)
        if any(bind.id in self._listeners for bind in implicit):
            self._build_implicit(implicit)

    def _build_implicit(self, binds: list[Bind]) -> None:
        """The farm of all workers, for every bind that names no process. The stream is the worker's from its first byte."""
        names, board, cost = self.launch.channel_names, self.board, self._handshake_cost()
        if board is None:
            ids = [bind.id for bind in binds]
            slots = Slots([1] * len(names), len(ids), handshake_cost=cost)
        else:
            # Dispatchers see each other's counts, by the ids of binds.
            ids = list(range(len(self.binds)))
            slots = Slots([1] * len(names), len(ids), handshake_cost=cost, others=board.given_elsewhere, counts=board.counts)
        farm = Farm(self, "workers", slots, ids)
        for number, name in sorted(names.items()):
            farm.add_worker(name, f"worker {number}", number=number)
        for bind in binds:
            listening = self._listeners.get(bind.id)
            if listening is not None:
                take = handover_taker(farm, ids.index(bind.id), listening)
                self._open(Door(self, bind, listening, farm, take, self._batch()))
        self.farms.append(farm)

    def _build_explicit(self, index: int, proxy: Proxy) -> None:
        """A `listen` whose servers all have `pass-fd`."""
        slots = Slots([1] * len(proxy.servers), len(proxy.binds), handshake_cost=self._handshake_cost())
        farm = Farm(
            self,
            proxy.name,
            slots,
            [bind.id for bind in proxy.binds],
            servers=Servers(proxy, index, self.counters, reachable=False),
            tally=Tally(self.counters, index, proxy),
            queue_s=first_set(proxy.timeouts.queue, proxy.timeouts.connect),
        )
        for server in proxy.servers:
            farm.add_worker(abstract_name(server.address), f"server {proxy.name}/{server.name}", maxconn=server.maxconn)
        rules = self._rules(proxy)
        wait_s = first_set(proxy.timeouts.client_hs, proxy.timeouts.client)
        for listener, bind in enumerate(proxy.binds):
            listening = self._listeners.get(bind.id)
            if listening is None:
                continue
            if bind.accept_proxy or rules is not None:
                turned_away = partial(farm.turned_away, listener)
                take = visitor_taker(bind, listening, rules, farm_welcome(self, farm, listener, wait_s), turned_away)
            else:
                take = handover_taker(farm, listener, listening)
            self._open(Door(self, bind, listening, farm, take, self._batch()))
        self.farms.append(farm)

    def _build_relay(self, index: int, proxy: Proxy) -> None:
        # Local: a dispatcher that only hands over does without the compiler of log formats and all that it brings.
        from dispatcher.sessionlog import SessionLog

        passing = [server.name for server in proxy.servers if server.pass_fd]
        if passing:
            self.log("warning", f'"pass-fd" of {", ".join(passing)} in {proxy.name} has no effect: its other servers lack it, so all relay')
        relay = RelayProxy(self, index, proxy, SessionLog(proxy, self._logger(proxy.logs, proxy.log_tag), self._facts))
        rules = self._rules(proxy)
        for bind in proxy.binds:
            listening = self._listeners.get(bind.id)
            if listening is not None:
                take = visitor_taker(bind, listening, rules, relay_welcome(relay, bind), partial(relay.turned_away, bind))
                self._open(Door(self, bind, listening, relay, take, self._batch()))
        self.relays.append(relay)

    def _rules(self, proxy: Proxy) -> Rules | None:
        if not proxy.rules:
            return None
        # Local, for the same reason as above.
        from dispatcher.rules import ConnectionRules

        return ConnectionRules(proxy, self.config, self._facts)

    def _handshake_cost(self) -> int:
        return int(self.config.globals.tune.get("tune.dispatch.handshake-cost", ("4",))[0])

    def _open(self, door: Door) -> None:
        if rejects_privileged_ports(self.config.globals):
            door.take = partial(self._take_unprivileged, door.take, door.bind)
        self._doors.append((door, self.pump.spawn(door.run(), f"door {door.bind.address}")))

    def _take_unprivileged(self, take: Take, bind: Bind, fd: int, address: object) -> None:
        if not has_privileged_port(address):
            take(fd, address)
            return
        os.close(fd)
        if self.gates is not None:
            self.gates.ended(bind.id)

    def _batch(self) -> int:
        return self.config.globals.maxaccept if self.config.globals.maxaccept > 0 else 64

    def _logger(self, targets: list[LogTarget], tag: str | None) -> Logger:
        settings = self.config.globals
        hostname = settings.log_send_hostname
        name = "" if hostname is None else hostname or self._hostname
        return Logger(targets, self.outlets, tag or settings.log_tag, self.launch.master_pid, name)

    # --- what the parts ask --------------------------------------------------------------------------------------

    def trust(self, uid: int) -> None:
        """One more user that may speak on our abstract names."""
        self._uids.add(uid)

    def is_trusted(self, uid: int) -> bool:
        return uid in self._uids

    def remark(self, text: str) -> None:
        """Something for whoever started the service to see; operators' logs keep to what HAProxy logs."""
        try:
            self._remarks.send_nowait(text)
        except trio.WouldBlock:
            pass

    def log(self, level: str, text: str) -> None:
        self.logger.log(LEVELS[level], text.encode("utf-8", "replace"))

    def wall(self, pump_time: float) -> float:
        """Wall clock of a pump time."""
        return pump_time + self._wall_offset

    def heart_of(self, pid: int) -> memoryview[int] | None:
        """The heartbeat words of a process of this service; None when it has none (a tier that was started alone)."""
        for row in range(self.counters.layout.processes):
            heart = self.counters.heartbeat(row)
            if heart[HB_PID] == pid:
                return heart
        return None

    def frontend_of(self, bind: Bind) -> str:
        return next(proxy.name for proxy in self.config.proxies if bind in proxy.binds)

    @property
    def doors(self) -> list[Door]:
        return [door for door, _strand in self._doors]

    def count(self) -> int:
        """Connections that this process answers for."""
        return sum(farm.size for farm in self.farms) + self.relayed

    def relay_began(self) -> None:
        self.relayed += 1
        self._process[f.CONN_TOT] += 1
        f.enter(self._process)

    def relay_ended(self, session: RelaySession) -> None:
        self.recent.add(session)
        self.relayed -= 1
        self._process[f.SCUR] -= 1
        self.room.freed()
        self.is_idle()

    def is_idle(self) -> None:
        """Somebody who depended on this process does not any more."""
        if self.stopping:
            self._stop_if_idle()

    # --- time ----------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Look at the workers' hearts and at the states of servers. Several times per heartbeat."""
        now = self.pump.now = time.monotonic()
        self.standing.follow()
        self.room.give_back()
        for farm in self.farms:
            farm.watch(now)
        for relay in self.relays:
            relay.servers.refresh()

    def every_second(self) -> None:
        """The wall clock may have been set, clients may have waited for too long."""
        now = self.pump.now = time.monotonic()
        self.recent.forget_old(now)
        self._wall_offset = time.time() - now
        for farm in self.farms:
            farm.expire(now)
        process = self._process
        process[f.P_DROPPED_LOGS] = self.outlets.dropped
        process[f.P_LISTENERS] = len(self._doors)
        process[f.P_TASKS] = len(self.pump.strands)
        self.is_idle()

    # --- stopping ------------------------------------------------------------------------------------------------

    def soft_stop(self, *, is_reload: bool = False) -> None:
        """Accept no more, end when nobody depends on this process: relayed sessions, and clients that no worker has taken yet.

        is_reload: workers of another generation take the places of ours at the names that explicit listens give."""
        self.stopping = True
        self._succeeded = is_reload
        doors, self._doors = self._doors, []
        for door, strand in doors:
            door.sweep()
            self.pump.end(strand)
            door.listener.close()  # or clients of an address that is given up would wait at it for ever
        self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        for farm in self.farms:
            if farm.held and not (self._succeeded and farm.servers is not None):
                farm.give_up()
        if not any(farm.busy() for farm in self.farms) and not any(relay.sessions for relay in self.relays):
            self.pump.stop()

    def close(self) -> None:
        """The end of the process. What nobody has taken is lost with it, relayed sessions are cut."""
        for strand in list(self.pump.strands):
            self.pump.end(strand)
        for farm in self.farms:
            farm.close()
        self.pump.epoll.close()
        self.outlets.close()

    def _crashed(self, strand: Strand, error: BaseException) -> None:
        """A strand ended by a fault of ours: one line that says where, never a traceback.

        Without one of its doors or channels the process is no use any more: it ends and the master starts it anew. Nobody loses
        a connection by that who has a worker.
        """
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else "?"
        is_vital = strand.name.startswith(_VITAL)
        consequence = "the process ends and is started anew" if is_vital else "only this connection is lost"
        self.log("alert", f"internal error in {strand.name} at {where}: {type(error).__name__}: {error}; {consequence}")
        if is_vital:
            self.exit_code = EXIT_BROKEN
            self.pump.stop()


def _listener(fd: int) -> socket.socket:
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return sock


