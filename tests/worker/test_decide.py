"""Rules at work in the running program, seen from both sides: the same stories with Usher and with HAProxy 2.6.

Where Usher deliberately does something else, the scenario says why, and then the story must fail with HAProxy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.conftest import need
from tests.flows import certificates
from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.programs import HAPROXY, USHER, Program
from tests.flows.scenarios import Scenario, sections

_ASK = "client << GET /x?q=1 HTTP/1.1|Host: a||"
_PAGE = "Content-Type: text/html|Cache-Control: no-cache|Content-Length: *"


def answered(name: str, lines: str, answer: str, *, ask: str = _ASK, log: str = "", **more: str) -> Scenario:
    """A request that the program answers itself."""
    return Scenario(name, f"{ask}\nclient >> {answer}\n" + (f"log >> {log}\n" if log else ""), lines=lines, **more)  # type: ignore[arg-type]


def forwarded(name: str, lines: str, head: str, *, ask: str = _ASK, log: str = "", **more: str) -> Scenario:
    """A request that reaches the server like this, and is answered."""
    story = f"""
    {ask}
    server >> {head}
    server << HTTP/1.1 200 OK|Content-Length: 0||
    client >> HTTP/1.1 200 OK|Content-Length: 0||
    """
    return Scenario(name, story + (f"log >> {log}\n" if log else ""), lines=lines, **more)  # type: ignore[arg-type]


# --- answers -----------------------------------------------------------------------------------------------------------

ANSWERS = [
    answered(
        "return_with_a_made_body",
        "http-request return status 418 content-type text/plain lf-string %[method] hdr X-P %[path]",
        "HTTP/1.1 418 I'm a teapot|X-P: /x|Content-Length: 3|Content-Type: text/plain||GET",
        log="<NOSRV> 0/-1/-1/-1/[0-9]+ 418 [0-9]+ - - LR--",
    ),
    answered("return_is_an_empty_200", "http-request return", "HTTP/1.1 200 OK|Content-Length: 0||", log="200 [0-9]+ - - LR--"),
    answered("deny_with_a_status_only", "http-request deny status 404", "HTTP/1.1 404 Not Found|Content-Length: 0||", log="404 .* PR--"),
    answered(
        "deny_with_the_old_word_has_a_page", "http-request deny deny_status 404", f"HTTP/1.1 404 Not Found|{_PAGE}||*", log="404 .* PR--"
    ),
    answered(
        "auth_asks_for_a_password",
        "http-request auth realm Here",
        f'HTTP/1.1 401 Unauthorized|{_PAGE}|WWW-Authenticate: Basic realm="Here"||*',
        log="401 [0-9]+ - - LR--",
    ),
    answered(
        "auth_asks_a_client_of_a_proxy",
        "option http-use-proxy-header\n    http-request auth",
        f"HTTP/1.1 407 Unauthorized|{_PAGE}|Proxy-Authenticate: *||*",
        ask="client << GET http://a/ HTTP/1.1|Host: a|Proxy-Connection: keep-alive||",
    ),
    answered(
        "http_error_makes_the_page",
        "http-error status 403 content-type text/plain lf-string no-%[path] hdr X-E e\n    http-request deny",
        "HTTP/1.1 403 Forbidden|X-E: e|Content-Type: text/plain|Content-Length: 5||no-/x",
    ),
    answered("monitor_is_answered_and_not_logged", "monitor-uri /x?q=1", f"HTTP/1.1 200 OK|{_PAGE}||*"),
    answered(
        "monitor_fails",
        "monitor-uri /x?q=1\n    monitor fail if { src 127.0.0.0/8 }",
        f"HTTP/1.1 503 Service Unavailable|{_PAGE}||*",
    ),
    answered(
        "after_response_rules_run_on_own_answers",
        "http-request deny\n    http-after-response set-header X-Was %[status]\n    http-after-response set-status 404",
        f"HTTP/1.1 404 Not Found|{_PAGE}|X-Was: 403||~.*403 Forbidden.*",
        log=" 404 [0-9]+ - - PR--",
    ),
    answered(
        "strict_normalizer_refuses",
        "http-request normalize-uri percent-to-uppercase strict",
        f"HTTP/1.1 400 Bad request|{_PAGE}|Connection: close||*\nclient >> eof",
        ask="client << GET /%zz HTTP/1.1|Host: a||",
        log="400 [0-9]+ - - PR--",
    ),
    answered(
        "early_hints_go_before_the_answer",
        "http-request early-hint Link </a>\n    http-request early-hint X b\n    http-request deny",
        f"HTTP/1.1 103 Early Hints|Link: </a>|X: b||\nclient >> HTTP/1.1 403 Forbidden|{_PAGE}||*",
    ),
    answered(
        "rewriting_that_grows_too_much_fails",
        "http-request set-header X-B " + "%[req.hdr(x-m)]" * 6,
        f"HTTP/1.1 500 Internal Server Error|{_PAGE}||*",
        ask=f"client << GET / HTTP/1.1|Host: a|X-M: {'a' * 5000}||",
        log=" 500 [0-9]+ - - PR--",
    ),
    answered(
        "method_that_is_none_fails",
        "http-request set-method %[req.hdr(x-m)]",
        f"HTTP/1.1 500 Internal Server Error|{_PAGE}||*",
        ask="client << GET / HTTP/1.1|Host: a|X-M: A B||",
        unlike_haproxy="HAProxy sends the server a request line of four words",
    ),
    Scenario("reject_closes", f"{_ASK}\nclient >> eof\nlog >> -1 0 - - PR--", lines="http-request reject"),
    Scenario("silent_drop_is_silent", f"{_ASK}\nclient >> silence 0.3\nlog >> -1 0 - - PR--", lines="http-request silent-drop"),
    Scenario(
        "tarpit_answers_late",
        f"""
        {_ASK}
        client >> silence 0.2
        client >> HTTP/1.1 500 Internal Server Error|{_PAGE}||*
        log >> /[34][0-9][0-9]/-1/-1/.* 500 .* PT--
        """,
        lines="timeout tarpit 400ms\n    http-request tarpit",
    ),
    Scenario(
        "tarpit_ends_when_the_client_closes",
        f"{_ASK}\nclient << half-close\nclient >> HTTP/1.1 429 Too Many Requests|{_PAGE}||*\nlog >> 429 .* PT--",
        lines="timeout tarpit 1m\n    http-request tarpit deny_status 429",
        only_usher="HAProxy notices the end of the client only if it has come with the request",
    ),
    answered("redirect_line_takes_its_target_as_it_is", "redirect location /100%", "HTTP/1.1 302 Found|Location: /100%|...||"),
    Scenario(
        "redirect_lines_run_behind_the_rules",
        """
        client << GET /x HTTP/1.1|Host: a||
        client >> HTTP/1.1 302 Found|Location: /line|...||
        client << GET /y HTTP/1.1|Host: a||
        client >> HTTP/1.1 302 Found|Location: /rule|...||
        """,
        lines="redirect location /line\n    http-request allow if { path /x }\n    http-request redirect location /rule",
    ),
]

# --- rewriting -----------------------------------------------------------------------------------------------------------

REWRITES = [
    forwarded(
        "variables",
        """http-request set-var-fmt(txn.a) <%[path]>
    http-request set-var(txn.a,ifnotset) str(no)
    http-request set-header X-A %[var(txn.a)]
    http-request unset-var(txn.a)
    http-request set-header X-B [%[var(txn.a)]]""",
        "GET /x?q=1 HTTP/1.1|Host: a|X-A: </x>|X-B: []||",
    ),
    forwarded(
        "backreferences",
        r"http-request replace-header Cookie (.*)S=([^;]*)(.*) \1X=\2;b\3",
        "GET /x HTTP/1.1|Host: a|Cookie: A=1; X=z;b; B=2||",
        ask="client << GET /x HTTP/1.1|Host: a|Cookie: A=1; S=z; B=2||",
    ),
    forwarded(
        "replace_value",
        r"http-request replace-value X-L ^b(.*) <\1>",
        "GET /x HTTP/1.1|Host: a|X-L: a,<cd>,<>||",
        ask="client << GET /x HTTP/1.1|Host: a|X-L: a, bcd,b||",
    ),
    forwarded("replace_pathq", r"http-request replace-pathq ([^?]*)(\?(.*))? \1/foo\2", "GET /x/foo?q=1 HTTP/1.1|Host: a||"),
    forwarded("set_uri_brings_its_host", "http-request set-uri http://b/y", "GET http://b/y HTTP/1.1|Host: b||"),
    forwarded(
        "source_address",
        "http-request set-src req.hdr(x-f)\n    http-request set-header X-S %[src]",
        "GET / HTTP/1.1|Host: a|X-F: 192.0.2.7|X-S: 192.0.2.7||",
        ask="client << GET / HTTP/1.1|Host: a|X-F: 192.0.2.7||",
    ),
    forwarded(
        "addresses_and_variables_of_the_connection",
        """tcp-request connection set-src str(192.0.2.9)
    tcp-request session set-var(sess.a) str(x)
    tcp-request content set-src-port int(1234)
    http-request set-header X-S %[src]:%[src_port]/%[var(sess.a)]""",
        "GET /x?q=1 HTTP/1.1|Host: a|X-S: 192.0.2.9:1234/x||",
    ),
    forwarded(
        "unique_id_goes_on_and_is_logged",
        """unique-id-format id-%[path]
    unique-id-header X-Id
    http-request set-header X-Seen [%[req.hdr(x-id)]]
    log-format '%f/ %ID'""",
        "GET /x?q=1 HTTP/1.1|Host: a|X-Seen: []|X-Id: id-/x||",
        log="id-/x",
    ),
    forwarded(
        "hostile_value_stays_one_line",
        "http-request set-header X-B a%[path,url_dec]b",
        "GET /%0d%0aEvil:1 HTTP/1.1|Host: a|X-B: a/%0D%0AEvil:1b||",
        ask="client << GET /%0d%0aEvil:1 HTTP/1.1|Host: a||",
    ),
    forwarded(
        "captures",
        """capture request header Host len 10
    declare capture request len 2
    capture cookie SID len 6
    http-request capture method id 1
    http-request set-header X-C %[capture.req.hdr(0)],%[capture.req.hdr(1)]""",
        "GET /x HTTP/1.1|Host: a|Cookie: B=1; SID=abc|X-C: a,GE||",
        ask="client << GET /x HTTP/1.1|Host: a|Cookie: B=1; SID=abc||",
        log=r"SID=ab - ---- .* \{a\|GE\} ",
    ),
    forwarded(
        "captures_have_their_slots_in_the_order_of_the_file",
        """http-request capture path len 10
    capture request header Host len 10
    http-request capture method len 10
    http-request set-header X-C %[capture.req.hdr(0)],%[capture.req.hdr(1)],%[capture.req.hdr(2)]""",
        "GET /x?q=1 HTTP/1.1|Host: a|X-C: /x,a,GET||",
        log=r"\{/x\|a\|GET\} ",
    ),
    forwarded("redirect_line_is_no_format", "redirect location /%[path] if { path /y }", "GET /x?q=1 HTTP/1.1|Host: a||"),
    forwarded(
        "frontend_and_backend_rules",
        "",
        "GET /x?q=1 HTTP/1.1|Host: a|X-A: front|X-B: front-back||",
        config="""
