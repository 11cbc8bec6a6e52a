"""Bodies on their way from one side to the other: as they are, decoded, or made chunked.

A body with a length, or one that ends with its connection, is a plain `Flow` (common/net/relay.py): bytes are not looked at,
can be spliced, and reads stop exactly at the end, so what follows on the connection is still there for the next
message. A chunked one is read through its codec. Every flow is fed first with what came along with the head (`begin`), and
hands back what lies behind the body's end (`leftover`).

This is also the one place where a filter on bodies (compression, a cache) can stand: as another kind of flow.
Source: RFC 9112 sections 6 and 7.
"""

from __future__ import annotations

from math import inf

from common.net.relay import Flow
from common.net.stream import READ_SIZE, Stream
from worker.http.chunked import LAST_CHUNK, ChunkedBody, encode_chunk
from worker.http.framing import BodyKind, BodyPlan


class Kept:
    """What was received of a request's body, as it came, for sending it again. data: None when it was more than may be kept."""

    __slots__ = ("_left", "_pieces")

    def __init__(self, bytes_max: int) -> None:
        self._left = bytes_max
        self._pieces: list[bytes] | None = []

    def add(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._pieces = None
        elif self._pieces is not None and data:
            self._pieces.append(data)

    @property
    def data(self) -> bytes | None:
        return None if self._pieces is None else b"".join(self._pieces)


class PlainBody(Flow):
    """LENGTH or CLOSE, forwarded as it is. NONE is the rest of a head alone."""

    __slots__ = ("leftover", "until_close")

    def __init__(self, source: Stream, target: Stream, plan: BodyPlan, *, splice: bool) -> None:
        self.until_close = plan.kind is BodyKind.CLOSE
        super().__init__(source, target, limit=inf if self.until_close else plan.length, splice=splice)
        self.leftover = b""

    def begin(self, head: bytes, data: bytes) -> None:
        """What to send first: a head, and the body's bytes that came with it."""
        take = len(data) if self.until_close else min(len(data), int(self.limit))
        self.leftover = data[take:]
        self.limit -= take
        self.held = head + (data if take == len(data) else data[:take])

    @property
    def complete(self) -> bool:
        """The body has all its bytes. False at the end of the source means that it was cut."""
        return self.limit <= 0 or (self.until_close and self.source_ended)


class KeptBody(PlainBody):
    """A request's body with a length, kept while it goes on."""

    __slots__ = ("kept",)

    def __init__(self, source: Stream, target: Stream, plan: BodyPlan, kept: Kept) -> None:
        super().__init__(source, target, plan, splice=False)
        self.kept = kept

    def _copy(self) -> bool | None:
        data = self._receive(min(READ_SIZE, int(self.limit)))
        if data is None:
            return None
        if not data:
            self.source_ended = True
            return True
        self.taken_from_source += len(data)
        self.limit -= len(data)
        self.kept.add(data)
        self._send(data)
        return True


class ChunkedFlow(Flow):
    """A chunked body, forwarded as chunked or decoded. keep_trailers: what follows the last chunk goes on too."""

    __slots__ = ("codec", "kept", "leftover")

    def __init__(self, source: Stream, target: Stream, *, decode: bool, keep_trailers: bool = True, kept: Kept | None = None) -> None:
        super().__init__(source, target)
        self.codec = ChunkedBody(decode=decode, keep_trailers=keep_trailers)
        self.kept = kept
        self.leftover = b""

    def begin(self, head: bytes, data: bytes) -> None:
        """Raises WireError, as reading on does."""
        self.held = head + self._take(data)

    def _take(self, data: bytes) -> bytes:
        pieces, end = self.codec.feed(data)
        if end < len(data):
            self.leftover = data[end:]
        if self.kept is not None and self.taken_from_source:
            self.kept.add(data[:end])
        if self.codec.done:
            self.limit = 0
        if len(pieces) == 1:
            return bytes(pieces[0])
        return b"".join(pieces)

    def _copy(self) -> bool | None:
        data = self._receive(READ_SIZE)
        if data is None:
            return None
        if not data:
            self.source_ended = True
            return True
        self.taken_from_source += len(data)
        coded = self._take(data)
        if coded:
            self._send(coded)
        return True

    @property
    def complete(self) -> bool:
        return self.codec.done


class ChunkingFlow(Flow):
    """A body that ends with its connection, made chunked, so that the other side's connection can live on."""

    __slots__ = ("leftover",)

    def __init__(self, source: Stream, target: Stream) -> None:
        super().__init__(source, target)
        self.leftover = b""

    def begin(self, head: bytes, data: bytes) -> None:
        self.held = head + (b"".join(encode_chunk(data)) if data else b"")

    def _copy(self) -> bool | None:
        data = self._receive(READ_SIZE)
        if data is None:
            return None
        if data:
            self._send(b"".join(encode_chunk(data)))
        else:
            self.source_ended = True
            self._send(LAST_CHUNK)
        return True

    @property
    def complete(self) -> bool:
        return self.source_ended


Body = PlainBody | ChunkedFlow | ChunkingFlow


def request_body(
    source: Stream, target: Stream, plan: BodyPlan, *, splice: bool = False, kept: Kept | None = None, keep_trailers: bool = True
) -> Body:
    """The way of a request body, which is LENGTH or CHUNKED. kept: takes what is read on the way; what `begin` gets is its caller's."""
    if plan.kind is BodyKind.CHUNKED:
        return ChunkedFlow(source, target, decode=False, keep_trailers=keep_trailers, kept=kept)
    if kept is not None:
        return KeptBody(source, target, plan, kept)
    return PlainBody(source, target, plan, splice=splice)


def response_body(
    source: Stream, target: Stream, plan: BodyPlan, out: BodyPlan, *, splice: bool = False, keep_trailers: bool = True
) -> Body:
    """The way of a response body that is framed as `plan` by the server and as `out` for the client."""
    if plan.kind is BodyKind.CHUNKED:
        return ChunkedFlow(source, target, decode=out.kind is not BodyKind.CHUNKED, keep_trailers=keep_trailers)
    if plan.kind is BodyKind.CLOSE and out.kind is BodyKind.CHUNKED:
        return ChunkingFlow(source, target)
    return PlainBody(source, target, plan, splice=splice)
