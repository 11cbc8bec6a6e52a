"""HTTP/1 between a client and a server, as stories: keep-alive, framing, tunnels, order, and what a proxy must change."""

from __future__ import annotations

import pytest

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.scenarios import Scenario, sections

KEEPING = [
    Scenario(
        "keep_alive_serves_two_requests_on_one_connection_each_side",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 3||one
        client >> HTTP/1.1 200 OK|Content-Length: 3||one
        client << GET /2 HTTP/1.1|Host: a||
        server >> GET /2 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 3||two
        client >> HTTP/1.1 200 OK|Content-Length: 3||two
        client >> silence 0.05
        """,
    ),
    Scenario(
        "connection_close_of_client_is_obeyed",
        """
        client << GET / HTTP/1.1|Host: a|Connection: close||
        server >> GET / HTTP/1.1|Host: a|!keep-alive|...||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2|Connection: close||ok
        client >> eof
        """,
    ),
    Scenario(
        "connection_close_of_server_does_not_close_the_client",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2|Connection: close||ok
        server << close
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client << GET /2 HTTP/1.1|Host: a||
        server2 >> GET /2 HTTP/1.1|Host: a||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
    Scenario(
        "http_1_0_client_is_closed_after_the_answer",
        """
        client << GET / HTTP/1.0|Host: a||
        server >> ~GET / HTTP/1.[01]|Host: a|...||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2|...||ok
        client >> eof
        """,
    ),
    Scenario(
        "http_1_0_client_that_asks_is_kept",
        """
        client << GET /1 HTTP/1.0|Host: a|Connection: keep-alive||
        server >> ~GET /1 HTTP/1.[01]|Host: a|...||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2|Connection: keep-alive||ok
        client << GET /2 HTTP/1.0|Host: a|Connection: keep-alive||
        server >> ~GET /2 HTTP/1.[01]|Host: a|...||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2|Connection: keep-alive||ok
        """,
    ),
    Scenario(
        "http_1_0_request_without_host_is_served",
        """
        client << GET /1 HTTP/1.0||
        server >> ~GET /1 HTTP/1.[01]|...||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2|...||ok
        client >> eof
        """,
    ),
    Scenario(
        "http_1_0_server_answer_is_served_to_a_1_1_client",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.0 200 OK|Content-Length: 2||ok
        client >> ~HTTP/1.[01] 200 OK|Content-Length: 2|...||ok
        client << GET /2 HTTP/1.1|Host: a||
        server2 >> GET /2 HTTP/1.1|Host: a||
        server2 << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        """,
    ),
    Scenario(
        "pipelined_requests_are_answered_in_order",
        """
        client << GET /1 HTTP/1.1|Host: a||GET /2 HTTP/1.1|Host: a||GET /3 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 3||one
        client >> HTTP/1.1 200 OK|Content-Length: 3||one
        server >> GET /2 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 3||two
        client >> HTTP/1.1 200 OK|Content-Length: 3||two
        server >> GET /3 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 5||three
        client >> HTTP/1.1 200 OK|Content-Length: 5||three
        """,
    ),
    Scenario(
        "request_pipelined_behind_a_body_is_found_at_its_end",
        """
        client << POST /1 HTTP/1.1|Host: a|Content-Length: 5||helloGET /2 HTTP/1.1|Host: a||
        server >> POST /1 HTTP/1.1|Host: a|Content-Length: 5||hello
        server << HTTP/1.1 200 OK|Content-Length: 3||one
        client >> HTTP/1.1 200 OK|Content-Length: 3||one
        server >> GET /2 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 3||two
        client >> HTTP/1.1 200 OK|Content-Length: 3||two
        """,
    ),
    Scenario(
        "empty_line_before_a_request_is_skipped",
        """
        client << |GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
    Scenario(
        "reuse_never_opens_a_server_connection_per_client",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 << GET /2 HTTP/1.1|Host: a||
        server2 >> GET /2 HTTP/1.1|Host: a||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client << GET /3 HTTP/1.1|Host: a||
        server >> GET /3 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="http-reuse never",
    ),
    Scenario(
        "reuse_always_shares_an_idle_server_connection_between_clients",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 << GET /2 HTTP/1.1|Host: a||
        server >> GET /2 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="http-reuse always",
    ),
    Scenario(
        "server_connection_that_closed_while_idle_is_not_used",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        server << close
        client << GET /2 HTTP/1.1|Host: a||
        server2 >> GET /2 HTTP/1.1|Host: a||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
]

FRAMING = [
    Scenario(
        "head_that_arrives_byte_by_byte",
        """
        client <<1 GET / HTTP/1.1|Host: a|X-Long: abcdefghij||
        server >> GET / HTTP/1.1|Host: a|X-Long: abcdefghij||
        server <<1 HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
    Scenario(
        "request_body_with_length",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 11||hello
        client <<  world
        server >> POST / HTTP/1.1|Host: a|Content-Length: 11||hello world
        server << HTTP/1.1 201 Created|Content-Length: 0||
        client >> HTTP/1.1 201 Created|Content-Length: 0||
        """,
    ),
    Scenario(
        "request_body_in_chunks",
        """
        client << POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hello|
        client << 6;ext=1| world|0||
        server >> POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hello|6| world|0||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        client << GET /after HTTP/1.1|Host: a||
        server >> GET /after HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
    ),
    Scenario(
        "request_body_in_chunks_byte_by_byte",
        """
        client <<1 POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||5|hello|6| world|0||
        server >> POST / HTTP/1.1|Host: a|Transfer-Encoding: chunked||b|hello world|0||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
    ),
    Scenario(
        "response_body_in_chunks",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|
        server << 6| world|0||
        client >> HTTP/1.1 200 OK|Transfer-Encoding: chunked||b|hello world|0||
        client << GET /after HTTP/1.1|Host: a||
        server >> GET /after HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
    ),
    Scenario(
        "response_body_in_chunks_byte_by_byte",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server <<1 HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|6| world|0||
        client >> HTTP/1.1 200 OK|Transfer-Encoding: chunked||b|hello world|0||
        """,
    ),
    Scenario(
        "response_that_ends_with_its_connection",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK||hello
        server <<  world
        server << close
        client >> HTTP/1.1 200 OK|!content-length|...||hello world
        """,
    ),
    Scenario(
        "response_that_ends_with_its_connection_is_chunked_so_that_the_client_stays",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK||hello world
        server << close
        client >> HTTP/1.1 200 OK|Transfer-Encoding: chunked||b|hello world|0||
        client >> silence 0.05
        """,
        unlike_haproxy="HAProxy 2.6 closes the client's connection to mark the end; a truncated body then looks whole",
    ),
    Scenario(
        "response_that_ends_with_its_connection_to_a_1_0_client",
        """
        client << GET / HTTP/1.0|Host: a||
        server >> ~GET / HTTP/1.[01]|Host: a|...||
        server << HTTP/1.1 200 OK||hello world
        server << close
        client >> HTTP/1.1 200 OK|!content-length|!transfer-encoding|...||hello world
        client >> eof
        """,
    ),
    Scenario(
        "chunked_response_to_a_1_0_client_loses_its_chunks",
        """
        client << GET / HTTP/1.0|Host: a||
        server >> ~GET / HTTP/1.[01]|Host: a|...||
        server << HTTP/1.1 200 OK|Transfer-Encoding: chunked||b|hello world|0||
        client >> HTTP/1.1 200 OK|!transfer-encoding|...||hello world
        client >> eof
        """,
        unlike_haproxy="RFC 9112 6.1: HAProxy 2.6 sends chunks to a client that cannot know them",
    ),
    Scenario(
        "head_request_is_answered_without_a_body",
        """
        client << HEAD / HTTP/1.1|Host: a||
        server >> HEAD / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 1000||
        client >> HTTP/1.1 200 OK|Content-Length: 1000||
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
    *(
        Scenario(
            f"status_{status}_has_no_body",
            f"""
            client << GET / HTTP/1.1|Host: a||
            server >> GET / HTTP/1.1|Host: a||
            server << HTTP/1.1 {status} Reason{fields}||
            client >> HTTP/1.1 {status} Reason{fields}||
            client << GET / HTTP/1.1|Host: a||
            server >> GET / HTTP/1.1|Host: a||
            server << HTTP/1.1 200 OK|Content-Length: 2||ok
            client >> HTTP/1.1 200 OK|Content-Length: 2||ok
            """,
        )
        for status, fields in ((204, ""), (304, "|ETag: x"))
    ),
    Scenario(
        "status_304_may_tell_the_length_it_does_not_send",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 304 Not Modified|Content-Length: 10||
        client >> HTTP/1.1 304 Not Modified|Content-Length: 10||
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
    Scenario(
        "trailers_of_a_chunked_response_arrive",
        """
        client << GET / HTTP/1.1|Host: a|TE: trailers||
        server >> GET / HTTP/1.1|Host: a|...||
        server << HTTP/1.1 200 OK|Transfer-Encoding: chunked|Trailer: X-Sum||5|hello|0|X-Sum: 7||
        client >> HTTP/1.1 200 OK|Transfer-Encoding: chunked|Trailer: X-Sum||5|hello|0|X-Sum: 7||
        """,
    ),
    Scenario(
        "equal_lengths_said_twice_become_one",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 5|Content-Length: 5||hello
        server >> POST / HTTP/1.1|Host: a|Content-Length: 5||hello
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
    ),
    Scenario(
        "early_answer_while_the_body_is_still_coming",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 10||hello
        server >> bytes POST / HTTP/1.1|
        server << HTTP/1.1 403 Forbidden|Content-Length: 2|Connection: close||no
        client >> HTTP/1.1 403 Forbidden|Content-Length: 2|...||no
        """,
    ),
]

INTERIM = [
    Scenario(
        "expect_100_continue_is_asked_and_granted_by_the_server",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 5|Expect: 100-continue||
        server >> bytes POST / HTTP/1.1|
        server << HTTP/1.1 100 Continue||
        client >> HTTP/1.1 100 Continue||
        client << hello
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
    Scenario(
        "expect_100_continue_refused_by_the_server",
        """
        client << POST / HTTP/1.1|Host: a|Content-Length: 5|Expect: 100-continue||
        server >> bytes POST / HTTP/1.1|
        server << HTTP/1.1 417 Expectation Failed|Content-Length: 2|Connection: close||no
        client >> HTTP/1.1 417 Expectation Failed|Content-Length: 2|...||no
        """,
    ),
    Scenario(
        "interim_103_comes_before_the_final_answer",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 103 Early Hints|Link: </x>; rel=preload||
        client >> HTTP/1.1 103 Early Hints|Link: </x>; rel=preload||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
    Scenario(
        "several_interim_answers_in_one_segment_with_the_final_one",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 102 Processing||HTTP/1.1 103 Early Hints|Link: </x>||HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 102 Processing||
        client >> HTTP/1.1 103 Early Hints|Link: </x>||
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
]

TUNNELS = [
    Scenario(
        "upgrade_makes_a_tunnel_both_ways",
        """
        client << GET /chat HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: websocket
                  |Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==|Sec-WebSocket-Version: 13||
        server >> GET /chat HTTP/1.1|Host: a|Connection: ~(?i)upgrade|Upgrade: websocket
                  |Sec-WebSocket-Key: *|Sec-WebSocket-Version: 13||
        server << HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: websocket
                  |Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=||
        client >> HTTP/1.1 101 Switching Protocols|Connection: ~(?i)upgrade|Upgrade: websocket|Sec-WebSocket-Accept: *||
        client << ping \\x00\\xff
        server >> bytes ping \\x00\\xff
        server << pong \\x81
        client >> bytes pong \\x81
        client << half-close
        server >> eof
        server << last words
        server << close
        client >> bytes last words
        client >> end
        """,
    ),
    Scenario(
        "bytes_sent_with_the_101_belong_to_the_tunnel",
        """
        client << GET /chat HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: echo||
        server >> GET /chat HTTP/1.1|Host: a|Connection: ~(?i)upgrade|Upgrade: echo||
        server << HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: echo||first bytes
        client >> HTTP/1.1 101 Switching Protocols|Connection: ~(?i)upgrade|Upgrade: echo||
        client >> bytes first bytes
        server << close
        client >> end
        """,
    ),
    Scenario(
        "upgrade_that_the_server_ignores_stays_http",
        """
        client << GET /chat HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: echo||
        server >> GET /chat HTTP/1.1|Host: a|Connection: ~(?i)upgrade|Upgrade: echo||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client << GET /next HTTP/1.1|Host: a||
        server >> GET /next HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
    ),
    Scenario(
        "connect_makes_a_tunnel",
        """
        client << CONNECT a:8443 HTTP/1.1|Host: a:8443||
        server >> CONNECT a:8443 HTTP/1.1|Host: a:8443||
        server << HTTP/1.1 200 OK||
        client >> HTTP/1.1 200 OK||
        client << hello
        server >> bytes hello
        server << world
        client >> bytes world
        client << close
        server >> end
        """,
    ),
    Scenario(
        "connect_that_the_server_refuses_stays_http",
        """
        client << CONNECT a:8443 HTTP/1.1|Host: a:8443||
        server >> CONNECT a:8443 HTTP/1.1|Host: a:8443||
        server << HTTP/1.1 405 Method Not Allowed|Content-Length: 2||no
        client >> HTTP/1.1 405 Method Not Allowed|Content-Length: 2|...||no
        """,
    ),
]

FIELDS = [
    Scenario(
        "forwardfor_adds_the_client_address",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a|X-Forwarded-For: 127.0.0.1||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        lines="option forwardfor",
    ),
    Scenario(
        "forwardfor_adds_to_what_the_client_sent",
        """
        client << GET / HTTP/1.1|Host: a|X-Forwarded-For: 198.51.100.1||
        server >> GET / HTTP/1.1|Host: a|X-Forwarded-For: 198.51.100.1|X-Forwarded-For: 127.0.0.1||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        lines="option forwardfor",
    ),
    Scenario(
        "forwardfor_if_none_leaves_what_the_client_sent",
        """
        client << GET / HTTP/1.1|Host: a|X-Forwarded-For: 198.51.100.1||
        server >> GET / HTTP/1.1|Host: a|X-Forwarded-For: 198.51.100.1||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        lines="option forwardfor if-none",
    ),
    Scenario(
        "forwardfor_under_another_name_except_for_a_network",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        lines="option forwardfor except 127.0.0.0/8 header X-Client",
    ),
    Scenario(
        "hop_by_hop_fields_end_here",
        """
        client << GET / HTTP/1.1|Host: a|Connection: keep-alive|Keep-Alive: timeout=5|Proxy-Connection: keep-alive||
        server >> GET / HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 0|Keep-Alive: timeout=5|Connection: keep-alive||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        unlike_haproxy="RFC 9110 7.6.1: HAProxy 2.6 removes Connection, but forwards Keep-Alive and Proxy-Connection",
    ),
    Scenario(
        "fields_that_connection_names_end_here",
        """
        client << GET / HTTP/1.1|Host: a|Connection: X-Secret, keep-alive|X-Secret: 1|X-Open: 2||
        server >> GET / HTTP/1.1|Host: a|X-Open: 2||
        server << HTTP/1.1 200 OK|Content-Length: 0|Connection: X-Inner|X-Inner: 1||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
        unlike_haproxy="RFC 9110 7.6.1: HAProxy 2.6 forwards the fields that Connection names",
    ),
    Scenario(
        "repeated_fields_keep_their_order",
        """
        client << GET / HTTP/1.1|Host: a|X-A: 1|X-B: 2|X-A: 3|Cookie: a=1|Cookie: b=2||
        server >> GET / HTTP/1.1|Host: a|X-A: 1|X-B: 2|X-A: 3|Cookie: a=1|Cookie: b=2||
        server << HTTP/1.1 200 OK|Content-Length: 0|Set-Cookie: x=1|Set-Cookie: y=2||
        client >> HTTP/1.1 200 OK|Content-Length: 0|Set-Cookie: x=1|Set-Cookie: y=2||
        """,
    ),
    Scenario(
        "values_with_bytes_above_127_pass",
        """
        client << GET / HTTP/1.1|Host: a|X-Name: caf\\xe9||
        server >> GET / HTTP/1.1|Host: a|X-Name: caf\\xe9||
        server << HTTP/1.1 200 Tr\\xe8s bien|Content-Length: 0||
        client >> HTTP/1.1 200 Tr\\xe8s bien|Content-Length: 0||
        """,
    ),
    Scenario(
        "absolute_target_passes",
        """
        client << GET http://a/x HTTP/1.1|Host: a||
        server >> ~GET (http://a)?/x HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
    ),
    Scenario(
        "options_star_passes",
        """
        client << OPTIONS * HTTP/1.1|Host: a||
        server >> OPTIONS * HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
        """,
    ),
    Scenario(
        "methods_that_nobody_knows_pass",
        """
        client << BREW /pot HTTP/1.1|Host: a|Content-Length: 1||x
        server >> BREW /pot HTTP/1.1|Host: a|Content-Length: 1||x
        server << HTTP/1.1 418 I'm a teapot|Content-Length: 0||
        client >> HTTP/1.1 418 I'm a teapot|Content-Length: 0||
        """,
    ),
]

SCENARIOS = KEEPING + FRAMING + INTERIM + TUNNELS + FIELDS


def configuration(program: str) -> str:
    return defaults(global_lines=one_worker(program)) + sections(SCENARIOS, program)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)
