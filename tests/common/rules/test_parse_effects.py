"""Addresses, marks, timeouts, priorities, logs, waiting: what the words give, and what is said about wrong ones."""

from __future__ import annotations

import pytest

from common.acl.expressions import Expression
from common.rules.actions import (
    DisableL7Retry,
    DoLog,
    Pause,
    SetAddress,
    SetIdempotent,
    SetLogLevel,
    SetNice,
    SetPort,
    SetPriority,
    SetRetries,
    SetSocketOption,
    SetTimeout,
    Side,
    WaitForBody,
    WaitForHandshake,
)
from tests.common.rules.parsing import parse, refusal

VALUES = [
    ("http-request", "set-mark 0x1f", SetSocketOption("mark", False, 31)),
    ("tcp-request connection", "set-tos 8", SetSocketOption("tos", False, 8)),
    ("http-request", "set-fc-tos 0xff", SetSocketOption("tos", False, 255)),
    ("http-request", "set-bc-mark 4294967295", SetSocketOption("mark", True, 2**32 - 1)),
    ("http-response", "set-nice -1024", SetNice(-1024)),
    ("http-response", "set-log-level emerg", SetLogLevel(0)),
    ("tcp-response content", "set-log-level silent", SetLogLevel(-1)),
    ("http-after-response", "do-log", DoLog()),
    ("http-request", "do-log profile loud", DoLog("loud")),
    ("http-request", "set-timeout tunnel 1h", SetTimeout("tunnel", 3600.0)),
    ("http-request", "set-timeout client 100", SetTimeout("client", 0.1)),
    ("http-request", "set-retries 5", SetRetries(5)),
    ("http-request", "disable-l7-retry", DisableL7Retry()),
    ("http-request", "set-idempotent yes", SetIdempotent(True)),
    ("http-request", "set-idempotent no", SetIdempotent(False)),
    ("http-request", "wait-for-body time 500ms", WaitForBody(0.5)),
    ("http-response", "wait-for-body at-least 1k time 2s", WaitForBody(2.0, 1024)),
    ("http-request", "wait-for-handshake", WaitForHandshake()),
    ("http-response", "pause 20ms", Pause(0.02)),
]


@pytest.mark.parametrize(("ruleset", "line", "action"), VALUES)
def test_value(ruleset: str, line: str, action: object) -> None:
    assert parse(ruleset, line) == action


@pytest.mark.parametrize(("word", "side"), [("src", Side.SOURCE), ("dst", Side.DESTINATION)])
def test_addresses_and_ports(word: str, side: Side) -> None:
    address = parse("tcp-request session", f"set-{word} src,ipmask(24)")
    assert isinstance(address, SetAddress) and address.side is side
    port = parse("http-request", f"set-{word}-port hdr(x-port)")
    assert isinstance(port, SetPort) and port.side is side


@pytest.mark.parametrize("kind", ["class", "offset"])
def test_priorities(kind: str) -> None:
    action = parse("tcp-request content", f"set-priority-{kind} int(-5)")
    assert isinstance(action, SetPriority) and action.kind == kind


@pytest.mark.parametrize(
    "line", ["set-mark src_port", "set-timeout server req.hdr_val(x-t)", "set-retries int(1)", "pause rand(100)", "set-bc-tos int(1)"]
)
def test_numbers_may_be_expressions(line: str) -> None:
    action = parse("http-request", line)
    expression = getattr(action, "expression", None) or getattr(action, "value", None)
    assert isinstance(expression, Expression)


REFUSED = [
    ("http-request", "set-src", "an address is missing", 1),
    ("http-request", "set-mark 4294967296", "from 0 to 4294967295", 1),
    ("http-request", "set-tos 0x100", "from 0 to 255", 1),
    ("http-request", "set-nice 1025", "from -1024 to 1024", 1),
    ("http-request", "set-log-level noisy", '"noisy" is not a log level', 1),
    ("http-request", "do-log profile quiet", 'no log-profile "quiet"', 2),
    ("http-request", "do-log loud", 'unexpected "loud"', 1),
    ("http-request", "set-timeout sever 1s", '"sever" is not a timeout', 1),
    ("http-response", "set-timeout queue 1s", '"queue" is not a timeout', 1),
    ("http-request", "set-timeout server 0", "must be positive", 2),
    ("http-request", "set-timeout server 5parsec", "is not a time", 2),
    ("http-request", "set-timeout server", "a time or an expression is missing", 2),
    ("http-request", "set-retries 101", "from 0 to 100", 1),
    ("http-request", "set-idempotent maybe", '"maybe" is not an answer', 1),
    ("http-request", "wait-for-body at-least 1k", '"time" is missing', 3),
    ("http-request", "wait-for-body time 1s at-least x", "is not a size", 4),
    ("http-request", "wait-for-body for 1s", '"for" is not a word', 1),
    ("http-request", "pause", "a time or an expression is missing", 1),
]


@pytest.mark.parametrize(("ruleset", "line", "message", "word"), REFUSED)
def test_wrong_words_are_told_with_their_place(ruleset: str, line: str, message: str, word: int) -> None:
    error = refusal(ruleset, line)
    assert message in str(error)
    assert error.word == word


def test_timeouts_belong_to_the_side_that_has_them() -> None:
    assert "the backend's" in str(refusal("http-request", "set-timeout server 1s", "frontend"))
    assert "the frontend's" in str(refusal("http-request", "set-timeout client 1s", "backend"))
    assert parse("http-request", "set-timeout server 1s", "backend") == SetTimeout("server", 1.0)
    assert parse("http-request", "set-timeout tarpit 1s", "frontend") == SetTimeout("tarpit", 1.0)
