"""Parsers of the actions that end a ruleset: accept, deny, return, redirect, auth, reject and their like. Sans-io.

Source: HAProxy configuration manual 4.2 "http-request deny", "http-request return", "redirect", "tcp-request content switch-mode".
"""

from __future__ import annotations

import importlib.util

from common.acl.arguments import encode
from common.acl.logformat import Format, Purpose, compile_format
from common.acl.table import did_you_mean
from common.rules.actions import (
    Accept,
    Action,
    Authenticate,
    Close,
    Deny,
    ExpectProxy,
    Redirect,
    Reject,
    Return,
    SilentDrop,
    SwitchMode,
    Tarpit,
    UseBackend,
    UseServer,
    UseService,
)
from common.rules.reply import parse_reply
from common.rules.rulesets import ANSWER, CONNECTION, CONTENT, HTTP, REQUEST, RESPONSE, TCP, Ruleset
from common.rules.table import ActionTable
from common.rules.words import Words

TABLE = ActionTable()

SERVICES = ("prometheus-exporter",)
REDIRECT_CODES = (301, 302, 303, 307, 308)
_KINDS = ("location", "prefix", "scheme")
_FLAGS = ("drop-query", "keep-query", "append-slash", "ignore-empty")


@TABLE.row("accept", TCP, "", "Ends these rules; the connection goes on.")
def accept(words: Words) -> Action:
    return Accept()


@TABLE.row("allow", HTTP, "", "Ends the rules of this section; processing goes on.")
def allow(words: Words) -> Action:
    return Accept()


@TABLE.row("reject", (*TCP, REQUEST), "", "Closes the connection without an answer.")
def reject(words: Words) -> Action:
    return Reject()


@TABLE.row("close", (ANSWER,), "", "Closes the connection to the server.")
def close(words: Words) -> Action:
    return Close()


@TABLE.row(
    "silent-drop",
    (*TCP, REQUEST, RESPONSE),
    "[rst-ttl <ttl>]",
    "Drops the client's connection without telling the client; with rst-ttl, by a reset that dies after so many routers.",
)
def silent_drop(words: Words) -> Action:
    return SilentDrop(words.number("the TTL", 1, 255) if words.accept("rst-ttl") else None)


@TABLE.row("deny", (REQUEST, RESPONSE), "[{status|deny_status} <code>] [<answer>]", "Answers 403 (502 in place of a response) or as said.")
def deny(words: Words) -> Action:
    status = 502 if words.ruleset is RESPONSE else 403
    return Deny(parse_reply(words, status, statuses=("status", "deny_status"), bare_is_default=True))


@TABLE.row("tarpit", (REQUEST,), "[{status|deny_status} <code>] [<answer>]", "Makes the client wait for timeout tarpit, then answers 500.")
def tarpit(words: Words) -> Action:
    return Tarpit(parse_reply(words, 500, statuses=("status", "deny_status"), bare_is_default=True))


@TABLE.row("return", (REQUEST, RESPONSE), "[status <code>] [<answer>]", "Answers at once.")
def return_(words: Words) -> Action:
    return Return(parse_reply(words, 200, statuses=("status",), bare_is_default=False))


@TABLE.row("use-service", (REQUEST,), "prometheus-exporter", "The metrics for Prometheus (needs the package prometheus-client).")
def use_service(words: Words) -> Action:
    name = words.one_of("a service", SERVICES)
    if importlib.util.find_spec("prometheus_client") is None:
        raise words.fault(
            "the service prometheus-exporter needs the Python package prometheus-client, which is not installed here: "
            "pip install 'usher[metrics]', or apt-get install python3-prometheus-client"
        )
    return UseService(name)


@TABLE.row("auth", (REQUEST,), "[realm <realm>]", "Asks the client for a name and a password.")
def authenticate(words: Words) -> Action:
    if words.accept("realm"):
        return Authenticate(words.text("the realm"))
    proxy = words.environment.proxy
    return Authenticate(encode(proxy.name) if proxy is not None else b"")


