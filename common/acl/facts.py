"""What a sample fetch may ask about one exchange: the question side of every rule, condition and log line. Sans-io.

Fetches, log variables and conditions are compiled once into closures that take one `Facts`. The worker's exchange (or, before
there is one, its session) answers. Nothing here is computed ahead: implement costly facts as properties, so that a
configuration that does not ask does not pay.

Rules for whoever answers:
- Text from the wire is `bytes`. Addresses are packed: 4 bytes IPv4, 16 bytes IPv6, b"" for a unix socket or "unknown".
- A fact that is not there (yet) is None, or b"" or an empty sequence where the type says so; the fetch then finds nothing.
- Times are seconds; durations that did not happen are None.
- `undecided` is the only thing a fetch writes: see `Facts.undecided`.

common/acl/absent.py has classes that answer "nothing" to everything, to build on.
Source: HAProxy configuration manual sections 7.3.2 to 7.3.6 (what can be fetched) and 8.2.6 (what can be logged).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from common import model
from common.acl.facts_tls import TlsFacts
from common.acl.facts_world import StickEntry, WorldFacts
from common.acl.types import Variables


class ProxyHeaderFacts(Protocol):
    """A received PROXY header, as far as fetches ask; common.wire.proxy_header.ProxyHeader is one."""

    @property
    def tlvs(self) -> Sequence[tuple[int, bytes]]:
        """(type, value) in the order received."""

    def tlv(self, kind: int) -> bytes | None:
        """The value of the last one of that type."""


class MessageFacts(Protocol):
    """A request or response head as the rules see it: as received, plus the edits made so far."""

    @property
    def version(self) -> int:
        """10 or 11."""

    @property
    def fields(self) -> Sequence[tuple[bytes, bytes]]:
        """(name as written, value without surrounding blanks), in order."""

    def values(self, name_lower: bytes) -> Sequence[bytes]:
        """The values of all fields of that name, in order, one per field line (commas are not split)."""


class RequestFacts(MessageFacts, Protocol):
    @property
    def method(self) -> bytes: ...

    @property
    def target(self) -> bytes:
        """The request target as it stands now: origin-form, absolute-form, authority-form or "*"."""


class ResponseFacts(MessageFacts, Protocol):
    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> bytes: ...


class SessionFacts(Protocol):
    """One client connection."""

    @property
    def id(self) -> int: ...

    # The addresses that count: after the PROXY header and after set-src/set-dst of `tcp-request connection|session`.
    @property
    def src(self) -> bytes: ...
    @property
    def src_port(self) -> int: ...
    @property
    def dst(self) -> bytes: ...
    @property
    def dst_port(self) -> int: ...

    # The real connection's, whatever a PROXY header or a rule said.
    @property
    def fc_src(self) -> bytes: ...
    @property
    def fc_src_port(self) -> int: ...
    @property
    def fc_dst(self) -> bytes: ...
    @property
    def fc_dst_port(self) -> int: ...

    @property
    def bind(self) -> model.Bind | None: ...
    @property
    def frontend(self) -> model.Proxy | None: ...
    @property
    def proxy_header(self) -> ProxyHeaderFacts | None: ...
    @property
    def tls(self) -> TlsFacts | None:
        """The client's TLS; None on a plain connection."""

    @property
    def has_tls(self) -> bool:
        """The connection is (or is to become, during the handshake) TLS: `ssl_fc`, "%ft"."""

    @property
    def variables(self) -> Variables: ...

    @property
    def accept_date(self) -> float:
        """Wall clock at accept, seconds."""

    @property
    def fc_err(self) -> int:
        """0, or the manual's connection error number (table at `fc_err_str`)."""

    @property
    def http_major(self) -> int:
        """1 or 2: the client side's HTTP version."""

    def tcp_info(self, name: str) -> int | None:
        """One number of the kernel's TCP_INFO of the client's connection: rtt, rttvar (microseconds), unacked, sacked, lost,
        retrans, fackets, reordering. None where there is none."""


class TimerFacts(Protocol):
    """Durations of an exchange in seconds (manual 8.4); None = that stage was not reached."""

    @property
    def handshake(self) -> float | None:
        """Th: from accept to the end of PROXY header and TLS handshake (0 for later requests of the connection)."""

    @property
    def idle(self) -> float | None:
        """Ti: from there, or from the previous response's end, to the request's first byte."""

    @property
    def request(self) -> float | None:
        """TR: from the first byte to the complete head."""

    @property
    def queue(self) -> float | None:
        """Tw."""

    @property
    def connect(self) -> float | None:
        """Tc."""

    @property
    def response(self) -> float | None:
        """Tr: from the connection (or the request sent on a reused one) to the complete response head."""

    @property
    def total(self) -> float | None:
        """Tt: from accept, or from the previous exchange's end, to this one's end (or to now, if it has not ended)."""


