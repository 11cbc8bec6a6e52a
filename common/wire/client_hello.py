"""A TLS ClientHello, read without decrypting or answering anything. Sans-io.

For routing by server name in mode tcp, for choosing the ticket key that a client holds, for telling a resumption from a full
handshake before it costs anything, and for fingerprints. The TLS engine behind reads the same bytes again and has the last
word: this reader refuses what is malformed and does not judge what is merely unwise (old versions, weak ciphers).

The hello may be scattered over several records, and come in pieces.

Source: RFC 8446 4.1.2, 4.2 and 5.1; RFC 5246 7.4.1.2; RFC 6066 3 (server name), RFC 7301 (ALPN), RFC 5077 (tickets),
RFC 8701 (GREASE).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct, unpack
from typing import Final

from common.wire.first_bytes import Kind, first_bytes
from common.wire.reasons import refuse

__all__ = ["HELLO_BYTES_MAX", "RECORDS_MAX", "ClientHello", "Extension", "Kind", "first_bytes", "parse"]

HELLO_BYTES_MAX: Final = 16384  # hellos with two post-quantum key shares have 3 KB; HAProxy looks at a buffer's worth, 16 KB
RECORDS_MAX: Final = 64  # clients scatter a hello over two or three; each record costs us a turn, whatever it holds

_EXTENSION_HEAD = Struct("!HH")
_HANDSHAKE = 0x16
_CLIENT_HELLO = 1
_RECORD_HEAD_BYTES = 5
_RECORD_BYTES_MAX = 1 << 14
_HANDSHAKE_HEAD_BYTES = 4
_FIXED_BYTES = 34  # version and random
_SESSION_ID_BYTES_MAX = 32
_SERVER_NAME_BYTES_MAX = 255
_PRINTABLE = frozenset(range(0x21, 0x7F))
_TICKET_KEY_NAME_BYTES = 16


class Extension(IntEnum):
    """The extensions that are read; all others are only listed."""

    SERVER_NAME = 0
    SUPPORTED_GROUPS = 10
    POINT_FORMATS = 11
    SIGNATURE_ALGORITHMS = 13
    ALPN = 16
    SESSION_TICKET = 35
    PRE_SHARED_KEY = 41
    EARLY_DATA = 42
    SUPPORTED_VERSIONS = 43
    PSK_MODES = 45
    SIGNATURE_ALGORITHMS_CERT = 50


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What the client offers. Lists are in its order of preference, GREASE values included; () = not there.

    record_version: of the first record, 0x0301 … ; legacy_version: of the hello itself.
    extensions: the types, in order. sni: as sent (compare without case). ticket: extension 35's content, b"" when it asks for one.
    psk_identities: TLS 1.3's tickets, most wanted first. size: bytes from the first record's beginning to the hello's end.
    """

    record_version: int
    legacy_version: int
    random: bytes
    session_id: bytes
    ciphers: tuple[int, ...]
    compressions: bytes
    size: int
    extensions: tuple[int, ...] = ()
    supported_versions: tuple[int, ...] = ()
    sni: str | None = None
    alpn: tuple[bytes, ...] = ()
    groups: tuple[int, ...] = ()
    point_formats: bytes = b""
    signature_algorithms: tuple[int, ...] = ()
    signature_algorithms_cert: tuple[int, ...] = ()
    ticket: bytes | None = None
    psk_identities: tuple[bytes, ...] = ()
    psk_modes: bytes = b""
    has_early_data: bool = False

    @property
    def version(self) -> int:
        """The highest version offered: 0x0304 for TLS 1.3."""
        return max((version for version in self.supported_versions if not is_grease(version)), default=self.legacy_version)

    @property
    def resumption(self) -> bytes | None:
        """The ticket that the client wants to resume with; None when it has none.

        A session id alone says nothing: clients of TLS 1.3 invent one for the sake of middleboxes.
        """
        return self.psk_identities[0] if self.psk_identities else self.ticket or None

    @property
    def ticket_key_name(self) -> bytes | None:
        """What OpenSSL calls the key that the resumption ticket was made with (RFC 5077 section 4)."""
        ticket = self.resumption
        return None if ticket is None or len(ticket) < _TICKET_KEY_NAME_BYTES else ticket[:_TICKET_KEY_NAME_BYTES]


