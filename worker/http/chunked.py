"""The chunked transfer coding: forwarded as it is, decoded, or made. Sans-io.

`ChunkedBody` reads a body in whatever pieces it arrives and gives, per piece, the buffers to pass on: views of the received bytes, no
copy, no object per chunk while forwarding. It holds back only what it cannot judge yet: an unfinished chunk-size line, a
last chunk whose trailer section has not ended.

Forwarding is verbatim as long as the peer writes sizes the plain way. What two readers might read differently is made
anew: extensions and whitespace are dropped (RFC 9112 section 7.1.1 has them ignored), leading zeros too. Never accepted: a line that
ends in a bare LF (its only use is to hide a request, "Funky chunks" 2025), a size above 2^63-1, NUL or CR in an extension.

Trailer fields are validated as head fields are; those that frame, route, authenticate or describe the content
(RFC 9110 section 6.5.1) are dropped, since nobody downstream may merge them into the head.

Amplification: a body may consist of extensions only. Extension bytes beyond the payload carried so far are limited.

Source: RFC 9112 section 7.1; RFC 9110 section 6.5.
"""

from __future__ import annotations

import re
from enum import Enum

from common.errors import WireError
from worker.http.fields import read_fields, section_end
from worker.http.framing import LENGTH_MAX
from worker.http.grammar import TOKEN

Buffer = bytes | memoryview

SIZE_LINE_BYTES_MAX = 4096
EXTENSION_BYTES_MAX = 16384
"""How far extensions may be ahead of the payload."""

LAST_CHUNK = b"0\r\n\r\n"

_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)"
    rb"((?:[ \t]*+;[ \t]*+" + TOKEN + rb"++"
    rb"(?:[ \t]*+=[ \t]*+(?:" + TOKEN + rb'++|"(?:[\t !#-\[\]-~\x80-\xff]++|\\[\t -~\x80-\xff])*"))?)*)'
    rb"([ \t]*+)\r\n"
)
_PLAIN_SIZE_LINE = re.compile(rb"([1-9A-Fa-f][0-9A-Fa-f]{0,14}+)\r\n")
_SIZE_LINE_BEGUN = re.compile(rb"(?:[0-9A-Fa-f]{1,16}+(?:\r|[ \t;][^\r\n\x00]*+\r?+)?)?")

_NOT_IN_TRAILERS = frozenset(
    b"accept-encoding age authorization cache-control connection content-encoding content-length content-range content-type cookie date "
    b"expect expires forwarded host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive location max-forwards "
    b"pragma proxy-authenticate proxy-authorization proxy-connection range retry-after set-cookie te trailer transfer-encoding upgrade "
    b"vary warning www-authenticate x-forwarded-for x-forwarded-host x-forwarded-proto".split()
)


class _Stage(Enum):
    SIZE = "size line"
    DATA = "chunk data"
    DATA_CR = "CR behind chunk data"
    DATA_LF = "LF behind chunk data"
    TRAILER = "trailer section"
    DONE = "done"


