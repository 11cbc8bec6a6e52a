"""HTTP messages as tests write and compare them.

Written: one line in which `|` stands for CRLF, e.g. `GET / HTTP/1.1|Host: a||`. In an expected message

    Name: *      the field is there, whatever its value
    Name: ~RE    its value matches the regular expression
    !Name        the field is absent
    ...          (a line of its own) fields that are not named may come too; without it the set is exact

Field names compare without case and the order of different fields is free: HAProxy 2.6 writes names in lower case and
appends its own fields at the end, which a proxy may. Several fields of one name keep their order. A body may be `*` or
`~RE` too. Bodies compare after
their transfer coding is removed, because a proxy may cut chunks anew.

This reader is deliberately simple and separate from ours: it is the other side's opinion.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.flows.peers import Peer

_ESCAPE = re.compile(r"\\([rnt]|x[0-9a-fA-F]{2})")
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t"}


def wire(text: str) -> bytes:
    r"""The bytes of a message as tests write it: `|` is CRLF; \r, \n, \t and \xHH are what Python means by them."""
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1]) or chr(int(match[1][1:], 16)), text.replace("|", "\r\n")).encode("latin-1")


@dataclass(frozen=True, slots=True)
class Message:
    """start: the first line. fields: (lower-case name, value), in order. body: without its transfer coding."""

    start: str
    fields: tuple[tuple[str, str], ...]
    body: bytes = b""
    trailers: tuple[tuple[str, str], ...] = ()

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1])

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.fields if found == name.lower()]

    def value(self, name: str) -> str:
        """The one value of a field; KeyError if it is absent."""
        for found, value in self.fields:
            if found == name.lower():
                return value
        raise KeyError(name)


def parse_head(head: bytes) -> tuple[str, tuple[tuple[str, str], ...]]:
    start, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    return start, tuple(_field(line) for line in lines if line)


def receive(peer: Peer, *, method: str = "") -> Message:
    """Reads one message, body included. method: of the request that a response answers ("" when reading a request)."""
    head = peer.receive_until(b"\r\n\r\n")
    if not head.endswith(b"\r\n\r\n"):
        raise AssertionError(f"{peer.name}: the stream ended in or before a head: {head!r}")
    start, fields = parse_head(head)
    message = Message(start, fields)
    if "chunked" in ",".join(message.values("transfer-encoding")).lower() and _has_body(message, method):
        body, trailers = _receive_chunked(peer)
        return Message(start, fields, body, trailers)
    length = _length(message, method)
    return Message(start, fields, peer.receive_to_end() if length < 0 else peer.receive_exactly(length))


def expected(text: str) -> tuple[Message, bool]:
    """(message, exact) of an expected message as tests write it; the body is decoded if it is written in chunks."""
    head, _, body = wire(text).partition(b"\r\n\r\n")
    start, *lines = head.decode("latin-1").split("\r\n")
    fields = tuple((line[1:].strip().lower(), "!") if line.startswith("!") else _field(line) for line in lines if line != "...")
    message = Message(start, fields, body)
    if any(name == "transfer-encoding" and "chunked" in value for name, value in fields):
        body, trailers = decode_chunked(body)
        message = Message(start, fields, body, trailers)
    return message, "..." not in lines


def differences(got: Message, wanted: Message, *, exact: bool) -> list[str]:
    """What is wrong with a received message, in words; empty if it is as expected."""
    found = []
    if not _matches(got.start, wanted.start):
        found.append(f"start line {got.start!r}, not {wanted.start!r}")
    names = {name for name, _ in wanted.fields}
    for name in sorted(names):
        want = [value for other, value in wanted.fields if other == name]
        have = got.values(name)
        if want == ["!"]:
            found += [f"{name!r} is there: {have}"] if have else []
        elif len(want) != len(have) or not all(map(_matches, have, want)):
            found.append(f"{name!r} is {have}, not {want}")
    if exact and (extra := [field for field in got.fields if field[0] not in names]):
        found.append(f"fields that nobody expects: {extra}")
    if not _body_matches(got.body, wanted.body):
        found.append(f"body {_short(got.body)}, not {_short(wanted.body)}")
    if got.trailers != wanted.trailers:
        found.append(f"trailers {got.trailers}, not {wanted.trailers}")
    return found


def decode_chunked(data: bytes) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    """(content, trailers) of a complete chunked body; what is not complete counts as content that differs."""
    body = b""
    while data:
        line, _, data = data.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            return body, tuple(_field(row.decode("latin-1")) for row in data.split(b"\r\n") if row)
        body, data = body + data[:size], data[size + 2 :]
    return body + b" (no last chunk)", ()


def _receive_chunked(peer: Peer) -> tuple[bytes, tuple[tuple[str, str], ...]]:
    held = b""
    while True:
        line = peer.receive_until(b"\r\n")
        held += line
        if not line.endswith(b"\r\n"):
            return decode_chunked(held)
        size = int(line.split(b";")[0], 16)
        if size == 0:
            while line := peer.receive_until(b"\r\n"):
                held += line
                if line == b"\r\n":
                    break
            return decode_chunked(held)
        held += peer.receive_exactly(size + 2)


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip(" \t")


def _matches(got: str, wanted: str) -> bool:
    if wanted == "*":
        return True
    return re.fullmatch(wanted[1:], got) is not None if wanted.startswith("~") else got == wanted


def _has_body(message: Message, method: str) -> bool:
    if not message.start.startswith("HTTP/"):
        return True
    return not (method == "HEAD" or message.status < 200 or message.status in (204, 304) or (method == "CONNECT" and message.status < 300))


def _length(message: Message, method: str) -> int:
    """Body bytes that follow the head; -1: all that comes until the end."""
    if not _has_body(message, method):
        return 0
    lengths = message.values("content-length")
    if lengths:
        return int(lengths[0])
    return -1 if message.start.startswith("HTTP/") else 0


def _body_matches(got: bytes, wanted: bytes) -> bool:
    if wanted == b"*":
        return True
    return re.fullmatch(wanted[1:], got, re.DOTALL) is not None if wanted.startswith(b"~") else got == wanted


def _short(data: bytes) -> str:
    return repr(data) if len(data) <= 200 else f"{data[:60]!r}… ({len(data)} bytes)"
