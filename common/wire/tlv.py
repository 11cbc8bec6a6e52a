"""The type-length-value vectors behind the addresses of a PROXY v2 header, and the SSL one with vectors inside. Sans-io.

Source: PROXY protocol specification, section 2.2, "PP2_TYPE_*"; SSL sub-types 0x26 to 0x28 from its later revisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from struct import Struct

from common.wire.reasons import refuse

Tlvs = tuple[tuple[int, bytes], ...]

UNIQUE_ID_BYTES_MAX = 128
AUTHORITY_BYTES_MAX = 255  # the longest host name; the specification is silent, HAProxy refuses more
_VALUE_BYTES_MAX = 0xFFFF

_HEAD = Struct("!BH")
_SSL_HEAD = Struct("!BI")
_CONTROL = frozenset(map(chr, [*range(0x20), 0x7F]))


class TlvType(IntEnum):
    """Registered types. 0xE0-0xEF belong to applications, 0xF0-0xF7 to experiments, 0xF8-0xFF to the future."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    NETNS = 0x30


class SslType(IntEnum):
    """Registered types of the vectors inside an SSL vector."""

    VERSION = 0x21
    CN = 0x22
    CIPHER = 0x23
    SIG_ALG = 0x24
    KEY_ALG = 0x25
    GROUP = 0x26
    SIG_SCHEME = 0x27
    CLIENT_CERT = 0x28


class SslClient(IntFlag):
    """The SSL vector's `client` bits."""

    NONE = 0
    SSL = 0x01  # the client connected over TLS
    CERT_CONN = 0x02  # and showed a certificate on this connection
    CERT_SESS = 0x04  # or at least once in this TLS session


@dataclass(frozen=True, slots=True)
class SslInfo:
    """An SSL vector. None = its sub-vector is not there.

    cn: common name of the client's certificate; sig_alg, key_alg: of the certificate that the sender's listener showed;
    group, sig_scheme: of the sender's handshake; client_cert: DER.
    """

    client: SslClient = SslClient.NONE
    verify: int = 0
    version: str | None = None
    cn: str | None = None
    cipher: str | None = None
    sig_alg: str | None = None
    key_alg: str | None = None
    group: str | None = None
    sig_scheme: str | None = None
    client_cert: bytes | None = None

    @property
    def has_ssl(self) -> bool:
        return bool(self.client & SslClient.SSL)

    @property
    def has_certificate(self) -> bool:
        return bool(self.client & (SslClient.CERT_CONN | SslClient.CERT_SESS))

    @property
    def verified(self) -> bool:
        """A certificate was shown and found good. `verify` alone does not say it: senders leave 0 there without a certificate."""
        return self.has_certificate and self.verify == 0


_TEXTS = (
    (SslType.VERSION, "version"),
    (SslType.CN, "cn"),
    (SslType.CIPHER, "cipher"),
    (SslType.SIG_ALG, "sig_alg"),
    (SslType.KEY_ALG, "key_alg"),
    (SslType.GROUP, "group"),
    (SslType.SIG_SCHEME, "sig_scheme"),
)
_TEXT_NAMES: dict[int, str] = {int(kind): name for kind, name in _TEXTS}


def split_tlvs(block: bytes) -> Tlvs | None:
    """All vectors of `block` in order, unknown types included; None when the last one does not end where the block ends."""
    vectors: list[tuple[int, bytes]] = []
    position, end = 0, len(block)
    while position + _HEAD.size <= end:
        kind, length = _HEAD.unpack_from(block, position)
        position += _HEAD.size
        vectors.append((kind, block[position : position + length]))
        position += length
    return tuple(vectors) if position == end else None


def join_tlvs(vectors: Iterable[tuple[int, bytes]]) -> bytes:
    """The reverse of split_tlvs. Raises ValueError for a type above 255 or a value above 65535 bytes."""
    pieces: list[bytes] = []
    for kind, value in vectors:
        if not 0 <= kind <= 0xFF or len(value) > _VALUE_BYTES_MAX:
            raise ValueError(f"no TLV of type {kind} with {len(value)} bytes")
        pieces += _HEAD.pack(kind, len(value)), value
    return b"".join(pieces)


def check_lengths(vectors: Tlvs) -> None:
    """Raises WireError for a value that is longer than its type allows."""
    for kind, value in vectors:
        if kind == TlvType.UNIQUE_ID and len(value) > UNIQUE_ID_BYTES_MAX:
            raise refuse("proxy_v2_bad_unique_id")
        if kind == TlvType.AUTHORITY and len(value) > AUTHORITY_BYTES_MAX:
            raise refuse("proxy_v2_bad_authority")


def decode_ssl(value: bytes) -> SslInfo | None:
    """What an SSL vector says; None when it is malformed, which proves nothing about the client but is no reason to drop it
    (as HAProxy does). A sub-vector that is there twice counts with its last value; unknown ones are skipped."""
    vectors = split_tlvs(value[_SSL_HEAD.size :])
    if len(value) < _SSL_HEAD.size or vectors is None:
        return None
    client, verify = _SSL_HEAD.unpack_from(value)
    texts: dict[str, str | None] = {}
    certificate: bytes | None = None
    for kind, content in vectors:
        if kind in _TEXT_NAMES:
            texts[_TEXT_NAMES[kind]] = printable(content)
        elif kind == SslType.CLIENT_CERT:
            certificate = content
    return SslInfo(SslClient(client), verify, client_cert=certificate, **texts)


def encode_ssl(info: SslInfo) -> bytes:
    """The value of the SSL vector, sub-vectors in the order of their types."""
    vectors = [(int(kind), text.encode()) for kind, name in _TEXTS if (text := getattr(info, name)) is not None]
    if info.client_cert is not None:
        vectors.append((SslType.CLIENT_CERT, info.client_cert))
    return _SSL_HEAD.pack(info.client, info.verify) + join_tlvs(vectors)


def printable(value: bytes) -> str | None:
    """The UTF-8 text of a value. None when it is none or has control characters: such a thing is no host name and no
    algorithm's name, and must not reach a header or a log."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.intersection(text) else text
