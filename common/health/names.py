"""Which of a name's addresses a server gets, and which entry of a service record. Sans-io.

Source: HAProxy configuration manual 5.2 "resolve-net", "resolve-opts", 5.3.1; RFC 2782; the scale of weights observed from 2.6.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeVar

Slot = TypeVar("Slot")


class Service(NamedTuple):
    """One entry of a service record."""

    name: str
    port: int
    weight: int


def choose(found: Sequence[str], current: str, taken: Collection[str], networks: Sequence[str]) -> str:
    """An address that nobody else has: the one it had, else of a preferred network, else the first. "" if all are taken."""
    free = [address for address in found if address not in taken]
    if current in free:
        return current
    wanted = [ipaddress.ip_network(text, strict=False) for text in networks]
    for network in wanted:
        for address in free:
            if ipaddress.ip_address(address) in network:
                return address
    return free[0] if free else ""


def matched(entries: Sequence[Service], held: Mapping[Slot, tuple[str, int] | None]) -> tuple[dict[Slot, Service], list[Service]]:
    """(servers that keep their entry, entries that nobody has yet). held: name and port that each server has."""
    kept: dict[Slot, Service] = {}
    free = list(entries)
    for slot, has in held.items():
        entry = next((one for one in free if has == (one.name, one.port)), None)
        if entry is not None:
            kept[slot] = entry
            free.remove(entry)
    return kept, free


def weight_of(entry: Service) -> int:
    """0 to 65535 in records, 0 to 256 here; 0 stays 0, and nothing else becomes it."""
    return (entry.weight + 255) // 256
