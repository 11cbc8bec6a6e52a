"""The `cookie` line of a backend as values. Sans-io.

Source: HAProxy manual 4.2 "cookie"; the order of attributes in Set-Cookie was seen by asking a stock HAProxy.
`rename` is ours: see jar.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from common.units import parse_time


class Mode(Enum):
    PASSIVE = "passive"  # the server makes the cookie and writes its own name into it
    INSERT = "insert"
    REWRITE = "rewrite"
    PREFIX = "prefix"
    RENAME = "rename"


_FLAGS = ("indirect", "nocache", "postonly", "preserve", "dynamic")


@dataclass(frozen=True, slots=True)
class CookieSettings:
    """attributes: what stands behind "path=/" in a cookie that we insert. max_idle_s, max_life_s: 0 = not limited."""

    name: bytes
    mode: Mode = Mode.PASSIVE
    indirect: bool = False
    nocache: bool = False
    postonly: bool = False
    preserve: bool = False
    dynamic: bool = False
    attributes: bytes = b""
    max_idle_s: int = 0
    max_life_s: int = 0

    @property
    def is_logged(self) -> bool:
        """Whether logs say what became of the cookie: where all is left to the server, nobody knows."""
        return self.mode is not Mode.PASSIVE or self.indirect

    @property
    def dates(self) -> bool:
        """Inserted cookies carry dates."""
        return bool(self.max_idle_s or self.max_life_s)


def read_settings(words: Sequence[str]) -> CookieSettings | None:
    """The words of the `cookie` line, which have been checked. None: there is no such line."""
    if not words:
        return None
    mode = Mode.PASSIVE
    flags: set[str] = set()
    numbers = {"maxidle": 0, "maxlife": 0}
    domains: list[str] = []
    extras: list[str] = []
    rest = iter(words[1:])
    for word in rest:
        if word in numbers:
            numbers[word] = int(parse_time(next(rest), "s"))
        elif word == "domain":
            domains.append(f"; domain={next(rest)}")
        elif word == "attr":
            extras.append(f"; {next(rest)}")
        elif word in ("insert", "rewrite", "prefix", "rename"):
            mode = Mode(word)
        else:
            flags.add(word)
    bare = [text for flag, text in (("httponly", "; HttpOnly"), ("secure", "; Secure")) if flag in flags]
    attributes = "".join([*domains, *bare, *extras])
    switches = {name: name in flags for name in _FLAGS}
    return CookieSettings(
        words[0].encode(), mode, attributes=attributes.encode(), max_idle_s=numbers["maxidle"], max_life_s=numbers["maxlife"], **switches
    )
