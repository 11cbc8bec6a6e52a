"""Hash functions that HAProxy's converters and load balancing share. Sans-io. None of them is for security.

djb2, sdbm, wt6 and crc32 give what HAProxy gives, so that stick tables, `hash-type` and other software agree. xxh32, xxh64 and xxh3
are in xxhash.py.

Source: HAProxy configuration manual 4.2 "hash-type", 7.3.1 "crc32", "crc32c", "djb2", "sdbm", "wt6"; results compared with a running
HAProxy 2.6.
"""

from __future__ import annotations

import zlib

_M32 = 0xFFFFFFFF


def full_avalanche(value: int) -> int:
    """Bob Jenkins' 32-bit integer mix ("full avalanche") and a last multiplication, which HAProxy puts after a weak hash."""
    value = (value + 0x7ED55D16 + (value << 12)) & _M32
    value = (value ^ 0xC761C23C ^ (value >> 19)) & _M32
    value = (value + 0x165667B1 + (value << 5)) & _M32
    value = ((value + 0xD3A2646C) ^ (value << 9)) & _M32
    value = (value + 0xFD7046C5 + (value << 3)) & _M32
    return (value ^ 0xB55A4F09 ^ (value >> 16)) * 0xC0000001 & _M32


def _finish(value: int, avalanche: bool) -> int:
    return full_avalanche(value) if avalanche else value


def djb2(data: bytes, avalanche: bool = False) -> int:
    value = 5381
    for byte in data:
        value = (value * 33 + byte) & _M32
    return _finish(value, avalanche)


def sdbm(data: bytes, avalanche: bool = False) -> int:
    value = 0
    for byte in data:
        value = (value * 65599 + byte) & _M32
    return _finish(value, avalanche)


def wt6(data: bytes, avalanche: bool = False) -> int:
    """Willy Tarreau's hash: two halves rotated by amounts that the data choose."""
    first, second, turn_first, turn_second = 0xA53C965A, 0x5CA6953A, 6, 18
    for byte in data:
        first = ~(first ^ byte) & _M32
        second = ~(second + byte) & _M32
        rotated = (second << turn_first | second >> (32 - turn_first)) & _M32
        second = (first << turn_second | first >> (32 - turn_second)) & _M32
        first = rotated
        mixed = (first >> 16 ^ second) & 0xFFFF
        turn_first, turn_second = mixed & 0x1F, mixed >> 11
    return _finish(first ^ second, avalanche)


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CRC32C = _crc32c_table()


def crc32(data: bytes, avalanche: bool = False) -> int:
    return _finish(zlib.crc32(data), avalanche)


def crc32c(data: bytes, avalanche: bool = False) -> int:
    """Castagnoli's polynomial, as in iSCSI and SCTP (RFC 4960, appendix B)."""
    value = _M32
    for byte in data:
        value = value >> 8 ^ _CRC32C[(value ^ byte) & 0xFF]
    return _finish(value ^ _M32, avalanche)
