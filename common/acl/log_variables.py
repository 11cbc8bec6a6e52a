"""The `%xx` variables of log formats, one row each. Sans-io.

A row gives a value, not its text: how a value is written (quoted, in hexadecimal, as JSON) is the format's business.

Source: HAProxy configuration manual 8.2.6 (the table), 8.2.2 and 8.2.3 (the fields), 8.4 (timers), 8.6 (escaping); details compared
with the log lines of a running HAProxy 2.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from common.acl.facts import Facts
from common.acl.fetches_connection import bind_id
from common.acl.http_values import target_path
from common.acl.log_dates import gmt_date, local_date, local_date_ms, split_ms
from common.units import milliseconds

BAD_REQUEST = b"<BADREQ>"
NO_SERVER = b"<NOSRV>"


class Kind(Enum):
    NUMBER = "numeric"
    TEXT = "string"
    ADDRESS = "IP"
    DATE = "date"
    FLAGS = "flags"  # letters that are never quoted
    CAPTURES = "string list"


Value = int | bytes | Sequence[bytes | None] | None


@dataclass(frozen=True, slots=True)
class LogVariable:
    """hexadecimal: how many digits +X pads to; 0 = +X does nothing. early: a "+" goes before it under option logasap. optional: a
    number that may be None."""

    name: str
    kind: Kind
    get: Callable[[Facts], Value]
    doc: str
    http: bool = False
    hexadecimal: int = 0
    early: bool = False
    optional: bool = False


def escape(text: bytes) -> bytes:
    """8.6: bytes outside of printable ASCII, and `"` and `#`, as #XX."""
    return _escaped(text, _TEXT) if _TEXT_SPECIAL.search(text) else text


def escape_header(text: bytes) -> bytes:
    """The same for captured headers, where `{`, `|` and `}` are delimiters too."""
    return _escaped(text, _HEADER) if _HEADER_SPECIAL.search(text) else text


_TEXT_SPECIAL = re.compile(rb'[^ -~]|["#]')
_HEADER_SPECIAL = re.compile(rb'[^ -~]|["#{|}]')
_TEXT = {byte: b"#%02X" % byte if not 32 <= byte <= 126 or byte in b'"#' else bytes((byte,)) for byte in range(256)}
_HEADER = {byte: b"#%02X" % byte if byte in b"{|}" else plain for byte, plain in _TEXT.items()}


def _escaped(text: bytes, table: Mapping[int, bytes]) -> bytes:
    return b"".join([table[byte] for byte in text])


def _frontend_name(facts: Facts) -> bytes:
    frontend = facts.session.frontend
    return b"" if frontend is None else frontend.name.encode("utf-8", "surrogateescape")


def _frontend_transport(facts: Facts) -> bytes:
    return _frontend_name(facts) + (b"~" if facts.session.has_tls else b"")


def _backend_name(facts: Facts) -> bytes:
    backend = facts.backend
    return _frontend_name(facts) if backend is None else backend.name.encode("utf-8", "surrogateescape")


def _server_name(facts: Facts) -> bytes:
    server = facts.server
    if server is not None:
        return server.name.encode("utf-8", "surrogateescape")
    return b"<%b>" % facts.applet_name.encode("utf-8", "surrogateescape") if facts.applet_name else NO_SERVER


def _client_address(facts: Facts) -> bytes:
    return facts.src or b"unix"


def _client_port(facts: Facts) -> int:
    return facts.src_port if facts.src else _listener_id(facts)


def _frontend_address(facts: Facts) -> bytes:
    return facts.dst or b"unix"


def _frontend_port(facts: Facts) -> int:
    return facts.dst_port if facts.dst else _listener_id(facts)


def _listener_id(facts: Facts) -> int:
    return bind_id(facts.session)


def _request_line(facts: Facts) -> bytes:
    return escape(facts.request_line or BAD_REQUEST)


def _request_part(index: int) -> Callable[[Facts], bytes]:
    """Method, target or version of the request line as received."""

    def get(facts: Facts) -> bytes:
        parts = facts.request_line.split(b" ")
        return escape(parts[index]) if len(parts) == 3 else BAD_REQUEST

    return get


def _target_part(take: Callable[[bytes], bytes]) -> Callable[[Facts], bytes]:
    def get(facts: Facts) -> bytes:
        parts = facts.request_line.split(b" ")
        return escape(take(parts[1])) if len(parts) == 3 else BAD_REQUEST

    return get


def _before_query(target: bytes) -> bytes:
    return target.partition(b"?")[0]


def _query_with_mark(target: bytes) -> bytes:
    start = target.find(b"?")
    return b"" if start < 0 else target[start:]


def _path_only(target: bytes) -> bytes:
    return target_path(target) or b""


def _status(facts: Facts) -> int:
    response = facts.response
    if response is not None:
        return response.status
    frontend = facts.session.frontend
    if facts.error_message:
        return 0  # the connection did not come to a request
    return -1 if frontend is not None and frontend.mode == "http" else 0


