"""The rows of `show stat`: what every format shows of frontends, listeners, servers and backends. Sans-io.

A row's values are keyed by column name; a column that is absent has no value for that object (an empty field in CSV).
Which object has which columns is as in HAProxy 2.6: responses only in HTTP mode, checks only where there are some, listeners
only with `option socket-stats`.

Source: HAProxy management guide 9.1, `show stat` in 9.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from common.model import AddressKind, Bind, Config, Proxy, Server
from common.observe import fields as f
from common.observe import rates as r
from common.observe.columns import BACKEND_WORDS, FRONTEND_WORDS, HTTP_ONLY_WORDS, LISTENER_WORDS, RESPONSES_WORDS, SERVER_WORDS
from common.observe.counters import Counters
from common.observe.layout import Key
from common.observe.states import (
    B_ACTIVE,
    B_BACKUP,
    B_CHANGED_AT_MS,
    B_CHKDOWN,
    B_DOWNTIME_MS,
    B_STATE,
    B_USER_WEIGHT,
    B_WEIGHT,
    BACKEND_DOWN,
    CHECK_IN_PROGRESS,
    F_MAXCONN,
    F_STATE,
    MAINT,
    OP_STARTING,
    OPEN,
    SHUT_DOWN,
    STOPPED,
    WITH_CODE,
    CheckStatus,
    ServerState,
    read_server,
)

Value = int | str
KIND_FRONTEND, KIND_BACKEND, KIND_SERVER, KIND_LISTENER = 1, 2, 4, 8  # of `show stat <iid> <type> <sid>`

_TIMES: Final = ("qtime", "ctime", "rtime", "ttime")
_WORD: Final = {name: number for number, name in enumerate(f.NAMES)}


@dataclass(frozen=True, slots=True)
class Row:
    """One object. side: F, L, S or B. position: of its proxy in Config.proxies; object_id: 0 for the proxy itself."""

    side: str
    position: int
    proxy_id: int
    object_id: int
    values: dict[str, Value]
    state: ServerState | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Selection:
    """What `show stat` was asked for. proxy: a name, a number as text, or "" for all; kinds: a mask, -1 for all (a listener
    needs bit 8, or -1); object_id: a server or listener, -1 for all; scope: names that the statistics page may show."""

    proxy: str = ""
    kinds: int = -1
    object_id: int = -1
    up_only: bool = False
    no_maintenance: bool = False
    scope: frozenset[str] = frozenset()

    def wants(self, kind: int) -> bool:
        return self.kinds == -1 or bool(self.kinds & kind)

    def wants_proxy(self, proxy: Proxy, proxy_id: int) -> bool:
        named = not self.proxy or self.proxy in (proxy.name, "-1", str(proxy_id))
        return named and (not self.scope or proxy.name in self.scope)

    def wants_object(self, object_id: int) -> bool:
        return self.object_id in (-1, object_id)


class Statistics:
    """Reads all rows at one moment. now: monotonic seconds; maxconn: the limit of a frontend that sets none."""

    __slots__ = ("_config", "_counters", "_now", "_rates", "maxconn")

    def __init__(self, config: Config, counters: Counters, now: float, maxconn: int = 0) -> None:
        self._config = config
        self._counters = counters
        self._now = now
        self._rates = r.Rates(counters, now)
        self.maxconn = maxconn or config.globals.maxconn

    def rows(self, selection: Selection | None = None) -> Iterator[Row]:
        """All rows that are wanted, proxy by proxy: frontend, listeners, servers, backend."""
        wanted = selection or Selection()
        known = {proxy.name for proxy in self._config.proxies} | {str(proxy_id(self._config, n)) for n in range(len(self._config.proxies))}
        if wanted.proxy not in known:
            wanted = Selection("", wanted.kinds, wanted.object_id, wanted.up_only, wanted.no_maintenance, wanted.scope)
        for position, proxy in enumerate(self._config.proxies):
            if not proxy.disabled and wanted.wants_proxy(proxy, proxy_id(self._config, position)):
                yield from self._proxy_rows(position, proxy, wanted)

    def _proxy_rows(self, position: int, proxy: Proxy, wanted: Selection) -> Iterator[Row]:
        layout = self._counters.layout
        if proxy.frontend and self._counters.state(layout.frontends[position])[F_STATE] == SHUT_DOWN and not proxy.backend:
            return
        if proxy.frontend and wanted.wants(KIND_FRONTEND):
            yield self.frontend(position)
        if "socket-stats" in proxy.options and wanted.wants(KIND_LISTENER):
            for number, bind in enumerate(proxy.binds, 1):
                if wanted.wants_object(number):
                    yield self.listener(position, number, bind)
        if proxy.backend and wanted.wants(KIND_SERVER):
            for number, server in enumerate(proxy.servers):
                if wanted.wants_object(server_id(server, number)):
                    row = self.server(position, number)
                    if _shown(row.state, wanted):
                        yield row
        if proxy.backend and wanted.wants(KIND_BACKEND):
            yield self.backend(position)

    def frontend(self, position: int) -> Row:
        proxy, number = self._config.proxies[position], self._counters.layout.frontends[position]
        words, rates = self._counters.total(number), self._rates
        names = (*FRONTEND_WORDS, *HTTP_ONLY_WORDS) if proxy.mode == "http" else FRONTEND_WORDS
        values: dict[str, Value] = {name: words[_WORD[name]] for name in names}
        values["smax"] = max(words[f.SMAX], rates.largest_sessions(number))
        values |= _later(words)
        for column, rate, word in (
            ("rate", r.RATE_SESSIONS, f.STOT),
            ("req_rate", r.RATE_REQUESTS, f.REQ_TOT),
            ("conn_rate", r.RATE_CONNECTIONS, f.CONN_TOT),
        ):
            current = rates.rate(number, rate, words[word])
            values[column], values[column + "_max"] = current, rates.largest(number, rate, current)
        state = self._counters.state(number)
        limit = state[F_MAXCONN] or proxy.maxconn or self.maxconn
        values |= {"slim": limit, "rate_lim": proxy.rate_limit_sessions}
        status = {OPEN: "FULL" if limit and words[f.SCUR] >= limit else "OPEN", STOPPED: "PAUSED"}.get(state[F_STATE], "STOP")
        return self._row("F", position, 0, "FRONTEND", values | {"status": status, "type": 0})

    def listener(self, position: int, number: int, bind: Bind) -> Row:
        words = self._counters.total(self._counters.layout.listeners[bind.id])
        values: dict[str, Value] = {name: words[_WORD[name]] for name in LISTENER_WORDS}
        full = bind.maxconn and words[f.SCUR] >= bind.maxconn
        state = self._counters.state(self._counters.layout.frontends[position])[F_STATE]
        status = "WAITING" if state != OPEN else "FULL" if full else "OPEN"
        values |= {"slim": bind.maxconn or 0, "status": status, "addr": _address(bind.address.kind, str(bind.address)), "type": 3}
        return self._row("L", position, number, bind.name or f"sock-{number}", values)

    def server(self, position: int, number: int) -> Row:
        proxy = self._config.proxies[position]
        server, index = proxy.servers[number], self._counters.layout.servers[position][number]
        words, rates = self._counters.total(index), self._rates
        state = read_server(self._counters.state(index), self._now)
        names = (*SERVER_WORDS, *RESPONSES_WORDS, "req_tot") if proxy.mode == "http" else SERVER_WORDS
        values: dict[str, Value] = {name: words[_WORD[name]] for name in names}
        values |= self._common(index, words)
        values |= {
            "status": state.status(*self._followed(proxy, server)),
            "weight": state.weight,
            "uweight": state.user_weight,
            "act": int(not server.backup),
            "bck": int(server.backup),
            "lastchg": state.changed_s,
            "srv_icur": words[f.IDLE_CONN_CUR] + words[f.SAFE_CONN_CUR],
            "need_conn_est": rates.needed_connections(index),
            "srid": 0,
            "addr": _server_address(server, state),
            "type": 2,
        }
        values |= _optional(server, state) | _checks(server, state) | _agent(state)
        if self.tracked(proxy, server):
            values["tracked"] = self.tracked(proxy, server)
        return self._row("S", position, server_id(server, number), server.name, values, state)

    def backend(self, position: int) -> Row:
        proxy, index = self._config.proxies[position], self._counters.layout.backends[position]
        words, state = self._counters.total_backend(position), self._counters.state(index)
        names = (*BACKEND_WORDS, *RESPONSES_WORDS, "req_tot", "cache_lookups", "cache_hits") if proxy.mode == "http" else BACKEND_WORDS
        values: dict[str, Value] = {name: words[_WORD[name]] for name in names}
        values |= self._common(index, words) | _later(words)
        now_ms = int(self._now * 1000)
        down = state[B_STATE] == BACKEND_DOWN
        values |= {
            "slim": proxy.fullconn or self._fullconn(proxy),
            "status": "DOWN" if down else "UP",
            "weight": state[B_WEIGHT],
            "uweight": state[B_USER_WEIGHT],
            "act": state[B_ACTIVE],
            "bck": state[B_BACKUP],
            "chkdown": state[B_CHKDOWN],
            "lastchg": (now_ms - state[B_CHANGED_AT_MS]) // 1000,
            "algo": proxy.balance[0],
            "agg_server_status": 0,
            "agg_server_check_status": 0,
            "agg_check_status": 0,
            "type": 1,
        }
        if proxy.servers:
            values["downtime"] = (state[B_DOWNTIME_MS] + (now_ms - state[B_CHANGED_AT_MS] if down else 0)) // 1000
        if proxy.cookie:
            values["cookie"] = proxy.cookie[0]
        return self._row("B", position, 0, "BACKEND", values)

    def tracked(self, proxy: Proxy, server: Server) -> str:
        """The "backend/server" that a server follows, "" if none."""
        words = server.options.get("track")
        return "" if not words else words[0] if "/" in words[0] else f"{proxy.name}/{words[0]}"

    def _followed(self, proxy: Proxy, server: Server) -> tuple[str, ServerState | None]:
        """The name and the state of the server that this one follows."""
        tracked = self.tracked(proxy, server)
        if not tracked:
            return "", None
        key = Key("S", *tracked.split("/", 1))
        numbers = (number for number, other in enumerate(self._counters.layout.keys) if other == key)
        number = next(numbers, -1)
        return tracked, read_server(self._counters.state(number), self._now) if number >= 0 else None

    def _common(self, index: int, words: list[int]) -> dict[str, Value]:
        """What servers and backends have alike: maxima of sums, rates, times, the last session."""
        rates = self._rates
        rate = rates.rate(index, r.RATE_SESSIONS, words[f.STOT])
        values: dict[str, Value] = {name: rates.average_ms(index, place) for place, name in enumerate(_TIMES)}
        return values | {
            "smax": max(words[f.SMAX], rates.largest_sessions(index)),
            "qmax": max(words[f.QMAX], rates.largest_queue(index)),
            "rate": rate,
            "rate_max": rates.largest(index, r.RATE_SESSIONS, rate),
            "lastsess": rates.last_session_s(index, words[f.STOT]),
        }

    def _fullconn(self, backend: Proxy) -> int:
        """Unset, `fullconn` is a tenth of the maxconn of all frontends that may lead to the backend."""
        total = 0
        for proxy in self._config.proxies:
            if proxy.frontend and (proxy is backend or backend.name in _destinations(proxy)):
                total += proxy.maxconn or self.maxconn
        return (total + 9) // 10 or 1

    def _row(self, side: str, position: int, object_id: int, name: str, values: dict[str, Value], state: ServerState | None = None) -> Row:
        proxy = self._config.proxies[position]
        number = proxy_id(self._config, position)
        values |= {"pxname": proxy.name, "svname": name, "pid": 1, "iid": number, "sid": object_id, "mode": proxy.mode}
        return Row(side, position, number, object_id, values, state)


def proxy_id(config: Config, position: int) -> int:
    """The number of a proxy: its `id`, or its place in the file counted from 2 (1 is the section global)."""
    return config.proxies[position].id or position + 2


def server_id(server: Server, position: int) -> int:
    return server.id or position + 1


def _later(words: list[int]) -> dict[str, int]:
    """Columns behind the fixed ones that are other words under another name."""
    return {
        "h1_total_connections": words[f.H1SESS],
        "h1_total_streams": words[f.H1REQ],
        "h2_total_connections": words[f.H2SESS],
        "h2_backend_total_streams": words[f.H2REQ],
        "h1_bytes_in": words[f.BIN],
        "h1_bytes_out": words[f.BOUT],
    }


def _optional(server: Server, state: ServerState) -> dict[str, Value]:
    """Limits that are shown only where they are set."""
    values: dict[str, Value] = {}
    if state.maxconn:
        values["slim"] = state.maxconn
    if server.maxqueue:
        values["qlimit"] = server.maxqueue
    if server.pool_max_conn >= 0:
        values["src_ilim"] = server.pool_max_conn
    if server.cookie:
        values["cookie"] = server.cookie
    if state.operational == OP_STARTING:
        values["throttle"] = state.throttle
    return values


def _checks(server: Server, state: ServerState) -> dict[str, Value]:
    if not state.checked:
        return {}
    values: dict[str, Value] = {
        "chkfail": state.chkfail,
        "chkdown": state.chkdown,
        "downtime": state.downtime_s,
        "check_status": ("* " if state.check_state & CHECK_IN_PROGRESS else "") + state.check_status.name,
        "check_desc": state.check_status.description,
        "check_rise": state.check_rise,
        "check_fall": state.check_fall,
        "check_health": state.check_health,
    }
    if _ended(state.check_status):
        values["check_duration"] = state.check_duration_ms
    if state.check_status.name in WITH_CODE:
        values["check_code"] = state.check_code
    if state.last_check:
        values["last_chk"] = state.last_check
    if "observe" in server.options:
        values["hanafail"] = state.hanafail
    return values


def _agent(state: ServerState) -> dict[str, Value]:
    if not state.agent_checked:
        return {}
    values: dict[str, Value] = {
        "agent_status": ("* " if state.agent_state & CHECK_IN_PROGRESS else "") + state.agent_status.name,
        "agent_desc": state.agent_status.description,
        "agent_rise": state.agent_rise,
        "agent_fall": state.agent_fall,
        "agent_health": state.agent_health,
    }
    if _ended(state.agent_status):
        values["agent_duration"] = state.agent_duration_ms
    if state.agent_status.name in WITH_CODE:
        values["agent_code"] = state.agent_code
    if state.last_agent:
        values["last_agt"] = state.last_agent
    return values


def _ended(status: CheckStatus) -> bool:
    return status.name not in ("UNK", "INI")


def _shown(state: ServerState | None, wanted: Selection) -> bool:
    if state is None:
        return True
    if wanted.up_only and not state.up:
        return False
    return not (wanted.no_maintenance and state.admin & MAINT)


def _address(kind: AddressKind, text: str) -> str:
    return text if kind in (AddressKind.INET, AddressKind.INET6) else "unix"


def _server_address(server: Server, state: ServerState) -> str:
    """Where the server is now: an operator or the resolver may have moved it."""
    if server.address.kind not in (AddressKind.INET, AddressKind.INET6):
        return "unix"
    host = state.address or server.address.host
    port = f"{state.port:+d}" if server.address.port_offset else str(state.port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _destinations(proxy: Proxy) -> set[str]:
    """Names of the backends that a frontend may lead to, as far as they are written out."""
    names = {rule.words[0] for rule in proxy.rules if rule.ruleset == "use_backend" and rule.words}
    return names | {proxy.default_backend} if proxy.default_backend else names
