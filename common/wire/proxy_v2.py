"""PROXY protocol version 2: a binary header. Sans-io. Source: PROXY protocol specification, section 2.2.

    signature (12) | version, command (1) | family, transport (1) | length (2) | addresses | TLVs

The length says where the header ends, whatever is in it; nothing behind that is looked at. Each byte is judged as soon as it
is there, addresses and TLVs when all of them are.

Where the text leaves a choice:

- LOCAL, and PROXY with an unspecified family or transport: the connection's own addresses count and the block is skipped.
  TLVs behind the addresses that the family would have are kept if they can be read; they cannot make us refuse
  ("the receiver must accept this connection"), but for a wrong checksum. HAProxy accepts such LOCAL too; 3.5 refuses some
  for reading the skipped block as TLVs. It refuses PROXY UNSPEC, where the text leaves us free.
- Datagrams are refused unless asked for: the listeners of a proxy are streams, and HAProxy refuses them as well.
- TLVs of any type are kept, registered or not. One that ends behind the header is refused, as are a checksum that is wrong or
  there twice, a unique id above 128 bytes and an authority above 255.
- A header may be as long as HAProxy's default buffer (16384 bytes). The length field can say 65535, and a receiver must be
  able to skip what it does not understand; but skipping needs the bytes to arrive and the TLVs to be held, per
  connection and before anything is known about the peer. HAProxy draws the line there, real headers are below 1 KB.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from common.wire.address_text import inet6_text, inet_text
from common.wire.crc32c import crc32c as checksum
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.reasons import refuse
from common.wire.tlv import Tlvs, TlvType, check_lengths, join_tlvs, split_tlvs

V2_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
FIXED_BYTES: Final = 16
HEADER_BYTES_MAX: Final = 16384
V2_TCP4: Final = V2_SIGNATURE + b"\x21\x11"  # how a header of a TCP over IPv4 client begins: nearly all of them
V2_TCP4_BYTES: Final = 28

_LENGTH_MAX = 0xFFFF
_VERSION = 2
_LOCAL, _PROXY = 0, 1
_UNSPEC, _STREAM, _DGRAM = 0, 1, 2
_FAMILIES = (Family.UNSPEC, Family.INET, Family.INET6, Family.UNIX)
_ADDRESS_BYTES = (0, 12, 36, 216)  # by the family's number
_INET_BLOCK = Struct("!4s4sHH")
_INET6_BLOCK = Struct("!16s16sHH")
_UNIX_BLOCK = Struct("!108s108s")
_SUN_PATH_BYTES = 108
_FIXED = Struct("!12sBBH")
_INET_HEADER = Struct("!12sBBH4s4sHH")
_INET6_HEADER = Struct("!12sBBH16s16sHH")


def decode_v2(data: bytes | bytearray | memoryview, header_bytes_max: int, datagrams: bool) -> tuple[ProxyHeader, int] | None:
    """(header, its bytes), None while more is needed. `data` begins like V2_SIGNATURE, so far. Raises WireError."""
    fixed = bytes(data[:FIXED_BYTES])
    _check_fixed(fixed, datagrams)
    if len(fixed) < FIXED_BYTES:
        return None
    family, transport = fixed[13] >> 4, fixed[13] & 0x0F
    local = fixed[12] & 0x0F == _LOCAL or not family or not transport
    addresses_end = FIXED_BYTES + (_ADDRESS_BYTES[family] if family < len(_FAMILIES) else 0)
    size = FIXED_BYTES + int.from_bytes(fixed[14:], "big")
    if size < addresses_end and not local:
        raise refuse("proxy_v2_bad_length")
    if size > header_bytes_max:
        raise refuse("proxy_v2_too_long")
    if len(data) < size:
        return None
    header = bytes(data[:size])
    tlvs = _tlvs(header, addresses_end, local)
    if local:
        return ProxyHeader(2, True, Family.UNSPEC, tlvs=tlvs), size
    return ProxyHeader(2, False, _FAMILIES[family], *_addresses(header, _FAMILIES[family]), tlvs, transport == _DGRAM), size


def wanted_v2(data: bytes | bytearray | memoryview) -> int:
    """How many bytes may be read behind `data`, which begins a good header, without reading past its end; 0 when it is whole."""
    if len(data) < FIXED_BYTES:
        return FIXED_BYTES - len(data)
    return max(0, FIXED_BYTES + int.from_bytes(data[14:16], "big") - len(data))


def encode_v2(header: ProxyHeader, *, crc32c: bool = False) -> bytes:
    """The header in version 2, its TLVs in order; with `crc32c` a checksum behind them.

    A checksum among the TLVs is left out: it belonged to the header it came with. `local` becomes LOCAL without addresses,
    family UNSPEC without `local` becomes PROXY without addresses. Raises ValueError for addresses that are not of the family and
    for more than 65535 bytes.
    """
    tlvs = tuple(vector for vector in header.tlvs if vector[0] != TlvType.CRC32C)
    if crc32c:
        tlvs += ((TlvType.CRC32C, bytes(4)),)
    body = _address_block(header) + join_tlvs(tlvs)
    if len(body) > _LENGTH_MAX:
        raise ValueError(f"a PROXY header cannot have {len(body)} bytes of addresses and TLVs")
    command = _LOCAL if header.local else _PROXY
    transport = _UNSPEC if header.local or header.family is Family.UNSPEC else _DGRAM if header.datagram else _STREAM
    family = 0 if header.local else header.family.value
    encoded = _FIXED.pack(V2_SIGNATURE, _VERSION << 4 | command, family << 4 | transport, len(body)) + body
    return encoded[:-4] + checksum(encoded).to_bytes(4, "big") if crc32c else encoded


def encode_v2_inet(source_packed4: bytes, sport: int, dest_packed4: bytes, dport: int) -> bytes:
    """PROXY, TCP over IPv4, no TLVs. Hot: one per connection handed over."""
    return _INET_HEADER.pack(V2_SIGNATURE, 0x21, 0x11, 12, source_packed4, dest_packed4, sport, dport)


def encode_v2_inet6(source_packed16: bytes, sport: int, dest_packed16: bytes, dport: int) -> bytes:
    """PROXY, TCP over IPv6, no TLVs. Hot: one per connection handed over."""
    return _INET6_HEADER.pack(V2_SIGNATURE, 0x21, 0x21, 36, source_packed16, dest_packed16, sport, dport)


def _check_fixed(fixed: bytes, datagrams: bool) -> None:
    """Judges version, command, family and transport, each if it is there."""
    if len(fixed) > 12:
        if fixed[12] >> 4 != _VERSION:
            raise refuse("proxy_v2_bad_version")
        if fixed[12] & 0x0F not in (_LOCAL, _PROXY):
            raise refuse("proxy_v2_bad_command")
    if len(fixed) > 13 and fixed[12] & 0x0F == _PROXY:  # LOCAL's family is ignored
        if fixed[13] >> 4 >= len(_FAMILIES) or fixed[13] & 0x0F > _DGRAM:
            raise refuse("proxy_v2_bad_family")
        if fixed[13] & 0x0F == _DGRAM and not datagrams:
            raise refuse("proxy_v2_datagram")


def _tlvs(header: bytes, start: int, local: bool) -> Tlvs:
    """The TLVs of a whole header, checked. In a LOCAL one what does not read as TLVs is not there."""
    if start == len(header) or (local and start > len(header)):
        return ()
    tlvs = split_tlvs(header[start:])
    if tlvs is None:
        if local:
            return ()
        raise refuse("proxy_v2_bad_tlv")
    if not local:
        check_lengths(tlvs)
    _check_checksum(header, start, tlvs)
    return tlvs


def _check_checksum(header: bytes, start: int, tlvs: Tlvs) -> None:
    """The checksum covers the whole header with its own four bytes zero. Two of them cannot both be right, so one is enough to refuse."""
    at, found = start, -1
    for kind, value in tlvs:
        if kind == TlvType.CRC32C:
            if found >= 0 or len(value) != 4:
                raise refuse("proxy_v2_bad_checksum")
            found = at + 3
        at += 3 + len(value)
    if found < 0:
        return
    zeroed = header[:found] + bytes(4) + header[found + 4 :]
    if checksum(zeroed) != int.from_bytes(header[found : found + 4], "big"):
        raise refuse("proxy_v2_bad_checksum")


def _addresses(header: bytes, family: Family) -> tuple[str, int, str, int]:
    """(source, source port, destination, destination port) of a whole header that is not local."""
    if family is Family.UNIX:
        source, destination = _UNIX_BLOCK.unpack_from(header, FIXED_BYTES)
        return _path_text(source), 0, _path_text(destination), 0
    block, text = (_INET_BLOCK, inet_text) if family is Family.INET else (_INET6_BLOCK, inet6_text)
    source, destination, source_port, destination_port = block.unpack_from(header, FIXED_BYTES)
    return text(source), source_port, text(destination), destination_port


def _address_block(header: ProxyHeader) -> bytes:
    if header.local or header.family is Family.UNSPEC:
        return b""
    if header.family is Family.UNIX:
        return _UNIX_BLOCK.pack(_path_bytes(header.source), _path_bytes(header.destination))
    source, destination = header.source_packed, header.destination_packed
    if not (source and destination):
        raise ValueError(f"not addresses of {header.family.name}: {header.source!r}, {header.destination!r}")
    if not (0 <= header.source_port <= 0xFFFF and 0 <= header.destination_port <= 0xFFFF):
        raise ValueError(f"not ports: {header.source_port}, {header.destination_port}")
    block = _INET_BLOCK if header.family is Family.INET else _INET6_BLOCK
    return block.pack(source, destination, header.source_port, header.destination_port)


def _path_text(field: bytes) -> str:
    """A path ends at the first NUL; an abstract name begins with one and ends where only NULs follow, so that a name padded to
    the whole field (HAProxy's `abns@`) and the same name unpadded read alike."""
    path = field.rstrip(b"\0") if field.startswith(b"\0") else field.partition(b"\0")[0]
    return path.decode("utf-8", "surrogateescape")


def _path_bytes(path: str) -> bytes:
    encoded = path.encode("utf-8", "surrogateescape")
    if len(encoded) > _SUN_PATH_BYTES:
        raise ValueError(f"a UNIX address has at most {_SUN_PATH_BYTES} bytes: {path!r}")
    return encoded  # the struct pads it with NULs
