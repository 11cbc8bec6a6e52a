"""`usher explain` says what the worker does: the same worker without anybody looking, over thousands of requests."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from common import model
from common.config import build
from common.control import arguments
from common.control.configuration import load_options
from worker.explain import Explainer, Explanation

REQUESTS = 10_000
SEED = 20261123

TEXT = """
global
    set-var proc.limit int(5)
userlist people
    user user insecure-password pass
defaults
    mode http
    timeout connect 1s
    timeout client 3s
    timeout server 3s
frontend web
    bind 127.0.0.1:8080
    acl is_static path_beg /static /img
    acl is_static path_end .png
    acl is_internal src 10.0.0.0/8 2001:db8::/32
    acl host_a hdr(host) -i a.example b.example
    acl many hdr_cnt(x-list) gt 2
    tcp-request connection reject if { src 192.0.2.66 }
    tcp-request session set-var(sess.net) src,ipmask(16)
    tcp-request content reject if { req.hdr(x-evil) -m found }
    http-request set-header X-Src %[src]
    http-request set-var(txn.p) path,lower
    http-request deny deny_status 429 if { path_beg /deny } !is_internal
    http-request return status 200 content-type text/plain lf-string "%[var(txn.p)]" if { path /echo }
    http-request redirect scheme https code 301 if { hdr(host) -i b.example } { path_beg /old }
    http-request auth realm x if { path_beg /admin } !{ http_auth(people) }
    http-request normalize-uri path-strip-dotdot
    http-request replace-path /v1/(.*) /v2/\\1
    http-request replace-value X-List ^b$ B
    http-request del-header ^x-debug -m reg if many or is_static
    http-request tarpit if { url_param(slow) 1 }
    http-request set-query a=1 unless { query -m found }
    http-request wait-for-body time 1s if METH_POST
    http-request set-header X-Len %[req.body_len] if { req.body_len gt 0 }
    http-request reject if { path_sub reject }
    http-request allow if { var(txn.p) -m beg /last }
    http-request add-header X-Late yes
    use_backend %[path,map_beg(MAP,app)] if { path_beg /map }
    use_backend static if is_static host_a
    use_backend app if { hdr(host),lower,field(1,:) -m end .example } or is_internal
    default_backend other
backend static
    http-response set-header X-R 1
    server s1 127.0.0.1:1
backend app
    balance uri
    cookie S insert indirect nocache
    use-server a2 if { req.hdr(x-server) two }
    http-request set-path /app%[path]
    server a1 127.0.0.1:1 cookie one
    server a2 127.0.0.1:2 cookie two
    server a3 127.0.0.1:2 cookie three
backend other
    http-request deny if { path_beg /never }
    http-after-response set-header X-After %[status]
    server o1 127.0.0.1:1
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> model.Config:
    folder = tmp_path_factory.mktemp("explain")
    (folder / "map").write_text("/map/s static\n/map/o other\n")
    return configuration(TEXT.replace("MAP", str(folder / "map")))


def configuration(text: str) -> model.Config:
    options = load_options(arguments.parse(["-f", "usher.cfg"]))
    loaded = build.load([("usher.cfg", text.encode())], {}, options=options)
    assert loaded.config is not None, loaded.diagnostics
    return loaded.config


def requests(chance: random.Random) -> Iterator[tuple[bytes, str]]:
    """(request, the client's address), from the words that the rules ask about."""
    paths = (
        *("/", "/static/x", "/img/y.png", "/deny/1", "/echo", "/old/x", "/admin", "/v1/a/../b"),
        *("/map/s1", "/map/o", "/map/x", "/last/one", "/never", "/reject", "/x.png", "/App"),
    )
    fields = (
        *("X-List: a, b, c", "X-List: b", "X-Debug-One: 1", "X-Debug: 2", "X-Evil: 1", "X-Server: two", "X-Odd: \x7f\xff"),
        *("Cookie: S=two; t=1", "Cookie: S=nobody", "Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic bm9uc2Vuc2U="),
    )
    while True:
        target = chance.choice(paths) + chance.choice(("", "", "?x=1", "?a=b&c"))
        host = chance.choice(("a.example", "b.example", "B.Example:8080", "c.test", "x.example"))
        method = chance.choice(("GET", "GET", "HEAD", "POST", "OPTIONS"))
        chosen = [field for field in fields if chance.random() < 0.15]
        body = b"name=value" if method == "POST" and chance.random() < 0.7 else b""
        if method == "POST":
            chosen.append(f"Content-Length: {len(body)}")
        head = (
            f"{method} {target} HTTP/1.{chance.choice('1110')}\r\nHost: {host}\r\n" + "".join(f"{field}\r\n" for field in chosen) + "\r\n"
        )
        yield head.encode("latin-1") + body, chance.choice(("127.0.0.1", "10.1.2.3", "192.0.2.66", "2001:db8::7", "198.51.100.9"))


def outcome(told: Explanation) -> tuple[object, ...]:
    return (
        told.verdict,
        told.backend,
        told.server,
        told.answer,
        told.forwarded,
        told.reason,
        told.termination,
        told.persistence,
        told.variables,
    )


def test_what_is_explained_is_what_is_done(config: model.Config) -> None:
    chance = random.Random(SEED)
    with Explainer(config) as explainer, Explainer(config, traced=False) as worker:
        kinds = set()
        for number, (request, source) in zip(range(REQUESTS), requests(chance), strict=False):
            told = explainer.explain(request, frontend="web", source=(source, 50000))
            done = worker.explain(request, frontend="web", source=(source, 50000))
            assert outcome(told) == outcome(done), (SEED, number, request)
            assert not done.steps
            kinds.add((told.verdict, told.backend, told.answer[9:12]))
        explainer.world.tallies.publish()
    assert len(kinds) >= 9, kinds  # the requests do reach all corners


def test_each_rule_says_what_it_saw(config: model.Config) -> None:
    with Explainer(config) as explainer:
        told = explainer.explain(b"GET /static/x HTTP/1.1\r\nHost: a.example\r\n\r\n", frontend="web")
    steps = {(step.ruleset, step.text): step for step in told.steps}
    chosen = steps["web: use_backend", "static"]
    assert chosen.applied and told.backend == "static" and told.backend_place == chosen.place
    assert [(seen.name, seen.matched, seen.samples, seen.pattern) for seen in chosen.seen] == [
        ("is_static", True, (b"/static/x",), b"/static"),
        ("host_a", True, (b"a.example",), b"a.example"),
    ]
    denied = steps["web: http-request", "deny deny_status 429"]
    assert not denied.applied and denied.seen[0].samples == (b"/static/x",)
    assert ("web: use_backend", "app") not in steps  # rules after the one that decided are not asked


def test_a_tarpit_is_told_and_not_waited_for(config: model.Config) -> None:
    with Explainer(config) as explainer:
        told = explainer.explain(b"GET /x?slow=1 HTTP/1.1\r\nHost: c.test\r\n\r\n", frontend="web")
    assert told.verdict == "answered" and told.answer.startswith(b"HTTP/1.1 500")
    assert told.steps[-1].verdict == "answers 500 after timeout tarpit"


@pytest.mark.parametrize(
    "request_bytes, reason",
    [(b"GET /\r\n\r\n", "answered 400"), (b"GET / HTTP/1.1\r\nHost: a\r\n", "not complete"), (b"", "not complete")],
)
def test_what_is_no_request_is_said(config: model.Config, request_bytes: bytes, reason: str) -> None:
    with Explainer(config) as explainer:
        told = explainer.explain(request_bytes, frontend="web")
    assert told.verdict == "unread" and reason in told.reason
