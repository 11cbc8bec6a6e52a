"""Rows of `option …`.

Sans-io.
Source: HAProxy configuration manual 4.2.
"""

from __future__ import annotations

from common.config import option_words as words
from common.config.keywords import D_BACKENDS, D_FRONTENDS, D_PROXIES, Keyword, Section, Status
from common.config.proxy_words import SectionParser
from common.config.unused import unused


def _switch(name: str, sections: Section, meaning: str, parse: SectionParser = words.switch, **more: object) -> Keyword[SectionParser]:
    """An option without arguments that `no` and `default` may precede."""
    return Keyword(f"option {name}", sections, f"[no] option {name}", parse, meaning, no=True, **more)  # type: ignore[arg-type]


def _option(
    name: str, sections: Section, syntax: str, parse: SectionParser, meaning: str, most: int | None = None, **more: object
) -> Keyword[SectionParser]:
    return Keyword(f"option {name}", sections, f"option {name} {syntax}".strip(), parse, meaning, most=most, **more)  # type: ignore[arg-type]


def _refused(name: str, instead: str) -> Keyword[SectionParser]:
    return Keyword(
        f"option {name}",
        D_PROXIES,
        f"option {name} …",
        unused,
        "Not available here.",
        most=None,
        no=True,
        status=Status.REFUSED,
        instead=instead,
    )


def _noticed(name: str, sections: Section, instead: str) -> Keyword[SectionParser]:
    return Keyword(
        f"option {name}",
        sections,
        f"[no] option {name}",
        unused,
        "Accepted, without effect.",
        most=None,
        no=True,
        status=Status.NOTICED,
        instead=instead,
    )


_HTTP = "http"
_CHECK_KINDS = "Replaces every other kind of check."

