"""Fetches of the request line: method, version, target and its parts, parameters. Sans-io.

A request fetch without a request (yet) finds nothing and sets `undecided`: see `Facts.undecided`.

Source: HAProxy configuration manual 7.3.6.
"""

from __future__ import annotations

from collections.abc import Iterable

from common.acl.addresses import parse_address
from common.acl.casts import integer_of
from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.http_values import (
    name_test,
    query_parameters,
    split_list,
    target_authority,
    target_path,
    target_path_and_query,
    target_query,
)
from common.acl.table import EachGetter, FetchTable, Getter
from common.acl.types import SampleType
from common.hashes import avalanche, sdbm

TABLE = FetchTable()

_HTTP = "7.3.6"


@TABLE.plain("method", SampleType.METHOD, Needs.REQUEST_KEPT, _HTTP, "The request's method, such as GET.")
def method(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    return request.method


@TABLE.plain("path", SampleType.STR, Needs.REQUEST, _HTTP, "The path of the target: from the first slash to before the question mark.")
def path(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    target = request.target
    if target[:1] != b"/":
        return target_path(target)
    end = target.find(b"?")
    return target if end < 0 else target[:end]


@TABLE.plain("pathq", SampleType.STR, Needs.REQUEST, _HTTP, "The path with the query string.")
def path_and_query(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    return target_path_and_query(request.target)


@TABLE.plain("query", SampleType.STR, Needs.REQUEST, _HTTP, "What follows the question mark; not found without one.")
def query(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    return target_query(request.target)


@TABLE.plain("url", SampleType.STR, Needs.REQUEST, _HTTP, "The request's target as it is, in whatever form.")
def url(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    return request.target


@TABLE.plain("url_ip", SampleType.ADDR, Needs.REQUEST, _HTTP, "The address in an absolute target, if its host is one.")
def url_ip(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    host, _ = split_authority(target_authority(request.target))
    return parse_address(host)


@TABLE.plain("url_port", SampleType.INT, Needs.REQUEST, _HTTP, "The port in an absolute target; 80 if it says none.")
def url_port(facts: Facts) -> int | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    authority = target_authority(request.target)
    if not authority:
        return None
    _, port = split_authority(authority)
    return int(port) if port.isdigit() and len(port) <= 5 else 80


def split_authority(authority: bytes) -> tuple[bytes, bytes]:
    """(host without brackets, port digits or b"") of "host:port", "[v6]:port"."""
    if authority.startswith(b"["):
        host, _, rest = authority[1:].partition(b"]")
        return host, rest[1:] if rest.startswith(b":") else b""
    host, _, port = authority.partition(b":")
    return host, port


@TABLE.plain("req.ver req_ver", SampleType.STR, Needs.REQUEST, _HTTP, "The request's HTTP version, such as 1.1.")
def request_version(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    return b"%d.%d" % divmod(request.version, 10)


def host_of(facts: Facts) -> bytes:
    """The first Host value, or b""."""
    request = facts.request
    values = request.values(b"host") if request is not None else ()
    return split_list(values[0])[0] if values else b""


@TABLE.plain("base", SampleType.STR, Needs.REQUEST, _HTTP, "The first Host value followed by the path.")
def base(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    found = target_path(request.target)
    host = host_of(facts)
    return host + (found or b"") if host or found is not None else None


@TABLE.plain("baseq", SampleType.STR, Needs.REQUEST, _HTTP, "The first Host value followed by path and query.")
def base_and_query(facts: Facts) -> bytes | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    found = target_path_and_query(request.target)
    host = host_of(facts)
    return host + (found or b"") if host or found is not None else None


@TABLE.plain("base32", SampleType.INT, Needs.REQUEST, _HTTP, "base,sdbm(1): a 32-bit hash of host and path.")
def base32(facts: Facts) -> int | None:
    value = base(facts)
    return None if value is None else avalanche(sdbm(value))


@TABLE.plain("base32+src", SampleType.BIN, Needs.REQUEST, _HTTP, "base32 (4 bytes) followed by the source address.")
def base32_src(facts: Facts) -> bytes | None:
    value = base32(facts)
    return None if value is None else value.to_bytes(4, "big") + facts.src


@TABLE.plain("url32", SampleType.INT, Needs.REQUEST, _HTTP, "A 32-bit hash of the first Host value followed by path and query.")
def url32(facts: Facts) -> int | None:
    request = facts.request
    if request is None:
        facts.undecided = True
        return None
    return avalanche(sdbm(host_of(facts) + (target_path_and_query(request.target) or b"")))


@TABLE.plain("url32+src", SampleType.BIN, Needs.REQUEST, _HTTP, "url32 (4 bytes) followed by the source address.")
def url32_src(facts: Facts) -> bytes | None:
    value = url32(facts)
    return None if value is None else value.to_bytes(4, "big") + facts.src


@TABLE.plain("http_first_req", SampleType.BOOL, Needs.REQUEST_KEPT, _HTTP, "This is the first request of its connection.")
def first_request(facts: Facts) -> bool:
    return facts.is_first_request


def _parameters(facts: Facts, delimiter: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Of the query string, which starts at "?" or at the delimiter."""
    request = facts.request
    if request is None:
        facts.undecided = True
        return ()
    target = request.target
    starts = [position for position in (target.find(b"?"), target.find(delimiter)) if position >= 0]
    if not starts:
        return ()
    return query_parameters(target[min(starts) + 1 :], bytes(dict.fromkeys(b"&;" + delimiter)))


def _make_parameter_each(
    environment: CompileEnvironment, name: bytes | None, delimiter: bytes | None, modifier: bytes | None
) -> EachGetter:
    mark, same = (delimiter or b"?")[:1], name_test(name, modifier)
    return lambda facts: [value for found, value in _parameters(facts, mark) if same(found)]


@TABLE.row(
    "urlp url_param",
    SampleType.STR,
    Needs.REQUEST,
    _HTTP,
    "The first parameter of that name in the query string, which starts at ? or <delim>, as written; modifier i ignores case.",
    arguments="name:string delim:string modifier:string",
    required=0,
    each=_make_parameter_each,
)
def make_parameter(environment: CompileEnvironment, name: bytes | None, delimiter: bytes | None, modifier: bytes | None) -> Getter:
    mark, same = (delimiter or b"?")[:1], name_test(name, modifier)

    def get(facts: Facts) -> bytes | None:
        for found, value in _parameters(facts, mark):
            if same(found):
                return value
        return None

    return get


@TABLE.row(
    "urlp_val",
    SampleType.INT,
    Needs.REQUEST,
    _HTTP,
    "The same as urlp, as an integer.",
    arguments="name:string delim:string modifier:string",
    required=0,
    each=lambda *arguments: _integers(_make_parameter_each(*arguments)),
)
def make_parameter_value(environment: CompileEnvironment, name: bytes | None, delimiter: bytes | None, modifier: bytes | None) -> Getter:
    get_text = make_parameter(environment, name, delimiter, modifier)

    def get(facts: Facts) -> int | None:
        value = get_text(facts)
        return None if value is None else integer_of(value)

    return get


def _integers(each: EachGetter) -> EachGetter:
    return lambda facts: [number for value in each(facts) if (number := integer_of(value)) is not None]
