"""Fetches of cookies, of requests and responses. Sans-io.

As a sample: of a named cookie the last one, without a name the first of all. In an ACL all are tried.

Source: HAProxy configuration manual 7.3.6; RFC 6265.
"""

from __future__ import annotations

from collections.abc import Callable

from common.acl.casts import integer_of
from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.http_values import request_cookies, response_cookie
from common.acl.table import EachGetter, FetchTable, Getter
from common.acl.types import SampleType

TABLE = FetchTable()

_HTTP = "7.3.6"

Pairs = Callable[[Facts], list[tuple[bytes, bytes]]]


def of_request(facts: Facts) -> list[tuple[bytes, bytes]]:
    """(name, value) of all cookies the client sent."""
    request = facts.request
    if request is None:
        facts.undecided = True
        return []
    return [pair for line in request.values(b"cookie") for pair in request_cookies(line)]


def of_response(facts: Facts) -> list[tuple[bytes, bytes]]:
    """(name, value) of all cookies the response sets."""
    response = facts.response
    if response is None:
        facts.undecided = True
        return []
    return [pair for line in response.values(b"set-cookie") if (pair := response_cookie(line)) is not None]


def _make_value(pairs: Pairs, name: bytes | None) -> Getter:
    def get(facts: Facts) -> bytes | None:
        found: bytes | None = None
        for key, value in pairs(facts):
            if name is None:
                return value
            if key == name:
                found = value
        return found

    return get


def _make_each(pairs: Pairs, name: bytes | None) -> EachGetter:
    return lambda facts: [value for key, value in pairs(facts) if name is None or key == name]


def _make_integer(pairs: Pairs, name: bytes | None) -> Getter:
    get_text = _make_value(pairs, name)

    def get(facts: Facts) -> int | None:
        value = get_text(facts)
        return None if value is None else integer_of(value)

    return get


def _make_each_integer(pairs: Pairs, name: bytes | None) -> EachGetter:
    each = _make_each(pairs, name)
    return lambda facts: [number for value in each(facts) if (number := integer_of(value)) is not None]


def _make_count(pairs: Pairs, name: bytes | None) -> Getter:
    return lambda facts: sum(name is None or key == name for key, _ in pairs(facts))


def _make_names(pairs: Pairs, delimiter: bytes | None) -> Getter:
    joint = (delimiter or b",")[:1]
    return lambda facts: joint.join([key for key, _ in pairs(facts)])


_Choose = Callable[[CompileEnvironment], Pairs]


def _add_family(prefix: str, alias: str, choose: _Choose, needs: Needs, message: str) -> None:
    TABLE.row(
        f"{prefix}cook {alias}", SampleType.STR, needs, _HTTP, f"A cookie of the {message}.", arguments="name:string", required=0,
        each=lambda environment, name: _make_each(choose(environment), name),
    )(lambda environment, name: _make_value(choose(environment), name))  # fmt: skip
    TABLE.row(
        f"{prefix}cook_val {alias.split()[0]}_val", SampleType.INT, needs, _HTTP, f"A cookie of the {message} as an integer.",
        arguments="name:string", required=0, each=lambda environment, name: _make_each_integer(choose(environment), name),
    )(lambda environment, name: _make_integer(choose(environment), name))  # fmt: skip
    TABLE.row(
        f"{prefix}cook_cnt {alias.split()[0]}_cnt", SampleType.INT, needs, _HTTP, f"How many cookies of that name the {message} has.",
        arguments="name:string", required=0,
    )(lambda environment, name: _make_count(choose(environment), name))  # fmt: skip
    TABLE.row(
        f"{prefix}cook_names", SampleType.STR, needs, _HTTP, f"The names of all cookies of the {message}, joined by <delim> (a comma).",
        arguments="delim:string", required=0,
    )(lambda environment, delimiter: _make_names(choose(environment), delimiter))  # fmt: skip


_add_family("req.", "cook", lambda environment: of_request, Needs.REQUEST, "request")
_add_family("res.", "scook set-cookie", lambda environment: of_response, Needs.RESPONSE, "response")


def _pairs_here(environment: CompileEnvironment) -> Pairs:
    return of_response if environment.where.is_response else of_request


TABLE.row(
    "cookie", SampleType.STR, Needs.CONTENT, _HTTP, "req.cook on requests, res.cook on responses.", arguments="name:string", required=0,
    each=lambda environment, name: _make_each(_pairs_here(environment), name),
)(lambda environment, name: _make_value(_pairs_here(environment), name))  # fmt: skip
