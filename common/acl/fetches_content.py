"""Fetches of raw bytes before they are forwarded (mode tcp): payload, TLS hellos, RDP cookies, the end of the wait. Sans-io.

They live on bytes that may still be coming: what is not found, or not final, for want of bytes sets `undecided`, so that
tcp-request content can wait for more (see common/acl/conditions.py).

Source: HAProxy configuration manual 7.3.5; [MS-RDPBCGR] 2.2.1.1 for RDP cookies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.table import FetchTable, Getter
from common.acl.types import SampleType
from common.errors import ExpressionError, WireError
from common.wire import client_hello
from common.wire.client_hello import ClientHello

TABLE = FetchTable()

_LAYER6 = "7.3.5"
_FIELD_OVERHEAD = 4  # ": " and CRLF
_HEAD_OVERHEAD = 4  # CRLF of the request line, and the empty line

Buffer = Callable[[Facts], bytes]


def _request_buffer(facts: Facts) -> bytes:
    return facts.request_buffer


def _response_buffer(facts: Facts) -> bytes:
    return facts.response_buffer


def _buffer_here(environment: CompileEnvironment) -> Buffer:
    return _response_buffer if environment.where.is_response else _request_buffer


@TABLE.plain("wait_end", SampleType.BOOL, Needs.NOTHING, _LAYER6, "True once no more bytes are waited for; nothing before.")
def wait_end(facts: Facts) -> bool | None:
    if facts.inspection_final:
        return True
    facts.undecided = True
    return None


def _length(buffer: Buffer) -> Getter:
    def get(facts: Facts) -> int:
        if not facts.inspection_final:
            facts.undecided = True
        return len(buffer(facts))

    return get


@TABLE.plain(
    "req.len req_len", SampleType.INT, Needs.REQUEST_BYTES, _LAYER6, "Bytes received from the client and not yet forwarded."
)  # fmt: skip
def request_length(facts: Facts) -> int:
    """In mode http the head, which is parsed by then, counts as well."""
    size: int = _length(_request_buffer)(facts)
    head = facts.request
    if head is None:
        return size
    fields = sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in head.fields)
    return size + len(facts.request_line) + _HEAD_OVERHEAD + fields


TABLE.plain("res.len", SampleType.INT, Needs.RESPONSE_BYTES, _LAYER6, "Bytes received from the server and not yet forwarded.")(
    _length(_response_buffer)
)


def _payload(buffer: Buffer, offset: int, length: int) -> Getter:
    if offset < 0 or length < 0:
        raise ExpressionError("offset and length of a payload are not negative")

    def get(facts: Facts) -> bytes | None:
        data = buffer(facts)
        if length == 0:
            if not facts.inspection_final:
                facts.undecided = True
            return data[offset:] if len(data) >= offset else None
        if len(data) < offset + length:
            facts.undecided = True
            return None
        return data[offset : offset + length]

    return get


def _length_value(buffer: Buffer, offset: int, size: int, second: bytes | None) -> Getter:
    """The length stands at `offset` in `size` bytes; the value right after, or at `second`, absolute or relative ("+4")."""
    if offset < 0 or not 1 <= size <= 8:
        raise ExpressionError("payload_lv takes an offset from 0 and a length field of 1 to 8 bytes")
    start = offset + size
    if second is not None:
        if not re.fullmatch(rb"[+-]?[0-9]+", second):
            raise ExpressionError(f'"{second.decode("utf-8", "replace")}" is not an offset such as 8, +2 or -1')
        start = start + int(second) if second[:1] in (b"+", b"-") else int(second)
        if start < 0:
            raise ExpressionError("the second offset of payload_lv lies before the first byte")

    def get(facts: Facts) -> bytes | None:
        data = buffer(facts)
        if len(data) >= offset + size:
            length = int.from_bytes(data[offset : offset + size], "big")
            if length == 0:
                return None
            if len(data) >= start + length:
                return data[start : start + length]
        facts.undecided = True
        return None

    return get


def _add_payloads(names: str, needs: Needs, message: str, choose: Callable[[CompileEnvironment], Buffer]) -> None:
    payload, length_value = (" ".join(name + suffix for name in names.split()) for suffix in ("payload", "payload_lv"))

    @TABLE.row(
        payload, SampleType.BIN, needs, _LAYER6, f"<length> bytes of the {message}'s buffer from <offset> on; 0 is all of it.",
        arguments="offset:integer length:integer",
    )  # fmt: skip
    def make_payload(environment: CompileEnvironment, offset: int, length: int) -> Getter:
        return _payload(choose(environment), offset, length)

    @TABLE.row(
        length_value, SampleType.BIN, needs, _LAYER6,
        f"Bytes of the {message}'s buffer whose length stands at <offset1> in <length> bytes; they follow it, or begin at <offset2>.",
        arguments="offset1:integer length:integer offset2:string", required=2,
    )  # fmt: skip
    def make_length_value(environment: CompileEnvironment, offset: int, size: int, second: bytes | None) -> Getter:
        return _length_value(choose(environment), offset, size, second)


_add_payloads("req.", Needs.REQUEST_BYTES, "request", lambda environment: _request_buffer)
_add_payloads("res.", Needs.RESPONSE_BYTES, "response", lambda environment: _response_buffer)

# The old names take the direction of their rule.
TABLE.row(
    "payload", SampleType.BIN, Needs.CONTENT, _LAYER6, "req.payload on requests, res.payload on responses.",
    arguments="offset:integer length:integer",
)(lambda environment, offset, length: _payload(_buffer_here(environment), offset, length))  # fmt: skip
TABLE.row(
    "payload_lv", SampleType.BIN, Needs.CONTENT, _LAYER6, "req.payload_lv on requests, res.payload_lv on responses.",
    arguments="offset1:integer length:integer offset2:string", required=2,
)(lambda environment, offset, size, second: _length_value(_buffer_here(environment), offset, size, second))  # fmt: skip


@TABLE.plain("req.proto_http req_proto_http", SampleType.BOOL, Needs.REQUEST_KEPT, _LAYER6, "What the client sent is an HTTP request.")
def is_http(facts: Facts) -> bool | None:
    if facts.request is not None or facts.request_line:
        return True
    facts.undecided = True
    return None


def _hello(facts: Facts) -> ClientHello | None:
    """The TLS hello that the client's bytes begin with; None if there is none (yet)."""
    try:
        found = client_hello.parse(facts.request_buffer)
    except WireError:
        return None
    if found is None:
        facts.undecided = True
    return found


