"""Hash functions that HAProxy's converters and load balancing share. Sans-io. None of them is for security.

djb2, sdbm, wt6 and crc32 give what HAProxy gives, so that stick tables, `hash-type` and other software agree. xxh32, xxh64 and xxh3
are in xxhash.py.

Source: HAProxy configuration manual 4.2 "hash-type", 7.3.1 "crc32", "crc32c", "djb2", "sdbm", "wt6"; results compared with a running
HAProxy 2.6.
"""

from __future__ import annotations

_M32 = 0xFFFFFFFF


def full_avalanche(value: int) -> int:
    """Bob Jenkins' 32-bit integer mix ("full avalanche"), which HAProxy puts after a weak hash."""
    value = (value + 0x7ED55D16 + (value << 12)) & _M32
    value = (value ^ 0xC761C23C ^ (value >> 19)) & _M32
    value = (value + 0x165667B1 + (value << 5)) & _M32
    value = ((value + 0xD3A2646C) ^ (value << 9)) & _M32
    value = (value + 0xFD7046C5 + (value << 3)) & _M32
    return (value ^ 0xB55A4F09 ^ (value >> 16)) & _M32


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
