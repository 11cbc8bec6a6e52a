"""Hash functions of `hash-type`, of the converters, and their finisher. Sans-io.

Source: HAProxy manual 4.2 "hash-type", 7.3.1 (converters crc32, crc32c, djb2, sdbm, wt6, xxh32, xxh64); RFC 4960 appendix B
(crc32c); the xxHash specification; Bob Jenkins' 4-byte full avalanche.

Every function takes bytes and returns an unsigned integer of 32 bits (xxh64: 64). They must give the numbers that HAProxy
gives, because two balancers in front of one farm only agree on a server when they agree on every bit of the hash; the test
holds values that a stock HAProxy returned.

sdbm and djb2 are polynomials over the bytes, modulo 2^32. Integers in Python do not overflow, so the remainder may be
taken rarely instead of once per byte; a block is small enough to stay cheap as a long integer.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from struct import iter_unpack, unpack_from

from common.wire.crc32c import crc32c

__all__ = ["FUNCTIONS", "avalanche", "crc32", "crc32c", "djb2", "identity", "sdbm", "wt6", "xxh32", "xxh64"]

_MASK32 = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF
_BLOCK_BYTES = 64  # measured: between 32 and 128 the cost per byte is the same

# sdbm and djb2 as sum(byte * factor^position): the last byte has factor^0.
_SDBM_FACTOR = 65599
_DJB2_FACTOR = 33
_DJB2_START = 5381

# What HAProxy does after Jenkins' function (seen in what its converters return): the lowest bits reach the highest.
_AVALANCHE_FACTOR = 0xC0000001

_XXH32_PRIMES = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1)
_XXH64_PRIMES = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


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


def xxh32(data: bytes, seed: int = 0) -> int:
    """xxHash, 32 bits."""
    prime1, prime2, prime3, prime4, prime5 = _XXH32_PRIMES
    length = len(data)
    whole = length & ~15
    if whole:
        lane1, lane2, lane3, lane4 = seed + prime1 + prime2, seed + prime2, seed, seed - prime1
        for word1, word2, word3, word4 in iter_unpack("<4L", data[:whole]):
            lane1 = _rotate32(lane1 + word1 * prime2, 13) * prime1
            lane2 = _rotate32(lane2 + word2 * prime2, 13) * prime1
            lane3 = _rotate32(lane3 + word3 * prime2, 13) * prime1
            lane4 = _rotate32(lane4 + word4 * prime2, 13) * prime1
        value = _rotate32(lane1, 1) + _rotate32(lane2, 7) + _rotate32(lane3, 12) + _rotate32(lane4, 18)
    else:
        value = seed + prime5
    value += length
    words_end = length & ~3
    for (word,) in iter_unpack("<L", data[whole:words_end]):
        value = _rotate32(value + word * prime3, 17) * prime4
    for byte in data[words_end:]:
        value = _rotate32(value + byte * prime5, 11) * prime1
    value &= _MASK32
    value = (value ^ value >> 15) * prime2 & _MASK32
    value = (value ^ value >> 13) * prime3 & _MASK32
    return value ^ value >> 16


def xxh64(data: bytes, seed: int = 0) -> int:
    """xxHash, 64 bits."""
    prime1, prime2, prime3, prime4, prime5 = _XXH64_PRIMES
    length = len(data)
    whole = length & ~31
    if whole:
        lanes = [seed + prime1 + prime2, seed + prime2, seed, seed - prime1]
        for words in iter_unpack("<4Q", data[:whole]):
            lanes = [_round64(lane, word) for lane, word in zip(lanes, words, strict=True)]
        value = sum(_rotate64(lane, turn) for lane, turn in zip(lanes, (1, 7, 12, 18), strict=True))
        for lane in lanes:
            value = (value ^ _round64(0, lane)) * prime1 + prime4
    else:
        value = seed + prime5
    value = value + length & _MASK64
    words_end = length & ~7
    for (word,) in iter_unpack("<Q", data[whole:words_end]):
        value = _rotate64(value ^ _round64(0, word), 27) * prime1 + prime4
    if length - words_end >= 4:
        value = _rotate64((value ^ unpack_from("<L", data, words_end)[0] * prime1) & _MASK64, 23) * prime2 + prime3
        words_end += 4
    for byte in data[words_end:]:
        value = _rotate64((value ^ byte * prime5) & _MASK64, 11) * prime1
    value &= _MASK64
    value = (value ^ value >> 33) * prime2 & _MASK64
    value = (value ^ value >> 29) * prime3 & _MASK64
    return value ^ value >> 32


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


def _rotate32(value: int, turn: int) -> int:
    value &= _MASK32
    return (value << turn | value >> 32 - turn) & _MASK32


def _rotate64(value: int, turn: int) -> int:
    value &= _MASK64
    return (value << turn | value >> 64 - turn) & _MASK64


def _round64(lane: int, word: int) -> int:
    return _rotate64(lane + word * _XXH64_PRIMES[1], 31) * _XXH64_PRIMES[0] & _MASK64