def _from_hello(names: str, type: SampleType, doc: str, read: Callable[[ClientHello], object]) -> None:
    def get(facts: Facts) -> object:
        found = _hello(facts)
        return None if found is None else read(found)

    TABLE.plain(names, type, Needs.REQUEST_BYTES, _LAYER6, doc)(get)


def _sni(hello: ClientHello) -> bytes | None:
    return None if hello.sni is None else hello.sni.encode("utf-8", "surrogateescape")


def _version(hello: ClientHello) -> int:
    return (hello.version >> 8 << 16) + (hello.version & 0xFF)


def _ticket_state(hello: ClientHello) -> int:
    return 0 if hello.ticket is None else 2 if hello.ticket else 1


def pack_numbers(numbers: Iterable[int], bytes_each: int = 2) -> bytes:
    """A list of a hello as it stood on the wire, without its length."""
    return b"".join(number.to_bytes(bytes_each, "big") for number in numbers)


_I, _S, _N = SampleType.INT, SampleType.STR, SampleType.BIN
_from_hello("req.ssl_hello_type req_ssl_hello_type", _I, "1 once the client's bytes hold a complete TLS hello.", lambda hello: 1)
_from_hello("req.ssl_sni req_ssl_sni", _S, "The server name in the client's TLS hello.", _sni)
_from_hello("req.ssl_ec_ext", SampleType.BOOL, "The client's TLS hello lists elliptic curves.", lambda hello: 10 in hello.extensions)
_from_hello("req.ssl_st_ext", _I, "0: no session ticket extension in the hello; 1: an empty one; 2: a ticket.", _ticket_state)
_from_hello("req.ssl_ver req_ssl_ver", _I, "The version the hello offers: major * 65536 + minor.", _version)
_from_hello("req.ssl_cipherlist", _N, "The hello's cipher suites, two bytes each.", lambda hello: pack_numbers(hello.ciphers))
_from_hello("req.ssl_supported_groups", _N, "The hello's groups, two bytes each.", lambda hello: pack_numbers(hello.groups))
_from_hello("req.ssl_sigalgs", _N, "The hello's signature algorithms, two bytes each.", lambda h: pack_numbers(h.signature_algorithms))


def _alpn_each(facts: Facts) -> tuple[bytes, ...]:
    found = _hello(facts)
    return () if found is None else found.alpn


@TABLE.plain(
    "req.ssl_alpn", _S, Needs.REQUEST_BYTES, _LAYER6, "The protocols in the hello's ALPN; in ACLs each of them is tried.", each=_alpn_each
)
def request_alpn(facts: Facts) -> bytes | None:
    return b",".join(_alpn_each(facts)) or None


