"""Fetches of header fields, of requests and responses. Sans-io.

hdr splits values at commas, fhdr takes whole lines. As a sample each gives the last occurrence unless told another; in an ACL all
occurrences are tried until one matches.

Source: HAProxy configuration manual 7.3.6, "req.hdr" and its relatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from common.acl.addresses import parse_ipv4, parse_ipv6
from common.acl.casts import integer_of
from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts, MessageFacts
from common.acl.http_values import split_list
from common.acl.table import EachGetter, FetchTable, Getter
from common.acl.types import SampleType
from common.errors import ExpressionError

TABLE = FetchTable()

_HTTP = "7.3.6"
OCCURRENCE_MAX = 10  # as far back from the last one as HAProxy counts

Side = Callable[[Facts], MessageFacts | None]


def request_side(facts: Facts) -> MessageFacts | None:
    return facts.request


def response_side(facts: Facts) -> MessageFacts | None:
    return facts.response


def side_here(environment: CompileEnvironment) -> Side:
    """The direction a fetch without req. or res. takes."""
    return response_side if environment.where.is_response else request_side


def _list_values(side: Side, name: bytes | None, whole: bool) -> Callable[[Facts], list[bytes]]:
    """All values of a field name (of all fields without one), in order."""

    def values(facts: Facts) -> list[bytes]:
        message = side(facts)
        if message is None:
            facts.undecided = True
            return []
        lines: Sequence[bytes] = [value for _, value in message.fields] if name is None else message.values(name)
        if whole:
            return list(lines)
        return [member for line in lines for member in split_list(line)]

    return values


def _nth(values: list[bytes], occurrence: int) -> bytes | None:
    """1 is the first, -1 the last."""
    index = occurrence - 1 if occurrence > 0 else occurrence
    try:
        return values[index]
    except IndexError:
        return None


def _make_value(side: Side, name: bytes | None, occurrence: int | None, whole: bool) -> Getter:
    lower = name.lower() if name is not None else None
    if occurrence is not None and occurrence < -OCCURRENCE_MAX:
        raise ExpressionError(f"only the last {OCCURRENCE_MAX} occurrences can be counted from the end")
    if lower is not None and occurrence in (None, 0, -1):
        return _make_last(side, lower, whole)
    values = _list_values(side, lower, whole)
    wanted = occurrence or -1
    return lambda facts: _nth(values(facts), wanted)


def _make_last(side: Side, name: bytes, whole: bool) -> Getter:
    """The common case, without making a list."""

    def last_of_request(facts: Facts) -> bytes | None:
        request = facts.request
        if request is None:
            facts.undecided = True
            return None
        lines = request.values(name)
        if not lines:
            return None
        line = lines[-1]
        return split_list(line)[-1] if not whole and b"," in line else line

    if side is request_side:
        return last_of_request

    def last(facts: Facts) -> bytes | None:
        message = side(facts)
        if message is None:
            facts.undecided = True
            return None
        lines = message.values(name)
        if not lines:
            return None
        line = lines[-1]
        return split_list(line)[-1] if not whole and b"," in line else line

    return last


def _make_each(side: Side, name: bytes | None, occurrence: int | None, whole: bool) -> EachGetter:
    """With an occurrence, only that one is tried."""
    if occurrence is not None:
        get = _make_value(side, name, occurrence, whole)

        def one(facts: Facts) -> Sequence[bytes]:
            value = get(facts)
            return () if value is None else (value,)

        return one
    lower = name.lower() if name is not None else None
    values = _list_values(side, lower, whole)
    if lower is None:
        return values

    def each(facts: Facts) -> Sequence[bytes]:
        message = side(facts)
        if message is None:
            facts.undecided = True
            return ()
        lines = message.values(lower)
        if not whole:
            for line in lines:
                if b"," in line:
                    return values(facts)
        return lines

    return each


def parse_header_address(value: bytes) -> bytes | None:
    """An address as RFC 7239 writes it: IPv4 maybe with a port, IPv6 bare or in brackets; anything else is None."""
    if value.startswith(b"["):
        return parse_ipv6(value[1:-1]) if value.endswith(b"]") else None
    host, colon, port = value.partition(b":")
    if colon and b":" not in port and b"." in host:
        return parse_ipv4(host) if port.isdigit() and len(port) <= 5 and int(port) <= 65535 else None
    return parse_ipv4(value) or parse_ipv6(value)


def _converted(each: EachGetter, convert: Callable[[bytes], object]) -> EachGetter:
    return lambda facts: [found for value in each(facts) if (found := convert(value)) is not None]


def _convert(get: Getter, convert: Callable[[bytes], object]) -> Getter:
    def converted(facts: Facts) -> object:
        value = get(facts)
        return None if value is None else convert(value)

    return converted


_Choose = Callable[[CompileEnvironment], Side]


def _add_family(prefix: str, aliases: str, choose: _Choose, needs: Needs, message: str, plain_prefix: bool) -> None:
    """The rows of one direction. aliases: prefix of the short forms ("" for hdr, "s" for shdr)."""

    def names(suffix: str) -> str:
        full = f"{prefix}{suffix}"
        return f"{full} {aliases}{suffix}" if plain_prefix else full

    occurrence = "name:string occ:integer"

    @TABLE.row(
        names("hdr"), SampleType.STR, needs, _HTTP,
        f"A value of a header of the {message}, split at commas: the last one, or number <occ>.",
        arguments=occurrence, required=0,
        each=lambda environment, name, occ: _make_each(choose(environment), name, occ, whole=False),
    )  # fmt: skip
    def make_value(environment: CompileEnvironment, name: bytes | None, occ: int | None) -> Getter:
        return _make_value(choose(environment), name, occ, whole=False)

    @TABLE.row(
        f"{prefix}fhdr", SampleType.STR, needs, _HTTP,
        f"The whole value of a header line of the {message}: the last one, or number <occ>.",
        arguments=occurrence, required=0,
        each=lambda environment, name, occ: _make_each(choose(environment), name, occ, whole=True),
    )  # fmt: skip
    def make_line(environment: CompileEnvironment, name: bytes | None, occ: int | None) -> Getter:
        return _make_value(choose(environment), name, occ, whole=True)

    @TABLE.row(
        names("hdr_cnt"), SampleType.INT, needs, _HTTP,
        f"How many comma-separated values a header of the {message} has.",
        arguments="name:string", required=0,
    )  # fmt: skip
    def make_count(environment: CompileEnvironment, name: bytes | None) -> Getter:
        return _make_count(choose(environment), name, whole=False)

    @TABLE.row(
        f"{prefix}fhdr_cnt", SampleType.INT, needs, _HTTP,
        f"How many lines a header of the {message} has.",
        arguments="name:string", required=0,
    )  # fmt: skip
    def make_line_count(environment: CompileEnvironment, name: bytes | None) -> Getter:
        return _make_count(choose(environment), name, whole=True)

    @TABLE.row(
        names("hdr_ip"), SampleType.ADDR, needs, _HTTP,
        f"A value of a header of the {message} as an address.",
        arguments=occurrence, required=0,
        each=lambda environment, name, occ: _converted(_make_each(choose(environment), name, occ, whole=False), parse_header_address),
    )  # fmt: skip
    def make_address(environment: CompileEnvironment, name: bytes | None, occ: int | None) -> Getter:
        return _convert(_make_value(choose(environment), name, occ, whole=False), parse_header_address)

    @TABLE.row(
        names("hdr_val"), SampleType.INT, needs, _HTTP,
        f"A value of a header of the {message} as an integer.",
        arguments=occurrence, required=0,
        each=lambda environment, name, occ: _converted(_make_each(choose(environment), name, occ, whole=False), _number),
    )  # fmt: skip
    def make_integer(environment: CompileEnvironment, name: bytes | None, occ: int | None) -> Getter:
        return _convert(_make_value(choose(environment), name, occ, whole=False), _number)

    @TABLE.row(
        f"{prefix}hdr_names", SampleType.STR, needs, _HTTP,
        f"The names of all headers of the {message}, in order and in lower case, joined by <delim> (a comma).",
        arguments="delim:string", required=0,
    )  # fmt: skip
    def make_names(environment: CompileEnvironment, delimiter: bytes | None) -> Getter:
        side, joint = choose(environment), (delimiter or b",")[:1]

        def get(facts: Facts) -> bytes | None:
            found = side(facts)
            if found is None:
                facts.undecided = True
                return None
            # Connection ends at us: as in HAProxy, it is not among what rules see here.
            return joint.join(lower for name, _ in found.fields if (lower := name.lower()) != b"connection")

        return get

    @TABLE.row(f"{prefix}hdrs", SampleType.STR, needs, _HTTP, f"All headers of the {message} with the empty line after them.")
    def make_block(environment: CompileEnvironment) -> Getter:
        side = choose(environment)

        def get(facts: Facts) -> bytes | None:
            found = side(facts)
            if found is None:
                facts.undecided = True
                return None
            return b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in found.fields) + b"\r\n"

        return get

    @TABLE.row(
        f"{prefix}hdrs_bin", SampleType.BIN, needs, _HTTP,
        f"All headers of the {message}, names and values each preceded by their length, ended by two empty ones.",
    )  # fmt: skip
    def make_binary_block(environment: CompileEnvironment) -> Getter:
        side = choose(environment)

        def get(facts: Facts) -> bytes | None:
            found = side(facts)
            if found is None:
                facts.undecided = True
                return None
            return b"".join(encode_length(len(text)) + text for name, value in found.fields for text in (name.lower(), value)) + b"\0\0"

        return get


def _make_count(side: Side, name: bytes | None, whole: bool) -> Getter:
    values = _list_values(side, name.lower() if name is not None else None, whole)
    return lambda facts: len(values(facts))


def encode_length(number: int) -> bytes:
    """SPOE's variable-length integer."""
    if number < 240:
        return bytes((number,))
    output = bytearray(((number & 0xFF) | 240,))
    number = (number - 240) >> 4
    while number >= 128:
        output.append((number & 0xFF) | 128)
        number = (number - 128) >> 7
    output.append(number)
    return bytes(output)


_add_family("req.", "", lambda environment: request_side, Needs.REQUEST, "request", False)
_add_family("res.", "s", lambda environment: response_side, Needs.RESPONSE, "response", True)


def _number(value: bytes) -> int:
    """An empty value counts as 0, as in HAProxy; a field that is not there is not found."""
    return integer_of(value) or 0


def _add_short_forms() -> None:
    """hdr takes the direction of its rule; hdr_cnt, hdr_ip and hdr_val are the request's."""
    occurrence = "name:string occ:integer"

    @TABLE.row(
        "hdr", SampleType.STR, Needs.CONTENT, _HTTP, "req.hdr on requests, res.hdr on responses.", arguments=occurrence, required=0,
        each=lambda environment, name, occ: _make_each(side_here(environment), name, occ, whole=False),
    )  # fmt: skip
    def make_value(environment: CompileEnvironment, name: bytes | None, occ: int | None) -> Getter:
        return _make_value(side_here(environment), name, occ, whole=False)

    for short in ("hdr_cnt", "hdr_ip", "hdr_val"):
        row = TABLE.rows[f"req.{short}"]
        TABLE.rows[short] = row


_add_short_forms()
