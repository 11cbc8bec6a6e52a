"""How the body of a message is delimited, and whether its connection lives on. Sans-io.

`special` below is what worker/http/head.py collects of a head: lower-case name -> value, OWS stripped, the values of
repeated fields joined by ", " in the order received. Joining makes two Content-Length lines and one with a list the same thing,
as RFC 9110 section 5.3 has it, and makes a second Host line an invalid Host value.

Where RFC 9112 leaves a choice, we do as HAProxy: Content-Length beside chunked is dropped, equal repeated lengths become
one. `strict=True` refuses both.

Source: RFC 9112 sections 6.1, 6.3, 7 and 9.3; RFC 9110 section 8.6.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from common.errors import WireError

LENGTH_MAX = 2**63 - 1
"""Longest Content-Length taken: what peers that count in signed 64 bits still understand."""

_LENGTH_DIGITS_MAX = 19


class BodyKind(Enum):
    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"  # until the peer closes; responses only
    TUNNEL = "tunnel"  # no HTTP from here on, both ways


class BodyPlan(NamedTuple):
    """How a body is delimited. length: bytes of a LENGTH body, 0 otherwise."""

    kind: BodyKind
    length: int = 0


_LENGTH = BodyKind.LENGTH  # looking an enum's member up in its class costs 45 ns
NO_BODY = BodyPlan(BodyKind.NONE)
CHUNKED_BODY = BodyPlan(BodyKind.CHUNKED)
CLOSE_BODY = BodyPlan(BodyKind.CLOSE)
TUNNEL_BODY = BodyPlan(BodyKind.TUNNEL)

_PAYLOAD_AMBIGUOUS_IN_10 = frozenset({b"GET", b"HEAD", b"DELETE"})


Framing = tuple[BodyPlan, bool, bool]
"""(plan, faulty, length_as_is). A bare tuple: one is made for each head that is not known.

