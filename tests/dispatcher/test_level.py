"""Level-triggered watching: what is left rings again, and whoever rests is not rung."""

from __future__ import annotations

import socket

from common.net.pump import Pump
from dispatcher.level import Level


def test_what_is_left_rings_again_until_it_rests() -> None:
    pump = Pump(lambda strand, error: None)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    heard: list[bytes] = []
    level = Level(pump, ours)

    async def listen() -> None:
        try:
            while True:
                await level.event()
                heard.append(ours.recv(100))
                if heard[-1] == b"rest":
                    level.rest()
                    await pump.park()
        finally:
            level.close()

    with ours, theirs:
        strand = pump.spawn(listen(), "listener")
        for message in (b"1", b"2", b"rest", b"3"):
            theirs.send(message)
        for _ in range(3):
            assert pump.turn(1)
        assert heard == [b"1", b"2", b"rest"]
        assert not pump.turn(0), "it rests: the third message rings nobody"
        pump.wake(strand)
        pump.turn(0)
        assert pump.turn(1) and heard[-1] == b"3"
        pump.end(strand)
        assert level.closed and ours.fileno() == -1 and not pump.streams
    pump.epoll.close()
