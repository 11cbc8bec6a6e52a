"""Having one check's conversation with a server: connections, bytes and time for a `Talk`.

Source: HAProxy configuration manual 4.2 "timeout check".
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from math import inf

import trio

from common.control.check_connection import CheckConnection, HandshakeFailed, Target, connect, secure
from common.health.outcome import Outcome
from common.health.steps import Connect
from common.health.talk import Action, Talk


async def hold(talk: Talk, aim: Callable[[Connect], Target], connect_s: float, whole_s: float, read_s: float | None) -> Outcome:
    """Run the talk to its outcome.

    aim: where a connect step goes; raises ValueError for a port that is none. connect_s, read_s: limits of a connection and of what
    follows it, anew for each; read_s None: whole_s is the limit for all together.
    """
    conversation = _Conversation(talk, aim)
    whole = inf if read_s is not None else trio.current_time() + whole_s
    try:
        return await conversation.run(connect_s, inf if read_s is None else read_s, whole)
    finally:
        conversation.close()


class _Conversation:
    __slots__ = ("_aim", "_connection", "_handshaking", "_talk")

    def __init__(self, talk: Talk, aim: Callable[[Connect], Target]) -> None:
        self._talk = talk
        self._aim = aim
        self._connection: CheckConnection | None = None
        self._handshaking = False

    async def run(self, connect_s: float, read_s: float, whole: float) -> Outcome:
        steps = self._talk.run()
        try:
            action = next(steps)
            read_until = inf
            while True:
                is_connect = isinstance(action, Connect)
                until = trio.current_time() + connect_s if is_connect else read_until
                with trio.move_on_at(min(until, whole)) as limit:
                    outcome, data = await self._do(action)
                    if outcome is not None:
                        return outcome
                if limit.cancelled_caught:
                    return self._talk.timed_out(handshaking=self._handshaking)
                if is_connect:
                    read_until = trio.current_time() + read_s
                action = steps.send(data)
        except StopIteration as end:
            outcome = end.value
            assert isinstance(outcome, Outcome)
            return outcome
        finally:
            steps.close()

    async def _do(self, action: Action) -> tuple[Outcome | None, bytes]:
        """One action: (how the check ended by it, what was read)."""
        if isinstance(action, Connect):
            return await self._open(action), b""
        assert self._connection is not None, "a script connects first"
        try:
            if action is None:
                return None, await self._connection.receive()
            await self._connection.send(action)
        except trio.BrokenResourceError as error:
            return self._talk.broken(reason(error.__cause__)), b""
        return None, b""

    async def _open(self, step: Connect) -> Outcome | None:
        self.close()
        self._handshaking = False
        try:
            target = self._aim(step)
        except ValueError as error:
            return self._talk.connect_failed(str(error))
        self._talk.connecting(target.address.port, tls=target.context is not None)
        try:
            sock, self._connection = await connect(target)
            if target.context is not None:
                self._handshaking = True
                self._connection = await secure(sock, target)
                self._handshaking = False
        except HandshakeFailed as error:
            return self._talk.handshake_failed(str(error))
        except trio.BrokenResourceError as error:
            return self._talk.connect_failed(reason(error.__cause__))
        except OSError as error:
            return self._talk.connect_failed(reason(error))
        return None

    def close(self) -> None:
        if self._connection is not None:
            with suppress(OSError):
                self._connection.close()
            self._connection = None


def reason(error: BaseException | None) -> str:
    """As HAProxy says it: what a connection that was refused or broken says by itself, anything else as a socket error."""
    if isinstance(error, OSError) and error.errno is not None:
        # To a connection that was reset before, EPIPE says the same.
        text = os.strerror(errno.ECONNRESET if error.errno == errno.EPIPE else error.errno)
        return text if isinstance(error, ConnectionError) else f"General socket error ({text})"
    return "General socket error"