class Facts(Protocol):
    """One exchange (in mode tcp: the one exchange of raw bytes). Before there is one, a session answers with empty exchange facts."""

    # What a fetch writes. It sets True when it found nothing, or not its last word, only because bytes are still missing.
    # `Condition.decide` clears it before every test and so tells "no" from "not yet" (tcp-request content, inspect-delay).
    undecided: bool

    @property
    def inspection_final(self) -> bool:
        """No more bytes will be waited for: inspect-delay over, buffer full, or end of input. `wait_end`."""

    @property
    def session(self) -> SessionFacts: ...
    @property
    def world(self) -> WorldFacts: ...

    # The session's addresses, unless `http-request` or `tcp-request content` set-src/set-dst changed them for this exchange.
    @property
    def src(self) -> bytes: ...
    @property
    def src_port(self) -> int: ...
    @property
    def dst(self) -> bytes: ...
    @property
    def dst_port(self) -> int: ...

    @property
    def request(self) -> RequestFacts | None: ...
    @property
    def response(self) -> ResponseFacts | None: ...
    @property
    def request_body(self) -> bytes:
        """The request's body as far as it is buffered, without chunk framing."""

    @property
    def response_body(self) -> bytes: ...
    @property
    def request_body_size(self) -> int:
        """What Content-Length announces, or what is known so far of a chunked body."""

    @property
    def response_body_size(self) -> int: ...
    @property
    def request_buffer(self) -> bytes:
        """Bytes received from the client and not yet forwarded (mode tcp: `req.payload`, `req.ssl_*`)."""

    @property
    def response_buffer(self) -> bytes: ...
    @property
    def is_first_request(self) -> bool:
        """The first of its connection."""

    @property
    def request_line(self) -> bytes:
        """ "METHOD target HTTP/x.y" as received, before any rule; b"" without a request. "<BADREQ>" for one that did not parse."""

    @property
    def server_status(self) -> int | None:
        """The status the server sent, before any http-response set-status."""

    @property
    def txn_variables(self) -> Variables: ...
    @property
    def req_variables(self) -> Variables: ...
    @property
    def res_variables(self) -> Variables: ...
    @property
    def request_captures(self) -> Sequence[bytes | None]:
        """By slot id: `capture request header`, `declare capture request`. A list where there are slots: `capture-req` writes to it."""

    @property
    def response_captures(self) -> Sequence[bytes | None]: ...

    @property
    def backend(self) -> model.Proxy | None:
        """None until one is chosen."""

    @property
    def server(self) -> model.Server | None: ...
    @property
    def applet_name(self) -> str:
        """Who answered when no server did: "STATS", "PROMEX" … ; "" otherwise. Logged as "<STATS>"."""

    # Towards the server. b"" and 0 before there is a connection.
    @property
    def bc_src(self) -> bytes: ...
    @property
    def bc_src_port(self) -> int: ...
    @property
    def bc_dst(self) -> bytes: ...
    @property
    def bc_dst_port(self) -> int: ...
    @property
    def bc_err(self) -> int: ...
    @property
    def bc_http_major(self) -> int: ...
    @property
    def bc_tls(self) -> TlsFacts | None: ...
    def bc_tcp_info(self, name: str) -> int | None: ...
    @property
    def bc_reused(self) -> bool:
        """The server connection had served before (`bc_is_reused`… in logs)."""

    @property
    def unique_id(self) -> bytes:
        """By `unique-id-format`; made when first asked for, then kept. b"" without a format."""

    def tracked(self, index: int) -> StickEntry | None:
        """The entry that `track-scN` of this exchange, or else of its session, follows."""

    @property
    def priority_class(self) -> int: ...
    @property
    def priority_offset(self) -> int: ...

    def timeout(self, name: str) -> float | None:
        """The timeout in force for this exchange, after `set-timeout`: client, server, tunnel, connect, queue, tarpit. Seconds."""

    @property
    def retries_max(self) -> int | None:
        """Attempts after the first that this exchange may make: the backend's, or as set-retries said."""

    @property
    def last_rule(self) -> model.Place | None:
        """Where the last final rule that matched is written."""

    @property
    def waiting_for(self) -> str:
        """What the exchange waits for right now, or waited for when it ended ("" for nothing): `waiting_entity`."""

    @property
    def current_rule(self) -> model.Place | None:
        """The rule being evaluated, or the one that a timeout interrupted: `last_entity`."""

    # For log lines (manual 8.2.3, 8.5).
    @property
    def timers(self) -> TimerFacts: ...
    @property
    def request_date(self) -> float:
        """Wall clock at the request's first byte (mode tcp: at accept), seconds."""

    @property
    def termination(self) -> bytes:
        """Two letters: cause and phase; b"--" when all went well."""

    @property
    def persistence_state(self) -> bytes:
        """The two cookie letters that %tsc adds to them; b"--" without a cookie line."""

    @property
    def cookie_request_capture(self) -> bytes | None:
        """`capture cookie`, from the request."""

    @property
    def cookie_response_capture(self) -> bytes | None: ...
    @property
    def retries(self) -> int: ...
    @property
    def redispatched(self) -> bool: ...
    @property
    def bytes_in(self) -> int:
        """From the client towards the server."""

    @property
    def bytes_out(self) -> int:
        """To the client."""

    @property
    def server_queue_position(self) -> int:
        """Requests that were before this one in the server's queue."""

    @property
    def backend_queue_position(self) -> int: ...
    @property
    def request_counter(self) -> int:
        """Number of this request in its process (%rt)."""

    @property
    def log_counter(self) -> int:
        """Number of this log line of its frontend (%lc)."""

    @property
    def logged_early(self) -> bool:
        """`option logasap`: times and sizes are not final and get a "+"."""

    @property
    def slug(self) -> str:
        """Why the exchange ended early, or was answered here (common/observe/reasons.py); "" for neither."""

    @property
    def error_message(self) -> bytes:
        """Why the session ended before there was an exchange: the last part of HAProxy's error log line."""
