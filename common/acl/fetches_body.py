"""Fetches of message bodies, as far as they are buffered. Sans-io. Source: HAProxy configuration manual 7.3.6."""

from __future__ import annotations

from collections.abc import Iterable

from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.http_values import name_test, query_parameters
from common.acl.table import EachGetter, FetchTable, Getter
from common.acl.types import SampleType

TABLE = FetchTable()

_HTTP = "7.3.6"


@TABLE.plain("req.body", SampleType.BIN, Needs.REQUEST, _HTTP, "The request's body as far as it is buffered.")
def request_body(facts: Facts) -> bytes | None:
    if facts.request is None:
        facts.undecided = True
        return None
    return facts.request_body


@TABLE.plain("req.body_len", SampleType.INT, Needs.REQUEST, _HTTP, "How many bytes of the request's body are buffered.")
def request_body_length(facts: Facts) -> int | None:
    body = request_body(facts)
    return None if body is None else len(body)


@TABLE.plain("req.body_size", SampleType.INT, Needs.REQUEST, _HTTP, "The request body's announced length, or what is known of it.")
def request_body_size(facts: Facts) -> int | None:
    if facts.request is None:
        facts.undecided = True
        return None
    return facts.request_body_size


@TABLE.plain("res.body", SampleType.BIN, Needs.RESPONSE, _HTTP, "The response's body as far as it is buffered.")
def response_body(facts: Facts) -> bytes | None:
    if facts.response is None:
        facts.undecided = True
        return None
    return facts.response_body


@TABLE.plain("res.body_len", SampleType.INT, Needs.RESPONSE, _HTTP, "How many bytes of the response's body are buffered.")
def response_body_length(facts: Facts) -> int | None:
    body = response_body(facts)
    return None if body is None else len(body)


@TABLE.plain("res.body_size", SampleType.INT, Needs.RESPONSE, _HTTP, "The response body's announced length, or what is known of it.")
def response_body_size(facts: Facts) -> int | None:
    if facts.response is None:
        facts.undecided = True
        return None
    return facts.response_body_size


def _parameters(facts: Facts) -> Iterable[tuple[bytes, bytes]]:
    body = request_body(facts)
    return query_parameters(body, b"&") if body else ()


def _make_each(environment: CompileEnvironment, name: bytes | None, modifier: bytes | None) -> EachGetter:
    same = name_test(name, modifier)
    return lambda facts: [value for found, value in _parameters(facts) if same(found)]


@TABLE.row(
    "req.body_param", SampleType.BIN, Needs.REQUEST, _HTTP,
    'The first parameter of that name in a url-encoded body, as written. A second argument "i" ignores case.',
    arguments="name:string modifier:string", required=0, each=_make_each,
)  # fmt: skip
def make_parameter(environment: CompileEnvironment, name: bytes | None, modifier: bytes | None) -> Getter:
    same = name_test(name, modifier)
    return lambda facts: next((value for found, value in _parameters(facts) if same(found)), None)
