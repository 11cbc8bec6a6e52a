"""The log lines of one frontend's sessions: which format, which level, whether at all.

Source: HAProxy manual 8.2, "option httplog", "option tcplog", "option dontlognull", "option dontlog-normal",
"option log-separate-errors", "error-log-format".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from common import model
from common.acl.environment import CompileEnvironment
from common.acl.facts import Facts
from common.acl.logformat import (
    CLF_FORMAT,
    HTTP_FORMAT,
    HTTPS_FORMAT,
    TCP_FORMAT,
    compile_log_format,
    connect_line,
    error_line,
)
from common.net.logs import Logger
from common.observe.log_line import LEVELS, NO_STRUCTURED_DATA

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.facts import ExchangeFacts

# What asks for the addresses of the server's connection, which is given back before the line is written.
_SERVER_SIDE = re.compile(r"%(?:\{[^}]*\})?(?:bi|bp|si|sp)\b|bc_(?:src|dst)")
_INFO = LEVELS["info"]
_ERR = LEVELS["err"]
_NOTICE = LEVELS["notice"]
Build = Callable[[Facts], bytes]


class SessionLog:
    """wanted: somebody listens. early: `option logasap`. at_connect: no format is set, and a line tells of the connection alone.
    asks_server_side: the format has the server connection's addresses."""

    __slots__ = (
        "_error_format",
        "_format",
        "_lines",
        "_logger",
        "_proxy",
        "_structured",
        "_unread_format",
        "asks_server_side",
        "at_connect",
        "early",
        "only_errors",
        "separate_errors",
        "skips_null",
        "wanted",
    )

    def __init__(self, proxy: model.Proxy, logger: Logger, environment: CompileEnvironment) -> None:
        """Raises ExpressionError for a format that does not compile."""
        self._proxy = proxy
        self._logger = logger
        self.wanted = bool(logger)
        self._lines = 0
        options = proxy.options
        self.skips_null = "dontlognull" in options
        self.only_errors = "dontlog-normal" in options
        self.separate_errors = "log-separate-errors" in options
        text = format_text(proxy)
        self._format: Build = connect_line if text is None else compile_log_format(text, environment).build
        self.early = self.wanted and "logasap" in options
        self.asks_server_side = self.wanted and text is not None and _SERVER_SIDE.search(text) is not None
        error_text = proxy.error_log_format
        self._error_format: Build = error_line if error_text is None else compile_log_format(error_text, environment).build
        self._unread_format = self._format if error_text is None else self._error_format  # of what was no request
        self.at_connect = self.wanted and text is None
        structured = proxy.log_format_sd
        self._structured: Build | None = None if structured is None else compile_log_format(structured, environment).build

    def exchange(self, exchange: Exchange) -> None:
        """The line of an exchange (or of a mode-tcp connection) that has ended."""
        status = exchange.status
        is_error = exchange.termination[:1] != b"-" or exchange.retries > 0 or (status is not None and status >= 500)
        if self.only_errors and not is_error:
            return
        unread = exchange.head is None and exchange.frontend.is_http
        if unread and self.at_connect:
            return
        if self.skips_null and exchange.head is None and _said_nothing(exchange):
            return
        exchange.log_counter = self._lines
        self._lines += 1
        level = _ERR if self.separate_errors and is_error else _INFO
        if exchange.log_level is not None:
            if exchange.log_level < 0:
                return  # `http-request set-log-level silent`
            level = exchange.log_level
        build = self._unread_format if unread else self._format
        if self._structured is None:
            self._logger.log(level, build(exchange))
        else:
            self._logger.log(level, build(exchange), self._structured(exchange) or NO_STRUCTURED_DATA)

    def now(self, exchange: ExchangeFacts) -> None:
        """`do-log`: a line about an exchange that goes on."""
        if self.wanted:
            self._logger.log(_INFO, self._format(exchange))

    def notice(self, text: str) -> None:
        """A line that is about no exchange."""
        if self.wanted:
            self._logger.log(_NOTICE, text.encode("utf-8", "replace"))

    def refusal(self, exchange: Exchange, message: bytes) -> None:
        """The line of a connection that ended before it asked for anything. HAProxy manual 8.2.5."""
        if self.wanted:
            exchange.error_message = message
            self._logger.log(_ERR if self.separate_errors else _INFO, self._error_format(exchange))


def _said_nothing(exchange: Exchange) -> bool:
    """The client sent not a byte."""
    return exchange.first_byte_at is None and not (exchange.bytes_in or exchange.client_buffer)


def format_text(proxy: model.Proxy) -> str | None:
    """The log format in force, from log-format or the options; None: the line about the connection alone."""
    if proxy.log_format is not None:
        return proxy.log_format
    options, arguments = proxy.options, proxy.option_args
    wants_https = "httpslog" in options or "httpslog" in arguments
    wants_http = "httplog" in options or "httplog" in arguments or wants_https
    if wants_http and proxy.mode != "http":
        return TCP_FORMAT  # as HAProxy, which warns about it when the file is read
    if wants_https:
        return HTTPS_FORMAT
    if wants_http:
        return CLF_FORMAT if "clf" in arguments.get("httplog", ()) else HTTP_FORMAT
    if "tcplog" in options or "tcplog" in arguments:
        return TCP_FORMAT
    return None
