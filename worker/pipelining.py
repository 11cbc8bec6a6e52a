"""`server … pipeline N`: safe requests of several clients on one server connection at a time, the I/O side.

A pipe is a server connection while requests share it. It begins when an exchange that may share has leased a connection in the usual
way; others join while that one waits for its answer. Who is first in line *has the baton*: it reads the connection, in the same words
as everybody else, and when its response is complete what was received behind it goes, with the baton, to the next. When nobody is in line
any more the pipe is gone, and the connection goes back to its book. So bodies stream, rules see responses, and timeouts hold as without
pipes; and there is no strand between server and clients that would cost a wake-up.

Joining writes nothing: the heads of all who join in a turn of the pump leave together, in one system call. Responses that came together
are read in one, and go to their clients within the same turn.

What may share is for the pure book to say (worker/servers/pipeline.py): only safe requests without a body; none behind the first one after
connecting; none beyond what the server is known to answer on one connection. All others lease a connection that nobody shares.
A place (`maxconn`) is taken by the connection. Who waits for one is invited to join as soon as there is room in line, in the order of the
queue; if the first there may not share, nobody joins before it, so that it comes to its place.

When a connection breaks, whoever has the baton meets the failure, and retries as ever. Those behind go again, each on a connection
of its own, so a request that kills servers shows itself and takes no others along. After an announced close (Connection: close) they
were never looked at, and may share again. A client that leaves while in line leaves a response that nobody wants: the connection is
given up when its turn comes.

Source: RFC 9112 section 9.3.2; seeds, "HTTP requests proxying" (2018).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from common.errors import WireError
from common.net.pump import DeadlinePassed, Pump, Strand
from worker.asking import ServerGone, head_for, pass_interim
from worker.bad_messages import keep_response
from worker.connect import ServerConnection
from worker.http.framing import CLOSE_BODY, NO_BODY
from worker.http.head import Request, Response
from worker.servers.idle import Reuse
from worker.servers.pipeline import PipelinedConnection, State
from worker.servers.repeatable import Repeatable, repeatable
from worker.servers.retry import Failure
from worker.steps import Step

if TYPE_CHECKING:
    from worker.backend import Backend
    from worker.exchange import Exchange
    from worker.server import Server

_HEADERS = Step.HEADERS
_SAFE = Repeatable.SAFE


class PipeLost(Exception):
    """The connection ended before it was this request's turn: it was not looked at, or will go alone."""


class Turn:
    """One request's place in line. has_baton: it reads now. lost: the connection is gone. abandoned: nobody waits for its response."""

    __slots__ = ("abandoned", "exchange", "has_baton", "lost", "strand")

    def __init__(self, exchange: Exchange, strand: Strand) -> None:
        self.exchange = exchange
        self.strand = strand
        self.has_baton = False
        self.lost = False
        self.abandoned = False


class Pipe:
    """See the module."""

    __slots__ = ("book", "connection", "outbox", "rest", "turns")

    def __init__(self, connection: ServerConnection, depth: int) -> None:
        self.connection = connection
        self.book: PipelinedConnection[Turn] = PipelinedConnection(depth)
        if connection.requests:
            self.book.state = State.OPEN
        self.turns: deque[Turn] = deque()
        self.outbox: list[bytes] = []
        self.rest = b""  # received behind the last response

    def enter(self, turn: Turn, *, exclusive: bool = False) -> None:
        self.book.send(turn, _SAFE, exclusive)
        self.turns.append(turn)

    def open(self) -> None:
        """The head of the request that began it has left whole: others may follow."""
        self.book.unblock()
        invite(self)

    def finished(self, exchange: Exchange, response: Response, leftover: bytes) -> None:
        """The response of whoever has the baton is through."""
        connection, server = self.connection, self.connection.server
        self.turns.popleft()
        keep = response.keep_alive and response.body is not CLOSE_BODY and not exchange.closes_server
        habits = server.idle.habits
        left = None
        if habits.requests_limit or response.tells_pool:
            left = habits.remaining(connection.requests - len(self.turns), response.keep_alive_hints.requests_left)
        self.book.answered(keep, left)
        if keep and left != 0 and self.turns:
            self.rest = leftover
            self._pass_baton()
            return
        self._dissolve(alone=False)
        if keep and left != 0 and not leftover:
            server.give_back(connection, response, exchange)
        else:
            server.drop(connection)

    def broken(self) -> None:
        """The exchange with the baton gives the connection up."""
        if self.turns:
            self.turns.popleft()
        self._dissolve(alone=True)

    def _pass_baton(self) -> None:
        pump = self.connection.stream.pump
        turn = self.turns[0]
        if turn.abandoned:
            self.turns.popleft()
            self._dissolve(alone=False)
            self.connection.server.drop(self.connection)
            return
        turn.has_baton = True
        pump.hand_on(turn.strand)
        if not self.connection.server.backend.unlimited:
            invite(self)

    def _dissolve(self, *, alone: bool) -> None:
        """Nobody shares this connection any more; who is in line goes again."""
        connection = self.connection
        connection.pipe = None
        connection.server.pipes.remove(self)
        self.outbox.clear()
        self.book.lost(answer_begun=True)
        for turn in self.turns:
            turn.lost = True
            turn.exchange.goes_alone = alone
            connection.stream.pump.wake(turn.strand)
        self.turns.clear()