frontend {name}
    bind <listen:client>
    http-request allow if { path /y }
    http-request set-header X-A front
    default_backend {name}-b
backend {name}-b
    http-request set-header X-B %[req.hdr(x-a)]-back
    server server <server:server>
""",
    ),
]

_NAMES = "client << GET / HTTP/1.1|Host: a|X_A: 1|X-B: 2||"

NAMES = [
    forwarded(
        "unusual_names_are_deleted_behind_the_rules",
        "option http-restrict-req-hdr-names delete\n    http-request set-header X-C %[req.hdr(x_a)]",
        "GET / HTTP/1.1|Host: a|X-B: 2|X-C: 1||",
        ask=_NAMES,
    ),
    answered("unusual_names_are_refused", "option http-restrict-req-hdr-names reject", f"HTTP/1.1 403 Forbidden|{_PAGE}||*", ask=_NAMES),
    forwarded(
        "unusual_names_are_preserved",
        "option http-restrict-req-hdr-names preserve",
        "GET / HTTP/1.1|Host: a|X_A: 1|X-B: 2||",
        ask=_NAMES,
    ),
]

RESPONSES = [
    Scenario(
        "response_is_rewritten_by_backend_then_frontend",
        f"""
        {_ASK}
        server >> GET /x?q=1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Server: s|Content-Length: 2||ok
        client >> HTTP/1.1 299 Fine|X-A: back|X-B: back-front|X-C: 299|Content-Length: 2||ok
        log >> 299
        """,
        config="""
