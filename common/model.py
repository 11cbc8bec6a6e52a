"""What a configuration says, as plain values.

The parser (common/config) makes one `Config`; every process gets it by pickle and builds its living objects from it.
Words of the rule language stay words here (`Rule.words`, `Condition.words`): config checks them with the same
compilers (common/acl, common/rules) that the workers use to run them.

Times are seconds (float), sizes are bytes (int); None means "not set".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the configuration something was said. line and column count from 1; column 0 = the whole line."""

    file: str = ""
    line: int = 0
    column: int = 0


def last_word(extra: Mapping[str, Sequence[Sequence[str]]], keyword: str, default: str = "") -> str:
    """The first word of a keyword's last line, which is the one that holds. extra: of a Proxy or of Global."""
    lines = extra.get(keyword)
    return lines[-1][0] if lines else default


class AddressKind(Enum):
    INET = "ipv4"
    INET6 = "ipv6"
    UNIX = "unix"
    ABNS = "abns"  # NUL + name padded with NULs to the whole sun_path, as HAProxy does
    ABNSZ = "abnsz"  # NUL + name, exact length
    FD = "fd"  # an inherited descriptor


@dataclass(frozen=True, slots=True)
class Address:
    """One endpoint. INET/INET6: host (text, "0.0.0.0"/"::" for any, or a name not yet resolved) and port.
    UNIX/ABNS/ABNSZ: path. FD: fd. port_offset: server ports like "+1000" or "-5" relative to the client's."""

    kind: AddressKind
    host: str = ""
    port: int = 0
    path: str = ""
    fd: int = -1
    port_offset: bool = False

    def __str__(self) -> str:
        if self.kind is AddressKind.INET:
            return f"{self.host}:{self.port}"
        if self.kind is AddressKind.INET6:
            return f"[{self.host}]:{self.port}"
        if self.kind is AddressKind.FD:
            return f"fd@{self.fd}"
        return self.path if self.kind is AddressKind.UNIX else f"{self.kind.value}@{self.path}"


