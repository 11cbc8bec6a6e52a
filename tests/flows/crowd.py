"""A crowd of clients, and the server behind them, in a process of their own: who lost what while something happens to the program.

    python -m tests.flows.crowd PORT LISTENING_FD [TLS_CA]

Three kinds of clients, as strict as clients can be. *Keepers* send request after request on one connection: an answer that does not
come, or an end that no "Connection: close" has announced, is a loss. *Comers* open a connection for each request. *Holders* have a
WebSocket each and speak on it. The process works until its standard input ends, then prints one line of JSON: what was asked, what
was lost and why.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

KEEPERS, KEEPER_PAUSE_S = 30, 0.05
COMERS, COMER_PAUSE_S = 20, 0.04
HOLDERS, HOLDER_PAUSE_S = 10, 0.1
PATIENCE_S = 5.0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3


class Crowd:
    """All clients. asked, lost: by kind, and by kind and reason."""

    def __init__(self, port: int, context: ssl.SSLContext | None) -> None:
        self.port = port
        self.context = context
        self.asked: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.reconnects = 0
        self.over = False

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = "localhost" if self.context else None
        return await asyncio.wait_for(asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, server_hostname=name), PATIENCE_S)

    async def live(self, kind: str, once: Callable[[], Awaitable[None]], pause_s: float) -> None:
        """One client: again and again, and after a loss anew."""
        while not self.over:
            try:
                await once()
            except (OSError, asyncio.IncompleteReadError, TimeoutError, AssertionError) as error:
                if not self.over:
                    self.lost[f"{kind}: {type(error).__name__} {error}"] += 1
            await asyncio.sleep(pause_s)

    async def keeper(self) -> None:
        reader, writer = await self.connect()
        self.reconnects += 1
        try:
            while not self.over:
                if await self.exchange("keeper", reader, writer, b""):
                    assert not await reader.read(1), "more than an answer"
                    return
                await asyncio.sleep(KEEPER_PAUSE_S)
                assert not reader.at_eof(), "closed without a word"
        finally:
            writer.close()

    async def comer(self) -> None:
        reader, writer = await self.connect()
        try:
            assert await self.exchange("comer", reader, writer, b"Connection: close\r\n"), "kept open"
        finally:
            writer.close()

    async def exchange(self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, field: bytes) -> bool:
        """One request. Returns whether the answer announced the end."""
        self.asked[kind] += 1
        number = self.asked[kind]
        writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n%b\r\n" % (number, field))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        assert head.startswith(b"HTTP/1.1 200 "), head.partition(b"\r\n")[0].decode()
        body = await asyncio.wait_for(reader.readexactly(len(b"/%d" % number)), PATIENCE_S)
        assert body == b"/%d" % number, f"the answer to another request: {body!r}"
        return b"connection: close" in head.lower()

    async def holder(self) -> None:
        reader, writer = await self.connect()
        try:
            writer.write(
                b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
            assert head.startswith(b"HTTP/1.1 101 "), head.partition(b"\r\n")[0].decode()
            while not self.over:
                self.asked["holder"] += 1
                frame = b"\x81\x04ping"
                writer.write(frame)
                assert await asyncio.wait_for(reader.readexactly(len(frame)), PATIENCE_S) == frame
                await asyncio.sleep(HOLDER_PAUSE_S)
        finally:
            writer.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The server: each answer is the request's target; WebSockets echo."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            if b"sec-websocket-key" in head.lower():
                accepted = base64.b64encode(hashlib.sha1(b"dGhlIHNhbXBsZSBub25jZQ==" + _GUID).digest())
                writer.write(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Accept: %b\r\n\r\n" % accepted
                )
                while data := await reader.read(4096):
                    writer.write(data)
                return
            target = head.split(b" ", 2)[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


async def main(port: int, listening: socket.socket, context: ssl.SSLContext | None) -> None:
    await asyncio.start_server(serve, sock=listening)
    crowd = Crowd(port, context)
    clients = [asyncio.create_task(crowd.live("keeper", crowd.keeper, 0)) for _ in range(KEEPERS)]
    clients += [asyncio.create_task(crowd.live("comer", crowd.comer, COMER_PAUSE_S)) for _ in range(COMERS)]
    clients += [asyncio.create_task(crowd.live("holder", crowd.holder, 0)) for _ in range(HOLDERS)]
    print("begun", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    crowd.over = True
    await asyncio.wait(clients, timeout=PATIENCE_S)
    print(json.dumps({"asked": crowd.asked, "lost": crowd.lost, "reconnects": crowd.reconnects}), flush=True)
    os._exit(0)  # the server's connections are still open, which asyncio would complain of


if __name__ == "__main__":
    trusting = ssl.create_default_context(cafile=sys.argv[3]) if len(sys.argv) > 3 else None
    asyncio.run(main(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), trusting))
