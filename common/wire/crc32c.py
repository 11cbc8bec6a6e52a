"""CRC32c (Castagnoli), the checksum of a PROXY v2 header. Sans-io. Source: RFC 4960 appendix B, RFC 3720 appendix B.4.

One table look-up per byte. The standard library has only zlib's other polynomial, and a header with a checksum is at most
a few hundred bytes long and comes once per connection: not worth a compiled dependency.
"""

from __future__ import annotations

_POLYNOMIAL_REFLECTED = 0x82F63B78


def _table_entry(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (_POLYNOMIAL_REFLECTED if value & 1 else 0)
    return value


_TABLE = tuple(_table_entry(value) for value in range(256))


def crc32c(data: bytes) -> int:
    """The checksum of `data`, 0 … 2^32-1."""
    table = _TABLE
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF
