"""The client side of a proxy: what the model says, made ready to be used.

A `Frontend` holds what every session of its would otherwise work out again: timeouts with their fall-backs applied, rules compiled,
a reader, a logger, counters. A section `listen` is a `Backend` (backend.py) too.

Source: HAProxy manual 4.2 ("timeout …", "option forwardfor", "errorfile").
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from common import model
from common.observe import fields as f
from common.observe.reasons import index_of
from common.units import first_set
from worker.finish import spelling_for
from worker.forwarded import adds_fields
from worker.http.head import Limits, RequestReader
from worker.pages import ErrorPages
from worker.reading import request_options
from worker.route.rules import Rules

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange
    from worker.session import Session
    from worker.sessionlog import SessionLog
    from worker.world import World


class Frontend:
    """A proxy's client side."""

    __slots__ = (
        "_reasons",
        "client_fin_s",
        "client_s",
        "closes_client",
        "closes_server",
        "connections",
        "counts_flowing",
        "default_backend",
        "dont_log_null",
        "errors",
        "handshake_s",
        "ignores_probes",
        "index",
        "is_http",
        "keep_alive_s",
        "keeps_response_trailers",
        "kept_connections_max",
        "listeners",
        "log",
        "make_unique_id",
        "model",
        "name",
        "plain",
        "proxy_status",
        "reader",
        "request_s",
        "response_active",
        "rules",
        "spelling",
        "splice_request",
        "tally",
        "world",
    )

    def __init__(self, world: World, index: int, proxy: model.Proxy, rules: Rules, log: SessionLog, errors: ErrorPages) -> None:
        timeouts = proxy.timeouts
        self.world = world
        self.index = index
        self.model = proxy
        self.name = proxy.name
        self.rules = rules
        self.log = log
        self.errors = errors
        self.is_http = proxy.mode == "http"
        self.client_s = first_set(timeouts.client)
        self.request_s = first_set(timeouts.http_request, timeouts.client)
        self.keep_alive_s = first_set(timeouts.http_keep_alive, timeouts.http_request, timeouts.client)
        self.handshake_s = first_set(timeouts.client_hs, timeouts.http_request, timeouts.client)
        self.client_fin_s = timeouts.client_fin
        self.proxy_status = (*proxy.option_args.get("proxy-status", ()), "usher")[0] if "proxy-status" in proxy.option_args else ""
        self.counts_flowing = "contstats" in proxy.options
        self.dont_log_null = "dontlognull" in proxy.options
        self.ignores_probes = "http-ignore-probes" in proxy.options
        self.spelling = spelling_for("client", proxy, world.config.globals)
        self.kept_connections_max = int(model.last_word(proxy.extra, "max-session-srv-conns", "5"))
        self.closes_client = "httpclose" in proxy.options
        self.closes_server = bool(proxy.options & {"httpclose", "http-server-close"})
        self.keeps_response_trailers = "http-drop-response-trailers" not in proxy.options
        self.plain = not adds_fields(proxy) and not self.closes_server
        self.splice_request = bool(proxy.options & {"splice-request", "splice-auto", "tcpsplice"})
        self.reader = RequestReader(Limits.of(world.config.globals), request_options(proxy, world.config.globals))
        self.default_backend: Backend | None = None
        self.response_active = rules.response_active
        self.make_unique_id = rules.unique_id
        self.connections = 0
        self.tally = world.tallies.of(world.counters.frontend(index), self._derive)
        self._reasons = world.counters.reasons(index)
        self.listeners = {bind.id: world.tallies.of(world.counters.listener(bind.id)) for bind in proxy.binds}

    # --- counting ------------------------------------------------------------------------------------------------

    def open(self, session: Session) -> None:
        """One more connection."""
        self.connections += 1
        self.tally.words[f.STOT] += 1
        self.tally.touch()
        listener = self.listeners[session.bind.id]
        listener.words[f.STOT] += 1
        listener.words[f.SCUR] += 1
        listener.words[f.SMAX] = max(listener.words[f.SMAX], listener.words[f.SCUR])
        listener.touch()

    def close(self, session: Session) -> None:
        self.connections -= 1
        self.tally.touch()
        listener = self.listeners[session.bind.id]
        listener.words[f.SCUR] -= 1
        listener.touch()

    def _derive(self, words: array[int]) -> None:
        words[f.SCUR] = self.connections
        words[f.SMAX] = max(words[f.SMAX], self.connections)
        words[f.CONN_TOT] = words[f.STOT]
        if self.is_http:
            words[f.H1SESS] = words[f.STOT]
            words[f.H1_OPEN_CONNECTIONS] = self.connections
            words[f.H1REQ] = words[f.REQ_TOT]
        else:
            words[f.REQ_TOT] = 0  # what a tunnel carries is no request

    def count_cut(self, exchange: Exchange) -> None:
        """An exchange that did not end by itself: whose fault, by the first termination letter."""
        cause = exchange.termination[:1]
        tally = exchange.leased.tally if exchange.leased is not None else self.tally
        if cause in (b"C", b"c"):
            tally.words[f.CLI_ABRT] += 1
        elif cause in (b"S", b"s"):
            if exchange.response_started:
                tally.words[f.SRV_ABRT] += 1
            elif exchange.termination[1:] not in (b"C", b"Q"):
                tally.words[f.ERESP] += 1
            elif exchange.leased is None and exchange.routed is not None:
                exchange.routed.tally.words[f.ECON] += 1  # nobody there; a server that was tried has counted it
                exchange.routed.tally.touch()
        elif exchange.termination[:2] == b"PH" and exchange.slug not in ("silently_dropped", "response_denied"):
            tally.words[f.ERESP] += 1  # what came was no response
        elif cause == b"P":
            self.tally.words[f.DREQ] += 1
        tally.touch()

    def count_reason(self, slug: str) -> None:
        """Why an exchange or a connection ended early, or was answered here (common/observe/reasons.py)."""
        self._reasons[index_of(slug)] += 1

    def count_unread(self, exchange: Exchange) -> None:
        self.tally.words[f.EREQ] += 1
