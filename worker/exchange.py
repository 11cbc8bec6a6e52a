"""One request and its response: the straight line of the house.

    decide      rules, backend, or an answer of our own
    lease       a server connection: queue, idle, or a new one; the next candidate when it fails
    ask         request head (fragments around what changed), request body
    answer      response head, rules, response body
    keep        may the client's connection, may the server's, carry another one?

`run` is the story, and `_fail` the one place where everything that went wrong becomes a status, two termination letters
(HAProxy manual 8.5) and a log line. Nothing here assumes that the exchange owns the client's connection beyond
`client_buffer` and `stream`.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from common.errors import WireError
from common.net.pump import DeadlinePassed, Ended
from common.net.relay import Flow
from common.net.stream import Stream
from common.observe.fields import BIN, BOUT, REQ_TOT, RESPONSE_OF_STATUS, STOT
from worker import decide, tunnel
from worker.body import Body, request_body, response_body
from worker.connect import ConnectFailed, ServerConnection, lease, lease_now
from worker.cut import Cut
from worker.facts import ExchangeFacts
from worker.http.answers import CLOSING, Answer
from worker.http.framing import CLOSE_BODY, NO_BODY, BodyKind
from worker.http.head import Request, Response
from worker.http.rewrite import body_to_client, request_head, response_head
from worker.servers import retry
from worker.servers.repeatable import repeatable
from worker.servers.retry import Failure
from worker.steps import Step

if TYPE_CHECKING:
    from worker.proxies import Backend
    from worker.session import Session


# Looking an enum's member up in its class costs 45 ns, and the hot path does it six times.
_CONNECT, _BODY, _HEADERS, _DATA = Step.CONNECT, Step.BODY, Step.HEADERS, Step.DATA
_LENGTH, _TUNNEL = BodyKind.LENGTH, BodyKind.TUNNEL

INTERIM_RESPONSES_MAX = 100
REPLAY_BYTES_MAX = 65536
"""Longest request body that is kept for sending it again."""


class ServerGone(Exception):
    """The attempt failed before there was a response. received: something of one had come."""

    def __init__(self, failure: Failure, slug: str, *, received: bool) -> None:
        super().__init__(slug)
        self.failure = failure
        self.slug = slug
        self.received = received


class Exchange(ExchangeFacts):
    """See the module. `client_buffer` holds what was received behind the request's head, and at the end what belongs to the next one."""

    step = Step.REQUEST
    slug = ""
    response_started = False
    unfinished: Body | None = None  # the request's, while it has not come whole
    body_consumed = False  # bytes of the request's body have left our buffer
    repeated_after_idle = False
    interim_responses = 0
    unsent: memoryview | bytes = b""
    replay: bytes | None = None  # the request's body as received, while it can be sent again
    spliced_in = 0
    spliced_out = 0
    server_s = inf

    def __init__(self, session: Session, request: Request | None, started_at: float) -> None:
        self.session = session
        self.frontend = session.proxy
        self.world = session.world
        self.stream: Stream = session.stream
        self.head = request
        self.started_at = started_at

    # --- the story -----------------------------------------------------------------------------------------------

    async def run(self) -> bool:
        """The whole exchange. True: the client's connection may carry another one."""
        try:
            frontend = self.frontend
            rules = frontend.rules
            if rules.active:
                answer = await decide.request(self, rules)
                if answer is not None:
                    return await self._answer(answer)
            backend = self.routed
            if backend is None:
                backend = self.routed = rules.choose_backend(self) if rules.switching else frontend.default_backend
                if backend is None:
                    raise Cut(b"SC", 503, "no_backend")
                backend.connections += 1
                if backend.rules.active and backend.rules is not rules:
                    answer = await decide.request(self, backend.rules)
                    if answer is not None:
                        return await self._answer(answer)
            pump = self.world.pump
            self.server_s = backend.server_s
            if self.retries_max is None:
                self.retries_max = backend.retries
            if self._timeouts is not None:
                self.server_s = self._timeouts.get("server") or backend.server_s
            self.waiting_since = pump.now
            self.step = _CONNECT
            while True:
                connection = lease_now(self, backend, pump) or await lease(self, backend, pump)
                self.connection = connection
                try:
                    response, rest = await self._ask(connection, backend)
                except ServerGone as gone:
                    self._drop_connection()
                    self._retry_or_raise(gone.failure, gone.slug, received=gone.received)
                    continue
                if response.status in backend.retried_statuses and self._retries_status(response.status):
                    continue
                if response.body.kind is _TUNNEL or backend.response_active or frontend.response_active:
                    return await self._pass_on_unusual(connection, response, rest)
                if frontend.log.early:
                    self._log_early(response)
                keep = self._pass_on_whole(connection, response, rest)
                return keep if keep is not None else await self._pass_on(connection, response, rest)
        except Cut as cut:
            return await self._fail(cut)
        except ConnectFailed as failed:
            return await self._fail(Cut(failed.termination, failed.status, failed.slug))
        except DeadlinePassed:
            return await self._fail(self._late())
        except Ended:
            return await self._fail(Cut(b"K" + self.step.letter, 503, "ended_by_operator"))
        except OSError:
            return await self._fail(Cut(b"C" + self.step.letter, 0, "client_gone"))
        finally:
            if self.connection is not None:
                self._drop_connection()
            self.account_end()

    # --- asking the server -----------------------------------------------------------------------------------------

    async def _ask(self, connection: ServerConnection, backend: Backend) -> tuple[Response, bytes]:
        """Send the request; (final response, what was received behind its head). Raises ServerGone, Cut, DeadlinePassed.

        The head is read while the request's body may still be on its way; interim responses go to the client.
        """
        request = self.head
        assert request is not None
        stream = connection.stream
        pump = stream.pump
        self.bc_reused = connection.requests > 0
        connection.requests += 1
        if self.server_socket_options:
            self.set_server_options(connection)
        if self.frontend.plain and backend.plain and self.request_editor is None:
            head = request.forwarded or request_head(request)
        else:
            head = request_head(self.request_editor or request, backend.added_fields(self), close=backend.closes_server)
            if self.request_editor is not None and len(head) > self.world.config.globals.bufsize:
                raise Cut(b"PR", 500, "head_too_big_after_rules")
        body: Body | None = None
        data = b""
        try:
            if request.body is NO_BODY:
                self.step = _HEADERS
                sent = stream.send_now(head)
                if sent != len(head):
                    body = self._begin_body(request, stream, head[sent:])
            else:
                self.step = _BODY
                body = self._begin_body(request, stream, head)
            while True:
                received = stream.recv_now()
                if received is None:
                    if body is None or body.done:
                        self.step = _HEADERS
                        await stream.readable(pump.now + self.server_s)
                    else:
                        await self._upload(body, stream)
                    continue
                if not received:
                    raise ServerGone(Failure.EMPTY, "server_closed_in_head" if data else "server_closed", received=bool(data))
                data = data + received if data else received
                try:
                    while (found := backend.reader.parse(data, 0, request.method, request.upgrade is not None)) is not None:
                        response, end = found
                        if not response.interim:
                            self.response_at = pump.now
                            return response, data[end:] if end < len(data) else b""
                        await self._pass_interim(request, response)
                        data = data[end:]
                except WireError as error:
                    raise ServerGone(Failure.JUNK, error.slug, received=True) from None
        except DeadlinePassed:
            if self.step is _HEADERS:
                raise ServerGone(Failure.TIMEOUT, "server_timeout", received=bool(data)) from None
            raise
        except OSError as error:
            if body is not None and body.failed is self.stream:
                raise Cut(b"CD", 400, "client_gone_in_body") from None
            slug = "server_connection_lost" if error.errno else "server_closed"
            raise ServerGone(Failure.EMPTY, slug, received=bool(data)) from None
        except WireError as error:
            # From the client's chunks: those of a response are read elsewhere.
            raise Cut(b"PR", error.status, error.slug) from None

    def _begin_body(self, request: Request, stream: Stream, head: bytes) -> Body:
        """Send head, and of the request's body what is here. Raises WireError, OSError, Cut."""
        body = self.body = self.unfinished = request_body(self.stream, stream, request.body, splice=self.frontend.splice_request)
        here = self.client_buffer if request.body is not NO_BODY else b""
        body.begin(head, here)
        if request.body is not NO_BODY:
            self.body_consumed = True
            self.client_buffer = body.leftover
        body.step()
        if body.done:
            self._request_sent(body)
            if len(here) <= REPLAY_BYTES_MAX and body.taken_from_source == 0:
                # All of it was here already: kept, so that a retry can send it again.
                self.replay = here[: len(here) - len(body.leftover)]
        return body

    def _retries_status(self, status: int) -> bool:
        """`retry-on 503` and its like: whether to try again instead of passing this response on."""
        connection = self.connection
        try:
            self._retry_or_raise(Failure.STATUS, f"status_{status}", received=True, status=status)
        except Cut:
            return False
        if connection is not None:
            self.connection = None
            connection.server.drop(connection)
        return True

    async def _upload(self, body: Body, stream: Stream) -> None:
        """Move what can be moved of the request's body; then wait for more, or for the server to speak early."""
        pump = self.world.pump
        body.step()
        if body.done:
            self._request_sent(body)
            return
        if body.waiting:
            await pump.wait_any((stream,), (stream,), pump.now + self.server_s)
        elif not body.source.drained:
            await pump.pause()  # a client that sends as fast as we read is not alone
        else:
            await pump.wait_any((body.source, stream), (), pump.now + self.client_s)

    def _request_sent(self, body: Body) -> None:
        """The request's body is through, or its client has gone in the middle of it."""
        self.unfinished = None
        if not body.complete:
            raise Cut(b"CD", 400, "client_closed_in_body")
        if body.leftover:
            self.client_buffer = body.leftover
        self.bytes_in += body.moved

    async def _pass_interim(self, request: Request, response: Response) -> None:
        """100, 102, 103: for clients that know them. Raises ServerGone when there is no end of them."""
        self.interim_responses += 1
        if self.interim_responses > INTERIM_RESPONSES_MAX:
            raise ServerGone(Failure.JUNK, "too_many_interim_responses", received=True)
        if request.version >= 11:
            await self.stream.send(response_head(response, 11, True), self.world.pump.now + self.client_s)

    def _retry_or_raise(self, failure: Failure, slug: str, *, received: bool = False, status: int = 0) -> None:
        """After an attempt failed: return to try again, or raise Cut. What may be done is decided in worker/servers/retry.py."""
        request, backend, server = self.head, self.routed, self.leased
        assert request is not None and backend is not None and server is not None
        decision = retry.decide(
            retry.Attempt(
                failure,
                repeatable(request.method, self.idempotent_rule, bool(request.values(b"idempotency-key"))),
                retries=self.retries,
                status=status,
                received=received,
                reused=self.bc_reused,
                stale_before=self.repeated_after_idle,
                first_request=self.is_first_request,
                body_kept=self.unfinished is None and (not self.body_consumed or self.replay is not None),
                disabled=self.l7_retry_disabled,
                retries_max=self.retries_max,
                may_redispatch=len(backend.servers) > 1,
            ),
            backend.retry_policy,
            backend.retry_budget,
        )
        if decision.action is retry.Action.STOP:
            raise Cut(decision.termination, decision.status, slug)
        if self.replay is not None:
            self.client_buffer = self.replay + self.client_buffer
            self.replay = None
        self.body_consumed = False
        if decision.counts:
            self.retries += 1
            if decision.action is retry.Action.OTHER:
                server.count_redispatch()
            else:
                server.count_retry()
        else:
            self.repeated_after_idle = True
        if decision.action is retry.Action.OTHER:
            self.redispatch()

    # --- answering the client ----------------------------------------------------------------------------------------

    def _log_early(self, response: Response) -> None:
        """`option logasap`: the line is written when the response's head is known."""
        self.response_head = response
        self.server_status = self.status = response.status
        self.bytes_out = len(response.raw)
        self.logged_early = True
        self.frontend.log.exchange(self)

    def _pass_on_whole(self, connection: ServerConnection, response: Response, rest: bytes) -> bool | None:
        """The usual case in one call: the whole response is here and the client takes it. None: it is not."""
        request = self.head
        assert request is not None
        plan = response.body
        if plan is not NO_BODY and (plan.kind is not _LENGTH or len(rest) < plan.length):
            return None
        self.response_head = response
        self.server_status = self.status = response.status
        keep = request.keep_alive and not self.frontend.closes_client and self.unfinished is None and not self.session.stop_after
        if self.response_editor is not None and self.response_editor.closes:
            keep = False
        data = response_head(self.response_editor or response, request.version, keep)
        leftover = b""
        if plan is NO_BODY:
            leftover = rest
        elif len(rest) == plan.length:
            data += rest
        else:
            leftover = rest[plan.length :]
            data += rest[: plan.length]
        self.response_started = True
        self.step = _DATA
        self.bytes_out = sent = self.stream.send_now(data)
        self._return_connection(connection, response, leftover)
        if sent != len(data):
            self.unsent = memoryview(data)[sent:]
            return None
        return keep

    async def _pass_on(self, connection: ServerConnection, response: Response, rest: bytes) -> bool:
        """Forward the response as it comes. True: the client's connection may go on."""
        request, backend = self.head, self.routed
        assert request is not None and backend is not None
        keep = request.keep_alive and not self.frontend.closes_client and self.unfinished is None and not self.session.stop_after
        if self.unsent:
            await self.stream.send(self.unsent, self.world.pump.now + self.client_s)
            self.bytes_out += len(self.unsent)
            return keep
        self.response_head = response
        self.server_status = self.status = response.status
        plan = response.body
        out = body_to_client(plan, request.version)
        if out is CLOSE_BODY or (self.response_editor is not None and self.response_editor.closes):
            keep = False
        self.response_started = True
        self.step = _DATA
        body = response_body(connection.stream, self.stream, plan, out, splice=backend.splice_response)
        head = response_head(self.response_editor or response, request.version, keep)
        leftover = await self._pass_body(body, head, rest)
        self._return_connection(connection, response, leftover)
        return keep

    async def _pass_on_unusual(self, connection: ServerConnection, response: Response, rest: bytes) -> bool:
        """A response that rules look at, or that ends HTTP on this connection."""
        assert self.routed is not None
        self.response_head = response
        self.server_status = self.status = response.status
        if self.routed.response_active or self.frontend.response_active:
            self.response_buffer = rest
            answer = await decide.response(self, self.routed)
            if answer is not None:
                self._drop_connection()
                return await self._answer(answer)
            rest = self.response_buffer
            self.status = (self.response_editor or response).status
        if response.body.kind is _TUNNEL:
            return await tunnel.upgrade(self, connection, response, rest)
        keep = self._pass_on_whole(connection, response, rest)
        return keep if keep is not None else await self._pass_on(connection, response, rest)

    async def _pass_body(self, body: Body, head: bytes, rest: bytes) -> bytes:
        """Forward a body that has not come whole; what was received behind it. Raises Cut, DeadlinePassed, OSError."""
        upload = self.unfinished
        self.body = body
        try:
            body.begin(head, rest)
            while True:
                body.step()
                if upload is not None and not upload.done:
                    upload.step()
                if body.done:
                    break
                await self._wait_for_body(body, upload)
        except WireError as error:
            raise Cut(b"SD", 0, error.slug) from None
        except OSError:
            if body.failed is body.source:
                raise Cut(b"SD", 0, "server_connection_lost_in_body") from None
            if upload is not None and upload.failed is upload.target:
                self.unfinished = upload = None
            raise
        finally:
            body.close()
            self.bytes_out = body.moved
            self.spliced_out = body.spliced
        if not body.complete:
            raise Cut(b"SD", 0, "server_closed_in_body")
        return body.leftover

    async def _wait_for_body(self, body: Body, upload: Flow | None) -> None:
        pump = self.world.pump
        if body.waiting:
            if upload is None or upload.done:
                await self.stream.writable(pump.now + self.client_s)
            else:
                await pump.wait_any((), (self.stream,), pump.now + self.client_s)
        elif not body.source.drained:
            await pump.pause()
        elif upload is None or upload.done:
            await body.source.readable(pump.now + self.server_s)
        else:
            readers = (body.source,) if upload.waiting else (body.source, upload.source)
            await pump.wait_any(readers, (upload.target,) if upload.waiting else (), pump.now + self.server_s)

    def _return_connection(self, connection: ServerConnection, response: Response, leftover: bytes) -> None:
        """The server's connection goes back to its book, or is closed when it cannot carry another request."""
        if self.frontend.log.asks_server_side:
            self.note_server_side()
        self.connection = None
        if leftover or self.closes_server or self.unfinished is not None or not response.keep_alive or response.body is CLOSE_BODY:
            connection.server.drop(connection)
        else:
            connection.server.give_back(connection, response, self)

    def _drop_connection(self) -> None:
        if self.connection is not None and self.frontend.log.asks_server_side:
            self.note_server_side()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.server.drop(connection)

    # --- answers of our own ------------------------------------------------------------------------------------------

    async def _answer(self, answer: Answer, *, closes: bool = False) -> bool:
        """Send an answer of ours. True: the client's connection may go on, which needs the request's body to be out of the way.

        closes: it may not, whatever the answer.
        """
        if answer.silent:
            return False
        request = self.head
        keep = request is not None and request.keep_alive and not answer.closes and not closes and self._skip_body(request)
        keep = keep and not self.frontend.closes_client and not self.session.stop_after
        self.status = answer.status
        self.response_head = answer.response()
        self.response_editor = None
        head = None
        if self.frontend.rules.after_response or (self.routed is not None and self.routed.rules.after_response):
            decide.after_response(self)
            if self.response_editor is not None:
                head = self.response_editor.forwarded
                self.status = self.response_editor.status
                keep = keep and not self.response_editor.closes
        version = request.version if request is not None else 11
        is_head = request is not None and request.method == b"HEAD"
        data = answer.render(version, keep=keep, head_only=is_head, head=head)
        self.response_started = True
        await self.stream.send(data, self.world.pump.now + self.client_s)
        self.bytes_out = len(data)
        return keep

    def _skip_body(self, request: Request) -> bool:
        """Whether the request's body is already here, and so out of the way of the next request."""
        plan = request.body
        if plan is NO_BODY:
            return True
        if self.body_consumed or self.unfinished is not None:
            return self.body_consumed and self.unfinished is None
        if plan.kind is _LENGTH and len(self.client_buffer) >= plan.length:
            self.client_buffer = self.client_buffer[plan.length :]
            return True
        return False

    async def _fail(self, cut: Cut) -> bool:
        """The one end of everything that went wrong: answer if nothing was sent yet, else cut the connection."""
        self.termination = cut.termination
        self.slug = cut.slug
        self.frontend.count_cut(self)
        self._drop_connection()
        if self.response_started or not cut.status:
            return False
        try:
            return await self._answer(self.error_answer(cut.status), closes=cut.status in CLOSING)
        except (OSError, DeadlinePassed, Ended):
            return False

    def _late(self) -> Cut:
        """Which timeout has passed, by where the exchange is."""
        body = self.body
        if self.step is _BODY:
            if body is not None and body.waiting:
                return Cut(b"sD", 504, "server_timeout_in_body")
            return Cut(b"cD", 408, "client_timeout_in_body")
        if self.step is _DATA:
            slow_client = body is None or body.waiting
            return Cut(b"cD", 0, "client_timeout") if slow_client else Cut(b"sD", 0, "server_timeout_in_body")
        return Cut(b"c" + self.step.letter, 408, "client_timeout")

    async def refuse_unread(self, status: int, termination: bytes, slug: str) -> None:
        """A request that could not be read: say so, log it."""
        self.termination = termination
        self.slug = slug
        self.first_byte_at = None if status == 408 and not self.client_buffer else self.started_at
        self.frontend.count_unread(self)
        try:
            await self._answer(self.error_answer(status))
        except (OSError, DeadlinePassed, Ended):
            pass
        self.account_end()

    def log_unread(self, termination: bytes, status: int, sent: int) -> None:
        """A client that closed before it asked for anything: only logged."""
        self.termination = termination
        self.status = status
        self.bytes_out = sent
        self.frontend.count_unread(self)
        self.account_end()

    def account_end(self) -> None:
        """Count and log what has ended. Bytes and responses of a backend are counted at the server when there is one; readers sum."""
        frontend, backend, server, status = self.frontend, self.routed, self.leased, self.status
        bytes_in, bytes_out = self.bytes_in, self.bytes_out
        tally = frontend.tally
        words = tally.words
        words[REQ_TOT] += 1
        words[BIN] += bytes_in
        words[BOUT] += bytes_out
        kind = RESPONSE_OF_STATUS[status] if status is not None else None
        if kind is not None:
            words[kind] += 1
        if not tally.dirty:
            tally.touch()
        if backend is not None:
            backend.connections -= 1
            tally = backend.tally
            tally.words[REQ_TOT] += 1
            if not tally.dirty:
                tally.touch()
            if server is not None:
                tally = server.tally
                tally.words[STOT] += 1
            words = tally.words
            words[BIN] += bytes_in
            words[BOUT] += bytes_out
            if kind is not None:
                words[kind] += 1
            if not tally.dirty:
                tally.touch()
        if frontend.log.wanted and not self.logged_early:
            self.ended_at = self.world.pump.now
            frontend.log.exchange(self)
