"""worker/http/head.py: what is accepted, what it means, what is refused with which status."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.errors import WireError
from common.model import Global
from common.observe.reasons import SLUGS
from tests.worker.http.messages import BROWSER, CURL, WRK
from worker.http import head as head_module
from worker.http.framing import NO_BODY, TUNNEL_BODY, BodyKind, KeepAlive
from worker.http.head import Limits, Options, Request, RequestReader, Response, ResponseReader, parse_request, parse_response
from worker.http.rewrite import request_head

LIMITS = Limits()
HOST = b"Host: a\r\n"


def request(data: bytes, **options: bool) -> Request:
    found = parse_request(data, 0, LIMITS, Options(**options))
    assert found is not None and found[1] == len(data)
    return found[0]


def response(data: bytes, method: bytes = b"GET", upgrade: bool = False, **options: bool) -> Response:
    found = parse_response(data, 0, LIMITS, method, Options(**options), upgrade=upgrade)
    assert found is not None
    return found[0]


def refusal(data: bytes, limits: Limits = LIMITS, **options: bool) -> tuple[str, int]:
    with pytest.raises(WireError) as caught:
        parse_request(data, 0, limits, Options(**options))
    return caught.value.slug, caught.value.status


def test_small_request_is_understood() -> None:
    data = b"GET /a?b HTTP/1.1\r\nHost: example.net\r\nX-A:  1 \r\nx-a: 2\r\n\r\nrest"
    found = parse_request(data, 0, LIMITS)
    assert found is not None
    read, end = found
    assert (read.method, read.target, read.version, read.host) == (b"GET", b"/a?b", 11, b"example.net")
    assert data[end:] == b"rest"
    assert read.fields == [(b"Host", b"example.net"), (b"X-A", b"1"), (b"x-a", b"2")]
    assert read.values(b"x-a") == [b"1", b"2"]
    assert read.first(b"x-a") == b"1"
    assert read.first(b"x-b") is None and read.first(b"get / http/1.1") is None
    assert read.body is NO_BODY and read.keep_alive and not read.is_connect and read.upgrade is None


@pytest.mark.parametrize("data", [WRK, CURL, BROWSER])
def test_usual_heads_are_forwarded_as_received_but_for_their_connection(data: bytes) -> None:
    assert request_head(request(data)) == data.replace(b"Connection: keep-alive\r\n", b"")


def test_small_response_is_understood() -> None:
    read = response(b"HTTP/1.1 404 Not  Found\r\nContent-Length: 5\r\nKeep-Alive: timeout=5, max=7\r\nX:\ty\r\n\r\nhello")
    assert (read.status, read.reason, read.version, read.interim) == (404, b"Not  Found", 11, False)
    assert read.body == (BodyKind.LENGTH, 5) and read.keep_alive
    assert read.keep_alive_hints == KeepAlive(5.0, 7)
    assert read.fields[-1] == (b"X", b"y")


def test_known_head_gives_the_same_object() -> None:
    reader = RequestReader(LIMITS)
    data = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    first, second = reader.parse(data), reader.parse(b"xx" + data, 2)
    assert first is not None and second is not None and first[0] is second[0]


def test_response_is_known_by_the_kind_of_its_request() -> None:
    reader = ResponseReader(LIMITS)
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    for _ in range(2):
        kinds = []
        for method in (b"GET", b"HEAD", b"CONNECT"):
            found = reader.parse(data, 0, method)
            assert found is not None
            kinds.append(found[0].body.kind)
        assert kinds == [BodyKind.LENGTH, BodyKind.NONE, BodyKind.TUNNEL]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_module, "REMEMBERED_HEADS_MAX", 3)
    requests, responses = RequestReader(LIMITS), ResponseReader(LIMITS)
    for number in range(10):
        requests.parse(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        responses.parse(b"HTTP/1.1 200 %d\r\n\r\n" % number, 0, b"GET")
        assert requests._known is not None and len(requests._known) <= 3
        assert responses._known is not None and len(responses._known) <= 3
    long = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * head_module.REMEMBERED_HEAD_BYTES_MAX + b"\r\n\r\n"
    requests = RequestReader(LIMITS)
    requests.parse(long)
    assert requests._known == {}


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\nGET /x HTTP/1.0\n\n", b"G\t/ HTTP/1.1\r\nHost: a\n\r\n"])
def test_unfinished_request_needs_more(data: bytes) -> None:
    for cut in range(len(data)):
        assert parse_request(data[:cut], 0, LIMITS) is None
    assert parse_request(data, 0, LIMITS) is not None


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", b"HTTP/1.0 404\n\n"])
def test_unfinished_response_needs_more(data: bytes) -> None:
    for cut in range(len(data)):
        assert parse_response(data[:cut], 0, LIMITS, b"GET") is None
    assert parse_response(data, 0, LIMITS, b"GET") is not None


REFUSED = [
    (b"GET / HTTP/1.1\r\n\r\n", "host_missing", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "bad_host", 400),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", "version_not_supported", 505),
    (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", "bad_version", 400),
    (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "bad_request_line", 400),
    (b"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target", 400),
    (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", "bad_target", 400),
    (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", "bad_method", 400),
    (b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n", "space_before_first_field", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", "space_before_colon", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX y: z\r\n\r\n", "bad_field_name", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", "empty_field_name", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\ngarbage\r\n\r\n", "field_without_colon", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", "nul_in_field", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n \x00\r\n\r\n", "nul_in_field", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: \ry\r\n\r\n", "bare_cr", 400),
    (b"GET / HTTP/1.1\r\nHost: \x0ba\r\n\r\n", "control_in_field", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", "control_in_field", 400),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "host_missing", 400),
    (b"GET / HTTP/1.0\r\nContent-Length: 1\r\n\r\n", "payload_not_expected", 413),
    (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", "host_mismatch", 400),
]


@pytest.mark.parametrize(("data", "slug", "status"), REFUSED)
def test_request_is_refused(data: bytes, slug: str, status: int) -> None:
    assert refusal(data) == (slug, status)
    assert refusal(data + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n") == (slug, status)


def test_sizes_are_limited() -> None:
    small = Limits(head_bytes_max=100, lines_max=5)
    assert refusal(b"GET /" + b"a" * 100 + b" HTTP/1.1\r\nHost: a\r\n\r\n", small) == ("head_too_big", 414)
    assert refusal(b"GET /" + b"a" * 100, small) == ("head_too_big", 414)
    assert refusal(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 80 + b"\r\n\r\n", small) == ("head_too_big", 431)
    assert refusal(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 80, small) == ("head_too_big", 431)
    assert refusal(b"GET / HTTP/1.1\nHost: a\nX: " + b"y" * 80 + b"\n\n", small) == ("head_too_big", 431)
    assert refusal(b"\r\n" * 60, small) == ("head_too_big", 414)
    assert refusal(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 4 + b"\r\n", small) == ("too_many_fields", 431)
    assert parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 3 + b"\r\n", 0, small) is not None
    for data in (
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100 + b"\r\n\r\n",
        b"HTTP/1.1 200 O" + b"K" * 100,
        b"HTTP/1.1 200 OK\nX: " + b"y" * 100 + b"\n\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5 + b"\r\n",
    ):
        with pytest.raises(WireError) as caught:
            parse_response(data, 0, small, b"GET")
        assert caught.value.status == 502


def test_default_limit_of_fields_is_haproxys() -> None:
    assert parse_request(b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 99 + b"\r\n", 0, LIMITS) is not None
    assert refusal(b"GET / HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 100 + b"\r\n") == ("too_many_fields", 431)


def test_limits_come_from_the_global_section() -> None:
    assert Limits.of(Global()) == Limits(15360, 101)
    assert Limits.of(Global(bufsize=8000, maxrewrite=6000, max_headers=50)) == Limits(4000, 50)


UPGRADES = [  # Connection, Upgrade, what may be forwarded
    (b"Upgrade", b"websocket", b"websocket"),
    (b"keep-alive, UPGRADE", b"h2c, websocket , x/2", b"websocket, x/2"),
    (b"Upgrade, HTTP2-Settings", b"h2c", None),
    (b"keep-alive", b"websocket", None),
]


@pytest.mark.parametrize(("connection", "upgrade", "wanted"), UPGRADES)
def test_upgrade_is_taken_only_where_it_may_be_granted(connection: bytes, upgrade: bytes, wanted: bytes | None) -> None:
    fields = b"Connection: " + connection + b"\r\nUpgrade: " + upgrade + b"\r\n"
    assert request(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n").upgrade == wanted
    assert request(b"GET / HTTP/1.0\r\nHost: a\r\n" + fields + b"\r\n").upgrade is None
    assert request(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n" + fields + b"\r\n").upgrade is None


@pytest.mark.parametrize(
    ("line", "fields", "waits"),
    [
        (b"POST / HTTP/1.1", b"Content-Length: 5\r\nExpect: 100-Continue\r\n", True),
        (b"POST / HTTP/1.1", b"Expect: 100-continue\r\n", False),
        (b"POST / HTTP/1.0", b"Content-Length: 5\r\nExpect: 100-continue\r\n", False),
        (b"POST / HTTP/1.1", b"Content-Length: 5\r\nExpect: y 100-continue\r\n", False),
    ],
)
def test_client_waits_for_100_only_with_a_body_in_http11(line: bytes, fields: bytes, waits: bool) -> None:
    assert request(line + b"\r\n" + HOST + fields + b"\r\n").expect_continue is waits


def test_trailers_are_taken_by_who_says_so() -> None:
    assert request(b"GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, Trailers\r\n\r\n").te_trailers
    assert not request(b"GET / HTTP/1.1\r\nHost: a\r\nTE: chunked\r\n\r\n").te_trailers
    assert not request(b"GET / HTTP/1.0\r\nHost: a\r\nTE: trailers\r\n\r\n").te_trailers


def test_connect_is_seen() -> None:
    read = request(b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
    assert read.is_connect and read.body is NO_BODY
    assert response(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"CONNECT").body is TUNNEL_BODY


def test_switched_protocol_is_known() -> None:
    read = response(b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", upgrade=True)
    assert read.upgrade == b"websocket" and read.body is TUNNEL_BODY and not read.interim and not read.keep_alive


def test_interim_responses_are_marked() -> None:
    assert response(b"HTTP/1.1 100 Continue\r\n\r\n").interim
    assert response(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").interim


def test_every_slug_is_explained() -> None:
    sources = "".join(path.read_text("utf-8") for path in Path(head_module.__file__).parent.glob("*.py"))
    raised = set(re.findall(r'WireError\(\s*"([a-z0-9_]+)"', sources)) | {"space_before_colon", "empty_field_name", "bad_field_name"}
    assert raised <= set(SLUGS)


def test_options_of_haproxy_keep_what_would_close() -> None:
    both = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert [parse(both, Options(keeps_both_lengths=keeps)) for keeps in (False, True)] == [False, True]
    with pytest.raises(WireError):
        parse(b"GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", Options())
    assert not parse(b"GET / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", Options(payload_with_any_method=True))


def parse(head: bytes, options: Options) -> bool:
    """Whether the connection is kept after that request."""
    found = RequestReader(Limits(), options).parse(head, 0)
    assert found is not None
    return found[0].keep_alive
