"""Request and response heads: parsed, validated, remembered. Sans-io. The hot path of the worker.

How to call it:

    reader = RequestReader(Limits.of(config.globals), Options(...))        # one per frontend
    found = reader.parse(data, start)                                       # data: bytes received; start: where the head begins
    if found is None:  receive more, call again with the longer data
    request, end = found                                                    # data[end:] is body, or the next request
    # raises WireError(slug, status): answer `status` and close

    reader = ResponseReader(Limits.of(config.globals), Options(...))       # one per backend
    found = reader.parse(data, start, request.method, upgrade=request.upgrade is not None)
    # raises WireError(slug, 502); response.interim says that another head follows (1xx but 101)

    parse_request(data, start, limits, options) / parse_response(data, start, limits, request_method, options): the same without memory.

Both kinds of head (worker/http/message.py) have: raw (bytes up to and with the empty line; normalised if the peer's spelling
needed it), version (10 or 11), fields [(name as received, value)], values(name_lower), first(name_lower), body (BodyPlan),
keep_alive. Heads are shared between exchanges and never change: edits are made in worker/http/editor.py, bytes to forward in
worker/http/rewrite.py.

The plan. One compiled grammar (worker/http/grammar.py) matches the whole head, or it is unusual. A usual head costs one match
and one scan for the dozen fields that have a meaning for the message itself; names and values of all others are cut only when
asked for. An unusual one goes to worker/http/repair.py, which completes, repairs or refuses it; its result comes back through
the same grammar, so that there is one place that says what is accepted.

A client that keeps its connection sends nearly the same bytes each time. So a reader remembers the heads it accepted, whole raw
bytes -> parsed head: finding a known one costs a search, a slice and one hash. Bounded in entries and in bytes, and emptied at
once when full: with more different heads than fit, no order of eviction would help, and with few hot ones they are back after
one miss each.

Source: RFC 9112 sections 2 to 6 and 9; HAProxy manual `tune.bufsize`, `tune.maxrewrite`, `tune.http.maxhdr`,
`option accept-invalid-http-request`.
"""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import WireError
from common.model import Global
from worker.http import repair
from worker.http.authority import PLAIN_HOST, is_host, place_request
from worker.http.framing import NO_BODY, BodyKind, BodyPlan, keeps_alive, request_framing, response_framing, tokens
from worker.http.grammar import REQUEST_HEAD, RESPONSE_HEAD, SPECIAL_FIELDS
from worker.http.message import Head, Request, Response

__all__ = ["Head", "Limits", "Options", "Request", "RequestReader", "Response", "ResponseReader", "parse_request", "parse_response"]

_LENGTH, _UNTIL_CLOSE, _TUNNEL = BodyKind.LENGTH, BodyKind.CLOSE, BodyKind.TUNNEL  # looking them up each time costs 45 ns

REMEMBERED_HEADS_MAX = 1024
REMEMBERED_HEAD_BYTES_MAX = 2048
"""Heads longer than this are not remembered: a reader holds at most the product of the two in bytes received."""

_BODYLESS = frozenset({204, 304})
_NOT_AS_OTHERS = frozenset({b"HEAD", b"CONNECT"})
"""Methods whose responses are framed differently."""

_NOT_FORWARDED_UPGRADES = frozenset({b"h2c", b"h2"})
"""HTTP/2 inside an upgraded connection would pass by every rule: a proxy that does not speak it there must not let it through."""


