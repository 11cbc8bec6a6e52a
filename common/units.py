"""Times and sizes as HAProxy writes them (manual 2.5 "Time format", 2.6 "Size format"), to seconds and bytes and back. Sans-io."""

from __future__ import annotations

import re
from math import inf

_TIME = re.compile(r"([0-9]+)(us|ms|s|m|h|d)?")
_TIME_PARTS = re.compile(r"([0-9]+)(us|ms|s|m|h|d)")
_SIZE = re.compile(r"([0-9]+)([kKmMgG])?")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}

TIME_MS_MAX = 2**31 - 1


def parse_time(text: str, unit: str = "ms") -> float:
    """Seconds of a time such as "10", "10s" or "1h30m"; a bare number counts in `unit`.

    Raises ValueError, with a sentence for the operator, on anything else and above 2^31-1 ms (about 24 days).
    """
    match = _TIME.fullmatch(text)
    if match:
        seconds = int(match[1]) * _SECONDS[match[2] or unit]
    elif text and sum(len(part[0]) for part in _TIME_PARTS.finditer(text)) == len(text):
        seconds = sum(int(part[1]) * _SECONDS[part[2]] for part in _TIME_PARTS.finditer(text))
    else:
        raise ValueError(f'"{text}" is not a time: a positive number with one of us, ms, s, m, h, d after it')
    if seconds * 1000 > TIME_MS_MAX:
        raise ValueError(f'"{text}" is above the longest time, {TIME_MS_MAX} ms')
    return seconds


def parse_size(text: str) -> int:
    """Bytes of a size such as "16384", "16k", "1m" or "2g". Raises ValueError with a sentence for the operator."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError(f'"{text}" is not a size: a positive number with nothing, k, m or g after it')
    return int(match[1]) * _BYTES[(match[2] or "").lower()]


def milliseconds(seconds: float | None) -> int:
    """Whole milliseconds for logs; -1 for what was not reached (None or negative)."""
    return -1 if seconds is None or seconds < 0 else int(seconds * 1000 + 0.5)


def first_set(*values: float | None) -> float:
    """The first timeout that is set; inf when none is. 0 counts as not set, as in HAProxy."""
    for value in values:
        if value:
            return value
    return inf
