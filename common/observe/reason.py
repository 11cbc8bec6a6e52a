"""The shape of one reason: why a session ended early, or why an answer is ours and not a server's. Sans-io.

HAProxy's two termination letters say who and when; a *slug* says why. It is stable, stands in logs, in metrics and in the
`Proxy-Status` field (RFC 9209), and `usher reason SLUG` explains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

REASON_WORDS: Final = 256  # places for slugs in the shared counters


@dataclass(frozen=True, slots=True)
class Reason:
    """slug: lower case with underscores. terminations: the pairs of letters (cause, phase) it comes with, the usual
    one first (HAProxy manual 8.5). status: what the client is told, 0 when nothing can be told.
    proxy_status: the error type of RFC 9209 section 2.3. cause and cure: sentences for an operator."""

    slug: str
    terminations: tuple[str, ...]
    status: int
    proxy_status: str
    cause: str
    cure: str
