"""Fields that a proxy's lines add to requests: who the client is, in the words of the day.

Source: HAProxy manual 4.2 "option forwardfor", "option originalto", "unique-id-header".
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from common import model
from common.wire.address_text import inet6_text, inet_text
from worker.forwarded_field import Getter, forwarded_adder
from worker.http.editor import clean_value

if TYPE_CHECKING:
    from worker.exchange import Exchange

Adder = Callable[["Exchange"], bytes]
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def address_text(packed: bytes) -> bytes:
    """The text of a packed address; b"" for none."""
    if len(packed) == 4:
        return inet_text(packed).encode()
    return inet6_text(packed).encode() if packed else b""


_OPTIONS = (("forwardfor", "x-forwarded-for", False), ("originalto", "x-original-to", True))


def adds_fields(proxy: model.Proxy) -> bool:
    """Whether a line of this proxy adds fields to requests."""
    if proxy.frontend and proxy.unique_id_header is not None and proxy.unique_id_format is not None:
        return True
    return any(option in proxy.options or option in proxy.option_args for option in ("forwardfor", "originalto", "forwarded"))


def adders(frontend: model.Proxy, backend: model.Proxy, forwarded: Mapping[str, Getter]) -> list[Adder]:
    """What the options of both sides add, each field once: the backend's name for it counts, the exceptions of both do."""
    made: list[Adder] = []
    if frontend.unique_id_header is not None and frontend.unique_id_format is not None:
        made.append(_unique_id_adder(frontend.unique_id_header))
    for option, default, takes_destination in _OPTIONS:
        with_option = [proxy for proxy in (frontend, backend) if option in proxy.options or option in proxy.option_args]
        sides = [proxy.option_args.get(option, ()) for proxy in with_option]
        if sides:
            made.append(_address_adder(sides, default, takes_destination))
    for proxy in (backend, frontend):
        if "forwarded" in proxy.options or "forwarded" in proxy.option_args:
            made.append(forwarded_adder(proxy.option_args.get("forwarded", ()), forwarded, address_text))
            break
    return made


def _unique_id_adder(name: str) -> Adder:
    prefix = name.encode() + b": "
    return lambda exchange: prefix + clean_value(exchange.unique_id) + b"\r\n"


def _address_adder(sides: list[tuple[str, ...]], name: str, takes_destination: bool) -> Adder:
    """`[except NETWORK] [header NAME] [if-none]`, once per side that has the option."""
    networks: list[_Network] = []
    for words in sides:
        for position, word in enumerate(words):
            if word == "header":
                name = words[position + 1]
            elif word == "except":
                networks.append(ipaddress.ip_network(words[position + 1], strict=False))
    if_none = all("if-none" in words for words in sides)
    lower = name.lower().encode()
    prefix = lower + b": "

    def add(exchange: Exchange) -> bytes:
        address = exchange.dst if takes_destination else exchange.src
        if not address or (networks and _is_in(address, networks)):
            return b""
        if if_none and exchange.request is not None and exchange.request.values(lower):
            return b""
        return prefix + address_text(address) + b"\r\n"

    return add


def _is_in(address: bytes, networks: list[_Network]) -> bool:
    value = ipaddress.ip_address(address)
    return any(value in network for network in networks)
