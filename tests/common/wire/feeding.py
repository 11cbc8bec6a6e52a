"""Feeding a decoder that takes all bytes so far and says None while it needs more."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from common.errors import WireError

T = TypeVar("T")


def outcome(decode: Callable[[bytes], T | None], data: bytes) -> T | str | None:
    """What decode returns, or the slug of its refusal."""
    try:
        return decode(data)
    except WireError as error:
        assert error.status == 400
        return error.slug


def first_outcome(decode: Callable[[bytes], T | None], data: bytes) -> tuple[T | str | None, int]:
    """(the first outcome but None, the bytes it took) when the bytes come one by one; (None, all) when there is none."""
    for size in range(len(data) + 1):
        found = outcome(decode, data[:size])
        if found is not None:
            return found, size
    return None, len(data)


def check_monotonic(decode: Callable[[bytes], T | None], data: bytes) -> None:
    """Once a verdict is there, more bytes do not change it: a refusal stays one, an acceptance stays the same."""
    found, size = first_outcome(decode, data)
    whole = outcome(decode, data)
    if isinstance(found, str):
        assert isinstance(whole, str), (found, size, whole)
    else:
        assert whole == found
