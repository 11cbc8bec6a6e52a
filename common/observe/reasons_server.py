"""Reasons on the server's side: no server, no connection, no answer, or an answer that cannot be passed on. Sans-io."""

from __future__ import annotations

from typing import Final

from common.observe.reason import Reason
from common.observe.reasons_client import CLIENT

_CHECKS = 'Let a check find it: "check" on the server line, with "option httpchk" for more than a port that listens.'
_SERVER_LOG = "Look into the server's own log at this time; the server or something before it cut the connection."

_TLS_CURES = {
    "certificate_verify_failed": 'Compare "ca-file", "verifyhost" and "sni" of the server line with the server\'s certificate.',
    "wrong_version": 'Does the server speak TLS on this port? If not, remove "ssl" from its line.',
    "http_request": 'Does the server speak TLS on this port? If not, remove "ssl" from its line.',
    "unsupported_protocol": 'Update the server, or set "ssl-min-ver" on its line.',
    "no_shared_cipher": 'Compare "ciphers" and "ciphersuites" of the server line with what the server allows.',
}

SERVER_TLS: Final = tuple(
    Reason(
        "server_" + reason.slug,
        ("SC",),
        503,
        reason.proxy_status,
        f"In the TLS handshake with the server, where we are the client: {reason.cause[0].lower()}{reason.cause[1:]}",
        _TLS_CURES.get(reason.slug.removeprefix("tls_"), "The log line has OpenSSL's words; `openssl s_client` by hand may say more."),
    )
    for reason in CLIENT
    if reason.slug.startswith("tls_")
)

SERVER: Final = (
    Reason("no_server_available", ("SC",), 503, "destination_unavailable",
           "Every server of the backend is down, in maintenance, or drained.",
           '`show servers state` says why; "fullconn", "backup" servers and an "errorfile 503" soften it.'),
    Reason("no_backend", ("SC",), 503, "proxy_configuration_error",
           'No "use_backend" rule matched and there is no "default_backend".',
           'Give the frontend a "default_backend".'),
    Reason("queue_timeout", ("sQ",), 503, "connection_limit_reached",
           'No place at a server became free within "timeout queue".',
           'The servers are saturated: raise "maxconn" of the servers, add servers, or make them faster.'),
    Reason("queue_full", ("SQ",), 503, "connection_limit_reached",
           'The queue of the server is as long as "maxqueue" allows.',
           'Raise "maxqueue", or allow "option redispatch" to use other servers.'),
    Reason("connect_refused", ("SC",), 503, "connection_refused",
           "The server refused the connection: nobody listens on its port.",
           "Start the server or correct its address and port. " + _CHECKS),
    Reason("connect_failed", ("SC",), 503, "destination_ip_unroutable",
           "The connection could not be made: no route, no neighbour, or a firewall that says no.",
           "The log line has the system's words. Try the same address by hand from this machine."),
    Reason("connect_timeout", ("sC",), 503, "connection_timeout",
           'The connection was not made within "timeout connect".',
           "A firewall that drops silently, a dead machine, or a full accept queue on the server. " + _CHECKS),
    Reason("source_ports_exhausted", ("RC",), 503, "proxy_internal_error",
           "No local port is left for another connection to this server.",
           'Use "http-reuse", several "source" addresses, or widen net.ipv4.ip_local_port_range.'),
    Reason("descriptors_exhausted", ("RC",), 503, "proxy_internal_error",
           "The process has no descriptor left.",
           'Raise the limit on open files (LimitNOFILE in the unit) or lower "maxconn"; `usher -c -V` shows the sum.'),
    Reason("memory_exhausted", ("RC",), 503, "proxy_internal_error",
           "The kernel or the process has no memory left for another connection.",
           'Lower "maxconn" or give the machine more memory.'),
    Reason("process_limit_reached", ("PC",), 503, "connection_limit_reached",
           'The process is at its limit of connections ("maxconn").', 'Raise the global "maxconn".'),
    Reason("server_closed_in_head", ("SH",), 502, "http_response_incomplete",
           "The server closed the connection before it had sent a whole response head.", _SERVER_LOG),
    Reason("server_closed_unanswered", ("SH",), 502, "connection_terminated",
           "The server closed the connection without a byte of an answer.",
           _SERVER_LOG + ' If it happens on reused connections, its keep-alive timeout is shorter than ours: see "pool-purge-delay" and '
           '"retry-on empty-response".'),
    Reason("server_reset", ("SH", "SD"), 502, "connection_terminated",
           "The server reset the connection.", _SERVER_LOG),
    Reason("server_timeout", ("sH",), 504, "http_response_timeout",
           'The server did not answer within "timeout server".',
           'Make that path of the application faster, or raise "timeout server" (for long polls: "timeout tunnel").'),
    Reason("server_closed_in_body", ("SD",), 0, "http_response_incomplete",
           "The server closed the connection before the whole body had come.", _SERVER_LOG),
    Reason("server_body_timeout", ("sD",), 0, "http_response_timeout",
           'The server sent nothing of the body for as long as "timeout server".',
           'Raise "timeout server" if the application is known to pause.'),
    Reason("server_not_reading", ("sD", "sH"), 504, "connection_write_timeout",
           'The server took nothing of the request\'s body for as long as "timeout server".',
           "The server is stuck or overloaded."),
    Reason("bad_status_line", ("PH",), 502, "http_protocol_error",
           "The server's first line is not a version, three digits and a reason.",
           'Is it an HTTP server at all? `show errors` has the bytes; "mode tcp" passes other protocols on.'),
    Reason("unexpected_101", ("PH",), 502, "http_upgrade_failed",
           "The server switched protocols though nobody had asked.", "A fault of the server; `show errors` has the bytes."),
    Reason("response_too_big", ("PH",), 502, "http_response_header_section_size",
           "The head of the response does not fit the buffer.",
           'Raise "tune.bufsize", or find out what the server puts there: often cookies.'),
    Reason("response_rewrite_failed", ("PH",), 500, "proxy_internal_error",
           "A rule could not add or change a field of the response: there was no room.",
           'Raise "tune.maxrewrite"; "http-response strict-mode off" goes on without the change.'),
    Reason("cacheable_cookie", ("PH",), 502, "http_protocol_error",
           'The response sets a cookie and may be cached, which "option checkcache" forbids.',
           "Let the application forbid caching of what sets a cookie."),
    Reason("server_marked_down", ("DD", "DH", "DC", "DQ"), 503, "destination_unavailable",
           'The server went down and its sessions were ended ("on-marked-down shutdown-sessions").', "Working as told."),
    Reason("backup_sessions_ended", ("UD", "UH"), 503, "destination_unavailable",
           'A server came back and the sessions on backup servers were ended ("on-marked-up shutdown-backup-sessions").',
           "Working as told."),
    Reason("name_not_resolved", ("SC",), 503, "dns_error",
           "The server's name has no address.", 'Look at the resolver; "init-addr" says what to do at the start.'),
)  # fmt: skip
