"""How the values of log formats are written: quoted, escaped, in hexadecimal, or as items of JSON and CBOR. Sans-io.

See common/acl/logformat.py. Source: HAProxy configuration manual 8.2.6, 8.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from common.acl.addresses import format_address
from common.acl.expressions import Expression
from common.acl.facts import Facts
from common.acl.log_encoding import Encoding, Item, ItemType, convert, encode_cbor, encode_json
from common.acl.log_syntax import Flags, Node
from common.acl.log_variables import Kind, LogVariable, escape_header
from common.acl.types import SampleType, Typed

Build = Callable[[Facts], bytes]


class Purpose(Enum):
    LOG = "log"
    HEADER = "header"
    TARGET = "target"
    VALUE = "value"


def text_getter(node: Node, purpose: Purpose) -> Build:
    if node.expression is not None:
        return _sample_text(node.expression, node.flags, purpose)
    assert node.variable is not None
    return _variable_text(node.variable, node.flags, purpose is Purpose.LOG)


def _sample_text(expression: Expression, flags: Flags, purpose: Purpose) -> Build:
    get = expression.text_getter
    protect = _PROTECT[purpose]
    quote = flags.quote and purpose in (Purpose.LOG, Purpose.VALUE)
    dash = b'""' if quote else b"-" if purpose is Purpose.LOG or flags.mandatory else b""
    backslash = flags.escape
    numeric = expression.type in (SampleType.BOOL, SampleType.INT, SampleType.IPV4, SampleType.IPV6, SampleType.ADDR)
    if numeric and not quote:

        def number(facts: Facts) -> bytes:
            return get(facts) or dash

        return number

    def text(facts: Facts) -> bytes:
        value = get(facts)
        if not value:
            return dash
        if not numeric:
            value = protect(value)
            if backslash:
                value = _backslash(value)
        return b'"%b"' % value if quote else value

    return text


_CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_LOG_CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
_NOT_IN_TARGET = re.compile(rb"[^\x21-\x7e]")


def protect_header(value: bytes) -> bytes:
    """Control characters but tab as %XX."""
    return _CONTROLS.sub(_percent, value) if _CONTROLS.search(value) else value


def protect_target(value: bytes) -> bytes:
    """Everything that a request target cannot hold as %XX."""
    return _NOT_IN_TARGET.sub(_percent, value) if _NOT_IN_TARGET.search(value) else value


def protect_log(value: bytes) -> bytes:
    """Control characters as #XX."""
    return _LOG_CONTROLS.sub(lambda match: b"#%02X" % match[0][0], value) if _LOG_CONTROLS.search(value) else value


def _percent(match: re.Match[bytes]) -> bytes:
    return b"%%%02X" % match[0][0]


def _same(value: bytes) -> bytes:
    return value


_PROTECT: dict[Purpose, Callable[[bytes], bytes]] = {
    Purpose.LOG: protect_log,
    Purpose.HEADER: protect_header,
    Purpose.TARGET: protect_target,
    Purpose.VALUE: _same,
}


def _backslash(text: bytes) -> bytes:
    return text.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"]", b"\\]")


def _variable_text(row: LogVariable, flags: Flags, log: bool) -> Build:
    """log: what is missing is "-", not nothing."""
    missing = b'""' if flags.quote else b"-" if log else b""
    get: Callable[[Facts], Any] = row.get
    match row.kind:
        case Kind.NUMBER:
            return _number_text(row, flags, missing)
        case Kind.ADDRESS:
            return _address_text(row, flags, missing)
        case Kind.CAPTURES:
            return _captures_text(row, flags)
        case Kind.DATE | Kind.FLAGS:
            return get
        case Kind.TEXT:
            return _plain_text(row, flags, missing)


def _number_text(row: LogVariable, flags: Flags, missing: bytes) -> Build:
    get: Callable[[Facts], Any] = row.get
    form: bytes = b"%%0%dX" % row.hexadecimal if flags.hexadecimal and row.hexadecimal else b"%d"
    if row.early:

        def early(facts: Facts) -> bytes:
            text: bytes = form % get(facts)
            return b"+" + text if facts.logged_early else text

        return early

    def number(facts: Facts) -> bytes:
        value = get(facts)
        return missing if value is None else form % value

    return number


def _address_text(row: LogVariable, flags: Flags, missing: bytes) -> Build:
    get: Callable[[Facts], Any] = row.get

    def address(facts: Facts) -> bytes:
        value = get(facts)
        if value is None:
            return missing
        if flags.hexadecimal and value != b"unix":
            digits: bytes = value.hex().upper().encode()
            return digits
        text = value if value == b"unix" else format_address(value)
        return b'"%b"' % text if flags.quote else text

    return address


def _plain_text(row: LogVariable, flags: Flags, missing: bytes) -> Build:
    get: Callable[[Facts], Any] = row.get
    if not flags.quote and not flags.escape:

        def plain(facts: Facts) -> bytes:
            value: bytes | None = get(facts)
            return missing if value is None else value

        return plain

    def text(facts: Facts) -> bytes:
        value: bytes | None = get(facts)
        if value is None:
            return missing
        if flags.escape:
            value = _backslash(value)
        return b'"%b"' % value if flags.quote else value

    return text


def _captures_text(row: LogVariable, flags: Flags) -> Build:
    """hr, hs: {one|two}; hrl, hsl: one two, each quoted or "-" for itself. Nothing at all without capture slots."""
    get: Callable[[Facts], Any] = row.get
    clf = row.name.endswith("l")

    def text(facts: Facts) -> bytes:
        slots: Sequence[bytes | None] = get(facts)
        if not slots:
            return b""
        values = [b"" if value is None else escape_header(value) for value in slots]
        if flags.escape:
            values = [_backslash(value) for value in values]
        if clf:
            return b" ".join([b'"%b"' % value if flags.quote else value or b"-" for value in values])
        joined = b"{%b}" % b"|".join(values)
        return b'"%b"' % joined if flags.quote else joined

    return text


def encoded(nodes: list[Node], flags: Flags) -> Build:
    items = [(node.name, _item_getter(node)) for node in nodes if node.name is not None]
    if flags.encoding is Encoding.JSON:
        return lambda facts: encode_json([(name, get(facts)) for name, get in items])
    if flags.binary:
        return lambda facts: encode_cbor([(name, get(facts)) for name, get in items])
    return lambda facts: encode_cbor([(name, get(facts)) for name, get in items]).hex().upper().encode()


def _item_getter(node: Node) -> Callable[[Facts], Item]:
    kind = node.type
    if node.expression is not None:
        return _sample_item(node.expression, kind)
    row = node.variable
    assert row is not None
    if row.kind is Kind.NUMBER:
        get: Callable[[Facts], Any] = row.get
        return lambda facts: convert(get(facts), kind)
    build = _variable_text(row, replace(node.flags, quote=False, escape=False), log=False)
    return lambda facts: convert(build(facts) or None, kind)


def _sample_item(expression: Expression, kind: ItemType | None) -> Callable[[Facts], Item]:
    get, as_text = expression.get, expression.text_getter
    numbers = (SampleType.BOOL, SampleType.INT)

    def item(facts: Facts) -> Item:
        if expression.type in numbers:
            return convert(get(facts), kind)
        if expression.type is SampleType.ANY:
            typed: Typed | None = get(facts)
            if typed is not None and typed.type in numbers:
                return convert(typed.value, kind)
        return convert(as_text(facts), kind)

    return item