def is_grease(value: int) -> bool:
    """One of RFC 8701's values (0x0a0a, 0x1a1a …), which clients sprinkle over their lists and mean nothing."""
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def parse(data: bytes | bytearray | memoryview, *, hello_bytes_max: int = HELLO_BYTES_MAX) -> ClientHello | None:
    """The hello that `data`, everything received so far, begins with; None while more is needed.

    Bytes behind the hello are not looked at. Raises WireError at the first byte that shows that it is none.
    """
    view = memoryview(data)
    message = bytearray()
    size = 0
    for _ in range(RECORDS_MAX):
        fragment, missing = _record(view[size:])
        message += fragment
        size += _RECORD_HEAD_BYTES + len(fragment)
        wanted = _message_bytes(message, hello_bytes_max)
        if wanted is not None and len(message) >= wanted:
            size -= len(message) - wanted
            return _parse_message(bytes(message[_HANDSHAKE_HEAD_BYTES:wanted]), int.from_bytes(view[1:3], "big"), size)
        if missing:
            return None
    raise refuse("tls_too_many_records")


def _record(view: memoryview) -> tuple[memoryview, bool]:
    """(what is there of the record's fragment, whether some of the record is missing)."""
    if view and view[0] != _HANDSHAKE:
        raise refuse("tls_sslv2_hello" if first_bytes(view) is Kind.SSLV2 else "tls_not_handshake")
    if len(view) > 1 and view[1] != 3:
        raise refuse("tls_bad_record_version")
    if len(view) < _RECORD_HEAD_BYTES:
        return view[:0], True
    length = int.from_bytes(view[3:5], "big")
    if not 0 < length <= _RECORD_BYTES_MAX:
        raise refuse("tls_bad_record_length")
    fragment = view[_RECORD_HEAD_BYTES : _RECORD_HEAD_BYTES + length]
    return fragment, len(fragment) < length


def _message_bytes(message: bytearray, hello_bytes_max: int) -> int | None:
    """How long the handshake message is, None while that is not known."""
    if message and message[0] != _CLIENT_HELLO:
        raise refuse("tls_not_client_hello")
    if len(message) < _HANDSHAKE_HEAD_BYTES:
        return None
    wanted = _HANDSHAKE_HEAD_BYTES + int.from_bytes(message[1:4], "big")
    if wanted > hello_bytes_max:
        raise refuse("tls_hello_too_long")
    return wanted


def _parse_message(body: bytes, record_version: int, size: int) -> ClientHello:
    """The hello of a whole handshake message's body."""
    if len(body) < _FIXED_BYTES:
        raise refuse("tls_bad_hello")
    session_id, position = _vector(body, _FIXED_BYTES, 1, "tls_bad_hello")
    ciphers, position = _vector(body, position, 2, "tls_bad_hello")
    compressions, position = _vector(body, position, 1, "tls_bad_hello")
    if len(session_id) > _SESSION_ID_BYTES_MAX or not ciphers or len(ciphers) % 2 or not compressions:
        raise refuse("tls_bad_hello")
    extensions: dict[int, bytes] = {}
    if position < len(body):  # TLS 1.2 and older may leave the whole block out
        block, position = _vector(body, position, 2, "tls_bad_hello")
        if position != len(body):
            raise refuse("tls_bad_hello")
        extensions = _extensions(block)
    find = extensions.get
    return ClientHello(
        record_version=record_version,
        legacy_version=int.from_bytes(body[:2], "big"),
        random=body[2:_FIXED_BYTES],
        session_id=session_id,
        ciphers=_numbers(ciphers),
        compressions=compressions,
        size=size,
        extensions=tuple(extensions),
        supported_versions=_number_list(find(Extension.SUPPORTED_VERSIONS), 1),
        sni=_server_name(find(Extension.SERVER_NAME)),
        alpn=_alpn(find(Extension.ALPN)),
        groups=_number_list(find(Extension.SUPPORTED_GROUPS), 2),
        point_formats=_byte_list(find(Extension.POINT_FORMATS)),
        signature_algorithms=_number_list(find(Extension.SIGNATURE_ALGORITHMS), 2),
        signature_algorithms_cert=_number_list(find(Extension.SIGNATURE_ALGORITHMS_CERT), 2),
        ticket=find(Extension.SESSION_TICKET),
        psk_identities=_psk_identities(extensions),
        psk_modes=_byte_list(find(Extension.PSK_MODES)),
        has_early_data=_has_early_data(find(Extension.EARLY_DATA)),
    )


