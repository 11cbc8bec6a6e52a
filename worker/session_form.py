"""What stands in a TLS session, read from the form in which OpenSSL stores it: the library has no other way out for it.

Source: i2d_SSL_SESSION(3): a DER sequence of version, protocol, cipher, id, master key, then tagged fields; [10] is the ticket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from OpenSSL import SSL

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]
_ID = 3
_TICKET = 0xAA


def id_of(ssl: Any) -> bytes:
    """The session id of a connection; b"" without a session."""
    for number, (_tag, content) in enumerate(_fields(_stored(ssl))):
        if number == _ID:
            return content
    return b""


def ticket_of(ssl: Any) -> bytes:
    """The ticket that a client's connection was given; b"" without one."""
    for tag, content in _fields(_stored(ssl)):
        if tag == _TICKET:
            start, size = _head(content, 0)
            return content[start : start + size]
    return b""


def _stored(ssl: Any) -> bytes:
    session = _lib.SSL_get_session(ssl)
    size = _lib.i2d_SSL_SESSION(session, _ffi.NULL) if session != _ffi.NULL else 0
    if size <= 0:
        return b""
    buffer = _ffi.new("unsigned char[]", size)
    _lib.i2d_SSL_SESSION(session, _ffi.new("unsigned char **", buffer))
    return bytes(_ffi.buffer(buffer, size))


def _fields(der: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of the elements of a sequence that OpenSSL wrote."""
    if not der:
        return
    position, _ = _head(der, 0)
    while position < len(der):
        start, size = _head(der, position)
        yield der[position], der[start : start + size]
        position = start + size


def _head(der: bytes, position: int) -> tuple[int, int]:
    """(where the content begins, its length)."""
    first = der[position + 1]
    if first < 0x80:
        return position + 2, first
    octets = first & 0x7F
    return position + 2 + octets, int.from_bytes(der[position + 2 : position + 2 + octets], "big")
