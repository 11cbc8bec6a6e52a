"""JSON documents and the simple paths that json_query takes: $.a.b[0], $['a.b'], \\. for a dot in a name. Sans-io.

Source: HAProxy configuration manual 7.3.1 "json_query"; RFC 9535 for the parts of its syntax that name one value.
"""

from __future__ import annotations

import json
import re
from typing import Any

from common.errors import ExpressionError

DOCUMENT_BYTES_MAX = 1 << 20
NUMBER_DIGITS_MAX = 40  # Python's conversion of long digits is quadratic

Steps = tuple[str | int, ...]

_STEP = re.compile(r"\.((?:[^.\[\]\\]|\\.)+)|\[([0-9]+)\]|\[(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\]")


def parse_path(text: bytes) -> Steps:
    """Raises ExpressionError for what is no path."""
    path = text.decode("utf-8", "surrogateescape")
    if not path.startswith("$"):
        raise ExpressionError(f'"{path}" is not a JSON path: it begins with "$"')
    steps: list[str | int] = []
    position = 1
    while position < len(path):
        match = _STEP.match(path, position)
        if match is None:
            raise ExpressionError(f'"{path}" is not a JSON path: "{path[position:]}" is no step such as .name or [0]')
        if match[2] is not None:
            steps.append(int(match[2]))
        else:
            name = next(group for group in (match[1], match[3], match[4]) if group is not None)
            steps.append(re.sub(r"\\(.)", r"\1", name))
        position = match.end()
    return tuple(steps)


class _TooLong(ValueError):
    """A number of more digits than anyone means."""


def _integer(digits: str) -> int:
    if len(digits) > NUMBER_DIGITS_MAX:
        raise _TooLong
    return int(digits)


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are not JSON


def parse_json(document: bytes) -> Any:
    """The value, or None if it is no JSON, or too large, or nested too deeply."""
    if len(document) > DOCUMENT_BYTES_MAX:
        return None
    try:
        return json.loads(document.decode("utf-8"), parse_int=_integer, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None


def read_path(value: Any, steps: Steps) -> Any:
    """What the path finds; None where it leads nowhere (JSON's null too)."""
    for step in steps:
        if isinstance(step, int):
            if not isinstance(value, list) or step >= len(value):
                return None
            value = value[step]
        else:
            if not isinstance(value, dict):
                return None
            value = value.get(step)
    return value
