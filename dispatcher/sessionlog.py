"""The log lines of relayed connections: `option tcplog`, `log-format`, or the connection line.

Connections that were handed over are logged by their worker, which knows how they went.
Source: HAProxy manual 8.2, "option tcplog", "option dontlognull", "option dontlog-normal", "option log-separate-errors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from common import model
from common.acl import logformat
from common.acl.absent import AbsentExchange, AbsentSession, AbsentTimers
from common.acl.connection_errors import ConnectionFault, message, proxy_fault
from common.acl.environment import CompileEnvironment, Where
from common.acl.facts_world import WorldFacts
from common.errors import WireError
from common.net.logs import Logger
from common.net.pump import DeadlinePassed
from common.observe.log_line import LEVELS

if TYPE_CHECKING:
    from dispatcher.relay import RelaySession

_INFO = LEVELS["info"]
_ERR = LEVELS["err"]


class SessionLog:
    """The lines of one proxy. wanted: somebody listens."""

    __slots__ = (
        *("_error_format", "_format", "_logger", "_only_errors", "_proxy"),
        *("_separate_errors", "_skips_null", "_unique_id", "_world", "wanted"),
    )

    def __init__(self, proxy: model.Proxy, logger: Logger, world: WorldFacts) -> None:
        """Raises ExpressionError for a format that does not compile."""
        self._proxy = proxy
        self._logger = logger
        self._world = world
        self.wanted = bool(logger)
        self._skips_null = "dontlognull" in proxy.options
        self._only_errors = "dontlog-normal" in proxy.options
        self._separate_errors = "log-separate-errors" in proxy.options
        text = _format_text(proxy)
        environment = CompileEnvironment(where=Where.LOG, proxy=proxy)
        self._format = logformat.compile_log_format(text, environment) if text is not None else None
        unique_id = proxy.unique_id_format
        self._unique_id = logformat.compile_format(unique_id, environment, logformat.Purpose.VALUE) if unique_id is not None else None
        error_text = proxy.error_log_format
        self._error_format = logformat.compile_log_format(error_text, environment) if error_text is not None else logformat.error_line

    def unique_id(self, session: RelaySession) -> bytes:
        """By `unique-id-format`; b"" without one."""
        return self._unique_id(_Facts(session, self._world)) if self._unique_id is not None else b""

    def connected(self, session: RelaySession) -> None:
        """A connection has come and said who it is."""
        if self._format is None and self.wanted:
            self._logger.log(_INFO, logformat.connect_line(_Facts(session, self._world)))

    def session(self, session: RelaySession) -> None:
        """The line of a connection that has ended."""
        if self._format is None or not self.wanted:
            return
        is_error = session.termination != b"--" or session.retries > 0
        if self._only_errors and not is_error:
            return
        if self._skips_null and not session.bytes_in and not session.bytes_out and session.connected_at is not None:
            return
        self._logger.log(_ERR if is_error and self._separate_errors else _INFO, self._format(_Facts(session, self._world)))

    def refusal(self, session: RelaySession, error: WireError | DeadlinePassed | OSError) -> None:
        """The line of a connection that ended before it said who it is (manual 8.2.5)."""
        if not self.wanted:
            return
        facts = _Facts(session, self._world)
        facts.error_message = message(_fault_of(error))
        self._logger.log(_ERR if self._separate_errors else _INFO, self._error_format(facts))


def _fault_of(error: WireError | DeadlinePassed | OSError) -> ConnectionFault:
    if isinstance(error, DeadlinePassed):
        return ConnectionFault.PROXY_TIMEOUT
    return ConnectionFault.PROXY_CLOSED if isinstance(error, OSError) else proxy_fault(error.slug)


class _Timers(AbsentTimers):
    """Durations of a relayed connection."""

    __slots__ = ("connect", "handshake", "queue", "total")

    def __init__(self, session: RelaySession) -> None:
        started, queued, connected = session.accepted_at, session.queued_at, session.connected_at
        self.handshake = 0.0
        self.queue = queued - started if queued is not None else None
        self.connect = connected - queued if connected is not None and queued is not None else None
        self.total = session.proxy.owner.pump.now - started


class _Session(AbsentSession):
    def __init__(self, session: RelaySession) -> None:
        super().__init__()
        self.src = self.fc_src = session.src
        self.src_port = self.fc_src_port = session.src_port
        self.dst = self.fc_dst = session.dst
        self.dst_port = self.fc_dst_port = session.dst_port
        self.bind = session.bind
        self.frontend = session.proxy.model
        self.accept_date = session.proxy.owner.wall(session.accepted_at)


class _Facts(AbsentExchange):
    """What a log format may ask about a relayed connection."""

    def __init__(self, session: RelaySession, world: WorldFacts) -> None:
        super().__init__(_Session(session), world)
        server = session.server
        self.backend = session.proxy.model
        self.server = server.model if server is not None else None
        self.timers = _Timers(session)
        self.termination = session.termination
        self.retries = session.retries
        self.redispatched = session.redispatched
        self.bytes_in = session.bytes_in
        self.bytes_out = session.bytes_out


def _format_text(proxy: model.Proxy) -> str | None:
    """The log format in force; None: one line when a connection comes, none at its end (manual 8.2.1)."""
    if proxy.log_format is not None:
        return proxy.log_format
    if "tcplog" in proxy.options or "tcplog" in proxy.option_args:
        return logformat.TCP_FORMAT
    return None
