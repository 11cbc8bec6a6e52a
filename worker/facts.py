"""What rules, fetches and log lines may ask about an exchange: the answering side of common/acl/facts.py.

`Exchange` adds the story to this. Facts that a configuration may never ask for are properties, so that an exchange nobody
asks about pays for none; those that are set on the way have their "not yet" value in the class.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from common import model
from common.acl.facts_tls import TlsFacts
from common.acl.facts_world import StickEntry, StickTable
from common.acl.types import Typed, Variables
from common.net.sockaddr import packed
from common.observe.fields import WREW
from common.tables.entry import Entry
from common.tables.samples import SampleTable
from worker.http.answers import Answer
from worker.http.buffered import body_so_far
from worker.http.editor import RequestEditor, ResponseEditor
from worker.http.head import Request, Response
from worker.socket_options import apply_socket_option

if TYPE_CHECKING:
    from common.net.stream import Stream
    from worker.backend import Backend
    from worker.body import Body
    from worker.connect import ServerConnection
    from worker.frontend import Frontend
    from worker.server import Server
    from worker.session import Session
    from worker.stickiness import Stuck
    from worker.world import World


class Timers:
    """Durations for logs, from the exchange's time stamps. HAProxy manual 8.4."""

    __slots__ = ("_x",)

    def __init__(self, exchange: ExchangeFacts) -> None:
        self._x = exchange

    @property
    def handshake(self) -> float | None:
        x = self._x
        return x.session.opened_at - x.session.accepted_at if x.is_first_request else 0.0

    @property
    def idle(self) -> float | None:
        x = self._x
        return 0.0 if x.first_byte_at is None else x.first_byte_at - x.started_at

    @property
    def request(self) -> float | None:
        x = self._x
        return None if x.request_at is None or x.first_byte_at is None else x.request_at - x.first_byte_at

    @property
    def queue(self) -> float | None:
        x = self._x
        return None if x.queued_at is None or x.waiting_since is None else x.queued_at - x.waiting_since

    @property
    def connect(self) -> float | None:
        x = self._x
        return None if x.connected_at is None or x.queued_at is None else x.connected_at - x.queued_at

    @property
    def response(self) -> float | None:
        x = self._x
        return None if x.response_at is None or x.connected_at is None else x.response_at - x.connected_at

    @property
    def total(self) -> float | None:
        x = self._x
        return (x.ended_at or x.world.pump.now) - (x.session.accepted_at if x.is_first_request else x.started_at)


