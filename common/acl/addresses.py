"""IP addresses as packed bytes: to and from text, and networks. Sans-io.

Packed bytes are what the kernel and the PROXY protocol give, compare fast and hash fast; text is made only for logs and headers.
The text is inet_ntop's: "::ffff:192.0.2.1" and "::192.0.2.1" keep their dotted tail.

Source: HAProxy configuration manual 7.1.6; RFC 4291 section 2.2; RFC 5952.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

ADDRESSES_KEPT = 4096  # as text: a client's is asked for with each of its requests
V4_MAPPED = b"\0" * 10 + b"\xff\xff"
_DOTTED = re.compile(rb"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}")


def parse_ipv4(text: bytes) -> bytes | None:
    """Four decimal octets, as inet_pton takes them; None for anything else."""
    return bytes(map(int, text.split(b"."))) if _DOTTED.fullmatch(text) else None


def parse_ipv6(text: bytes) -> bytes | None:
    """Without brackets and without zone."""
    if b":" not in text or b"%" in text:
        return None
    try:
        return ipaddress.IPv6Address(text.decode("ascii")).packed
    except ValueError:  # UnicodeDecodeError is one
        return None


def parse_address(text: bytes) -> bytes | None:
    return parse_ipv4(text) or parse_ipv6(text)


@lru_cache(maxsize=ADDRESSES_KEPT)
def format_address(packed: bytes) -> bytes:
    """Text of 4 or 16 bytes; b"" for b""."""
    if len(packed) == 4:
        return b"%d.%d.%d.%d" % tuple(packed)
    return _format_ipv6(packed) if packed else b""


def _format_ipv6(packed: bytes) -> bytes:
    if packed[:12] == V4_MAPPED:
        return b"::ffff:" + format_address(packed[12:])
    if not any(packed[:12]) and any(packed[12:14]):
        return b"::" + format_address(packed[12:])
    return ipaddress.IPv6Address(packed).compressed.encode()


def to_ipv6(packed: bytes) -> bytes:
    """IPv4 as ::ffff:a.b.c.d; IPv6 as it is."""
    return V4_MAPPED + packed if len(packed) == 4 else packed


def embedded_ipv4(packed: bytes) -> bytes | None:
    """The IPv4 address inside ::ffff:a.b.c.d, ::a.b.c.d or 2002:a.b.c.d:: (manual 7.1.6), else None."""
    if packed[:12] == V4_MAPPED:
        return packed[12:]
    if packed[:2] == b"\x20\x02":  # 6to4
        return packed[2:6]
    return packed[12:] if not any(packed[:12]) else None


def mask(packed: bytes, bits: int) -> bytes:
    """The address with everything after its first `bits` bits cleared."""
    width = len(packed) * 8
    kept = int.from_bytes(packed, "big") >> (width - bits) << (width - bits)
    return kept.to_bytes(len(packed), "big")
