"""IP addresses between their packed form and their text. Sans-io.

Text is what getpeername() shows (inet_ntop): an address reads the same in logs, headers and tables, whether it came from
a socket or from a PROXY header, and on every version of Python (whose `ipaddress` changed its mind about mapped ones).

The way to text is hot (two per handed-over connection); the way back accepts no more than RFC 4291 section 2.2 and the
dotted quad without leading zeroes: no names, no zones, none of inet_aton's short and octal forms.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

_OCTET_TEXT = tuple(str(octet) for octet in range(256))  # a look-up costs a third of formatting the number
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_INET = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_INET6_ALPHABET = re.compile(r"[0-9A-Fa-f:.]{2,45}")  # 45: eight groups, the last two as a dotted quad
_ZERO_RUNS = tuple(":z" * groups for groups in range(8, 1, -1))  # longest first
_ZERO_PREFIX = bytes(12)
_MAPPED_PREFIX = bytes(10) + b"\xff\xff"


def inet_text(packed: bytes) -> str:
    """The dotted quad of 4 bytes."""
    a, b, c, d = packed
    return f"{_OCTET_TEXT[a]}.{_OCTET_TEXT[b]}.{_OCTET_TEXT[c]}.{_OCTET_TEXT[d]}"


def inet6_text(packed: bytes) -> str:
    """The text of 16 bytes as inet_ntop writes it: lower case, the longest run of zero groups (leftmost of equals, at
    least two) as "::", the last 32 bits dotted in ::a.b.c.d and ::ffff:a.b.c.d."""
    if packed.startswith(_MAPPED_PREFIX):
        return "::ffff:" + inet_text(packed[12:])
    if packed.startswith(_ZERO_PREFIX) and (packed[12] or packed[13]):
        return "::" + inet_text(packed[12:])
    # Groups in C: ":2001:0db8:0000:…", zero groups marked "z", then leading zeroes off: twice as fast as formatting eight numbers.
    text = ":" + packed.hex(":", 2)
    text = text.replace(":0000", ":z").replace(":000", ":").replace(":00", ":").replace(":0", ":")
    for run in _ZERO_RUNS:
        if run in text:
            before, _, after = text.partition(run)
            return (before[1:] + "::" + after[1:]).replace("z", "0")
    return text[1:].replace("z", "0")


def as_inet6(packed: bytes) -> bytes:
    """16 bytes: an IPv4 address beside an IPv6 one goes as v4-mapped, because a PROXY header has one family."""
    return packed if len(packed) == 16 else _MAPPED_PREFIX + packed


def inet_packed(text: str) -> bytes | None:
    """The 4 bytes of a dotted quad, None when it is anything else."""
    if not _INET.fullmatch(text):
        return None
    return bytes(map(int, text.split(".")))


def inet6_packed(text: str) -> bytes | None:
    """The 16 bytes of an IPv6 address without zone, None when the text is anything else."""
    if not _INET6_ALPHABET.fullmatch(text):
        return None
    try:
        return IPv6Address(text).packed
    except AddressValueError:
        return None
