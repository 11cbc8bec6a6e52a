"""Rows of section global.

Sans-io.
Source: HAProxy configuration manual 3.1 (process), 3.2 (tuning), 3.3 (debugging).
"""

from __future__ import annotations

from common.config import global_words as words
from common.config.keywords import Keyword, Section, Status
from common.config.proxy_words import SectionParser
from common.config.stats_socket import parse_stats_maxconn, parse_stats_socket, parse_stats_timeout
from common.config.unused import unused

_ANY = None
BUFSIZE_MIN, BUFSIZE_MAX = 1024, 1 << 28
HEADERS_MAX = 32767


def _row(
    name: str, syntax: str, parse: SectionParser, meaning: str, least: int = 0, most: int | None = 0, manual: str = "3.1", **more: object
) -> Keyword[SectionParser]:
    return Keyword(name, Section.GLOBAL, f"{name} {syntax}".strip(), parse, meaning, manual, least, most, **more)  # type: ignore[arg-type]


def _one(name: str, syntax: str, parse: SectionParser, meaning: str, manual: str = "3.1", **more: object) -> Keyword[SectionParser]:
    """A keyword with exactly one argument."""
    return _row(name, syntax, parse, meaning, 1, 1, manual, **more)


def _ours(
    name: str, syntax: str, parse: SectionParser, meaning: str, least: int = 1, most: int | None = 1, **more: object
) -> Keyword[SectionParser]:
    return _row(name, syntax, parse, meaning, least, most, "", ours=True, **more)


def _noticed(name: str, instead: str, manual: str = "3.2", *, no: bool = False) -> Keyword[SectionParser]:
    return _row(name, "…", unused, "Accepted, without effect.", 0, _ANY, manual, status=Status.NOTICED, instead=instead, no=no)


def _refused(name: str, instead: str, manual: str = "3.1") -> Keyword[SectionParser]:
    return _row(name, "…", unused, "Not available here.", 0, _ANY, manual, status=Status.REFUSED, instead=instead)


