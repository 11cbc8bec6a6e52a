"""Whole lines. Those of the default formats are byte for byte what a running HAProxy 2.6 wrote, numbers aside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.acl.environment import CompileEnvironment, Where
from common.acl.logformat import (
    CLF_FORMAT,
    HTTP_FORMAT,
    HTTPS_FORMAT,
    TCP_FORMAT,
    Purpose,
    compile_format,
    compile_log_format,
    connect_line,
    error_line,
)
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeExchange, bind, environment, facts, proxy, request, set_variables
from tests.common.acl.logged import exchange
from tests.common.acl.test_fetches_tls import Tls


def line(text: str, logged: FakeExchange | None = None) -> bytes:
    return compile_log_format(text, environment()).build(logged or exchange())


def test_option_httplog() -> None:
    assert line(HTTP_FORMAT) == (
        b'127.0.0.1:33317 [22/Nov/2026:21:49:59.254] www app/s1 1/20/2/100/238 200 2750 - - ---- 6/5/4/3/0 0/1 "GET /p?q=1 HTTP/1.1"'
    )


def test_option_httplog_with_captures_and_cookies() -> None:
    logged = exchange(
        request_captures=[b"curl/8", None], response_captures=(b"nginx",),
        cookie_request_capture=b"SID=1", cookie_response_capture=b"SID=2",
        persistence_state=b"VN", retries=2, redispatched=True,
    ).with_session(has_tls=True)  # fmt: skip
    assert line(HTTP_FORMAT, logged) == (
        b"127.0.0.1:33317 [22/Nov/2026:21:49:59.254] www~ app/s1 1/20/2/100/238 200 2750 SID=1 SID=2 --VN 6/5/4/3/+2 0/1 {curl/8|} {nginx} "
        b'"GET /p?q=1 HTTP/1.1"'
    )


def test_a_request_that_did_not_parse() -> None:
    logged = exchange(
        request=None, response=None, request_line=b"", backend=None, server=None, timers=facts().timers, termination=b"PR", bytes_out=0
    )
    assert line(HTTP_FORMAT, logged) == (
        b'127.0.0.1:33317 [22/Nov/2026:21:49:59.254] www www/<NOSRV> -1/-1/-1/-1/-1 -1 0 - - PR-- 6/5/0/0/0 0/1 "<BADREQ>"'
    )


def test_option_tcplog() -> None:
    logged = exchange().with_session(frontend=proxy("www", frontend=True))
    assert line(TCP_FORMAT, logged) == b"127.0.0.1:33317 [22/Nov/2026:21:49:59.250] www app/s1 20/2/242 2750 -- 6/5/4/3/0 0/1"


def test_option_httplog_clf() -> None:
    assert line(CLF_FORMAT) == (
        b'127.0.0.1 - - [22/Nov/2026:21:49:59 +0000] "GET /p?q=1 HTTP/1.1" 200 2750 "" "" 33317 250 "www" "app" "s1" 1 20 2 100 238 ---- '
        b'6 5 4 3 0 0 1 "" "" '
    )
    captured = exchange(request_captures=[b"a"])
    assert line(CLF_FORMAT, captured).endswith(b' 0 0 1 "" "" "a" ')
    both = exchange(request_captures=[b"a", None], response_captures=[b"b"])
    assert line(CLF_FORMAT, both).endswith(b' 0 0 1 "" "" "a" "" "b"')


def test_option_httpslog() -> None:
    logged = exchange().with_session(tls=Tls(), has_tls=True)
    assert line(HTTPS_FORMAT, logged).endswith(b'"GET /p?q=1 HTTP/1.1" 0/0000000000000000/0/19/0 a.example/TLSv1.3/TLS_AES_128_GCM_SHA256')
    plain = line(HTTPS_FORMAT)
    assert plain.endswith(b'"GET /p?q=1 HTTP/1.1" 0/-/-/-/0 -/-/-')


def test_option_logasap_marks_what_is_not_final() -> None:
    assert b" 1/20/2/100/+238 200 +2750 " in line(HTTP_FORMAT, exchange(logged_early=True))
    assert b" 20/2/+242 +2750 " in line(TCP_FORMAT, exchange(logged_early=True))


def test_the_line_of_a_failed_connection() -> None:
    failed = facts().with_session(
        src=b"\x7f\0\0\1", src_port=5, accept_date=1795384199.25, frontend=proxy("www"), bind=bind(id=0), fc_err=11
    )
    assert error_line(failed) == (
        b"127.0.0.1:5 [22/Nov/2026:21:49:59.250] www/1: Connection closed while waiting for PROXY protocol header"
    )
    failed.with_session(bind=bind(name="tls"))
    failed.error_message = b"SSL handshake failure"
    assert error_line(failed) == b"127.0.0.1:5 [22/Nov/2026:21:49:59.250] www/tls: SSL handshake failure"
    assert error_line(facts()).startswith(b"unix:0 [01/Jan/1970:00:00:00.000] /: ")


def test_the_line_without_any_format() -> None:
    assert connect_line(exchange()) == b"Connect from 127.0.0.1:33317 to 127.0.0.1:8080 (www/HTTP)"


@pytest.mark.parametrize(
    "text, result",
    [
        ("a  b\\t%%c %o x", b"a b\\t%c x"),
        (" lead trail ", b"lead trail "),
        ("%ci:%cp", b"127.0.0.1:33317"),
        ("100%%", b"100%"),
        ("%[str(a b)]", b"a b"),
        ("%{+Q}o %ci %{+X}ci %{-Q}ci %{+E}[str(x)]", b'"127.0.0.1" 7F000001 127.0.0.1 "x"'),
        ("%{+Q}[str(a)]x%ci", b'"a"x127.0.0.1'),
        ("%{+Q,+X}ci", b"7F000001"),  # hexadecimal is not quoted
        ("%{+Q +X}ci", None),
        ("%[int(5)]%[bool(1)]%[src]", b"51127.0.0.1"),
        ("", b""),
        ("plain", b"plain"),
        ("%hr|%hs", b"|"),
        ("a %hr b", b"a b"),
        ("a %hr", b"a "),
    ],
)
def test_syntax(text: str, result: bytes | None) -> None:
    if result is None:
        with pytest.raises(ExpressionError):
            line(text)
    else:
        assert line(text) == result


def test_what_is_missing() -> None:
    text = "%[var(txn.nope)]|%{+Q}[var(txn.nope)]|%{+M}[var(txn.nope)]|%{+Q,+M}[var(txn.nope)]|%{+E}[var(txn.nope)]|%[str()]"
    assert line(text) == b'-|""|-|""|-|-'
    assert compile_format(text, environment(), Purpose.HEADER).build(exchange()) == b"||-|-||"
    assert line("%CC|%{+Q}CC|%sslv|%{+Q}sslc|%ID", exchange(unique_id=b"")) == b'-|""|-|""|-'


def test_constant_formats_ask_nothing() -> None:
    constant = compile_format("a %% b", environment(), Purpose.HEADER)
    assert constant.constant == b"a % b"
    assert constant(facts()) == b"a % b"
    assert compile_format("%ci", environment()).constant is None


HOSTILE = bytes(range(256))


def hostile(value: bytes) -> FakeExchange:
    return set_variables(exchange(request=request(b"/", ((b"X", value),))), v=value)


@pytest.mark.parametrize(
    "purpose, expected",
    [
        (Purpose.LOG, b'a#0D#0Ab#00"\xff]'),
        (Purpose.HEADER, b'a%0D%0Ab%00"\xff]'),
        (Purpose.TARGET, b'a%0D%0Ab%00"%FF]'),
        (Purpose.VALUE, b'a\r\nb\0"\xff]'),
    ],
)
def test_bytes_of_samples(purpose: Purpose, expected: bytes) -> None:
    assert compile_format("%[var(txn.v)]", environment(), purpose).build(hostile(b'a\r\nb\0"\xff]')) == expected


@pytest.mark.parametrize("text", ["<%[var(txn.v)]>", "%{+Q}[var(txn.v)]", "%{+E}[var(txn.v)]", "%[req.hdr(x)] b", "%[var(txn.v),upper]"])
@given(value=st.binary(max_size=30))
def test_no_sample_brings_a_line_end(text: str, value: bytes) -> None:
    for purpose in (Purpose.LOG, Purpose.HEADER, Purpose.TARGET):
        made = compile_format(text, environment(), purpose).build(hostile(value))
        assert not set(made) & set(b"\r\n\0")
        if purpose is Purpose.TARGET and " " not in text:
            assert b" " not in made


@given(value=st.binary(max_size=40))
def test_no_request_or_capture_forges_a_line(value: bytes) -> None:
    logged = exchange(
        request_line=b"GET /" + value + b" HTTP/1.1", request_captures=[value], response_captures=[value, None],
        cookie_request_capture=value, unique_id=value,
    )  # fmt: skip
    made = line(HTTP_FORMAT + " %ID %HU %HP %HQ %hrl", logged)
    assert all(32 <= byte <= 126 for byte in made)
    assert made.count(b'"') == 2
    captures = line("%hr%hs", logged)
    assert captures.count(b"{") == captures.count(b"}") == 2 and captures.count(b"|") == 1


@given(value=st.binary(max_size=40))
def test_quoted_and_escaped_a_sample_is_one_field(value: bytes) -> None:
    made = line("%{+Q,+E}[var(txn.v)]", hostile(value))
    inside = made[1:-1].replace(b"\\\\", b"").replace(b'\\"', b"")
    assert made[:1] == made[-1:] == b'"'
    assert b'"' not in inside


def test_json() -> None:
    text = "%{+json}o %(client)ci %(port)cp text %(s:str)ST %(ok:bool)[int(1)] %(no)[var(txn.no)] %(v)[var(txn.v)] %ci"
    logged = set_variables(exchange(), v=b'say "\xc3\xa9"\n\xff')
    assert line(text, logged).decode() == (
        '{"client": "127.0.0.1", "port": 33317, "s": "200", "ok": true, "no": null, "v": "say \\"é\\"\\n\ufffd"}'
    )


def test_cbor() -> None:
    named = "%(a)[int(1)] %(b)[str(x)]"
    assert line("%{+cbor}o " + named) == b"BF616101616" + b"26178FF"
    assert line("%{+cbor,+bin}o " + named) == b"\xbf\x61a\x01\x61b\x61x\xff"


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("%xx", "unknown log variable"),
        ("%", "breaks off"),
        ("a%", "breaks off"),
        ("%[foo", "foo"),
        ("%[src", r"\]"),
        ("%[]", "fetch"),
        ("%[str(a)b]", r'"\]"'),
        ("%{+Z}ci", "flag"),
        ("%{+Q", "closing"),
        ("%(a", "closing"),
        ("%(a b)ci", "item name"),
        ("%(a:float)ci", "item type"),
        ("%bx", "unknown log variable"),
        ("%[req.hdr(host)]", "the request's head"),
    ],
)
def test_mistakes(text: str, complaint: str) -> None:
    with pytest.raises(ExpressionError, match=complaint):
        line(text)


def test_variables_of_http_need_mode_http() -> None:
    tcp = CompileEnvironment(where=Where.LOG, proxy=proxy(mode="tcp"))
    compile_log_format(TCP_FORMAT, tcp)
    with pytest.raises(ExpressionError, match="mode http"):
        compile_log_format("%HM", tcp)


def test_a_mistyped_variable_gets_a_hint() -> None:
    with pytest.raises(ExpressionError) as caught:
        line("%HMM")
    assert '"HM"' in caught.value.hint


@given(st.text(alphabet='%{}[]()+-QXEMo,:"\\ acirsthjnb', max_size=30))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        made = compile_log_format(text, environment())
    except ExpressionError:
        return
    assert isinstance(made.build(exchange()), bytes)
