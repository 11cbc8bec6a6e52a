"""Routing and rewriting by rules: acl, use_backend, http-request deny / redirect / set-header, as seen from both sides."""

from __future__ import annotations

import pytest

from tests.flows.harness import Flow, defaults
from tests.flows.scenarios import Scenario, sections

_ROUTED = """
frontend {name}
    bind <listen:client>
    acl is_static path_beg /static /img
    acl is_php path_end .php
    acl is_api hdr(host) -i api.example
    acl is_local src 127.0.0.0/8
    acl is_elsewhere src 192.0.2.0/24
    use_backend {name}-static if is_static !is_php
    use_backend {name}-php if is_php
    use_backend {name}-api if is_api or { url /api }
    use_backend {name}-nowhere if is_elsewhere
    use_backend {name}-post if { method POST } is_local
    use_backend {name}-unless unless { path_beg / }
    default_backend {name}-default
backend {name}-static
    server s <server:static>
backend {name}-php
    server s <server:php>
backend {name}-api
    server s <server:api>
backend {name}-post
    server s <server:post>
backend {name}-nowhere
    server s <server:nowhere>
backend {name}-unless
    server s <server:unless>
backend {name}-default
    server s <server:default>
"""


def routed(name: str, request: str, backend: str) -> Scenario:
    """A request that must reach this backend of the routed configuration, and be logged with it."""
    return Scenario(
        f"routes_{name}",
        f"""
        client << {request}
        {backend} >> {request}
        {backend} << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        log >> routes_{name}-{backend}/s
        """,
        config=_ROUTED,
    )


ROUTES = [
    routed("path_beg", "GET /static/x.png HTTP/1.1|Host: a||", "static"),
    routed("second_value_of_an_acl", "GET /img/x.png HTTP/1.1|Host: a||", "static"),
    routed("negation", "GET /static/x.php HTTP/1.1|Host: a||", "php"),
    routed("path_end_without_the_query", "GET /x.php?a=b HTTP/1.1|Host: a||", "php"),
    routed("host_without_case", "GET / HTTP/1.1|Host: API.Example||", "api"),
    routed("or_with_an_anonymous_acl", "GET /api HTTP/1.1|Host: a||", "api"),
    routed("url_is_the_whole_target", "GET /api?x HTTP/1.1|Host: a||", "default"),
    routed("implicit_and", "POST /x HTTP/1.1|Host: a|Content-Length: 1||x", "post"),
    routed("case_matters_without_i", "GET /STATIC/x HTTP/1.1|Host: a||", "default"),
    routed("default_backend", "GET /other HTTP/1.1|Host: a||", "default"),
]

_ASK = """
        client << GET /x HTTP/1.1|Host: a|X-Old: 1|X-Old: 2||
"""
_SERVE = """
        server << HTTP/1.1 200 OK|Content-Length: 0||
        client >> HTTP/1.1 200 OK|Content-Length: 0||
"""

REWRITES = [
    Scenario(
        "set_header_replaces_all_of_that_name",
        _ASK + "server >> GET /x HTTP/1.1|Host: a|X-Old: new||" + _SERVE,
        lines="http-request set-header X-Old new",
    ),
    Scenario(
        "add_header_adds_one_more",
        _ASK + "server >> GET /x HTTP/1.1|Host: a|X-Old: 1|X-Old: 2|X-Old: 3||" + _SERVE,
        lines="http-request add-header X-Old 3",
    ),
    Scenario(
        "del_header_deletes_all_of_that_name",
        _ASK + "server >> GET /x HTTP/1.1|Host: a||" + _SERVE,
        lines="http-request del-header x-old",
    ),
    Scenario(
        "set_header_with_log_format",
        _ASK + "server >> GET /x HTTP/1.1|Host: a|X-Old: 1|X-Old: 2|X-Src: 127.0.0.1|X-What: GET /x a||" + _SERVE,
        lines='http-request set-header X-Src %[src]\n    http-request set-header X-What "%[method] %[path] %[req.hdr(host)]"',
    ),
    Scenario(
        "rules_run_in_order_and_see_each_other",
        _ASK + "server >> GET /x HTTP/1.1|Host: a|X-Old: b|X-Seen: b||" + _SERVE,
        lines="http-request set-header X-Old b\n    http-request set-header X-Seen %[req.hdr(x-old)]",
    ),
    Scenario(
        "condition_decides_about_a_rule",
        _ASK + "server >> GET /x HTTP/1.1|Host: a|X-Old: 1|X-Old: 2|X-Yes: 1||" + _SERVE,
        lines="http-request set-header X-Yes 1 if { path /x }\n    http-request set-header X-No 1 unless { path /x }",
    ),
    Scenario(
        "frontend_rules_run_before_backend_rules",
        _ASK + "server >> GET /x HTTP/1.1|Host: a|X-Old: 1|X-Old: 2|X-A: front|X-B: front||" + _SERVE,
        config="""
frontend {name}
    bind <listen:client>
    http-request set-header X-A front
    default_backend {name}-b
backend {name}-b
    http-request set-header X-B %[req.hdr(x-a)]
    server s <server:server>
""",
    ),
    Scenario(
        "ssl_fc_is_false_on_a_plain_bind",
        _ASK + "server >> GET /x HTTP/1.1|Host: a|X-Old: 1|X-Old: 2|X-Proto: http||" + _SERVE,
        lines="http-request set-header X-Proto https if { ssl_fc }\n    http-request set-header X-Proto http unless { ssl_fc }",
    ),
]


