"""How a server is chosen and kept: `balance`, `hash-type`, `cookie`, `persist`, `retry-on`, `http-reuse`.

Sans-io.
Source: HAProxy configuration manual 4.2.
"""

from __future__ import annotations

import re

from common.config import values
from common.config.draft import Scope
from common.config.expressions import check_expression
from common.config.statement import Statement, Words
from common.config.suggest import did_you_mean
from common.units import parse_time

BALANCE = (
    "roundrobin",
    "static-rr",
    "leastconn",
    "first",
    "source",
    "uri",
    "url_param",
    "hdr",
    "random",
    "rdp-cookie",
    "hash",
    "sticky",
    "budget",
)
PLAIN = ("roundrobin", "static-rr", "leastconn", "first", "source", "sticky", "budget")
HASH_FUNCTIONS = ("sdbm", "djb2", "wt6", "crc32", "none")
RETRY_REASONS = (
    *("none", "conn-failure", "empty-response", "junk-response", "response-timeout", "0rtt-rejected", "all-retryable-errors"),
    "receive-failure",
)
RETRY_STATUSES = (401, 403, 404, 408, 421, 425, 429, 500, 501, 502, 503, 504)
COOKIE_MODES = ("rewrite", "insert", "prefix", "rename")
_ALGORITHM = re.compile(r"([a-z_-]+)(?:\((.*)\))?", re.DOTALL)
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_RDP_COOKIE = re.compile(r"persist rdp-cookie(?:\(([^()]*)\))?")
_DOMAIN = re.compile(r"[A-Za-z0-9.-]+")


def persist(scope: Scope, statement: Statement) -> None:
    """`persist rdp-cookie[(name)]`: the name is part of the keyword."""
    match = _RDP_COOKIE.fullmatch(statement.keyword)
    if not match:
        raise statement.fault("persist : 'rdp-cookie[(name)]' expected.")
    scope.proxy.extra["persist rdp-cookie"] = ((match[1] or "msts",),)


def balance(scope: Scope, statement: Statement) -> None:
    """`balance <algorithm> [<arguments>]`, kept as words; a parenthesised argument stays with its algorithm."""
    text = statement.argument(0)
    match = _ALGORITHM.fullmatch(text)
    name = match[1] if match else text
    if not match or name not in BALANCE:
        message = f"balance : unknown algorithm '{text}'{did_you_mean(name, BALANCE)}" if text else "balance : an algorithm is expected"
        raise statement.fault(message, 0, f"Known are {', '.join(BALANCE)}.")
    if name == "sticky":
        raise statement.fault("balance : 'sticky' belongs to log backends, which are not supported by Usher", 0)
    argument = match[2]
    if name in PLAIN:
        _no_more(statement, 1)
    if argument is not None and name not in ("hdr", "random", "rdp-cookie"):
        raise statement.fault(f"balance : '{name}' takes no argument in parentheses", 0)
    _ARGUMENTS.get(name, _no_arguments)(scope, statement, argument)
    scope.proxy.balance = tuple(statement.arguments)


def _no_more(statement: Statement, position: int) -> None:
    if statement.argument(position):
        raise statement.fault(
            f"'balance {statement.argument(0)}' cannot handle unexpected argument '{statement.argument(position)}'.", position
        )


def _no_arguments(scope: Scope, statement: Statement, argument: str | None) -> None:
    """Algorithms that are a word alone."""


def _uri(scope: Scope, statement: Statement, argument: str | None) -> None:
    words = Words(statement, 1)
    while words:
        name = words.next()
        if name in ("len", "depth"):
            text = words.required("a number")
            if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) < 1:
                raise words.fault(f"balance uri : '{name}' expects a positive integer (got '{text}').")
        elif name not in ("whole", "path-only"):
            raise words.fault(f"balance uri only accepts parameters 'len', 'depth', 'path-only', and 'whole' (got '{name}').")


def _url_parameter(scope: Scope, statement: Statement, argument: str | None) -> None:
    if not statement.argument(1):
        raise statement.fault("balance url_param requires an URL parameter name.", 1)
    if statement.argument(2) and statement.argument(2) != "check_post":
        raise statement.fault(f"balance url_param only accepts check_post modifier (got '{statement.argument(2)}').", 2)
    if statement.argument(3) and not re.fullmatch(r"[0-9]+", statement.argument(3)):
        raise statement.fault(f"balance url_param check_post : unexpected argument '{statement.argument(3)}'", 3)


def _header(scope: Scope, statement: Statement, argument: str | None) -> None:
    if not argument or not _COOKIE_NAME.fullmatch(argument):
        raise statement.fault("hdr requires an HTTP header name.", 0, "For example: balance hdr(host)")
    if statement.argument(1) and statement.argument(1) != "use_domain_only":
        raise statement.fault(f"hdr(name) only accepts 'use_domain_only' modifier (got '{statement.argument(1)}').", 1)


def _random(scope: Scope, statement: Statement, argument: str | None) -> None:
    if argument is not None and not (re.fullmatch(r"[0-9]{1,6}", argument) and int(argument) >= 1):
        raise statement.fault(f"random : expects a positive number of draws (got '{argument}').", 0)
    _no_more(statement, 1)


