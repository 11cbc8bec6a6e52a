"""Rows of section global that have no function here: tuning words, accepted with a notice, and functions that are refused.

Sans-io.
Source: HAProxy configuration manual 3.1, 3.2.
"""

from __future__ import annotations

from common.config.global_rows import noticed, refused
from common.config.keywords import Keyword
from common.config.proxy_words import SectionParser

_THREADS = "A process has one thread here; use workers N."
_MEMORY = "Memory is managed by the runtime here; remove it."
_POLL = "The only event system here is epoll; remove it."
_H2 = "HTTP/2 is not spoken yet; remove it."
_QUIC = "QUIC is not spoken; remove it."
_LUA = "There is no Lua here; remove it."
_COMPRESSION = "Bodies are not compressed here; let the servers do it."

_NOTICES: tuple[Keyword[SectionParser], ...] = (
    *(
        noticed(name, _THREADS, "3.1")
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
    noticed("numa-cpu-mapping", "Use cpu-map for exact placement.", "3.1", no=True),
    noticed("stats bind-process", "Every worker's numbers are summed; remove it.", "3.1"),
    noticed("busy-polling", "Workers sleep when nothing is to be done; remove it.", no=True),
    noticed("no-memory-trimming", _MEMORY),
    *(noticed(name, _POLL) for name in ("noepoll", "noevports", "nokqueue", "nopoll")),
    noticed("nogetaddrinfo", "Names are always resolved with getaddrinfo; remove it."),
    *(noticed(name, "Use py-spy or perf; remove it.") for name in ("profiling.memory", "profiling.tasks")),
    *(
        noticed(name, _COMPRESSION)
        for name in ("maxcompcpuusage", "maxcomprate", "maxzlibmem", "tune.comp.maxlevel", "tune.zlib.memlevel", "tune.zlib.windowsize")
    ),
    *(
        noticed(name, _MEMORY)
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
        noticed(name, _POLL)
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
        noticed(name, _THREADS)
        for name in (
            "tune.listener.multi-queue",
            "tune.listener.default-shards",
            "tune.idle-pool.shared",
            "tune.ring.queues",
            "tune.applet.zero-copy-forwarding",
        )
    ),
    *(
        noticed(f"tune.h2.{name}", _H2)
        for name in (
            *("header-table-size", "initial-window-size", "max-concurrent-streams", "max-frame-size", "log-errors", "zero-copy-fwd-send"),
            *("be.glitches-threshold", "be.initial-window-size", "be.max-concurrent-streams", "be.rxbuf", "be.max-frames-at-once"),
            *("fe.glitches-threshold", "fe.initial-window-size", "fe.max-concurrent-streams", "fe.max-total-streams", "fe.rxbuf"),
            *("fe.max-frames-at-once", "fe.max-rst-at-once"),
        )
    ),
    noticed("h2-workaround-bogus-websocket-clients", _H2, "3.1", no=True),
    *(
        noticed(f"tune.quic.{name}", _QUIC)
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
    noticed("no-quic", _QUIC),
    *(
        noticed(f"tune.lua.{name}", _LUA)
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
    *(noticed(f"tune.peers.{name}", "Tables are shared by all workers of the host; remove it.") for name in ("max-updates-at-once",)),
    noticed("tune.ssl.force-private-cache", "Tickets make sessions resumable at every worker; remove it."),
    noticed("tune.ssl.ssl-ctx-cache-size", "Certificates are never generated; remove it."),
    *(
        noticed(name, "Staples are read from files; remove it.")
        for name in ("tune.ssl.ocsp-update.maxdelay", "tune.ssl.ocsp-update.mindelay")
    ),
    noticed("tune.events.max-events-at-once", _MEMORY),
    noticed("anonkey", "Dumps are not anonymised; remove it.", "3.1"),
    noticed("cluster-secret", "It belongs to QUIC; remove it.", "3.1"),
    noticed("limited-quic", _QUIC, "3.1"),
    noticed("prealloc-fd", _MEMORY, "3.1"),
    noticed("shm-stats-file", "Counters are always shared between processes and kept over reloads; remove it.", "3.1"),
    noticed("shm-stats-file-max-objects", "Counters are always shared between processes; remove it.", "3.1"),
    noticed("dns-accept-family", "Use resolve-prefer on server lines.", "3.1"),
    noticed("ssl-mode-async", "Handshakes never stop the others here; remove it."),
    *(
        noticed(f"httpclient.{name}", "There is no HTTP client for scripts; remove it.", "3.1")
        for name in ("resolvers.disabled", "resolvers.id", "resolvers.prefer", "retries", "ssl.ca-file", "ssl.verify", "timeout.connect")
    ),
    *(
        noticed(f"ocsp-update.{name}", "Staples are read from files; remove it.", "3.1")
        for name in ("disable", "httpproxy", "maxdelay", "mindelay", "mode")
    ),
    noticed("acme.scheduler", "Your ACME client renews certificates and calls `set ssl cert`; remove it.", "3.1"),
    noticed("external-check", "Programs are never run as checks; remove it.", "3.1"),
    noticed("ssl-passphrase-cmd", "Encrypted keys are refused: store the key decrypted and readable by root only.", "3.1"),
)

_REFUSALS: tuple[Keyword[SectionParser], ...] = (
    *(
        refused(name, "Device detection is not available: let the servers do it.")
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
        refused(name, "Lua is not available: express it with rules, or do it in a server.")
        for name in ("lua-load", "lua-load-per-thread", "lua-prepend-path")
    ),
    refused("ssl-engine", "Engines are gone from OpenSSL: remove it."),
    *(
        refused(name, "Set it in the OpenSSL configuration file instead.")
        for name in ("ssl-propquery", "ssl-provider", "ssl-provider-path")
    ),
)

ROWS: tuple[Keyword[SectionParser], ...] = (*_NOTICES, *_REFUSALS)
