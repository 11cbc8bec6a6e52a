"""Between a client and a server when something is unusual: who closes, who leaves early, who answers early, what is tried again."""

from __future__ import annotations

import pytest

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.scenarios import Scenario, sections

OK = "HTTP/1.1 200 OK|Content-Length: 2||ok"


def exchange(request: str = "GET / HTTP/1.1|Host: a||", *, server: str = "server", expected: str = "GET / HTTP/1.1|Host: a||") -> str:
    return f"""
        client << {request}
        {server} >> {expected}
        {server} << {OK}
        client >> {OK}
    """


CLOSING = [
    Scenario(
        "http_server_close_tells_the_server_and_keeps_the_client",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a|Connection: close||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        server >> end
        client << GET /2 HTTP/1.1|Host: a||
        server2 >> GET /2 HTTP/1.1|Host: a|Connection: close||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="option http-server-close",
    ),
    Scenario(
        "http_server_close_of_the_frontend_does_too",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a|Connection: close||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        server >> end
        """,
        config="""
frontend {name}
    bind <listen:client>
    option http-server-close
    default_backend {name}_b
backend {name}_b
    server s <server:server>
""",
    ),
    Scenario(
        "httpclose_of_the_backend_closes_the_server_only",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a|Connection: close||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        server >> end
        client >> silence 0.05
        """,
        config="""
frontend {name}
    bind <listen:client>
    default_backend {name}_b
backend {name}_b
    option httpclose
    server s <server:server>
""",
    ),
    Scenario(
        "pretend_keepalive_closes_without_saying_so",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        server >> end
        """,
        lines="option http-server-close\n    option http-pretend-keepalive",
    ),
]

LEAVING = [
    Scenario(
        "client_that_leaves_while_the_server_works_is_served_without_abortonclose",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        client << half-close
        server >> silence 0.1
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2|...||ok
        """,
    ),
    Scenario(
        "client_that_leaves_while_the_server_works_ends_the_exchange_with_abortonclose",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        client << half-close
        server >> end
        log >> 400 .* CH--
        """,
        lines="option abortonclose",
    ),
    Scenario(
        "client_that_leaves_the_queue_is_gone_with_abortonclose",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        client2 << GET /2 HTTP/1.1|Host: a||
        client3 << GET /3 HTTP/1.1|Host: a||
        client2 << close
        log >> -1 0 .* CQ--
        server << HTTP/1.1 200 OK|Content-Length: 2|Connection: close||ok
        server << close
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        server2 >> GET /3 HTTP/1.1|Host: a||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client3 >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="option abortonclose\n    timeout queue 5s",
        servers="server s <server:server> maxconn 1",
    ),
    Scenario(
        "client_that_leaves_while_connecting_is_gone_with_abortonclose",
        """
        client << GET /1 HTTP/1.1|Host: a||
        client << half-close
        log >> -1 0 .* CC--
        """,
        lines="option abortonclose\n    timeout connect 5s\n    retries 0",
        servers="server s <full:server>",
    ),
]

EARLY = [
    Scenario(
        "answer_that_comes_before_the_body_ends_it",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 1000000||begin
        server >> bytes POST
        server << HTTP/1.1 413 Too Big|Content-Length: 3||big
        client >> HTTP/1.1 413 Too Big|Content-Length: 3|...||big
        client >> eof
        """,
        unlike_haproxy="HAProxy 2.6 goes on to take the body, for nobody; RFC 9112 9.3 lets us close",
    ),
    Scenario(
        "answer_of_a_server_that_closes_at_once_is_not_lost",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 8000000||begin
        server >> bytes POST
        server << HTTP/1.1 413 Too Big|Content-Length: 3|Connection: close||big
        server << close
        client << *4000 0123456789
        client >> HTTP/1.1 413 Too Big|Content-Length: 3|...||big
        """,
    ),
    Scenario(
        "answer_of_ours_is_heard_by_a_client_that_still_sends",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 8000000||begin
        client >> HTTP/1.1 403 Forbidden|...||*
        client << *4000 0123456789
        client >> eof
        """,
        lines="http-request deny",
    ),
    Scenario(
        "interim_responses_pass_while_the_client_takes_them",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 2|Expect: 100-continue||
        server >> bytes POST
        server << HTTP/1.1 100 Continue||
        client >> HTTP/1.1 100 Continue||
        client << hi
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
]

def rounds(number: int) -> str:
    """A server that closes behind its second answer and does not say so; its third request must not meet the closed connection."""
    story = ""
    for turn in range(1, number + 1):
        server = f"server{turn}"
        for at in (1, 2):
            story += f"""
            client << POST /{turn}/{at} HTTP/1.1|Host: a|Content-Length: 2||hi
            {server} >> POST /{turn}/{at} HTTP/1.1|Host: a|Content-Length: 2||hi
            {server} << HTTP/1.1 200 OK|Content-Length: 2||ok
            client >> HTTP/1.1 200 OK|Content-Length: 2||ok
            """
        story += f"{server} << close\n"
    return story


PHASES = [
    Scenario("server_that_closes_as_planned_without_a_word_costs_nobody_anything", rounds(4)),
    Scenario(
        "server_that_dies_in_the_middle_of_a_body_cuts_the_client",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 10||hello
        client >> bytes HTTP/1.1 200 OK|
        server << reset
        log >> 200 .* SD--
        """,
    ),
    Scenario(
        "server_that_dies_in_the_middle_of_a_chunk_cuts_the_client",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Transfer-Encoding: chunked||a|hello
        client >> bytes HTTP/1.1 200 OK|
        server << close
        log >> 200 .* SD--
        """,
    ),
    Scenario(
        "server_that_dies_in_the_middle_of_a_head_is_502",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Le
        server << reset
        client >> HTTP/1.1 502 Bad Gateway|...||*
        log >> 502 .* SH--
        """,
    ),
    Scenario(
        "server_that_stops_in_the_middle_of_a_body_is_waited_for_as_long_as_configured",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 10||hello
        client >> bytes HTTP/1.1 200 OK|
        log >> 200 .* sD--
        """,
        lines="timeout server 300ms",
    ),
]

TRAILERS = [
    Scenario(
        "trailers_of_a_response_pass",
        """
        client << GET / HTTP/1.1|Host: a|TE: trailers||
        server >> GET / HTTP/1.1|Host: a|...||
        server << HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|0|X-T: 1||
        client >> HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|0|X-T: 1||
        """,
    ),
    Scenario(
        "trailers_of_a_response_are_dropped_when_asked",
        """
        client << GET / HTTP/1.1|Host: a|TE: trailers||
        server >> GET / HTTP/1.1|Host: a|...||
        server << HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|0|X-T: 1||
        client >> HTTP/1.1 200 OK|Transfer-Encoding: chunked||2|ok|0||
        """,
        lines="option http-drop-response-trailers",
        only_usher="HAProxy 3.1 has it",
    ),
    Scenario(
        "trailers_of_a_request_are_dropped_when_asked",
        """
        client << POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||2|hi|0|X-T: 1||
        server >> POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||2|hi|0||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="option http-drop-request-trailers",
        only_usher="HAProxy 3.1 has it",
    ),
]

RETRIES = [
    Scenario(
        "empty_response_is_retried_when_told",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << close
        server2 >> GET / HTTP/1.1|Host: a||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        log >> 200 .* ----
        """,
        lines="retry-on empty-response",
    ),
    Scenario(
        "empty_response_is_502_when_not_told",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << close
        client >> HTTP/1.1 502 Bad Gateway|...||*
        log >> 502 .* SH--
        """,
    ),
    Scenario(
        "body_that_came_piece_by_piece_is_sent_again",
        """
        client << PUT / HTTP/1.1|Host: a|Content-Length: 10||hello
        server >> bytes PUT
        client << world
        server >> bytes  / HTTP/1.1|
        server << close
        server2 >> PUT / HTTP/1.1|Host: a|Content-Length: 10||helloworld
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="retry-on empty-response",
        unlike_haproxy="HAProxy 2.6 sends only again what had come whole when it began to send",
    ),
    Scenario(
        "chunked_body_is_sent_again",
        """
        client << PUT / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hello|
        server >> bytes PUT
        client << 5|world|0||
        server >> bytes  / HTTP/1.1|
        server << close
        server2 >> PUT / HTTP/1.1|Host: a|Transfer-Encoding: chunked||a|helloworld|0||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="retry-on empty-response",
        unlike_haproxy="HAProxy 2.6 sends only again what had come whole when it began to send",
    ),
    Scenario(
        "junk_is_retried_when_told",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << hello, I am no HTTP server||
        server >> end
        server2 >> GET / HTTP/1.1|Host: a||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="retry-on junk-response",
    ),
    Scenario(
        "silence_is_retried_when_told",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server >> end
        server2 >> GET / HTTP/1.1|Host: a||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="retry-on response-timeout\n    timeout server 300ms",
    ),
    Scenario(
        "status_is_retried_when_told_and_passed_on_when_retries_are_used_up",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 503 Busy|Content-Length: 2||no
        server2 >> GET / HTTP/1.1|Host: a||
        server2 << HTTP/1.1 503 Busy|Content-Length: 3||not
        client >> HTTP/1.1 503 Busy|Content-Length: 3||not
        """,
        lines="retry-on 503\n    retries 1",
    ),
    Scenario(
        "status_is_not_retried_where_a_rule_forbids_it",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 503 Busy|Content-Length: 2||no
        client >> HTTP/1.1 503 Busy|Content-Length: 2||no
        """,
        lines="retry-on 503\n    http-request disable-l7-retry",
    ),
    Scenario(
        "post_is_not_sent_again",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 2||hi
        server >> POST / HTTP/1.1|Host: a|Content-Length: 2||hi
        server << close
        client >> HTTP/1.1 502 Bad Gateway|...||*
        """,
        lines="retry-on empty-response",
        unlike_haproxy="RFC 9110 9.2.2: what may have been acted on is not sent again unless a rule says that it may",
    ),
    Scenario(
        "post_is_sent_again_where_a_rule_says_that_it_may",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 2||hi
        server >> POST / HTTP/1.1|Host: a|Content-Length: 2||hi
        server << close
        server2 >> POST / HTTP/1.1|Host: a|Content-Length: 2||hi
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="retry-on empty-response\n    http-request set-idempotent yes",
        only_usher="set-idempotent is ours",
    ),
    Scenario(
        "post_with_an_idempotency_key_is_sent_again",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 2|Idempotency-Key: k||hi
        server >> POST / HTTP/1.1|Host: a|Content-Length: 2|Idempotency-Key: k||hi
        server << close
        server2 >> POST / HTTP/1.1|Host: a|Content-Length: 2|Idempotency-Key: k||hi
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="retry-on empty-response",
    ),
    Scenario(
        "get_that_a_rule_calls_not_idempotent_is_not_sent_again",
        """
        client << GET /forum?post HTTP/1.1|Host: a||
        server >> GET /forum?post HTTP/1.1|Host: a||
        server << close
        client >> HTTP/1.1 502 Bad Gateway|...||*
        """,
        lines="retry-on empty-response\n    http-request set-idempotent no if { path_beg /forum }",
        only_usher="set-idempotent is ours",
    ),
    Scenario(
        "retries_go_to_another_server_when_redispatch_says_each_time",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << close
        other >> GET / HTTP/1.1|Host: a||
        other << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        log >> /o
        """,
        lines="retry-on empty-response\n    option redispatch 1\n    balance first",
        servers="server s <server:server>\n    server o <server:other>",
    ),
    Scenario(
        "all_attempts_together_end_at_the_total_time",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        client >> HTTP/1.1 504 Gateway Time-out|...||*
        log >> 504 .* sH--
        """,
        lines="timeout request-total 300ms\n    retry-on all-retryable-errors\n    retries 5",
        only_usher="timeout request-total is ours",
    ),
]

SCENARIOS = PHASES + CLOSING + LEAVING + EARLY + TRAILERS + RETRIES


def configuration(program: str) -> str:
    return defaults(global_lines=one_worker(program)) + sections(SCENARIOS, program)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)
