"""All rules of a proxy: sorted, compiled, linked to its backends."""

from __future__ import annotations

import pytest

from common import model
from common.acl.environment import CompileEnvironment
from common.errors import ExpressionError
from tests.common.acl.fakes import server
from tests.worker.route.fakes import FakeSubject
from worker.route.rules import Monitor, Rules, compile_rules, link_backends

LINES = [
    ("tcp-request connection", "reject if { src 192.0.2.0/24 }"),
    ("tcp-request session", "accept"),
    ("tcp-request content", "reject if !HTTP"),
    ("http-request", "deny if is_bad"),
    ("http-request", "set-header X-A a"),
    ("redirect", "location / if is_bad"),
    ("http-response", "del-header Server"),
    ("http-after-response", "set-header X-B b"),
    ("tcp-response content", "accept"),
]


def rule(number: int, ruleset: str, line: str) -> model.Rule:
    words, found, condition = line.partition(" if ")
    made = model.Condition(False, tuple(condition.split())) if found else None
    return model.Rule(model.Place("f.cfg", number), ruleset, tuple(words.split()), made)


def proxy(*lines: tuple[str, str], **fields: object) -> model.Proxy:
    made = model.Proxy(model.Place("f.cfg", 1), "site", True, True, mode="http")
    made.acls = [model.Acl(model.Place("f.cfg", 2), "is_bad", ("path_beg", "/bad"))]
    made.servers = [server("s1"), server("s2")]
    made.rules = [rule(number, *line) for number, line in enumerate(lines, 10)]
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def compiled(*lines: tuple[str, str], **fields: object) -> tuple[Rules, model.Proxy, CompileEnvironment]:
    own = proxy(*lines, **fields)
    known = CompileEnvironment(proxy=own, config=model.Config(proxies=[own]))
    return compile_rules(own, model.Config(), known), own, known


def test_rules_are_sorted_by_ruleset_in_file_order() -> None:
    rules, _, _ = compiled(*LINES)
    counts = (rules.tcp_connection, rules.tcp_session, rules.tcp_request, rules.redirects, rules.http_response, rules.after_response)
    assert [len(one) for one in (*counts, rules.tcp_response, rules.http_request)] == [1, 1, 1, 1, 1, 1, 1, 2]
    assert [one.place.line for one in rules.http_request] == [13, 14]
    assert rules.active and rules.response_active


def test_named_acls_are_shared() -> None:
    rules, _, _ = compiled(*LINES)
    condition, other = rules.http_request[0].condition, rules.redirects[0].condition
    assert condition is not None and other is not None
    assert condition.alternatives[0][0].criteria is not other.alternatives[0][0].criteria
    assert condition.alternatives[0][0].criteria[0] is other.alternatives[0][0].criteria[0]


IDLE: list[dict[str, object]] = [{}, {"monitor_uri": None}]


@pytest.mark.parametrize("fields", IDLE)
def test_proxy_without_rules_has_nothing_to_run(fields: dict[str, object]) -> None:
    rules, _, _ = compiled(**fields)
    assert not rules.active and not rules.response_active
    assert rules.balance_key is None and rules.unique_id is None and rules.monitor is None


ACTIVE: list[dict[str, object]] = [
    {"monitor_uri": "/alive"},
    {"options": frozenset({"http-buffer-request"})},
    {"captures": [("request", "host", 8)]},
    {"capture_cookie": ("SID", 8)},
]


@pytest.mark.parametrize("fields", ACTIVE)
def test_what_else_runs_on_every_request(fields: dict[str, object]) -> None:
    assert compiled(**fields)[0].active


def test_captures_of_responses_run_on_responses() -> None:
    assert compiled(captures=[("response", "server", 8)])[0].response_active
    assert compiled(capture_cookie=("SID", 8))[0].response_active
    assert not compiled(captures=[("request", "host", 8)])[0].response_active


FAULTS = [
    ("http-request", "set-hedder X y", 'f.cfg:10: "http-request set-hedder": unknown action'),
    ("http-request", "deny if nowhere", 'f.cfg:10: "http-request deny": there is no ACL "nowhere"'),
    ("use-server", "s3 if TRUE", 'f.cfg:10: there is no server "s3"'),
    ("force-persist", " if nowhere", "f.cfg:10: there is no ACL"),
]


