"""One request and its response: the straight line of the house.

    decide      rules, backend, or an answer of our own             worker/decide.py
    lease       a server connection: queue, idle, or a new one      worker/connect.py
    ask         request head, request body, response head           worker/asking.py
    answer      response head, rules, response body                 worker/answering.py
    keep        may the client's connection, may the server's, carry another one?
    end         answers of our own, failures, counters, log line    worker/outcome.py

`Exchange.run` is the story. Nothing here assumes that the exchange owns the client's connection beyond `client_buffer` and `stream`.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from common.net.pump import DeadlinePassed, Ended
from common.net.stream import Stream
from worker import decide
from worker.answering import log_early, pass_on, pass_on_unusual, pass_on_whole
from worker.asking import ServerGone, ask
from worker.body import Body, Kept
from worker.connect import ConnectFailed, Invited, ServerConnection, lease, lease_now
from worker.cut import Cut
from worker.facts import ExchangeFacts
from worker.http.framing import CLOSE_BODY, BodyKind
from worker.http.head import Request, Response
from worker.outcome import account_end, fail, late, reply
from worker.pipelining import PipeLost, join, may_share, share
from worker.servers import retry
from worker.servers.idle import Reuse
from worker.servers.repeatable import repeatable
from worker.servers.retry import Failure
from worker.steps import Step

if TYPE_CHECKING:
    from common.net.relay import Flow
    from worker.backend import Backend
    from worker.session import Session

_CONNECT = Step.CONNECT  # looking an enum's member up in its class costs 45 ns
_TUNNEL = BodyKind.TUNNEL


class Exchange(ExchangeFacts):
    """See the module. `client_buffer` holds what was received behind the request's head, and at the end what belongs to the next one."""

    step = Step.REQUEST
    response_started = False
    unfinished: Body | None = None  # the request's, while it has not come whole
    body_consumed = False  # bytes of the request's body have left our buffer
    repeated_after_idle = False
    interim_responses = 0
    unsent: memoryview | bytes = b""
    kept: Kept | None = None  # the request's body as received, while it can be sent again
    goes_alone = False  # on a connection that nobody shares: it was on one that broke
    is_invited = False  # to join others on a connection, after waiting in the queue
    give_up_at = inf  # `timeout request-total`
    spliced_in = 0
    spliced_out = 0
    flows: tuple[Flow, Flow] | None = None  # of a tunnel, while it runs: from the client, to him
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
                    return await reply(self, answer)
            backend = self.routed
            if backend is None:
                backend = self.routed = rules.choose_backend(self) if rules.switching else frontend.default_backend
                if backend is None:
                    raise Cut(b"SC", 503, "no_backend")
                backend.connections += 1
                if backend.rules.active and backend.rules is not rules:
                    answer = await decide.request(self, backend.rules)
                    if answer is not None:
                        return await reply(self, answer)
            pump = self.world.pump
            self.server_s = backend.server_s
            if self.retries_max is None:
                self.retries_max = backend.retries
            if self._timeouts is not None:
                self.server_s = self._timeouts.get("server") or backend.server_s
            self.waiting_since = pump.now
            if backend.request_total_s or backend.retry_budget is not None:
                self._begin_attempts(backend)
            self.step = _CONNECT
            if backend.redirects:
                answer = decide.redirection(self, backend)
                if answer is not None:
                    return await reply(self, answer, closes=True)
            while True:
                try:
                    joined = await join(self, backend, pump) if backend.pipelines else None
                    if joined is not None:
                        response, rest = joined
                        assert self.connection is not None
                        connection = self.connection
                    else:
                        connection = lease_now(self, backend, pump) or await lease(self, backend, pump)
                        self.connection = connection
                        if backend.pipelines:
                            share(self, connection)
                        response, rest = await ask(self, connection, backend)
                except ServerGone as gone:
                    if self.bc_reused and self.connection is not None and gone.failure is Failure.EMPTY and not gone.received:
                        # It was closed behind an earlier answer, perhaps after as many as always.
                        self.connection.server.idle.habits.closed_after(self.connection.requests - 1)
                    if self.leased is not None and self.leased.watch is not None:
                        self.leased.watch.failed(gone.failure)
                    self.drop_connection()
                    self._retry_or_raise(gone.failure, gone.slug, received=gone.received)
                    continue
                except (PipeLost, Invited):
                    continue
                if connection.server.watch is not None:
                    connection.server.watch.answered(response.status)
                if response.status in backend.retried_statuses and self._retries_status(response.status):
                    continue
                if response.body.kind is _TUNNEL or backend.response_active or frontend.response_active:
                    return await pass_on_unusual(self, connection, response, rest)
                if frontend.log.early:
                    log_early(self, response)
                keep = pass_on_whole(self, connection, response, rest)
                return keep if keep is not None else await pass_on(self, connection, response, rest)
        except Cut as cut:
            return await fail(self, cut)
        except ConnectFailed as failed:
            return await fail(self, Cut(failed.termination, failed.status, failed.slug))
        except DeadlinePassed:
            return await fail(self, late(self))
        except Ended:
            status = 502 if self.step is Step.HEADERS else 503
            return await fail(self, Cut(b"K" + self.step.letter, status, "ended_by_operator"))
        except OSError:
            return await fail(self, Cut(b"C" + self.step.letter, 0, "client_gone"))
        finally:
            if self.connection is not None:
                self.drop_connection()
            if self.unfinished is not None:
                self.note_uploaded(self.unfinished)
                self.session.lingers = True
            account_end(self)

    # --- another attempt -------------------------------------------------------------------------------------------

    def _begin_attempts(self, backend: Backend) -> None:
        """`timeout request-total` and `retry-budget` count from here."""
        if backend.request_total_s:
            self.give_up_at = (self.first_byte_at or self.started_at) + backend.request_total_s
            self.server_s = min(self.server_s, self.give_up_at - self.world.pump.now)
        if backend.retry_budget is not None:
            backend.retry_budget.request()

    def _retries_status(self, status: int) -> bool:
        """`retry-on 503` and its like: whether to try again instead of passing this response on."""
        try:
            self._retry_or_raise(Failure.STATUS, f"status_{status}", received=True, status=status)
        except Cut:
            return False
        self.drop_connection()
        return True

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
                body_kept=self._body_is_kept(backend),
                disabled=self.l7_retry_disabled,
                retries_max=self.retries_max,
                may_redispatch=len(backend.servers) > 1,
                seconds_left=self.seconds_left,
            ),
            backend.retry_policy,
            backend.retry_budget,
        )
        if decision.action is retry.Action.STOP:
            self.frontend.count_reason(decision.slug)
            raise Cut(decision.termination, decision.status, slug)
        if self.unfinished is not None:
            self.note_uploaded(self.unfinished)
        if self.body_consumed:
            assert self.kept is not None
            self.client_buffer = (self.kept.data or b"") + self.client_buffer
            self.kept = None
            self.body_consumed = False
        self.bytes_in = len(request.raw)
        if self.give_up_at != inf:
            self.server_s = min(self.server_s, self.give_up_at - self.world.pump.now)
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

    @property
    def seconds_left(self) -> float | None:
        """Of `timeout request-total`; None where there is none."""
        return None if self.give_up_at == inf else self.give_up_at - self.world.pump.now

    def _body_is_kept(self, backend: Backend) -> bool:
        """Whether the request's body can be sent again: all that was taken of it is here."""
        if not self.body_consumed:
            return True
        body, kept = self.body, self.kept
        return body is not None and kept is not None and kept.data is not None and (backend.keeps_bodies or not body.taken_from_source)

    def note_uploaded(self, body: Body) -> None:
        """Nothing more of the request's body goes to the server: it is through, or given up."""
        self.unfinished = None
        self.bytes_in += body.moved
        self.spliced_in += body.spliced
        body.close()

    # --- its connections -------------------------------------------------------------------------------------------

    def may_keep(self, request: Request) -> bool:
        """Whether the client's connection may carry another request, as far as this one and the configuration go."""
        return request.keep_alive and not self.frontend.closes_client and self.unfinished is None and not self.session.stop_after

    def may_share(self) -> bool:
        """Whether this request may go behind others on a connection (`pipeline`)."""
        first_must_be_alone = self.is_first_request and self.leased is not None and self.leased.reuse is Reuse.SAFE
        return self.head is not None and not first_must_be_alone and may_share(self, self.head)

    def return_connection(self, connection: ServerConnection, response: Response, leftover: bytes) -> None:
        """The server's connection goes back to its book, or is closed when it cannot carry another request."""
        if self.frontend.log.asks_server_side:
            self.note_server_side()
        self.connection = None
        if connection.pipe is not None:
            connection.pipe.finished(self, response, leftover)
        elif leftover or self.closes_server or self.unfinished is not None or not response.keep_alive or response.body is CLOSE_BODY:
            connection.server.drop(connection)
        else:
            connection.server.give_back(connection, response, self)

    def drop_connection(self) -> None:
        """It is of no more use, if there is one."""
        if self.connection is not None and self.frontend.log.asks_server_side:
            self.note_server_side()
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.server.drop(connection)