faulty: the peer's framing invites two readings: close its connection after this message. length_as_is: a Content-Length, if
any, may be forwarded as it was received; False: it must be dropped, or become one value.
"""

_NO_FRAMING: Framing = (NO_BODY, False, True)
_CLOSE_FRAMING: Framing = (CLOSE_BODY, False, True)

_CONNECTION_OPTIONS = {b"keep-alive": (True, True), b"close": (False, False), b"Keep-Alive": (True, True), b"Close": (False, False)}
"""Usual Connection values -> whether the connection stays open in 1.0 and in 1.1."""


def tokens(value: bytes) -> list[bytes]:
    """The elements of a comma-separated list, lower-case, without the empty ones. RFC 9110 section 5.6.1."""
    return [token for part in value.lower().split(b",") if (token := part.strip(b" \t"))]


def keeps_alive(version: int, connection: bytes | None) -> bool:
    """Whether a message of this version (10 or 11) with this Connection value leaves its connection open. RFC 9112 section 9.3."""
    if connection is None:
        return version >= 11
    usual = _CONNECTION_OPTIONS.get(connection)
    if usual is not None:
        return usual[version >= 11]
    options = tokens(connection)
    return b"close" not in options and (version >= 11 or b"keep-alive" in options)


def content_length(value: bytes, *, strict: bool = False) -> int:
    """The length that a Content-Length value (a list, if the field was repeated) means.

    Raises WireError: empty, not 1*DIGIT, unequal members, above LENGTH_MAX; any list when strict.
    """
    if len(value) < _LENGTH_DIGITS_MAX and value.isdigit():  # nearly always
        return int(value)
    if b"," in value:
        members = {member.strip(b" \t") for member in value.split(b",")}
        if strict or len(members) > 1:
            raise WireError("content_length_conflict")
        value = members.pop()
    if not (value.isdigit() and len(value) <= _LENGTH_DIGITS_MAX):
        raise WireError("bad_content_length")
    length = int(value)
    if length > LENGTH_MAX:
        raise WireError("content_length_too_big", 413)
    return length


def request_framing(
    special: Mapping[bytes, bytes], version: int, method: bytes, strict: bool = False, payload_with_any_method: bool = False
) -> Framing:
    """Framing of a request. RFC 9112 section 6.3, items 3 to 7.

    payload_with_any_method: HAProxy's `h1-accept-payload-with-any-method`: take a body in an HTTP/1.0 GET, HEAD or DELETE.
    Raises WireError: 400, 413 for such a body, 422 for a transfer coding that we do not decode.
    """
    length = special.get(b"content-length")
    coding = special.get(b"transfer-encoding")
    if coding is not None:
        framing = _chunked(coding, length, version, strict=strict)
    elif length is not None:
        framing = _with_length(length, strict=strict)
        if framing[0] is NO_BODY:
            return framing
    else:
        return _NO_FRAMING
    if method == b"CONNECT":
        raise WireError("connect_with_body")
    if version < 11 and method in _PAYLOAD_AMBIGUOUS_IN_10 and not payload_with_any_method:
        raise WireError("payload_not_expected", 413)
    return framing


def response_framing(
    special: Mapping[bytes, bytes], version: int, status: int, method: bytes, upgrade: bool = False, strict: bool = False
) -> Framing:
    """Framing of a response to `method`. RFC 9112 section 6.3, items 1 to 8. upgrade: the request asked for one.

    Raises WireError (502) also for a 101 that nobody asked for and for a transfer coding other than chunked: we could neither decode
    it nor may we pass on a coding that the client did not offer to take.
    """
    length = special.get(b"content-length")
    coding = special.get(b"transfer-encoding")
    if status < 200 or status == 204 or method == b"CONNECT":
        bodyless = _without_body_fields(length, coding, status, method, upgrade)
        if bodyless is not None:
            return bodyless
    try:
        if coding is not None:
            framing = _chunked(coding, length, version, strict=strict)
        elif length is not None:
            framing = _with_length(length, strict=False)
        else:
            framing = _CLOSE_FRAMING
    except WireError as error:
        raise WireError(error.slug, 502) from None
    if method == b"HEAD" or status == 304:
        return NO_BODY, framing[1], framing[2]
    return framing


def _without_body_fields(length: bytes | None, coding: bytes | None, status: int, method: bytes, upgrade: bool) -> Framing | None:
    """Framing of a response in which Content-Length and Transfer-Encoding mean nothing: forwarded, they would make a body of
    what follows. None if this is not one."""
    if status == 101:
        if not upgrade:
            raise WireError("unexpected_101", 502)
        return TUNNEL_BODY, False, length is None and coding is None
    if status < 200 or status == 204:
        return NO_BODY, coding is not None, length is None and coding is None
    if status < 300:
        return TUNNEL_BODY, False, length is None and coding is None
    return None


def _with_length(length: bytes, *, strict: bool) -> Framing:
    count = content_length(length, strict=strict)
    return BodyPlan(_LENGTH, count) if count else NO_BODY, False, b"," not in length


def _chunked(coding: bytes, length: bytes | None, version: int, *, strict: bool) -> Framing:
    """Framing of a message with Transfer-Encoding. Only a lone `chunked` is decoded here. RFC 9112 sections 6.1 and 6.3."""
    if coding.lower() != b"chunked":
        codings = [part.strip(b" \t") for part in coding.lower().split(b",")]
        if codings[-1] != b"chunked":
            raise WireError("chunked_not_last")
        if codings.count(b"chunked") > 1:
            raise WireError("chunked_twice")
        raise WireError("unknown_transfer_coding", 422)
    if strict and (length is not None or version < 11):
        raise WireError("length_and_chunked" if length is not None else "chunked_in_http10")
    if length is not None:
        content_length(length)  # it will be dropped, but a nonsense length is still an attack
    return CHUNKED_BODY, length is not None or version < 11, length is None


class KeepAlive(NamedTuple):
    """What a server's `Keep-Alive: timeout=5, max=100` promises; None = not said. RFC 2068 section 19.7.1."""

    timeout_s: float | None = None
    requests_left: int | None = None


def keep_alive_hints(value: bytes | None) -> KeepAlive:
    """Reads a Keep-Alive value. Parameters that are not plain numbers are ignored: it is a hint, not framing."""
    timeout_s: float | None = None
    requests_left: int | None = None
    for parameter in tokens(value or b""):
        name, _, number = parameter.partition(b"=")
        if number.isdigit() and len(number) < 10:
            if name == b"timeout":
                timeout_s = float(int(number))
            elif name == b"max":
                requests_left = int(number)
    return KeepAlive(timeout_s, requests_left)