@TABLE.row("switch-mode", (CONTENT,), "http [proto <name>]", "Treats what follows as HTTP.")
def switch_mode(words: Words) -> Action:
    words.one_of("a mode", ("http",))
    if words.accept("proto"):
        words.one_of("a protocol", ("h1",))
    proxy = words.environment.proxy
    if proxy is not None and not proxy.frontend:
        raise words.fault("only a proxy with a frontend can switch modes", 0)
    return SwitchMode()


@TABLE.row("expect-proxy", (CONNECTION,), "layer4", "Expects a PROXY header, as accept-proxy on the bind line does.")
def expect_proxy(words: Words) -> Action:
    words.one_of("a layer", ("layer4",))
    return ExpectProxy()


@TABLE.row(
    "redirect",
    (REQUEST, RESPONSE),
    "{location|prefix|scheme} <fmt> [code <code>] [drop-query] [keep-query] [append-slash] [ignore-empty] [set-cookie <cookie>] "
    "[clear-cookie <cookie>]",
    "Redirects the client.",
)
def redirect(words: Words) -> Action:
    words.position = 1
    return parse_redirect(words, formats=True)


def parse_redirect(words: Words, *, formats: bool) -> Redirect:
    """formats: the target is a log-format. The words may come in any order."""
    kind, target, code = "", None, 302
    cookies: dict[str, bytes | Format] = {}
    flags: set[str] = set()
    while words:
        word = words.take("a word")
        if word in _KINDS:
            kind = word
            target = words.format("a location") if formats else _constant(words)
        elif word == "code":
            code = words.number("the code", 0, 999)
            if code not in REDIRECT_CODES:
                raise words.fault(f"unsupported code {code}: there are {', '.join(map(str, REDIRECT_CODES))}")
        elif word in ("set-cookie", "clear-cookie"):
            cookies = {word: words.text("a cookie")}
        elif word == "set-cookie-fmt":
            cookies = {"set-cookie": words.format("a cookie")}
        elif word in _FLAGS:
            flags.add(word)
        else:
            known = (*_KINDS, *_FLAGS, "code", "set-cookie", "set-cookie-fmt", "clear-cookie")
            raise words.fault(f'unexpected "{word}"', hint=did_you_mean(word, known) or f"There are {', '.join(known)}.")
    if target is None:
        raise words.fault(f"a redirection type is missing: one of {', '.join(_KINDS)}", words.position)
    if words.ruleset is Ruleset.HTTP_RESPONSE and kind != "location":
        raise words.fault(f'"{kind}" needs the request, so a response can only be redirected with "location"', 1)
    clear = cookies.get("clear-cookie")
    assert clear is None or isinstance(clear, bytes)
    return Redirect(
        kind,
        target,
        code,
        "drop-query" in flags,
        "keep-query" in flags,
        "append-slash" in flags,
        "ignore-empty" in flags,
        cookies.get("set-cookie"),
        clear,
    )


def _constant(words: Words) -> Format:
    text = words.take("a location")
    return compile_format(text.replace("%", "%%"), words.environment, Purpose.HEADER)


def parse_use_backend(words: Words) -> Action:
    """A name, or a log-format that gives one. Names are checked against the configuration."""
    text = words.peek()
    made = words.format("a backend name", Purpose.VALUE)
    if made.constant is not None and not words.environment.proxy_named(text, backend=True):
        config = words.environment.config
        names = [proxy.name for proxy in config.proxies if proxy.backend] if config is not None else []
        raise words.fault(f'there is no backend "{text}"', hint=did_you_mean(text, names))
    return UseBackend(made)


def parse_use_server(words: Words) -> Action:
    text = words.peek()
    made = words.format("a server name", Purpose.VALUE)
    proxy = words.environment.proxy
    if made.constant is not None and proxy is not None and proxy.backend and all(server.name != text for server in proxy.servers):
        raise words.fault(
            f'there is no server "{text}" in "{proxy.name}"', hint=did_you_mean(text, [server.name for server in proxy.servers])
        )
    return UseServer(made)


