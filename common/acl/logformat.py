"""Log formats: text with `%xx` variables and `%[sample expressions]`, compiled into one function. Sans-io.

Used for log lines and, with other manners, for headers, redirects, paths, answers, variables and backend names:

    purpose   blanks    missing sample   bytes from samples
    LOG       merged    "-"              control characters as #XX, so that no client can forge a line
    HEADER    kept      nothing          control characters as %XX: a value never gains CR, LF or NUL
    TARGET    kept      nothing          the same, and blanks and bytes above 126 as %XX: a request line never gains a word
    VALUE     kept      nothing          as they are

A format without empty variables becomes one `template % values`; that is what makes an access line cheap.

Source: HAProxy configuration manual 8.2 (formats), 8.2.6 (syntax, flags), 8.6 (escaping), and for 3.0's named items and encodings
the same section of that version. HAProxy 2.6 lets control characters of samples into its log lines as they are; we do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from common.acl.addresses import format_address
from common.acl.arguments import encode
from common.acl.connection_errors import message
from common.acl.environment import CompileEnvironment, Where
from common.acl.expressions import Expression, parse_inside
from common.acl.facts import Facts
from common.acl.fetches_connection import bind_id
from common.acl.log_dates import local_date_ms
from common.acl.log_encoding import NAME, Encoding, Item, ItemType, convert, encode_cbor, encode_json
from common.acl.log_variables import ALIASES, LOG_VARIABLES, Kind, LogVariable, escape_header
from common.acl.table import did_you_mean
from common.acl.types import SampleType, Typed
from common.errors import ExpressionError

TCP_FORMAT = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq"
HTTP_FORMAT = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
HTTPS_FORMAT = HTTP_FORMAT + " %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc"
CLF_FORMAT = (
    '%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl'
)

Build = Callable[[Facts], bytes]


class Purpose(Enum):
    LOG = "log"
    HEADER = "header"
    TARGET = "target"
    VALUE = "value"


@dataclass(frozen=True, slots=True)
class Format:
    """A compiled format. build(facts) makes the text. constant: the text, if no fact is asked."""

    text: str
    build: Build
    constant: bytes | None = None

    def __call__(self, facts: Facts) -> bytes:
        return self.build(facts)


@dataclass(frozen=True, slots=True)
class _Flags:
    quote: bool = False  # Q
    hexadecimal: bool = False  # X
    escape: bool = False  # E
    mandatory: bool = False  # M
    binary: bool = False  # bin (with cbor)
    encoding: Encoding = Encoding.NONE


@dataclass(frozen=True, slots=True)
class _Node:
    """One part of a format: a literal, a blank between parts, a variable, or an expression."""

    flags: _Flags
    literal: bytes | None = None
    separator: bool = False
    variable: LogVariable | None = None
    expression: Expression | None = None
    name: bytes | None = None
    type: ItemType | None = None


def compile_format(text: str, environment: CompileEnvironment, purpose: Purpose = Purpose.LOG) -> Format:
    """Raises ExpressionError. The environment says where it runs; log formats are compiled at Where.LOG."""
    nodes, overall = _Parser(text, environment, purpose is Purpose.LOG).parse()
    if overall.encoding is not Encoding.NONE:
        return Format(text, _encoded(nodes, overall))
    if all(node.literal is not None or node.separator for node in nodes):
        literal = b"".join(b" " if node.separator else node.literal or b"" for node in nodes)
        return Format(text, lambda facts: literal, literal)
    return Format(text, _joined(nodes, purpose))


def compile_log_format(text: str, environment: CompileEnvironment) -> Format:
    """A `log-format` line: at Where.LOG, for log lines."""
    return compile_format(text, environment.at(Where.LOG), Purpose.LOG)


class _Parser:
    """Reads `%{flags}(name:type)variable`, `%{flags}(name:type)[expression]`, `%%` and text."""

    __slots__ = ("environment", "flags", "merge", "nodes", "position", "text")

    _VARIABLE = re.compile(r"[A-Za-z]+")

    def __init__(self, text: str, environment: CompileEnvironment, merge: bool) -> None:
        self.text = text
        self.environment = environment
        self.merge = merge
        self.position = 0
        self.flags = _Flags()
        self.nodes: list[_Node] = []

    def parse(self) -> tuple[list[_Node], _Flags]:
        literal: list[str] = []
        while self.position < len(self.text):
            character = self.text[self.position]
            if character == "%" and self.text.startswith("%%", self.position):
                literal.append("%")
                self.position += 2
            elif character == "%":
                self._literal(literal)
                self.position += 1
                self._item()
            elif character == " " and self.merge:
                self._literal(literal)
                self.position += 1
                if self.nodes and not self.nodes[-1].separator:  # none at the start, one between parts
                    self.nodes.append(_Node(self.flags, separator=True))
            else:
                literal.append(character)
                self.position += 1
        self._literal(literal)
        return self.nodes, self.flags

    def _literal(self, characters: list[str]) -> None:
        if characters:
            self.nodes.append(_Node(self.flags, encode("".join(characters))))
            characters.clear()

    def _item(self) -> None:
        flags = self.flags
        name: bytes | None = None
        kind: ItemType | None = None
        start = self.position - 1
        if self._at("("):
            name, kind = self._name()
        if self._at("{"):
            flags = self._flags(flags)
        if self._at("("):
            name, kind = self._name()
        if self._at("["):
            self._expression(flags, name, kind)
            return
        match = self._VARIABLE.match(self.text, self.position)
        if not match:
            raise ExpressionError(f'"{self.text[start:]}" breaks off: after "%" comes a variable or an expression; "%%" is a plain "%"')
        self._variable(match[0], flags, name, kind)

    def _at(self, character: str) -> bool:
        return self.text.startswith(character, self.position)

    def _until(self, closing: str) -> str:
        end = self.text.find(closing, self.position)
        if end < 0:
            raise ExpressionError(f'"{self.text[self.position :]}" has no closing "{closing}"')
        inside = self.text[self.position + 1 : end]
        self.position = end + 1
        return inside

    def _name(self) -> tuple[bytes | None, ItemType | None]:
        name, _, kind = self._until(")").partition(":")
        if name and not NAME.fullmatch(name):
            raise ExpressionError(f'item name "{name}" has a character that is none of a-z A-Z 0-9 - _')
        types = {known.value: known for known in ItemType}
        if kind and kind not in types:
            raise ExpressionError(f'unknown item type "{kind}": there are {", ".join(types)}', hint=did_you_mean(kind, types))
        return name.encode() or None, types.get(kind)

    def _flags(self, flags: _Flags) -> _Flags:
        for word in self._until("}").split(","):
            word = word.strip()
            sign, name = word[:1], word[1:]
            if sign not in ("+", "-"):
                raise ExpressionError(f'flag "{word}" needs a "+" or a "-" before it')
            on = sign == "+"
            match name:
                case "Q":
                    flags = replace(flags, quote=on)
                case "X":
                    flags = replace(flags, hexadecimal=on)
                case "E":
                    flags = replace(flags, escape=on)
                case "M":
                    flags = replace(flags, mandatory=on)
                case "bin":
                    flags = replace(flags, binary=on)
                case "json" | "cbor":
                    flags = replace(flags, encoding=Encoding(name) if on else Encoding.NONE)
                case _:
                    raise ExpressionError(f'unknown flag "{name}": there are Q, X, E, M, json, cbor and bin')
        return flags

    def _expression(self, flags: _Flags, name: bytes | None, kind: ItemType | None) -> None:
        expression, end = parse_inside(self.text, self.position + 1, self.environment)
        if not self.text.startswith("]", end):
            found = f'"{self.text[end]}"' if end < len(self.text) else "the end"
            raise ExpressionError(f'expected "]" after "{self.text[self.position + 1 : end]}", found {found}')
        self.position = end + 1
        self.nodes.append(_Node(flags, expression=expression, name=name, type=kind))

    def _variable(self, word: str, flags: _Flags, name: bytes | None, kind: ItemType | None) -> None:
        """The whole run of letters is the name, as with HAProxy: "%bx" is an error, not %b and an x. "%o" only sets flags."""
        if word == "o":
            self.flags = flags
            self.position += 1
            return
        row = LOG_VARIABLES.get(ALIASES.get(word, word))
        if row is None:
            raise ExpressionError(
                f'unknown log variable "%{word}"; a plain "%" is written "%%"',
                hint=did_you_mean(word, [known for known in LOG_VARIABLES if known[0].lower() == word[0].lower()]),
            )
        if row.http and not self.environment.http:
            raise ExpressionError(f'log variable "%{word}" needs mode http')
        self.position += len(word)
        self.nodes.append(_Node(flags, variable=row, name=name, type=kind))


def _joined(nodes: list[_Node], purpose: Purpose) -> Build:
    """One template for all literals, one call per value."""
    template: list[bytes] = []
    getters: list[Callable[[Facts], Any]] = []
    index = 0
    while index < len(nodes):
        node = nodes[index]
        index += 1
        if node.separator:
            template.append(b" ")
        elif node.literal is not None:
            template.append(node.literal.replace(b"%", b"%%"))
        elif (number := _bare_number(node)) is not None:
            getters.append(number)
            template.append(b"%d")
        else:
            get = _text_getter(node, purpose)
            between = index > 1 and nodes[index - 2].separator and index < len(nodes) and nodes[index].separator
            if between and node.variable is not None and node.variable.kind is Kind.CAPTURES:
                get = _with_blank(get)  # an empty one takes the blank after it along
                index += 1
            getters.append(get)
            template.append(b"%b")
    whole = b"".join(template)
    if whole == b"%b":
        only: Build = getters[0]
        return only
    if len(getters) == 1:
        first = getters[0]
        return lambda facts: whole % first(facts)
    return lambda facts: whole % tuple([get(facts) for get in getters])


def _bare_number(node: _Node) -> Callable[[Facts], Any] | None:
    """The getter of a number that the template itself can write: always there, decimal, no "+"."""
    row = node.variable
    if row is None or row.kind is not Kind.NUMBER or row.optional or row.early or (node.flags.hexadecimal and row.hexadecimal):
        return None
    return row.get


def _with_blank(get: Build) -> Build:
    def text(facts: Facts) -> bytes:
        found = get(facts)
        return found + b" " if found else b""

    return text


def _text_getter(node: _Node, purpose: Purpose) -> Build:
    if node.expression is not None:
        return _sample_text(node.expression, node.flags, purpose)
    assert node.variable is not None
    return _variable_text(node.variable, node.flags, purpose is Purpose.LOG)


def _sample_text(expression: Expression, flags: _Flags, purpose: Purpose) -> Build:
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


def _variable_text(row: LogVariable, flags: _Flags, log: bool) -> Build:
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


def _number_text(row: LogVariable, flags: _Flags, missing: bytes) -> Build:
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


def _address_text(row: LogVariable, flags: _Flags, missing: bytes) -> Build:
    get: Callable[[Facts], Any] = row.get

    def address(facts: Facts) -> bytes:
        value = get(facts)
        if value is None:
            return missing
        if value == b"unix":
            text: bytes = value
        elif flags.hexadecimal:
            text = value.hex().upper().encode()
        else:
            text = format_address(value)
        return b'"%b"' % text if flags.quote else text

    return address


def _plain_text(row: LogVariable, flags: _Flags, missing: bytes) -> Build:
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


def _captures_text(row: LogVariable, flags: _Flags) -> Build:
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


def _encoded(nodes: list[_Node], flags: _Flags) -> Build:
    items = [(node.name, _item_getter(node)) for node in nodes if node.name is not None]
    if flags.encoding is Encoding.JSON:
        return lambda facts: encode_json([(name, get(facts)) for name, get in items])
    if flags.binary:
        return lambda facts: encode_cbor([(name, get(facts)) for name, get in items])
    return lambda facts: encode_cbor([(name, get(facts)) for name, get in items]).hex().upper().encode()


def _item_getter(node: _Node) -> Callable[[Facts], Item]:
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


def error_line(facts: Facts) -> bytes:
    """The line for a connection that failed before it became an exchange (manual 8.2.5), when no error-log-format is set."""
    session = facts.session
    frontend = session.frontend.name if session.frontend is not None else ""
    listener = "" if session.bind is None else session.bind.name or str(bind_id(session.bind))
    return b"%b:%d [%b] %b/%b: %b" % (
        format_address(session.src) or b"unix",
        session.src_port,
        local_date_ms(session.accept_date, facts.world.gmt_offset),
        encode(frontend),
        encode(listener),
        facts.error_message or message(session.fc_err),
    )


def connect_line(facts: Facts) -> bytes:
    """The line written at accept when no log format is chosen at all (manual 8.2.1)."""
    frontend = facts.session.frontend
    return b"Connect from %b:%d to %b:%d (%b/%b)" % (
        format_address(facts.src) or b"unix",
        facts.src_port,
        format_address(facts.dst) or b"unix",
        facts.dst_port,
        encode(frontend.name if frontend is not None else ""),
        encode(frontend.mode.upper() if frontend is not None else ""),
    )
