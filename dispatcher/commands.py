"""What the dispatcher answers to an operator.

    show dispatch       each farm and its workers: state, generation, what each holds per listener, what waits; then the relays
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from common.process.commands import Asked, Commands
from dispatcher.world import World

COMMANDS: Final[Commands[World]] = Commands()


@COMMANDS.answers("show dispatch")
def show_dispatch(asked: Asked[World]) -> str:
    return "".join(f"{text}\n" for text in _dispatch(asked.world))


def _dispatch(books: World) -> Iterator[str]:
    for farm in books.farms:
        yield f"# {farm.name}: given {farm.given}, seated again {farm.reseated}, held {len(farm.held)}, turned out {farm.lost}"
        rows: list[tuple[str, ...]] = [("worker", "pid", "gen", "state", "sessions", "limit", "waiting", "handshakes", "by listener")]
        for seat, slot in zip(farm.seats, farm.slots.slots, strict=True):
            counts = "/".join(map(str, slot.counts))
            numbers = (slot.total, slot.maxconn or "-", len(slot.waiting), slot.handshakes)
            rows.append((seat.where, str(seat.pid or "-"), str(slot.generation), slot.state.value, *map(str, numbers), counts))
        yield from _table(rows)
    for relay in books.relays:
        yield f"# {relay.model.name}: relayed sessions {len(relay.sessions)}"
        table: list[tuple[str, ...]] = [("server", "usable", "sessions")]
        for target, usable in zip(relay.targets, relay.servers.usable, strict=True):
            table.append((target.model.name, "yes" if usable else "no", str(relay.tally.at_server(target.position))))
        yield from _table(table)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


@COMMANDS.answers("show generations")
def holders(asked: Asked[World]) -> str:
    """Why this process is still there though another generation serves."""
    world = asked.world
    waiting = sum(len(farm.waiting) + len(farm.held) for farm in world.farms)
    relayed = sum(len(relay.sessions) for relay in world.relays)
    lines = [f"{waiting} that no worker has read from yet: until they say something, or timeout http-request"] if waiting else []
    lines += [f"{relayed} relayed: until one side ends them"] if relayed else []
    return "".join(f"{line}\n" for line in lines)
