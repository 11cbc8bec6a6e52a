"""Parsers of the actions on the connection and the exchange: addresses, marks, timeouts, priorities, logs, waiting. Sans-io.

Source: HAProxy configuration manual 4.2 "http-request set-src" … "http-request wait-for-body".
"""

from __future__ import annotations

from common.acl.expressions import Expression
from common.acl.table import did_you_mean
from common.acl.types import SampleType
from common.observe.log_line import LEVELS
from common.rules.actions import (
    Action,
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
from common.rules.rulesets import AFTER, ANSWER, CONTENT, EVERYWHERE, REQUEST, RESPONSE, TCP, TCP_REQUESTS
from common.rules.table import ActionTable
from common.rules.words import Words
from common.units import parse_size

TABLE = ActionTable()

MARK_MAX = 2**32 - 1
TOS_MAX = 255
NICE_MAX = 1024
RETRIES_MAX = 100
SILENT = "silent"

_REQUESTS = (*TCP_REQUESTS, REQUEST)
_ON_CLIENT = (*TCP, REQUEST, RESPONSE)
_TIMEOUTS_OF_REQUESTS = ("client", "connect", "queue", "server", "tarpit", "tunnel")
_TIMEOUTS_OF_RESPONSES = ("client", "server", "tunnel")
_OF_BACKENDS = ("connect", "queue", "server", "tunnel")


@TABLE.row("set-src set-dst", _REQUESTS, "<expression>", "Sets the client's, or the destination's, address from here on.")
def set_address(words: Words) -> Action:
    return SetAddress(Side(words.action.removeprefix("set-")), words.expression("an address", SampleType.ADDR))


@TABLE.row("set-src-port set-dst-port", _REQUESTS, "<expression>", "Sets the port of that address.")
def set_port(words: Words) -> Action:
    side = Side(words.action.removeprefix("set-").removesuffix("-port"))
    return SetPort(side, words.expression("a port", SampleType.INT))


@TABLE.row("set-mark set-fc-mark", _ON_CLIENT, "{<mark>|<expression>}", "Marks the packets to the client for the packet filter.")
def set_mark(words: Words) -> Action:
    return SetSocketOption("mark", False, _number(words, "the mark", MARK_MAX))


@TABLE.row("set-tos set-fc-tos", _ON_CLIENT, "{<tos>|<expression>}", "Sets the TOS or DSCP field of the packets to the client.")
def set_tos(words: Words) -> Action:
    return SetSocketOption("tos", False, _number(words, "the TOS value", TOS_MAX))


@TABLE.row("set-bc-mark", (CONTENT, REQUEST), "{<mark>|<expression>}", "Marks the packets to the server for the packet filter.")
def set_server_mark(words: Words) -> Action:
    return SetSocketOption("mark", True, _number(words, "the mark", MARK_MAX))


@TABLE.row("set-bc-tos", (CONTENT, REQUEST), "{<tos>|<expression>}", "Sets the TOS or DSCP field of the packets to the server.")
def set_server_tos(words: Words) -> Action:
    return SetSocketOption("tos", True, _number(words, "the TOS value", TOS_MAX))


def _number(words: Words, what: str, most: int) -> int | Expression:
    if words.peek()[:1].isdigit():
        return words.number(what, 0, most)
    return words.expression(what, SampleType.INT)


@TABLE.row("set-nice", (CONTENT, ANSWER, REQUEST, RESPONSE), "<nice>", "How willingly this exchange lets others go first.")
def set_nice(words: Words) -> Action:
    return SetNice(words.number("the nice value", -NICE_MAX, NICE_MAX))


@TABLE.row("set-log-level", (CONTENT, ANSWER, REQUEST, RESPONSE, AFTER), "<level>", "The log line's level, or silent for none.")
def set_log_level(words: Words) -> Action:
    level = words.one_of("a log level", (*LEVELS, SILENT))
    return SetLogLevel(-1 if level == SILENT else LEVELS[level])


@TABLE.row("do-log", EVERYWHERE, "[profile <name>]", "Writes a log line now.")
def do_log(words: Words) -> Action:
    if not words.accept("profile"):
        return DoLog()
    name = words.take("a log-profile")
    config = words.environment.config
    if config is not None and name not in config.log_profiles:
        raise words.fault(f'there is no log-profile "{name}"', hint=did_you_mean(name, config.log_profiles))
    return DoLog(name)


@TABLE.row("set-priority-class set-priority-offset", (CONTENT, REQUEST), "<expression>", "Where in the queue this request waits.")
def set_priority(words: Words) -> Action:
    return SetPriority(words.action.removeprefix("set-priority-"), words.expression("a priority", SampleType.INT))


@TABLE.row(
    "set-timeout",
    (REQUEST, RESPONSE),
    "{client|connect|queue|server|tarpit|tunnel} {<time>|<expression>}",
    "Sets a timeout for this exchange; expressions give milliseconds.",
)
def set_timeout(words: Words) -> Action:
    name = words.one_of("a timeout", _TIMEOUTS_OF_RESPONSES if words.ruleset is RESPONSE else _TIMEOUTS_OF_REQUESTS)
    proxy = words.environment.proxy
    if name in _OF_BACKENDS and proxy is not None and not proxy.backend:
        raise words.fault(f'timeout {name} is the backend\'s, and "{proxy.name}" is none', hint="Write this rule in the backend.")
    if name in ("client", "tarpit") and proxy is not None and not proxy.frontend:
        raise words.fault(f'timeout {name} is the frontend\'s, and "{proxy.name}" is none', hint="Write this rule in the frontend.")
    if not words.peek()[:1].isdigit():
        return SetTimeout(name, 0.0, words.expression("a time or an expression", SampleType.INT))
    seconds = words.time("a time")
    if not seconds:
        raise words.fault("a timeout of zero means nothing: it must be positive")
    return SetTimeout(name, seconds)


@TABLE.row("set-retries", (CONTENT, REQUEST), "{<number>|<expression>}", "How often this exchange may try again.")
def set_retries(words: Words) -> Action:
    if words.peek().isdigit():
        return SetRetries(words.number("the number of retries", 0, RETRIES_MAX))
    return SetRetries(words.expression("a number or an expression", SampleType.INT))


@TABLE.row("disable-l7-retry", (REQUEST,), "", "Never sends this request again once it was sent.")
def disable_retry(words: Words) -> Action:
    return DisableL7Retry()


@TABLE.row(
    "set-idempotent",
    (REQUEST,),
    "{yes|no}",
    "Whether this request may be sent again when it may have been acted on, whatever its method.",
    ours=True,
)
def set_idempotent(words: Words) -> Action:
    return SetIdempotent(words.one_of("an answer", ("yes", "no")) == "yes")


@TABLE.row("wait-for-body", (REQUEST, RESPONSE), "time <time> [at-least <bytes>]", "Waits until the body is here.")
def wait_for_body(words: Words) -> Action:
    time_s, at_least = None, 0
    while words:
        if words.one_of("a word", ("time", "at-least")) == "time":
            time_s = words.time("a time")
        else:
            text = words.take("a size")
            try:
                at_least = parse_size(text)
            except ValueError as error:
                raise words.fault(str(error)) from None
    if time_s is None:
        raise words.fault('"time" is missing', words.position)
    return WaitForBody(time_s, at_least)


@TABLE.row("wait-for-handshake", (REQUEST,), "", "Waits until the TLS handshake is complete.")
def wait_for_handshake(words: Words) -> Action:
    return WaitForHandshake()


@TABLE.row("pause", (REQUEST, RESPONSE), "{<time>|<expression>}", "Waits; expressions give milliseconds.")
def pause(words: Words) -> Action:
    if words.peek()[:1].isdigit():
        return Pause(words.time("a time"))
    return Pause(0.0, words.expression("a time or an expression", SampleType.INT))