_PROCESS: tuple[Keyword[SectionParser], ...] = (
    _ours(
        "workers",
        "<number>",
        words.integer("workers", most=words.NBPROC_MAX),
        "Worker processes, where no bind names its process.",
        default="one per usable core",
    ),
    _ours(
        "dispatchers",
        "<number>",
        words.integer("dispatchers", least=1, most=words.NBPROC_MAX),
        "Dispatcher processes, sharing the listening ports.",
        default="1",
    ),
    _ours(
        "channel-uids",
        "<uid> […]",
        words.channel_uids,
        "Other users whose processes may speak on our abstract sockets.",
        1,
        _ANY,
        default="our own user and root",
    ),
    _one(
        "nbproc",
        "<number>",
        words.integer("nbproc", least=1, most=words.NBPROC_MAX),
        "Processes that `process` on bind lines counts; HAProxy dropped it in 2.5, kept here.",
        "2.4: 3.1",
    ),
    _one("ca-base", "<directory>", words.base("ca_base"), "Where relative ca-file and crl-file names of the lines below start."),
    _one("crt-base", "<directory>", words.base("crt_base"), "Where relative crt names of the lines below start."),
    _one(
        "chroot",
        "<directory>",
        words.once(words.text("chroot", "a directory")),
        "The processes lock themselves into this directory after the start.",
    ),
    _row("cpu-map", "[auto:]<process>[/<thread>] <cpus> […]", words.cpu_map, "Cores that processes may run on.", 2, _ANY),
    _row("daemon", "", words.daemon, "Runs in the background, as -D."),
    _row(
        "default-path",
        "{current|config|parent|origin <path>}",
        words.default_path,
        "Where relative file names start.",
        1,
        2,
        default="current",
    ),
    _row("description", "<text>", words.description, "Shown by the statistics.", 1, _ANY),
    _row("expose-experimental-directives", "", words.experimental, "Allows words that are marked experimental."),
    _row("expose-deprecated-directives", "", words.switch, "Allows deprecated words without a warning.", manual="3.3: 3.1"),
    _one("fd-hard-limit", "<number>", words.checked(words.number(1)), "The most descriptors used, whatever the system allows."),
    _one("fd-soft-limit", "<number>", words.checked(words.number(1)), "Descriptors the service asks the system for.", "3.4: 3.1"),
    _one(
        "force-cfg-parser-pause", "<time>", words.checked(words.duration()), "Waits while reading the configuration; for tests.", "3.2: 3.1"
    ),
    _one("gid", "<number>", words.identity("group"), "Group that processes change to, by number."),
    _one("grace", "<time>", words.time("grace"), "Time between SIGUSR1 and the end of accepting."),
    _one("group", "<name>", words.identity("group"), "Group that processes change to."),
    _one("hard-stop-after", "<time>", words.time("hard_stop_after"), "The longest time that an old generation or a soft stop may take."),
    _one(
        "close-spread-time", "<time>|infinite", words.close_spread_time, "Idle connections are closed spread over this time at a soft stop."
    ),
    _row("h1-accept-payload-with-any-method", "", words.switch, "Accepts bodies in HTTP/1.0 GET, HEAD and DELETE requests."),
    _row("h1-case-adjust", "<from> <to>", words.h1_case_adjust, "How a field name is written towards peers that insist on capitals.", 2, 2),
    _one("h1-case-adjust-file", "<file>", words.extra, "A file of such pairs, two names per line."),
    _row(
        "h1-do-not-close-on-insecure-transfer-encoding",
        "",
        words.switch,
        "Keeps the connection after a request with both lengths.",
        manual="3.2: 3.1",
    ),
    _one(
        "harden.reject-privileged-ports.tcp",
        "[on|off]",
        words.checked(words.choice("on", "off")),
        "Refuses clients whose source port is below 1024.",
        "2.7: 3.1",
    ),
    _row("insecure-fork-wanted", "", words.switch, "HAProxy's permission to fork; workers here never do.", no=True),
    _row("insecure-setuid-wanted", "", words.switch, "Leaves setuid programs usable for children.", no=True),
    _one("localpeer", "<name>", words.localpeer, "Name of this machine among peers."),
    _row(
        "log",
        "<target> [len <length>] [format <format>] [sample <ranges>:<size>] <facility> [<level> [<minlevel>]]",
        words.log,
        "Where messages of the processes, and of proxies with `log global`, go.",
        0,
        _ANY,
        no=True,
    ),
    _row("log-send-hostname", "[<name>]", words.log_send_hostname, "Puts a host name into log messages.", 0, 1),
    _one("log-tag", "<text>", words.text("log_tag", "a tag"), "Program name in log messages.", default="usher"),
    _row("master-worker", "[no-exit-on-failure]", words.master_worker, "Runs under a master, as -W; here there always is one.", 0, 1),
    _one("mworker-max-reloads", "<number>", words.checked(words.number()), "Reloads that an old generation may outlive."),
    _one("node", "<name>", words.node, "Name of this machine in statistics."),
    _one("pidfile", "<file>", words.once(words.text("pidfile", "a file name")), "File with the number of the started process, as -p."),
    _row("pp2-never-send-local", "", words.switch, "Health checks send PROXY headers as for clients, for servers that do not know LOCAL."),
    _row(
        "presetenv",
        "<name> <value>",
        words.set_environment(overwrite=False),
        "Sets a variable for the lines below unless it exists.",
        0,
        _ANY,
    ),
    _row("setenv", "<name> <value>", words.set_environment(overwrite=True), "Sets a variable for the lines below.", 0, _ANY),
    _row("unsetenv", "<name> […]", words.unset_environment, "Removes variables for the lines below.", 0, _ANY),
    _row("resetenv", "[<name> …]", words.reset_environment, "Removes every variable but those named.", 0, _ANY),
    _one("server-state-base", "<directory>", words.extra, "Where relative names of state files start."),
    _one("server-state-file", "<file>", words.extra, "File from which the states of servers are taken at the start."),
    _row("set-dumpable", "[on|off|libs]", words.switch, "Leaves memory dumps possible after the change of user.", 0, 1, no=True),
    _row("set-var", "<name> <expression>", words.variable, "Sets a proc. variable at the start.", 2, _ANY),
    _row("set-var-fmt", "<name> <format>", words.variable, "Sets a proc. variable at the start, from a log-format.", 2, 2),
    _row(
        "setcap",
        "<name>[,…]",
        words.setcap,
        "Capabilities kept after the change of user: cap_net_bind_service, cap_net_raw, cap_net_admin.",
        1,
        1,
        "2.9: 3.1",
    ),
    _one("stats-file", "<file>", words.extra, "File with counters to start from.", "3.0: 3.1"),
    _row(
        "stats socket",
        "<address> [level <level>] [mode <mode>] [expose-fd listeners] […]",
        parse_stats_socket,
        "A socket for operators' commands.",
        0,
        _ANY,
    ),
    _one("stats timeout", "<time>", parse_stats_timeout, "Idle time on such a socket.", default="10s"),
    _one("stats maxconn", "<number>", parse_stats_maxconn, "Operators connected at one time.", default="10"),
    _row("strict-limits", "", words.switch, "Refuses to start when descriptor limits cannot be set.", no=True, default="on"),
    _one("uid", "<number>", words.identity("user"), "User that processes change to, by number."),
    _one("user", "<name>", words.identity("user"), "User that processes change to."),
    _one("ulimit-n", "<number>", words.once(words.checked(words.number(1))), "Descriptors per process.", default="from maxconn"),
    _row(
        "unix-bind",
        "[prefix <path>] [mode <mode>] [user <name>] [uid <uid>] [group <name>] [gid <gid>]",
        words.unix_bind,
        "Presets of unix sockets on bind lines.",
        0,
        _ANY,
    ),
    _one(
        "warn-blocked-traffic-after",
        "<time>",
        words.checked(words.duration()),
        "How long a worker may hang before a warning is logged.",
        "3.1: 3.1",
    ),
)

