"""Addresses and networks as ACLs, maps and masks write them. Sans-io. Source: HAProxy configuration manual 7.1.6."""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.acl.addresses import mask, parse_ipv4, parse_ipv6
from common.errors import ExpressionError

_ABBREVIATED = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){0,3}")


@dataclass(frozen=True, slots=True)
class Network:
    """address: packed, bits after the prefix cleared."""

    address: bytes
    bits: int


def parse_network(text: bytes) -> Network:
    """ "10.0.0.0/8", "10.0.0.0/255.0.0.0", "127.1", "2001:db8::/32". Raises ExpressionError.

    Abbreviated IPv4 leaves out zero octets before the last one: 127.1 is 127.0.0.1 (not as in CIDR notation).
    """
    host, slash, length = text.partition(b"/")
    address = _expand(host) or parse_ipv6(host)
    if address is None:
        raise ExpressionError(
            f'"{text.decode("latin-1")}" is not an IPv4 or IPv6 address or network',
            hint="names are not resolved here: write the address",
        )
    bits = len(address) * 8
    if slash:
        bits = parse_ipv4_mask(length) if len(address) == 4 else parse_ipv6_mask(length)
    return Network(mask(address, bits), bits)


def parse_ipv4_mask(text: bytes) -> int:
    """Prefix length of "24" or "255.255.255.0"."""
    dotted = parse_ipv4(text)
    if dotted is not None:
        return _contiguous(dotted, text)
    return _length(text, 32)


def parse_ipv6_mask(text: bytes) -> int:
    """Prefix length of "64" or "ffff:ffff::"."""
    packed = parse_ipv6(text)
    if packed is not None:
        return _contiguous(packed, text)
    return _length(text, 128)


def _contiguous(packed: bytes, text: bytes) -> int:
    width = len(packed) * 8
    number = int.from_bytes(packed, "big")
    bits = number.bit_count()
    if number != ((1 << bits) - 1) << (width - bits):
        raise ExpressionError(f'"{text.decode("latin-1")}" is not a netmask: its ones must come first')
    return bits


def _length(text: bytes, most: int) -> int:
    if not text.isdigit() or int(text) > most:
        raise ExpressionError(f'"{text.decode("latin-1")}" is not a netmask: a prefix length from 0 to {most}, or an address of ones')
    return int(text)


def _expand(text: bytes) -> bytes | None:
    if not _ABBREVIATED.fullmatch(text):
        return None
    octets = [int(part) for part in text.split(b".")]
    if any(octet > 255 for octet in octets):
        return None
    return bytes(octets[:-1] + [0] * (4 - len(octets)) + octets[-1:])