def refusal(name: str, lines: str, answer: str, *, request: str = "GET /x?q=1 HTTP/1.1|Host: a", log: str = "") -> Scenario:
    """A request that the program answers itself: no server is asked."""
    story = f"""
        client << {request}||
        client >> {answer}
    """
    return Scenario(name, story + (f"log >> {log}\n" if log else ""), lines=lines)


_HTML = "Content-Type: text/html|Cache-Control: no-cache|Content-Length: *"

REFUSALS = [
    refusal("deny_is_403", "http-request deny", f"HTTP/1.1 403 Forbidden|{_HTML}|...||*", log="/-1/-1/-1/[0-9]+ 403 [0-9]+ - - PR--"),
    *(
        refusal(f"deny_with_{status}", f"http-request deny deny_status {status}", f"~HTTP/1.1 {status} .*|{_HTML}|...||*", log=f"{status} ")
        for status in (400, 404, 410, 413, 429, 500, 502, 503, 504)
    ),
    refusal("deny_only_if", "http-request deny if { path /x }", "HTTP/1.1 403 Forbidden|...||*"),
    refusal(
        "redirect_location",
        "http-request redirect location https://b/",
        "HTTP/1.1 302 Found|Content-Length: 0|Location: https://b/|Cache-Control: no-cache||",
        log="<NOSRV> 0/-1/-1/-1/[0-9]+ 302 [0-9]+ - - LR--",
    ),
    refusal("redirect_prefix", "http-request redirect prefix https://b", "HTTP/1.1 302 Found|Location: https://b/x?q=1|...||"),
    refusal(
        "redirect_prefix_drop_query",
        "http-request redirect prefix https://b drop-query",
        "HTTP/1.1 302 Found|Location: https://b/x|...||",
    ),
    refusal(
        "redirect_prefix_append_slash",
        "http-request redirect prefix https://b drop-query append-slash",
        "HTTP/1.1 302 Found|Location: https://b/x/|...||",
    ),
    refusal("redirect_scheme", "http-request redirect scheme https", "HTTP/1.1 302 Found|Location: https://a/x?q=1|...||"),
    *(
        refusal(f"redirect_code_{code}", f"http-request redirect location /y code {code}", f"~HTTP/1.1 {code} .*|Location: /y|...||")
        for code in (301, 302, 303, 307, 308)
    ),
    refusal(
        "redirect_set_cookie",
        "http-request redirect location /y set-cookie SEEN=1",
        "HTTP/1.1 302 Found|Location: /y|Set-Cookie: ~SEEN=1(; path=/)?;?|...||",
    ),
    refusal("redirect_as_a_keyword_of_its_own", "redirect prefix https://b if { path /x }", "HTTP/1.1 302 Found|Location: https://b/x?q=1|...||"),
    refusal(
        "denied_post_is_answered_although_its_body_is_not_read",
        "http-request deny",
        "HTTP/1.1 403 Forbidden|...||*",
        request="POST /x HTTP/1.1|Host: a|Content-Length: 5",
    ),
]

KEEPS = [
    Scenario(
        "one_connection_visits_several_backends",
        """
        client << GET /static/1 HTTP/1.1|Host: a||
        static >> GET /static/1 HTTP/1.1|Host: a||
        static << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        client << GET /1.php HTTP/1.1|Host: a||
        php >> GET /1.php HTTP/1.1|Host: a||
        php << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        client << GET /2 HTTP/1.1|Host: a||
        default >> GET /2 HTTP/1.1|Host: a||
        default << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        """,
        config=_ROUTED,
    ),
    Scenario(
        "redirect_keeps_the_connection",
        """
        client << GET /old HTTP/1.1|Host: a||
        client >> HTTP/1.1 302 Found|Location: /new|...||
        client << GET /new HTTP/1.1|Host: a||
        server >> GET /new HTTP/1.1|Host: a||
        server << HTTP/1.1 204 No Content||
        client >> HTTP/1.1 204 No Content||
        """,
        lines="http-request redirect location /new if { path /old }",
    ),
]

SCENARIOS = ROUTES + REWRITES + REFUSALS + KEEPS


def configuration(program: str) -> str:
    return defaults() + sections(SCENARIOS, program)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)
