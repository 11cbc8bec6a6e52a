"""Why bytes were refused: every slug that a codec of this folder raises in a WireError, with its meaning in one line. Sans-io.

Slugs are stable: they stand in logs and metrics, and operators search for them. A new refusal gets a row here first;
the tests hold that every row can be reached and that nothing outside the table is raised.
"""

from __future__ import annotations

from typing import Final

from common.errors import WireError

REASONS: Final[dict[str, str]] = {
    # PROXY protocol, both versions
    "proxy_bad_signature": "the first bytes begin no PROXY header of an accepted version",
    # PROXY protocol version 1
    "proxy_v1_bad_family": 'the word after "PROXY " is not TCP4, TCP6 or UNKNOWN',
    "proxy_v1_bad_line": "not exactly two addresses and two ports, each after one space, ended by CR LF",
    "proxy_v1_bad_address": "an address is not in the canonical form of its family",
    "proxy_v1_bad_port": "a port is not a decimal number from 0 to 65535 without leading zeroes",
    "proxy_v1_too_long": "no CR LF within the first 107 bytes",
    # PROXY protocol version 2
    "proxy_v2_bad_version": "the version behind the signature is not 2",
    "proxy_v2_bad_command": "the command is neither LOCAL nor PROXY",
    "proxy_v2_bad_family": "the address family or the transport is not one that the specification defines",
    "proxy_v2_datagram": "the header speaks of a datagram, on a listener of streams",
    "proxy_v2_bad_length": "the announced length has no room for the addresses of the announced family",
    "proxy_v2_too_long": "the announced length is above the biggest header that is accepted",
    "proxy_v2_bad_tlv": "a TLV ends behind the end of the header",
    "proxy_v2_bad_checksum": "the CRC32c of the header is wrong, not 4 bytes long, or there twice",
    "proxy_v2_bad_authority": "the authority is longer than any host name (255 bytes)",
    "proxy_v2_bad_unique_id": "the unique id is longer than 128 bytes",
    # TLS ClientHello
    "tls_sslv2_hello": "the hello has the framing of SSL 2.0",
    "tls_not_handshake": "the first record is not of the handshake type",
    "tls_bad_record_version": "the record's major version is not 3",
    "tls_bad_record_length": "a record of the hello is empty or longer than 16384 bytes",
    "tls_too_many_records": "the hello is scattered over more records than any honest client uses",
    "tls_not_client_hello": "the first handshake message is not a ClientHello",
    "tls_hello_too_long": "the ClientHello is longer than the limit",
    "tls_bad_hello": "a field of the ClientHello ends behind the end of the message, or bytes are left over",
    "tls_bad_extension": "an extension's content does not have the form that its type demands",
    "tls_duplicate_extension": "an extension is there twice",
    "tls_bad_server_name": "the server name is empty, there twice, longer than 255 bytes or not printable ASCII",
    # frames between dispatcher and worker
    "handover_empty": "a message without a byte",
    "handover_bad_type": "a frame of a type that this direction does not have",
    "handover_bad_version": "the other side speaks another version of the channel",
    "handover_bad_flags": "a flag is set that has no meaning",
    "handover_truncated": "a frame, or the PROXY header in it, ends behind the end of the message",
    "handover_trailing": "bytes are left over behind the frame",
}


def refuse(slug: str) -> WireError:
    """The error for `slug`, which is a row of the table; for the `raise` statements of this folder.

    400 for all: where a client can be answered at all, its request was malformed before it began.
    """
    assert slug in REASONS, slug
    return WireError(slug, 400)
