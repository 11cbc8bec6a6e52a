"""PROXY protocol version 1: one line of text. Sans-io. Source: PROXY protocol specification, section 2.1.

The line is taken whole or not at all, and refused at the first byte that cannot belong to one:

    PROXY TCP4 <source> <destination> <source port> <destination port> CR LF
    PROXY TCP6 …
    PROXY UNKNOWN [anything] CR LF

Where peers differ we follow the text: `PROXY UNKNOWN` followed by anything up to CR LF within 107 bytes is accepted
(HAProxy refuses all but the bare form); 198.51.100.256, 198.51.100, 01.2.3.4, port 080 and port 65536 are refused (HAProxy
reads each of them as something else). IPv6 with its last 32 bits as a dotted quad, which the text does not know, is
accepted as HAProxy accepts it.
"""

from __future__ import annotations

import re
from typing import Final

from common.wire.address_text import inet6_packed, inet6_text, inet_packed, inet_text
from common.wire.proxy_header import Family, ProxyHeader
from common.wire.reasons import refuse

V1_SIGNATURE: Final = b"PROXY "
LINE_BYTES_MAX: Final = 107  # CR LF included
UNKNOWN_LINE: Final = b"PROXY UNKNOWN\r\n"  # the shortest line of all
V1_BYTES_MIN: Final = len(UNKNOWN_LINE)

_FAMILIES = {b"TCP4": Family.INET, b"TCP6": Family.INET6}
_FAMILY_NAMES = {family: name for name, family in _FAMILIES.items()}
_BEGINNINGS = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN ", UNKNOWN_LINE)
_PORT = re.compile(rb"0|[1-9][0-9]{0,4}")
_PORT_MAX = 0xFFFF

# What a line without its LF can look like. Alphabets and lengths only: numbers are judged when they are complete.
_BEGUN = rb"(?:[%b]{1,%d}(?: (?:[%b]{1,%d}(?: (?:[0-9]{1,5}(?: (?:[0-9]{1,5}\r?)?)?)?)?)?)?)?"
_ADDRESSES_BEGUN = {
    b"PROXY TCP4 ": re.compile(b"PROXY TCP4 " + _BEGUN % (rb"0-9.", 15, rb"0-9.", 15)),
    b"PROXY TCP6 ": re.compile(b"PROXY TCP6 " + _BEGUN % (rb"0-9A-Fa-f:.", 45, rb"0-9A-Fa-f:.", 45)),
}

# The shortest forms of the fields of a line, for `wanted_v1`: "1.1.1.1" or "::", twice, then two ports.
_FIELD_BYTES_MIN = {b"TCP4": (5, 4, 7, 7, 1, 1), b"TCP6": (5, 4, 2, 2, 1, 1)}


def decode_v1(data: bytes | bytearray | memoryview) -> tuple[ProxyHeader, int] | None:
    """(header, bytes of the line), None while more is needed. `data` begins like V1_SIGNATURE, so far. Raises WireError."""
    begun = bytes(data[:LINE_BYTES_MAX])
    end = begun.find(b"\r\n")
    if end < 0:
        _check_begun(begun)
        return None
    return _decode_line(begun[:end]), end + 2


def encode_v1(header: ProxyHeader) -> bytes:
    """The line. What version 1 cannot say (UNIX, datagrams) is UNKNOWN, as HAProxy's `send-proxy` does; TLVs are left out.

    Raises ValueError for an address or port that is none.
    """
    name = _FAMILY_NAMES.get(header.family)
    if header.local or header.datagram or name is None:
        return UNKNOWN_LINE
    source, destination = header.source_packed, header.destination_packed
    if not (source and destination):
        raise ValueError(f"not addresses of {header.family.name}: {header.source!r}, {header.destination!r}")
    if not (0 <= header.source_port <= _PORT_MAX and 0 <= header.destination_port <= _PORT_MAX):
        raise ValueError(f"not ports: {header.source_port}, {header.destination_port}")
    text = inet_text if header.family is Family.INET else inet6_text  # the shortest spelling: others could pass the limit
    addresses = f"{text(source)} {text(destination)} {header.source_port} {header.destination_port}\r\n"
    return V1_SIGNATURE + name + b" " + addresses.encode("ascii")


def wanted_v1(data: bytes) -> int:
    """How many bytes may be read behind `data`, which begins a good line, without reading past its end; 0 when it is whole.

    Where a line ends shows only when it has ended, so this is what the shortest completion takes: a reader needs some
    ten reads for a line. (Peeking, then reading what decode says, needs two.)
    """
    if data.find(b"\r\n") >= 0:
        return 0
    if data.endswith(b"\r"):
        return 1
    fields = data.split(b" ")
    if len(fields) == 1 or fields[1] not in _FIELD_BYTES_MIN:
        return max(2, V1_BYTES_MIN - len(data))
    lengths = _FIELD_BYTES_MIN[fields[1]]
    behind = lengths[len(fields) :]  # the fields not yet begun, each after one space
    return max(0, lengths[len(fields) - 1] - len(fields[-1])) + len(behind) + sum(behind) + 2


def _check_begun(begun: bytes) -> None:
    """Raises WireError unless more bytes can make a line of `begun`, which has no CR LF."""
    if not any(begun.startswith(beginning) or beginning.startswith(begun) for beginning in _BEGINNINGS):
        raise refuse("proxy_v1_bad_family")
    if len(begun) == LINE_BYTES_MAX:
        raise refuse("proxy_v1_too_long")
    pattern = _ADDRESSES_BEGUN.get(begun[:11])
    if pattern and not pattern.fullmatch(begun):
        raise refuse("proxy_v1_bad_line")


def _decode_line(line: bytes) -> ProxyHeader:
    """The header that a line without its CR LF says."""
    if line == b"PROXY UNKNOWN" or line.startswith(b"PROXY UNKNOWN "):
        return ProxyHeader(1, True, Family.UNSPEC)
    fields = line.split(b" ")
    family = _FAMILIES.get(fields[1])
    if family is None:
        raise refuse("proxy_v1_bad_family")
    if len(fields) != 6:
        raise refuse("proxy_v1_bad_line")
    source, destination = _address(fields[2], family), _address(fields[3], family)
    return ProxyHeader(1, False, family, source, _port(fields[4]), destination, _port(fields[5]))


def _address(field: bytes, family: Family) -> str:
    text = field.decode("latin-1")
    if family is Family.INET and inet_packed(text):
        return text
    packed = inet6_packed(text) if family is Family.INET6 else None
    if packed is None:
        raise refuse("proxy_v1_bad_address")
    return inet6_text(packed)


def _port(field: bytes) -> int:
    if not _PORT.fullmatch(field) or int(field) > _PORT_MAX:
        raise refuse("proxy_v1_bad_port")
    return int(field)
