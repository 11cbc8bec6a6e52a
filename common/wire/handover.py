"""The frames between a dispatcher and a worker, on their SEQPACKET channel. Sans-io.

A SEQPACKET socket keeps messages whole and keeps a message and its descriptor together, so a frame needs no length that a
stream would need and is never in pieces. Both ends run on one machine: integers that only we see are in its byte order.

To the worker, first of all one PAGE with the descriptor of the memory that both share (common/wire/claims.py):

    type 0xA0 (1) | zero (1) | version (2)

then one GIVE per message, the client's descriptor with it:

    type 0xA1 (1) | flags (1) | bind id (2) | connection id (4) | cell (2) | PROXY v2 header

To the dispatcher, reports: any number of frames in one message, in the order in which they happened.

    type (1) | zero (1) | count (2) | body

    HELLO     0xB1   0      version (2) worker number (2) pid (4) generation (4) connections (4) maxconn (4)
    TAKEN     0xB2   ids    ids (4 each): the client's first byte was read, the dispatcher may drop its descriptor
    ENDED     0xB3   ids    ids: these sessions are over
    REFUSED   0xB4   ids    ids: not taken and never will be, seat them elsewhere
    LOAD      0xB5   0      handshakes in progress (4)
    DRAIN     0xB6   0      nothing: give me no more
    HELD      0xB7   pairs  ids (4 each), then their bind ids (2 each): sessions that a dispatcher before you gave me

HELLO comes first on every channel; HELD follows it when the dispatcher is a new one, which so learns the counts per bind
that it must go on from, and ids that it must not use again until they have ENDED.

Ids travel as arrays: a thousand of them cost about as much as one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntFlag
from struct import Struct
from typing import Final

from common.wire.proxy_protocol import ProxyHeader, decode
from common.wire.proxy_v2 import HEADER_BYTES_MAX
from common.wire.reasons import refuse

CHANNEL_VERSION: Final = 2
BIND_OF_CHANNEL: Final = 0x8000  # instead of a bind id: the bind that the channel's name belongs to. The bits below are the
# dispatcher's own: which of its listeners it was; HELD tells them back
IDS_MAX: Final = 4096  # per frame; longer lists are split
MESSAGE_BYTES_MAX: Final = 32768  # a report; a reader's buffer must hold it, and it is far below a socket's send buffer
_PAGE: Final = 0xA0
_GIVE: Final = 0xA1

_PAGE_MESSAGE = Struct("=BBH")
_GIVE_HEAD = Struct("=BBHIH")
GIVE_BYTES_MAX: Final = _GIVE_HEAD.size + HEADER_BYTES_MAX
_PROXY_VERSIONS = frozenset({2})

_FRAME_HEAD = Struct("=BBH")
_HELLO_BODY = Struct("=HHIIII")
_LOAD_BODY = Struct("=I")

assert array("I").itemsize == 4 and array("H").itemsize == 2


class GiveFlag(IntFlag):
    """What the worker should know about a connection beside its addresses."""

    NONE = 0
    RESEATED = 0x01  # it was given to another worker before, which ended or hung without taking it


_GIVE_FLAGS = int(GiveFlag.RESEATED)


@dataclass(frozen=True, slots=True)
class Hello:
    """Who the worker is and what it carries. connections: of all dispatchers and binds."""

    worker: int
    pid: int
    generation: int
    connections: int
    maxconn: int
    version: int = CHANNEL_VERSION


@dataclass(frozen=True, slots=True)
class Taken:
    ids: array[int]


@dataclass(frozen=True, slots=True)
class Ended:
    ids: array[int]


@dataclass(frozen=True, slots=True)
class Refused:
    ids: array[int]


@dataclass(frozen=True, slots=True)
class Load:
    """handshakes: TLS handshakes in progress."""

    handshakes: int


@dataclass(frozen=True, slots=True)
class Drain:
    pass


@dataclass(frozen=True, slots=True)
class Held:
    """ids and binds go together, index by index."""

    ids: array[int]
    binds: array[int]


Frame = Hello | Taken | Ended | Refused | Load | Drain | Held


def ids_array(ids: Iterable[int] = ()) -> array[int]:
    """Connection ids as the frames carry them. Raises OverflowError for one that has not 32 bits."""
    return array("I", ids)


def binds_array(binds: Iterable[int] = ()) -> array[int]:
    """Bind ids as Held carries them. Raises OverflowError for one that has not 16 bits."""
    return array("H", binds)


def encode_page() -> bytes:
    """The message that brings the shared memory."""
    return _PAGE_MESSAGE.pack(_PAGE, 0, CHANNEL_VERSION)


def decode_page(message: bytes) -> None:
    """Raises WireError when the first message of a channel is anything else."""
    if len(message) < _PAGE_MESSAGE.size:
        raise refuse("handover_truncated" if message else "handover_empty")
    kind, zero, version = _PAGE_MESSAGE.unpack_from(message)
    if kind != _PAGE:
        raise refuse("handover_bad_type")
    if version != CHANNEL_VERSION:
        raise refuse("handover_bad_version")
    if zero or len(message) != _PAGE_MESSAGE.size:
        raise refuse("handover_bad_flags" if zero else "handover_trailing")


def encode_give(connection: int, bind: int, cell: int, header: bytes, flags: int = 0) -> bytes:
    """The message for one connection; `header` from encode_v2 and its like."""
    return _GIVE_HEAD.pack(_GIVE, flags, bind, connection, cell) + header


def decode_give(message: bytes) -> tuple[int, int, int, int, ProxyHeader]:
    """(connection id, bind id, cell, flags, header). A plain tuple: hot, one per connection. Raises WireError."""
    if len(message) < _GIVE_HEAD.size:
        raise refuse("handover_truncated" if message else "handover_empty")
    kind, flags, bind, connection, cell = _GIVE_HEAD.unpack_from(message)
    if kind != _GIVE:
        raise refuse("handover_bad_type")
    if flags & ~_GIVE_FLAGS:
        raise refuse("handover_bad_flags")
    decoded = decode(message[_GIVE_HEAD.size :], versions=_PROXY_VERSIONS)
    if decoded is None:
        raise refuse("handover_truncated")
    header, size = decoded
    if size != len(message) - _GIVE_HEAD.size:
        raise refuse("handover_trailing")
    return connection, bind, cell, flags, header


def encode_report(frames: Iterable[Frame]) -> list[bytes]:
    """The messages, as few as hold the frames in their order, none above MESSAGE_BYTES_MAX."""
    messages: list[bytes] = []
    pieces: list[bytes] = []
    size = 0
    for frame in frames:
        for piece in _encode_frame(frame):
            if size + len(piece) > MESSAGE_BYTES_MAX:
                messages.append(b"".join(pieces))
                pieces, size = [], 0
            pieces.append(piece)
            size += len(piece)
    if pieces:
        messages.append(b"".join(pieces))
    return messages


def decode_report(message: bytes) -> list[Frame]:
    """The frames of one message, in order; never none. Raises WireError, and then nothing of the message counts."""
    if not message:
        raise refuse("handover_empty")
    frames: list[Frame] = []
    position = 0
    while position < len(message):
        frame, position = _decode_frame(message, position)
        frames.append(frame)
    return frames


def _encode_frame(frame: Frame) -> Iterator[bytes]:
    """The frame; several for one with too many ids."""
    match frame:
        case Taken(ids) | Ended(ids) | Refused(ids):
            for start in range(0, len(ids), IDS_MAX):
                chunk = ids[start : start + IDS_MAX]
                yield _FRAME_HEAD.pack(_TYPES[type(frame)], 0, len(chunk)) + chunk.tobytes()
        case Held(ids, binds):
            assert len(ids) == len(binds)
            for start in range(0, len(ids), IDS_MAX):
                chunk = ids[start : start + IDS_MAX]
                body = chunk.tobytes() + binds[start : start + IDS_MAX].tobytes()
                yield _FRAME_HEAD.pack(_TYPES[Held], 0, len(chunk)) + body
        case Hello():
            body = _HELLO_BODY.pack(frame.version, frame.worker, frame.pid, frame.generation, frame.connections, frame.maxconn)
            yield _FRAME_HEAD.pack(_TYPES[Hello], 0, 0) + body
        case Load(handshakes):
            yield _FRAME_HEAD.pack(_TYPES[Load], 0, 0) + _LOAD_BODY.pack(handshakes)
        case Drain():
            yield _FRAME_HEAD.pack(_TYPES[Drain], 0, 0)


def _decode_frame(message: bytes, position: int) -> tuple[Frame, int]:
    """(the frame at `position`, the position behind it)."""
    start = position + _FRAME_HEAD.size
    if start > len(message):
        raise refuse("handover_truncated")
    kind, zero, count = _FRAME_HEAD.unpack_from(message, position)
    if kind not in _DECODERS:
        raise refuse("handover_bad_type")
    fixed_bytes, bytes_per_id, decoder = _DECODERS[kind]
    if zero or (count and not bytes_per_id):
        raise refuse("handover_bad_flags")
    end = start + fixed_bytes + count * bytes_per_id
    if end > len(message):
        raise refuse("handover_truncated")
    return decoder(message[start:end]), end


def _decode_ids(body: bytes) -> array[int]:
    ids = array("I")
    ids.frombytes(body)
    return ids


def _decode_hello(body: bytes) -> Hello:
    version, worker, pid, generation, connections, maxconn = _HELLO_BODY.unpack(body)
    if version != CHANNEL_VERSION:
        raise refuse("handover_bad_version")
    return Hello(worker, pid, generation, connections, maxconn)


def _decode_held(body: bytes) -> Held:
    count = len(body) // 6
    binds = array("H")
    binds.frombytes(body[4 * count :])
    return Held(_decode_ids(body[: 4 * count]), binds)


_TYPES: dict[type[Frame], int] = {Hello: 0xB1, Taken: 0xB2, Ended: 0xB3, Refused: 0xB4, Load: 0xB5, Drain: 0xB6, Held: 0xB7}

# type -> (bytes of the fixed body, bytes per counted id, what makes the frame of them)
_DECODERS: dict[int, tuple[int, int, Callable[[bytes], Frame]]] = {
    _TYPES[Hello]: (_HELLO_BODY.size, 0, _decode_hello),
    _TYPES[Taken]: (0, 4, lambda body: Taken(_decode_ids(body))),
    _TYPES[Ended]: (0, 4, lambda body: Ended(_decode_ids(body))),
    _TYPES[Refused]: (0, 4, lambda body: Refused(_decode_ids(body))),
    _TYPES[Load]: (_LOAD_BODY.size, 0, lambda body: Load(*_LOAD_BODY.unpack(body))),
    _TYPES[Drain]: (0, 0, lambda body: Drain()),
    _TYPES[Held]: (0, 6, _decode_held),
}
