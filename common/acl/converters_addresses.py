"""Converters of addresses, and of the Forwarded field. Sans-io. Source: HAProxy configuration manual 7.3.1; RFC 7239."""

from __future__ import annotations

import re

from common.acl.addresses import V4_MAPPED, format_address, mask, parse_ipv4, parse_ipv6
from common.acl.environment import CompileEnvironment
from common.acl.table import ConverterTable, Step
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError

TABLE = ConverterTable()

_A, _S, _B, _ANY = SampleType.ADDR, SampleType.STR, SampleType.BOOL, SampleType.ANY


@TABLE.row(
    "ipmask", _A, _A, "The address masked; an IPv6 one by <mask6>, without which it fails.", arguments="mask4:mask4 mask6:mask6", required=1
)
def make_mask(environment: CompileEnvironment, bits4: int, bits6: int | None) -> Step:
    def step(value: bytes) -> bytes | None:
        if len(value) == 4:
            return mask(value, bits4)
        if value[:12] == V4_MAPPED:
            return mask(value[12:], bits4)
        return None if bits6 is None else mask(value, bits6)

    return step


_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = re.compile(rb"(" + _TOKEN + rb")=(?:(" + _TOKEN + rb')|"((?:[^"\\]|\\.)*)")')
_PORT = rb"(?::([0-9]{1,5}|_[A-Za-z0-9._-]+))?"
_NODE = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([0-9]{1,3}(?:\.[0-9]{1,3}){3})|(unknown)|(_[A-Za-z0-9._-]+))" + _PORT)
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]*)(?::[0-9]*)?")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*")


def parse_forwarded(value: bytes) -> list[dict[bytes, bytes]] | None:
    """The elements of a Forwarded value, names in lower case, values unquoted; None if it breaks RFC 7239."""
    elements: list[dict[bytes, bytes]] = []
    current: dict[bytes, bytes] = {}
    position = 0
    while True:
        match = _PARAMETER.match(value, position)
        if match is None:
            return None
        name = match[1].lower()
        content = match[2] if match[2] is not None else re.sub(rb"\\(.)", rb"\1", match[3])
        if name in current or not _is_valid(name, content):
            return None
        current[name] = content
        position = match.end()
        separator = value[position : position + 1]
        if separator == b";":
            position += 1
            continue
        rest = value[position:].lstrip(b" \t")
        elements.append(current)
        if not rest:
            return elements
        if not rest.startswith(b","):
            return None
        current = {}
        position = len(value) - len(rest[1:].lstrip(b" \t"))


def _is_valid(name: bytes, content: bytes) -> bool:
    if name in (b"for", b"by"):
        return parse_node(content) is not None
    if name == b"host":
        return _HOST.fullmatch(content) is not None
    return name != b"proto" or _SCHEME.fullmatch(content) is not None


def parse_node(node: bytes) -> tuple[Typed, Typed | None] | None:
    """(name, port or None) of "192.0.2.1:80", "[2001:db8::1]", "unknown", "_hidden"; None if it is none of them."""
    match = _NODE.fullmatch(node)
    if match is None:
        return None
    if match[1] is not None or match[2] is not None:
        packed = parse_ipv6(match[1]) if match[1] is not None else parse_ipv4(match[2])
        if packed is None:
            return None
        name = Typed(SampleType.IPV6 if match[1] is not None else SampleType.IPV4, packed)
    else:
        name = Typed(_S, match[3] or match[4])
    if match[5] is None:
        return name, None
    if match[5].isdigit():
        number = int(match[5])
        return (name, Typed(SampleType.INT, number)) if number <= 65535 else None
    return name, Typed(_S, match[5])


@TABLE.plain("rfc7239_is_valid", _S, _B, "A valid Forwarded value.")
def is_valid(value: bytes) -> bool:
    return parse_forwarded(value) is not None


@TABLE.row("rfc7239_field", _S, _S, "Parameter for, by, host or proto of a Forwarded value's first element.", arguments="field:string")
def make_field(environment: CompileEnvironment, field: bytes) -> Step:
    if field not in (b"for", b"by", b"host", b"proto"):
        raise ExpressionError(f'rfc7239_field knows for, by, host and proto, not "{field.decode("utf-8", "replace")}"')

    def step(value: bytes) -> bytes | None:
        elements = parse_forwarded(value)
        return None if elements is None else elements[0].get(field)

    return step


@TABLE.plain("rfc7239_n2nn", _S, _ANY, "The node name of for or by: an address, unknown, or an identifier that begins with _.")
def node_name(value: bytes) -> Typed | None:
    found = parse_node(value)
    return None if found is None else found[0]


@TABLE.plain("rfc7239_n2np", _S, _ANY, "The port of for or by: an integer, or an identifier that begins with _.")
def node_port(value: bytes) -> Typed | None:
    found = parse_node(value)
    return None if found is None else found[1]


@TABLE.row("rfc7239_nn", _ANY, _S, "An address or identifier as a node name for Forwarded.")
def make_node_name(environment: CompileEnvironment, kind: SampleType) -> Step:
    def step(value: bytes | Typed | int) -> bytes | None:
        content = value.value if isinstance(value, Typed) else value
        actual = value.type if isinstance(value, Typed) else kind
        if not isinstance(content, bytes):
            return None
        if actual in (SampleType.IPV4, SampleType.IPV6, SampleType.ADDR):
            return b"[%b]" % format_address(content) if len(content) == 16 else format_address(content)
        found = _NODE.fullmatch(content)
        return content if found is not None and found[5] is None else None

    return step


@TABLE.row("rfc7239_np", _ANY, _S, "A port or identifier as a node port for Forwarded.")
def make_node_port(environment: CompileEnvironment, kind: SampleType) -> Step:
    def step(value: bytes | Typed | int) -> bytes | None:
        content = value.value if isinstance(value, Typed) else value
        text = content if isinstance(content, bytes) else b"%d" % content
        if text.isdigit():
            return b"%d" % int(text) if len(text) <= 5 and int(text) <= 65535 else None
        return text if re.fullmatch(rb"_[A-Za-z0-9._-]+", text) else None

    return step
