"""Reasons on the client's side: requests that are wrong, late or given up, and connections refused before any. Sans-io."""

from __future__ import annotations

from typing import Final

from common.observe.reason import Reason
from common.wire.reasons import REASONS as WIRE_REASONS

_BUGGY = "Find the client by its address in the log; it is broken, very old, or probing. Nothing needs to change here."
_CAPTURED = (
    "Look at the bytes with `show errors`. If the client cannot be mended, "
    '"option accept-invalid-http-request" lets the harmless ones pass.'
)
_PROXY_CURE = (
    'A "bind" line with "accept-proxy" expects a PROXY header from each client: check that the balancer in front sends one '
    "(and only one), or remove the keyword."
)
_TLS_CURE = "Look at the client's TLS library; a port scanner does this too."
_HANDOVER_CURE = "Dispatcher and workers are of different versions or one is broken: restart the service; if it comes back, report it."


def _wire_cure(slug: str) -> str:
    return _PROXY_CURE if slug.startswith("proxy_") else _TLS_CURE if slug.startswith("tls_") else _HANDOVER_CURE


def _bad(slug: str, cause: str, status: int = 400, cure: str = _CAPTURED) -> Reason:
    """A request that cannot be understood. The same fault in a response is PH (its head) or PD (its body) and 502."""
    return Reason(slug, ("PR", "PH", "PD"), status, "http_request_error", cause, cure)


WIRE: Final = tuple(Reason(slug, ("PR",), 0, "http_request_error", cause, _wire_cure(slug)) for slug, cause in WIRE_REASONS.items())

MALFORMED: Final = (
    _bad("bad_request_line", "The first line is not a method, a target and a version with one space between them."),
    _bad("bad_method", "The method has characters that a method must not have."),
    _bad("bad_target", "The request target is of none of the four forms that HTTP knows."),
    _bad("asterisk_target", 'The target "*" came with another method than OPTIONS.'),
    _bad("connect_target", "The target of CONNECT is not a host and a port."),
    _bad("userinfo_in_target", "The target has a user name before its host, which HTTP forbids because it misleads readers."),
    _bad("bad_version", "The version is not HTTP, a slash and two digits."),
    _bad("version_not_supported", "The version is not one that is served here.", 505),
    _bad("host_missing", "An HTTP/1.1 request has no Host field."),
    _bad("bad_host", "The Host field is there twice or is not a host with an optional port."),
    _bad("host_mismatch", "The Host field and the target name different hosts: proxies on the way could disagree about who is meant."),
    _bad("bare_lf", "A line ends with LF alone. Programs disagree about where such a line ends, which request smuggling uses."),
    _bad("bare_cr", "A CR stands without its LF."),
    _bad("nul_in_field", "A field's value has a NUL."),
    _bad("control_in_field", "A field's value has a control character."),
    _bad("folded_field", "A field goes on in a line that begins with a space: obsolete folding, which programs read differently."),
    _bad("space_before_first_field", "The line after the first one begins with a space."),
    _bad("space_before_colon", "A space stands between a field's name and its colon."),
    _bad("field_without_colon", "A field line has no colon."),
    _bad("empty_field_name", "A field line begins with its colon."),
    _bad("bad_field_name", "A field's name has characters that a name must not have."),
    _bad(
        "head_too_big",
        "The head does not fit the buffer.",
        431,
        'Raise "tune.bufsize" (less "tune.maxrewrite" is the room), or find out what fills the head: often cookies that pile up.',
    ),
    _bad("too_many_fields", "The head has more lines than allowed.", 431,
           'Raise "tune.http.maxhdr" if the client is right to send so many.'),
    _bad("bad_content_length", "Content-Length is not a decimal number."),
    _bad("content_length_conflict", "There are several values of Content-Length and they differ."),
    _bad("content_length_too_big", "Content-Length is above any size that can be counted.", 413),
    _bad("length_and_chunked", "The message has both Content-Length and chunked coding: whom to believe is how requests are smuggled."),
    _bad("chunked_in_http10", "An HTTP/1.0 message claims chunked coding, which that version does not have."),
    _bad("chunked_not_last", "Chunked is not the last transfer coding, so the end of the body cannot be found."),
    _bad("chunked_twice", "Chunked stands twice in Transfer-Encoding."),
    _bad("unknown_transfer_coding", "A transfer coding that nobody here can undo.", 422),
    _bad("connect_with_body", "A CONNECT request announces a body, which it cannot have."),
    _bad("payload_not_expected", "A body with a method that has none.", 413,
           '"option accept-invalid-http-request" lets it pass.'),
    _bad("bad_chunk_size", "A chunk's size is not a hexadecimal number."),
    _bad("chunk_without_end", "The bytes after a chunk are not CR LF."),
    _bad("chunk_too_big", "A chunk's size is above what is accepted.", 413,
           "No honest program sends such chunks; find the client by its address."),
    _bad("chunk_extensions_too_big", "The extensions of a chunk are longer than any use of them.", 400, _BUGGY),
    _bad("trailers_too_big", "The fields after a chunked body do not fit the buffer.", 431),
    _bad("too_many_trailers", "More fields after a chunked body than allowed.", 431, 'Raise "tune.http.maxhdr".'),
)  # fmt: skip

