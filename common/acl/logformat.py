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

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from common.acl.addresses import format_address
from common.acl.arguments import encode
from common.acl.connection_errors import message
from common.acl.environment import CompileEnvironment, Where
from common.acl.facts import Facts
from common.acl.fetches_connection import bind_id
from common.acl.log_dates import local_date_ms
from common.acl.log_encoding import Encoding
from common.acl.log_rendering import Build, Purpose, encoded, text_getter
from common.acl.log_syntax import FormatParser, Node
from common.acl.log_variables import Kind

__all__ = [
    "CLF_FORMAT",
    "HTTPS_FORMAT",
    "HTTP_FORMAT",
    "TCP_FORMAT",
    "Format",
    "Purpose",
    "compile_format",
    "compile_log_format",
    "connect_line",
    "error_line",
]

TCP_FORMAT = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq"
HTTP_FORMAT = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"
HTTPS_FORMAT = HTTP_FORMAT + " %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc"
CLF_FORMAT = (
    '%{+Q}o %{-Q}ci - - [%trg] %r %ST %B "" "" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl'
)


@dataclass(frozen=True, slots=True)
class Format:
    """A compiled format. build(facts) makes the text. constant: the text, if no fact is asked."""

    text: str
    build: Build
    constant: bytes | None = None

    def __call__(self, facts: Facts) -> bytes:
        return self.build(facts)


def compile_format(text: str, environment: CompileEnvironment, purpose: Purpose = Purpose.LOG) -> Format:
    """Raises ExpressionError. The environment says where it runs; log formats are compiled at Where.LOG."""
    nodes, overall = FormatParser(text, environment, purpose is Purpose.LOG).parse()
    if overall.encoding is not Encoding.NONE:
        return Format(text, encoded(nodes, overall))
    if all(node.literal is not None or node.separator for node in nodes):
        literal = b"".join(b" " if node.separator else node.literal or b"" for node in nodes)
        return Format(text, lambda facts: literal, literal)
    return Format(text, _joined(nodes, purpose))


def compile_log_format(text: str, environment: CompileEnvironment) -> Format:
    """A `log-format` line: at Where.LOG, for log lines."""
    return compile_format(text, environment.at(Where.LOG), Purpose.LOG)


def _joined(nodes: list[Node], purpose: Purpose) -> Build:
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
            get = text_getter(node, purpose)
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


def _bare_number(node: Node) -> Callable[[Facts], Any] | None:
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


def error_line(facts: Facts) -> bytes:
    """The line for a connection that failed before it became an exchange (manual 8.2.5), when no error-log-format is set."""
    session = facts.session
    frontend = session.frontend.name if session.frontend is not None else ""
    listener = "" if session.bind is None else session.bind.name or str(bind_id(session))
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
