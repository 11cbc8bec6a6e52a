"""Rows of proxies: everything but options and rules.

Sans-io.
Source: HAProxy configuration manual 4.2.
"""

from __future__ import annotations

from typing import Any

from common.acl.environment import Where
from common.config import balance_words, error_words, stats_words
from common.config import proxy_words as words
from common.config.bind import parse_bind
from common.config.diagnostics import Severity
from common.config.keywords import BACKENDS, D_BACKENDS, D_FRONTENDS, D_PROXIES, FRONTENDS, PROXIES, Keyword, Section, Status
from common.config.proxy_words import SectionParser
from common.config.server import parse_default_server, parse_server, parse_server_template
from common.config.unused import unused


def _row(
    name: str, sections: Section, syntax: str, parse: SectionParser, meaning: str, least: int = 1, most: int | None = 1, **more: object
) -> Keyword[SectionParser]:
    more.setdefault("manual", "4.2")
    return Keyword(name, sections, f"{name} {syntax}".strip(), parse, meaning, least=least, most=most, **more)  # type: ignore[arg-type]


def _flag(name: str, sections: Section, parse: SectionParser, meaning: str, **more: object) -> Keyword[SectionParser]:
    return _row(name, sections, "", parse, meaning, 0, 0, **more)


def _timeout(name: str, sections: Section, field: str, meaning: str, default: str, **more: Any) -> Keyword[SectionParser]:
    return _row(f"timeout {name}", sections, "<time>", words.timeout(field), meaning, default=default, **more)


_TIMEOUTS: tuple[Keyword[SectionParser], ...] = (
    _timeout("client", D_FRONTENDS, "client", "Silence of a client.", "none: no limit"),
    _timeout("client-fin", D_FRONTENDS, "client_fin", "Silence of a client that has closed its side.", "timeout client"),
    _timeout("client-hs", D_FRONTENDS, "client_hs", "A client's TLS handshake.", "timeout client", manual="2.9: 4.2"),
    _timeout("connect", D_BACKENDS, "connect", "Connecting to a server.", "none: no limit"),
    _timeout("check", D_BACKENDS, "check", "A probe's answer, once connected.", "inter"),
    _timeout("http-keep-alive", D_PROXIES, "http_keep_alive", "Waiting for a client's next request.", "timeout http-request"),
    _timeout("http-request", D_PROXIES, "http_request", "A whole head of a request.", "timeout client"),
    _timeout("queue", D_BACKENDS, "queue", "Waiting for a server's free place.", "timeout connect"),
    _timeout("server", D_BACKENDS, "server", "Silence of a server.", "none: no limit"),
    _timeout("server-fin", D_BACKENDS, "server_fin", "Silence of a server after its side was closed.", "timeout server"),
    _timeout("tarpit", D_PROXIES, "tarpit", "How long a tarpitted request is held.", "timeout connect"),
    _timeout("tunnel", D_BACKENDS, "tunnel", "Silence in both directions of a tunnel.", "timeout client, timeout server"),
    _timeout(
        "request-total", D_PROXIES, "request_total", "One deadline for a request over all attempts.", "none: no limit", ours=True, manual=""
    ),
    _row(
        "timeout server-hs",
        D_BACKENDS,
        "<time>",
        unused,
        "Not available here.",
        status=Status.REFUSED,
        instead="timeout connect covers the handshake with the server.",
    ),
)

