r"""What replace-header and its like write: a log-format with back-references to the match. Sans-io.

    http-request replace-header Cookie foo=([^;]*);(.*) foo=\1;ip=%bi;\2

The references belong to the rule's author alone. A sample in the format may hold "\1" too, sent by a client; HAProxy expands it
like the author's own. Here the author's references become a byte that no sample can bring in (formats write control characters of
samples as %XX), so that what a client sends stays text.

Source: HAProxy configuration manual 4.2 "http-request replace-header".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.acl.environment import CompileEnvironment
from common.acl.expressions import parse_inside
from common.acl.facts import Facts
from common.acl.logformat import Format, Purpose, compile_format

_MARK = "\x01"
_REFERENCE = re.compile(rb"\x01([0-9])")
_OPENING = re.compile(r"%(?:\([^)]*\))?(?:\{[^}]*\})?(?:\([^)]*\))?\[")

Fill = Callable[[Facts, Any], bytes]


@dataclass(frozen=True, slots=True)
class Replacement:
    """fill(facts, match): the text in the place of what matched. Groups that took no part, or do not exist, are empty."""

    text: str
    format: Format
    fill: Fill


def compile_replacement(text: str, environment: CompileEnvironment, purpose: Purpose) -> Replacement:
    r"""\0 to \9 are groups, \\ is a backslash, a backslash before anything else stands for that. Raises ExpressionError."""
    compiled = compile_format(_marked(text.replace(_MARK, ""), environment), environment, purpose)
    constant = compiled.constant
    if constant is not None and b"\x01" not in constant:
        return Replacement(text, compiled, lambda facts, match: constant)
    build = compiled.build

    def fill(facts: Facts, match: Any) -> bytes:
        groups = match.re.groups
        return _REFERENCE.sub(lambda found: (match.group(number) or b"") if (number := int(found[1])) <= groups else b"", build(facts))

    return Replacement(text, compiled, fill)


def _marked(text: str, environment: CompileEnvironment) -> str:
    """The text with its references marked. What stands in %[…] is the expression's own, backslashes and all."""
    pieces: list[str] = []
    position = 0
    while position < len(text):
        opening = _OPENING.match(text, position)
        if opening is not None:
            _, end = parse_inside(text, opening.end(), environment)
            pieces.append(text[position:end])
            position = end
        elif text[position] == "\\" and position + 1 < len(text):
            following = text[position + 1]
            pieces.append(_MARK + following if following.isdigit() else following)
            position += 2
        else:
            step = 2 if text.startswith("%%", position) else 1
            pieces.append(text[position : position + step])
            position += step
    return "".join(pieces)
