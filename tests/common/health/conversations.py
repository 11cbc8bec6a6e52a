"""Scripts from the words of a backend, and servers that say what a list says."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from common.acl.environment import CompileEnvironment, Where
from common.health.compile import compile_script
from common.health.outcome import Outcome
from common.health.steps import Connect, Script
from common.health.talk import CheckFacts, Talk
from common.model import Proxy
from tests.common.observe.configurations import PLACE, server

ESCAPES = {"\\r": "\r", "\\n": "\n"}


def backend(lines: str) -> Proxy:
    """A backend `be` with a server `s1` and these lines, as the configuration would leave them."""
    proxy = Proxy(PLACE, "be", False, True, mode="http", servers=[server("s1", 8001, check=True)])
    for line in filter(None, (line.strip() for line in lines.splitlines())):
        first, *words = shlex.split(line.replace("\\", "\\\\"))
        for escape, letter in ESCAPES.items():
            words = [word.replace(escape, letter) for word in words]
        if first == "option":
            if words[0] == "log-health-checks":
                proxy.options |= {words[0]}
            else:
                proxy.option_args[words[0]] = tuple(words[1:])
        elif words[0] in ("disable-on-404", "send-state"):
            proxy.options |= {f"{first} {words[0]}"}
        else:
            proxy.extra[first] = (*proxy.extra.get(first, ()), tuple(words))
    return proxy


def script(lines: str, bytes_max: int = 16384) -> Script:
    proxy = backend(lines)
    return compile_script(proxy, CompileEnvironment(Where.CHECK, proxy), bytes_max)


class Conversation:
    """One run. sent: what the server heard. reads: what it says, one piece for each read; then it is silent, or ends."""

    def __init__(self, lines: str | Script, *, running: bool = True, tls: bool = False) -> None:
        proxy = backend(lines if isinstance(lines, str) else "")
        self.facts = CheckFacts(proxy, proxy.servers[0])
        self.talk = Talk(script(lines) if isinstance(lines, str) else lines, self.facts, running=running)
        self.sent: list[bytes] = []
        self.connects: list[Connect] = []
        self._tls = tls

    def run(self, reads: Iterable[bytes], *, ends: bool = True) -> Outcome | None:
        """The outcome; None when the server is silent and more is waited for."""
        pieces = iter(reads)
        steps = self.talk.run()
        ended = False
        try:
            action = next(steps)
            while True:
                data = b""
                if isinstance(action, Connect):
                    self.connects.append(action)
                    port = action.port(self.facts) if action.port is not None else 8001
                    self.talk.connecting(port or 0, tls=self._tls)
                elif action is None:
                    assert not ended, "nothing is read behind the end"
                    data = next(pieces, b"")
                    if not data and not ends:
                        return None
                    ended = not data
                else:
                    self.sent.append(action)
                action = steps.send(data)
        except StopIteration as end:
            assert isinstance(end.value, Outcome)
            return end.value


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]
