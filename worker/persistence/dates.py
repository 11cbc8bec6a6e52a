"""Dates as they stand in persistence cookies: `SRV=s1|LAST|FIRST`, when it was last sent and when it was first. Sans-io.

Five letters of the base64 alphabet carry 30 bits, most significant first: seconds since 1970 divided by four. Rounding goes up, so a
date that was just written lies up to four seconds ahead.
Source: HAProxy manual 4.2 "cookie" (maxidle, maxlife); the form was seen in cookies of a stock HAProxy.
"""

from __future__ import annotations

LETTERS = 5
SECONDS_PER_STEP = 4
FUTURE_MAX_S = 86400
"""A date further ahead than this is no date of ours: the cookie is ignored (manual: 24 hours)."""

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}


def encode_date(seconds: float) -> bytes:
    steps = (int(seconds) + SECONDS_PER_STEP - 1) // SECONDS_PER_STEP
    return bytes(_ALPHABET[steps >> shift & 63] for shift in (24, 18, 12, 6, 0))


def decode_date(text: bytes) -> int:
    """The seconds that the first five letters say; 0 when they are none."""
    if len(text) < LETTERS:
        return 0
    steps = 0
    for letter in text[:LETTERS]:
        value = _VALUES.get(letter)
        if value is None:
            return 0
        steps = steps << 6 | value
    return steps * SECONDS_PER_STEP


def is_outside(date: int, now: float, limit_s: int) -> bool:
    """Whether this date lies further back than the limit, or too far ahead. No date is never outside, without a limit none is."""
    return bool(limit_s and date) and (now - date > limit_s or date - now > FUTURE_MAX_S)