ROWS: tuple[Keyword[SectionParser], ...] = (
    _switch("abortonclose", D_PROXIES, "Gives a request up when its client is gone, also while it waits or connects."),
    _switch("accept-invalid-http-request", D_FRONTENDS, "Older name of accept-unsafe-violations-in-http-request.", mode=_HTTP),
    _switch("accept-invalid-http-response", D_BACKENDS, "Older name of accept-unsafe-violations-in-http-response.", mode=_HTTP),
    _switch(
        "accept-unsafe-violations-in-http-request",
        D_FRONTENDS,
        "Accepts requests that break the grammar a little, and repairs them.",
        mode=_HTTP,
        manual="3.0: 4.2",
    ),
    _switch(
        "accept-unsafe-violations-in-http-response",
        D_BACKENDS,
        "Accepts answers that break the grammar a little, and repairs them.",
        mode=_HTTP,
        manual="3.0: 4.2",
    ),
    _switch("allbackups", D_BACKENDS, "Uses all backup servers at once instead of the first."),
    _switch("checkcache", D_BACKENDS, "Refuses answers that set a cookie and may be cached.", mode=_HTTP),
    _switch("clitcpka", D_FRONTENDS, "TCP keep-alive towards clients."),
    _switch("contstats", D_FRONTENDS, "Counts bytes while they flow instead of at the end."),
    _switch("disable-h2-upgrade", D_FRONTENDS, "Does not change to HTTP/2 when its preface is seen.", mode=_HTTP),
    _switch("dontlog-normal", D_FRONTENDS, "Logs failures only."),
    _switch("dontlognull", D_FRONTENDS, "Does not log connections on which nothing came."),
    _option(
        "forwardfor",
        D_PROXIES,
        "[except <network>] [header <name>] [if-none]",
        words.forwarded_for,
        "Adds X-Forwarded-For with the client's address.",
        mode=_HTTP,
    ),
    _option(
        "forwarded",
        D_PROXIES,
        "[proto] [host|host-expr <e>] [by|by-expr <e>] [by_port|by_port-expr <e>] [for|for-expr <e>] [for_port|for_port-expr <e>]",
        words.forwarded,
        "Adds Forwarded (RFC 7239).",
        mode=_HTTP,
        no=True,
        manual="2.8: 4.2",
    ),
    _switch("h1-case-adjust-bogus-client", D_FRONTENDS, "Writes field names towards clients as h1-case-adjust says.", mode=_HTTP),
    _switch("h1-case-adjust-bogus-server", D_BACKENDS, "Writes field names towards servers as h1-case-adjust says.", mode=_HTTP),
    _switch("http-buffer-request", D_PROXIES, "Waits for the request's body before rules that look into it run.", mode=_HTTP),
    _switch("http-drop-request-trailers", D_BACKENDS, "Does not pass trailers of requests on.", mode=_HTTP, manual="3.1: 4.2"),
    _switch("http-drop-response-trailers", D_FRONTENDS, "Does not pass trailers of answers on.", mode=_HTTP, manual="3.1: 4.2"),
    _switch("http-ignore-probes", D_FRONTENDS, "Closes silently connections on which no request came.", mode=_HTTP),
    _switch("http-keep-alive", D_PROXIES, "Keeps connections on both sides.", words.connection_mode, mode=_HTTP, default="on"),
    _switch("http-no-delay", D_PROXIES, "Sends every small piece at once.", mode=_HTTP),
    _switch("http-pretend-keepalive", D_BACKENDS, "Tells servers keep-alive even when the connection will be closed.", mode=_HTTP),
    _option(
        "http-restrict-req-hdr-names",
        D_PROXIES,
        "{preserve|delete|reject}",
        words.restrict_names,
        "What happens to field names with other characters than letters, digits and '-'.",
        1,
        mode=_HTTP,
        default="preserve",
    ),
    _switch("http-server-close", D_PROXIES, "Closes the connection to the server after each answer.", words.connection_mode, mode=_HTTP),
    _switch(
        "http-strict-framing",
        D_FRONTENDS,
        "Refuses a request with both Content-Length and chunked instead of dropping the length.",
        mode=_HTTP,
        ours=True,
        manual="",
    ),
    _switch("http-use-proxy-header", D_FRONTENDS, "Reads Proxy-Connection instead of Connection.", mode=_HTTP),
    _option("httpchk", D_BACKENDS, "[<uri>] | [<method> <uri> [<version> [<host>]]]", words.http_check, "Checks with an HTTP request.", 4),
    _switch("httpclose", D_PROXIES, "Closes both connections after each answer.", words.connection_mode, mode=_HTTP),
    _option(
        "httplog",
        D_PROXIES,
        "[clf]",
        words.log_kind,
        "Logs each request in HAProxy's HTTP format, or in the web servers' common one.",
        1,
        mode=_HTTP,
    ),
    _option("httpslog", D_PROXIES, "", words.log_kind, "The HTTP format with TLS facts.", 0, mode=_HTTP),
    _switch("idle-close-on-response", D_FRONTENDS, "At a soft stop, idle clients are answered once more before the close.", mode=_HTTP),
    _switch("independent-streams", D_PROXIES, "Each direction has its own time-out."),
    _switch("independant-streams", D_PROXIES, "Old spelling of independent-streams."),
    _option("ldap-check", D_BACKENDS, "", words.check_kind, "Checks with an anonymous LDAPv3 bind.", 0),
    _switch("log-health-checks", D_BACKENDS, "Logs every change of a check's result."),
    _switch("log-separate-errors", D_FRONTENDS, "Logs failures at level err."),
    _switch("logasap", D_FRONTENDS, "Logs when the answer's head is there instead of at its end."),
    _option("mysql-check", D_BACKENDS, "[user <name> [{post-41|pre-41}]]", words.mysql_check, "Checks with a MySQL handshake."),
    _switch("nolinger", D_PROXIES, "Drops unsent data at a close."),
    _option(
        "originalto",
        D_PROXIES,
        "[except <network>] [header <name>]",
        words.original_to,
        "Adds X-Original-To with the address that the client connected to.",
        mode=_HTTP,
    ),
    _switch("persist", D_BACKENDS, "Tries a sticky client's server even when it is down."),
    _option("pgsql-check", D_BACKENDS, "user <name>", words.pgsql_check, "Checks with a PostgreSQL start message."),
    _switch("prefer-last-server", D_BACKENDS, "A kept-alive client stays at the server it used last, as far as possible.", mode=_HTTP),
    _option(
        "proxy-status",
        D_FRONTENDS,
        "[<name>]",
        words.proxy_status,
        "Adds Proxy-Status (RFC 9209) to answers that we make.",
        1,
        mode=_HTTP,
        no=True,
        ours=True,
        manual="",
    ),
    _switch("redis-check", D_BACKENDS, f"Checks with a PING. {_CHECK_KINDS}", words.check_kind),
    _option("redispatch", D_BACKENDS, "[<interval>]", words.redispatch, "Tries another server after failed attempts.", 1, no=True),
    _option("smtpchk", D_BACKENDS, "[<command> <domain>]", words.smtp_check, "Checks with a mail server's greeting."),
    _switch("socket-stats", D_FRONTENDS, "Counts for each bind line by itself."),
    _switch("splice-auto", D_PROXIES, "Splices where it looks worth it."),
    _switch("splice-request", D_PROXIES, "Splices from clients to servers."),
    _switch("splice-response", D_PROXIES, "Splices from servers to clients."),
    _switch("srvtcpka", D_BACKENDS, "TCP keep-alive towards servers."),
    _option("ssl-hello-chk", D_BACKENDS, "", words.check_kind, "Checks with a TLS hello.", 0),
    _option("tcp-check", D_BACKENDS, "", words.check_kind, "Checks with the tcp-check steps.", 0),
    _switch("tcp-smart-accept", D_FRONTENDS, "Delays the acknowledgement of the first request."),
    _switch("tcp-smart-connect", D_BACKENDS, "Delays the acknowledgement of a server's connection until the request is sent."),
    _switch("tcpka", D_PROXIES, "TCP keep-alive on both sides."),
    _option("tcplog", D_PROXIES, "[clf]", words.log_kind, "Logs each connection in HAProxy's TCP format.", 1),
    _switch("tcpsplice", D_PROXIES, "The word of old for splicing both ways; needed on both sides.", ours=True, manual=""),
    _switch(
        "use-small-buffers",
        D_PROXIES,
        "Accepted, without effect.",
        status=Status.NOTICED,
        instead="Buffers grow as needed here: remove it.",
    ),
    _refused("external-check", "Programs are never run as checks: use tcp-check or http-check."),
    _refused("spop-check", "SPOE is not available: remove it."),
    _refused("transparent", "Connecting to the client's original target is not available: name the servers."),
    _refused("http_proxy", "It was removed from HAProxy: name the servers."),
    _refused("http-tunnel", "It was removed from HAProxy: use mode tcp, or option http-server-close."),
    _refused("forceclose", "It was removed from HAProxy: write option httpclose."),
    _noticed("http-use-htx", D_PROXIES, "It was removed from HAProxy: remove it."),
)
