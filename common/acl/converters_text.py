"""Converters between text formats: URL encoding, HTML, JSON, JWT. Sans-io.

Source: HAProxy configuration manual 7.3.1; RFC 3986 section 2.1; RFC 8259; RFC 7515 and 7518.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from typing import Any

from common.acl import jwt
from common.acl.casts import text_of
from common.acl.converters_hashes import decode_base64url
from common.acl.environment import CompileEnvironment
from common.acl.facts import Facts
from common.acl.json_path import parse_json, parse_path, read_path
from common.acl.table import ConverterTable, FactsStep, Step
from common.acl.types import INT_MAX, INT_MIN, SampleType, Typed
from common.acl.variables import reader
from common.errors import ExpressionError

TABLE = ConverterTable()

_S, _N, _I, _ANY = SampleType.STR, SampleType.BIN, SampleType.INT, SampleType.ANY

_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_RESERVED = re.compile(rb"[^A-Za-z0-9._~-]")


@TABLE.row(
    "url_dec", _S, _S, "URL-decoded; + becomes a blank after a question mark, or everywhere with <in_form>.",
    arguments="in_form:integer", required=0,
)  # fmt: skip
def make_url_decode(environment: CompileEnvironment, in_form: int | None) -> Step:
    everywhere = bool(in_form)

    def step(value: bytes) -> bytes | None:
        if _BAD_PERCENT.search(value):
            return None
        if b"+" in value:
            mark = 0 if everywhere else value.find(b"?")
            if mark >= 0:
                value = value[:mark] + value[mark:].replace(b"+", b" ")
        return _ENCODED.sub(_decoded, value) if b"%" in value else value

    return step


def _decoded(match: re.Match[bytes]) -> bytes:
    return bytes((int(match[1], 16),))


@TABLE.row("url_enc", _S, _S, "URL-encoded; <enc_type> can only be query.", arguments="enc_type:string", required=0)
def make_url_encode(environment: CompileEnvironment, kind: bytes | None) -> Step:
    if kind not in (None, b"query"):
        raise ExpressionError(f'url_enc encodes for "query" only, not "{kind.decode("utf-8", "replace")}"')
    return lambda value: _RESERVED.sub(lambda match: b"%%%02X" % match[0][0], value)


@TABLE.plain("html", _S, _S, "With &, <, >, \" and ' as HTML entities. Ours.")
def to_html(value: bytes) -> bytes:
    return html.escape(value.decode("latin-1")).encode("latin-1")


@TABLE.row(
    "json",
    _S,
    _S,
    "As the inside of a JSON string; input is ascii (bytes), utf8, utf8s, utf8p or utf8ps.",
    arguments="input-code:string",
    required=0,
)
def make_json(environment: CompileEnvironment, code: bytes | None) -> Step:
    name = (code or b"ascii").decode("utf-8", "replace")
    decoders: dict[str, Callable[[bytes], str | None]] = {
        "ascii": lambda value: value.decode("latin-1"),
        "utf8": lambda value: _decode_utf8(value, permissive=False, silent=False),
        "utf8s": lambda value: _decode_utf8(value, permissive=False, silent=True),
        "utf8p": lambda value: _decode_utf8(value, permissive=True, silent=False),
        "utf8ps": lambda value: _decode_utf8(value, permissive=True, silent=True),
    }
    if name not in decoders:
        raise ExpressionError(f'json decodes {", ".join(decoders)}, not "{name}"')
    decode = decoders[name]

    def step(value: bytes) -> bytes | None:
        text = decode(value)
        return None if text is None else _JSON_SPECIAL.sub(_json_escape, text).encode("ascii")

    return step


_JSON_SPECIAL = re.compile(r"[^ !#-.0-\[\]-~]")  # what is not printable ASCII, and `"`, "/" and "\"
_JSON_SHORT = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


def _json_escape(match: re.Match[str]) -> str:
    return _JSON_SHORT.get(match[0]) or f"\\u{ord(match[0]):04x}"


_UTF8_LENGTHS = ((0x80, 0x00, 1), (0xE0, 0xC0, 2), (0xF0, 0xE0, 3), (0xF8, 0xF0, 4))
_SMALLEST = (0, 0, 0x80, 0x800, 0x10000)


def _decode_utf8(value: bytes, *, permissive: bool, silent: bool) -> str | None:
    """UTF-8 to characters of at most 16 bits, which is what \\uXXXX holds. An error fails, or is left out if silent; permissive takes
    characters that are longer than they need be."""
    output: list[str] = []
    position = 0
    while position < len(value):
        character, size = _one_character(value, position, permissive)
        if character is not None:
            output.append(character)
        elif not silent:
            return None
        position += size
    return "".join(output)


def _one_character(value: bytes, position: int, permissive: bool) -> tuple[str | None, int]:
    """(the character or None, bytes taken)."""
    lead = value[position]
    size = next((size for bits, form, size in _UTF8_LENGTHS if lead & bits == form), 0)
    tail = value[position + 1 : position + size]
    if not size or len(tail) < size - 1 or any(byte & 0xC0 != 0x80 for byte in tail):
        return None, 1
    code = lead & (0x7F if size == 1 else 0x7F >> size)
    for byte in tail:
        code = code << 6 | byte & 0x3F
    if (code < _SMALLEST[size] and not permissive) or 0xD800 <= code <= 0xDFFF or code > 0xFFFF:
        return None, size
    return chr(code), size


def _json_value(found: Any, as_integer: bool) -> Typed | None:
    """A JSON value as a sample; None for what has no type here."""
    if isinstance(found, bool):
        return Typed(_I, int(found)) if as_integer else Typed(SampleType.BOOL, found)
    if isinstance(found, int):
        return Typed(_I, found) if INT_MIN <= found <= INT_MAX else Typed(_S, b"%d" % found)
    if isinstance(found, float):
        if as_integer:
            return Typed(_I, int(found)) if INT_MIN <= found <= INT_MAX else None
        return Typed(_S, _shortest(found))
    if isinstance(found, str):
        text = found.encode("utf-8", "surrogatepass")
        if not as_integer:
            return Typed(_S, text)
        return Typed(_I, int(text)) if re.fullmatch(rb"[+-]?[0-9]{1,18}", text) else None
    if isinstance(found, list) and not as_integer:
        return Typed(_S, json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return None


def _shortest(number: float) -> bytes:
    return b"%d" % int(number) if number.is_integer() and abs(number) < 1e15 else repr(number).encode()


def _output_type(kind: bytes | None) -> bool:
    if kind not in (None, b"int"):
        raise ExpressionError(f'the output type of a JSON query is "int" or nothing, not "{kind.decode("utf-8", "replace")}"')
    return kind == b"int"


def _querier(path: bytes, kind: bytes | None) -> Callable[[bytes], Typed | None]:
    steps, as_integer = parse_path(path), _output_type(kind)

    def query(document: bytes) -> Typed | None:
        return _json_value(read_path(parse_json(document), steps), as_integer)

    return query


@TABLE.row(
    "json_query", _S, _ANY, "What a JSON path ($.a.b[0]) finds: a string, boolean, number or array. <output_type> int makes it an integer.",
    arguments="json_path:string output_type:string", required=1,
)  # fmt: skip
def make_json_query(environment: CompileEnvironment, path: bytes, kind: bytes | None) -> Step:
    return _querier(path, kind)


def _jwt_part(name: str, index: int, what: str) -> None:
    doc = f"The decoded {what} of a JSON Web Token, or what a JSON path finds in it."

    @TABLE.row(name, _N, _ANY, doc, arguments="json_path:string output_type:string", required=0)
    def make(environment: CompileEnvironment, path: bytes | None, kind: bytes | None) -> Step:
        query = None if path is None else _querier(path, kind)

        def step(value: bytes) -> Typed | None:
            parts = value.split(b".")
            decoded = decode_base64url(parts[index]) if len(parts) == 3 else None
            if decoded is None:
                return None
            return Typed(_S, decoded) if query is None else query(decoded)

        return step


_jwt_part("jwt_header_query", 0, "header")
_jwt_part("jwt_payload_query", 1, "payload")

Text = Callable[[Facts], bytes | None]


def _constant_or_variable(value: bytes | str) -> Text:
    if isinstance(value, bytes):
        return lambda facts: value
    read = reader(value)

    def get(facts: Facts) -> bytes | None:
        typed = read(facts)
        return None if typed is None else text_of(typed)

    return get


def _verifier(name: str, doc: str) -> None:
    @TABLE.row(name, _N, _I, doc, arguments="alg:string_or_variable key:string_or_variable", facts=True)
    def make(environment: CompileEnvironment, algorithm: bytes | str, key: bytes | str) -> FactsStep:
        algorithms, keys = _constant_or_variable(algorithm), _constant_or_variable(key)
        if isinstance(algorithm, bytes):
            jwt.check_algorithm(algorithm)
        # HMAC secrets are the key itself; anything else names a file, which must be readable now.
        if isinstance(key, bytes) and not (isinstance(algorithm, bytes) and jwt.is_symmetric(algorithm)):
            _load_key(environment, key, required=isinstance(algorithm, bytes) or name == "jwt_verify_cert")

        def step(value: bytes, facts: Facts) -> int | None:
            chosen, secret = algorithms(facts), keys(facts)
            if chosen is None or secret is None:
                return None
            return jwt.verify(value, chosen, secret, environment.keys)

        return step


def _load_key(environment: CompileEnvironment, path: bytes, *, required: bool) -> None:
    """Puts the public key of a PEM file into the environment's keys."""
    name = path.decode("utf-8", "surrogateescape")
    if path in environment.keys:
        return
    try:
        environment.keys[path] = jwt.load_public_key(environment.read_file(name))
    except (OSError, ValueError) as error:
        if required:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ExpressionError(f'cannot read a public key or certificate from "{name}": {reason}') from None


_verifier("jwt_verify", "1 if a JSON Web Token's signature is right, 0 if not, below 0 for an error. <key>: a secret, or a PEM file.")
_verifier("jwt_verify_cert", "The same, with a certificate's public key.")