class ChunkedBody:
    """One chunked body being received.

    decode: give the payload instead of the coded form. keep_trailers: pass trailer fields on (coded form only). strict: refuse bad
    whitespace in size lines and all that worker/http/repair.py would repair in fields.
    """

    __slots__ = (
        "_decode", "_extension_bytes", "_fields_max", "_held", "_keep_trailers", "_left", "_stage", "_strict", "_trailer_bytes_max",
        "payload_bytes", "trailers",
    )  # fmt: skip

    def __init__(
        self,
        *,
        decode: bool = False,
        keep_trailers: bool = True,
        strict: bool = False,
        trailer_bytes_max: int = 15360,
        fields_max: int = 100,
    ) -> None:
        self._decode = decode
        self._keep_trailers = keep_trailers
        self._strict = strict
        self._trailer_bytes_max = trailer_bytes_max
        self._fields_max = fields_max
        self._stage = _Stage.SIZE
        self._held = b""
        self._left = 0
        self._extension_bytes = 0
        self.payload_bytes = 0
        self.trailers: list[tuple[bytes, bytes]] = []  # those that may be passed on, when done

    @property
    def done(self) -> bool:
        """The last byte of the body has been read. What `feed` did not take belongs to the next message."""
        return self._stage is _Stage.DONE

    def feed(self, data: bytes, start: int = 0) -> tuple[list[Buffer], int]:
        """Reads data[start:]. Returns (buffers to pass on, index behind what was read): len(data) unless the body ended before.

        Raises WireError (400, 413 or 431; in a response it means 502 or a cut connection). What was passed on before then ends in
        the middle of a body.
        """
        pieces: list[Buffer] = []
        end = len(data)
        at = run = start  # data[run:at] is read and goes on as it is
        view = memoryview(data)
        while at < end and self._stage is not _Stage.DONE:
            stage = self._stage
            if stage is _Stage.SIZE:
                if not self._held:
                    at = self._whole_chunks(data, at, view, pieces)
                    if at == end:
                        break
                    match = _PLAIN_SIZE_LINE.match(data, at)
                    if match is not None:
                        at = match.end()
                        self._begin_chunk(int(match[1], 16))
                        continue
                if run < at and not self._decode:
                    pieces.append(view[run:at])
                made, at = self._read_line(data, at)
                if made and not self._decode:
                    pieces.append(made)
                run = at
            elif stage is _Stage.DATA:
                taken = min(self._left, end - at)
                if self._decode:
                    pieces.append(view[at : at + taken])
                at += taken
                self._left -= taken
                if not self._left:
                    self._stage = _Stage.DATA_CR
            elif stage is _Stage.DATA_CR:
                if data[at] != 0x0D:
                    raise WireError("chunk_without_end")
                at += 1
                self._stage = _Stage.DATA_LF
            elif stage is _Stage.DATA_LF:
                if data[at] != 0x0A:
                    raise WireError("chunk_without_end")
                at += 1
                self._stage = _Stage.SIZE
            else:
                made, at = self._read_trailer(data, at)
                if made and not self._decode:
                    pieces.append(made)
                run = at
        if run < at and not self._decode:
            pieces.append(data if run == 0 and at == end else view[run:at])
        return pieces, at

    def _whole_chunks(self, data: bytes, at: int, view: memoryview, pieces: list[Buffer]) -> int:
        """Reads the plainly written chunks that lie whole in data. Returns the index behind them. Quicker than byte by byte."""
        end = len(data)
        extension_bytes = self._extension_bytes
        while (match := _PLAIN_SIZE_LINE.match(data, at)) is not None:
            size = int(match[1], 16)
            begin = match.end()
            behind = begin + size
            if behind + 2 > end or data[behind : behind + 2] != b"\r\n":
                break
            if self._decode:
                pieces.append(view[begin:behind])
            if extension_bytes:
                extension_bytes = max(0, extension_bytes - size)
            self.payload_bytes += size
            at = behind + 2
        self._extension_bytes = extension_bytes
        return at

    def _begin_chunk(self, size: int) -> None:
        if size > LENGTH_MAX:
            raise WireError("chunk_too_big", 413)
        self._left = size
        self.payload_bytes += size
        self._extension_bytes = max(0, self._extension_bytes - size)
        self._stage = _Stage.DATA

    def _read_line(self, data: bytes, at: int) -> tuple[bytes, int]:
        """A size line that is split, decorated, or the last one. Returns (the line to pass on, index behind it)."""
        newline = data.find(b"\n", at)
        if newline < 0:
            self._held += data[at:]
            if len(self._held) > SIZE_LINE_BYTES_MAX or _SIZE_LINE_BEGUN.fullmatch(self._held) is None:
                raise WireError("bad_chunk_size")
            return b"", len(data)
        line = self._held + data[at : newline + 1]
        self._held = b""
        match = _SIZE_LINE.fullmatch(line) if len(line) <= SIZE_LINE_BYTES_MAX else None
        if match is None or (self._strict and match[3]):
            raise WireError("bad_chunk_size")
        self._extension_bytes += len(match[2])
        if self._extension_bytes > EXTENSION_BYTES_MAX:
            raise WireError("chunk_extensions_too_big")
        size = int(match[1], 16)
        if size == 0:
            self._stage = _Stage.TRAILER
            return b"", newline + 1
        self._begin_chunk(size)
        return match[1].lstrip(b"0") + b"\r\n", newline + 1

    def _read_trailer(self, data: bytes, at: int) -> tuple[bytes, int]:
        """The trailer section, when it is complete. Returns (last chunk and trailer to pass on, index behind)."""
        held = len(self._held)
        section = self._held + data[at : at + self._trailer_bytes_max + 1 - held]
        if section[:2] == b"\r\n":
            end = 2
        elif section[:1] == b"\n":
            raise WireError("bare_lf")
        elif (found := section_end(section)) is not None:
            end = found
            self.trailers = self._read_trailers(section[:end])
        elif len(section) > self._trailer_bytes_max:
            raise WireError("trailers_too_big", 431)
        else:
            self._held = section
            return b"", len(data)
        self._held = b""
        self._stage = _Stage.DONE
        kept = self.trailers if self._keep_trailers else []
        return b"0\r\n" + b"".join([name + b": " + value + b"\r\n" for name, value in kept]) + b"\r\n", at + end - held

    def _read_trailers(self, section: bytes) -> list[tuple[bytes, bytes]]:
        fields = read_fields(section, strict=self._strict)
        if len(fields) > self._fields_max:
            raise WireError("too_many_trailers", 431)
        return [field for field in fields if field[0].lower() not in _NOT_IN_TRAILERS]


def encode_chunk(data: Buffer) -> tuple[bytes, Buffer, bytes]:
    """One chunk as the three buffers to send. data must not be empty: an empty chunk ends the body (LAST_CHUNK)."""
    assert len(data) > 0
    return b"%x\r\n" % len(data), data, b"\r\n"
