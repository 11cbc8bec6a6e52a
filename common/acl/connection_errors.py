"""Numbers and sentences of connection errors: fc_err, bc_err, and the last part of the error log line. Sans-io.

The numbers are HAProxy's, so that readers of its logs understand ours. Source: HAProxy configuration manual 7.3.3 "fc_err_str".
"""

from __future__ import annotations

from enum import IntEnum


class ConnectionFault(IntEnum):
    """What can go wrong with a connection before it carries anything."""

    NONE = 0
    MAXCONN = 1
    PROCESS_SOCKETS = 2
    SYSTEM_SOCKETS = 3
    SYSTEM_BUFFERS = 4
    PROTOCOL = 5
    SOCKET = 6
    PORT_RANGE = 7
    CANNOT_BIND = 8
    LOCAL_PORTS = 9
    ADDRESS_IN_USE = 10
    PROXY_CLOSED = 11
    PROXY_ERROR = 12
    PROXY_TIMEOUT = 13
    PROXY_TRUNCATED = 14
    PROXY_NOT_A_HEADER = 15
    PROXY_INVALID = 16
    PROXY_UNHANDLED = 17
    NETSCALER_CLOSED = 18
    NETSCALER_ERROR = 19
    NETSCALER_TIMEOUT = 20
    NETSCALER_TRUNCATED = 21
    NETSCALER_MAGIC = 22
    NETSCALER_UNHANDLED = 23
    TLS_CLOSED = 24
    TLS_ERROR = 25
    TLS_TIMEOUT = 26
    TLS_TOO_MANY = 27
    TLS_MEMORY = 28
    TLS_RENEGOTIATION = 29
    TLS_CLIENT_CA = 30
    TLS_CLIENT_CERTIFICATE = 31
    TLS_SERVER_CONFIGURED = 32
    TLS_SERVER_EXPECTED = 33
    TLS_HANDSHAKE = 34
    TLS_HANDSHAKE_HEARTBEAT = 35
    TLS_HEARTBEAT = 36
    TLS_UNKNOWN_TARGET = 37
    TLS_EARLY_DATA = 38
    SOCKS4_SEND = 39
    SOCKS4_RECEIVE = 40
    SOCKS4_DENIED = 41
    SOCKS4_ABORTED = 42
    TLS_FATAL = 43


# The sentences are part of HAProxy's documented interface: programs that read logs look for them.
_MESSAGES = (
    "Success",
    "Reached configured maxconn value",
    "Too many sockets on the process",
    "Too many sockets on the system",
    "Out of system buffers",
    "Protocol or address family not supported",
    "General socket error",
    "Source port range exhausted",
    "Can't bind to source address",
    "Out of local source ports on the system",
    "Local source address already in use",
    "Connection closed while waiting for PROXY protocol header",
    "Connection error while waiting for PROXY protocol header",
    "Timeout while waiting for PROXY protocol header",
    "Truncated PROXY protocol header received",
    "Received something which does not look like a PROXY protocol header",
    "Received an invalid PROXY protocol header",
    "Received an unhandled protocol in the PROXY protocol header",
    "Connection closed while waiting for NetScaler Client IP header",
    "Connection error while waiting for NetScaler Client IP header",
    "Timeout while waiting for a NetScaler Client IP header",
    "Truncated NetScaler Client IP header received",
    "Received an invalid NetScaler Client IP magic number",
    "Received an unhandled protocol in the NetScaler Client IP header",
    "Connection closed during SSL handshake",
    "Connection error during SSL handshake",
    "Timeout during SSL handshake",
    "Too many SSL connections",
    "Out of memory when initializing an SSL connection",
    "Rejected a client-initiated SSL renegotiation attempt",
    "SSL client CA chain cannot be verified",
    "SSL client certificate not trusted",
    "Server presented an SSL certificate different from the configured one",
    "Server presented an SSL certificate different from the expected one",
    "SSL handshake failure",
    "SSL handshake failure after heartbeat",
    "Stopped a TLSv1 heartbeat attack (CVE-2014-0160)",
    "Attempt to use SSL on an unknown target (internal error)",
    "Server refused early data",
    "SOCKS4 Proxy write error during handshake",
    "SOCKS4 Proxy read error during handshake",
    "SOCKS4 Proxy deny the request",
    "SOCKS4 Proxy handshake aborted by server",
    "SSL fatal error",
)
assert len(_MESSAGES) == len(ConnectionFault)

_ENCODED = tuple(sentence.encode() for sentence in _MESSAGES)


def proxy_fault(slug: str) -> ConnectionFault:
    """What was wrong with a PROXY header, by the codec's slug."""
    if slug == "proxy_header_missing":
        return ConnectionFault.PROXY_CLOSED
    return ConnectionFault.PROXY_TRUNCATED if slug == "proxy_header_truncated" else ConnectionFault.PROXY_NOT_A_HEADER


def message(number: int) -> bytes:
    """The sentence of a fault; an unknown number says so."""
    return _ENCODED[number] if 0 <= number < len(_ENCODED) else b"Unknown error %d" % number