_TLS: tuple[Keyword[SectionParser], ...] = (
    _one("issuers-chain-path", "<directory>", words.extra, "Certificates that complete chains which a crt file lacks."),
    _one("ssl-default-bind-ciphers", "<ciphers>", words.ssl_default("bind", "ciphers"), "`ciphers` of bind lines without."),
    _one(
        "ssl-default-bind-ciphersuites",
        "<ciphersuites>",
        words.ssl_default("bind", "ciphersuites"),
        "`ciphersuites` of bind lines without.",
    ),
    _one("ssl-default-bind-curves", "<curves>", words.ssl_default("bind", "curves"), "`curves` of bind lines without."),
    _one("ssl-default-bind-sigalgs", "<algorithms>", words.ssl_default("bind", "sigalgs"), "`sigalgs` of bind lines without.", "2.8: 3.1"),
    _one(
        "ssl-default-bind-client-sigalgs",
        "<algorithms>",
        words.ssl_default("bind", "client_sigalgs"),
        "`client-sigalgs` of bind lines without.",
        "2.8: 3.1",
    ),
    _row(
        "ssl-default-bind-options",
        "[<option>…]",
        words.ssl_default_bind_options,
        "Versions, tickets and preferences for all bind lines.",
        1,
        _ANY,
    ),
    _one("ssl-default-server-ciphers", "<ciphers>", words.ssl_default("server", "ciphers"), "`ciphers` of server lines without."),
    _one(
        "ssl-default-server-ciphersuites",
        "<ciphersuites>",
        words.ssl_default("server", "ciphersuites"),
        "`ciphersuites` of server lines without.",
    ),
    _one("ssl-default-server-curves", "<curves>", words.ssl_default("server", "curves"), "`curves` of server lines without.", "2.9: 3.1"),
    _one(
        "ssl-default-server-sigalgs",
        "<algorithms>",
        words.ssl_default("server", "sigalgs"),
        "`sigalgs` of server lines without.",
        "2.9: 3.1",
    ),
    _one(
        "ssl-default-server-client-sigalgs",
        "<algorithms>",
        words.ssl_default("server", "client_sigalgs"),
        "`client-sigalgs` of server lines without.",
        "2.9: 3.1",
    ),
    _row(
        "ssl-default-server-options",
        "[<option>…]",
        words.ssl_default_server_options,
        "Versions, tickets and reuse for all server lines.",
        1,
        _ANY,
    ),
    _one("ssl-dh-param-file", "<file>", words.extra, "Parameters for DHE ciphers of TLS 1.2."),
    _row("ssl-load-extra-del-ext", "", words.switch, "Looks for FILE.key beside FILE.crt instead of FILE.crt.key."),
    _row(
        "ssl-load-extra-files",
        "[none|all|bundle|sctl|ocsp|issuer|key …]",
        words.extra_files,
        "Which files beside a certificate are looked for.",
        1,
        _ANY,
        default="all",
    ),
    _one("ssl-security-level", "<0..5>", words.checked(words.number(0, 5)), "OpenSSL's security level.", "3.1: 3.1"),
    _one("ssl-server-verify", "[none|required]", words.ssl_server_verify, "`verify` of server lines without.", default="required"),
    _row("ssl-skip-self-issued-ca", "", words.switch, "Does not send self-signed roots to clients."),
    _one(
        "tune.ssl.cachesize",
        "<number>",
        words.tune(words.number()),
        "Sessions kept for resumption without tickets; 0 turns it off.",
        "3.2",
        default="20000",
    ),
    _one(
        "tune.ssl.capture-buffer-size",
        "<number>",
        words.tune(words.number()),
        "Bytes of the client's hello kept for the fetches about it.",
        "3.2",
        default="0",
    ),
    _one("tune.ssl.capture-cipherlist-size", "<number>", words.tune(words.number()), "Older name of tune.ssl.capture-buffer-size.", "3.2"),
    _one(
        "tune.ssl.default-dh-param",
        "<number>",
        words.tune(words.number(1024, 16384)),
        "Bits of DH parameters where none are given.",
        "3.2",
        default="2048",
    ),
    _one(
        "tune.ssl.hard-maxrecord",
        "<number>",
        words.tune(words.number(0, 16384)),
        "The most bytes in one TLS record.",
        "3.2",
        default="0: no limit",
    ),
    _one(
        "tune.ssl.keylog",
        "[on|off]",
        words.tune(words.choice("on", "off")),
        "Keeps TLS secrets for the fetches that show them; for debugging.",
        "3.2",
        default="off",
    ),
    _one(
        "tune.ssl.lifetime",
        "<time>",
        words.tune(words.duration("s")),
        "How long a session may be resumed; a bare number counts in seconds.",
        "3.2",
        default="300",
    ),
    _one(
        "tune.ssl.maxrecord",
        "<number>",
        words.tune(words.number(0, 16384)),
        "Bytes per TLS record at the start of an answer.",
        "3.2",
        default="0: no limit",
    ),
)

