"""What the program itself answers, and how each session's end is logged: bad requests, bad servers, and timeouts.

The two letters in a log line are HAProxy's (manual 8.5 "Session state at disconnection").
"""

from __future__ import annotations

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.scenarios import Scenario, sections

_ASK = """
        client << GET /x HTTP/1.1|Host: a||
        server >> GET /x HTTP/1.1|Host: a||
"""

REFUSED_REQUESTS = [
    *(
        Scenario(
            f"bad_request_{name}",
            f"""
            client << {text}
            client >> HTTP/1.1 400 Bad request|...||~.*400 Bad request.*
            client >> end
            log >> 400 [0-9]+ - - PR--
            """,
        )
        for name, text in {
            "without_a_version_that_exists": "GET / HTTP/9.9.9|Host: a||",
            "with_a_space_in_a_field_name": "GET / HTTP/1.1|Host: a|X Y: 1||",
            "with_two_lengths": "POST / HTTP/1.1|Host: a|Content-Length: 5|Content-Length: 6||hello",
            "with_a_negative_length": "POST / HTTP/1.1|Host: a|Content-Length: -1||",
            "that_is_no_http": "\\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01\\xfc\\x03\\x03||",
        }.items()
    ),
    Scenario(
        "bad_request_with_a_nul_in_a_value",
        """
        client << GET / HTTP/1.1|Host: a|X: \\x00||
        client >> HTTP/1.1 400 Bad request|...||*
        client >> end
        """,
        lines="timeout server 100ms",
        unlike_haproxy="RFC 9110 5.5: HAProxy 2.6 forwards NUL in values",
    ),
    Scenario(
        "head_larger_than_the_buffer_is_refused",
        """
        client << GET / HTTP/1.1|Host: a|X-Big:\x20
        client << *1700 0123456789
        client << ||
        client >> ~HTTP/1.1 4[03][01] .*|...||*
        client >> end
        log >> (400|431) [0-9]+ - - PR--
        """,
    ),
    Scenario(
        "head_larger_than_the_buffer_is_a_431",
        """
        client << GET / HTTP/1.1|Host: a|X-Big:\x20
        client << *1700 0123456789
        client << ||
        client >> HTTP/1.1 431 Request Header Fields Too Large|...||*
        client >> end
        """,
        unlike_haproxy="RFC 6585 names the reason; HAProxy 2.6 answers 400 to everything it cannot take",
    ),
    Scenario(
        "target_larger_than_the_buffer_is_a_414",
        """
        client << GET /
        client << *1700 0123456789
        client <<  HTTP/1.1|Host: a||
        client >> HTTP/1.1 414 URI Too Long|...||*
        client >> end
        """,
        unlike_haproxy="RFC 9110 15.5.15 names the reason; HAProxy 2.6 answers 400 to everything it cannot take",
    ),
    Scenario(
        "more_fields_than_allowed_are_refused",
        """
        client << GET / HTTP/1.1|Host: a|
        client << *150 X: y|
        client << |
        client >> ~HTTP/1.1 4[03][01] .*|...||*
        client >> end
        """,
    ),
    Scenario(
        "client_that_leaves_before_a_whole_head_is_logged_as_such",
        """
        client << GET / HTTP/1.1|Ho
        client << close
        log >> <BADREQ>|CR--|CR
        """,
    ),
    Scenario(
        "client_that_says_nothing_is_not_logged_with_dontlognull",
        """
        client << connect
        client << close
        client2 << GET /x HTTP/1.1|Host: a||
        server >> GET /x HTTP/1.1|Host: a||
        server << HTTP/1.1 204 No Content||
        client2 >> HTTP/1.1 204 No Content||
        log >> 204
        """,
    ),
]

