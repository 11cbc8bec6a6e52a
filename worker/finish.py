"""The last hand on a head before it goes to a server: its name, and the spelling of fields.

Both come after everything else, also after rules, and again for each attempt: the next one may go to another server.

Source: HAProxy manual 4.2 "http-send-name-header", "option h1-case-adjust-bogus-server".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from common import model
from worker.http.spelling import Spelling, respelled, spelling_of

if TYPE_CHECKING:
    from worker.exchange import Exchange

Finish = Callable[[bytes, "Exchange"], bytes]


def spelling_for(side: str, proxy: model.Proxy, settings: model.Global) -> Spelling | None:
    """What `h1-case-adjust` says, if the proxy wants it towards that side ("client", "server"); else None."""
    if f"h1-case-adjust-bogus-{side}" not in proxy.options:
        return None
    pairs = (*settings.extra.get("h1-case-adjust-file", ()), *settings.extra.get("h1-case-adjust", ()))
    return spelling_of(pairs) or None


def finish_of(proxy: model.Proxy, settings: model.Global) -> Finish | None:
    """None where nothing is to be done."""
    spelling = spelling_for("server", proxy, settings)
    name = model.last_word(proxy.extra, "http-send-name-header").lower().encode()
    if not name:
        return (lambda head, exchange: respelled(head, spelling)) if spelling is not None else None
    present = re.compile(rb"\r\n" + re.escape(name) + rb":[^\r\n]*", re.IGNORECASE)

    def finish(head: bytes, exchange: Exchange) -> bytes:
        server = exchange.leased
        assert server is not None
        head = present.sub(b"", head)[:-2] + name + b": " + server.model.name.encode() + b"\r\n\r\n"
        return respelled(head, spelling) if spelling is not None else head

    return finish
