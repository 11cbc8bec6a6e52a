"""What is counted in stick tables of a client whose entries rules track: sessions, requests, errors, bytes; and the end of tracking.

What `tcp-request connection` and `session` rules track is the session's, from then to its end; what rules on contents and requests
track is the exchange's.

Source: HAProxy manual 4.2 "stick-table" (what each counter counts), "tcp-request connection" (track-sc0); what counts where was seen
by asking a stock HAProxy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from common.tables.entry import Entry

if TYPE_CHECKING:
    from worker.exchange import Exchange
    from worker.session import Session

_NO_FAILURE = (501, 505)  # the server cannot do it: that says something about the request


def accepted(session: Session) -> None:
    """The connection has passed its rules."""
    for entry in _entries(session.tracked):
        entry.count(entry.table.plans.session)


def asked(session: Session) -> None:
    """A request begins."""
    for entry in _entries(session.tracked):
        entry.count(entry.table.plans.request)


def ended(exchange: Exchange) -> None:
    """An exchange is over: what came of it, and what it tracked is let go."""
    error, failure = is_error(exchange), is_failure(exchange)
    for entry in (*_entries(exchange.session.tracked), *_entries(exchange.own_tracked)):
        plans = entry.table.plans
        if error:
            entry.count(plans.error)
        if failure:
            entry.count(plans.failure)
        entry.count(plans.bytes_in, exchange.bytes_in)
        entry.count(plans.bytes_out, exchange.bytes_out)
    for entry in _entries(exchange.own_tracked):
        entry.let_go()


def switched(exchange: Exchange) -> None:
    """Bytes turned out to be HTTP: what they tracked so far is the session's."""
    if exchange.own_tracked is not None:
        exchange.session.tracked = {**exchange.own_tracked, **(exchange.session.tracked or {})}
        exchange.own_tracked = None


def closed(session: Session) -> None:
    for entry in _entries(session.tracked):
        entry.let_go()


def is_error(exchange: Exchange) -> bool:
    """The client's fault: a request that is none, that rules refuse, or that the server answers with 4xx."""
    status = exchange.server_status
    if status is not None:
        return 400 <= status < 500
    if exchange.slug == "denied_by_rule":
        return exchange.termination[1:] != b"H"
    if exchange.slug == "answered_by_rule":
        return exchange.status in (401, 407)
    return exchange.termination[:1] in (b"C", b"c", b"P") and exchange.termination[1:] == b"R"


def is_failure(exchange: Exchange) -> bool:
    """The server's: no response, one that is none, or 5xx."""
    status = exchange.server_status
    if status is not None:
        return 500 <= status < 600 and status not in _NO_FAILURE
    return exchange.termination in (b"SH", b"sH", b"PH") and exchange.slug != "denied_by_rule"


def _entries(tracked: dict[int, Entry] | None) -> Iterable[Entry]:
    return tracked.values() if tracked else ()
