"""Converters of strings: case, parts, joining, replacing, comparing. Sans-io. Source: HAProxy configuration manual 7.3.1."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable

from common.acl.arguments import parse_integer
from common.acl.casts import integer_of, text_of
from common.acl.environment import CompileEnvironment
from common.acl.facts import Facts
from common.acl.http_values import BLANKS
from common.acl.regexes import compile_regex, parse_substitution, substitute
from common.acl.table import ConverterTable, FactsStep, Step
from common.acl.types import SampleType
from common.acl.variables import looks_like_name, reader
from common.errors import ExpressionError

TABLE = ConverterTable()

_S, _N, _I, _B = SampleType.STR, SampleType.BIN, SampleType.INT, SampleType.BOOL


@TABLE.plain("lower", _S, _S, "In lower case.")
def lower(value: bytes) -> bytes:
    return value.lower()


@TABLE.plain("upper", _S, _S, "In upper case.")
def upper(value: bytes) -> bytes:
    return value.upper()


@TABLE.plain("length", _S, _I, "The number of bytes.")
def length(value: bytes) -> int:
    return len(value)


@TABLE.plain("reverse", _S, _S, "From the last byte to the first.")
def reverse(value: bytes) -> bytes:
    return value[::-1]


@TABLE.plain("reverse_dom", _S, _S, "A domain name from its last label to its first: example.com gives com.example.")
def reverse_domain(value: bytes) -> bytes:
    return b".".join(reversed(value.split(b".")))


@TABLE.plain("cut_crlf", _S, _S, "Up to the first carriage return or line feed.")
def cut_line(value: bytes) -> bytes:
    return re.split(rb"[\r\n]", value, maxsplit=1)[0]


@TABLE.plain("has_ctl", _S, _B, "There is a control character: a byte below 32, or 127. Ours.")
def has_control(value: bytes) -> bool:
    return re.search(rb"[\x00-\x1f\x7f]", value) is not None


@TABLE.row("ltrim", _S, _S, "Without the <chars> at its beginning.", arguments="chars:string")
def make_left_trim(environment: CompileEnvironment, characters: bytes) -> Step:
    return lambda value: value.lstrip(characters)


@TABLE.row("rtrim", _S, _S, "Without the <chars> at its end.", arguments="chars:string")
def make_right_trim(environment: CompileEnvironment, characters: bytes) -> Step:
    return lambda value: value.rstrip(characters)


@TABLE.row(
    "bytes",
    _N,
    _N,
    "The bytes from <offset> on, at most <length> of them; either may be a variable.",
    arguments="offset:string length:string",
    required=1,
    facts=True,
)
def make_bytes(environment: CompileEnvironment, offset: bytes, size: bytes | None) -> FactsStep:
    start, count = _number(environment, offset), None if size is None else _number(environment, size)

    def step(value: bytes, facts: Facts) -> bytes | None:
        first = start(facts)
        many = len(value) if count is None else count(facts)
        if first is None or many is None or not 0 <= first <= len(value) or many < 0:
            return None
        return value[first : first + many]

    return step


def _number(environment: CompileEnvironment, text: bytes) -> Callable[[Facts], int | None]:
    """A constant, or a variable read as a number."""
    word = text.decode("utf-8", "surrogateescape")
    if not looks_like_name(word):
        constant = parse_integer(word)
        return lambda facts: constant
    environment.variables_read.add(word)
    read = reader(word)

    def get(facts: Facts) -> int | None:
        typed = read(facts)
        return None if typed is None else integer_of(text_of(typed))

    return get


def _splitter(delimiters: bytes) -> Callable[[bytes], list[bytes]]:
    """Splits at each of the delimiters."""
    if not delimiters:
        raise ExpressionError("the delimiters are empty")
    first = delimiters[:1]
    if len(delimiters) == 1:
        return lambda value: value.split(first)
    to_first = bytes.maketrans(delimiters, first * len(delimiters))
    return lambda value: value.translate(to_first).split(first)


def _select(value: bytes, spans: list[tuple[int, int]], index: int, count: int, open_ended: bool) -> bytes | None:
    """The text from span number `index` (from 1; negative from the end) over `count` spans (0: all that remain).

    From the end, the spans before count: index -2 with count 3 are the fields -4 to -2. open_ended: where more is wanted than there
    is, the text goes to its very end, delimiters and all.
    """
    if abs(index) > len(spans):
        return None
    available = len(spans) - index + 1 if index > 0 else len(spans) + index + 1
    if open_ended and (count == 0 or count > available):
        return value[spans[index - 1][0] :] if index > 0 else value[: spans[index][1]]
    if index > 0:
        first = index - 1
        last = len(spans) - 1 if count == 0 else min(first + count, len(spans)) - 1
    else:
        last = len(spans) + index
        first = 0 if count == 0 else max(0, last - count + 1)
    return value[spans[first][0] : spans[last][1]]


def _spans(value: bytes, split: Callable[[bytes], list[bytes]]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    start = 0
    for part in split(value):
        spans.append((start, start + len(part)))
        start += len(part) + 1
    return spans


def _parts(name: str, doc: str, keep: Callable[[tuple[int, int]], bool]) -> None:
    open_ended = name == "word"

    @TABLE.row(name, _S, _S, doc, arguments="index:integer delimiters:string count:integer", required=2)
    def make(environment: CompileEnvironment, index: int, delimiters: bytes, count: int | None) -> Step:
        if index == 0:
            raise ExpressionError(f"{name}: the index counts from 1, or from -1 backwards")
        split, many = _splitter(delimiters), 1 if count is None else max(0, count)
        if name == "field" and index > 0 and many == 1:
            return _one_field(split, index - 1)

        def step(value: bytes) -> bytes | None:
            spans = [span for span in _spans(value, split) if keep(span)]
            return _select(value, spans, index, many, open_ended)

        return step


def _one_field(split: Callable[[bytes], list[bytes]], index: int) -> Step:
    """The common case."""

    def step(value: bytes) -> bytes | None:
        parts = split(value)
        return parts[index] if index < len(parts) else None

    return step


_parts(
    "field", "Field number <index> between delimiters, from the end if negative; <count> fields, 0 for all that follow.", lambda span: True
)
_parts("word", "The same, but delimiters at both ends and several in a row count as one.", lambda span: span[0] < span[1])


Append = Callable[[Facts], bytes | None]


def _variable_text(environment: CompileEnvironment, name: str | None) -> Append:
    if name is None:
        return lambda facts: None
    read = reader(name)

    def get(facts: Facts) -> bytes | None:
        typed = read(facts)
        return None if typed is None else text_of(typed)

    return get


@TABLE.row(
    "concat", _S, _S, "Followed by <start>, the variable <var> and <end>; each may be left out.",
    arguments="start:string var:variable end:string", required=0, facts=True,
)  # fmt: skip
def make_concat(environment: CompileEnvironment, start: bytes | None, name: str | None, end: bytes | None) -> FactsStep:
    variable = _variable_text(environment, name)
    return lambda value, facts: b"".join((value, start or b"", variable(facts) or b"", end or b""))


@TABLE.row(
    "add_item", _S, _S, "Followed by the variable <var> and <suff>, with <delim> before them where there is something on both sides.",
    arguments="delim:string var:variable suff:string", required=1, facts=True,
)  # fmt: skip
def make_add_item(environment: CompileEnvironment, delimiter: bytes, name: str | None, suffix: bytes | None) -> FactsStep:
    if name is None and suffix is None:
        raise ExpressionError("add_item needs a variable or a suffix")
    variable = _variable_text(environment, name)

    def step(value: bytes, facts: Facts) -> bytes:
        item = (variable(facts) or b"") + (suffix or b"")
        return value + delimiter + item if value and item else value + item

    return step


@TABLE.row("strcmp", _S, _I, "Below, at or above 0 as it sorts before, like or after a variable.", arguments="var:variable", facts=True)
def make_compare(environment: CompileEnvironment, name: str) -> FactsStep:
    variable = _variable_text(environment, name)

    def step(value: bytes, facts: Facts) -> int | None:
        other = variable(facts)
        if other is None:
            return None
        for mine, theirs in zip(value, other, strict=False):
            if mine != theirs:
                return mine - theirs
        return len(value) - len(other)

    return step


@TABLE.row("secure_memcmp", _N, _B, "Equal to a variable, compared in constant time.", arguments="var:variable", facts=True)
def make_secure_compare(environment: CompileEnvironment, name: str) -> FactsStep:
    variable = _variable_text(environment, name)

    def step(value: bytes, facts: Facts) -> bool | None:
        other = variable(facts)
        return None if other is None else hmac.compare_digest(value, other)

    return step


@TABLE.row(
    "regsub", _S, _S, "With what <regex> matches replaced by <subst>. Flags: g everywhere, i ignoring case.",
    arguments="regex:regex subst:string flags:string", required=2,
)  # fmt: skip
def make_regsub(environment: CompileEnvironment, pattern: str, replacement: bytes, flags: bytes | None) -> Step:
    letters = (flags or b"").decode("utf-8", "replace")
    for letter in letters:
        if letter not in "gi":
            raise ExpressionError(f'"{letter}" is not a flag of regsub: there are g and i')
    compiled, pieces, everywhere = compile_regex(pattern, "i" in letters), parse_substitution(replacement), "g" in letters
    return lambda value: substitute(compiled, pieces, value, everywhere)


@TABLE.row("iif", _B, _S, "<true> if true, else <false>.", arguments="true:string false:string")
def make_choice(environment: CompileEnvironment, yes: bytes, no: bytes) -> Step:
    return lambda value: yes if value else no


_HOST = re.compile(rb"(\[[^\]]*\]|[^:]*)(?::([0-9]*))?")


@TABLE.plain("host_only", _S, _S, "A Host value without its port, in lower case.")
def host_only(value: bytes) -> bytes:
    match = _HOST.fullmatch(value)
    return (match[1] if match else value).lower()


@TABLE.plain("port_only", _S, _I, "The port of a Host value; 0 without one.")
def port_only(value: bytes) -> int:
    match = _HOST.fullmatch(value)
    return int(match[2][:5]) if match and match[2] else 0


@TABLE.row(
    "language", _S, _S, "The language of an Accept-Language value that is in the list <value> (a;b;c), by q; else <default>.",
    arguments="value:string default:string", required=1,
)  # fmt: skip
def make_language(environment: CompileEnvironment, listed: bytes, default: bytes | None) -> Step:
    offered = [language for language in listed.split(b";") if language]

    def step(value: bytes) -> bytes | None:
        best, best_quality = default, 0
        for part in value.split(b","):
            name, quality = _language_range(part)
            if quality <= best_quality:
                continue
            found = _offered(name, offered)
            if found is not None:
                best, best_quality = found, quality
        return best

    return step


def _language_range(part: bytes) -> tuple[bytes, int]:
    """(language, q in thousandths) of one member of Accept-Language (RFC 9110 section 12.5.4)."""
    name, _, parameters = part.partition(b";")
    match = re.fullmatch(rb"[ \t]*q[ \t]*=[ \t]*([01])(?:\.([0-9]{0,3}))?[ \t]*", parameters) if parameters else None
    quality = 1000 if match is None else min(1000, int(match[1]) * 1000 + int((match[2] or b"").ljust(3, b"0")))
    return name.strip(BLANKS), quality


def _offered(name: bytes, offered: list[bytes]) -> bytes | None:
    """The exact language, or its base without the variant."""
    if name in offered:
        return name
    base = name.partition(b"-")[0]
    return base if base in offered else None


@TABLE.row(
    "param urlp",
    _S,
    _S,
    "A parameter of a query string or form, as written, between <delim> (&).",
    arguments="name:string delim:string",
    required=1,
)
def make_parameter(environment: CompileEnvironment, name: bytes, delimiter: bytes | None) -> Step:
    mark = (delimiter or b"&")[:1]

    def step(value: bytes) -> bytes | None:
        for part in value.split(mark):
            key, _, content = part.partition(b"=")
            if key == name:
                return content
        return None

    return step
