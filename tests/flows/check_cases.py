"""Health checks that HAProxy and Usher must make alike: what goes to the server, and what is logged of its answer.

A case is a backend with one server, and what that server does with each connection. `talk` is a little script: bytes are sent,
`R` reads what is there, `R…` reads until that text, `RST` resets, `CLOSE` closes, `STALL` waits for the other end.
"""

from __future__ import annotations

from dataclasses import dataclass

STALL, CLOSE, RST, PAUSE, R = "STALL", "CLOSE", "RST", "PAUSE", "R"
END = "\r\n\r\n"
HEAD = "R" + END

SEND = "http-check connect\nhttp-check send meth GET uri /%d\nhttp-check expect status %d\n"


def http(status: str = "200 OK", *fields: str, body: str = "") -> tuple[str, ...]:
    """Reads a request's head and gives that answer."""
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body)}"]
    return (HEAD, ">" + "\r\n".join(lines) + END + body)


@dataclass(frozen=True, slots=True)
class CheckCase:
    """lines: of the backend, beside log-health-checks. talk: of the server; () = nobody listens. words: of the server line.

    place: "server" or "full" (a backlog without room). tls: the server speaks TLS. differs: why Usher's lines are not the same.
    """

    name: str
    lines: str = ""
    talk: tuple[str, ...] = (STALL,)
    words: str = ""
    place: str = "server"
    tls: bool = False
    differs: str = ""

    def section(self) -> str:
        place = "refused" if not self.talk else self.place
        lines = "".join(f"    {line}\n" for line in self.lines.splitlines())
        return (
            f"\nbackend {self.name}\n    option log-health-checks\n    timeout check 500ms\n{lines}"
            f"    server s <{place}:{self.name}> check inter 2s rise 2 fall 2 {self.words}\n"
        )

    def __str__(self) -> str:
        return self.name


HTTP = "option httpchk\n"
TCP = "option tcp-check\n"
OK = http()
PONG = ("R", ">+PONG\r\n")
SMTP = (">220 mail.example ESMTP\r\n", "R\r\n", ">250 mail.example\r\n", "R\r\n", ">221 bye\r\n")
_MYSQL_HELLO = (
    "\x0a8.0.30\x00\x08\x00\x00\x00abcdefgh\x00\xff\xf7\x08\x02\x00\xff\x8f\x15" + "\x00" * 10 + "ijklmnopqrst\x00mysql_native_\x00"
)
MYSQL_GREETING = chr(len(_MYSQL_HELLO)) + "\0\0\0" + _MYSQL_HELLO
MYSQL_OK = "\x07\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00"
MYSQL_DENIED = "\x16\x00\x00\x02\xff\x15\x04#28000Access denied"
LDAP_OK = "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00"
LDAP_NO = "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00"

