"""Whole checks as conversations: what is sent, what comes back, and what it comes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.health.outcome import Outcome
from tests.common.health.conversations import Conversation, bytewise, script

OK = b"HTTP/1.0 200 OK\r\nX-A: one, two\r\n\r\nhello"
HTTP = "option httpchk\n"
TCP = "option tcp-check\n"

# Lines, what the server says before it ends, outcome.
CASES = [
    ("", b"", Outcome("L4OK")),
    (HTTP, OK, Outcome("L7OK", 200)),
    (HTTP, b"HTTP/1.0 500 Oops\r\n\r\n", Outcome("L7STS", 500, "Oops")),
    (HTTP, b"HTTP/1.0 399 \r\n\r\n", Outcome("L7OK", 399)),
    (HTTP, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", Outcome("L7OK", 204)),
    (HTTP, b"", Outcome("L7RSP")),
    (HTTP, b"HTTP/1.0 200", Outcome("L7RSP")),
    (HTTP, b"garbage\r\n\r\n", Outcome("L7RSP")),
    (HTTP + "http-check expect string world", OK, Outcome("L7RSP", 0, "HTTP content check did not match")),
    (HTTP + "http-check expect string hello", OK, Outcome("L7OK", 200)),
    (HTTP + "http-check expect ! string hell", OK, Outcome("L7RSP", 0, "HTTP check matched unwanted content")),
    (HTTP + "http-check expect ! string world", OK, Outcome("L7OK", 200)),
    (HTTP + "http-check expect rstring ^h.l+o$", OK, Outcome("L7OK", 200)),
    (HTTP + "http-check expect string-lf h%[str(ell)]o", OK, Outcome("L7OK", 200)),
    (HTTP + "http-check expect comment why status 201", OK, Outcome("L7STS", 200, "OK comment: why")),
    (HTTP + "http-check expect ! status 200,404", OK, Outcome("L7STS", 200, "OK")),
    (HTTP + "http-check expect rstatus ^2", OK, Outcome("L7OK", 200)),
    (HTTP + "http-check expect hdr name x-a value two", OK, Outcome("L7OK", 200)),
    (HTTP + "http-check expect fhdr name x-a value two", OK, Outcome("L7STS", 200, "OK")),
    (HTTP + "http-check expect fhdr name -m reg ^x-.$ value -m end two", OK, Outcome("L7OK", 200)),
    (HTTP + "http-check expect hdr name -m beg X- value -m sub wo", OK, Outcome("L7OK", 200)),
    (HTTP + "http-check expect hdr name x-b", OK, Outcome("L7STS", 200, "OK")),
    (HTTP + "http-check expect on-success \"got %[res.hdr(x-a)]\" status 200", OK, Outcome("L7OK", 200, "got two")),
    (HTTP + "http-check expect on-error \"bad %[status]\" status-code int(9) error-status L7STS string x", OK,
     Outcome("L7STS", 9, "bad 200")),
    (HTTP + "http-check disable-on-404\nhttp-check expect status 200", b"HTTP/1.0 404 No\r\n\r\n", Outcome("L7OKC", 404)),
    (TCP, b"", Outcome("L4OK")),
    (TCP + "tcp-check connect", b"", Outcome("L4OK", 0, "(tcp-check)")),
    (TCP + "tcp-check send QUIT", b"", Outcome("L7OK", 0, "(tcp-check)")),
    (TCP + "tcp-check expect string 220", b"220 hi\r\n", Outcome("L7OK", 0, "(tcp-check)")),
    (TCP + "tcp-check expect string zz comment hey", b"220 hi\r\n",
     Outcome("L7RSP", 0, "TCPCHK did not match content 'zz' at step 1 comment: hey")),
    (TCP + "tcp-check connect\ntcp-check comment c\ntcp-check expect rstring ^1", b"220\r\n",
     Outcome("L7RSP", 0, "TCPCHK did not match content (regex) at step 3 comment: c")),
    (TCP + "tcp-check expect ! string 22", b"220\r\n", Outcome("L7RSP", 0, "TCPCHK matched unwanted content '22' at step 1")),
    (TCP + "tcp-check expect binary 3232", b"\x00220", Outcome("L7OK", 0, "(tcp-check)")),
    (TCP + "tcp-check expect rbinary ^00323", b"\x00220", Outcome("L7OK", 0, "(tcp-check)")),
    (TCP + "tcp-check expect binary-lf 3%[int(2)]", b"220", Outcome("L7OK", 0, "(tcp-check)")),
    (TCP + "tcp-check expect string x", b"", Outcome("L7RSP", 0, "TCPCHK got an empty response at step 1")),
    (TCP + "tcp-check send A\ntcp-check expect string x", b"", Outcome("L7RSP", 0, "TCPCHK got an empty response at step 2")),
    (TCP + "tcp-check expect ok-status L7OKC on-success \"cond %[res.len]\" string 220", b"220 hi\r\n", Outcome("L7OKC", 0, "cond 8")),
    (TCP + "tcp-check expect error-status L4CON on-error bad string 1", b"220", Outcome("L4CON", 0, "bad")),
    (TCP + "tcp-check expect min-recv 9 rstring 22", b"220", Outcome("L7OK", 0, "(tcp-check)")),
    ("option smtpchk", b"554 no\r\n", Outcome("L7STS", 554, "no")),
    ("option smtpchk", b"22", Outcome("L7RSP", 0, "22")),
    ("option smtpchk", b"", Outcome("L7RSP", 0, "TCPCHK got an empty response at step 2")),
    ("option redis-check", b"+PONG\r\n", Outcome("L7OK", 0, "Redis server is ok")),
    ("option redis-check", b"-ERR foo\r\n", Outcome("L7STS", 0, "-ERR foo")),
    ("option redis-check", b"", Outcome("L7STS", 0, "TCPCHK got an empty response at step 2")),
    ("option ssl-hello-chk", b"\x15\x03\0\0\2\2\x28", Outcome("L6OK")),
    ("option ssl-hello-chk", b"HTTP/1.0 400 Bad\r\n", Outcome("L6RSP")),
    ("option ssl-hello-chk", b"", Outcome("L6RSP", 0, "TCPCHK got an empty response at step 2")),
    ("option pgsql-check user u", b"R\0\0\0\x08\0\0\0\0", Outcome("L7OK", 0, "PostgreSQL server is ok")),
    ("option pgsql-check user u", b"E\0\0\0\x1aSFATAL\0Cxx\0Mno such\0\0", Outcome("L7RSP", 0, "FATAL no such")),
    ("option pgsql-check user u", b"what", Outcome("L7STS", 0, "PostgreSQL unknown error")),
    ("option mysql-check", b"\x09\0\0\0\x0a8.0.1\0xx", Outcome("L7OK", 0, "8.0.1")),
    ("option mysql-check", b"\x10\0\0\0\xff\x15\x04Access denied", Outcome("L7STS", 1045, "Access denied")),
    ("option mysql-check", b"\x09\0\0\0\x0a8.", Outcome("L7RSP")),
    ("option ldap-check", b"0\x0c\x02\x01\x01a\x07\x0a\x01\0\x04\0\x04\0", Outcome("L7OK", 0, "Success")),
    ("option ldap-check", b"0\x84\0\0\0\x10\x02\x01\x01a\x84\0\0\0\x07\x0a\x01\0\x04\0\x04\0", Outcome("L7OK", 0, "Success")),
    ("option ldap-check", b"0\x0c\x02\x01\x01a\x07\x0a\x01\x31\x04\0\x04\0",
     Outcome("L7STS", 49, "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9")),
    ("option ldap-check", b"HTTP", Outcome("L7RSP", 0, "Not LDAPv3 protocol")),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "said", "outcome"), CASES)
def test_what_a_server_says_decides_the_check(lines: str, said: bytes, outcome: Outcome) -> None:
    assert Conversation(lines).run([said] if said else []) == outcome


@pytest.mark.parametrize(
    ("lines", "said", "outcome"), [case for case in CASES if "(regex)" not in case[2].info and "min-recv" not in case[0]]
)
def test_the_same_byte_by_byte(lines: str, said: bytes, outcome: Outcome) -> None:
    got = Conversation(lines).run(bytewise(said))
    assert got is not None
    assert got.result is outcome.result  # a status may be told before the rest of the text has come
    assert got.name == outcome.name


@pytest.mark.parametrize("lines", ["option httpchk", "option redis-check", "option smtpchk", "option mysql-check", "option ldap-check",
                                   "option pgsql-check user u", "option tcp-check\ntcp-check expect string x"])  # fmt: skip
@given(said=st.binary(max_size=200), cut=st.integers(0, 200))
def test_no_bytes_raise_anything(lines: str, said: bytes, cut: int) -> None:
    assert Conversation(lines).run([piece for piece in (said[:cut], said[cut:]) if piece]) is not None


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (HTTP, b"HTTP/1.0 200 "),
        (HTTP + "http-check expect string world", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
        (HTTP + "http-check expect ! string world", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"),
        (TCP + "tcp-check expect string 221", b"22"),
        (TCP + "tcp-check expect ! string zz", b"220 hi"),
        (TCP + "tcp-check expect min-recv 9 string 22", b"220"),
        ("option smtpchk", b"220-more\r\n"),
        ("option redis-check", b"+PO"),
        ("option mysql-check", b"\x09\0\0"),
        ("option ldap-check", b"0\x0c\x02\x01\x01a"),
    ],
)
def test_more_is_waited_for(lines: str, said: bytes) -> None:
    assert Conversation(lines).run([said], ends=False) is None


def test_min_recv_0_decides_on_what_has_come() -> None:
    assert Conversation(TCP + "tcp-check expect min-recv 0 string zz").run([b"220"], ends=False) == Outcome(
        "L7RSP", 0, "TCPCHK did not match content 'zz' at step 1"
    )


def test_404_is_a_failure_for_a_server_that_is_down() -> None:
    lines = HTTP + "http-check disable-on-404"
    assert Conversation(lines, running=False).run([b"HTTP/1.0 404 Foo\r\n\r\n"]) == Outcome("L7STS", 404, "Foo")


def test_an_answer_longer_than_the_buffer_is_looked_at_as_far_as_it_fits() -> None:
    small = script(TCP + "tcp-check expect string needle", bytes_max=8)
    assert Conversation(small).run([b"12345678needle"], ends=False) == Outcome(
        "L7RSP", 0, "TCPCHK did not match content 'needle' at step 1"
    )


def test_a_sequence_speaks_in_turns_and_connects_anew() -> None:
    talk = Conversation(
        TCP
        + """
        tcp-check connect port 110
        tcp-check expect string +OK
        tcp-check send A\\r\\n
        tcp-check send-binary 420d0a
        tcp-check expect string +B
        tcp-check set-var(check.port) int(143)
        tcp-check connect port var(check.port) ssl sni a.example alpn x,y linger
        tcp-check send-lf "%[var(check.port)]"
        tcp-check unset-var(check.port)
    """
    )
    assert talk.run([b"+OK\r\n", b"+B\r\n"]) == Outcome("L7OK", 0, "(tcp-check)")
    assert talk.sent == [b"A\r\n", b"B\r\n", b"143"]
    assert [step.tls for step in talk.connects] == [False, True]
    assert (talk.connects[1].sni, talk.connects[1].alpn, talk.connects[1].linger) == ("a.example", ("x", "y"), True)


def test_http_sequences_judge_each_answer() -> None:
    lines = (
        HTTP
        + """
        http-check connect port 80
        http-check send meth GET uri /a
        http-check expect status 200
        http-check connect port 81
        http-check send meth GET uri /b
    """
    )
    talk = Conversation(lines)
    assert talk.run([OK, b"HTTP/1.0 503 Gone Fishing\r\n\r\n"]) == Outcome("L7STS", 503, "Gone Fishing")
    assert talk.sent == [b"GET /a HTTP/1.0\r\n\r\n", b"GET /b HTTP/1.0\r\n\r\n"]


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        ("option httpchk", b"OPTIONS / HTTP/1.0\r\n\r\n"),
        ("option httpchk /x", b"OPTIONS /x HTTP/1.0\r\n\r\n"),
        ("option httpchk HEAD /x HTTP/1.1 www", b"HEAD /x HTTP/1.1\r\nhost: www\r\nconnection: close\r\n\r\n"),
        ("option httpchk GET /x \"HTTP/1.1\\r\\nHost: www\"", b"GET /x HTTP/1.1\r\nhost: www\r\nconnection: close\r\n\r\n"),
        ("option httpchk GET /x\nhttp-check send hdr A b ver HTTP/1.1", b"GET /x HTTP/1.1\r\na: b\r\nconnection: close\r\n\r\n"),
        ("option httpchk\nhttp-check send meth POST uri-lf /%[srv_name] body abc hdr Content-Length 9",
         b"POST /s1 HTTP/1.0\r\ncontent-length: 3\r\n\r\nabc"),
        ("option httpchk\nhttp-check send-state", b"OPTIONS / HTTP/1.0\r\nx-haproxy-server-state: UP 1/3\r\n\r\n"),
        ("option smtpchk EHLO a.b", b"EHLO a.b\r\n"),
        ("option smtpchk WHAT a.b", b"HELO localhost\r\n"),
        ("option redis-check", b"*1\r\n$4\r\nPING\r\n"),
        ("option pgsql-check user bob", b"\0\0\0\x12\0\x03\0\0user\0bob\0\0"),
        ("option ldap-check", bytes.fromhex("300c020101600702010304008000")),
    ],
)  # fmt: skip
def test_what_is_asked_is_as_haproxy_asks(lines: str, sent: bytes) -> None:
    talk = Conversation(lines)
    talk.facts.state = "UP 1/3"
    talk.run([b"220 hi\r\n"] if "smtp" in lines else [])
    assert talk.sent[0] == sent


def test_mysql_login_comes_with_a_quit() -> None:
    talk = Conversation("option mysql-check user bob post-41")
    greeting = b"\x09\0\0\0\x0a8.0.1\0xx"
    assert talk.run([greeting, b"\x07\0\0\2\0\0\0\2\0\0\0"]) == Outcome("L7OK", 0, "8.0.1")
    assert talk.sent[0][:4] == b"\x25\0\0\1"
    assert talk.sent[0].endswith(b"bob\0\0\x01\0\0\0\x01")


# At which step, and what is then said of a refused connection, a broken one, and silence.
@pytest.mark.parametrize(
    ("lines", "reads", "refused", "silent"),
    [
        ("", [], Outcome("L4CON", 0, "R"), Outcome("L4TOUT")),
        (HTTP, [], Outcome("L4CON", 0, "R"), Outcome("L4TOUT")),
        (TCP + "tcp-check expect string x", [], Outcome("L4CON", 0, "R at initial connection step of tcp-check"),
         Outcome("L4TOUT", 0, " at initial connection step of tcp-check")),
        (TCP + "tcp-check connect port 1 comment hey", [], Outcome("L4CON", 0, "R at step 1 of tcp-check (connect port 1) comment: 'hey'"),
         Outcome("L4TOUT", 0, " at step 1 of tcp-check (connect port 1) comment: 'hey'")),
        (TCP + "tcp-check connect", [], Outcome("L4CON", 0, "R at step 1 of tcp-check (connect)"),
         Outcome("L4TOUT", 0, " at step 1 of tcp-check (connect)")),
    ],
)  # fmt: skip
def test_failures_of_the_connection_say_where(lines: str, reads: list[bytes], refused: Outcome, silent: Outcome) -> None:
    talk = Conversation(lines)
    next(talk.talk.run())
    talk.talk.connecting(1, tls=False)
    assert talk.talk.connect_failed("R") == refused
    assert talk.talk.timed_out(handshaking=False) == silent


def test_silence_while_expecting_says_what_was_expected() -> None:
    talk = Conversation(TCP + "tcp-check comment banner\ntcp-check expect string +OK")
    assert talk.run([], ends=False) is None
    assert talk.talk.timed_out(handshaking=False) == Outcome("L7TOUT", 0, " at step 2 of tcp-check (expect string '+OK') comment: 'banner'")
