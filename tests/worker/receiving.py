"""A worker as its listeners and channels see it."""

from __future__ import annotations

import os

from common.model import Address, AddressKind, Bind, Place
from common.net.stream import Stream
from common.wire.proxy_header import ProxyHeader
from tests.common.net.driving import Driver
from worker.receive import Channel, ChannelSeat, Seat


class Receiver:
    """A worker as listeners and channels see it; sessions are only noted."""

    number = 3
    generation = 7

    def __init__(self, driver: Driver) -> None:
        self.pump = driver.pump
        self.handshakes = 0
        self.connections_here = 0
        self.channels: set[Channel] = set()
        self.orphans: set[ChannelSeat] = set()
        self.binds = {number: Bind(Place(), Address(AddressKind.INET, "127.0.0.1", 1), id=number) for number in (0, 5)}
        self.sessions: list[tuple[Bind, Stream, ProxyHeader | None, Seat | None, bool]] = []
        self.logged: list[str] = []
        self.trusted = {os.getuid()}
        self.withdrawn: set[ChannelSeat] = set()

    def withdraw(self, seats: set[ChannelSeat]) -> None:
        self.withdrawn |= seats

    def connections_max(self) -> int:
        return 100

    def channel_ended(self) -> None:
        pass

    def is_trusted(self, uid: int) -> bool:
        return uid in self.trusted

    def bind_by_id(self, number: int) -> Bind | None:
        return self.binds.get(number)

    def log(self, level: str, text: str) -> None:
        self.logged.append(f"{level}: {text}")

    def spawn_session(self, bind: Bind, stream: Stream, header: ProxyHeader | None, seat: Seat | None, *, introduced: bool) -> None:
        self.sessions.append((bind, stream, header, seat, introduced))
        self.connections_here += 1
