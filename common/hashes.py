"""The hash functions of `hash-type` and of the converters that have their names, and their finisher. Sans-io.

Source: HAProxy manual 4.2 "hash-type", 7.3.1 "crc32", "djb2", "sdbm", "wt6"; Bob Jenkins' 4-byte full avalanche.

Every function takes bytes and returns an unsigned integer of 32 bits. They must give the numbers that HAProxy gives, because
two balancers in front of one farm only agree on a server when they agree on every bit of the hash; the test holds values
that a stock HAProxy returned.

sdbm and djb2 are polynomials over the bytes, modulo 2^32. Integers in Python do not overflow, so the remainder may be
taken rarely instead of once per byte; a block is small enough to stay cheap as a long integer.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

_MASK32 = 0xFFFFFFFF
_BLOCK_BYTES = 64  # keeps the integers below 1,100 bits

# sdbm and djb2 as sum(byte * factor^position): the last byte has factor^0.
_SDBM_FACTOR = 65599
_DJB2_FACTOR = 33
_DJB2_START = 5381

# What HAProxy does after Jenkins' function (seen in what its converters return): the lowest bits reach the highest.
_AVALANCHE_FACTOR = 0xC0000001


def sdbm(data: bytes) -> int:
    """The hash of the sdbm library: h = c + 65599 h, from 0."""
    return _polynomial(data, _SDBM_FACTOR, 0)


def djb2(data: bytes) -> int:
    """Dan Bernstein's hash: h = c + 33 h, from 5381."""
    return _polynomial(data, _DJB2_FACTOR, _DJB2_START)


def wt6(data: bytes) -> int:
    """Two words, rotated by amounts that depend on what was hashed before; made by Willy Tarreau for HAProxy."""
    left, right = 0xA53C965A, 0x5CA6953A
    turn_left, turn_right = 6, 18
    for byte in data:
        left = (left ^ byte) ^ _MASK32
        right = (right + byte & _MASK32) ^ _MASK32
        left, right = (
            (right << turn_left | right >> 32 - turn_left) & _MASK32,
            (left << turn_right | left >> 32 - turn_right) & _MASK32,
        )
        mixed = (left >> 16 ^ right) & 0xFFFF
        turn_left, turn_right = mixed & 31, mixed >> 11
    return left ^ right


def crc32(data: bytes) -> int:
    """The CRC of Ethernet, gzip and PNG."""
    return zlib.crc32(data)


def identity(data: bytes) -> int:
    """`hash-type … none`: the key is the hash already (made by a converter). Its last four bytes, big end first."""
    return int.from_bytes(data[-4:], "big")


def avalanche(value: int) -> int:
    """Mixes 32 bits so that every input bit changes about half of the output bits ("4-byte full avalanche")."""
    value = value + 0x7ED55D16 + (value << 12) & _MASK32
    value = value ^ 0xC761C23C ^ value >> 19
    value = value + 0x165667B1 + (value << 5) & _MASK32
    value = (value + 0xD3A2646C ^ value << 9) & _MASK32
    value = value + 0xFD7046C5 + (value << 3) & _MASK32
    value = value ^ 0xB55A4F09 ^ value >> 16
    return value * _AVALANCHE_FACTOR & _MASK32


FUNCTIONS: dict[str, Callable[[bytes], int]] = {"sdbm": sdbm, "djb2": djb2, "wt6": wt6, "crc32": crc32, "none": identity}
"""The functions that `hash-type` names."""


def _polynomial(data: bytes, factor: int, value: int) -> int:
    if len(data) <= _BLOCK_BYTES:
        for byte in data:
            value = value * factor + byte
        return value & _MASK32
    for start in range(0, len(data), _BLOCK_BYTES):
        for byte in data[start : start + _BLOCK_BYTES]:
            value = value * factor + byte
        value &= _MASK32
    return value