def _total_ms(facts: Facts) -> int:
    return milliseconds(facts.timers.total)


def _active_ms(facts: Facts) -> int:
    """Ta: from the request's first byte to the end."""
    timers = facts.timers
    total = milliseconds(timers.total)
    return -1 if total < 0 else max(0, total - _reached(timers.handshake) - _reached(timers.idle))


def _user_ms(facts: Facts) -> int:
    """Tu: as Tt, without the idle time."""
    timers = facts.timers
    total = milliseconds(timers.total)
    return -1 if total < 0 else max(0, total - _reached(timers.idle))


def _query_ms(facts: Facts) -> int:
    """Tq: from accept to the complete head."""
    timers = facts.timers
    request = milliseconds(timers.request)
    return -1 if request < 0 else request + _reached(timers.handshake) + _reached(timers.idle)


def _data_ms(facts: Facts) -> int:
    """Td: from the response's head to the end."""
    timers = facts.timers
    total, response = milliseconds(timers.total), milliseconds(timers.response)
    if total < 0 or response < 0:
        return -1
    before = response + _reached(timers.connect) + _reached(timers.queue) + _reached(timers.request)
    return max(0, total - before - _reached(timers.handshake) - _reached(timers.idle))


def _reached(seconds: float | None) -> int:
    return max(0, milliseconds(seconds))


def _backend_connections(facts: Facts) -> int:
    backend = facts.backend
    return 0 if backend is None else facts.world.backend_connections(backend.name)


def _server_connections(facts: Facts) -> int:
    backend, server = facts.backend, facts.server
    return 0 if backend is None or server is None else facts.world.server_connections(backend.name, server.name)


def _frontend_connections(facts: Facts) -> int:
    frontend = facts.session.frontend
    return 0 if frontend is None else facts.world.frontend_connections(frontend.name)


def _retries(facts: Facts) -> bytes:
    return b"%s%d" % (b"+" if facts.redispatched else b"", facts.retries)


def _cookie(text: bytes | None) -> bytes | None:
    return None if text is None else escape(text)


_N, _S, _A, _D = Kind.NUMBER, Kind.TEXT, Kind.ADDRESS, Kind.DATE

