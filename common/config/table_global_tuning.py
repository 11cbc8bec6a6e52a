"""Rows of section global: limits and tuning.

Sans-io.
Source: HAProxy configuration manual 3.2, 3.3.
"""

from __future__ import annotations

from common.config import global_words as words
from common.config.global_rows import one, ours, row
from common.config.keywords import Keyword, Status
from common.config.proxy_words import SectionParser

BUFSIZE_MIN, BUFSIZE_MAX = 1024, 1 << 28
HEADERS_MAX = 32767

ROWS: tuple[Keyword[SectionParser], ...] = (
    one(
        "maxconn",
        "<number>",
        words.once(words.integer("maxconn", least=1)),
        "Connections at one time, over all processes.",
        "3.2",
        default="from the descriptors",
    ),
    one("maxconnrate", "<number>", words.integer("maxconnrate"), "New connections per second.", "3.2", default="0: no limit"),
    one("maxpipes", "<number>", words.checked(words.number()), "Pipes for splicing at one time.", "3.2", default="maxconn / 4"),
    one("maxsessrate", "<number>", words.integer("maxsessrate"), "New sessions per second.", "3.2", default="0: no limit"),
    one("maxsslconn", "<number>", words.integer("maxsslconn"), "TLS connections at one time.", "3.2", default="0: no limit"),
    one("maxsslrate", "<number>", words.integer("maxsslrate"), "New TLS handshakes per second.", "3.2", default="0: no limit"),
    one("max-spread-checks", "<time>", words.checked(words.duration()), "The first probes are spread over at most this time.", "3.2"),
    one(
        "spread-checks",
        "<0..50>",
        words.checked(words.number(0, 50)),
        "Percentage by which the time between probes varies.",
        "3.2",
        default="0",
    ),
    row("nosplice", "", words.switch, "Copies instead of splicing.", manual="3.2"),
    row("noreuseport", "", words.switch, "Does not set SO_REUSEPORT; then only one dispatcher is possible.", manual="3.2"),
    row("quiet", "", words.switch, "Prints nothing at the start, as -q.", manual="3.3"),
    row("zero-warning", "", words.switch, "Refuses a file with warnings, as -dW.", manual="3.3"),
    one(
        "tune.bufsize",
        "<size>",
        words.size("bufsize", least=BUFSIZE_MIN, most=BUFSIZE_MAX),
        "Bytes of a buffer: the largest head, less tune.maxrewrite.",
        "3.2",
        default="16384",
    ),
    one(
        "tune.maxrewrite",
        "<size>",
        words.size("maxrewrite", most=BUFSIZE_MAX),
        "Bytes of a buffer kept free for added fields.",
        "3.2",
        default="1024",
    ),
    one("tune.http.maxhdr", "<number>", words.integer("max_headers", least=1, most=HEADERS_MAX), "Fields of a head.", "3.2", default="101"),
    one("tune.http.cookielen", "<number>", words.tune(words.number()), "Longest captured cookie.", "3.2", default="63"),
    one("tune.http.logurilen", "<number>", words.tune(words.number()), "Longest target in logs.", "3.2", default="1024"),
    one("tune.maxaccept", "<number>", words.integer("maxaccept", least=-1), "Connections accepted in one go; -1: all.", "3.2", default="4"),
    one(
        "tune.idletimer",
        "<time>",
        words.tune(words.duration()),
        "Pause after which an answer counts as new for tune.ssl.maxrecord.",
        "3.2",
        default="1s",
    ),
    one("tune.pipesize", "<size>", words.tune(words.byte_size()), "Size of pipes for splicing.", "3.2", default="the kernel's"),
    one("tune.rcvbuf.client", "<size>", words.tune(words.byte_size()), "Kernel receive buffer of clients' sockets.", "3.2"),
    one("tune.rcvbuf.server", "<size>", words.tune(words.byte_size()), "Kernel receive buffer of servers' sockets.", "3.2"),
    one("tune.sndbuf.client", "<size>", words.tune(words.byte_size()), "Kernel send buffer of clients' sockets.", "3.2"),
    one("tune.sndbuf.server", "<size>", words.tune(words.byte_size()), "Kernel send buffer of servers' sockets.", "3.2"),
    one(
        "tune.notsent-lowat.client", "<size>", words.tune(words.byte_size()), "Unsent bytes that the kernel holds for a client.", "2.9: 3.2"
    ),
    one(
        "tune.notsent-lowat.server", "<size>", words.tune(words.byte_size()), "Unsent bytes that the kernel holds for a server.", "2.9: 3.2"
    ),
    one(
        "tune.pattern.cache-size",
        "<number>",
        words.tune(words.number()),
        "Results of pattern searches that are remembered.",
        "3.2",
        default="10000",
    ),
    one("tune.stick-counters", "<number>", words.tune(words.number(0, 100)), "Tables that one session can track.", "2.8: 3.2", default="3"),
    one(
        "tune.max-checks-per-thread",
        "<number>",
        words.tune(words.number()),
        "Probes under way at one time.",
        "3.0: 3.2",
        default="0: no limit",
    ),
    one(
        "tune.max-rules-at-once",
        "<number>",
        words.tune(words.number()),
        "Rules run before others get their turn.",
        "3.1: 3.2",
        default="100",
    ),
    one(
        "tune.disable-fast-forward",
        "",
        words.switch,
        "Copies between sockets instead of forwarding.",
        "2.9: 3.2",
        status=Status.NOTICED,
        instead="Use nosplice.",
    ),
    *(
        one(
            f"tune.vars.{scope}-max-size",
            "<size>",
            words.tune(words.byte_size()),
            f"Memory for variables of scope {scope}.",
            "3.2",
            default="no limit",
        )
        for scope in ("global", "proc", "sess", "txn", "reqres")
    ),
    one(
        "tune.h1.zero-copy-fwd-recv",
        "[on|off]",
        words.tune(words.choice("on", "off")),
        "Receives into the buffer that is sent from.",
        "2.9: 3.2",
        default="on",
    ),
    one(
        "tune.h1.zero-copy-fwd-send",
        "[on|off]",
        words.tune(words.choice("on", "off")),
        "Sends from the buffer received into.",
        "2.9: 3.2",
        default="on",
    ),
    one(
        "tune.takeover-other-tg-connections",
        "…",
        words.extra,
        "Accepted, without effect.",
        "3.2: 3.2",
        status=Status.NOTICED,
        instead="There are no thread groups.",
    ),
    ours(
        "tune.dispatch.handshake-cost",
        "<number>",
        words.tune(words.number(0, 1000)),
        "Connections that one handshake under way counts as when a worker is chosen.",
        default="4",
    ),
    ours(
        "tune.dispatch.handshake-deadline",
        "<time>",
        words.tune(words.duration()),
        "A client that waited longer for its handshake is refused instead of served too late.",
        default="timeout client-hs, else 10s",
    ),
    ours(
        "tune.handshakes-per-turn",
        "<number>",
        words.tune(words.number(1, 1000)),
        "Handshakes a worker does before it turns to its established sessions.",
        default="4",
    ),
    ours(
        "tune.worker.hang-timeout",
        "<time>",
        words.tune(words.duration()),
        "A worker that shows no sign of life for so long is killed and restarted.",
        default="30s",
    ),
    ours(
        "tune.retry.body-size",
        "<size>",
        words.tune(words.byte_size()),
        "Largest request body kept for sending it again.",
        default="tune.bufsize",
    ),
    ours(
        "tune.killer-window",
        "<time>",
        words.tune(words.duration()),
        "How long a request that was under way when a worker died is remembered.",
        default="5m",
    ),
    ours("tune.ssl.ticket-rotation", "<time>", words.tune(words.duration()), "Time after which new tickets get a new key.", default="12h"),
)
