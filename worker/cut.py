"""How an exchange ends when it cannot go on. Source: HAProxy manual 8.5."""

from __future__ import annotations


class Cut(Exception):
    """The exchange cannot go on. status: what the client hears if nothing was sent yet (0: nothing). termination: cause and phase."""

    def __init__(self, termination: bytes, status: int, slug: str) -> None:
        super().__init__(slug)
        self.termination = termination
        self.status = status
        self.slug = slug
