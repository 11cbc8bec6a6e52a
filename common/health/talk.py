"""One check, as a conversation: what to do next, given what came. Sans-io.

`Talk.run` is a generator: it yields what is to be done (`Connect`, bytes to send, or READ) and is sent the bytes that came
(b"" = the end). It returns the outcome. When the connection fails or time runs out, whoever drives it asks `connect_failed`,
`timed_out` … for the outcome, which depends on the step that is under way.

Source: HAProxy configuration manual 4.2 "option tcp-check"; texts observed from 2.6.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Final

from common.acl.absent import AbsentExchange
from common.acl.facts import SessionFacts
from common.health.answer import HttpAnswer
from common.health.outcome import Outcome, Result, printable
from common.health.steps import Assign, Connect, Expect, Note, Script, Send, Step, Style, Verdict
from common.model import Proxy, Server

READ: Final = None
Action = Connect | bytes | None


class CheckFacts(AbsentExchange):
    """What expressions of a check may ask: the proxy, the server, and what the server answered."""

    def __init__(self, proxy: Proxy, server: Server, session: SessionFacts | None = None) -> None:
        super().__init__(session)
        self.backend = proxy
        self.server = server
        self.state = ""  # for X-Haproxy-Server-State

    def heard(self, data: bytes) -> None:
        self.response_buffer = data


class Talk:
    """One run of a script. running: the server is up, so a 404 stops it rather than failing it."""

    __slots__ = ("_at", "_buffer", "_comment", "_facts", "_port", "_running", "_script", "_tls")

    def __init__(self, script: Script, facts: CheckFacts, *, running: bool = True) -> None:
        self._script = script
        self._facts = facts
        self._at = -1  # the position of the step under way
        self._buffer = b""
        self._comment = ""
        self._port = 0
        self._tls = False
        self._running = running

    def connecting(self, port: int, *, tls: bool) -> None:
        """Where the connection under way goes."""
        self._port, self._tls = port, tls

    def run(self) -> Generator[Action, bytes, Outcome]:
        last: Step | None = None
        outcome: Outcome | None = None
        told = ""
        for position, step in enumerate(self._script.steps):
            self._at = position
            if isinstance(step, Note):
                self._comment = step.comment
                continue
            if isinstance(step, Assign):
                step.run(self._facts)
                continue
            self._comment = step.comment or self._comment
            if isinstance(step, Connect):
                self._buffer = b""
                yield step
                outcome = Outcome("L6OK" if self._tls else "L4OK", info="" if step.implicit else self._named())
            elif isinstance(step, Send):
                self._buffer = b""
                yield step.text(self._facts)
                outcome = Outcome("L7OK", info=self._named()) if not isinstance(last, Send) else outcome
            else:
                outcome = yield from self._expect(step)
                if self._script.style is Style.READY and outcome.result is Result.PASSED:
                    told = outcome.info or told  # an earlier answer may have said more
                    outcome = replace(outcome, info=told)
                if outcome.result.word == "failed" or (outcome.name == "L7OKC" and step.ok != "L7OKC"):
                    return outcome
            last, self._comment = step, ""
        assert outcome is not None, "a script connects"
        return outcome

    def _named(self) -> str:
        return "(tcp-check)" if self._script.style is Style.TCP else ""

    # --- expecting ----------------------------------------------------------------------------------------------------

    def _expect(self, step: Expect) -> Generator[Action, bytes, Outcome]:
        ended = False
        while True:
            self._facts.heard(self._buffer)
            if ended and not self._buffer and self._script.style is not Style.HTTP:
                return self._failed(step, Outcome(step.error or "L7RSP", 0, f"TCPCHK got an empty response at step {self._number}"))
            full = ended or len(self._buffer) >= self._script.bytes_max
            verdict = step.judge(self._facts, self._buffer, full)
            if verdict.done or full:
                return self._judged(step, verdict)
            data = yield READ
            ended = not data
            self._buffer = (self._buffer + data)[: self._script.bytes_max]

    def _judged(self, step: Expect, verdict: Verdict) -> Outcome:
        answer = self._facts.response
        told = answer if isinstance(answer, HttpAnswer) else None
        if told is not None and told.status == 404 and self._script.not_found_stops and self._running:
            return Outcome("L7OKC", 404)
        if not verdict.passed:
            return self._failed(step, verdict.outcome or Outcome(step.error or "L7RSP", 0, self._mismatch(step)))
        info = verdict.outcome.info if verdict.outcome is not None else self._named()
        code = told.status if told is not None else verdict.outcome.code if verdict.outcome is not None else 0
        if step.on_success is not None:
            info = printable(step.on_success(self._facts))
        return Outcome(step.ok, self._code(step, code), info)

    def _mismatch(self, step: Expect) -> str:
        how = "matched unwanted content" if step.negated else "did not match content"
        return f"TCPCHK {how} {step.subject} at step {self._number}" if self._script.style is Style.TCP else ""

    def _failed(self, step: Expect, outcome: Outcome) -> Outcome:
        info = outcome.info
        if step.on_error is not None:
            info = printable(step.on_error(self._facts))
        elif self._script.style in (Style.TCP, Style.HTTP) and self._comment:
            info = f"{info} comment: {self._comment}".strip()
        name = step.error or outcome.name
        return Outcome(name, self._code(step, outcome.code), info)

    def _code(self, step: Expect, otherwise: int) -> int:
        if step.code is None:
            return otherwise
        found = step.code(self._facts)
        return otherwise if found is None else found

    # --- what goes wrong below ----------------------------------------------------------------------------------------

    def connect_failed(self, reason: str) -> Outcome:
        return Outcome("L4CON", 0, reason + self._place())

    def handshake_failed(self, reason: str) -> Outcome:
        return Outcome("L6RSP", 0, reason + self._place())

    def broken(self, reason: str) -> Outcome:
        """The connection broke after it was made."""
        return Outcome("SOCKERR", 0, reason + self._place())

    def timed_out(self, *, handshaking: bool) -> Outcome:
        step = self._script.steps[max(self._at, 0)]
        if isinstance(step, Expect):
            return Outcome(step.timeout, 0, self._place())
        if isinstance(step, Connect):
            return Outcome("L6TOUT" if handshaking else "L4TOUT", 0, self._place())
        return Outcome("L7TOUT", 0, self._place())

    @property
    def _number(self) -> int:
        """Of the step under way, as people count them: an implicit connection does not count."""
        implicit = any(isinstance(step, Connect) and step.implicit for step in self._script.steps[: self._at])
        return self._at + 1 - implicit

    def _place(self) -> str:
        """Where it failed, for sequences that somebody wrote."""
        if self._script.style is not Style.TCP:
            return ""
        step = self._script.steps[max(self._at, 0)]
        if isinstance(step, Connect) and step.implicit:
            return " at initial connection step of tcp-check"
        shown = step.shown if isinstance(step, Connect | Expect) else "send"
        comment = f" comment: '{self._comment}'" if self._comment else ""
        return f" at step {self._number} of tcp-check ({shown}){comment}"
