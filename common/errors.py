"""Errors that both programs share. Nouns: imports nothing of ours."""

from __future__ import annotations


class UsherError(Exception):
    """Base of every error that Usher raises on purpose."""


class ConfigError(UsherError):
    """A configuration that cannot be used. The message speaks to an operator and names the place."""


class WireError(UsherError):
    """Bytes from a peer that break their protocol.

    Codecs raise it and know no peer; the story that reads turns it into (cause, phase, status).

    slug: a stable reason for logs and metrics, in lower case with underscores, e.g. ``bad_chunk_size``.
    status: the HTTP status a client would get for it (400, 413, 414, 422, 431, 501, 505 …); 0 where none fits.
    """

    __slots__ = ("slug", "status")

    def __init__(self, slug: str, status: int = 400) -> None:
        super().__init__(slug)
        self.slug = slug
        self.status = status


class ExpressionError(UsherError):
    """A sample expression, condition, log-format or rule that does not compile.

    word: index into the words given to the compiler at which the fault lies (0-based), for the caret.
    """

    __slots__ = ("hint", "word")

    def __init__(self, message: str, word: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.word = word
        self.hint = hint
