"""Facts where nothing is known: what fetches get before there is a client or a request. Sans-io.

Living objects build on these and answer what they have. `usher -c` and global set-var evaluate expressions against them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from common import model
from common.acl.facts import ProxyHeaderFacts, RequestFacts, ResponseFacts, SessionFacts, TimerFacts
from common.acl.facts_tls import TlsFacts
from common.acl.facts_world import StickEntry, StickTable, WorldFacts
from common.acl.types import Variables


class AbsentTimers:
    """Answers TimerFacts: no stage was reached."""

    __slots__ = ()

    handshake: float | None = None
    idle: float | None = None
    request: float | None = None
    queue: float | None = None
    connect: float | None = None
    response: float | None = None
    total: float | None = None


class AbsentTls:
    """Answers TlsFacts: TLS of which nothing is known but the server name."""

    def __init__(self, sni: bytes = b"") -> None:
        self.sni = sni

    handshake_done: bool = False
    alpn: bytes = b""
    npn: bytes = b""
    protocol: bytes = b""
    cipher: bytes = b""
    cipher_bits: int = 0
    cipher_algorithm_bits: int = 0
    curve: bytes = b""
    sigalg: bytes = b""
    is_resumed: bool = False
    session_id: bytes = b""
    session_key: bytes = b""
    unique_id: bytes = b""
    client_random: bytes = b""
    server_random: bytes = b""
    has_early_data: bool = False
    error: int = 0
    error_text: bytes = b""
    hello: bytes = b""
    peer_certificate: bytes = b""
    peer_chain: Sequence[bytes] = ()
    peer_root: bytes = b""
    peer_certificate_sent: bool = False
    own_certificate: bytes = b""
    verify_result: int = 0
    verify_error: int = 0
    verify_ca_error: int = 0
    verify_ca_error_depth: int = 0

    def secret(self, label: str) -> bytes:
        return b""


class AbsentWorld:
    """Answers WorldFacts: a process without proxies at the start of 1970. random_bits gives zeros."""

    def __init__(self) -> None:
        self.variables: Variables = {}

    environment: Mapping[str, str] = {}
    hostname: bytes = b""
    node: bytes = b""
    pid: int = 0
    process_index: int = 1
    stopping: bool = False
    connections: int = 0

    def date(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    def random_bits(self, count: int) -> int:
        return 0

    def gmt_offset(self, date: float) -> int:
        return 0

    def frontend_connections(self, name: str) -> int:
        return 0

    def frontend_request_rate(self, name: str) -> int:
        return 0

    def frontend_session_rate(self, name: str) -> int:
        return 0

    def bind_connections(self, bind: model.Bind) -> int:
        return 0

    def backend_connections(self, name: str) -> int:
        return 0

    def backend_session_rate(self, name: str) -> int:
        return 0

    def backend_queue(self, name: str) -> int:
        return 0

    def usable_servers(self, backend: str) -> int:
        return 0

    def server_connections(self, backend: str, server: str) -> int:
        return 0

    def server_session_rate(self, backend: str, server: str) -> int:
        return 0

    def server_queue(self, backend: str, server: str) -> int:
        return 0

    def server_is_up(self, backend: str, server: str) -> bool:
        return False

    def server_weight(self, backend: str, server: str) -> int:
        return 0

    def server_user_weight(self, backend: str, server: str) -> int:
        return 0

    def stick_table(self, name: str) -> StickTable | None:
        return None

    def config_proxy(self, name: str, *, backend: bool) -> model.Proxy | None:
        return None

    def is_local(self, address: bytes) -> bool:
        return False


class AbsentSession:
    """Answers SessionFacts: a client of whom nothing is known."""

    def __init__(self) -> None:
        self.variables: Variables = {}

    id: int = 0
    src: bytes = b""
    src_port: int = 0
    dst: bytes = b""
    dst_port: int = 0
    fc_src: bytes = b""
    fc_src_port: int = 0
    fc_dst: bytes = b""
    fc_dst_port: int = 0
    bind: model.Bind | None = None
    frontend: model.Proxy | None = None
    proxy_header: ProxyHeaderFacts | None = None
    tls: TlsFacts | None = None
    has_tls: bool = False
    accept_date: float = 0.0
    fc_err: int = 0
    http_major: int = 1

    def tcp_info(self, name: str) -> int | None:
        return None


class AbsentExchange:
    """Answers Facts: a session without an exchange (yet)."""

    def __init__(self, session: SessionFacts | None = None, world: WorldFacts | None = None) -> None:
        self.undecided = False
        self.session: SessionFacts = session or AbsentSession()
        self.world: WorldFacts = world or AbsentWorld()
        self.txn_variables: Variables = {}
        self.req_variables: Variables = {}
        self.res_variables: Variables = {}

    inspection_final: bool = True
    request: RequestFacts | None = None
    response: ResponseFacts | None = None
    request_body: bytes = b""
    response_body: bytes = b""
    request_body_size: int = 0
    response_body_size: int = 0
    request_buffer: bytes = b""
    response_buffer: bytes = b""
    is_first_request: bool = False
    request_line: bytes = b""
    server_status: int | None = None
    request_captures: Sequence[bytes | None] = ()
    response_captures: Sequence[bytes | None] = ()
    backend: model.Proxy | None = None
    server: model.Server | None = None
    applet_name: str = ""
    bc_src: bytes = b""
    bc_src_port: int = 0
    bc_dst: bytes = b""
    bc_dst_port: int = 0
    bc_err: int = 0
    bc_http_major: int = 1
    bc_tls: TlsFacts | None = None
    bc_reused: bool = False
    unique_id: bytes = b""
    priority_class: int = 0
    priority_offset: int = 0
    retries_max: int | None = None
    last_rule: model.Place | None = None
    waiting_for: str = ""
    current_rule: model.Place | None = None
    timers: TimerFacts = AbsentTimers()
    termination: bytes = b"--"
    slug: str = ""
    persistence_state: bytes = b"--"
    cookie_request_capture: bytes | None = None
    cookie_response_capture: bytes | None = None
    retries: int = 0
    redispatched: bool = False
    bytes_in: int = 0
    bytes_out: int = 0
    server_queue_position: int = 0
    backend_queue_position: int = 0
    request_counter: int = 0
    log_counter: int = 0
    logged_early: bool = False
    error_message: bytes = b""

    @property
    def src(self) -> bytes:
        return self.session.src

    @property
    def src_port(self) -> int:
        return self.session.src_port

    @property
    def dst(self) -> bytes:
        return self.session.dst

    @property
    def dst_port(self) -> int:
        return self.session.dst_port

    @property
    def request_date(self) -> float:
        return self.session.accept_date

    def bc_tcp_info(self, name: str) -> int | None:
        return None

    def tracked(self, index: int) -> StickEntry | None:
        return None

    def timeout(self, name: str) -> float | None:
        return None