_LIMITS: tuple[Keyword[SectionParser], ...] = (
    _one(
        "maxconn",
        "<number>",
        words.once(words.integer("maxconn", least=1)),
        "Connections at one time, over all processes.",
        "3.2",
        default="from the descriptors",
    ),
    _one("maxconnrate", "<number>", words.integer("maxconnrate"), "New connections per second.", "3.2", default="0: no limit"),
    _one("maxpipes", "<number>", words.checked(words.number()), "Pipes for splicing at one time.", "3.2", default="maxconn / 4"),
    _one("maxsessrate", "<number>", words.integer("maxsessrate"), "New sessions per second.", "3.2", default="0: no limit"),
    _one("maxsslconn", "<number>", words.integer("maxsslconn"), "TLS connections at one time.", "3.2", default="0: no limit"),
    _one("maxsslrate", "<number>", words.integer("maxsslrate"), "New TLS handshakes per second.", "3.2", default="0: no limit"),
    _one("max-spread-checks", "<time>", words.checked(words.duration()), "The first probes are spread over at most this time.", "3.2"),
    _one(
        "spread-checks",
        "<0..50>",
        words.checked(words.number(0, 50)),
        "Percentage by which the time between probes varies.",
        "3.2",
        default="0",
    ),
    _one(
        "external-check",
        "…",
        words.extra,
        "Not available here.",
        status=Status.REFUSED,
        instead="Programs are never run as checks: use tcp-check or http-check.",
    ),
    _row("nosplice", "", words.switch, "Copies instead of splicing.", manual="3.2"),
    _row("noreuseport", "", words.switch, "Does not set SO_REUSEPORT; then only one dispatcher is possible.", manual="3.2"),
    _row("quiet", "", words.switch, "Prints nothing at the start, as -q.", manual="3.3"),
    _row("zero-warning", "", words.switch, "Refuses a file with warnings, as -dW.", manual="3.3"),
    _one(
        "tune.bufsize",
        "<size>",
        words.size("bufsize", least=BUFSIZE_MIN, most=BUFSIZE_MAX),
        "Bytes of a buffer: the largest head, less tune.maxrewrite.",
        "3.2",
        default="16384",
    ),
    _one(
        "tune.maxrewrite",
        "<size>",
        words.size("maxrewrite", most=BUFSIZE_MAX),
        "Bytes of a buffer kept free for added fields.",
        "3.2",
        default="1024",
    ),
    _one(
        "tune.http.maxhdr", "<number>", words.integer("max_headers", least=1, most=HEADERS_MAX), "Fields of a head.", "3.2", default="101"
    ),
    _one("tune.http.cookielen", "<number>", words.tune(words.number()), "Longest captured cookie.", "3.2", default="63"),
    _one("tune.http.logurilen", "<number>", words.tune(words.number()), "Longest target in logs.", "3.2", default="1024"),
    _one(
        "tune.maxaccept", "<number>", words.integer("maxaccept", least=-1), "Connections accepted in one go; -1: all.", "3.2", default="4"
    ),
    _one(
        "tune.idletimer",
        "<time>",
        words.tune(words.duration()),
        "Pause after which an answer counts as new for tune.ssl.maxrecord.",
        "3.2",
        default="1s",
    ),
    _one("tune.pipesize", "<size>", words.tune(words.byte_size()), "Size of pipes for splicing.", "3.2", default="the kernel's"),
    _one("tune.rcvbuf.client", "<size>", words.tune(words.byte_size()), "Kernel receive buffer of clients' sockets.", "3.2"),
    _one("tune.rcvbuf.server", "<size>", words.tune(words.byte_size()), "Kernel receive buffer of servers' sockets.", "3.2"),
    _one("tune.sndbuf.client", "<size>", words.tune(words.byte_size()), "Kernel send buffer of clients' sockets.", "3.2"),
    _one("tune.sndbuf.server", "<size>", words.tune(words.byte_size()), "Kernel send buffer of servers' sockets.", "3.2"),
    _one(
        "tune.notsent-lowat.client", "<size>", words.tune(words.byte_size()), "Unsent bytes that the kernel holds for a client.", "2.9: 3.2"
    ),
    _one(
        "tune.notsent-lowat.server", "<size>", words.tune(words.byte_size()), "Unsent bytes that the kernel holds for a server.", "2.9: 3.2"
    ),
    _one(
        "tune.pattern.cache-size",
        "<number>",
        words.tune(words.number()),
        "Results of pattern searches that are remembered.",
        "3.2",
        default="10000",
    ),
    _one(
        "tune.stick-counters", "<number>", words.tune(words.number(0, 100)), "Tables that one session can track.", "2.8: 3.2", default="3"
    ),
    _one(
        "tune.max-checks-per-thread",
        "<number>",
        words.tune(words.number()),
        "Probes under way at one time.",
        "3.0: 3.2",
        default="0: no limit",
    ),
    _one(
        "tune.max-rules-at-once",
        "<number>",
        words.tune(words.number()),
        "Rules run before others get their turn.",
        "3.1: 3.2",
        default="100",
    ),
    _one(
        "tune.disable-fast-forward",
        "",
        words.switch,
        "Copies between sockets instead of forwarding.",
        "2.9: 3.2",
        status=Status.NOTICED,
        instead="Use nosplice.",
    ),
    *(
        _one(
            f"tune.vars.{scope}-max-size",
            "<size>",
            words.tune(words.byte_size()),
            f"Memory for variables of scope {scope}.",
            "3.2",
            default="no limit",
        )
        for scope in ("global", "proc", "sess", "txn", "reqres")
    ),
    _one(
        "tune.h1.zero-copy-fwd-recv",
        "[on|off]",
        words.tune(words.choice("on", "off")),
        "Receives into the buffer that is sent from.",
        "2.9: 3.2",
        default="on",
    ),
    _one(
        "tune.h1.zero-copy-fwd-send",
        "[on|off]",
        words.tune(words.choice("on", "off")),
        "Sends from the buffer received into.",
        "2.9: 3.2",
        default="on",
    ),
    _one(
        "tune.takeover-other-tg-connections",
        "…",
        words.extra,
        "Accepted, without effect.",
        "3.2: 3.2",
        status=Status.NOTICED,
        instead="There are no thread groups.",
    ),
    _ours(
        "tune.dispatch.handshake-cost",
        "<number>",
        words.tune(words.number(0, 1000)),
        "Connections that one handshake under way counts as when a worker is chosen.",
        default="4",
    ),
    _ours(
        "tune.dispatch.handshake-deadline",
        "<time>",
        words.tune(words.duration()),
        "A client that waited longer for its handshake is refused instead of served too late.",
        default="timeout client-hs, else 10s",
    ),
    _ours(
        "tune.handshakes-per-turn",
        "<number>",
        words.tune(words.number(1, 1000)),
        "Handshakes a worker does before it turns to its established sessions.",
        default="4",
    ),
    _ours(
        "tune.worker.hang-timeout",
        "<time>",
        words.tune(words.duration()),
        "A worker that shows no sign of life for so long is killed and restarted.",
        default="30s",
    ),
    _ours(
        "tune.retry.body-size",
        "<size>",
        words.tune(words.byte_size()),
        "Largest request body kept for sending it again.",
        default="tune.bufsize",
    ),
    _ours(
        "tune.killer-window",
        "<time>",
        words.tune(words.duration()),
        "How long a request that was under way when a worker died is remembered.",
        default="5m",
    ),
    _ours("tune.ssl.ticket-rotation", "<time>", words.tune(words.duration()), "Time after which new tickets get a new key.", default="12h"),
)