def may_share(exchange: Exchange, request: Request) -> bool:
    return (
        request.body is NO_BODY
        and request.upgrade is None
        and not exchange.goes_alone
        and not exchange.server_socket_options
        and repeatable(request.method, exchange.idempotent_rule) is _SAFE
    )


def _line_up(server: Server, exchange: Exchange, turn: Turn) -> Pipe | None:
    """Put it in line on a pipe of that server that has room for it."""
    name = server.server_name(exchange) if server.tls is not None else None
    first = exchange.is_first_request
    for pipe in server.pipes:
        if first and not (server.reuse is Reuse.ALWAYS or (server.reuse is Reuse.AGGRESSIVE and pipe.connection.requests > 1)):
            continue
        if pipe.connection.name == name and pipe.book.try_send(turn, _SAFE):
            pipe.turns.append(turn)
            return pipe
    return None


async def join(exchange: Exchange, backend: Backend, pump: Pump) -> tuple[Response, bytes] | None:
    """As worker/asking.py `ask`, behind others on a connection that is in use. None: lease one. Raises PipeLost, ServerGone, Cut."""
    request = exchange.head
    assert request is not None
    if exchange.has_place or not may_share(exchange, request):
        return None
    server = exchange.leased or backend.choose(exchange, exchange.excluded)
    if server is None:
        return None
    exchange.leased = server
    if not server.pipes or server.depth < 2:
        return None
    if not (backend.unlimited or exchange.is_invited) and (backend.queue.queued(server.position) or backend.queue.queued()):
        return None
    strand = pump.current
    assert strand is not None
    head = head_for(exchange, request, backend)  # first: it may be too big
    turn = Turn(exchange, strand)
    pipe = _line_up(server, exchange, turn)
    if pipe is None:
        return None
    exchange.is_invited = False
    connection = pipe.connection
    connection.requests += 1
    exchange.queued_at = exchange.connected_at = pump.now
    exchange.bc_reused = True
    exchange.step = _HEADERS
    pipe.outbox.append(head)
    server.flush_soon(pipe)
    try:
        while not (turn.has_baton or turn.lost):
            await pump.park(exchange.give_up_at)
    except BaseException as error:
        if turn.has_baton and not turn.lost:
            exchange.connection = connection  # it is dropped by whoever handles this
        turn.abandoned = True
        if isinstance(error, DeadlinePassed):
            raise ServerGone(Failure.TIMEOUT, "server_timeout", received=False) from None
        raise
    if turn.lost:
        raise PipeLost
    exchange.connection = connection
    return await _read(exchange, request, pipe, backend)


def share(exchange: Exchange, connection: ServerConnection) -> None:
    """A connection has been leased: let others join behind this request, if they may."""
    server, request = connection.server, exchange.head
    assert request is not None
    strand = connection.stream.pump.current
    if server.depth < 2 or connection.is_private or strand is None or not may_share(exchange, request):
        return
    pipe = connection.pipe = Pipe(connection, server.depth)
    if connection.requests:
        pipe.book.left = server.idle.habits.remaining(connection.requests)
    turn = Turn(exchange, strand)
    turn.has_baton = True
    pipe.enter(turn, exclusive=True)  # until its head has left: worker/asking.py
    server.pipes.append(pipe)


def invite(pipe: Pipe) -> None:
    """Let those join who wait in the queue, as long as there is room."""
    server = pipe.connection.server
    queue = server.backend.queue
    room = pipe.book.depth - len(pipe.book)
    while room > 0 and pipe.book.may_take(_SAFE):
        ticket = queue.invite(server.position)
        if ticket is None:
            return
        room -= 1
        server.backend.wake([ticket])


async def _read(exchange: Exchange, request: Request, pipe: Pipe, backend: Backend) -> tuple[Response, bytes]:
    """The response's head, as the one who has the baton. Raises ServerGone, Cut."""
    stream = pipe.connection.stream
    pump = stream.pump
    data, pipe.rest = pipe.rest, b""
    try:
        while True:
            if data:
                try:
                    while (found := backend.reader.parse(data, 0, request.method, False)) is not None:
                        response, end = found
                        if not response.interim:
                            exchange.response_at = pump.now
                            return response, data[end:] if end < len(data) else b""
                        await pass_interim(exchange, request, response)
                        data = data[end:]
                except WireError as error:
                    keep_response(exchange, data, error.slug)
                    raise ServerGone(Failure.JUNK, error.slug, received=True) from None
            received = stream.recv_now()
            while received is None:
                await stream.readable(pump.now + exchange.server_s)
                received = stream.recv_now()
            if not received:
                raise ServerGone(Failure.EMPTY, "server_closed_in_head" if data else "server_closed_unanswered", received=bool(data))
            data = data + received if data else received
    except DeadlinePassed:
        raise ServerGone(Failure.TIMEOUT, "server_timeout", received=bool(data)) from None
    except OSError as error:
        raise ServerGone(Failure.EMPTY, "server_reset" if error.errno else "server_closed_unanswered", received=bool(data)) from None


async def flush(server: Server, pump: Pump) -> None:
    """The strand that sends what joined, once per turn and pipe. Who has the baton meets what goes wrong."""
    while True:
        while server.to_flush:
            pipe = server.to_flush.pop()
            data = b"".join(pipe.outbox)
            pipe.outbox.clear()
            if data and pipe.connection.pipe is pipe:
                try:
                    await pipe.connection.stream.send(data, pump.now + server.backend.server_s)
                except (OSError, DeadlinePassed):
                    pass
        await pump.park()