@dataclass(frozen=True, slots=True)
class Condition:
    """`if`/`unless` and the words after it: ACL names, `!`, `or`/`||`, anonymous `{ … }`. HAProxy manual 7.2."""

    unless: bool
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Acl:
    """`acl NAME criterion [flags] [operator] values…`; several of one name are or-ed. words: all after NAME."""

    place: Place
    name: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a ruleset. words: the action and its arguments, without the condition.

    ruleset: "http-request", "http-response", "http-after-response", "tcp-request connection", "tcp-request session",
    "tcp-request content", "tcp-response content", "use_backend", "use-server", "redirect", "stick", "force-persist" …
    """

    place: Place
    ruleset: str
    words: tuple[str, ...]
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class CertificateLine:
    """One line of a crt-list. filters: names that it serves, "*." and "!" included; () = those of the certificate.

    settings: the bind's with what the brackets say, None = the bind's. words: what stands in the brackets. place: of the line.
    """

    place: Place
    certificate: str
    filters: tuple[str, ...] = ()
    settings: Tls | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateList:
    """A `crt-list` word. after: how many `crt` words stood before it: the order says who is the default."""

    path: str
    after: int
    lines: tuple[CertificateLine, ...] = ()


@dataclass(slots=True)
class Tls:
    """TLS settings of a bind or a server line (HAProxy manual 5.1, 5.2). Paths are as written, after crt-base/ca-base."""

    certificates: list[str] = field(default_factory=list)  # crt: files and directories, in order
    default_certificates: list[str] = field(default_factory=list)  # default-crt: for clients that name no known host
    crt_lists: list[CertificateList] = field(default_factory=list)
    ca_file: str | None = None
    ca_verify_file: str | None = None
    crl_file: str | None = None
    verify: str = ""  # "" = the default of the side: none on binds, required on servers
    verifyhost: str | None = None
    sni: str | None = None  # a sample expression (servers)
    alpn: tuple[str, ...] = ()
    ciphers: str | None = None
    ciphersuites: str | None = None
    curves: str | None = None
    sigalgs: str | None = None
    client_sigalgs: str | None = None
    min_version: str = ""  # "TLSv1.2" …
    max_version: str = ""
    strict_sni: bool = False
    tickets: bool = True
    prefer_client_ciphers: bool = False
    ca_ignore_err: str | None = None
    crt_ignore_err: str | None = None
    ca_names: bool = True  # False: no-ca-names, the CA names are not sent to clients
    ecdhe: str | None = None  # the one curve of old files; `curves` prevails
    reuse: bool = True  # sessions to this server are resumed (no-ssl-reuse: not)
    sni_auto: bool = True  # no `sni`: the Host without its port is sent
    preset: str = ""  # ours: modern | intermediate


@dataclass(slots=True)
class Bind:
    """One listening address of a proxy. A `bind` line with several addresses makes several of these."""

    place: Place
    address: Address
    name: str = ""
    processes: frozenset[int] = frozenset()  # `process N`; empty = not named
    accept_proxy: bool = False
    tls: Tls | None = None
    backlog: int | None = None
    maxconn: int | None = None
    nice: int = 0
    interface: str | None = None
    mode: int | None = None  # unix socket permissions
    user: str | None = None
    group: str | None = None
    v4v6: bool = False
    v6only: bool = False
    transparent: bool = False
    tfo: bool = False
    defer_accept: bool = False
    tcp_ut: float | None = None
    mss: int | None = None
    id: int = 0  # unique within the configuration: its index among all binds; set by the builder
    label: str = ""  # `id` keyword, as written
    uid: int | None = None  # owner of a unix socket, by number
    gid: int | None = None
    guid_prefix: str = ""


@dataclass(slots=True)
class Server:
    """One `server` line after default-server (HAProxy manual 5.2)."""

    place: Place
    name: str
    address: Address
    id: int = 0
    weight: int = 1
    maxconn: int = 0  # 0 = unlimited
    minconn: int = 0
    maxqueue: int = 0
    backup: bool = False
    disabled: bool = False
    check: bool = False
    send_proxy: int = 0  # 0 none, 1 or 2
    pass_fd: bool = False  # ours: hand the descriptor over instead of relaying
    proxy_v2_options: frozenset[str] = frozenset()
    tls: Tls | None = None
    cookie: str | None = None
    source: Address | None = None
    pool_max_conn: int = -1
    pool_low_conn: int = 0
    pool_purge_delay: float = 5.0
    max_reuse: int = -1
    redir: str | None = None
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)  # every other word of the line: name -> its arguments
    tls_check: Tls | None = None  # TLS of the checks: with check-ssl, or as the traffic when they go to the same place
    guid: str = ""


@dataclass(frozen=True, slots=True)
class LogTarget:
    """One `log` line. address: None for stdout/stderr (then fd is 1 or 2) and for `global`.
    format: rfc3164, rfc5424, short, raw, timed, iso, local, priority."""

    place: Place
    address: Address | None
    stream: str = ""  # "stdout" | "stderr" | "" ; datagram to `address` otherwise
    length: int = 1024
    format: str = ""
    facility: str = "local0"
    level: str = "debug"  # the least important level that is sent
    min_level: str = "emerg"  # levels more important than this are capped to it
    sample: tuple[tuple[int, int], ...] = ()  # ranges of indexes 1..size that are sent
    sample_size: int = 0
    use_global: bool = False
    profile: str = ""  # the log-profile section, "" = none


@dataclass(slots=True)
class Timeouts:
    """HAProxy manual 4.2 `timeout`. None = not set (no limit), with HAProxy's fall-backs applied by the reader:
    http_keep_alive -> http_request -> client; queue -> connect; tunnel -> client/server; check -> inter; tarpit -> connect."""

    connect: float | None = None
    client: float | None = None
    server: float | None = None
    http_request: float | None = None
    http_keep_alive: float | None = None
    queue: float | None = None
    tunnel: float | None = None
    check: float | None = None
    tarpit: float | None = None
    client_fin: float | None = None
    server_fin: float | None = None
    client_hs: float | None = None
    request_total: float | None = None  # ours: one deadline over all attempts


@dataclass(slots=True)
class Proxy:
    """A frontend, backend or listen section, defaults applied."""

    place: Place
    name: str
    frontend: bool
    backend: bool
    id: int = 0
    mode: str = "tcp"  # tcp | http
    disabled: bool = False
    binds: list[Bind] = field(default_factory=list)
    servers: list[Server] = field(default_factory=list)
    acls: list[Acl] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)  # all rulesets, in file order
    default_backend: str | None = None
    balance: tuple[str, ...] = ("roundrobin",)  # algorithm and its arguments
    hash_type: tuple[str, ...] = ("map-based",)
    hash_balance_factor: int = 0
    http_reuse: str = "safe"
    retries: int = 3
    retry_on: tuple[str, ...] = ("conn-failure",)
    maxconn: int | None = None
    fullconn: int | None = None
    backlog: int | None = None
    rate_limit_sessions: int = 0
    timeouts: Timeouts = field(default_factory=Timeouts)
    options: frozenset[str] = frozenset()  # `option NAME` without arguments, after `no option`/defaults
    option_args: dict[str, tuple[str, ...]] = field(default_factory=dict)  # `option NAME args…` -> args
    logs: list[LogTarget] = field(default_factory=list)  # `log global` already replaced
    log_format: str | None = None  # None: chosen by option httplog/tcplog/…
    error_log_format: str | None = None
    log_tag: str | None = None
    unique_id_format: str | None = None
    unique_id_header: str | None = None
    monitor_uri: str | None = None
    error_files: dict[int, str] = field(default_factory=dict)  # status -> path ("" = /dev/null: close silently)
    error_locations: dict[int, tuple[int, str]] = field(default_factory=dict)  # status -> (302|303, location format)
    captures: list[tuple[str, str, int]] = field(default_factory=list)  # ("request"|"response", header, length)
    capture_cookie: tuple[str, int] | None = None  # start of the cookie's name, and how much is logged
    cookie: tuple[str, ...] = ()  # words of the `cookie` line
    stick_table: tuple[str, ...] = ()  # words of the `stick-table` line
    guid: str = ""
    description: str | None = None
    inspect_delay_request: float | None = None  # tcp-request inspect-delay
    inspect_delay_response: float | None = None  # tcp-response inspect-delay
    http_errors: dict[int, tuple[str, ...]] = field(default_factory=dict)  # status -> words of `http-error` after the status
    log_format_sd: str | None = None
    defaults: str = ""  # the defaults section that it started from, "" = an anonymous one or none
    extra: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)  # other keywords -> each line's words


@dataclass(slots=True)
class Global:
    """Section global. workers: processes of the second tier when no bind names its `process`; 0 = one per usable core."""

    workers: int = 0
    dispatchers: int = 1
    nbproc: int = 0
    maxconn: int = 0  # 0 = from the descriptors
    maxconnrate: int = 0
    maxsslconn: int = 0
    maxsslrate: int = 0
    maxsessrate: int = 0
    daemon: bool = False
    pidfile: str | None = None
    user: str | None = None
    group: str | None = None
    chroot: str | None = None
    node: str | None = None
    description: str | None = None
    hard_stop_after: float | None = None
    grace: float | None = None
    log_tag: str = "usher"
    log_send_hostname: str | None = None
    logs: list[LogTarget] = field(default_factory=list)
    bufsize: int = 16384  # tune.bufsize
    maxrewrite: int = 1024  # tune.maxrewrite
    max_headers: int = 101  # tune.http.maxhdr
    maxaccept: int = 4  # tune.maxaccept
    channel_uids: tuple[int, ...] = ()  # ours: other uids that may speak on our abstract sockets
    tls_server_defaults: Tls = field(default_factory=Tls)
    cpu_map: list[tuple[str, ...]] = field(default_factory=list)
    stats_sockets: list[tuple[str, ...]] = field(default_factory=list)  # words of each `stats socket` line
    variables: list[tuple[str, ...]] = field(default_factory=list)  # set-var / set-var-fmt proc.*
    tune: dict[str, tuple[str, ...]] = field(default_factory=dict)  # tune.* that have a function here
    extra: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)


@dataclass(slots=True)
class User:
    name: str
    password: str
    encrypted: bool
    groups: tuple[str, ...] = ()


@dataclass(slots=True)
class Nameserver:
    """One `nameserver` line of a resolvers section. stream: asked over TCP."""

    name: str
    address: Address
    stream: bool = False


@dataclass(slots=True)
class Resolvers:
    """A resolvers section (HAProxy manual 5.3.2). hold: status -> seconds."""

    name: str
    nameservers: list[Nameserver] = field(default_factory=list)
    parse_resolv_conf: bool = False
    accepted_payload_size: int = 512
    resolve_retries: int = 3
    timeout_resolve: float = 1.0
    timeout_retry: float = 1.0
    hold: dict[str, float] = field(
        default_factory=lambda: {"nx": 30.0, "refused": 30.0, "timeout": 30.0, "other": 30.0, "valid": 10.0, "obsolete": 0.0}
    )


@dataclass(slots=True)
class Peers:
    """A peers section with tables of this host. tables: name -> words of its `table` line after the name."""

    name: str
    tables: dict[str, tuple[str, ...]] = field(default_factory=dict)
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class StoredCertificate:
    """One `load` line of a crt-store: paths after crt-base and key-base; None = looked for beside the certificate."""

    certificate: str
    alias: str = ""
    key: str | None = None
    ocsp: str | None = None
    issuer: str | None = None
    sctl: str | None = None


@dataclass(frozen=True, slots=True)
class LogStep:
    """One `on` line of a log-profile. drop: nothing is logged at this step."""

    drop: bool = False
    format: str | None = None
    structured_data: str | None = None


@dataclass(slots=True)
class LogProfile:
    """A log-profile section. steps: "close", "error", "any" … -> what is logged then."""

    name: str
    log_tag: str | None = None
    steps: dict[str, LogStep] = field(default_factory=dict)


@dataclass(slots=True)
class Config:
    """A whole configuration: everything a process needs to know."""

    files: tuple[str, ...] = ()
    globals: Global = field(default_factory=Global)
    proxies: list[Proxy] = field(default_factory=list)
    userlists: dict[str, list[User]] = field(default_factory=dict)
    http_errors: dict[str, dict[int, str]] = field(default_factory=dict)  # section -> status -> path
    extra: dict[str, object] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)  # userlist -> its group names
    resolvers: dict[str, Resolvers] = field(default_factory=dict)
    peers: dict[str, Peers] = field(default_factory=dict)
    crt_stores: dict[str, list[StoredCertificate]] = field(default_factory=dict)  # store ("" = unnamed) -> its certificates
    log_profiles: dict[str, LogProfile] = field(default_factory=dict)
    directory: str = ""  # default-path: processes change into it before they open any file by a relative name; "" = stay

    def proxy(self, name: str, *, backend: bool) -> Proxy | None:
        """The proxy of that name that can serve as a backend (or, backend=False, as a frontend)."""
        for proxy in self.proxies:
            if proxy.name == name and (proxy.backend if backend else proxy.frontend):
                return proxy
        return None
