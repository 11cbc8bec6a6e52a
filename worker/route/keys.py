"""The key that a backend's algorithm hashes, as a function over an exchange. Sans-io.

None as a key: there is none in this request, and the servers take turns.

Source: HAProxy manual 4.2 "balance" (source, uri, url_param, hdr, rdp-cookie, hash).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from common.acl.environment import CompileEnvironment
from common.acl.expressions import compile_expression
from common.acl.facts import Facts
from common.acl.types import SampleType
from common.balance.keys import domain_key, parameter_key, uri_key

KeyOf = Callable[[Facts], bytes | None]

_WITH_ARGUMENT = re.compile(r"([a-z_-]+)(?:\((.*)\))?", re.DOTALL)
RDP_COOKIE = "mstshash"
INTEGER_BYTES = 4


def balance_key(words: Sequence[str], environment: CompileEnvironment) -> KeyOf | None:
    """words: of the `balance` line. None: the algorithm needs no key. Raises ExpressionError."""
    match = _WITH_ARGUMENT.fullmatch(words[0])
    name, argument = (match[1], match[2]) if match is not None else (words[0], None)
    match name:
        case "source":
            return lambda facts: facts.src or None
        case "uri":
            return _uri(words[1:])
        case "url_param":
            return _parameter(words[1], check_post="check_post" in words[2:])
        case "hdr":
            return _header(argument or "", domain_only="use_domain_only" in words[1:])
        case "rdp-cookie":
            return compile_expression(f"req.rdp_cookie({argument or RDP_COOKIE})", environment).text_getter
        case "hash":
            return _expression(words[1:], environment)
    return None


def _uri(words: Sequence[str]) -> KeyOf:
    numbers = {word: int(words[position + 1]) for position, word in enumerate(words) if word in ("len", "depth")}
    length_max, depth_max = numbers.get("len", 0), numbers.get("depth", 0)
    whole, path_only = "whole" in words, "path-only" in words

    def key(facts: Facts) -> bytes | None:
        request = facts.request
        if request is None:
            return None
        return uri_key(request.target, length_max=length_max, depth_max=depth_max, whole=whole, path_only=path_only)

    return key


def _parameter(parameter: str, *, check_post: bool) -> KeyOf:
    name = parameter.encode()

    def key(facts: Facts) -> bytes | None:
        request = facts.request
        if request is None:
            return None
        found = parameter_key(request.target.partition(b"?")[2], name)
        if found is None and check_post and request.method == b"POST":
            return parameter_key(facts.request_body, name)
        return found

    return key


def _header(header: str, *, domain_only: bool) -> KeyOf:
    """The last occurrence, as the fetch hdr() gives it without an index."""
    lower = header.lower().encode()

    def key(facts: Facts) -> bytes | None:
        request = facts.request
        values = request.values(lower) if request is not None else ()
        if not values:
            return None
        value = values[-1]
        return domain_key(value) if domain_only else value or None

    return key


def _expression(words: Sequence[str], environment: CompileEnvironment) -> KeyOf:
    """`hash EXPRESSION`: addresses as their bytes, numbers as four bytes, all else as text."""
    expression = compile_expression(words, environment)
    if expression.type in (SampleType.ADDR, SampleType.IPV4, SampleType.IPV6, SampleType.BIN):
        return expression.to(SampleType.BIN)
    if expression.type in (SampleType.INT, SampleType.BOOL):
        get = expression.to(SampleType.INT)

        def key(facts: Facts) -> bytes | None:
            number = get(facts)
            return None if number is None else (number % 2**32).to_bytes(INTEGER_BYTES, "little")

        return key
    return expression.text_getter
