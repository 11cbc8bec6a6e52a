"""Dates as log lines write them. Sans-io.

A busy frontend writes many lines in one second: the text up to the second is kept and reused.

Source: HAProxy configuration manual 8.2.2 to 8.2.6 (%t, %T, %Tl).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
SECONDS_KEPT = 64  # a few seconds back: dates of accept and of request, of sessions that end together

GmtOffset = Callable[[float], int]


def civil(seconds: int) -> tuple[int, int, int, int, int, int]:
    """(year, month, day, hour, minute, second) of seconds since 1970, proleptic Gregorian."""
    days, rest = divmod(seconds, 86400)
    hour, rest = divmod(rest, 3600)
    minute, second = divmod(rest, 60)
    era, day_of_era = divmod(days + 719468, 146097)  # from 1 March of year 0, in periods of 400 years
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return year_of_era + era * 400 + (month <= 2), month, day, hour, minute, second


@lru_cache(maxsize=SECONDS_KEPT)
def _to_the_second(seconds: int) -> bytes:
    year, month, day, hour, minute, second = civil(seconds)
    return b"%02d/%b/%04d:%02d:%02d:%02d" % (day, MONTHS[month - 1], year, hour, minute, second)


def gmt_date(date: float) -> bytes:
    """ "22/Nov/2026:20:51:26 +0000"."""
    return _to_the_second(int(date)) + b" +0000"


def local_date(date: float, gmt_offset: GmtOffset) -> bytes:
    """ "22/Nov/2026:21:51:26 +0100"."""
    offset = gmt_offset(date)
    sign = b"-" if offset < 0 else b"+"
    hours, rest = divmod(abs(offset), 3600)
    return b"%b %b%02d%02d" % (_to_the_second(int(date) + offset), sign, hours, rest // 60)


def local_date_ms(date: float, gmt_offset: GmtOffset) -> bytes:
    """ "22/Nov/2026:21:51:26.535"."""
    seconds, thousandths = split_ms(date)
    return b"%b.%03d" % (_to_the_second(seconds + gmt_offset(date)), thousandths)


def split_ms(date: float) -> tuple[int, int]:
    """(seconds, milliseconds). Rounded to a microsecond first: a float is often a hair below the millisecond that was meant."""
    return divmod(round(date * 1000000) // 1000, 1000)