class ExchangeFacts:
    """Answers `common.acl.facts.Facts`, and does what rules say (worker/route/subject.py)."""

    # Set by the story as it goes. Times are the pump's.
    session: Session
    frontend: Frontend
    world: World
    stream: Stream
    head: Request | None
    started_at: float
    first_byte_at: float | None = None
    request_at: float | None = None
    waiting_since: float | None = None
    queued_at: float | None = None
    connected_at: float | None = None
    response_at: float | None = None
    ended_at: float | None = None

    client_buffer: bytes = b""
    body: Body | None = None  # the one under way: the request's, then the response's
    request_editor: RequestEditor | None = None
    response_head: Response | None = None
    response_editor: ResponseEditor | None = None
    response_buffer: bytes = b""
    routed: Backend | None = None
    leased: Server | None = None
    excluded: Collection[int] = ()
    connection: ServerConnection | None = None
    bc_reused = False
    has_place = False  # at the leased server, which has no connection for us yet
    retries = 0
    retries_max: int | None = None
    redispatched = False
    termination = b"--"
    slug = ""  # why it ended early, or we answered (common/observe/reasons.py)
    _persistence_state = b""
    stuck: Stuck | None = None  # what cookies and `stick` rules say of it
    cookie_request_capture: bytes | None = None
    cookie_response_capture: bytes | None = None
    request_captures: Sequence[bytes | None] = ()
    response_captures: Sequence[bytes | None] = ()
    bytes_in = 0
    bytes_out = 0
    counted: tuple[int, int] | None = (0, 0)  # of them, while they flow (`option contstats`); None when all is counted
    server_queue_position = 0
    backend_queue_position = 0
    server_status: int | None = None
    status: int | None = None
    logged_early = False
    error_message = b""
    applet_name = ""
    bc_err = 0
    priority_class = 0
    priority_offset = 0
    last_rule: model.Place | None = None
    current_rule: model.Place | None = None
    waiting_for = ""
    undecided = False
    inspection_final = True
    _src: tuple[bytes, int] | None = None
    _dst: tuple[bytes, int] | None = None
    _noted_server_side: Mapping[str, tuple[bytes, int]] = {}
    _unique_id: bytes | None = None
    _txn: Variables | None = None
    _req: Variables | None = None
    _res: Variables | None = None
    _timeouts: dict[str, float] | None = None
    own_tracked: dict[int, Entry] | None = None  # by rules on contents and requests
    log_counter = 0
    log_level: int | None = None  # `set-log-level`; -1 = silent
    l7_retry_disabled = False  # `http-request disable-l7-retry`
    idempotent_rule: bool | None = None  # `http-request set-idempotent`
    rewriting_is_lenient = False  # `strict-mode off`
    early_hints: list[tuple[bytes, bytes]] | None = None  # what `early-hint` rules have said and was not sent yet
    closes_server = False  # `tcp-response content close`
    server_socket_options: tuple[tuple[str, int], ...] = ()  # `set-bc-mark`, `set-bc-tos`: for the connection that comes
    _request_counter = 0

    # --- addresses -----------------------------------------------------------------------------------------------

    @property
    def src(self) -> bytes:
        return self._src[0] if self._src else self.session.src

    @property
    def src_port(self) -> int:
        return self._src[1] if self._src else self.session.src_port

    @property
    def dst(self) -> bytes:
        return self._dst[0] if self._dst else self.session.dst

    @property
    def dst_port(self) -> int:
        return self._dst[1] if self._dst else self.session.dst_port

    def set_source(self, address: bytes, port: int) -> None:
        """Here and from now on, for this exchange."""
        self._src = (address, port)

    def set_destination(self, address: bytes, port: int) -> None:
        self._dst = (address, port)

    @property
    def bc_src(self) -> bytes:
        return self._server_side("getsockname")[0]

    @property
    def bc_src_port(self) -> int:
        return self._server_side("getsockname")[1]

    @property
    def bc_dst(self) -> bytes:
        return self._server_side("getpeername")[0]

    @property
    def bc_dst_port(self) -> int:
        return self._server_side("getpeername")[1]

    def note_server_side(self) -> None:
        """Keep the server connection's addresses for a log line that asks for them after the connection has gone its way."""
        self._noted_server_side = {which: self._server_side(which) for which in ("getsockname", "getpeername")}

    def _server_side(self, which: str) -> tuple[bytes, int]:
        if self.connection is None:
            return self._noted_server_side.get(which, (b"", 0))
        try:
            return packed(getattr(self.connection.stream.sock, which)())
        except OSError:
            return b"", 0

    @property
    def bc_http_major(self) -> int:
        return 1 if self.connection is not None else 0

    @property
    def bc_tls(self) -> TlsFacts | None:
        return self.world.tls_facts_of(self.connection.stream) if self.connection is not None else None

    def bc_tcp_info(self, name: str) -> int | None:
        from worker.session import tcp_info

        return tcp_info(self.connection.stream.sock, name) if self.connection is not None else None

    # --- messages ------------------------------------------------------------------------------------------------

    @property
    def request(self) -> Request | RequestEditor | None:
        return self.request_editor or self.head

    @property
    def response(self) -> Response | ResponseEditor | None:
        return self.response_editor or self.response_head

    def edit_request(self) -> RequestEditor:
        """The request under edit; made by the first rule that changes something."""
        if self.request_editor is None:
            assert self.head is not None
            self.request_editor = RequestEditor(self.head)
        return self.request_editor

    def error_answer(self, status: int) -> Answer:
        """The error page for a status: the backend's, the frontend's, the built-in one."""
        routed = self.routed
        if routed is not None:
            page = routed.errors.find(status, self)
            if page is not None:
                return page
        return self.frontend.errors.answer(status, self)

    def edit_response(self) -> ResponseEditor:
        if self.response_editor is None:
            assert self.response_head is not None
            self.response_editor = ResponseEditor(self.response_head)
        return self.response_editor

    @property
    def request_buffer(self) -> bytes:
        return self.client_buffer

    @property
    def request_body(self) -> bytes:
        """What is here of it, without chunk framing. Rules see it only before it goes on to the server."""
        head = self.head
        if head is None or self.body is not None:
            return b""
        return body_so_far(head.body, self.client_buffer)[0]

    @property
    def response_body(self) -> bytes:
        head = self.response_head
        return b"" if head is None else body_so_far(head.body, self.response_buffer)[0]

    @property
    def request_body_size(self) -> int:
        if self.head is None:
            return 0
        return self.head.body.length or len(self.request_body)

    @property
    def response_body_size(self) -> int:
        head = self.response_head
        return 0 if head is None else head.body.length or len(self.response_body)

    @property
    def is_first_request(self) -> bool:
        return self.session.requests <= 1

    @property
    def request_line(self) -> bytes:
        if self.head is None:
            return b"<BADREQ>" if self.frontend.is_http else b""
        return self.head.raw[: self.head.raw.index(b"\r")]

    # --- who serves it -------------------------------------------------------------------------------------------

    @property
    def backend(self) -> model.Proxy | None:
        if self.routed is not None:
            return self.routed.model
        return self.frontend.model if self.frontend.model.backend else None  # a listen section, until rules choose another

    @property
    def server(self) -> model.Server | None:
        return self.leased.model if self.leased is not None else None

    @property
    def persistence_state(self) -> bytes:
        """Two letters for logs: of the client's cookie, and of the one that was sent."""
        if self._persistence_state:
            return self._persistence_state
        backend = self.routed or self.world.backends.get(self.frontend.name)
        return b"NN" if backend is not None and backend.stickiness is not None and backend.stickiness.is_logged else b"--"

    def note_persistence(self, letters: bytes) -> None:
        self._persistence_state = letters

    def timeout(self, name: str) -> float | None:
        if self._timeouts is not None and name in self._timeouts:
            return self._timeouts[name]
        if name == "client":
            return self.frontend.model.timeouts.client
        timeouts = (self.routed or self.frontend).model.timeouts
        return {
            "server": timeouts.server,
            "tunnel": timeouts.tunnel,
            "connect": timeouts.connect,
            "queue": timeouts.queue,
            "tarpit": timeouts.tarpit,
        }.get(name)

    @property
    def client_s(self) -> float:
        """How long the client may be silent."""
        timeouts = self._timeouts
        return (timeouts.get("client") if timeouts is not None else None) or self.frontend.client_s

    def redispatch(self) -> None:
        """The next attempt goes to another server than this one."""
        assert self.leased is not None
        self.excluded = {*self.excluded, self.leased.position}
        self.redispatched = True
        self.leased = None

    def set_queue_position(self, ahead: int, at_server: bool) -> None:
        if at_server:
            self.server_queue_position = ahead
        else:
            self.backend_queue_position = ahead

    def set_timeout(self, name: str, seconds: float) -> None:
        if self._timeouts is None:
            self._timeouts = {}
        self._timeouts[name] = seconds

    # --- variables and tables ------------------------------------------------------------------------------------

    @property
    def txn_variables(self) -> Variables:
        if self._txn is None:
            self._txn = {}
        return self._txn

    @property
    def req_variables(self) -> Variables:
        if self._req is None:
            self._req = {}
        return self._req

    def forget_request_variables(self) -> None:
        """Scope req ends where the response begins."""
        self._req = None

    @property
    def res_variables(self) -> Variables:
        if self._res is None:
            self._res = {}
        return self._res

    def tracked(self, index: int) -> StickEntry | None:
        if self.own_tracked is not None and index in self.own_tracked:
            return self.own_tracked[index]
        return self.session.tracked.get(index) if self.session.tracked is not None else None

    def track(self, index: int, table: StickTable, key: Typed) -> None:
        assert isinstance(table, SampleTable)
        entry = table.begin(key, asked=self.head is not None and self.response_head is None)
        if entry is not None:
            if self.own_tracked is None:
                self.own_tracked = {}
            self.own_tracked[index] = entry

    def capture_lengths(self, response: bool) -> Sequence[int]:
        """By slot: how much of what is captured is kept."""
        captures = self.frontend.rules.captures
        return captures.response_lengths if response else captures.request_lengths

    # --- what rules do -------------------------------------------------------------------------------------------

    def set_socket_option(self, option: str, value: int, *, to_server: bool) -> None:
        """Mark or type of service of packets. Without the privilege for it nothing happens, as in HAProxy."""
        if to_server:
            self.server_socket_options = (*self.server_socket_options, (option, value))
        else:
            apply_socket_option(self.stream.sock, option, value)

    def set_server_options(self, connection: ServerConnection) -> None:
        """What `set-bc-mark` and `set-bc-tos` said; nobody else may use this connection then."""
        connection.is_private = True
        for option, value in self.server_socket_options:
            apply_socket_option(connection.stream.sock, option, value)

    def count_failed_rewriting(self) -> None:
        tally = (self.leased or self.routed or self.frontend).tally
        tally.words[WREW] += 1
        tally.touch()

    def log_now(self, profile: str) -> None:
        """`do-log`: a line about the exchange as it is now."""
        del profile
        self.frontend.log.now(self)

    # --- logs ----------------------------------------------------------------------------------------------------

    @property
    def unique_id(self) -> bytes:
        if self._unique_id is None:
            make = self.frontend.make_unique_id if self.head is not None or not self.frontend.is_http else None
            self._unique_id = make(self) if make is not None else b""
        return self._unique_id

    @property
    def request_counter(self) -> int:
        """Numbers are given to the requests that ask for one: no two of a process have the same."""
        if not self._request_counter:
            self.world.requests_numbered += 1
            self._request_counter = self.world.requests_numbered
        return self._request_counter

    @property
    def timers(self) -> Timers:
        return Timers(self)

    @property
    def request_date(self) -> float:
        return self.world.wall(self.first_byte_at if self.first_byte_at is not None else self.session.accepted_at)