def _rdp_cookie(scope: Scope, statement: Statement, argument: str | None) -> None:
    if argument == "":
        raise statement.fault("rdp-cookie : expects a cookie name in its parentheses.", 0)
    _no_more(statement, 1)


def _hash(scope: Scope, statement: Statement, argument: str | None) -> None:
    if not statement.argument(1):
        raise statement.fault("balance hash requires a sample expression.", 1, "For example: balance hash req.cookie(session)")
    length = check_expression(scope, statement, 1)
    _no_more(statement, 1 + length)


_ARGUMENTS = {"uri": _uri, "url_param": _url_parameter, "hdr": _header, "random": _random, "rdp-cookie": _rdp_cookie, "hash": _hash}


def hash_balance_factor(scope: Scope, statement: Statement) -> None:
    factor = values.integer(statement, 0)
    if 0 < factor <= 100:
        raise statement.fault("'hash-balance-factor' must be 0 or greater than 100.", 0, "150 means: half above the average at most.")
    scope.proxy.hash_balance_factor = factor


def hash_type(scope: Scope, statement: Statement) -> None:
    """`hash-type <method> [<function>] [<modifier>]`."""
    words = statement.arguments
    values.one_of(statement, 0, ("consistent", "map-based"), what="hash-type")
    if len(words) > 1:
        values.one_of(statement, 1, HASH_FUNCTIONS, what="hash-type")
    if len(words) > 2:
        values.one_of(statement, 2, ("avalanche",), what="hash-type")
    if len(words) > 3:
        raise statement.fault(f"'hash-type' cannot handle unexpected argument '{words[3]}'.", 3)
    scope.proxy.hash_type = tuple(words)


def http_reuse(scope: Scope, statement: Statement) -> None:
    scope.proxy.http_reuse = values.one_of(statement, 0, ("never", "safe", "aggressive", "always"), what="http-reuse")


def retry_on(scope: Scope, statement: Statement) -> None:
    for position, word in enumerate(statement.arguments):
        if word not in RETRY_REASONS and not (re.fullmatch(r"[0-9]{3}", word) and int(word) in RETRY_STATUSES):
            known = ", ".join((*RETRY_REASONS, *(str(status) for status in RETRY_STATUSES)))
            raise statement.fault(
                f"'retry-on': unknown keyword '{word}'{did_you_mean(word, RETRY_REASONS)}", position, f"Known are {known}."
            )
        if word in ("none", "all-retryable-errors") and len(statement.arguments) > 1 and word == "none":
            raise statement.fault("'retry-on': 'none' must be alone.", position)
    scope.proxy.retry_on = tuple(statement.arguments)


def cookie(scope: Scope, statement: Statement) -> None:
    """`cookie <name> [<mode>] [<setting> …]`."""
    name = statement.argument(0)
    if not name:
        raise statement.fault("'cookie' expects <cookie_name> as argument.", 0)
    if not _COOKIE_NAME.fullmatch(name):
        raise statement.fault(f"'cookie' : '{name}' is no cookie name", 0)
    words = Words(statement, 1)
    seen: dict[str, int] = {}
    while words:
        seen.setdefault(words.peek(), words.position)
        _cookie_setting(words, words.next())
    modes = [mode for mode in COOKIE_MODES if mode in seen]
    if len(modes) > 1:
        raise statement.fault(f"'cookie' : '{modes[0]}' and '{modes[1]}' exclude each other.", seen[modes[1]])
    insert = "insert" in seen
    for need, position in seen.items():
        if need in ("maxidle", "maxlife") and not insert:
            statement.note(f"'cookie {need}' has an effect with inserted cookies only", position, "Add insert.")
    if "preserve" in seen and not (insert or "indirect" in seen):
        statement.note("'cookie preserve' has an effect with 'insert' or 'indirect' only", seen["preserve"])
    if "prefix" in seen and "indirect" in seen:
        statement.note(
            "'cookie' : with 'prefix' and 'indirect', changes of the cookie by the server never reach the client", seen["indirect"]
        )
    scope.proxy.cookie = tuple(statement.arguments)


def _cookie_setting(words: Words, name: str) -> None:
    flags = (*COOKIE_MODES, "indirect", "nocache", "postonly", "preserve", "httponly", "secure", "dynamic")
    if name in ("maxidle", "maxlife"):
        text = words.required("<idletime> in seconds")
        try:
            parse_time(text, "s")
        except ValueError as error:
            raise words.fault(f"'cookie {name}': {error}") from None
    elif name == "domain":
        text = words.required("<domain> as argument")
        if not _DOMAIN.fullmatch(text):
            raise words.fault(f"domain '{text}' contains invalid characters", "Domains are made of letters, digits, '-' and '.'.")
        if "." not in text.strip("."):
            message = f"domain '{text}' contains no embedded dot, this configuration may not work properly (see RFC6265#5.2.3)."
            words.statement.warn(message, words.position - 1)
    elif name == "attr":
        text = words.required("<value> as argument")
        if re.search(r"[\x00-\x1f\x7f;]", text):
            raise words.fault("'cookie attr' : control characters and ';' are not permitted")
    elif name not in flags:
        known = (*flags, "maxidle", "maxlife", "domain", "attr")
        raise words.fault(f"'cookie' : unknown keyword '{name}'{did_you_mean(name, known)}", f"Known are {', '.join(known)}.")
