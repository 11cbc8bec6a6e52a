"""Reading single values: numbers, times, sizes, names, closed sets of words. Every fault says what was expected and what was found.

HAProxy takes some nonsense in silence (`maxconn 10k` is 10, `weight heavy` is 0); we refuse it and say how to write it.
Sans-io.
Source: HAProxy configuration manual 2.5 (times), sizes as in 3.2.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from common.config.statement import Statement
from common.config.suggest import did_you_mean
from common.units import parse_size, parse_time

INTEGER_MAX = 2**31 - 1
_INTEGER = re.compile(r"-?[0-9]+")
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")
_BAD_IN_NAME = re.compile(r"[^A-Za-z0-9_.:-]")


def integer(statement: Statement, position: int, *, what: str = "", least: int = 0, most: int = INTEGER_MAX) -> int:
    """A whole number within bounds."""
    text = statement.argument(position)
    name = what or statement.keyword
    if not text:
        raise statement.fault(f"'{name}' expects an integer argument.", position)
    if not _INTEGER.fullmatch(text) or len(text) > 19:
        hint = "Write the number in full, without a unit." if text[:1].isdigit() else ""
        raise statement.fault(f"'{name}' expects an integer argument, got '{text}'.", position, hint)
    value = int(text)
    if not least <= value <= most:
        raise statement.fault(f"'{name}' expects a number between {least} and {most}, got '{text}'.", position)
    return value


def time(statement: Statement, position: int, *, what: str = "", unit: str = "ms", positive: bool = False) -> float:
    """A time in seconds; a bare number counts in `unit`."""
    text = statement.argument(position)
    name = what or statement.keyword
    if not text:
        raise statement.fault(f"'{name}' expects a time as argument.", position, 'For example "30s"; a bare number counts in milliseconds.')
    try:
        seconds = parse_time(text, unit)
    except ValueError as error:
        stranger = re.search(r"[^0-9]", text)
        found = f"unexpected character '{stranger[0]}' in '{name}'" if stranger and "longest" not in str(error) else f"'{name}'"
        raise statement.fault(f"{found}: {error}", position, 'Units are us, ms, s, m, h, d: "30s", "1500ms".') from None
    if positive and seconds <= 0:
        raise statement.fault(f"'{name}' expects a time above zero, got '{text}'.", position)
    return seconds


def size(statement: Statement, position: int, *, what: str = "", least: int = 0, most: int = INTEGER_MAX) -> int:
    """A size in bytes, with k, m or g."""
    text = statement.argument(position)
    name = what or statement.keyword
    if not text:
        raise statement.fault(f"'{name}' expects a size as argument.", position)
    try:
        value = parse_size(text)
    except ValueError as error:
        raise statement.fault(f"'{name}': {error}", position) from None
    if not least <= value <= most:
        raise statement.fault(f"'{name}' expects a size between {least} and {most}, got '{text}'.", position)
    return value


def one_of(statement: Statement, position: int, allowed: Collection[str], *, what: str = "") -> str:
    """A word of a closed set."""
    text = statement.argument(position)
    name = what or statement.keyword
    if text in allowed:
        return text
    choices = ", ".join(f"'{word}'" for word in allowed)
    if not text:
        raise statement.fault(f"'{name}' expects one of {choices}.", position)
    raise statement.fault(f"'{name}' only supports {choices} (got '{text}'){did_you_mean(text, allowed)}", position)


def required(statement: Statement, position: int, what: str) -> str:
    """An argument that must be there and not be empty."""
    text = statement.argument(position)
    if not text:
        raise statement.fault(f"'{statement.keyword}' expects {what} as argument.", position)
    return text


def identifier(statement: Statement, position: int, *, what: str) -> str:
    """A name of a proxy, server, ACL …: letters, digits, `-`, `_`, `.`, `:`."""
    text = statement.argument(position)
    if not text:
        raise statement.fault(f"'{statement.keyword}' expects {what}.", position)
    bad = _BAD_IN_NAME.search(text)
    if bad:
        hint = "Names are made of letters, digits, '-', '_', '.' and ':'."
        raise statement.fault(f"character '{bad[0]}' is not permitted in {what} '{text}'.", position, hint)
    return text


def is_identifier(text: str) -> bool:
    return bool(_NAME.fullmatch(text))
