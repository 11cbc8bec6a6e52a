"""The steps of a check: connect, send, expect, assign. Values made by common/health/compile.py and protocols.py. Sans-io.

Source: HAProxy configuration manual 4.2 "tcp-check connect|send|expect|set-var", "http-check …".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from common.acl.facts import Facts
from common.health.outcome import Outcome

Text = Callable[[Facts], bytes]


class Verdict(NamedTuple):
    """What an expectation makes of the bytes so far. done False: more are needed, unless no more can come.

    outcome: of a failure, where the matcher knows it better than the step does; passed ignores it, but for its info."""

    done: bool
    passed: bool
    outcome: Outcome | None = None


MORE: Final = Verdict(False, False)
# What was received so far, and whether it is all.
Judge = Callable[[Facts, bytes, bool], Verdict]


@dataclass(frozen=True, slots=True)
class Connect:
    """server_defaults: with the settings of the server line (`default`, or no connect step at all).

    port: an expression; None, or when it gives none or 0: the check's own. shown: as log lines name the step, with a port that was
    written. sni, alpn: b"", () = as server_defaults says. implicit: not written by anyone."""

    server_defaults: bool = False
    port: Callable[[Facts], int | None] | None = None
    host: str = ""
    send_proxy: bool = False
    tls: bool = False
    sni: str = ""
    alpn: tuple[str, ...] = ()
    linger: bool = False
    comment: str = ""
    implicit: bool = False
    shown: str = "connect"


@dataclass(frozen=True, slots=True)
class Send:
    """text: makes the bytes, at the moment they are sent. host: makes the name that they are for, of an HTTP request."""

    text: Text
    comment: str = ""
    host: Text | None = None


@dataclass(frozen=True, slots=True)
class Expect:
    """judge: decides. shown: as log lines name the step. subject, negated: as they say what did not match, or did.

    ok, error, timeout: the names of what it comes to. on_success, on_error: formats of the info. code: an expression."""

    judge: Judge
    shown: str = "expect"
    subject: str = ""
    negated: bool = False
    comment: str = ""
    ok: str = "L7OK"
    error: str = ""
    timeout: str = "L7TOUT"
    on_success: Text | None = None
    on_error: Text | None = None
    code: Callable[[Facts], int | None] | None = None


@dataclass(frozen=True, slots=True)
class Assign:
    """set-var, set-var-fmt, unset-var."""

    run: Callable[[Facts], object]


@dataclass(frozen=True, slots=True)
class Note:
    """A `comment` line: it counts as a step, and speaks for the one after it."""

    comment: str


Step = Connect | Send | Expect | Assign | Note


class Style(Enum):
    """Whose words a check's messages follow."""

    CONNECT = "connect"  # no check protocol: a connection is enough
    TCP = "tcp-check"
    HTTP = "httpchk"
    READY = "ready-made"  # smtpchk, redis-check …


@dataclass(frozen=True, slots=True)
class Script:
    """A whole check."""

    style: Style
    steps: tuple[Step, ...]
    not_found_stops: bool = False  # http-check disable-on-404
    bytes_max: int = 16384  # tune.bufsize: more of an answer is not looked at


def host_of(script: Script, facts: Facts) -> bytes:
    """The name that the first request is for, b"" without one."""
    hosts = (step.host(facts) for step in script.steps if isinstance(step, Send) and step.host is not None)
    return next(hosts, b"")