_CLIENT_SIDE: tuple[Keyword[SectionParser], ...] = (
    _row("bind", FRONTENDS, "<address>[:<port>[-<port>]][, …] [<setting> …]", parse_bind, "Where clients connect.", 0, None),
    _row(
        "backlog",
        D_FRONTENDS,
        "<number>",
        words.integer_or_unset("backlog"),
        "Length of the kernel's queue of connections not yet accepted.",
        default="maxconn",
    ),
    _row(
        "clitcpka-cnt",
        D_FRONTENDS,
        "<number>",
        words.extra_checked(words.whole_number),
        "Keep-alive probes to a client before it counts as gone.",
    ),
    _row("clitcpka-idle", D_FRONTENDS, "<time>", words.extra_checked(words.seconds), "Silence before keep-alive probes to a client start."),
    _row("clitcpka-intvl", D_FRONTENDS, "<time>", words.extra_checked(words.seconds), "Time between such probes."),
    _row("default_backend", D_FRONTENDS, "<backend>", words.default_backend, "The backend when no use_backend rule matched."),
    _row(
        "error-log-format",
        D_FRONTENDS,
        "<format>",
        words.format_of("error_log_format"),
        "Log line of connections that failed before a request.",
    ),
    _row("log-format", D_FRONTENDS, "<format>", words.format_of("log_format"), "Log line, instead of option httplog or tcplog."),
    _row("log-format-sd", D_FRONTENDS, "<format>", words.format_of("log_format_sd"), "Structured data of log lines in format rfc5424."),
    _row("log-steps", D_FRONTENDS, "all|<step>[,…]", words.log_steps, "When log lines are written.", manual="3.1: 4.2", default="close"),
    _row(
        "maxconn",
        D_FRONTENDS,
        "<number>",
        words.integer_or_unset("maxconn"),
        "Connections at one time; further ones wait in the backlog.",
        default="global maxconn",
    ),
    _row("monitor-uri", D_FRONTENDS, "<uri>", words.monitor_uri, "A request for exactly this is answered 200 by us.", mode="http"),
    _row(
        "rate-limit sessions",
        D_FRONTENDS,
        "<number>",
        words.rate_limit,
        "New sessions per second; further ones wait in the backlog.",
        default="0: no limit",
    ),
    _row(
        "unique-id-format",
        D_FRONTENDS,
        "<format>",
        words.format_of("unique_id_format", Where.REQUEST),
        "How a request's unique id is made.",
        elsewhere=Severity.NOTICE,
    ),
    _row(
        "unique-id-header",
        D_FRONTENDS,
        "<name>",
        words.text("unique_id_header", "a field name"),
        "Field that carries the unique id to the server.",
        elsewhere=Severity.NOTICE,
    ),
)