@pytest.mark.parametrize(("ruleset", "line", "message"), FAULTS)
def test_fault_names_its_place(ruleset: str, line: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compiled((ruleset, line))
    assert str(caught.value).startswith(message)


def test_other_expressions_of_a_proxy() -> None:
    tls = model.Tls(sni="req.hdr(host),field(1,:)")
    with_tls = server("s1", tls=tls)
    rules, _, _ = compiled(servers=[with_tls, server("s2")], balance=("hdr(host)",), unique_id_format="id-%[src]-%cp")
    subject = FakeSubject()
    made = rules.sni_of(with_tls)
    assert made is not None and made(subject) == b"a.example"
    assert rules.sni_of(server("s2")) is None
    assert rules.balance_key is not None and rules.balance_key(subject) == b"a.example"
    assert rules.unique_id is not None and rules.unique_id(subject) == b"id-127.0.0.1-1234"


# --- monitor-uri -----------------------------------------------------------------------------------------------------

ASKED = [
    ("/alive", b"/alive", True),
    ("/alive", b"/alive?x", False),
    ("/alive?x", b"/alive?x", True),
    ("/alive", b"http://a/alive", True),
    ("/alive", b"http://a/alive/x", False),
    ("http://a/alive", b"http://a/alive", True),
    ("http://a/alive", b"/alive", False),
    ("*", b"*", True),
]


@pytest.mark.parametrize(("uri", "target", "asked"), ASKED)
def test_monitor_is_asked(uri: str, target: bytes, asked: bool) -> None:
    assert Monitor(uri.encode(), ()).is_asked(target) is asked


def test_monitor_fails_on_any_condition() -> None:
    lines = (("monitor fail", " if { src 192.0.2.1 }"), ("monitor fail", " if is_bad"))
    monitor = compiled(*lines, monitor_uri="/alive")[0].monitor
    assert monitor is not None
    assert not monitor.fails(FakeSubject())
    assert monitor.fails(FakeSubject(b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\n"))


# --- switching -------------------------------------------------------------------------------------------------------


class Living:
    """Stands for frontends, backends and the world that holds them."""

    def __init__(self, name: str = "", **fields: object) -> None:
        self.name = name
        vars(self).update(fields)


def switched(subject: FakeSubject, *lines: tuple[str, str], backends: tuple[str, ...] = ("site", "bk-a", "bk-b", "fallback")) -> str | None:
    rules, own, known = compiled(*lines)
    known.config = model.Config(proxies=[own, *(model.Proxy(model.Place(), name, False, True) for name in ("bk-a", "bk-b", "fallback"))])
    living = {name: Living(name) for name in backends}
    link_backends(rules, own, known, living)
    vars(subject)["frontend"] = Living(default_backend=living["fallback"])
    vars(subject.fake_world)["backends"] = living
    found = rules.choose_backend(subject)
    return None if found is None else str(found.name)


def test_first_use_backend_that_matches() -> None:
    lines = (("use_backend", "bk-a if is_bad"), ("use_backend", "bk-b"), ("use_backend", "bk-a"))
    subject = FakeSubject()
    assert switched(subject, *lines) == "bk-b"
    assert subject.last_rule == model.Place("f.cfg", 11)
    assert switched(FakeSubject(b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\n"), *lines) == "bk-a"


def test_default_backend_without_a_match() -> None:
    subject = FakeSubject()
    assert switched(subject, ("use_backend", "bk-a if is_bad")) == "fallback"
    assert subject.last_rule is None


def test_made_name() -> None:
    lines = (("use_backend", "bk-%[path,field(2,/)]"), ("use_backend", "bk-b"))
    assert switched(FakeSubject(b"GET /a/x HTTP/1.1\r\nHost: a\r\n\r\n"), *lines) == "bk-a"


def test_made_name_that_nobody_has_ends_with_the_default_backend() -> None:
    lines = (("use_backend", "bk-%[path,field(2,/)]"), ("use_backend", "bk-b"))
    assert switched(FakeSubject(b"GET /c/x HTTP/1.1\r\nHost: a\r\n\r\n"), *lines) == "fallback"


def test_backend_that_is_disabled_is_none() -> None:
    assert switched(FakeSubject(), ("use_backend", "bk-a"), backends=("site", "fallback")) is None


def test_unknown_backend_is_told_with_its_place() -> None:
    with pytest.raises(ExpressionError, match=r'f\.cfg:10: there is no backend "bk-c"'):
        switched(FakeSubject(), ("use_backend", "bk-c"))


def test_servers_that_rules_name() -> None:
    rules, _, _ = compiled(("use-server", "s1 if is_bad"), ("use-server", "s%[str(2)] if TRUE"), ("use-server", "s1 if TRUE"))
    assert list(rules.servers_to_use(FakeSubject())) == ["s2", "s1"]


def test_persistence_that_rules_force_or_ignore() -> None:
    rules, _, _ = compiled(("force-persist", " if is_bad"), ("ignore-persist", " if { path /path }"))
    subject, bad = FakeSubject(), FakeSubject(b"GET /bad HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (rules.forces_persistence(subject), rules.ignores_persistence(subject)) == (False, True)
    assert (rules.forces_persistence(bad), rules.ignores_persistence(bad)) == (True, False)
