"""Messages of FIX, the Financial Information eXchange protocol: tag=value pairs, each ended by a byte 1. Sans-io.

Source: HAProxy configuration manual 7.3.1 "fix_is_valid", "fix_tag_value"; FIX 4.4 volume 1, "FIX Message Format and Delivery".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from common.errors import ExpressionError

BEGIN_STRING, BODY_LENGTH, CHECK_SUM, MESSAGE_TYPE = 8, 9, 10, 35
VERSIONS = frozenset({b"FIX.4.0", b"FIX.4.1", b"FIX.4.2", b"FIX.4.3", b"FIX.4.4", b"FIXT.1.1"})

TAGS: Mapping[str, int] = {
    "beginstring": BEGIN_STRING,
    "bodylength": BODY_LENGTH,
    "checksum": CHECK_SUM,
    "msgtype": MESSAGE_TYPE,
    "sendercompid": 49,
    "targetcompid": 56,
}

_PAIR = re.compile(rb"([0-9]{1,9})=([^\x01]*)\x01")
_HEAD = re.compile(rb"8=([^\x01]*)\x019=([0-9]{1,9})\x01")
_TRAILER_BYTES = len(b"10=000\x01")


def parse_tag(text: str) -> int:
    """A tag by number, or by one of the names in TAGS, in any case. Raises ExpressionError."""
    number = TAGS.get(text.lower(), int(text) if text.isascii() and text.isdigit() else 0)
    if number <= 0:
        raise ExpressionError(f'"{text}" is not a FIX tag: a positive number, or one of {", ".join(TAGS)}')
    return number


def is_valid(data: bytes) -> bool | None:
    """Whether a message stands at the beginning of the data; None while that cannot be said for want of bytes."""
    head = _HEAD.match(data)
    if head is None:
        return None if _may_become_head(data) else False
    if head[1] not in VERSIONS:
        return False
    end = head.end() + int(head[2])  # where the check sum must stand
    expected, found = b"10=%03d\x01" % (sum(data[:end]) % 256), data[end : end + _TRAILER_BYTES]
    if found != expected:
        return None if expected.startswith(found) else False
    return _is_body(data[head.end() : end])


def _may_become_head(data: bytes) -> bool:
    """The two first pairs are not complete, and nothing is wrong with them yet."""
    begin, separator, rest = data.partition(b"\x01")
    if not separator:
        return any((b"8=" + version).startswith(data) for version in VERSIONS)
    return begin[:2] == b"8=" and begin[2:] in VERSIONS and re.fullmatch(rb"(9(=[0-9]{0,9})?)?", rest) is not None


def _is_body(body: bytes) -> bool:
    """Pairs with numbers and values, the first of them the message's type."""
    position = 0
    while position < len(body):
        pair = _PAIR.match(body, position)
        if pair is None or not int(pair[1]) or not pair[2] or (position == 0 and int(pair[1]) != MESSAGE_TYPE):
            return False
        position = pair.end()
    return position > 0


def tag_value(data: bytes, tag: int) -> bytes | None:
    """The value of the first pair with that tag; None without one, and behind anything that is no pair."""
    position = 0
    while pair := _PAIR.match(data, position):
        if int(pair[1]) == tag:
            return pair[2]
        position = pair.end()
    return None
