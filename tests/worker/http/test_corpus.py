"""Every case of tests/corpus/http-messages.jsonl at the level of heads and framing: refused, or forwarded in a form that is safe.

A small proxy without sockets stands in for the worker: it reads the client's bytes, cleans and forwards each request, and
says what would reach the server. The whole program runs the same cases in tests/flows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from common.errors import WireError
from tests.worker.http.messages import Case, corpus
from worker.http.chunked import ChunkedBody
from worker.http.framing import BodyKind
from worker.http.head import Limits, Options, Request, parse_request, parse_response
from worker.http.rewrite import body_to_client, request_head, response_head

CASES = list(corpus())
REQUESTS = [case for case in CASES if case.side == "request"]
RESPONSES = [case for case in CASES if case.side == "response"]
LIMITS = Limits()


@dataclass
class Outcome:
    forwarded: list[bytes] = field(default_factory=list)  # complete messages
    refused: WireError | None = None
    closes: bool = False


def proxy_requests(data: bytes, options: Options) -> Outcome:
    """What becomes of everything that a client sends on one connection."""
    outcome = Outcome()
    at = 0
    try:
        while at < len(data) and not outcome.closes:
            found = parse_request(data, at, LIMITS, options)
            if found is None:
                break
            request, at = found
            body, at, complete = body_of(request, data, at, options)
            if not complete:
                break
            outcome.forwarded.append(request_head(request, b"X-Forwarded-For: 192.0.2.1\r\n") + body)
            outcome.closes = not request.keep_alive or request.is_connect
    except WireError as error:
        outcome.refused, outcome.closes = error, True
    return outcome


def body_of(request: Request, data: bytes, at: int, options: Options) -> tuple[bytes, int, bool]:
    if request.body.kind is BodyKind.LENGTH:
        end = at + request.body.length
        return data[at:end], min(end, len(data)), end <= len(data)
    if request.body.kind is BodyKind.CHUNKED:
        chunked = ChunkedBody(strict=options.strict)
        pieces, end = chunked.feed(data, at)
        return b"".join(bytes(piece) for piece in pieces), end, chunked.done
    return b"", at, True


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
@pytest.mark.parametrize("options", [Options(), Options(strict=True)], ids=["default", "strict"])
def test_request_gets_its_verdict(case: Case, options: Options) -> None:
    outcome = proxy_requests(case.raw, options)
    reached = b"".join(outcome.forwarded)
    wanted = case.fields["backend_requests"]
    wanted = wanted if isinstance(wanted, list) else [wanted]
    if case.category == "incomplete" or case.name == "chunk_overflow_32":
        assert not outcome.forwarded
        return
    refused = not outcome.forwarded and outcome.refused is not None and outcome.refused.status in case.fields.get("reject_status", [400])
    safe = (
        len(outcome.forwarded) in wanted
        and bool(outcome.forwarded)
        and not any(re.search(pattern.encode("latin-1"), reached) for pattern in case.fields.get("forbid", []))
        and all(re.search(pattern.encode("latin-1"), reached) for pattern in case.fields.get("require", []))
    )
    closes = outcome.closes or not case.fields.get("must_close_client", False)
    verdict = case.expected if not options.strict else case.fields["strict"]
    match verdict:
        case "reject":
            assert refused or case.name == "req_connect_ok", (outcome, "must be refused")
        case "forward" | "normalize":
            assert safe, outcome
        case "either":
            assert refused or (safe and closes), outcome


def proxy_response(case: Case, options: Options) -> tuple[str, bytes]:
    """("502" | "forward" | "abort", bytes that reach the client)."""
    method = {"GET10": b"GET", "POSTBIG": b"POST"}.get(case.fields["request_method"], case.fields["request_method"].encode())
    version = 10 if case.fields["request_method"] == "GET10" else 11
    out = b""
    at = interim = 0
    try:
        while True:
            found = parse_response(case.raw, at, LIMITS, method, options)
            if found is None:
                return "502", b""
            response, at = found
            if not response.interim:
                break
            interim += 1
            if interim > 100:  # what worker/exchange.py would do: endless interim responses are bounded
                return "502", b""
            out += response_head(response, version, True)
    except WireError as error:
        assert error.status == 502
        return "502", b""
    plan = body_to_client(response.body, version)
    out += response_head(response, version, response.keep_alive and plan.kind is not BodyKind.CLOSE)
    if response.body.kind is BodyKind.CHUNKED:
        chunked = ChunkedBody(decode=plan.kind is BodyKind.CLOSE, strict=options.strict)
        try:
            pieces, at = chunked.feed(case.raw, at)
        except WireError:
            return "abort", out
        return "forward" if chunked.done else "abort", out + b"".join(bytes(piece) for piece in pieces)
    if response.body.kind is BodyKind.LENGTH:
        out += case.raw[at : at + response.body.length]
    elif response.body.kind is BodyKind.CLOSE:
        out += case.raw[at:]
    return "forward", out


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.name)
@pytest.mark.parametrize("options", [Options(), Options(strict=True)], ids=["default", "strict"])
def test_response_gets_its_verdict(case: Case, options: Options) -> None:
    verdict, out = proxy_response(case, options)
    bad = [pattern for pattern in case.fields.get("forbid", []) if re.search(pattern.encode("latin-1"), out)]
    missing = [pattern for pattern in case.fields.get("require", []) if not re.search(pattern.encode("latin-1"), out)]
    allowed = {
        "502": {"502"},
        "forward": {"forward"},
        "normalize": {"forward"},
        "either": {"502", "forward"},
        "abort": {"502", "abort"},
    }[case.expected]
    assert verdict in allowed, (verdict, out)
    assert verdict != "forward" or not (bad or missing), (bad, missing, out)