CLIENT: Final = (
    Reason("client_closed_in_head", ("CR",), 400, "http_request_error",
           "The client closed or reset the connection before its request was complete.",
           'Browsers open connections in advance and drop them: "option http-ignore-probes" hides those. In numbers, look at the network.'),
    Reason("client_closed_idle", ("CR",), 0, "http_request_error",
           "The client closed the connection without having sent a byte.",
           'A probe or a connection opened in advance: "option dontlognull" keeps it out of the log.'),
    Reason("request_timeout", ("cR",), 408, "http_request_error",
           'The request was not complete within "timeout http-request".',
           "Raise the timeout for slow clients; many of these from few addresses are a slow-request attack, which this timeout stops."),
    Reason("keep_alive_timeout", ("cR",), 0, "http_request_error",
           'No further request came within "timeout http-keep-alive".',
           "Normal: the connection was idle and is closed."),
    Reason("client_closed_in_queue", ("CQ",), 503, "connection_terminated",
           "The client gave up while its request waited for a free place at a server.",
           'The servers are saturated: raise their "maxconn", add servers, or lower "timeout queue" to say no sooner.'),
    Reason("client_closed_in_connect", ("CC",), 503, "connection_terminated",
           "The client gave up while the connection to a server was being made.",
           'Lower "timeout connect"; a server that does not answer should be found by its check.'),
    Reason("client_closed_in_wait", ("CH",), 0, "connection_terminated",
           "The client gave up before the server began to answer.",
           "Often an impatient user: look at the response times of that path."),
    Reason("client_closed_in_body", ("CH", "CD", "CR"), 400, "http_request_error",
           "The client closed the connection in the middle of its request's body.",
           "An upload given up, or a network fault on the client's side."),
    Reason("client_body_timeout", ("cD", "cH"), 408, "http_request_error",
           'The client sent nothing of its request\'s body for as long as "timeout client".',
           'Raise "timeout client" for slow uploads.'),
    Reason("client_gone", ("CD", "CH", "CQ", "CC", "CR", "CL"), 0, "connection_terminated",
           "The client closed or reset the connection while something was still to be sent to it.",
           "A closed browser tab, a client's own timeout, or a network fault. Compare the bytes sent with the length of the answer."),
    Reason("client_timeout", ("cD", "cL"), 0, "connection_write_timeout",
           'The client neither sent nor took anything for as long as "timeout client".',
           'A client that vanished without closing, or one slower than "timeout client" allows.'),
    Reason("client_closed_in_tarpit", ("CT",), 500, "http_request_denied",
           "The client closed its connection while it was held in the tarpit.",
           'Working as told. If valid clients are among them, mend the "tarpit" rule.'),
    Reason("tunnel_timeout", ("cD", "sD"), 0, "connection_terminated",
           'Nothing passed through the tunnel for as long as "timeout tunnel".',
           'Raise "timeout tunnel", or let the application send pings.'),
    Reason("handshake_timeout", ("cR",), 0, "connection_timeout",
           'PROXY header or TLS handshake were not complete within "timeout client" (or "timeout client-hs").',
           "Connections opened in advance do this; so does a plain client on a TLS port that waits for a greeting."),
    Reason("handshake_too_late", ("PR",), 0, "connection_timeout",
           "More TLS handshakes came than this worker can do, and the client has waited for longer than "
           '"tune.dispatch.handshake-deadline".',
           "More workers or cores; certificates with ECDSA keys; session tickets."),
    Reason("proxy_header_missing", ("PR",), 0, "http_request_error",
           "The connection was closed before a PROXY header came.",
           _PROXY_CURE),
    Reason("proxy_header_truncated", ("PR",), 0, "http_request_error",
           "The connection was closed in the middle of the PROXY header.", _PROXY_CURE),
    Reason("tls_http_request", ("PR",), 0, "tls_protocol_error",
           "A plain HTTP request came to a TLS port.",
           'The link says http:// with the port of https. A second "bind" with "redirect scheme https" helps people who type it.'),
    Reason("tls_wrong_version", ("PR",), 0, "tls_protocol_error", "The first bytes are no TLS record.", _TLS_CURE),
    Reason("tls_unsupported_protocol", ("PR",), 0, "tls_protocol_error",
           "The client offers no TLS version that is allowed here.",
           'Update the client; "ssl-min-ver" would let older ones in, at a price.'),
    Reason("tls_no_shared_cipher", ("PR",), 0, "tls_protocol_error",
           "Client and configuration have no cipher suite in common.",
           'Compare "ciphers"/"ciphersuites" with what the client offers; an RSA-only client needs an RSA certificate.'),
    Reason("tls_no_shared_parameters", ("PR",), 0, "tls_protocol_error",
           "Client and configuration have no curve or signature algorithm in common.",
           'Look at "curves", "sigalgs" and the certificate\'s key.'),
    Reason("tls_certificate_verify_failed", ("PR",), 0, "tls_certificate_error",
           "The peer's certificate was not accepted.",
           'Compare "ca-file" and "crl-file" with the issuer of the certificate, and its dates with the clock.'),
    Reason("tls_no_client_certificate", ("PR",), 0, "tls_certificate_error",
           'The client gave no certificate and "verify required" asks for one.',
           'Give the client a certificate, or use "verify optional".'),
    Reason("tls_peer_alert", ("PR",), 0, "tls_alert_received",
           "The peer ended the handshake with an alert.",
           "It did not like our certificate or parameters: the alert's name is in the log line."),
    Reason("tls_closed_in_handshake", ("CR",), 0, "tls_protocol_error",
           "The peer closed the connection during the handshake.", "Browsers that open connections in advance do this, scanners too."),
    Reason("tls_unknown_server_name", ("PR",), 0, "tls_protocol_error",
           'No certificate matches the server name that the client asked for, and "strict-sni" is set.',
           'Add a certificate for that name, or remove "strict-sni".'),
    Reason("tls_protocol_error", ("PR",), 0, "tls_protocol_error", "OpenSSL gave up; its words are in the log line.", _TLS_CURE),
    Reason("connection_lost", ("CR",), 0, "connection_terminated", "The connection failed during the handshake.",
           "A network fault or a scanner."),
    Reason("handover_bad_page", ("PR",), 0, "proxy_internal_error", "The memory that dispatcher and worker share is not what it must be.",
           _HANDOVER_CURE),
    Reason("handover_descriptors", ("PR",), 0, "proxy_internal_error", "A handed-over connection came without its descriptor.",
           _HANDOVER_CURE),
    Reason("handover_id_in_use", ("PR",), 0, "proxy_internal_error", "A handed-over connection has the number of one that is open.",
           _HANDOVER_CURE),
    Reason("handover_unknown_bind", ("PR",), 0, "proxy_internal_error", "A handed-over connection belongs to no bind of this worker.",
           _HANDOVER_CURE),
    Reason("handover_not_a_socket", ("PR",), 0, "proxy_internal_error", "The descriptor handed over is no stream socket.", _HANDOVER_CURE),
)  # fmt: skip