frontend {name}
    bind <listen:client>
    http-response set-header X-B %[res.hdr(x-a)]-front
    http-after-response set-header X-C %[status]
    default_backend {name}-b
backend {name}-b
    http-response set-header X-A back
    http-response del-header Server
    http-response set-status 299 reason Fine
    server server <server:server>
""",
    ),
    Scenario(
        "response_denied",
        f"""
        {_ASK}
        server >> GET /x?q=1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 502 Bad Gateway|{_PAGE}||*
        log >> /-1/[0-9]+ 502 [0-9]+ - - PH--
        """,
        lines="http-response deny if { status 200 }",
    ),
    Scenario(
        "response_replaced",
        f"""
        {_ASK}
        server >> GET /x?q=1 HTTP/1.1|Host: a||
        server << HTTP/1.1 500 Oops|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Type: text/plain|Content-Length: 5||sorry
        log >> 200 [0-9]+ - - LH--
        """,
        lines="http-response return status 200 content-type text/plain string sorry if { status 500 }",
    ),
    Scenario(
        "response_redirected",
        f"""
        {_ASK}
        server >> GET /x?q=1 HTTP/1.1|Host: a||
        server << HTTP/1.1 404 Not Found|Content-Length: 0||
        client >> HTTP/1.1 302 Found|Location: /y|...||
        log >> 302 [0-9]+ - - LH--
        """,
        lines="http-response redirect location /y if { status 404 }",
    ),
    Scenario(
        "response_content_rejected",
        f"""
        {_ASK}
        server >> GET /x?q=1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> eof
        log >> -1 0 - - PD--
        """,
        lines="tcp-response content reject",
    ),
]

# --- bodies ------------------------------------------------------------------------------------------------------------

_POST = "client << POST /x HTTP/1.1|Host: a|Content-Length: 5||"
_WAIT = "http-request wait-for-body time 5s\n    http-request set-header X-B %[req.body]"


def waited(name: str, sent: str, lines: str, head: str) -> Scenario:
    return forwarded(name, lines, head, ask=sent)


BODIES = [
    waited(
        "body_is_waited_for",
        f"{_POST}he\nwait 0.1\nclient << llo",
        _WAIT,
        "POST /x HTTP/1.1|Host: a|Content-Length: 5|X-B: hello||hello",
    ),
    waited(
        "chunked_body_is_waited_for",
        "client << POST /x HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|he\nwait 0.1\nclient << llo|0||",
        _WAIT,
        "POST /x HTTP/1.1|Host: a|Transfer-Encoding: chunked|X-B: hello||5|hello|0||",
    ),
    waited(
        "enough_of_a_body_is_waited_for",
        f"{_POST}he\nwait 0.3\nclient << llo",
        "http-request wait-for-body time 5s at-least 2\n    http-request set-header X-B %[req.body]",
        "POST /x HTTP/1.1|Host: a|Content-Length: 5|X-B: he||hello",
    ),
    waited(
        "client_that_expects_is_told_to_go_on",
        "client << POST /x HTTP/1.1|Host: a|Expect: 100-continue|Content-Length: 5||\nclient >> HTTP/1.1 100 Continue||\nclient << hello",
        _WAIT,
        "POST /x HTTP/1.1|Host: a|Content-Length: 5|X-B: hello||hello",
    ),
    answered(
        "body_that_does_not_come",
        "http-request wait-for-body time 300ms",
        f"HTTP/1.1 408 Request Time-out|{_PAGE}|Connection: close||*\nclient >> eof",
        ask=f"{_POST}he",
        log="408 [0-9]+ - - cR--",
    ),
    answered(
        "buffered_body_that_does_not_come",
        "option http-buffer-request\n    timeout http-request 300ms",
        f"HTTP/1.1 408 Request Time-out|{_PAGE}|Connection: close||*\nclient >> eof",
        ask=f"{_POST}he",
        log="408 [0-9]+ - - cR--",
    ),
    Scenario(
        "client_that_ends_its_body_early",
        f"{_POST}he\nclient << half-close\nclient >> eof\nlog >> -1 0 - - CR--",
        lines="option http-buffer-request",
    ),
    waited(
        "buffered_request_is_seen_whole",
        f"{_POST}he\nwait 0.1\nclient << llo",
        "option http-buffer-request\n    http-request set-header X-B %[req.body_len]/%[req.body_size]",
        "POST /x HTTP/1.1|Host: a|Content-Length: 5|X-B: 5/5||hello",
    ),
]

# --- choosing ----------------------------------------------------------------------------------------------------------

_SERVERS = """
frontend {name}
    bind <listen:client>
    use_backend {name}-%[path,field(2,/)] if { path_beg /to }
    default_backend {name}-b
