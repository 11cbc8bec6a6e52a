from __future__ import annotations

import pytest

from common.errors import WireError
from worker.http.framing import (
    CHUNKED_BODY,
    CLOSE_BODY,
    NO_BODY,
    TUNNEL_BODY,
    BodyKind,
    BodyPlan,
    KeepAlive,
    content_length,
    keep_alive_hints,
    keeps_alive,
    request_framing,
    response_framing,
    tokens,
)


def length(count: int) -> BodyPlan:
    return BodyPlan(BodyKind.LENGTH, count)


CL, TE = b"content-length", b"transfer-encoding"

REQUESTS = [  # fields, version, method, (plan, faulty, length as it is)
    ({}, 11, b"GET", (NO_BODY, False, True)),
    ({}, 11, b"POST", (NO_BODY, False, True)),
    ({CL: b"0"}, 11, b"GET", (NO_BODY, False, True)),
    ({CL: b"5"}, 11, b"POST", (length(5), False, True)),
    ({CL: b"5, 5"}, 11, b"POST", (length(5), False, False)),
    ({CL: b"0,0"}, 11, b"POST", (NO_BODY, False, False)),
    ({CL: b"5"}, 10, b"POST", (length(5), False, True)),
    ({TE: b"chunked"}, 11, b"POST", (CHUNKED_BODY, False, True)),
    ({TE: b"CHUNKED"}, 11, b"GET", (CHUNKED_BODY, False, True)),
    ({TE: b"chunked", CL: b"5"}, 11, b"POST", (CHUNKED_BODY, True, False)),
    ({TE: b"chunked"}, 10, b"POST", (CHUNKED_BODY, True, True)),
    ({CL: b"0"}, 11, b"CONNECT", (NO_BODY, False, True)),
]


@pytest.mark.parametrize(("special", "version", "method", "wanted"), REQUESTS)
def test_request_body_is_delimited_as_rfc_9112_says(special, version, method, wanted) -> None:  # type: ignore[no-untyped-def]
    assert request_framing(special, version, method) == wanted


BAD_REQUESTS = [
    ({CL: b""}, 11, b"POST", "bad_content_length", 400),
    ({CL: b"5x"}, 11, b"POST", "bad_content_length", 400),
    ({CL: b"\xb2"}, 11, b"POST", "bad_content_length", 400),
    ({CL: b"5,"}, 11, b"POST", "content_length_conflict", 400),
    ({CL: b"5, 6"}, 11, b"POST", "content_length_conflict", 400),
    ({CL: b"5, 05"}, 11, b"POST", "content_length_conflict", 400),
    ({CL: b"9223372036854775808"}, 11, b"POST", "content_length_too_big", 413),
    ({CL: b"1" * 20}, 11, b"POST", "bad_content_length", 400),
    ({TE: b""}, 11, b"POST", "chunked_not_last", 400),
    ({TE: b"gzip"}, 11, b"POST", "chunked_not_last", 400),
    ({TE: b"chunked, gzip"}, 11, b"POST", "chunked_not_last", 400),
    ({TE: b"chunked, chunked"}, 11, b"POST", "chunked_twice", 400),
    ({TE: b"gzip, chunked"}, 11, b"POST", "unknown_transfer_coding", 422),
    ({TE: b"identity, chunked"}, 11, b"POST", "unknown_transfer_coding", 422),
    ({TE: b"chunked", CL: b"x"}, 11, b"POST", "bad_content_length", 400),
    ({TE: b"chunked"}, 11, b"CONNECT", "connect_with_body", 400),
    ({CL: b"1"}, 11, b"CONNECT", "connect_with_body", 400),
    ({CL: b"1"}, 10, b"GET", "payload_not_expected", 413),
    ({TE: b"chunked"}, 10, b"DELETE", "payload_not_expected", 413),
]


@pytest.mark.parametrize(("special", "version", "method", "slug", "status"), BAD_REQUESTS)
def test_request_with_doubtful_body_is_refused(special, version, method, slug, status) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(WireError) as caught:
        request_framing(special, version, method)
    assert (caught.value.slug, caught.value.status) == (slug, status)


def test_payload_in_http10_get_passes_when_allowed() -> None:
    assert request_framing({CL: b"1"}, 10, b"GET", payload_with_any_method=True)[0] == length(1)


