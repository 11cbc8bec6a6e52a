"""What a peer speaks, by its first bytes: for saying who is misconfigured, never for deciding how to go on. Sans-io.

A listener is configured for one protocol. When the first bytes break it, this tells what they would have been: TLS on a plain
port, HTTP on a TLS port, a PROXY header too much or of the wrong version, HTTP/2, SSH …

Source: RFC 8446 5.1 (TLS records), RFC 6101 E (SSL 2.0 hello), RFC 9113 3.4 (HTTP/2 preface), RFC 9112 3, RFC 4253 4.2
(SSH), PROXY protocol specification 2.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from common.wire.proxy_v1 import V1_SIGNATURE
from common.wire.proxy_v2 import V2_SIGNATURE

HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LOOKED_AT_BYTES: Final = 512  # more is never needed to tell
_SSH = b"SSH-"


class Kind(Enum):
    """The value is a name for it that fits into "the client sent …"."""

    TLS = "a TLS handshake"
    TLS_ALERT = "a TLS alert"
    SSLV2 = "an SSL 2.0 hello"
    HTTP1 = "an HTTP/1 request"
    HTTP2 = "the HTTP/2 preface"
    PROXY_V1 = "a PROXY header of version 1"
    PROXY_V2 = "a PROXY header of version 2"
    SSH = "an SSH banner"
    TEXT = "a line of text"
    UNKNOWN = "bytes of no protocol known here"
    NEED_MORE = "too little to tell"


_FIXED_BEGINNINGS = (
    (V2_SIGNATURE, Kind.PROXY_V2),
    (V1_SIGNATURE, Kind.PROXY_V1),
    (HTTP2_PREFACE[:14], Kind.HTTP2),
    (_SSH, Kind.SSH),
)
_TLS_CONTENT = {0x16: Kind.TLS, 0x15: Kind.TLS_ALERT}

# A request is known by its method, as soon as the space behind it is there (registered methods that are in use), or by the end
# of its first line.
_METHODS = "GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH REPORT PURGE QUERY"
_HTTP1_METHOD = re.compile(rb"(?:%b) [!-~]" % "|".join(_METHODS.split()).encode())
_HTTP1_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [!-~]+ HTTP/[0-9]\.[0-9]\r?\n")
_LINE = re.compile(rb"[\t -~\x80-\xff]*\r?\n")
_LINE_BEGUN = re.compile(rb"[\t -~\x80-\xff]+\r?")


def first_bytes(data: bytes | bytearray | memoryview) -> Kind:
    """What `data`, everything received so far, is the beginning of. NEED_MORE at most until LOOKED_AT_BYTES are there."""
    begun = bytes(data[:LOOKED_AT_BYTES])
    for beginning, kind in _FIXED_BEGINNINGS:
        if begun.startswith(beginning):
            return kind
    if any(beginning.startswith(begun) for beginning, _ in _FIXED_BEGINNINGS):
        return Kind.NEED_MORE
    if begun[0] in _TLS_CONTENT or begun[0] & 0x80:
        return _binary(begun)
    return _text(begun)


def _binary(begun: bytes) -> Kind:
    """A TLS record is type, 3, minor version (at most 4 so far), length; an SSL 2.0 hello is a length with the top bit, 1, version."""
    kind = _TLS_CONTENT.get(begun[0])
    if kind is not None:
        if len(begun) < 3:
            return Kind.NEED_MORE if begun[1:] in (b"", b"\x03") else Kind.UNKNOWN
        return kind if begun[1] == 3 and begun[2] <= 4 else Kind.UNKNOWN
    if len(begun) < 5:
        could_be = begun[2:3] in (b"", b"\x01") and begun[3:4] in (b"", b"\x00", b"\x03")
        return Kind.NEED_MORE if could_be else _text(begun)
    is_hello = begun[2] == 1 and (begun[3:5] == b"\x00\x02" or (begun[3] == 3 and begun[4] <= 4))
    return Kind.SSLV2 if is_hello else _text(begun)


def _text(begun: bytes) -> Kind:
    if begun.startswith((b"\r", b"\n")) and len(begun) < LOOKED_AT_BYTES:  # empty lines may stand before a request (RFC 9112 2.2)
        begun = begun.lstrip(b"\r\n")
    if not begun:
        return Kind.NEED_MORE
    if _HTTP1_METHOD.match(begun) or _HTTP1_LINE.match(begun):
        return Kind.HTTP1
    if _LINE.match(begun):
        return Kind.TEXT
    if _LINE_BEGUN.fullmatch(begun):
        return Kind.TEXT if len(begun) == LOOKED_AT_BYTES else Kind.NEED_MORE
    return Kind.UNKNOWN