BAD_SERVERS = [
    Scenario(
        "server_refuses_503",
        """
        client << GET /x HTTP/1.1|Host: a||
        client >> HTTP/1.1 503 Service Unavailable|Content-Type: text/html|Cache-Control: no-cache|Content-Length: 107|...||*
        log >> 503 [0-9]+ - - SC-- [0-9]+/[0-9]+/[0-9]+/[0-9]+/\\+?[0-9]+ 0/0 "GET /x HTTP/1.1"
        """,
        servers="server s <refused:server>\n    retries 0",
    ),
    Scenario(
        "no_server_at_all_503",
        """
        client << GET /x HTTP/1.1|Host: a||
        client >> HTTP/1.1 503 Service Unavailable|...||*
        log >> no_server_at_all_503/<NOSRV> 0/-1/-1/-1/[0-9]+ 503 [0-9]+ - - SC--
        """,
        servers="",
    ),
    Scenario(
        "server_closes_without_an_answer_502",
        _ASK
        + """
        server << close
        client >> HTTP/1.1 502 Bad Gateway|...||*
        log >> s 0/0/[0-9]+/-1/[0-9]+ 502 [0-9]+ - - SH--
        """,
    ),
    Scenario(
        "server_resets_without_an_answer_502",
        _ASK
        + """
        server << reset
        client >> HTTP/1.1 502 Bad Gateway|...||*
        log >> 502 [0-9]+ - - SH--
        """,
    ),
    Scenario(
        "server_closes_within_its_head_502",
        _ASK
        + """
        server << HTTP/1.1 200 OK|Content-Le
        server << close
        client >> HTTP/1.1 502 Bad Gateway|...||*
        log >> 502 [0-9]+ - - SH--
        """,
    ),
    *(
        Scenario(
            f"server_answers_{name}_502",
            _ASK
            + f"""
            server << {text}
            client >> HTTP/1.1 502 Bad Gateway|...||*
            log >> 502 [0-9]+ - - PH--
            """,
        )
        for name, text in {
            "no_http": "SSH-2.0-OpenSSH_9.2|",
            "two_lengths": "HTTP/1.1 200 OK|Content-Length: 1|Content-Length: 2||xx",
            "a_space_in_a_field_name": "HTTP/1.1 200 OK|X Y: 1||",
        }.items()
    ),
    Scenario(
        "server_head_larger_than_the_buffer_502",
        _ASK
        + """
        server << *1700 HTTP/1.1 200 OK|X-Big: 0123456789
        client >> HTTP/1.1 502 Bad Gateway|...||*
        """,
    ),
    Scenario(
        "body_cut_short_by_the_server_cuts_the_client",
        _ASK
        + """
        server << HTTP/1.1 200 OK|Content-Length: 10||hello
        server << close
        client >> bytes HTTP/1.1 200 OK|
        client << half-close
        log >> 200 [0-9]+ - - SD--
        """,
    ),
    Scenario(
        "chunks_cut_short_by_the_server_cut_the_client",
        _ASK
        + """
        server << HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|
        server << close
        client >> bytes HTTP/1.1 200 OK|
        log >> 200 [0-9]+ - - SD--
        """,
    ),
    Scenario(
        "client_that_leaves_during_the_answer_is_logged_as_such",
        _ASK
        + """
        server << HTTP/1.1 200 OK|Content-Length: 10||hello
        client >> bytes HTTP/1.1 200 OK|
        client << reset
        server << world
        log >> 200 [0-9]+ - - CD--
        """,
    ),
]