@pytest.mark.parametrize("special", [{CL: b"5, 5"}, {TE: b"chunked", CL: b"5"}])
def test_strict_reader_refuses_what_others_resolve(special: dict[bytes, bytes]) -> None:
    with pytest.raises(WireError):
        request_framing(special, 11, b"POST", strict=True)


RESPONSES = [  # fields, version, status, method, plan, faulty
    ({}, 11, 200, b"GET", CLOSE_BODY, False),
    ({CL: b"5"}, 11, 200, b"GET", length(5), False),
    ({CL: b"0"}, 11, 200, b"GET", NO_BODY, False),
    ({CL: b"5"}, 11, 200, b"HEAD", NO_BODY, False),
    ({TE: b"chunked"}, 11, 200, b"HEAD", NO_BODY, False),
    ({CL: b"5"}, 11, 304, b"GET", NO_BODY, False),
    ({CL: b"5"}, 11, 204, b"GET", NO_BODY, False),
    ({TE: b"chunked"}, 11, 204, b"GET", NO_BODY, True),
    ({}, 11, 100, b"POST", NO_BODY, False),
    ({TE: b"chunked"}, 11, 200, b"GET", CHUNKED_BODY, False),
    ({TE: b"chunked", CL: b"9"}, 11, 200, b"GET", CHUNKED_BODY, True),
    ({TE: b"chunked"}, 10, 200, b"GET", CHUNKED_BODY, True),
    ({}, 11, 200, b"CONNECT", TUNNEL_BODY, False),
    ({CL: b"5"}, 11, 299, b"CONNECT", TUNNEL_BODY, False),
    ({CL: b"5"}, 11, 407, b"CONNECT", length(5), False),
]


@pytest.mark.parametrize(("special", "version", "status", "method", "plan", "faulty"), RESPONSES)
def test_response_body_is_delimited_as_rfc_9112_says(special, version, status, method, plan, faulty) -> None:  # type: ignore[no-untyped-def]
    assert response_framing(special, version, status, method)[:2] == (plan, faulty)


@pytest.mark.parametrize("special", [{CL: b"5, 6"}, {CL: b""}, {TE: b"gzip, chunked"}, {TE: b"gzip"}, {TE: b"chunked, chunked"}])
def test_response_with_doubtful_body_is_a_bad_gateway(special: dict[bytes, bytes]) -> None:
    for method in (b"GET", b"HEAD"):
        with pytest.raises(WireError) as caught:
            response_framing(special, 11, 200, method)
        assert caught.value.status == 502


def test_101_is_a_tunnel_only_for_who_asked() -> None:
    assert response_framing({}, 11, 101, b"GET", upgrade=True)[0] == TUNNEL_BODY
    with pytest.raises(WireError, match="unexpected_101"):
        response_framing({}, 11, 101, b"GET")


@pytest.mark.parametrize(
    ("version", "connection", "keeps"),
    [
        (11, None, True),
        (10, None, False),
        (11, b"close", False),
        (11, b"CLOSE", False),
        (11, b"x, close", False),
        (11, b"keep-alive, close", False),
        (11, b"closed", True),
        (11, b"", True),
        (10, b"keep-alive", True),
        (10, b"Keep-Alive", True),
        (10, b"x,Keep-Alive ,y", True),
        (10, b"close, keep-alive", False),
    ],
)
def test_connection_is_kept(version: int, connection: bytes | None, keeps: bool) -> None:
    assert keeps_alive(version, connection) is keeps


def test_longest_length_is_taken() -> None:
    assert content_length(b"9223372036854775807") == 2**63 - 1


def test_tokens_of_a_list() -> None:
    assert tokens(b" A ,, b\t,c") == [b"a", b"b", b"c"]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, KeepAlive()),
        (b"timeout=5, max=100", KeepAlive(5.0, 100)),
        (b"MAX=1", KeepAlive(None, 1)),
        (b"timeout=x, max=-1, 7", KeepAlive()),
        (b"timeout=" + b"9" * 5000, KeepAlive()),
    ],
)
def test_keep_alive_hints_are_read(value: bytes | None, wanted: KeepAlive) -> None:
    assert keep_alive_hints(value) == wanted
