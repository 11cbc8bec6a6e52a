"""The demo's own HTTP servers: h11 on trio, small enough to read, complete enough to try things on.

GET /anything       who answers, and what arrived
GET /slow?s=2       after that many seconds
GET /bytes?n=1000   a body of that length
POST /anything      how much arrived
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from common.control.master import Master

SLOW_S_MAX = 60.0
BYTES_MAX = 100 << 20
IDLE_S = 30.0
_PIECE = 65536

Task = Callable[[Master], Awaitable[None]]


def listeners(count: int) -> list[socket.socket]:
    """Sockets on free ports of the loopback interface, listening already."""
    return [socket.create_server(("127.0.0.1", 0), backlog=128) for _ in range(count)]


def task(name: str, listener: socket.socket) -> Task:
    """A server as a task of the master."""

    async def serve(_master: Master) -> None:
        listener.setblocking(False)
        stream_listener = trio.SocketListener(trio.socket.from_stdlib_socket(listener))

        async def handle(stream: trio.SocketStream) -> None:
            await _Conversation(name, stream).run()

        await trio.serve_listeners(handle, [stream_listener])

    return serve


class _Conversation:
    """One connection, request after request."""

    __slots__ = ("_connection", "_name", "_stream")

    def __init__(self, name: str, stream: trio.SocketStream) -> None:
        self._name = name
        self._stream = stream
        self._connection = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        try:
            while await self._exchange():
                self._connection.start_next_cycle()
        except (h11.RemoteProtocolError, h11.LocalProtocolError, trio.BrokenResourceError, trio.TooSlowError):
            pass  # a demo server owes a broken peer nothing
        finally:
            await trio.aclose_forcefully(self._stream)

    async def _exchange(self) -> bool:
        """One request and its answer; whether another may follow."""
        request = await self._event()
        if not isinstance(request, h11.Request):
            return False
        length = 0
        while isinstance(event := await self._event(), h11.Data):
            length += len(event.data)
        await self._answer(request, length)
        return self._connection.our_state is h11.DONE

    async def _event(self) -> object:
        while True:
            event = self._connection.next_event()
            if event is not h11.NEED_DATA:
                return event
            if self._connection.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            with trio.fail_after(IDLE_S):
                self._connection.receive_data(await self._stream.receive_some())

    async def _answer(self, request: h11.Request, length: int) -> None:
        target = urlsplit(request.target.decode("latin-1"))
        query = parse_qs(target.query)
        if target.path == "/slow":
            await trio.sleep(min(_number(query, "s"), SLOW_S_MAX))
        if target.path == "/bytes":
            await self._respond(request, min(int(_number(query, "n")), BYTES_MAX), b"x" * _PIECE)
        else:
            text = self._text(request, length).encode()
            await self._respond(request, len(text), text)

    def _text(self, request: h11.Request, length: int) -> str:
        fields = "".join(f"  {name.decode('latin-1')}: {value.decode('latin-1')}\n" for name, value in request.headers)
        body = f"and {length} bytes of body\n" if length else ""
        return f"server {self._name} got {request.method.decode()} {request.target.decode('latin-1')} with\n{fields}{body}"

    async def _respond(self, request: h11.Request, length: int, piece: bytes) -> None:
        """A response whose body is `piece`, again and again, up to that length."""
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(length)), ("Server", f"demo-{self._name}")]
        await self._send(h11.Response(status_code=200, headers=headers))
        while length and request.method != b"HEAD":
            await self._send(h11.Data(data=piece[:length]))
            length -= min(length, len(piece))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.InformationalResponse | h11.Response | h11.Data | h11.EndOfMessage) -> None:
        data = self._connection.send(event)
        if data:
            with trio.fail_after(IDLE_S):
                await self._stream.send_all(data)


def _number(query: dict[str, list[str]], name: str) -> float:
    """The number in a query, 0 where there is none."""
    try:
        return max(0.0, float(query.get(name, ["0"])[0]))
    except ValueError:
        return 0.0
