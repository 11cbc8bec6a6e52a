"""The field Forwarded: who the client is and whom it asked, in one standard field.

Source: RFC 7239; HAProxy manual 4.2 "option forwarded".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from worker.http.editor import clean_value

if TYPE_CHECKING:
    from worker.exchange import Exchange

Getter = Callable[["Exchange"], bytes | None]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NODE_NAME = re.compile(rb"unknown|_[0-9A-Za-z._-]+|[0-9.]+|\[?[0-9A-Fa-f:.]+\]?")
_PORT = re.compile(rb"[0-9]{1,5}|_[0-9A-Za-z._-]+")


def expressions_in(words: Sequence[str]) -> dict[str, str]:
    """Slot -> the expression that gives its value, for those that have one."""
    found = {}
    rest = iter(words)
    for word in rest:
        if word.endswith("-expr"):
            found[word.removesuffix("-expr")] = next(rest)
    return found


def forwarded_adder(
    words: Sequence[str], expressions: Mapping[str, Getter], address_text: Callable[[bytes], bytes]
) -> Callable[[Exchange], bytes]:
    """words: of the option; none means `proto for`. expressions: those of expressions_in, compiled."""
    slots = {word.removesuffix("-expr") for word in words} or {"proto", "for"}

    def asked(exchange: Exchange, slot: str, usual: Callable[[], bytes]) -> bytes | None:
        if slot not in slots:
            return None
        getter = expressions.get(slot)
        return usual() if getter is None else getter(exchange) or b""

    def add(exchange: Exchange) -> bytes:
        request = exchange.head
        pairs = []
        if "proto" in slots:
            pairs.append(b"proto=" + (b"https" if exchange.session.tls is not None else b"http"))
        host = asked(exchange, "host", lambda: (request.host if request is not None else None) or b"")
        if host:
            pairs.append(b"host=" + _quoted(clean_value(host)))
        for slot, address, port in (("by", exchange.dst, exchange.dst_port), ("for", exchange.src, exchange.src_port)):
            name = asked(exchange, slot, lambda packed=address: address_text(packed))  # type: ignore[misc]
            if name is not None:
                number = asked(exchange, f"{slot}_port", lambda value=port: b"%d" % value)  # type: ignore[misc]
                pairs.append(b"%s=%s" % (slot.encode(), _node(name, number)))
        return b"forwarded: " + b";".join(pairs) + b"\r\n" if pairs else b""

    return add


def _node(name: bytes, port: bytes | None) -> bytes:
    """RFC 7239 section 6: an address, with brackets if it is of IPv6, a name that hides one, or unknown; and perhaps a port."""
    if not _NODE_NAME.fullmatch(name):
        name = b"unknown"
    elif b":" in name and not name.startswith(b"["):
        name = b"[" + name + b"]"
    if port and _PORT.fullmatch(port):
        name += b":" + port
    return _quoted(name)


def _quoted(value: bytes) -> bytes:
    return value if _TOKEN.fullmatch(value) else b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