def _vector(data: bytes, position: int, length_bytes: int, slug: str = "tls_bad_extension") -> tuple[bytes, int]:
    """(content, position behind it) of a vector that begins with its length at `position`."""
    start = position + length_bytes
    end = start + int.from_bytes(data[position:start], "big")
    if start > len(data) or end > len(data):
        raise refuse(slug)
    return data[start:end], end


def _vectors(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """The vectors that `data` consists of."""
    position = 0
    while position < len(data):
        content, position = _vector(data, position, length_bytes)
        yield content


def _whole_vector(data: bytes, length_bytes: int) -> bytes:
    """The content of the one vector that `data` is; never empty."""
    content, end = _vector(data, 0, length_bytes)
    if end != len(data) or not content:
        raise refuse("tls_bad_extension")
    return content


def _extensions(block: bytes) -> dict[int, bytes]:
    """type -> content, in order."""
    extensions: dict[int, bytes] = {}
    position, end = 0, len(block)
    while position < end:
        start = position + _EXTENSION_HEAD.size
        if start > end:
            raise refuse("tls_bad_hello")
        kind, length = _EXTENSION_HEAD.unpack_from(block, position)
        position = start + length
        if position > end:
            raise refuse("tls_bad_hello")
        if kind in extensions:
            raise refuse("tls_duplicate_extension")
        extensions[kind] = block[start:position]
    return extensions


def _numbers(data: bytes) -> tuple[int, ...]:
    return unpack(f"!{len(data) // 2}H", data)


def _number_list(content: bytes | None, length_bytes: int) -> tuple[int, ...]:
    if content is None:
        return ()
    numbers = _whole_vector(content, length_bytes)
    if len(numbers) % 2:
        raise refuse("tls_bad_extension")
    return _numbers(numbers)


def _byte_list(content: bytes | None) -> bytes:
    return b"" if content is None else _whole_vector(content, 1)


def _server_name(content: bytes | None) -> str | None:
    """The one name of type host_name; names of other types were never defined and are skipped."""
    if content is None:
        return None
    names = _whole_vector(content, 2)
    found: bytes | None = None
    position = 0
    while position < len(names):
        kind = names[position]
        name, position = _vector(names, position + 1, 2)
        if kind == 0:
            if found is not None:
                raise refuse("tls_bad_server_name")
            found = name
    if found is None:
        return None
    if not found or len(found) > _SERVER_NAME_BYTES_MAX or not _PRINTABLE.issuperset(found):
        raise refuse("tls_bad_server_name")
    return found.decode("ascii")


def _alpn(content: bytes | None) -> tuple[bytes, ...]:
    if content is None:
        return ()
    protocols = tuple(_vectors(_whole_vector(content, 2), 1))
    if b"" in protocols:
        raise refuse("tls_bad_extension")
    return protocols


def _psk_identities(extensions: dict[int, bytes]) -> tuple[bytes, ...]:
    """The identities, whose obfuscated ages are skipped. The extension must be the last: its binders cover all before it."""
    content = extensions.get(Extension.PRE_SHARED_KEY)
    if content is None:
        return ()
    if next(reversed(extensions)) != Extension.PRE_SHARED_KEY:
        raise refuse("tls_bad_extension")
    offered, end = _vector(content, 0, 2)
    binders = tuple(_vectors(_whole_vector(content[end:], 2), 1))
    identities: list[bytes] = []
    position = 0
    while position < len(offered):
        identity, position = _vector(offered, position, 2)
        position += 4
        identities.append(identity)
    if position != len(offered) or len(identities) != len(binders) or b"" in identities:
        raise refuse("tls_bad_extension")
    return tuple(identities)


def _has_early_data(content: bytes | None) -> bool:
    if content:
        raise refuse("tls_bad_extension")
    return content is not None
