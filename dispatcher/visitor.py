"""Who has connected, as far as it is known without reading from him."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Visitor:
    """Packed addresses and ports, b"" and 0 for unix sockets. expects_header: a PROXY header must come first and counts more."""

    src: bytes
    src_port: int
    dst: bytes
    dst_port: int
    expects_header: bool = False