_SERVER_SIDE: tuple[Keyword[SectionParser], ...] = (
    _row(
        "balance", D_BACKENDS, "<algorithm> [<arguments>]", balance_words.balance, "How a server is chosen.", 0, None, default="roundrobin"
    ),
    _row(
        "cookie",
        D_BACKENDS,
        "<name> [rewrite|insert|prefix|rename] [indirect] [nocache] [postonly] [preserve] [httponly] [secure] [domain <domain>]* "
        "[maxidle <time>] [maxlife <time>] [dynamic] [attr <value>]*",
        balance_words.cookie,
        "A cookie keeps a client at its server; `rename` (ours) carries the server in the cookie's name.",
        0,
        None,
        mode="http",
    ),
    _row(
        "default-server",
        D_BACKENDS,
        "[<setting> …]",
        parse_default_server,
        "Settings that the servers below start from.",
        0,
        None,
        elsewhere=Severity.ALERT,
    ),
    _row("dynamic-cookie-key", D_BACKENDS, "<text>", words.extra, "Secret of dynamic cookies."),
    _row(
        "fullconn",
        D_BACKENDS,
        "<number>",
        words.integer_or_unset("fullconn"),
        "The load at which servers reach their maxconn.",
        default="a tenth of the frontends' maxconn",
    ),
    _row(
        "hash-balance-factor",
        D_BACKENDS,
        "<percent>",
        balance_words.hash_balance_factor,
        "How far a server may exceed the average before a hashed request goes on to the next.",
        default="0: no limit",
        elsewhere=Severity.NOTICE,
    ),
    _row(
        "hash-preserve-affinity",
        D_BACKENDS,
        "{always|maxconn|maxqueue}",
        words.extra_checked(words.choice("always", "maxconn", "maxqueue")),
        "When a hashed request waits for its server and when it goes to another.",
        manual="3.1: 4.2",
        default="always",
    ),
    _row(
        "hash-type",
        D_BACKENDS,
        "<method> [<function>] [<modifier>]",
        balance_words.hash_type,
        "How hashes become servers.",
        0,
        None,
        default="map-based sdbm",
    ),
    _row(
        "http-reuse",
        D_BACKENDS,
        "{never|safe|aggressive|always}",
        balance_words.http_reuse,
        "Which requests may go over a connection that others have used.",
        0,
        default="safe",
    ),
    _row(
        "http-send-name-header", D_BACKENDS, "[<name>]", words.send_name_header, "Field that tells the server its own name.", 0, mode="http"
    ),
    _row(
        "load-server-state-from-file",
        D_BACKENDS,
        "{global|local|none}",
        words.extra_checked(words.choice("global", "local", "none")),
        "Whether servers' states are taken from a file at the start.",
        default="none",
    ),
    _row(
        "max-session-srv-conns",
        D_FRONTENDS,
        "<number>",
        words.extra_checked(words.whole_number),
        "Idle server connections that one client's session keeps.",
        manual="2.0: 4.2",
        default="5",
    ),
    _row(
        "max-keep-alive-queue",
        D_BACKENDS,
        "<number>",
        words.extra_checked(words.signed_number),
        "Queue length above which a kept connection is not preferred.",
        default="-1: never",
    ),
    _row(
        "persist rdp-cookie",
        D_BACKENDS,
        "",
        balance_words.persist,
        "A Microsoft terminal server's cookie keeps a client at its server.",
        0,
        0,
        mode="tcp",
        elsewhere=Severity.NOTICE,
    ),
    _row(
        "persist rdp-cookie()",
        D_BACKENDS,
        "",
        balance_words.persist,
        "The same with another cookie name.",
        0,
        0,
        mode="tcp",
        elsewhere=Severity.NOTICE,
    ),
    _row("retries", D_BACKENDS, "<number>", words.integer("retries"), "Further attempts after a failed one.", default="3"),
    _row(
        "retry-on",
        D_BACKENDS,
        "<reason> […]",
        balance_words.retry_on,
        "Which failures are tried again.",
        1,
        None,
        elsewhere=Severity.ALERT,
        default="conn-failure",
    ),
    _row(
        "retry-budget",
        D_BACKENDS,
        "<percent>",
        words.extra_checked(words.percentage),
        "Retries per hundred requests; without retries for a while, ten may come at once.",
        ours=True,
        manual="",
        default="0: no limit",
    ),
    _row("server", BACKENDS, "<name> <address>[:<port>] [<setting> …]", parse_server, "A server.", 0, None, elsewhere=Severity.ALERT),
    _row(
        "server-template",
        BACKENDS,
        "<prefix> <count|first-last> <address>[:<port>] [<setting> …]",
        parse_server_template,
        "Several servers with one line.",
        0,
        None,
        elsewhere=Severity.ALERT,
    ),
    _row("server-state-file-name", D_BACKENDS, "[use-backend-name|<file>]", words.extra, "File of servers' states for this backend.", 0, 1),
    _row(
        "source",
        D_BACKENDS,
        "<address>[:<port>] [interface <name>]",
        words.source,
        "Address that connections to servers come from.",
        0,
        None,
    ),
    _row(
        "srvtcpka-cnt",
        D_BACKENDS,
        "<number>",
        words.extra_checked(words.whole_number),
        "Keep-alive probes to a server before it counts as gone.",
    ),
    _row("srvtcpka-idle", D_BACKENDS, "<time>", words.extra_checked(words.seconds), "Silence before keep-alive probes to a server start."),
    _row("srvtcpka-intvl", D_BACKENDS, "<time>", words.extra_checked(words.seconds), "Time between such probes."),
)