backend {name}-b
    use-server s3 if { path /3 }
    use-server s2 if { path /3 /2 }
    use-server %[str(s1)] if { path /1 }
    server s1 <server:one>
    server s2 <server:two>
    server s3 <server:three> disabled
backend {name}-too
    server s <server:too>
"""


def chosen(name: str, path: str, server: str, log: str) -> Scenario:
    story = f"""
    client << GET {path} HTTP/1.1|Host: a||
    {server} >> GET {path} HTTP/1.1|Host: a||
    {server} << HTTP/1.1 204 No Content||
    client >> HTTP/1.1 204 No Content||
    log >> {log}
    """
    return Scenario(name, story, config=_SERVERS)


CHOICES = [
    chosen("server_by_name", "/2", "two", "-b/s2 "),
    chosen("server_by_a_made_name", "/1", "one", "-b/s1 "),
    chosen("server_that_is_down_is_passed_over", "/3", "two", "-b/s2 "),
    chosen("backend_by_a_made_name", "/too/x", "too", "-too/s "),
    chosen("backend_that_is_not_there_is_the_default_one", "/to/x", "one", "-b/s1 "),
]

# --- connections and contents ---------------------------------------------------------------------------------------------

_HTTP_REQUEST = "GET / HTTP/1.1|Host: a||"


def content(name: str, lines: str, story: str, **more: str) -> Scenario:
    """In mode tcp, with two backends."""
    config = f"""
