"""The types of samples. Sans-io. Source: HAProxy configuration manual 7.1 (types), 7.3 (casts).

A sample's type is known when the configuration is read, so values travel bare, without a tag:

    bool             bool
    int              int, signed 64 bits (`wrap`)
    str, bin         bytes; two types because casts differ ("bin" becomes text as upper-case hex)
    ipv4, ipv6       bytes, packed: 4 or 16
    addr             bytes, packed, either; the length tells
    method           bytes ("GET")
    any              `Typed`: only variables, whose type is known at run time; the one place where a value carries its type

None stands for "no sample" everywhere.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

Value = bool | int | bytes


class SampleType(Enum):
    BOOL = "boolean"
    INT = "integer"
    STR = "string"
    BIN = "binary"
    IPV4 = "ipv4"
    IPV6 = "ipv6"
    ADDR = "address"
    METHOD = "method"
    ANY = "any"


class Typed(NamedTuple):
    """A value that carries its type, which is never ANY (and never ADDR: the length settles it)."""

    type: SampleType
    value: Value


Variables = dict[str, Typed]

INT_MIN = -(2**63)
INT_MAX = 2**63 - 1


def wrap(number: int) -> int:
    """The number as signed 64 bits, two's complement."""
    if INT_MIN <= number <= INT_MAX:
        return number
    return (number - INT_MIN) % 2**64 + INT_MIN


def clamp(number: int) -> int:
    """The number, or the nearest signed 64 bits have: HAProxy's arithmetic converters saturate."""
    return INT_MIN if number < INT_MIN else INT_MAX if number > INT_MAX else number
