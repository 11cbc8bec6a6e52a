"""The XXH32, XXH64 and XXH3 (64 bits) hash functions. Sans-io. Not for security.

Written here because a C library for a converter that few use would be one more dependency of every installation. Python's speed limits
them to short inputs: some microseconds for a URL.

Source: the xxHash specification, "XXH32 and XXH64 algorithm overview" and "XXH3 algorithm overview" (Y. Collet).
"""

from __future__ import annotations

import struct

_M32 = 0xFFFFFFFF
_M64 = 0xFFFFFFFFFFFFFFFF

_P32 = (0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1)
_P64 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def _rotate32(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _M32


def _rotate64(value: int, bits: int) -> int:
    return (value << bits | value >> (64 - bits)) & _M64


def xxh32(data: bytes, seed: int) -> int:
    """Unsigned 32 bits."""
    p1, p2, p3, p4, p5 = _P32
    seed &= _M32
    position, size = 0, len(data)
    if size >= 16:
        lanes = [(seed + p1 + p2) & _M32, (seed + p2) & _M32, seed, (seed - p1) & _M32]
        while position <= size - 16:
            for index, word in enumerate(struct.unpack_from("<4I", data, position)):
                lanes[index] = _rotate32((lanes[index] + word * p2) & _M32, 13) * p1 & _M32
            position += 16
        value = sum(_rotate32(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _M32
    else:
        value = (seed + p5) & _M32
    value = (value + size) & _M32
    while position <= size - 4:
        (word,) = struct.unpack_from("<I", data, position)
        value = _rotate32((value + word * p3) & _M32, 17) * p4 & _M32
        position += 4
    for byte in data[position:]:
        value = _rotate32((value + byte * p5) & _M32, 11) * p1 & _M32
    value = (value ^ value >> 15) * p2 & _M32
    value = (value ^ value >> 13) * p3 & _M32
    return value ^ value >> 16


def _round64(lane: int, word: int) -> int:
    return _rotate64((lane + word * _P64[1]) & _M64, 31) * _P64[0] & _M64


def xxh64(data: bytes, seed: int) -> int:
    """Unsigned 64 bits."""
    p1, p2, p3, p4, p5 = _P64
    seed &= _M64
    position, size = 0, len(data)
    if size >= 32:
        lanes = [(seed + p1 + p2) & _M64, (seed + p2) & _M64, seed, (seed - p1) & _M64]
        while position <= size - 32:
            for index, word in enumerate(struct.unpack_from("<4Q", data, position)):
                lanes[index] = _round64(lanes[index], word)
            position += 32
        value = sum(_rotate64(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _M64
        for lane in lanes:
            value = ((value ^ _round64(0, lane)) * p1 + p4) & _M64
    else:
        value = (seed + p5) & _M64
    value = (value + size) & _M64
    while position <= size - 8:
        (word,) = struct.unpack_from("<Q", data, position)
        value = (_rotate64(value ^ _round64(0, word), 27) * p1 + p4) & _M64
        position += 8
    if position <= size - 4:
        (word,) = struct.unpack_from("<I", data, position)
        value = (_rotate64((value ^ word * p1) & _M64, 23) * p2 + p3) & _M64
        position += 4
    for byte in data[position:]:
        value = _rotate64((value ^ byte * p5) & _M64, 11) * p1 & _M64
    return _avalanche64(value)


def _avalanche64(value: int) -> int:
    value = (value ^ value >> 33) * _P64[1] & _M64
    value = (value ^ value >> 29) * _P64[2] & _M64
    return value ^ value >> 32


# XXH3's default secret: 192 bytes fixed by its specification.
_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8a8"
    "fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364ea"
    "c5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e2b"
    "16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_PRIME_MX1 = 0x165667919E3779F9
_PRIME_MX2 = 0x9FB21C651E98DF25
_STRIPE_BYTES = 64
_SECRET_STEP_BYTES = 8
_SECRET_MINIMUM_BYTES = 136


def xxh3(data: bytes, seed: int) -> int:
    """Unsigned 64 bits: XXH3_64bits_withSeed."""
    seed &= _M64
    size = len(data)
    if size <= 16:
        return _xxh3_to_16(data, seed)
    if size <= 128:
        return _xxh3_to_128(data, seed)
    if size <= 240:
        return _xxh3_to_240(data, seed)
    return _xxh3_long(data, seed)


def _u64(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 8], "little")


def _u32(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 4], "little")


def _swap(value: int, size: int) -> int:
    return int.from_bytes(value.to_bytes(size, "little"), "big")


def _fold(one: int, other: int) -> int:
    product = one * other
    return (product & _M64) ^ product >> 64


def _avalanche3(value: int) -> int:
    value = (value ^ value >> 37) * _PRIME_MX1 & _M64
    return value ^ value >> 32


def _xxh3_to_16(data: bytes, seed: int) -> int:
    size = len(data)
    if size > 8:
        first = (_u64(_SECRET, 24) ^ _u64(_SECRET, 32)) + seed & _M64
        second = (_u64(_SECRET, 40) ^ _u64(_SECRET, 48)) - seed & _M64
        low = _u64(data, 0) ^ first
        high = _u64(data, size - 8) ^ second
        return _avalanche3((size + _swap(low, 8) + high + _fold(low, high)) & _M64)
    if size >= 4:
        seed ^= _swap(seed & _M32, 4) << 32
        combined = _u32(data, size - 4) + (_u32(data, 0) << 32)
        value = combined ^ ((_u64(_SECRET, 8) ^ _u64(_SECRET, 16)) - seed & _M64)
        value ^= _rotate64(value, 49) ^ _rotate64(value, 24)
        value = value * _PRIME_MX2 & _M64
        value ^= (value >> 35) + size
        value = value * _PRIME_MX2 & _M64
        return value ^ value >> 28
    if size:
        combined = data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8
        return _avalanche64((combined ^ (_u32(_SECRET, 0) ^ _u32(_SECRET, 4)) + seed) & _M64)
    return _avalanche64(seed ^ _u64(_SECRET, 56) ^ _u64(_SECRET, 64))


def _mix16(data: bytes, offset: int, secret: int, seed: int) -> int:
    return _fold(
        _u64(data, offset) ^ (_u64(_SECRET, secret) + seed & _M64),
        _u64(data, offset + 8) ^ (_u64(_SECRET, secret + 8) - seed & _M64),
    )


def _xxh3_to_128(data: bytes, seed: int) -> int:
    size = len(data)
    value = size * _P64[0] & _M64
    for step in range((size - 1) // 32, -1, -1):
        value += _mix16(data, 16 * step, 32 * step, seed)
        value += _mix16(data, size - 16 * (step + 1), 32 * step + 16, seed)
    return _avalanche3(value & _M64)


def _xxh3_to_240(data: bytes, seed: int) -> int:
    size = len(data)
    value = size * _P64[0] & _M64
    for step in range(8):
        value += _mix16(data, 16 * step, 16 * step, seed)
    value = _avalanche3(value & _M64)
    for step in range(8, size // 16):
        value += _mix16(data, 16 * step, 16 * (step - 8) + 3, seed)
    value += _mix16(data, size - 16, _SECRET_MINIMUM_BYTES - 17, seed)
    return _avalanche3(value & _M64)


def _xxh3_long(data: bytes, seed: int) -> int:
    secret = _seeded_secret(seed) if seed else _SECRET
    lanes = [_P32[2], _P64[0], _P64[1], _P64[2], _P64[3], _P32[1], _P64[4], _P32[0]]
    per_block = (len(secret) - _STRIPE_BYTES) // _SECRET_STEP_BYTES
    block = _STRIPE_BYTES * per_block
    blocks = (len(data) - 1) // block
    for number in range(blocks):
        for stripe in range(per_block):
            _accumulate(lanes, data, number * block + stripe * _STRIPE_BYTES, secret, stripe * _SECRET_STEP_BYTES)
        _scramble(lanes, secret, len(secret) - _STRIPE_BYTES)
    stripes = (len(data) - 1 - block * blocks) // _STRIPE_BYTES
    for stripe in range(stripes):
        _accumulate(lanes, data, blocks * block + stripe * _STRIPE_BYTES, secret, stripe * _SECRET_STEP_BYTES)
    _accumulate(lanes, data, len(data) - _STRIPE_BYTES, secret, len(secret) - _STRIPE_BYTES - 7)
    value = len(data) * _P64[0] & _M64
    for pair in range(4):
        offset = 11 + 16 * pair
        value += _fold(lanes[2 * pair] ^ _u64(secret, offset), lanes[2 * pair + 1] ^ _u64(secret, offset + 8))
    return _avalanche3(value & _M64)


def _seeded_secret(seed: int) -> bytes:
    output = b""
    for offset in range(0, len(_SECRET), 16):
        output += struct.pack("<QQ", _u64(_SECRET, offset) + seed & _M64, _u64(_SECRET, offset + 8) - seed & _M64)
    return output


def _accumulate(lanes: list[int], data: bytes, offset: int, secret: bytes, secret_offset: int) -> None:
    for index in range(8):
        word = _u64(data, offset + 8 * index)
        keyed = word ^ _u64(secret, secret_offset + 8 * index)
        lanes[index ^ 1] = lanes[index ^ 1] + word & _M64
        lanes[index] = lanes[index] + (keyed & _M32) * (keyed >> 32) & _M64


def _scramble(lanes: list[int], secret: bytes, offset: int) -> None:
    for index in range(8):
        value = lanes[index]
        value ^= value >> 47
        value ^= _u64(secret, offset + 8 * index)
        lanes[index] = value * _P32[0] & _M64