frontend {{name}}
    mode tcp
    bind <listen:client>
    {lines}
    default_backend {{name}}-b
backend {{name}}-b
    mode tcp
    server s <server:server>
backend {{name}}-b2
    mode tcp
    server s <server:other>
"""
    return Scenario(name, story, config=config, **more)  # type: ignore[arg-type]


CONTENTS = [
    forwarded(
        "proxy_header_is_expected_by_rule",
        "tcp-request connection expect-proxy layer4 if { src 127.0.0.0/8 }\n    http-request set-header X-S %[src]:%[src_port]",
        "GET / HTTP/1.1|Host: a|X-S: 192.0.2.1:77||",
        ask="client << PROXY TCP4 192.0.2.1 192.0.2.2 77 80|GET / HTTP/1.1|Host: a||",
    ),
    Scenario(
        "proxy_header_that_is_expected_and_does_not_come",
        "client << GET / HTTP/1.1|Host: a||\nclient >> end",
        lines="tcp-request connection expect-proxy layer4",
    ),
    Scenario(
        "rules_know_the_name_that_a_tls_client_asks_for",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a|X-N: localhost|X-V: TLSv1.3||
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        client << GET /drop HTTP/1.1|Host: a||
        client >> silence 0.3
        """,
        bind="ssl crt <file:localhost.pem>",
        lines="""tcp-request session set-var(sess.name) ssl_fc_sni
    http-request silent-drop if { path /drop }
    http-request set-header X-N %[var(sess.name)]
    http-request set-header X-V %[ssl_fc_protocol]""",
        tls=True,
    ),
    Scenario("session_rejected", f"{_ASK}\nclient >> end", lines="tcp-request session reject if { src 127.0.0.1 }"),
    answered(
        "request_that_is_whole_does_not_wait_for_the_end_of_the_delay",
        "tcp-request inspect-delay 1m\n    tcp-request content accept if WAIT_END\n    http-request deny",
        f"HTTP/1.1 403 Forbidden|{_PAGE}||*",
    ),
    answered(
        "request_that_is_not_whole_waits_for_the_end_of_the_delay",
        "tcp-request inspect-delay 300ms\n    tcp-request content accept if WAIT_END\n    http-request deny",
        f"silence 0.15\nclient >> HTTP/1.1 403 Forbidden|{_PAGE}|...||*",
        ask=f"{_POST}he",
    ),
    Scenario("content_rejected", f"{_ASK}\nclient >> eof\nlog >> -1 0 - - PR--", lines="tcp-request content reject if { path /x }"),
    content(
        "contents_are_kept_until_the_rules_know",
        "tcp-request inspect-delay 5s\n    tcp-request content accept if HTTP\n    use_backend {name}-b2 if { req.hdr(host) a }",
        f"""
        client << GET / HTTP/1.1|Ho
        wait 0.1
        client << st: a||
        other >> {_HTTP_REQUEST}
        other << hello
        client >> bytes hello
        log >> -b2/s
        """,
    ),
    content(
        "bytes_that_are_no_http_are_known_at_once",
        "tcp-request inspect-delay 5s\n    tcp-request content accept if HTTP\n    tcp-request content reject",
        r"client << \x16\x03\x01" + "\nclient >> end\nlog >> PR ",
    ),
    content(
        "silent_client_is_rejected_after_the_delay",
        "tcp-request inspect-delay 300ms\n    tcp-request content accept if { req.len gt 0 }\n    tcp-request content reject",
        "client << connect\nclient >> silence 0.1\nclient >> end",
    ),
    content(
        "silent_client_is_served_after_the_delay_by_default",
        "tcp-request inspect-delay 200ms\n    tcp-request content reject if { req.len gt 0 }",
        "client << connect\nserver << hello\nclient >> bytes hello",
    ),
    content(
        "client_that_ends_is_not_waited_for",
        "tcp-request inspect-delay 5s\n    tcp-request content accept if { req.len gt 5 }\n    tcp-request content reject",
        "client << ab\nclient << half-close\nclient >> eof\nlog >> PR ",
    ),
    Scenario(
        "connection_becomes_http",
        f"""
        client << GET / HT
        wait 0.1
        client << TP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a|X-Y: z||
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        client << {_HTTP_REQUEST}
        server >> GET / HTTP/1.1|Host: a|X-Y: z||
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        """,
        config="""
frontend {name}
    mode tcp
    bind <listen:client>
    tcp-request inspect-delay 5s
    tcp-request content switch-mode http if HTTP
    http-request set-header X-Y z
    default_backend {name}-b
backend {name}-b
    server server <server:server>
""",
    ),
    Scenario(
        "backend_of_mode_http_makes_the_connection_http",
        f"""
        client << {_HTTP_REQUEST}
        server >> GET / HTTP/1.1|Host: a|X-Y: z||
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        """,
        config="""
frontend {name}
    mode tcp
    bind <listen:client>
    default_backend {name}-b
backend {name}-b
    http-request set-header X-Y z
    server server <server:server>
""",
    ),
    Scenario(
        "what_a_server_says_first_is_rejected",
        "client << hi\nserver >> bytes hi\nserver << bad answer\nclient >> end\nserver >> end\nlog >> PD ",
        lines="mode tcp\n    tcp-response inspect-delay 5s\n    tcp-response content reject if { res.len gt 5 }",
    ),
    Scenario(
        "server_is_closed_after_what_it_said",
        "client << hi\nserver >> bytes hi\nserver << long answer\nclient >> bytes long answer\nclient >> eof\nserver >> end",
        lines="mode tcp\n    tcp-response inspect-delay 5s\n    tcp-response content close if { res.len gt 5 }",
    ),
    Scenario(
        "client_goes_on_while_the_server_is_inspected",
        "client << one\nserver >> bytes one\nclient << two\nserver >> bytes two\nserver << answer\nclient >> bytes answer",
        lines="mode tcp\n    tcp-response inspect-delay 5s\n    tcp-response content accept if { res.len gt 5 }",
    ),
]

SCENARIOS = ANSWERS + REWRITES + NAMES + RESPONSES + BODIES + CHOICES + CONTENTS


@pytest.fixture(scope="module", params=[USHER, HAPROXY], ids=lambda program: program.name)
def flow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    program: Program = request.param
    if program.package:
        need(program.package)
    folder = tmp_path_factory.mktemp(program.name)
    certificates.put_into(folder)
    lines = one_worker(program.name) + ("\n    expose-experimental-directives" if program is HAPROXY else "")
    with Flow(folder, (program, defaults(global_lines=lines) + sections(SCENARIOS, program.name))) as started:
        yield started


@pytest.mark.interop
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(flow: Flow, scenario: Scenario) -> None:
    scenario.play(flow)


def test_names_of_scenarios_differ() -> None:
    names = [scenario.name for scenario in SCENARIOS]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"\w+", name) for name in names)