TIMEOUTS = [
    Scenario(
        "slow_head_408",
        """
        client << GET / HTTP/1.1|Host:
        client >> silence 0.1
        client >> HTTP/1.1 408 Request Time-out|...||*
        client >> end
        log >> <NOSRV> -1/-1/-1/-1/[0-9]+ 408 [0-9]+ - - cR-- .* "<BADREQ>"
        """,
        lines="timeout http-request 200ms",
    ),
    Scenario(
        "slow_head_falls_back_to_the_client_timeout",
        """
        client << GET / HTTP/1.1|Host:
        client >> silence 0.1
        client >> HTTP/1.1 408 Request Time-out|...||*
        client >> end
        """,
        lines="timeout client 200ms",
    ),
    Scenario(
        "dripping_head_does_not_move_the_deadline",
        """
        client << GET / HTTP/1.1|Host: a|X:\x20
        wait 0.15
        client << 1
        wait 0.15
        client << 2
        client >> HTTP/1.1 408 Request Time-out|...||*
        client >> end
        """,
        lines="timeout http-request 200ms",
    ),
    Scenario(
        "idle_keep_alive_connection_is_closed_in_silence",
        """
        client << GET /x HTTP/1.1|Host: a||
        server >> GET /x HTTP/1.1|Host: a||
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        client >> silence 0.1
        client >> eof
        """,
        lines="timeout http-keep-alive 200ms",
    ),
    Scenario(
        "slow_second_head_on_a_kept_connection_408",
        """
        client << GET /x HTTP/1.1|Host: a||
        server >> GET /x HTTP/1.1|Host: a||
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        client << GET /y
        client >> HTTP/1.1 408 Request Time-out|...||*
        client >> end
        """,
        lines="timeout http-keep-alive 2s\n    timeout http-request 200ms",
    ),
    Scenario(
        "silent_server_504",
        _ASK
        + """
        client >> silence 0.1
        client >> HTTP/1.1 504 Gateway Time-out|...||*
        log >> 0/0/[0-9]+/-1/[0-9]+ 504 [0-9]+ - - sH--
        """,
        lines="timeout server 200ms",
    ),
    Scenario(
        "server_that_stalls_in_its_body_cuts_the_client",
        _ASK
        + """
        server << HTTP/1.1 200 OK|Content-Length: 10||hello
        client >> bytes HTTP/1.1 200 OK|
        log >> 200 [0-9]+ - - sD--
        """,
        lines="timeout server 200ms",
    ),
    Scenario(
        "connect_that_hangs_503",
        """
        client << GET /x HTTP/1.1|Host: a||
        client >> silence 0.1
        client >> HTTP/1.1 503 Service Unavailable|...||*
        log >> 0/0/-1/-1/[0-9]+ 503 [0-9]+ - - sC--
        """,
        lines="timeout connect 200ms",
        servers="server s <full:server>\n    retries 0",
    ),
    Scenario(
        "queue_that_does_not_move_503",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        client2 << GET /2 HTTP/1.1|Host: a||
        client2 >> silence 0.1
        client2 >> HTTP/1.1 503 Service Unavailable|...||*
        log >> 503 [0-9]+ - - sQ--
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        """,
        lines="timeout queue 200ms",
        servers="server s <server:server> maxconn 1",
    ),
    Scenario(
        "queued_request_is_served_when_the_server_is_free",
        """
        client << GET /1 HTTP/1.1|Host: a|Connection: close||
        server >> GET /1 HTTP/1.1|Host: a|...||
        client2 << GET /2 HTTP/1.1|Host: a|Connection: close||
        client2 >> silence 0.05
        server << HTTP/1.1 200 OK|Content-Length: 1|Connection: close||1
        server << close
        client >> HTTP/1.1 200 OK|Content-Length: 1|...||1
        server2 >> GET /2 HTTP/1.1|Host: a|...||
        server2 << HTTP/1.1 200 OK|Content-Length: 1||2
        client2 >> HTTP/1.1 200 OK|Content-Length: 1|...||2
        """,
        lines="timeout queue 2s",
        servers="server s <server:server> maxconn 1",
    ),
    Scenario(
        "slow_request_body_408",
        """
        client << POST /x HTTP/1.1|Host: a|Content-Length: 10||hello
        server >> bytes POST /x HTTP/1.1|
        client >> HTTP/1.1 408 Request Time-out|...||*
        client >> end
        log >> 408 [0-9]+ - - c[DH]--
        """,
        lines="timeout client 200ms\n    timeout server 1s",
        unlike_haproxy="manual 8.5 says cH for this; HAProxy 2.6 lets the server's timer run out (504, sH)",
    ),
    Scenario(
        "idle_tunnel_is_closed_by_its_own_timeout",
        """
        client << GET /chat HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: echo||
        server >> GET /chat HTTP/1.1|Host: a|Connection: ~(?i)upgrade|Upgrade: echo||
        server << HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: echo||
        client >> HTTP/1.1 101 Switching Protocols|Connection: ~(?i)upgrade|Upgrade: echo||
        client >> silence 0.2
        client << ping
        server >> bytes ping
        client >> end
        server >> end
        """,
        lines="timeout client 100ms\n    timeout server 100ms\n    timeout tunnel 400ms",
    ),
    Scenario(
        "tunnel_outlives_the_client_and_server_timeouts",
        """
        client << GET /chat HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: echo||
        server >> GET /chat HTTP/1.1|Host: a|Connection: ~(?i)upgrade|Upgrade: echo||
        server << HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: echo||
        client >> HTTP/1.1 101 Switching Protocols|Connection: ~(?i)upgrade|Upgrade: echo||
        client >> silence 0.4
        client << ping
        server >> bytes ping
        """,
        lines="timeout client 100ms\n    timeout server 100ms\n    timeout tunnel 5s",
    ),
]

RETRIES = [
    Scenario(
        "redispatch_finds_the_other_server",
        """
        client << GET /x HTTP/1.1|Host: a||
        good >> GET /x HTTP/1.1|Host: a||
        good << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        log >> redispatch_finds_the_other_server/good [0-9/]+ 204 [0-9]+ - - ---- [0-9]+/[0-9]+/[0-9]+/[0-9]+/\\+1 0/0
        """,
        lines="balance roundrobin\n    retries 1\n    option redispatch",
        servers="server bad <refused:bad>\n    server good <server:good>",
    ),
    Scenario(
        "retries_are_counted_in_the_log",
        """
        client << GET /x HTTP/1.1|Host: a||
        client >> HTTP/1.1 503 Service Unavailable|...||*
        log >> 503 [0-9]+ - - SC-- [0-9]+/[0-9]+/[0-9]+/[0-9]+/1 0/0
        """,
        lines="retries 1\n    timeout connect 100ms",
        servers="server s <refused:server>",
    ),
    Scenario(
        "request_body_reaches_the_server_after_a_redispatch",
        """
        client << POST /x HTTP/1.1|Host: a|Content-Length: 5||hello
        good >> POST /x HTTP/1.1|Host: a|Content-Length: 5||hello
        good << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        """,
        lines="balance roundrobin\n    retries 1\n    option redispatch",
        servers="server bad <refused:bad>\n    server good <server:good>",
    ),
]

SCENARIOS = REFUSED_REQUESTS + BAD_SERVERS + TIMEOUTS + RETRIES


def configuration(program: str) -> str:
    return defaults() + sections(SCENARIOS, program)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)