_ROWS = (
    LogVariable("B", _N, lambda facts: facts.bytes_out, "bytes sent to the client", early=True),
    LogVariable("CC", _S, lambda facts: _cookie(facts.cookie_request_capture), "captured request cookie", http=True),
    LogVariable("CS", _S, lambda facts: _cookie(facts.cookie_response_capture), "captured response cookie", http=True),
    LogVariable("H", _S, lambda facts: facts.world.hostname or None, "hostname"),
    LogVariable("HM", _S, _request_part(0), "HTTP method", http=True),
    LogVariable("HP", _S, _target_part(_before_query), "request target without its query", http=True),
    LogVariable("HPO", _S, _target_part(_path_only), "path alone, without host and query", http=True),
    LogVariable("HQ", _S, _target_part(_query_with_mark), "query with its question mark", http=True),
    LogVariable("HU", _S, _request_part(1), "request target", http=True),
    LogVariable("HV", _S, _request_part(2), "HTTP version, as HTTP/1.1", http=True),
    LogVariable("ID", _S, lambda facts: escape(facts.unique_id) or None, "unique id"),
    LogVariable("OG", _S, lambda facts: None, "origin of the log line; nothing for ordinary traffic"),
    LogVariable("ST", _N, _status, "status code"),
    LogVariable("T", _D, lambda facts: gmt_date(facts.session.accept_date), "accept date, GMT"),
    LogVariable("Ta", _N, _active_ms, "ms from the request's first byte to the end", http=True, early=True),
    LogVariable("Tc", _N, lambda facts: milliseconds(facts.timers.connect), "ms to connect to the server"),
    LogVariable("Td", _N, _data_ms, "ms of data transfer, from the response's head to the end"),
    LogVariable("Th", _N, lambda facts: milliseconds(facts.timers.handshake), "ms of handshakes: PROXY header and TLS"),
    LogVariable("Ti", _N, lambda facts: milliseconds(facts.timers.idle), "ms idle before the request", http=True),
    LogVariable("Tl", _D, lambda facts: local_date(facts.session.accept_date, facts.world.gmt_offset), "accept date, local"),
    LogVariable("Tq", _N, _query_ms, "Th + Ti + TR", http=True),
    LogVariable("TR", _N, lambda facts: milliseconds(facts.timers.request), "ms to receive the request's head", http=True),
    LogVariable("Tr", _N, lambda facts: milliseconds(facts.timers.response), "ms to the response's head", http=True),
    LogVariable("Ts", _N, lambda facts: int(facts.session.accept_date), "accept date, seconds since 1970", hexadecimal=8),
    LogVariable("Tt", _N, _total_ms, "ms from accept to the end", early=True),
    LogVariable("Tu", _N, _user_ms, "ms as Tt, without the idle time", early=True),
    LogVariable("Tw", _N, lambda facts: milliseconds(facts.timers.queue), "ms in queues"),
    LogVariable("U", _N, lambda facts: facts.bytes_in, "bytes received from the client"),
    LogVariable("ac", _N, lambda facts: facts.world.connections, "connections of the program"),
    LogVariable("b", _S, _backend_name, "backend"),
    LogVariable("bc", _N, _backend_connections, "connections of the backend"),
    LogVariable("bi", _A, lambda facts: facts.bc_src or None, "address we connected from"),
    LogVariable(
        "bp", _N, lambda facts: facts.bc_src_port if facts.bc_src else None, "port we connected from", hexadecimal=4, optional=True
    ),
    LogVariable("bq", _N, lambda facts: facts.backend_queue_position, "requests before this one in the backend's queue"),
    LogVariable("ci", _A, _client_address, "client's address"),
    LogVariable("cp", _N, _client_port, "client's port", hexadecimal=4),
    LogVariable("f", _S, _frontend_name, "frontend"),
    LogVariable("fc", _N, _frontend_connections, "connections of the frontend"),
    LogVariable("fi", _A, _frontend_address, "address the client connected to"),
    LogVariable("fp", _N, _frontend_port, "port the client connected to", hexadecimal=4),
    LogVariable("ft", _S, _frontend_transport, 'frontend, with "~" for TLS'),
    LogVariable("hr", Kind.CAPTURES, lambda facts: facts.request_captures, "captured request headers"),
    LogVariable("hrl", Kind.CAPTURES, lambda facts: facts.request_captures, "captured request headers, CLF style"),
    LogVariable("hs", Kind.CAPTURES, lambda facts: facts.response_captures, "captured response headers"),
    LogVariable("hsl", Kind.CAPTURES, lambda facts: facts.response_captures, "captured response headers, CLF style"),
    LogVariable("lc", _N, lambda facts: facts.log_counter, "number of the frontend's log line", hexadecimal=4),
    LogVariable("ms", Kind.FLAGS, lambda facts: b"%03d" % split_ms(facts.session.accept_date)[1], "accept date's milliseconds"),
    LogVariable("pid", _N, lambda facts: facts.world.pid, "pid", hexadecimal=4),
    LogVariable("r", _S, _request_line, "request line", http=True),
    LogVariable("rc", Kind.FLAGS, _retries, 'retries, with "+" after a redispatch'),
    LogVariable("rt", _N, lambda facts: facts.request_counter, "number of the request", hexadecimal=4),
    LogVariable("s", _S, _server_name, "server"),
    LogVariable("sc", _N, _server_connections, "connections of the server"),
    LogVariable("si", _A, lambda facts: facts.bc_dst or None, "server's address"),
    LogVariable("sp", _N, lambda facts: facts.bc_dst_port if facts.bc_dst else None, "server's port", hexadecimal=4, optional=True),
    LogVariable("sq", _N, lambda facts: facts.server_queue_position, "requests before this one in the server's queue"),
    LogVariable("sslc", _S, lambda facts: _tls(facts, "cipher"), "TLS cipher"),
    LogVariable("sslv", _S, lambda facts: _tls(facts, "protocol"), "TLS version"),
    LogVariable("t", _D, lambda facts: local_date_ms(facts.session.accept_date, facts.world.gmt_offset), "accept date, local, with ms"),
    LogVariable(
        "tr", _D, lambda facts: local_date_ms(facts.request_date, facts.world.gmt_offset), "request's date, local, with ms", http=True
    ),
    LogVariable("trg", _D, lambda facts: gmt_date(facts.request_date), "request's date, GMT", http=True),
    LogVariable("trl", _D, lambda facts: local_date(facts.request_date, facts.world.gmt_offset), "request's date, local", http=True),
    LogVariable("ts", Kind.FLAGS, lambda facts: facts.termination, "how it ended: two letters"),
    LogVariable(
        "tsc", Kind.FLAGS, lambda facts: facts.termination + facts.persistence_state, "the same, with the cookie's state", http=True
    ),
)


def _tls(facts: Facts, what: str) -> bytes | None:
    tls = facts.session.tls
    if tls is None:
        return None
    return (tls.cipher if what == "cipher" else tls.protocol) or None


LOG_VARIABLES: Mapping[str, LogVariable] = {row.name: row for row in _ROWS}

# Names of older versions.
ALIASES: Mapping[str, str] = {
    "Ci": "ci",
    "Cp": "cp",
    "Bi": "bi",
    "Bp": "bp",
    "Fi": "fi",
    "Fp": "fp",
    "Si": "si",
    "Sp": "sp",
    "cc": "CC",
    "cs": "CS",
    "st": "ST",
}
