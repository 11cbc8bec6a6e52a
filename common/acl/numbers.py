"""Numbers and ranges as ACLs and maps write them, with their operators. Sans-io. Source: HAProxy configuration manual 7.1.2."""

from __future__ import annotations

import re

from common.acl.types import INT_MAX, INT_MIN
from common.errors import ExpressionError

Bounds = tuple[int, int]  # inclusive

OPERATORS = ("eq", "ge", "gt", "le", "lt")

_SINGLE = re.compile(rb"[+-]?[0-9]+")
_RANGE = re.compile(rb"([0-9]*):([0-9]*)")
_DOTTED = re.compile(rb"([0-9]+)(?:\.([0-9]+))?")
_DOTTED_RANGE = re.compile(rb"([0-9.]*):([0-9.]*)")


def parse_range(text: bytes) -> Bounds:
    """ "5", "-5", "1:10", ":10", "1:". Raises ExpressionError."""
    if _SINGLE.fullmatch(text):
        number = _checked(int(text), text)
        return number, number
    match = _RANGE.fullmatch(text)
    if not match:
        raise ExpressionError(f'"{text.decode("latin-1")}" is not a number or a range such as 1:10')
    low = int(match[1]) if match[1] else INT_MIN
    high = int(match[2]) if match[2] else INT_MAX
    return _ordered(low, high, text, bool(match[1] or match[2]))


def parse_version_range(text: bytes) -> Bounds:
    """The same for "major.minor" versions (req.ssl_ver): 3.1 is 3 * 65536 + 1."""
    if _DOTTED.fullmatch(text):
        number = _version(text)
        return number, number
    match = _DOTTED_RANGE.fullmatch(text)
    if not match or not all(part == b"" or _DOTTED.fullmatch(part) for part in match.groups()):
        raise ExpressionError(f'"{text.decode("latin-1")}" is not a version or a range such as 3:3.1')
    low = _version(match[1]) if match[1] else INT_MIN
    high = _version(match[2]) if match[2] else INT_MAX
    return _ordered(low, high, text, bool(match[1] or match[2]))


def operate(operator: str, bounds: Bounds) -> Bounds:
    """The bounds after an operator. On a single number it opens one side; on a range it only moves the edge by one, as HAProxy does."""
    low, high = bounds
    single = low == high
    if operator == "gt":
        return low + 1, INT_MAX if single else high
    if operator == "ge":
        return low, INT_MAX if single else high
    if operator == "lt":
        return INT_MIN if single else low, high - 1
    if operator == "le":
        return INT_MIN if single else low, high
    return bounds


def _version(text: bytes) -> int:
    match = _DOTTED.fullmatch(text)
    assert match is not None
    return (int(match[1]) << 16) + int(match[2] or 0)


def _checked(number: int, text: bytes) -> int:
    if not INT_MIN <= number <= INT_MAX:
        raise ExpressionError(f'"{text.decode("latin-1")}" does not fit in 64 bits')
    return number


def _ordered(low: int, high: int, text: bytes, any_bound: bool) -> Bounds:
    if low > high or not any_bound:
        raise ExpressionError(f'"{text.decode("latin-1")}" is not a range: its lower bound comes first, and one of both must be there')
    return _checked(low, text), _checked(high, text)