_THREADS = "A process has one thread here; use workers N."
_MEMORY = "Memory is managed by the runtime here; remove it."
_POLL = "The only event system here is epoll; remove it."
_H2 = "HTTP/2 is not spoken yet; remove it."
_QUIC = "QUIC is not spoken; remove it."
_LUA = "There is no Lua here; remove it."
_COMPRESSION = "Bodies are not compressed here; let the servers do it."

_NOTICES: tuple[Keyword[SectionParser], ...] = (
    *(
        _noticed(name, _THREADS, "3.1")
        for name in (
            "nbthread",
            "thread-groups",
            "thread-group",
            "cpu-affinity",
            "cpu-policy",
            "cpu-set",
            "thread-hard-limit",
            "max-threads-per-group",
        )
    ),
    _noticed("numa-cpu-mapping", "Use cpu-map for exact placement.", "3.1", no=True),
    _noticed("stats bind-process", "Every worker's numbers are summed; remove it.", "3.1"),
    _noticed("busy-polling", "Workers sleep when nothing is to be done; remove it.", no=True),
    _noticed("no-memory-trimming", _MEMORY),
    *(_noticed(name, _POLL) for name in ("noepoll", "noevports", "nokqueue", "nopoll")),
    _noticed("nogetaddrinfo", "Names are always resolved with getaddrinfo; remove it."),
    *(_noticed(name, "Use py-spy or perf; remove it.") for name in ("profiling.memory", "profiling.tasks")),
    *(
        _noticed(name, _COMPRESSION)
        for name in ("maxcompcpuusage", "maxcomprate", "maxzlibmem", "tune.comp.maxlevel", "tune.zlib.memlevel", "tune.zlib.windowsize")
    ),
    *(
        _noticed(name, _MEMORY)
        for name in (
            *(
                "tune.buffers.limit",
                "tune.buffers.reserve",
                "tune.fail-alloc",
                "tune.memory.hot-size",
                "tune.pool-high-fd-ratio",
                "tune.pool-low-fd-ratio",
            ),
            *("tune.glitches.kill.cpu-usage", "tune.bufsize.small", "tune.bufsize.large", "tune.renice.runtime", "tune.renice.startup"),
        )
    ),
    *(
        _noticed(name, _POLL)
        for name in (
            "tune.fd.edge-triggered",
            "tune.maxpollevents",
            "tune.recv_enough",
            "tune.epoll.mask-events",
            "tune.runqueue-depth",
            "tune.sched.low-latency",
        )
    ),
    *(
        _noticed(name, _THREADS)
        for name in (
            "tune.listener.multi-queue",
            "tune.listener.default-shards",
            "tune.idle-pool.shared",
            "tune.ring.queues",
            "tune.applet.zero-copy-forwarding",
        )
    ),
    *(
        _noticed(f"tune.h2.{name}", _H2)
        for name in (
            *("header-table-size", "initial-window-size", "max-concurrent-streams", "max-frame-size", "log-errors", "zero-copy-fwd-send"),
            *("be.glitches-threshold", "be.initial-window-size", "be.max-concurrent-streams", "be.rxbuf", "be.max-frames-at-once"),
            *("fe.glitches-threshold", "fe.initial-window-size", "fe.max-concurrent-streams", "fe.max-total-streams", "fe.rxbuf"),
            *("fe.max-frames-at-once", "fe.max-rst-at-once"),
        )
    ),
    _noticed("h2-workaround-bogus-websocket-clients", _H2, "3.1", no=True),
    *(
        _noticed(f"tune.quic.{name}", _QUIC)
        for name in (
            *(
                "frontend.conn-tx-buffers.limit",
                "frontend.max-idle-timeout",
                "frontend.max-streams-bidi",
                "frontend.max-tx-mem",
                "retry-threshold",
            ),
            *(
                "cc-hystart",
                "cc.cubic.min-losses",
                "disable-tx-pacing",
                "disable-udp-gso",
                "max-frame-loss",
                "reorder-ratio",
                "socket-owner",
                "zero-copy-fwd-send",
            ),
            *(
                "frontend.default-max-window-size",
                "frontend.glitches-threshold",
                "frontend.max-data-size",
                "fe.cc.max-win-size",
                "fe.max-idle-timeout",
                "fe.sock-per-conn",
            ),
            *(
                "fe.stream.max-concurrent",
                "fe.stream.rxbuf",
                "fe.tx.pacing",
                "fe.tx.udp-gso",
                "fe.sec.glitches-threshold",
                "fe.sec.retry-threshold",
                "listen",
            ),
        )
    ),
    _noticed("no-quic", _QUIC),
    *(
        _noticed(f"tune.lua.{name}", _LUA)
        for name in (
            "forced-yield",
            "maxmem",
            "service-timeout",
            "session-timeout",
            "task-timeout",
            "burst-timeout",
            "log.loggers",
            "log.stderr",
            "bool-sample-conversion",
        )
    ),
    *(_noticed(f"tune.peers.{name}", "Tables are shared by all workers of the host; remove it.") for name in ("max-updates-at-once",)),
    _noticed("tune.ssl.force-private-cache", "Tickets make sessions resumable at every worker; remove it."),
    _noticed("tune.ssl.ssl-ctx-cache-size", "Certificates are never generated; remove it."),
    *(
        _noticed(name, "Staples are read from files; remove it.")
        for name in ("tune.ssl.ocsp-update.maxdelay", "tune.ssl.ocsp-update.mindelay")
    ),
    _noticed("tune.events.max-events-at-once", _MEMORY),
    _noticed("anonkey", "Dumps are not anonymised; remove it.", "3.1"),
    _noticed("cluster-secret", "It belongs to QUIC; remove it.", "3.1"),
    _noticed("limited-quic", _QUIC, "3.1"),
    _noticed("prealloc-fd", _MEMORY, "3.1"),
    _noticed("shm-stats-file", "Counters are always shared between processes and kept over reloads; remove it.", "3.1"),
    _noticed("shm-stats-file-max-objects", "Counters are always shared between processes; remove it.", "3.1"),
    _noticed("dns-accept-family", "Use resolve-prefer on server lines.", "3.1"),
    _noticed("ssl-mode-async", "Handshakes never stop the others here; remove it."),
    _noticed("ssl-passphrase-cmd", "Encrypted keys are refused: store the key decrypted and readable by root only.", "3.1"),
)

