"""All reason slugs, found by name, by termination code and by place in the counters. Sans-io.

Source: HAProxy configuration manual 8.5 (termination codes); RFC 9209 section 2.3 (error types of Proxy-Status).
"""

from __future__ import annotations

import textwrap
from typing import Final

from common.observe.reason import REASON_WORDS, Reason
from common.observe.reasons_client import CLIENT, MALFORMED, WIRE
from common.observe.reasons_local import LOCAL
from common.observe.reasons_retry import RETRY
from common.observe.reasons_server import SERVER, SERVER_TLS

_ALL = (*LOCAL, *CLIENT, *SERVER, *SERVER_TLS, *RETRY, *MALFORMED, *WIRE)
REASONS: Final[dict[str, Reason]] = {reason.slug: reason for reason in _ALL}
SLUGS: Final[tuple[str, ...]] = tuple(sorted(REASONS))
INDEX: Final[dict[str, int]] = {slug: index for index, slug in enumerate(SLUGS)}  # of a slug in Counters.reasons(proxy)
OTHER: Final = INDEX["other"]

assert len(SLUGS) <= REASON_WORDS

CAUSES: Final = {
    "C": "the client ended the connection",
    "S": "the server ended or refused the connection",
    "P": "the proxy ended the session: a limit, a rule, or a message that must not pass",
    "L": "answered here, without a server",
    "R": "a resource of this machine is exhausted",
    "I": "a fault in this program",
    "D": "ended because the server went down",
    "U": "ended because an active server came back",
    "K": "ended by an operator",
    "c": "the client was too slow",
    "s": "the server was too slow",
    "-": "normal",
}
PHASES: Final = {
    "R": "waiting for a whole request",
    "Q": "waiting in the queue for a server",
    "C": "connecting to the server",
    "H": "waiting for the response head",
    "D": "while data passed",
    "L": "sending the last data to the client",
    "T": "in the tarpit",
    "-": "after the end",
}


def index_of(slug: str) -> int:
    """Where to count a slug; unknown ones are counted as "other"."""
    return INDEX.get(slug, OTHER)


def of_termination(letters: str) -> list[Reason]:
    """The reasons that a pair of termination letters may have; the usual ones first."""
    found = [reason for reason in REASONS.values() if letters in reason.terminations]
    return sorted(found, key=lambda reason: (reason.terminations.index(letters), reason.slug))


def proxy_status(name: str, slug: str) -> tuple[tuple[bytes, bytes], ...]:
    """The field that tells why an answer is ours (RFC 9209); none for what is no error. name: of this proxy, a token."""
    reason = REASONS.get(slug)
    if reason is None or not reason.proxy_status:
        return ()
    return ((b"proxy-status", f'{name}; error={reason.proxy_status}; details="{slug}"'.encode()),)


def describe(word: str) -> str:
    """What `usher reason WORD` prints: a slug, or the first letters of a termination code. "" when nothing is known."""
    reason = REASONS.get(word)
    if reason is not None:
        return _page(reason)
    letters = word[:2]
    if len(word) in (2, 4) and letters[:1] in CAUSES and letters[1:] in PHASES:
        lines = [f"{letters}: {CAUSES[letters[0]]}, {PHASES[letters[1]]}."]
        lines += [f"  {found.slug:<28} {found.cause}" for found in of_termination(letters)]
        return "\n".join(lines) + "\n"
    return ""


def _page(reason: Reason) -> str:
    """The page of one reason."""
    status = f"status {reason.status}" if reason.status else "no answer"
    letters = ", ".join(reason.terminations)
    error = f"; Proxy-Status error={reason.proxy_status}" if reason.proxy_status else ""
    lines = [f"{reason.slug}: termination {letters}; {status}{error}"]
    for title, text in (("Cause", reason.cause), ("Cure", reason.cure)):
        lines += textwrap.wrap(f"{title}: {text}", 100, initial_indent="  ", subsequent_indent="    ")
    return "\n".join(lines) + "\n"
