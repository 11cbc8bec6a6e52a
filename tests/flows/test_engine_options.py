"""Options of proxies that say how connections are used, and what a backend may not answer."""

from __future__ import annotations

import pytest

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.scenarios import Scenario, sections

TWO = "server s <server:server>\n    server o <server:other>"

CHOICES = [
    Scenario(
        "balanced_requests_of_one_client_go_round",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client << GET /2 HTTP/1.1|Host: a||
        other >> GET /2 HTTP/1.1|Host: a||
        other << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="balance roundrobin",
        servers=TWO,
    ),
    Scenario(
        "after_a_401_the_client_stays_at_its_server",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 401 No|Content-Length: 2|WWW-Authenticate: NTLM||no
        client >> HTTP/1.1 401 No|Content-Length: 2|WWW-Authenticate: NTLM||no
        client << GET /2 HTTP/1.1|Host: a|Authorization: NTLM abc||
        server >> GET /2 HTTP/1.1|Host: a|Authorization: NTLM abc||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 << GET /3 HTTP/1.1|Host: a||
        other >> GET /3 HTTP/1.1|Host: a||
        other << HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 << GET /4 HTTP/1.1|Host: a||
        server2 >> GET /4 HTTP/1.1|Host: a||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="balance roundrobin\n    http-reuse always",
        servers=TWO,
    ),
    Scenario(
        "prefer_last_server_keeps_a_client_where_it_was",
        """
        client << GET /1 HTTP/1.1|Host: a||
        server >> GET /1 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        client << GET /2 HTTP/1.1|Host: a||
        server >> GET /2 HTTP/1.1|Host: a||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="balance roundrobin\n    option prefer-last-server\n    http-reuse never",
        servers=TWO,
    ),
    Scenario(
        "server_is_told_its_name",
        """
        client << GET /1 HTTP/1.1|Host: a|X-Server: forged||
        server >> GET /1 HTTP/1.1|Host: a|X-Server: s||
        server << close
        other >> GET /1 HTTP/1.1|Host: a|X-Server: o||
        other << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="http-send-name-header X-Server\n    balance roundrobin\n    retry-on empty-response\n    option redispatch 1",
        servers=TWO,
    ),
    Scenario(
        "queue_at_its_maximum_sends_a_persistent_client_away",
        """
        client << GET /1 HTTP/1.1|Host: a|Cookie: S=s||
        server >> GET /1 HTTP/1.1|Host: a|Cookie: S=s||
        client2 << GET /2 HTTP/1.1|Host: a|Cookie: S=s||
        client2 >> silence 0.1
        client3 << GET /3 HTTP/1.1|Host: a|Cookie: S=s||
        other >> GET /3 HTTP/1.1|Host: a|Cookie: S=s||
        other << HTTP/1.1 200 OK|Content-Length: 2||ok
        client3 >> HTTP/1.1 200 OK|Content-Length: 2||ok
        server << HTTP/1.1 200 OK|Content-Length: 2|Connection: close||ok
        server << close
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        server2 >> GET /2 HTTP/1.1|Host: a|Cookie: S=s||
        server2 << HTTP/1.1 200 OK|Content-Length: 2||ok
        client2 >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="cookie S\n    option redispatch\n    timeout queue 3s",
        servers="server s <server:server> maxconn 1 maxqueue 1 cookie s\n    server o <server:other> cookie o",
    ),
]

FORWARDED = [
    Scenario(
        "forwarded_field_is_added",
        """
        client << GET / HTTP/1.1|Host: a||
        server >> GET / HTTP/1.1|Host: a|Forwarded: proto=http;for=127.0.0.1||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="option forwarded",
        only_usher="HAProxy 2.8 has it",
    ),
    Scenario(
        "forwarded_field_has_what_expressions_say",
        """
        client << GET / HTTP/1.1|Host: a|X-Host: b:81||
        server >> GET / HTTP/1.1|Host: a|X-Host: b:81|Forwarded: host="b:81";for=_someone||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
        """,
        lines="option forwarded host-expr req.hdr(x-host) for-expr str(_someone)",
        only_usher="HAProxy 2.8 has it",
    ),
]

CACHE = [
    Scenario(
        f"checkcache_{name}",
        f"""
        client << {method} / HTTP/1.1|Host: a||
        server >> {method} / HTTP/1.1|Host: a||
        server << HTTP/1.1 {status} Reason|Content-Length: 2|{fields}||ok
        client >> {answer}
        """,
        lines="option checkcache",
        unlike_haproxy="" if passes else "HAProxy 2.6 passes it, against its manual",
    )
    for name, method, status, fields, passes in (
        ("blocks_a_cacheable_cookie", "GET", 200, "Set-Cookie: a=1", False),
        ("passes_without_cookie", "GET", 200, "X-A: 1", True),
        ("passes_a_private_cookie", "GET", 200, "Set-Cookie: a=1|Cache-Control: private", True),
        ("passes_no_cache_of_the_cookie", "GET", 200, 'Set-Cookie: a=1|Cache-Control: no-cache="set-cookie, x"', True),
        ("passes_pragma", "GET", 200, "Set-Cookie: a=1|Pragma: no-cache", True),
        ("passes_a_status_that_is_not_cached", "GET", 302, "Set-Cookie: a=1", True),
        ("blocks_what_is_public", "GET", 302, "Set-Cookie: a=1|Cache-Control: public", False),
        ("passes_the_answer_to_a_post", "POST", 200, "Set-Cookie: a=1", True),
    )
    for answer in ((f"HTTP/1.1 {status} Reason|Content-Length: 2|{fields}||ok") if passes else "HTTP/1.1 502 Bad Gateway|...||*",)
]

SILENT = [
    Scenario(
        "probe_that_says_nothing_gets_no_answer",
        """
        client << connect
        client >> eof
        """,
        lines="option http-ignore-probes\n    timeout http-request 200ms",
    ),
    Scenario(
        "connection_that_says_nothing_gets_408",
        """
        client << connect
        client >> HTTP/1.1 408 Request Time-out|...||*
        client >> eof
        """,
        lines="timeout http-request 200ms",
    ),
    Scenario(
        "nolinger_ends_with_a_reset",
        """
        client << GET / HTTP/1.1|Host: a|Connection: close||
        server >> GET / HTTP/1.1|Host: a|...||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        server >> reset
        """,
        lines="option nolinger\n    option http-server-close",
    ),
]

SCENARIOS = CHOICES + FORWARDED + CACHE + SILENT


def configuration(program: str) -> str:
    return defaults(global_lines=one_worker(program)) + sections(SCENARIOS, program)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)