@TABLE.plain("res.ssl_hello_type rep_ssl_hello_type", _I, Needs.RESPONSE_BYTES, _LAYER6, "2 once the server's bytes hold a TLS hello.")
def response_hello_type(facts: Facts) -> int | None:
    data = facts.response_buffer
    if len(data) < 9:
        if b"\x16\x03".startswith(data[:2]):
            facts.undecided = True
        return None
    return 2 if data[:2] == b"\x16\x03" and data[5] == 2 else None


_RDP_COOKIE = re.compile(rb"Cookie: ([^=\r\n]+)=([^\r\n]*)\r\n")
_RDP_HEAD_BYTES = 11  # TPKT (4) and X.224 connection request (7)


def _rdp_cookie(facts: Facts) -> tuple[bytes, bytes] | None:
    """(name, value) of the first cookie of an RDP connection request."""
    data = facts.request_buffer
    if not (b"\x03\x00".startswith(data[:2]) or data[:2] == b"\x03\x00"):
        return None
    if len(data) > 5 and data[5] != 0xE0:
        return None
    match = _RDP_COOKIE.match(data, _RDP_HEAD_BYTES)
    if match is None:
        complete = len(data) >= 4 and len(data) >= int.from_bytes(data[2:4], "big")
        facts.undecided = facts.undecided or not complete
        return None
    return match[1], match[2]


def _rdp_value(name: bytes | None) -> Getter:
    def get(facts: Facts) -> bytes | None:
        found = _rdp_cookie(facts)
        return found[1] if found is not None and (name is None or found[0].lower() == name.lower()) else None

    return get


@TABLE.row(
    "req.rdp_cookie rdp_cookie", _S, Needs.REQUEST_BYTES, _LAYER6, "The RDP cookie of that name, or the first.",
    arguments="name:string", required=0,
)  # fmt: skip
def make_rdp_cookie(environment: CompileEnvironment, name: bytes | None) -> Getter:
    return _rdp_value(name)


@TABLE.row(
    "req.rdp_cookie_cnt rdp_cookie_cnt", _I, Needs.REQUEST_BYTES, _LAYER6, "How many RDP cookies (of that name) there are: 0 or 1.",
    arguments="name:string", required=0,
)  # fmt: skip
def make_rdp_count(environment: CompileEnvironment, name: bytes | None) -> Getter:
    value = _rdp_value(name)
    return lambda facts: int(value(facts) is not None)


_DISTCC_HEAD_BYTES = 12  # four letters and eight hexadecimal digits
_DISTCC_WITH_BODY = frozenset((b"ARGV", b"DOTI", b"SERR", b"SOUT", b"DOTO"))


def _distcc(facts: Facts, token: bytes, occurrence: int) -> tuple[int, bytes | None] | None:
    """(parameter, body if it is there whole) of a token of a distcc message."""
    data = facts.request_buffer
    position = 0
    while len(data) - position >= _DISTCC_HEAD_BYTES:
        name = data[position : position + 4]
        digits = data[position + 4 : position + _DISTCC_HEAD_BYTES]
        if not re.fullmatch(rb"[0-9a-f]{8}", digits):
            return None
        value = int(digits, 16)
        position += _DISTCC_HEAD_BYTES
        length = value if name in _DISTCC_WITH_BODY else 0
        if name == token:
            occurrence -= 1
            if occurrence <= 0:
                body = data[position : position + length]
                facts.undecided = facts.undecided or len(body) < length
                return value, body if len(body) == length else None
        position += length
    facts.undecided = True
    return None


@TABLE.row(
    "distcc_param", _I, Needs.REQUEST_BYTES, _LAYER6, "The parameter of occurrence <occ> of a token of a distcc message.",
    arguments="token:string occ:integer", required=1,
)  # fmt: skip
def make_distcc_parameter(environment: CompileEnvironment, token: bytes, occurrence: int | None) -> Getter:
    def get(facts: Facts) -> int | None:
        found = _distcc(facts, token, occurrence or 1)
        return None if found is None else found[0]

    return get


@TABLE.row(
    "distcc_body", _N, Needs.REQUEST_BYTES, _LAYER6, "The body of occurrence <occ> of a token of a distcc message.",
    arguments="token:string occ:integer", required=1,
)  # fmt: skip
def make_distcc_body(environment: CompileEnvironment, token: bytes, occurrence: int | None) -> Getter:
    def get(facts: Facts) -> bytes | None:
        found = _distcc(facts, token, occurrence or 1)
        return None if found is None else found[1]

    return get