@dataclass(frozen=True, slots=True)
class Limits:
    """head_bytes_max: tune.bufsize - tune.maxrewrite. lines_max: tune.http.maxhdr, which counts the first line too."""

    head_bytes_max: int = 15360
    lines_max: int = 101

    @classmethod
    def of(cls, settings: Global) -> Limits:
        """maxrewrite is taken down to half of bufsize, as the manual says."""
        return cls(settings.bufsize - min(settings.maxrewrite, settings.bufsize // 2), settings.max_headers)


@dataclass(frozen=True, slots=True)
class Options:
    """How to read. strict (ours): refuse what RFC 9112 lets one repair and what HAProxy resolves, see worker/http/repair.py.
    accept_invalid: `option accept-invalid-http-request` / `-response`. payload_with_any_method: `h1-accept-payload-with-any-method`."""

    strict: bool = False
    accept_invalid: bool = False
    payload_with_any_method: bool = False
    keeps_both_lengths: bool = False  # `h1-do-not-close-on-insecure-transfer-encoding`


class RequestReader:
    """Reads the requests of one frontend and remembers them."""

    __slots__ = ("_known", "limits", "options")

    def __init__(self, limits: Limits, options: Options = Options(), *, remember: bool = True) -> None:
        self.limits = limits
        self.options = options
        self._known: dict[bytes, Request] | None = {} if remember else None

    def parse(self, data: bytes, start: int = 0) -> tuple[Request, int] | None:
        """The head that begins at `start` and the index behind it; None when more bytes are needed.

        Raises WireError: 400, 413, 414, 422, 431 or 505.
        """
        end = data.find(b"\r\n\r\n", start) + 4
        if end == 3:
            return self._unusual(data, start)
        raw = data[start:end]
        known = self._known
        if known is not None:
            request = known.get(raw)
            if request is not None:
                return request, end
        match = REQUEST_HEAD.fullmatch(raw)
        if match is None:
            return self._unusual(data, start)
        _check_size(raw, self.limits, 431)
        request = _accept_request(raw, match[1], match[2], match[3], self.options)
        if known is not None and len(raw) <= REMEMBERED_HEAD_BYTES_MAX:
            if len(known) >= REMEMBERED_HEADS_MAX:
                known.clear()
            known[raw] = request
        return request, end

    def _unusual(self, data: bytes, start: int) -> tuple[Request, int] | None:
        options = self.options
        repaired = repair.repair_request(
            data, start, self.limits.head_bytes_max, strict=options.strict, accept_invalid=options.accept_invalid
        )
        if repaired is None:
            return None
        raw = repaired.raw
        _check_size(raw, self.limits, 431)
        method, target, name = raw[: raw.index(b"\r\n")].split(b" ")
        assert repaired.invalid or REQUEST_HEAD.fullmatch(raw) is not None, raw
        return _accept_request(raw, method, target, name[-1:], options), repaired.end


class ResponseReader:
    """Reads the responses of one backend's servers and remembers those to ordinary requests."""

    __slots__ = ("_known", "_known_to_head", "limits", "options")

    def __init__(self, limits: Limits, options: Options = Options(), *, remember: bool = True) -> None:
        self.limits = limits
        self.options = options
        self._known: dict[bytes, Response] | None = {} if remember else None
        self._known_to_head: dict[bytes, Response] | None = {} if remember else None

    def parse(self, data: bytes, start: int, request_method: bytes, upgrade: bool = False) -> tuple[Response, int] | None:
        """The head that begins at `start` and the index behind it; None when more bytes are needed. Raises WireError (502).

        request_method: of the request that this answers. upgrade: that request asked for an upgrade.
        """
        end = data.find(b"\r\n\r\n", start) + 4
        if end == 3:
            return self._unusual(data, start, request_method, upgrade)
        raw = data[start:end]
        if upgrade or request_method == b"CONNECT":
            known = None  # these mean something else by the same bytes
        else:
            known = self._known_to_head if request_method == b"HEAD" else self._known
            if known is not None:
                response = known.get(raw)
                if response is not None:
                    return response, end
        match = RESPONSE_HEAD.fullmatch(raw)
        if match is None:
            return self._unusual(data, start, request_method, upgrade)
        _check_size(raw, self.limits, 502)
        minor, status, reason = match.groups()
        response = _accept_response(raw, minor, int(status), reason, request_method, upgrade, self.options)
        if known is not None and len(raw) <= REMEMBERED_HEAD_BYTES_MAX:
            if len(known) >= REMEMBERED_HEADS_MAX:
                known.clear()
            known[raw] = response
        return response, end

    def _unusual(self, data: bytes, start: int, request_method: bytes, upgrade: bool) -> tuple[Response, int] | None:
        options = self.options
        repaired = repair.repair_response(
            data, start, self.limits.head_bytes_max, strict=options.strict, accept_invalid=options.accept_invalid
        )
        if repaired is None:
            return None
        raw = repaired.raw
        _check_size(raw, self.limits, 502)
        name, status, reason = raw[: raw.index(b"\r\n")].split(b" ", 2)
        assert repaired.invalid or RESPONSE_HEAD.fullmatch(raw) is not None, raw
        return _accept_response(raw, name[-1:], int(status), reason, request_method, upgrade, options), repaired.end


def parse_request(data: bytes, start: int, limits: Limits, options: Options = Options()) -> tuple[Request, int] | None:
    """One request head, without memory. See RequestReader.parse."""
    return RequestReader(limits, options, remember=False).parse(data, start)


def parse_response(
    data: bytes, start: int, limits: Limits, request_method: bytes, options: Options = Options(), *, upgrade: bool = False
) -> tuple[Response, int] | None:
    """One response head, without memory. See ResponseReader.parse."""
    return ResponseReader(limits, options, remember=False).parse(data, start, request_method, upgrade)


def _check_size(raw: bytes, limits: Limits, status: int) -> None:
    if len(raw) > limits.head_bytes_max:
        line = raw.find(b"\r\n")
        raise WireError("head_too_big", 414 if status == 431 and line > limits.head_bytes_max else status)
    # A field takes four bytes at least: most heads are too short to hold too many.
    if len(raw) > 4 * limits.lines_max and raw.count(b"\n") - 1 > limits.lines_max:
        raise WireError("too_many_fields", status)


def _collect(found: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The fields that SPECIAL_FIELDS found, by lower-case name, repeated ones joined."""
    special: dict[bytes, bytes] = {}
    for name, value in found:
        name = name.lower()
        if value[-1:] in (b" ", b"\t"):
            value = value.rstrip(b" \t")
        special[name] = special[name] + b", " + value if name in special else value
    return special


def _accept_request(raw: bytes, method: bytes, target: bytes, minor: bytes, options: Options) -> Request:
    """What a request whose bytes are in order means."""
    found = SPECIAL_FIELDS.findall(raw)
    if len(found) == 1 and minor == b"1" and target[:1] == b"/" and method != b"CONNECT":
        name, host = found[0]
        if len(name) == 4 and PLAIN_HOST.fullmatch(host) is not None:
            return Request(raw, method, target, 11, host, {b"host": host}, forwarded=raw)
    special = _collect(found)
    version = 11 if minor == b"1" else 10
    written = placed = special.get(b"host")
    if target[:1] == b"/" and method != b"CONNECT":
        if written is not None and PLAIN_HOST.fullmatch(written) is None and not is_host(written):
            raise WireError("bad_host")
    else:
        place = place_request(method, target, written)
        placed = place.host
        if place.target != target or placed != written:
            raw = _with_place(raw, target, place.target, placed)
        target = place.target
    if placed is None:
        if version >= 11 or b"transfer-encoding" in special:  # chunked is forwarded as HTTP/1.1, which needs a Host
            raise WireError("host_missing")
    elif written is None and options.strict:
        raise WireError("host_missing")
    return _with_specials(raw, method, target, version, placed, special, options)


def _with_specials(
    raw: bytes, method: bytes, target: bytes, version: int, host: bytes | None, special: dict[bytes, bytes], options: Options
) -> Request:
    plan, faulty, length_as_is = request_framing(special, version, method, options.strict, options.payload_with_any_method)
    connection = special.get(b"connection")
    upgrade = expected = trailers = None
    if version >= 11:  # in HTTP/1.0 these three mean nothing
        if b"upgrade" in special and plan is NO_BODY and b"upgrade" in tokens(connection or b""):
            upgrade = _forwardable_upgrade(special[b"upgrade"])
        expected = special.get(b"expect")
        trailers = special.get(b"te")
    return Request(
        raw,
        method,
        target,
        version,
        host,
        special,
        plan,
        (not faulty or options.keeps_both_lengths) and keeps_alive(version, connection),
        faulty,
        length_as_is,
        None,
        upgrade,
        expected is not None and plan is not NO_BODY and b"100-continue" in tokens(expected),
        trailers is not None and b"trailers" in tokens(trailers),
    )


def _forwardable_upgrade(value: bytes) -> bytes | None:
    protocols = [protocol.strip(b" \t") for protocol in value.split(b",")]
    return b", ".join([protocol for protocol in protocols if protocol and protocol.lower() not in _NOT_FORWARDED_UPGRADES]) or None


def _with_place(raw: bytes, target: bytes, new_target: bytes, new_host: bytes | None) -> bytes:
    """`raw` with the normalised target, and the normalised Host as its first field."""
    line, _, rest = raw.partition(b"\r\n")
    line = line.replace(b" " + target + b" ", b" " + new_target + b" ", 1)
    fields = [field for field in rest.split(b"\r\n") if field[:5].lower() != b"host:"]
    if new_host is not None:
        fields.insert(0, b"Host: " + new_host)
    return line + b"\r\n" + b"\r\n".join(fields)


def _accept_response(
    raw: bytes, minor: bytes, status: int, reason: bytes, method: bytes, upgrade: bool, options: Options
) -> Response:
    found = SPECIAL_FIELDS.findall(raw)
    if len(found) == 1 and minor == b"1" and status >= 200 and status not in _BODYLESS and method not in _NOT_AS_OTHERS:
        name, value = found[0]
        if len(name) == 14 and name[:1] in b"Cc" and len(value) < 19 and value.isdigit():  # Content-Length and nothing else
            length = int(value)
            plan = BodyPlan(_LENGTH, length) if length else NO_BODY
            return Response(raw, status, reason, 11, {b"content-length": value}, plan, True)
    special = _collect(found)
    version = 11 if minor == b"1" else 10
    plan, faulty, length_as_is = response_framing(special, version, status, method, upgrade, options.strict)
    kind = plan.kind
    keep_alive = (
        (not faulty or options.keeps_both_lengths)
        and kind is not _UNTIL_CLOSE
        and kind is not _TUNNEL
        and keeps_alive(version, special.get(b"connection"))
    )
    return Response(raw, status, reason, version, special, plan, keep_alive, faulty, length_as_is)