_BOTH_SIDES: tuple[Keyword[SectionParser], ...] = (
    _row("description", PROXIES, "<text>", words.description, "Shown by the statistics.", 1, None),
    _flag("disabled", D_PROXIES, words.enabled(False), "The proxy is read and checked but not started."),
    _flag("enabled", D_PROXIES, words.enabled(True), "Takes back an inherited `disabled`."),
    _row("errorfile", D_PROXIES, "<status> <file>", error_words.error_file, "The page for a status; /dev/null closes silently.", 0, None),
    _row("errorfiles", D_PROXIES, "<section> [<status> …]", error_words.error_files, "Pages of an http-errors section.", 1, None),
    _row("errorloc", D_PROXIES, "<status> <url>", error_words.error_location, "Redirects (302) instead of an error page.", 0, None),
    _row("errorloc302", D_PROXIES, "<status> <url>", error_words.error_location, "Redirects (302) instead of an error page.", 0, None),
    _row(
        "errorloc303",
        D_PROXIES,
        "<status> <url>",
        error_words.error_location,
        "Redirects (303: with GET) instead of an error page.",
        0,
        None,
    ),
    _row("guid", PROXIES, "<name>", words.guid, "Stable identifier over reloads.", manual="3.0: 4.2"),
    _row(
        "http-error",
        D_PROXIES,
        "status <status> [content-type <type>] [{default-errorfiles|errorfile <file>|errorfiles <section>|file <file>|lf-file <file>|"
        "string <text>|lf-string <format>}] [hdr <name> <format>]*",
        error_words.http_error,
        "The answer for a status, made of parts.",
        0,
        None,
    ),
    _row("id", PROXIES, "<number>", words.proxy_id, "Number of the proxy in statistics.", default="counted"),
    _row(
        "log",
        D_PROXIES,
        "global | <target> [len <length>] [format <format>] [sample <ranges>:<size>] [profile <name>] <facility> [<level> [<minlevel>]]",
        words.log,
        "Where the proxy's messages go.",
        0,
        None,
        no=True,
    ),
    _row("log-tag", D_PROXIES, "<text>", words.text("log_tag", "a tag"), "Program name in log messages.", default="global log-tag"),
    _row("mode", D_PROXIES, "{tcp|http}", words.mode, "What is spoken.", default="tcp"),
    _row(
        "stats admin",
        PROXIES,
        "{if|unless} <condition>",
        stats_words.admin,
        "Who may change servers on the statistics page.",
        0,
        None,
        mode="http",
    ),
    _row("stats auth", D_PROXIES, "<user>:<password>", stats_words.auth, "A login of the statistics page.", 0, 1, mode="http"),
    _flag("stats enable", D_PROXIES, stats_words.flag, "The statistics page at its default place.", mode="http"),
    _flag("stats hide-version", D_PROXIES, stats_words.flag, "Does not show the version on the page.", mode="http"),
    _flag("stats show-version", D_PROXIES, stats_words.flag, "Shows the version on the page.", mode="http", manual="3.0: 4.2"),
    _row(
        "stats http-request",
        PROXIES,
        "{allow|deny|auth [realm <realm>]} [{if|unless} <condition>]",
        stats_words.http_request,
        "Who may see the page.",
        1,
        None,
        mode="http",
    ),
    _row("stats realm", D_PROXIES, "<realm>", stats_words.text, "Name shown by the login dialogue.", mode="http"),
    _row("stats refresh", D_PROXIES, "<time>", stats_words.refresh, "Reloads the page this often.", mode="http"),
    _row("stats scope", D_PROXIES, "{<name>|.}", stats_words.text, "Proxies that the page shows.", mode="http"),
    _row("stats show-desc", D_PROXIES, "[<text>]", stats_words.description, "Shows a description on the page.", 0, None, mode="http"),
    _flag("stats show-legends", D_PROXIES, stats_words.flag, "Shows more by hovering.", mode="http"),
    _flag("stats show-modules", D_PROXIES, stats_words.flag, "Shows the columns of modules.", mode="http", manual="2.3: 4.2"),
    _row("stats show-node", D_PROXIES, "[<name>]", stats_words.words_kept, "Shows the machine's name on the page.", 0, 1, mode="http"),
    _row("stats uri", D_PROXIES, "<prefix>", stats_words.text, "Where the page is.", mode="http", default="/haproxy?stats"),
    _row(
        "bind-process",
        D_PROXIES,
        "…",
        unused,
        "Accepted, without effect.",
        0,
        None,
        status=Status.NOTICED,
        instead="Write process N on the bind line.",
    ),
)

ROWS: tuple[Keyword[SectionParser], ...] = (*_TIMEOUTS, *_CLIENT_SIDE, *_SERVER_SIDE, *_BOTH_SIDES)
