"""What the tests of rule parsers share: an environment with a few names in it, and parsing from one line of text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pytest

from common import model
from common.acl.environment import CompileEnvironment
from common.errors import ExpressionError
from common.rules.actions import Action
from common.rules.parse import parse_action
from tests.common.acl.fakes import proxy, server

FILES: Mapping[str, bytes] = {
    "page.html": b"<p>hi</p>",
    "greeting.txt": b"you are %[src]",
    "empty": b"",
    "403.http": b"HTTP/1.1 403 No\r\n\r\n",
}


def read_file(path: str) -> bytes:
    if path not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return FILES[path]


def environment(kind: str = "listen", **fields: object) -> CompileEnvironment:
    """kind: of the proxy that the rule stands in. It has a table, two request slots and a response slot."""
    own = proxy(
        "site",
        frontend=kind == "frontend",
        backend=kind == "backend",
        mode="http",
        servers=[server("s1")],
        stick_table=("type", "ip", "size", "10"),
        captures=[("request", "host", 32), ("request", "", 8), ("response", "server", 16)],
        **fields,
    )
    other = proxy("other", backend=True, mode="http")
    peers = model.Peers("peers1", {"t1": ("type", "ip")})
    config = model.Config(
        proxies=[own, other],
        http_errors={"pages": {403: "403.http"}},
        peers={"peers1": peers},
        log_profiles={"loud": model.LogProfile("loud")},
    )
    return CompileEnvironment(proxy=own, config=config, read_file=read_file)


def parse(ruleset: str, line: str, kind: str = "listen") -> Action:
    """The action of a line, its words separated as a shell separates them."""
    return parse_action(ruleset, shlex.split(line), environment(kind))


def refusal(ruleset: str, line: str, kind: str = "listen") -> ExpressionError:
    """The complaint about a line that must be refused; its word is one of the line's, or the one after the last."""
    words = shlex.split(line)
    with pytest.raises(ExpressionError) as caught:
        parse_action(ruleset, words, environment(kind))
    assert 0 <= caught.value.word <= len(words)
    return caught.value
