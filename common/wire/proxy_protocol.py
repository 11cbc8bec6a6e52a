"""The PROXY protocol: a connection's first bytes say for whom it was made. Sans-io.

Source: PROXY protocol specification (versions 1 and 2), HAProxy manual 5.1 "accept-proxy" and 5.2 "send-proxy".

This is the door: `decode` tells the versions apart; common/wire/proxy_v1.py and proxy_v2.py know each of them and say where they
differ from HAProxy, proxy_header.py has the value, tlv.py what follows the addresses.

A header is expected where the configuration says so and never guessed: a peer that may choose whether to send one could
take any address it likes.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from common.wire.address_text import inet_text
from common.wire.proxy_header import Family, ProxyHeader, tcp4_header
from common.wire.proxy_v1 import V1_BYTES_MIN, V1_SIGNATURE, decode_v1, encode_v1, wanted_v1
from common.wire.proxy_v2 import (
    HEADER_BYTES_MAX,
    V2_SIGNATURE,
    V2_TCP4,
    V2_TCP4_BYTES,
    decode_v2,
    encode_v2,
    encode_v2_inet,
    encode_v2_inet6,
    wanted_v2,
)
from common.wire.reasons import refuse
from common.wire.tlv import SslClient, SslInfo, SslType, TlvType, encode_ssl

__all__ = [
    "BOTH_VERSIONS",
    "HEADER_BYTES_MAX",
    "Family",
    "ProxyHeader",
    "SslClient",
    "SslInfo",
    "SslType",
    "TlvType",
    "decode",
    "encode_ssl",
    "encode_v1",
    "encode_v2",
    "encode_v2_inet",
    "encode_v2_inet6",
    "wanted",
]

BOTH_VERSIONS: Final = frozenset({1, 2})

_TCP4_FIELDS = Struct("!14xH4s4sHH")


def decode(
    data: bytes | bytearray | memoryview,
    *,
    versions: frozenset[int] = BOTH_VERSIONS,
    header_bytes_max: int = HEADER_BYTES_MAX,
    datagrams: bool = False,
) -> tuple[ProxyHeader, int] | None:
    """(header, its bytes) when `data` begins with a whole header, None while it may become one.

    `data` holds everything received so far; nothing behind the header's end is looked at. Raises WireError (the slugs are in
    common/wire/reasons.py) at the first byte that no header of the accepted versions can have there. A connection that ends while
    this says None has sent no header and must be dropped.
    """
    # Hot: TCP over IPv4 without TLVs, which is what the tiers exchange. All else takes the long way.
    if data[:14] == V2_TCP4 and len(data) >= V2_TCP4_BYTES and 2 in versions:
        length, source, destination, source_port, destination_port = _TCP4_FIELDS.unpack_from(data)
        if length == 12:
            return tcp4_header(inet_text(source), source_port, inet_text(destination), destination_port), V2_TCP4_BYTES
    begun = bytes(data[:12])
    if 2 in versions and V2_SIGNATURE.startswith(begun):
        return decode_v2(data, header_bytes_max, datagrams)
    if 1 in versions and V1_SIGNATURE.startswith(begun[: len(V1_SIGNATURE)]):
        return decode_v1(data)
    raise refuse("proxy_bad_signature")


def wanted(data: bytes | bytearray | memoryview) -> int:
    """How many bytes may be read behind `data` without ever reading past the header's end.

    For readers that must not over-read, because what follows belongs to somebody else (TLS on the same descriptor). At least 1
    where decode says None, 0 where it returns a header; meaningless where it raises. Exact for version 2 (two reads); for
    version 1, whose end shows only when it has come, what the shortest possible line still takes.
    """
    if not data:
        return V1_BYTES_MIN  # shorter than any header of version 2
    return wanted_v1(bytes(data[:108])) if data[0] == V1_SIGNATURE[0] else wanted_v2(data)
