"""Where an exchange is, and the letter that stands for it in logs. Source: HAProxy manual 8.5."""

from __future__ import annotations

from enum import Enum


class Step(Enum):
    """Where an exchange is."""

    REQUEST = "request"
    QUEUE = "queue"
    CONNECT = "connect"
    BODY = "request body"
    HEADERS = "response headers"
    DATA = "data"
    LAST = "last"
    TARPIT = "tarpit"

    @property
    def letter(self) -> bytes:
        """The second termination letter (HAProxy manual 8.5)."""
        return _LETTERS[self]


_LETTERS = {
    Step.REQUEST: b"R",
    Step.QUEUE: b"Q",
    Step.CONNECT: b"C",
    Step.BODY: b"D",
    Step.HEADERS: b"H",
    Step.DATA: b"D",
    Step.LAST: b"L",
    Step.TARPIT: b"T",
}
