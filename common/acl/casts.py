"""Turning a sample of one type into another where an expression needs it. Sans-io.

Source: HAProxy configuration manual 7.1 (compatibility matrix) and 7.3; the corners (which pairs exist, how "12x" becomes 12) were
compared with a running HAProxy 2.6.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any

from common.acl.addresses import V4_MAPPED, format_address, parse_address, parse_ipv4, parse_ipv6, to_ipv6
from common.acl.types import SampleType, Typed, clamp

Cast = Callable[[Any], Any]  # value -> value, or None when this value does not cast

_NUMBER = re.compile(rb"([+-]?)([0-9]*)")


def same(value: Any) -> Any:
    """The cast that does nothing. Compilers leave it out: compare with `is`."""
    return value


def integer_of(text: bytes) -> int | None:
    """The number a text begins with; 0 if it begins with none; None if it is empty. Saturates at 64 bits."""
    if not text:
        return None
    match = _NUMBER.match(text)
    assert match is not None  # every part is optional
    digits = match[2][:20]  # more than 19 digits saturate anyway
    number = int(digits) if digits else 0
    return clamp(-number if match[1] == b"-" else number)


def text_of(typed: Typed) -> bytes:
    """A variable's value as text; every type has one."""
    result = TO_TEXT[typed.type](typed.value)
    assert isinstance(result, bytes)
    return result


def _text_of_integer(value: int) -> bytes:
    return b"%d" % value


def _binary_of_integer(value: int) -> bytes:
    return struct.pack(">q", value)


def _address_of_integer(value: int) -> bytes:
    return struct.pack(">I", value & 0xFFFFFFFF)


def _integer_of_address(value: bytes) -> int | None:
    return int.from_bytes(value, "big") if len(value) == 4 else None


def _ipv4_of_ipv6(value: bytes) -> bytes | None:
    if len(value) == 4:
        return value
    return value[12:] if value[:12] == V4_MAPPED else None


def _boolean_of_text(value: bytes) -> bool | None:
    number = integer_of(value)
    return None if number is None else number != 0


def _address_of_binary(value: bytes) -> bytes | None:
    return value if len(value) in (4, 16) else None


_B, _I, _S, _N = SampleType.BOOL, SampleType.INT, SampleType.STR, SampleType.BIN
_4, _6, _A, _M = SampleType.IPV4, SampleType.IPV6, SampleType.ADDR, SampleType.METHOD

_CASTS: dict[tuple[SampleType, SampleType], Cast] = {
    (_B, _I): int,
    (_B, _S): _text_of_integer,
    (_B, _N): _binary_of_integer,
    (_I, _B): bool,
    (_I, _S): _text_of_integer,
    (_I, _N): _binary_of_integer,
    (_I, _4): _address_of_integer,
    (_I, _A): _address_of_integer,
    (_S, _B): _boolean_of_text,
    (_S, _I): integer_of,
    (_S, _N): same,
    (_S, _4): parse_ipv4,
    (_S, _6): parse_ipv6,
    (_S, _A): parse_address,
    (_S, _M): same,
    (_N, _S): same,
    (_N, _A): _address_of_binary,
    (_4, _I): _integer_of_address,
    (_4, _S): format_address,
    (_4, _N): same,
    (_4, _6): to_ipv6,
    (_4, _A): same,
    (_6, _S): format_address,
    (_6, _N): same,
    (_6, _4): _ipv4_of_ipv6,
    (_6, _A): same,
    (_A, _I): _integer_of_address,
    (_A, _S): format_address,
    (_A, _N): same,
    (_A, _4): _ipv4_of_ipv6,
    (_A, _6): to_ipv6,
    (_M, _S): same,
    (_M, _N): same,
}

TO_TEXT: dict[SampleType, Cast] = {source: same if source is _S else _CASTS[source, _S] for source in (_B, _I, _S, _N, _4, _6, _A, _M)}


def cast(source: SampleType, target: SampleType) -> Cast | None:
    """The function from one type to another; None if there is none. From ANY: decides on each `Typed`. To ANY: makes one."""
    if source is target:
        return same
    if source is SampleType.ANY:
        return _from_any(target)
    if target is SampleType.ANY:
        return wrapper(source)
    return _CASTS.get((source, target))


def _from_any(target: SampleType) -> Cast:
    def convert(typed: Typed) -> Any:
        if typed.type is target:
            return typed.value
        function = _CASTS.get((typed.type, target))
        return None if function is None else function(typed.value)

    return convert


def wrapper(source: SampleType) -> Cast:
    """The function that makes a `Typed` of a bare value."""
    if source is SampleType.ANY:
        return same
    if source is SampleType.ADDR:
        return lambda value: Typed(_4 if len(value) == 4 else _6, value)
    return lambda value: Typed(source, value)
