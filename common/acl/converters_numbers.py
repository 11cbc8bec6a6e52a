"""Converters of integers: arithmetic, bits, truth, dates. Sans-io.

Arithmetic is of signed 64 bits and saturates. An operand may be a variable; one that is not set, or is no number, makes the converter
fail.

Source: HAProxy configuration manual 7.3.1; corners compared with a running HAProxy 2.6.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

from common.acl.casts import cast
from common.acl.environment import CompileEnvironment
from common.acl.facts import Facts
from common.acl.fetches_internal import unit_factor
from common.acl.log_dates import MONTHS, civil
from common.acl.table import ConverterTable, FactsStep, Step
from common.acl.types import INT_MAX, SampleType, clamp, wrap
from common.acl.variables import reader
from common.acl.x509_errors import name_of_error

TABLE = ConverterTable()

_I, _B, _S, _N = SampleType.INT, SampleType.BOOL, SampleType.STR, SampleType.BIN

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")

Operand = Callable[[Facts], int | None]


def _operand(value: int | str) -> Operand:
    if isinstance(value, int):
        return lambda facts: value
    read = reader(value)
    convert = cast(SampleType.ANY, _I)
    assert convert is not None

    def get(facts: Facts) -> int | None:
        typed = read(facts)
        number: int | None = None if typed is None else convert(typed)
        return number

    return get


def _divide(value: int, by: int) -> int:
    """Towards zero, as C does; by zero: the largest number."""
    if by == 0:
        return INT_MAX
    quotient = abs(value) // abs(by)
    return quotient if (value < 0) == (by < 0) else -quotient


def _remainder(value: int, by: int) -> int:
    """With the sign of the dividend, as C does; by zero: 0."""
    return 0 if by == 0 else value - by * _divide(value, by)


def _binary(name: str, doc: str, operate: Callable[[int, int], int]) -> None:
    @TABLE.row(name, _I, _I, doc, arguments="value:integer_or_variable", facts=True)
    def make(environment: CompileEnvironment, value: int | str) -> FactsStep:
        operand = _operand(value)

        def step(number: int, facts: Facts) -> int | None:
            other = operand(facts)
            return None if other is None else clamp(operate(number, other))

        return step


_binary("add", "Plus <value>.", lambda number, other: number + other)
_binary("sub", "Minus <value>.", lambda number, other: number - other)
_binary("mul", "Times <value>.", lambda number, other: number * other)
_binary("div", "Divided by <value>, towards zero; by zero: the largest number.", _divide)
_binary("mod", "The remainder of dividing by <value>; by zero: 0.", _remainder)
_binary("and", "Bitwise and with <value>.", lambda number, other: number & other)
_binary("or", "Bitwise or with <value>.", lambda number, other: number | other)
_binary("xor", "Bitwise exclusive or with <value>.", lambda number, other: number ^ other)


@TABLE.plain("cpl", _I, _I, "All bits flipped.")
def complement(value: int) -> int:
    return ~value


@TABLE.plain("neg", _I, _I, "The opposite.")
def negate(value: int) -> int:
    return clamp(-value)


@TABLE.plain("bool", _I, _B, "True unless 0.")
def truth(value: int) -> bool:
    return value != 0


@TABLE.plain("not", _I, _B, "True if 0.")
def untruth(value: int) -> bool:
    return value == 0


@TABLE.plain("odd", _I, _B, "True if odd.")
def odd(value: int) -> bool:
    return value & 1 == 1


@TABLE.plain("even", _I, _B, "True if even.")
def even(value: int) -> bool:
    return value & 1 == 0


@TABLE.plain("htonl", _I, _N, "Its lower 32 bits in network byte order.")
def network_order(value: int) -> bytes:
    return struct.pack(">I", value & 0xFFFFFFFF)


@TABLE.plain("x509_v_err_str", _I, _S, "The name of a certificate verification error: X509_V_ERR_CERT_HAS_EXPIRED for 10.")
def verification_error(value: int) -> bytes:
    return name_of_error(value).encode()


_GMT = timezone(timedelta(0), "GMT")
_FRACTIONS = {1: 0, 1000: 3, 1000000: 6}


@TABLE.row(
    "http_date", _I, _S, "A date as HTTP writes it; <offset> is added, <unit> (s, ms, us) is that of date and offset.",
    arguments="offset:integer unit:string", required=0,
)  # fmt: skip
def make_http_date(environment: CompileEnvironment, offset: int | None, unit: bytes | None) -> Step:
    factor, shift = unit_factor(unit), offset or 0
    digits = _FRACTIONS[factor]

    def step(value: int) -> bytes:
        seconds, fraction = divmod(value + shift, factor)
        return http_date(seconds, b".%0*d" % (digits, fraction) if digits else b"")

    return step


def http_date(seconds: int, fraction: bytes = b"") -> bytes:
    """ "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7)."""
    year, month, day, hour, minute, second = civil(seconds)
    weekday = _DAYS[(seconds // 86400 + 3) % 7]  # 1 January 1970 was a Thursday
    return b"%b, %02d %b %04d %02d:%02d:%02d%b GMT" % (weekday, day, MONTHS[month - 1], year, hour, minute, second, fraction)


def _formatted(value: int, factor: int, form: str, offset_s: int) -> bytes | None:
    """strftime of a date; None for one that no calendar has."""
    zone = timezone(timedelta(seconds=offset_s)) if offset_s else _GMT
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=wrap(value) * (1000000 // factor))
        return moment.astimezone(zone).strftime(form).encode("utf-8", "surrogateescape")
    except (OverflowError, ValueError):
        return None


def _time_of_day(name: str, factor: int, local: bool, what: str) -> None:
    doc = f"A date in {what} as <format> (strftime) says, in {'local time' if local else 'UTC'}; <offset> is added first."

    @TABLE.row(name, _I, _S, doc, arguments="format:string offset:integer", required=1, facts=local)
    def make(environment: CompileEnvironment, form: bytes, offset: int | None) -> Step | FactsStep:
        text, shift = form.decode("utf-8", "surrogateescape"), offset or 0
        if not local:
            return lambda value: _formatted(value + shift, factor, text, 0)

        def step(value: int, facts: Facts) -> bytes | None:
            return _formatted(value + shift, factor, text, facts.world.gmt_offset((value + shift) / factor))

        return step


for _prefix, _factor, _what in (("", 1, "seconds"), ("ms_", 1000, "milliseconds"), ("us_", 1000000, "microseconds")):
    _time_of_day(f"{_prefix}utime", _factor, False, _what)
    _time_of_day(f"{_prefix}ltime", _factor, True, _what)
