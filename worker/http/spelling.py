"""How field names are written towards peers that insist on capitals, although names have none (RFC 9110 section 5.1). Sans-io.

Source: HAProxy manual 3.1 "h1-case-adjust", "h1-case-adjust-file"; 4.2 "option h1-case-adjust-bogus-client" and "-server".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_NAME = re.compile(rb"(?<=\r\n)[^:\r\n]+(?=:)")

Spelling = Mapping[bytes, bytes]  # name in lower case -> as it is to be written


def spelling_of(pairs: Iterable[tuple[str, ...]]) -> Spelling:
    """From (lower-case name, name as it is to be written) of the configuration."""
    return {pair[0].encode(): pair[1].encode() for pair in pairs}


def respelled(head: bytes, spelling: Spelling) -> bytes:
    """The head with its field names as that says; names that it does not know stay as they are."""

    def one(match: re.Match[bytes]) -> bytes:
        name = match[0]
        return spelling.get(name.lower(), name)

    return _NAME.sub(one, head)