_REFUSALS: tuple[Keyword[SectionParser], ...] = (
    *(
        _refused(name, "Device detection is not available: let the servers do it.")
        for name in (
            *("51degrees-data-file", "51degrees-property-name-list", "51degrees-property-separator", "51degrees-cache-size"),
            *(
                "51degrees-use-performance-graph",
                "51degrees-use-predictive-graph",
                "51degrees-drift",
                "51degrees-difference",
                "51degrees-allow-unmatched",
            ),
            *("deviceatlas-json-file", "deviceatlas-log-level", "deviceatlas-properties-cookie", "deviceatlas-separator"),
            *("wurfl-cache-size", "wurfl-data-file", "wurfl-information-list", "wurfl-information-list-separator", "wurfl-patch-file"),
        )
    ),
    *(
        _refused(name, "Lua is not available: express it with rules, or do it in a server.")
        for name in ("lua-load", "lua-load-per-thread", "lua-prepend-path")
    ),
    *(
        _refused(f"httpclient.{name}", "There is no HTTP client for scripts: remove it.")
        for name in ("resolvers.disabled", "resolvers.id", "resolvers.prefer", "retries", "ssl.ca-file", "ssl.verify", "timeout.connect")
    ),
    _refused("ssl-engine", "Engines are gone from OpenSSL: remove it."),
    *(
        _refused(name, "Set it in the OpenSSL configuration file instead.")
        for name in ("ssl-propquery", "ssl-provider", "ssl-provider-path")
    ),
    _refused("ocsp-update.disable", "Staples are read from files: remove it."),
    _refused("ocsp-update.httpproxy", "Staples are read from files: remove it."),
    _refused("ocsp-update.maxdelay", "Staples are read from files: remove it."),
    _refused("ocsp-update.mindelay", "Staples are read from files: remove it."),
    _refused("ocsp-update.mode", "Staples are read from files: remove it."),
    _refused("acme.scheduler", "Certificates are renewed by your ACME client, which then calls `set ssl cert`."),
)

ROWS: tuple[Keyword[SectionParser], ...] = (*_PROCESS, *_TLS, *_LIMITS, *_NOTICES, *_REFUSALS)