CASES = [
    # --- connections
    CheckCase("tcp_ok"),
    CheckCase("tcp_refused", talk=()),
    CheckCase("tcp_timeout", place="full"),
    CheckCase("tcp_reset", talk=(RST,)),
    CheckCase("tcp_closed", talk=(CLOSE,)),
    # --- HTTP
    CheckCase("http_ok", HTTP, OK),
    CheckCase("http_refused", HTTP, ()),
    CheckCase("http_timeout", HTTP, place="full"),
    CheckCase("http_stall", HTTP),
    CheckCase("http_reset", HTTP, (R, RST)),
    CheckCase("http_reset_at_once", HTTP, (RST,)),
    CheckCase("http_close", HTTP, (R, CLOSE)),
    CheckCase("http_garbage", HTTP, (R, ">garbage\r\n\r\n", CLOSE)),
    CheckCase("http_half_head", HTTP, (R, ">HTTP/1.1 200 OK\r\nA: b\r\n", CLOSE)),
    CheckCase("http_half_head_stall", HTTP, (R, ">HTTP/1.1 200 OK\r\nA: b\r\n", STALL)),
    CheckCase("http_half_body", HTTP, (R, ">HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", CLOSE)),
    CheckCase("http_half_body_stall", HTTP, (R, ">HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", STALL)),
    CheckCase("http_500", HTTP, http("500 Internal Server Error")),
    CheckCase("http_404", HTTP, http("404 Not Found")),
    CheckCase("http_503_reason", HTTP, http("503 Please go away now")),
    CheckCase("http_500_no_reason", HTTP, http("500")),
    CheckCase("http_302", HTTP, http("302 Found", "Location: /x")),
    CheckCase("http_404_disable", HTTP + "http-check disable-on-404", http("404 Not Found")),
    CheckCase(
        "http_100_first",
        HTTP,
        (HEAD, ">HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        differs="an interim answer is not the last word (RFC 9110 15.2)",
    ),
    CheckCase("http_old_uri", "option httpchk /health", OK),
    CheckCase("http_old_method", "option httpchk HEAD /health", OK),
    CheckCase("http_old_version", "option httpchk GET /health HTTP/1.1", OK),
    CheckCase("http_old_fields", r"option httpchk GET /health HTTP/1.1\r\nHost:\ www.example.com\r\nX-A:\ b", OK),
    CheckCase("http_send", HTTP + "http-check send meth GET uri /a ver HTTP/1.1 hdr Host x hdr X-A b", OK),
    CheckCase("http_send_body", HTTP + "http-check send meth POST uri /a ver HTTP/1.1 hdr Host x body hello", OK),
    CheckCase("http_send_body_10", HTTP + "http-check send meth POST uri /a body hello", OK),
    CheckCase(
        "http_send_lf",
        HTTP + "http-check send meth GET uri-lf /%[be_name]/%[srv_name] ver HTTP/1.1 hdr Host %[srv_name] body-lf %[be_name]",
        OK,
    ),
    CheckCase("http_send_connection", HTTP + "http-check send meth GET uri / ver HTTP/1.1 hdr Host x hdr Connection keep-alive", OK),
    CheckCase(
        "http_send_content_length", HTTP + "http-check send meth POST uri / ver HTTP/1.1 hdr Host x hdr Content-Length 99 body hello", OK
    ),
    CheckCase("http_send_comment", HTTP + 'http-check send meth GET uri / comment "ask for root"', http("500 No")),
    CheckCase("http_connect_comment", HTTP + 'http-check connect comment "the door"\nhttp-check send meth GET uri /', ()),
    CheckCase("http_connect_refused", HTTP + "http-check connect\nhttp-check send meth GET uri /", ()),
    CheckCase("http_send_state", HTTP + "http-check send-state", OK),
    CheckCase("http_expect_status", HTTP + "http-check expect status 200", http("204 No Content")),
    CheckCase("http_expect_status_range", HTTP + "http-check expect status 200-399,404", http("404 Not Found")),
    CheckCase("http_expect_not_status", HTTP + "http-check expect ! status 500", http("500 Oops")),
    CheckCase("http_expect_rstatus", HTTP + "http-check expect rstatus ^2", http("302 Found")),
    CheckCase("http_expect_rstatus_ok", HTTP + "http-check expect rstatus ^2", OK),
    CheckCase("http_expect_not_rstatus", HTTP + "http-check expect ! rstatus ^5", http("503 Sorry")),
    CheckCase("http_expect_string_ok", HTTP + "http-check expect string hello", http(body="well hello there")),
    CheckCase("http_expect_string_no", HTTP + "http-check expect string hello", http(body="good bye")),
    CheckCase("http_expect_string_empty", HTTP + "http-check expect string hello", OK),
    CheckCase("http_expect_not_string", HTTP + "http-check expect ! string error", http(body="an error")),
    CheckCase("http_expect_not_string_ok", HTTP + "http-check expect ! string error", http(body="fine")),
    CheckCase("http_expect_rstring", HTTP + "http-check expect rstring h.llo", http(body="hallo")),
    CheckCase("http_expect_rstring_no", HTTP + "http-check expect rstring h.llo", http(body="no")),
    CheckCase("http_expect_not_rstring", HTTP + "http-check expect ! rstring h.llo", http(body="hallo")),
    CheckCase("http_expect_string_lf", HTTP + "http-check expect string-lf %[be_name]", http(body="http_expect_string_lf")),
    CheckCase("http_expect_string_lf_no", HTTP + "http-check expect string-lf %[be_name]", http(body="x")),
    CheckCase("http_expect_comment", HTTP + 'http-check expect status 200 comment "must be there"', http("500 No")),
    CheckCase("http_expect_comment_in_middle", HTTP + 'http-check expect comment "must be there" status 200', http("500 No")),
    CheckCase("http_expect_string_comment", HTTP + 'http-check expect comment "body says so" string hello', http(body="no")),
    CheckCase(
        "http_expect_min_recv", HTTP + "http-check expect min-recv 5 string hello", (HEAD, ">HTTP/1.1 200 OK\r\n\r\nhel", ">lo", CLOSE)
    ),
    CheckCase("http_expect_ok_status", HTTP + "http-check expect ok-status L7OKC status 200", OK),
    CheckCase("http_expect_ok_status_l6", HTTP + "http-check expect ok-status L6OK status 200", OK),
    CheckCase("http_expect_error_status", HTTP + "http-check expect error-status L7OKC status 200", http("500 No")),
    CheckCase("http_expect_error_status_l4", HTTP + "http-check expect error-status L4CON status 200", http("500 No")),
    CheckCase(
        "http_expect_on_error", HTTP + 'http-check expect on-error "bad %[res.hdr(x-why)]" status 200', http("500 No", "X-Why: because")
    ),
    CheckCase(
        "http_expect_on_success",
        HTTP + 'http-check expect on-success "good %[res.hdr(x-why)]" status 200',
        http("200 OK", "X-Why: because"),
    ),
    CheckCase("http_expect_status_code", HTTP + "http-check expect status-code res.hdr(x-code) status 200", http("500 No", "X-Code: 123")),
    CheckCase(
        "http_expect_status_code_ok", HTTP + "http-check expect status-code res.hdr(x-code) status 200", http("200 OK", "X-Code: 123")
    ),
    CheckCase("http_expect_hdr", HTTP + "http-check expect hdr name x-test", http("200 OK", "X-Test: a")),
    CheckCase("http_expect_hdr_no", HTTP + "http-check expect hdr name x-none", http("200 OK", "X-Test: a")),
    CheckCase("http_expect_hdr_value", HTTP + "http-check expect hdr name x-test value b", http("200 OK", "X-Test: a, b")),
    CheckCase("http_expect_fhdr_value", HTTP + "http-check expect fhdr name x-test value b", http("200 OK", "X-Test: a, b")),
    CheckCase("http_expect_fhdr_whole", HTTP + 'http-check expect fhdr name x-test value "a, b"', http("200 OK", "X-Test: a, b")),
    CheckCase("http_expect_hdr_beg", HTTP + "http-check expect hdr name -m beg x-te value -m end bc", http("200 OK", "X-Test: abc")),
    CheckCase("http_expect_hdr_sub", HTTP + "http-check expect hdr name -m sub tes value -m reg ^a.c$", http("200 OK", "X-Test: abc")),
    CheckCase("http_expect_hdr_reg_name", HTTP + "http-check expect hdr name -m reg ^x-t value -m str ABC", http("200 OK", "X-Test: abc")),
    CheckCase(
        "http_expect_hdr_lf",
        HTTP + "http-check expect hdr name-lf x-%[str(test)] value-lf %[be_name]",
        http("200 OK", "X-Test: http_expect_hdr_lf"),
    ),
    CheckCase(
        "http_expect_hdr_lf_no", HTTP + "http-check expect hdr name-lf x-%[str(test)] value-lf %[be_name]", http("200 OK", "X-Test: b")
    ),
    CheckCase("http_expect_not_hdr", HTTP + "http-check expect ! hdr name x-test", http("200 OK", "X-Test: b")),
    CheckCase("http_expect_full", HTTP + "http-check expect fhdr name x-test value -m beg a", http("200 OK", "X-Test: abc")),
    CheckCase("http_set_var", HTTP + "http-check set-var(check.a) str(/there)\nhttp-check send meth GET uri-lf %[var(check.a)]", OK),
    CheckCase(
        "http_set_var_fmt", HTTP + "http-check set-var-fmt(check.a) /there/%[srv_name]\nhttp-check send meth GET uri-lf %[var(check.a)]", OK
    ),
    CheckCase(
        "http_unset_var",
        HTTP + "http-check set-var(check.a) str(/there)\nhttp-check unset-var(check.a)\nhttp-check send meth GET uri-lf /%[var(check.a)]",
        OK,
    ),
    CheckCase(
        "http_two_exchanges",
        HTTP + SEND % (1, 200) + SEND % (2, 200),
        OK,
    ),
    CheckCase(
        "http_two_exchanges_second_fails",
        HTTP + SEND % (1, 200) + SEND % (2, 201),
        OK,
    ),
    CheckCase(
        "http_comment_line",
        HTTP + 'http-check comment "first"\nhttp-check send meth GET uri /1\nhttp-check comment "second"\nhttp-check expect status 201',
        OK,
    ),
    CheckCase("http_connect_port", HTTP + "http-check connect port <refused_port>\nhttp-check send meth GET uri /", OK),
    CheckCase("http_connect_send_proxy", HTTP + "http-check connect send-proxy\nhttp-check send meth GET uri /", OK),
    CheckCase(
        "http_chunked",
        HTTP + "http-check expect string hello",
        (HEAD, ">HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"),
    ),
    CheckCase("http_http10", HTTP + "http-check expect string hello", (HEAD, ">HTTP/1.0 200 OK\r\n\r\nhello", CLOSE)),
    CheckCase("http_http10_no", HTTP + "http-check expect string hello", (HEAD, ">HTTP/1.0 200 OK\r\n\r\nhullo", CLOSE)),
    CheckCase("http_proxy_v1", HTTP, OK, "send-proxy"),
    CheckCase("http_proxy_v2", HTTP, OK, "check-send-proxy send-proxy-v2"),
    CheckCase("http_inverse_range", HTTP + "http-check expect ! status 200-299", http("204 No Content")),
    # --- TLS
    CheckCase("tls_ok", "", (STALL,), "ssl verify none", tls=True),
    CheckCase("tls_check_ssl", HTTP, OK, "check-ssl verify none", tls=True),
    CheckCase("tls_refused", HTTP, (), "ssl verify none"),
    CheckCase("tls_to_plain", HTTP, (R, ">HTTP/1.0 400 Bad\r\n\r\n", CLOSE), "ssl verify none"),
    CheckCase("tls_stall", HTTP, (STALL,), "ssl verify none"),
    CheckCase("tls_close", HTTP, (R, CLOSE), "ssl verify none"),
    CheckCase("tls_close_at_once", HTTP, (CLOSE,), "ssl verify none"),
    CheckCase("tls_reset", HTTP, (R, RST), "ssl verify none"),
    CheckCase("tls_untrusted", HTTP, OK, "ssl ca-file <file:other.pem>", tls=True, differs="the reason of a refused certificate is told"),
    CheckCase("tls_trusted", HTTP, OK, "ssl ca-file <file:ca.pem>", tls=True),
    CheckCase("tls_sni", HTTP, OK, "ssl verify none check-sni a.example", tls=True),
    CheckCase("tls_alpn", HTTP, OK, "ssl verify none check-alpn http/1.1", tls=True),
    CheckCase("tls_connect_ssl", TCP + "tcp-check connect ssl", (STALL,), "verify none", tls=True),
    CheckCase("tls_connect_default", TCP + "tcp-check connect default", (STALL,), "ssl verify none", tls=True),
    CheckCase("tls_no_check_ssl", "", (STALL,), "ssl verify none no-check-ssl", tls=False),
    # --- tcp-check
    CheckCase("tcp_check_nothing", TCP),
    CheckCase("tcp_check_refused", TCP, ()),
    CheckCase("tcp_check_timeout", TCP, place="full"),
    CheckCase("tcp_check_connect_refused", TCP + "tcp-check connect", ()),
    CheckCase("tcp_check_connect_port_refused", TCP + "tcp-check connect port <refused_port>"),
    CheckCase("tcp_check_connect_port_comment", TCP + 'tcp-check connect port <refused_port> comment "the other door"'),
    CheckCase("tcp_check_connect_timeout", TCP + "tcp-check connect", place="full"),
    CheckCase("tcp_check_second_connect", TCP + "tcp-check connect\ntcp-check connect port <refused_port>"),
    CheckCase("tcp_check_expect", TCP + "tcp-check expect string +OK", (">+OK ready\r\n", STALL)),
    CheckCase("tcp_check_expect_no", TCP + "tcp-check expect string +OK", (">-ERR\r\n", STALL)),
    CheckCase("tcp_check_expect_no_close", TCP + "tcp-check expect string +OK", (">-ERR\r\n", CLOSE)),
    CheckCase("tcp_check_expect_stall", TCP + "tcp-check expect string +OK", (STALL,)),
    CheckCase("tcp_check_expect_close", TCP + "tcp-check expect string +OK", (CLOSE,)),
    CheckCase("tcp_check_expect_reset", TCP + "tcp-check expect string +OK", (PAUSE, RST)),
    CheckCase("tcp_check_expect_not", TCP + "tcp-check expect ! string ERR", (">-ERR\r\n", STALL)),
    CheckCase("tcp_check_expect_not_ok", TCP + "tcp-check expect ! string ERR", (">+OK\r\n", CLOSE)),
    CheckCase("tcp_check_rstring", TCP + "tcp-check expect rstring ^.OK", (">+OK\r\n", STALL)),
    CheckCase("tcp_check_rstring_no", TCP + "tcp-check expect rstring ^.OK", (">-ERR\r\n", CLOSE)),
    CheckCase("tcp_check_not_rstring", TCP + "tcp-check expect ! rstring ERR", (">-ERR\r\n", STALL)),
    CheckCase("tcp_check_binary", TCP + "tcp-check send-binary 01ff\ntcp-check expect binary ff02", (R, ">\xff\x02", STALL)),
    CheckCase("tcp_check_binary_no", TCP + "tcp-check send-binary 01ff\ntcp-check expect binary ff03", (R, ">\xff\x02", CLOSE)),
    CheckCase("tcp_check_rbinary", TCP + "tcp-check expect rbinary ^FF..$", (">\xff\x02", STALL)),
    CheckCase("tcp_check_rbinary_no", TCP + "tcp-check expect rbinary ^FE..$", (">\xff\x02", CLOSE)),
    CheckCase("tcp_check_string_lf", TCP + "tcp-check expect string-lf %[be_name]", (">tcp_check_string_lf\r\n", STALL)),
    CheckCase("tcp_check_string_lf_no", TCP + "tcp-check expect string-lf %[be_name]", (">no\r\n", CLOSE)),
    CheckCase("tcp_check_binary_lf", TCP + "tcp-check expect binary-lf %[str(ok),hex]", (">ok\r\n", STALL)),
    CheckCase("tcp_check_binary_lf_no", TCP + "tcp-check expect binary-lf %[str(ok),hex]", (">no\r\n", CLOSE)),
    CheckCase("tcp_check_send", TCP + "tcp-check send PING\\r\\n\ntcp-check expect string +PONG", ("R\r\n", ">+PONG\r\n", STALL)),
    CheckCase(
        "tcp_check_send_lf",
        TCP + 'tcp-check send-lf "PING %[srv_name]\\r\\n"\ntcp-check expect string +PONG',
        ("R\r\n", ">+PONG\r\n", STALL),
    ),
    CheckCase(
        "tcp_check_send_binary_lf",
        TCP + "tcp-check send-binary-lf %[str(ping),hex]0a\ntcp-check expect string +PONG",
        ("R\n", ">+PONG\r\n", STALL),
    ),
    CheckCase(
        "tcp_check_send_comment",
        TCP + 'tcp-check send PING\\r\\n comment "say it"\ntcp-check expect string +PONG',
        ("R\r\n", ">-ERR\r\n", CLOSE),
    ),
    CheckCase("tcp_check_expect_comment", TCP + 'tcp-check expect comment "must greet" string +OK', (">-ERR\r\n", CLOSE)),
    CheckCase("tcp_check_expect_comment_stall", TCP + 'tcp-check expect comment "must greet" string +OK', (STALL,)),
    CheckCase(
        "tcp_check_comment_line",
        TCP + 'tcp-check comment "part one"\ntcp-check send PING\\r\\n\ntcp-check comment "part two"\ntcp-check expect string +PONG',
        ("R\r\n", ">-ERR\r\n", CLOSE),
    ),
    CheckCase("tcp_check_min_recv", TCP + "tcp-check expect min-recv 6 string OK", (">+O", ">K\r\n\r\n", STALL)),
    CheckCase("tcp_check_min_recv_0", TCP + "tcp-check expect min-recv 0 string OK", (">+NO", STALL)),
    CheckCase("tcp_check_min_recv_fails", TCP + "tcp-check expect min-recv 4 string OK", (">+NO\r\n", STALL)),
    CheckCase("tcp_check_min_recv_long", TCP + "tcp-check expect min-recv 6 string OK", (">+O", PAUSE, ">K", CLOSE)),
    CheckCase("tcp_check_min_recv_match_early", TCP + "tcp-check expect min-recv 6 string OK", (">+OK", STALL)),
    CheckCase("tcp_check_min_recv_match_early_not", TCP + "tcp-check expect min-recv 6 ! string OK", (">+OK", STALL)),
    CheckCase("tcp_check_min_recv_short", TCP + "tcp-check expect min-recv 1 string OK", (">+O", PAUSE, ">K", CLOSE)),
    CheckCase("tcp_check_min_recv_one_byte", TCP + "tcp-check expect min-recv 6 string OK", (">O", PAUSE, ">K", CLOSE)),
    CheckCase("tcp_check_min_recv_regex", TCP + "tcp-check expect min-recv 4 rstring O.", (">+O", PAUSE, ">K", STALL)),
    CheckCase("tcp_check_min_recv_regex_4", TCP + "tcp-check expect min-recv 4 rstring O.$", (">+O-", PAUSE, ">-OK", STALL)),
    CheckCase("tcp_check_min_recv_regex_no", TCP + "tcp-check expect min-recv 4 rstring XX", (">+O-", PAUSE, ">-OK", STALL)),
    CheckCase("tcp_check_min_recv_not", TCP + "tcp-check expect min-recv 4 ! string OK", (">+O-", STALL)),
    CheckCase("tcp_check_min_recv_not_6", TCP + "tcp-check expect min-recv 6 ! string NO", (">+OKOK-", STALL)),
    CheckCase("tcp_check_not_stall", TCP + "tcp-check expect ! string NO", (">+OKOK-", STALL)),
    CheckCase(
        "http_min_recv_no", HTTP + "http-check expect min-recv 3 string hello", (HEAD, ">HTTP/1.1 200 OK\r\n\r\nhel", PAUSE, ">p", STALL)
    ),
    CheckCase(
        "http_min_recv_0",
        HTTP + "http-check expect min-recv 0 string hello",
        (HEAD, ">HTTP/1.1 200 OK\r\n\r\nhel", PAUSE, ">p", STALL),
        differs="0 is conclusive, as the manual says",
    ),
    CheckCase("http_not_string_stall", HTTP + "http-check expect ! string hello", (HEAD, ">HTTP/1.1 200 OK\r\n\r\nhel", STALL)),
    CheckCase("tcp_check_on_error", TCP + 'tcp-check expect on-error "got %[res.len]" string OK', (">+NO", CLOSE)),
    CheckCase("tcp_check_on_success", TCP + 'tcp-check expect on-success "got %[res.len]" string OK', (">+OK", STALL)),
    CheckCase("tcp_check_status_code", TCP + 'tcp-check expect status-code "res.payload(0,3)" string OK', (">250 NO", CLOSE)),
    CheckCase("tcp_check_ok_status", TCP + "tcp-check expect ok-status L7OKC string OK", (">+OK", STALL)),
    CheckCase("tcp_check_error_status", TCP + "tcp-check expect error-status L7STS string OK", (">+NO", CLOSE)),
    CheckCase("tcp_check_tout_status", TCP + "tcp-check expect tout-status L6TOUT string OK", (STALL,)),
    CheckCase(
        "tcp_check_three_steps",
        TCP + "tcp-check expect string 220\ntcp-check send QUIT\\r\\n\ntcp-check expect string 221",
        (">220 hi\r\n", "R\r\n", ">500 no\r\n", CLOSE),
    ),
    CheckCase(
        "tcp_check_three_steps_ok",
        TCP + "tcp-check expect string 220\ntcp-check send QUIT\\r\\n\ntcp-check expect string 221",
        (">220 hi\r\n", "R\r\n", ">221 bye\r\n", CLOSE),
    ),
    CheckCase("tcp_check_two_sends", TCP + "tcp-check send A\ntcp-check send B\\n\ntcp-check expect string x", ("R\n", ">x", STALL)),
    CheckCase("tcp_check_send_only", TCP + "tcp-check send A\\n", ("R\n", STALL)),
    CheckCase(
        "tcp_check_connect_send_proxy",
        TCP + "tcp-check connect send-proxy\ntcp-check send A\\n\ntcp-check expect string x",
        ("RA\n", ">x", STALL),
    ),
    CheckCase("tcp_check_linger", TCP + "tcp-check connect linger\ntcp-check send A\\n\ntcp-check expect string x", ("RA\n", ">x", STALL)),
    CheckCase(
        "tcp_check_set_var",
        TCP + "tcp-check set-var(check.p) int(7)\ntcp-check send-lf %[var(check.p)]\\n\ntcp-check expect string x",
        ("R7", ">x", STALL),
    ),
    CheckCase("tcp_check_var_port", TCP + "tcp-check set-var(check.p) int(<refused_port>)\ntcp-check connect port var(check.p)", (STALL,)),
    CheckCase("tcp_check_bad_port", TCP + "tcp-check set-var(check.p) int(0)\ntcp-check connect port var(check.p)", (STALL,)),
    CheckCase("tcp_check_addr", TCP + "tcp-check connect addr 127.0.0.9 port <refused_port>", (STALL,)),
    CheckCase("tcp_check_big_answer", TCP + "tcp-check expect string never", (">" + "x" * 20000, STALL)),
    CheckCase("tcp_check_after_answer_expect_again", TCP + "tcp-check expect string a\ntcp-check expect string b", (">ab", STALL)),
    CheckCase("tcp_check_server_addr_port", "", (STALL,), "addr 127.0.0.9 port <refused_port>"),
    # --- ready-made
    CheckCase("ssl_hello", "option ssl-hello-chk", (R, ">\x16\x03\x00\x00\x02\x02\x00", STALL)),
    CheckCase("ssl_hello_alert", "option ssl-hello-chk", (R, ">\x15\x03\x00\x00\x02\x02\x28", CLOSE)),
    CheckCase("ssl_hello_http", "option ssl-hello-chk", (R, ">HTTP/1.0 400 Bad\r\n\r\n", CLOSE)),
    CheckCase("ssl_hello_close", "option ssl-hello-chk", (R, CLOSE)),
    CheckCase("ssl_hello_stall", "option ssl-hello-chk", (R, STALL)),
    CheckCase("ssl_hello_refused", "option ssl-hello-chk", ()),
    CheckCase("smtp_ok", "option smtpchk", SMTP),
    CheckCase("smtp_ehlo", "option smtpchk EHLO my.example", (">220 hi\r\n", "R\r\n", ">250-a\r\n250 b\r\n", "R\r\n", ">221 bye\r\n")),
    CheckCase("smtp_bad_hello", "option smtpchk WHAT my.example", SMTP),
    CheckCase("smtp_banner_no", "option smtpchk", (">554 go away\r\n", STALL)),
    CheckCase(
        "smtp_hello_no",
        "option smtpchk",
        (">220 hi\r\n", "R\r\n", ">550 who are you\r\n", STALL),
        differs="a refusal is complete when its line is",
    ),
    CheckCase("smtp_quit_no", "option smtpchk", (">220 hi\r\n", "R\r\n", ">250 ok\r\n", "R\r\n", ">421 stay\r\n", STALL)),
    CheckCase("smtp_garbage", "option smtpchk", (">hello there\r\n", STALL)),
    CheckCase("smtp_stall", "option smtpchk"),
    CheckCase("smtp_close", "option smtpchk", (CLOSE,)),
    CheckCase("smtp_refused", "option smtpchk", ()),
    CheckCase("redis_ok", "option redis-check", PONG),
    CheckCase(
        "redis_no", "option redis-check", (R, ">-LOADING Redis is loading\r\n", STALL), differs="a refusal is complete when its line is"
    ),
    CheckCase("redis_noauth", "option redis-check", (R, ">-NOAUTH Authentication required.\r\n", CLOSE)),
    CheckCase("redis_close", "option redis-check", (R, CLOSE)),
    CheckCase("redis_stall", "option redis-check", (R, STALL)),
    CheckCase("mysql_ok", "option mysql-check", (">" + MYSQL_GREETING, STALL)),
    CheckCase("mysql_user", "option mysql-check user haproxy", (">" + MYSQL_GREETING, R, ">" + MYSQL_OK, STALL)),
    CheckCase("mysql_pre41", "option mysql-check user haproxy pre-41", (">" + MYSQL_GREETING, R, ">" + MYSQL_OK, STALL)),
    CheckCase("mysql_post41", "option mysql-check user haproxy post-41", (">" + MYSQL_GREETING, R, ">" + MYSQL_OK, STALL)),
    CheckCase("mysql_denied", "option mysql-check user haproxy", (">" + MYSQL_GREETING, R, ">" + MYSQL_DENIED, CLOSE)),
    CheckCase("mysql_error", "option mysql-check", (">\x16\x00\x00\x00\xff\x69\x04Host is blocked now", CLOSE)),
    CheckCase("mysql_garbage", "option mysql-check", (">HTTP/1.0 400 Bad\r\n\r\n", CLOSE)),
    CheckCase("mysql_close", "option mysql-check", (CLOSE,)),
    CheckCase("mysql_stall", "option mysql-check"),
    CheckCase("pgsql_ok", "option pgsql-check user haproxy", (R, ">R\x00\x00\x00\x08\x00\x00\x00\x00", STALL)),
    CheckCase(
        "pgsql_error",
        "option pgsql-check user haproxy",
        (R, ">E\x00\x00\x00\x30SFATAL\x00C28000\x00Mno such role\x00\x00", CLOSE),
        differs="the message is told, not its severity alone",
    ),
    CheckCase("pgsql_unknown", "option pgsql-check user haproxy", (R, ">Xwhatever", CLOSE)),
    CheckCase("pgsql_close", "option pgsql-check user haproxy", (R, CLOSE)),
    CheckCase("pgsql_stall", "option pgsql-check user haproxy", (R, STALL)),
    CheckCase("ldap_ok", "option ldap-check", (R, ">" + LDAP_OK, STALL)),
    CheckCase("ldap_no", "option ldap-check", (R, ">" + LDAP_NO, CLOSE)),
    CheckCase("ldap_garbage", "option ldap-check", (R, ">HTTP/1.0 400 Bad\r\n\r\n", CLOSE)),
    CheckCase("ldap_close", "option ldap-check", (R, CLOSE)),
    CheckCase("ldap_stall", "option ldap-check", (R, STALL)),
]
