"""Reading a server's HTTP answer in a check, with h11: strict, and only as far as the check looks. Sans-io.

Source: RFC 9112 section 6.3; HAProxy configuration manual 4.2 "http-check expect".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h11


@dataclass(slots=True)
class HttpAnswer:
    """A head, and what of the body has come. complete: nothing more will come."""

    status: int
    reason: bytes
    version: int
    fields: Sequence[tuple[bytes, bytes]]
    body: bytes = b""
    complete: bool = False

    def values(self, name_lower: bytes) -> Sequence[bytes]:
        return [value for name, value in self.fields if name.lower() == name_lower]


class BadAnswer(Exception):
    """What came is no HTTP answer, or is cut off within its head."""


def read_answer(data: bytes, ended: bool, method: bytes) -> HttpAnswer | None:
    """The answer in `data`, None while its head is not complete. ended: no more bytes will come. Raises BadAnswer.

    A body that ends before its announced length is taken as far as it came: the check looks at what is there.
    """
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"check"), (b"connection", b"close")]))
    connection.send(h11.EndOfMessage())
    answer: HttpAnswer | None = None
    body = bytearray()
    try:
        if data:  # nothing means the end to h11
            connection.receive_data(data)
        if ended:
            connection.receive_data(b"")
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                version = 10 if event.http_version == b"1.0" else 11
                answer = HttpAnswer(event.status_code, event.reason, version, event.headers.raw_items())
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert answer is not None
                answer.complete = True
                break
            elif not isinstance(event, h11.InformationalResponse):
                break
    except h11.RemoteProtocolError as error:
        if answer is None:
            raise BadAnswer(str(error)) from error
        answer.complete = True
    if answer is not None:
        answer.body = bytes(body)
        answer.complete = answer.complete or ended
    return answer
