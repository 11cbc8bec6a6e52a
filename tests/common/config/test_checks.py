"""Findings over the whole configuration: what is told, how severely, and what is deliberately not told."""

from __future__ import annotations

import pytest

from common.config.build import load
from common.config.options import LoadOptions
from common.config.pending import SLUG

TIMES = "defaults\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n mode http\n"


def slugs(text: str) -> list[tuple[str, str]]:
    diagnostics = load([("t.cfg", (TIMES + text).encode())], {}, options=LoadOptions()).diagnostics
    return [(found.severity.value, found.slug) for found in diagnostics if found.slug != SLUG]


QUIET = [
    ("a process without any bind", "global\n daemon\n"),
    ("a backend that exists only for its checks", "backend probes\n server a 192.0.2.1:80 check\n"),
    ("a final rule that defaults brought", "defaults d from x\n http-request deny\nfrontend f from d\n bind :1\n http-request allow\n"),
    ("a backend that is chosen by name at run time", "frontend f\n bind :1\n use_backend %[path]\nbackend b\n server a 192.0.2.1:80\n"),
    ("a backend that holds a table", "backend b\n stick-table type ip size 1k\n server a 192.0.2.1:80\n"),
    ("two binds of different processes", "global\n nbproc 2\nlisten a\n bind :1 process 1\n bind :1 process 2\n"),
    (
        "splice on both sides",
        "frontend f\n bind :1\n option tcpsplice\n default_backend b\nbackend b\n option tcpsplice\n server a 192.0.2.1:80\n",
    ),
    ("sender and receiver agree", "listen d\n mode tcp\n bind :1\n server w abns@w send-proxy\nlisten w\n bind abns@w accept-proxy\n"),
    ("PROXY from outside", "frontend f\n bind :1 accept-proxy\n"),
    ("one server with a weight", "listen a\n bind :1\n server a 192.0.2.1:80 weight 0\n server b 192.0.2.1:81\n"),
    ("a check on another port", "listen a\n bind :1\n server a 192.0.2.1 check port 80\n"),
    ("a check whose steps name the port", "listen a\n bind :1\n option tcp-check\n tcp-check connect port 80\n server a 192.0.2.1 check\n"),
    ("a stored certificate", "crt-store\n load crt y alias z\ncrt-store web\n load crt a\nlisten a\n bind :1 ssl crt @/z crt @web/a\n"),
    ("tracking over two steps", "backend b\n server a 192.0.2.1:1 check\n server b 192.0.2.1:2 track a\n server c 192.0.2.1:3 track b/b\n"),
    ("a use_backend with a condition before another", "frontend f\n bind :1\n use_backend b if TRUE\n use_backend b\nbackend b\n"),
]


@pytest.mark.parametrize(("what", "text"), QUIET, ids=[what for what, _ in QUIET])
def test_no_finding_about(what: str, text: str) -> None:
    text = text.replace("defaults d from x\n", "defaults d\n timeout client 1s\n mode http\n")
    assert slugs(text) == []


FOUND = [
    ("frontend f\n", [("warning", "no-bind")]),
    ("frontend f\n bind :1\n default_backend nope\n", [("alert", "unknown-backend")]),
    ("frontend f\n bind :1\n use_backend nope if TRUE\n", [("alert", "unknown-backend")]),
    ("listen a\n bind :1\n default_backend a\n", [("alert", "")]),
    ("frontend f\n bind :1\n default_backend b\nbackend b\n mode tcp\n", [("alert", "mode-mismatch")]),
    ("frontend f\n bind :1\n http-request deny\n http-request allow\n", [("warning", "unreachable-rule")]),
    ("frontend f\n bind :1\n use_backend b\n http-request deny if TRUE\nbackend b\n", [("warning", "misplaced-rule")]),
    ("frontend f\n bind :1\n use_backend b\n use_backend b if TRUE\nbackend b\n", [("notice", "unreachable-use-backend")]),
    ("listen a\n mode tcp\n bind :1\n http-request deny\n", [("warning", "mode-mismatch")]),
    ("listen a\n mode tcp\n bind :1\n balance uri\n", [("warning", "mode-mismatch")]),
    ("listen a\n bind :1\n option httplog\n", [("warning", "no-log-target")]),
    ("listen a\n bind :1\n unique-id-header X\n", [("notice", "")]),
    ("backend b\n http-check expect status 200\n", [("warning", "ignored-checks")]),
    (
        "listen a\n bind :1\n tcp-request content track-sc0 req.hdr(x) table t\nbackend t\n stick-table type string size 1k\n",
        [("warning", "no-inspect-delay")],
    ),
    ("listen a\n bind :1\n server s 192.0.2.1 check\n", [("alert", "no-check-port")]),
    ("listen a\n bind :1\n server s 192.0.2.1:1 ssl\n", [("alert", "no-ca-file")]),
    ("listen a\n bind :1\n server s 192.0.2.1:1 check-ssl check\n", [("alert", "no-ca-file")]),
    ("listen a\n bind :1\n server s 192.0.2.1:1 track t\n", [("alert", "unknown-server")]),
    ("listen a\n bind :1\n server s 192.0.2.1:1 resolvers r\n", [("alert", "unknown-resolvers")]),
    ("resolvers r\n", [("warning", "no-nameserver")]),
    ("listen a\n bind :1\n stick on src\n", [("alert", "unknown-table")]),
    ("listen a\n bind :1\n stick-table type ip size 1k peers p\n", [("alert", "unknown-peers")]),
    ("listen a\n bind :1\n errorfiles e\n", [("alert", "unknown-http-errors")]),
    ("listen a\n bind :1\n bind :1\n", [("notice", "same-address")]),
    ("listen w\n bind abns@w accept-proxy\n", [("notice", "no-proxy-sender")]),
    ("listen d\n mode tcp\n bind :1\n server w abns@w\nlisten w\n bind abns@w accept-proxy\n", [("notice", "proxy-protocol-mismatch")]),
    ("listen d\n mode tcp\n bind :1\n server w abns@w send-proxy\nlisten w\n bind abns@w\n", [("notice", "proxy-protocol-mismatch")]),
    ("listen a\n bind :1\n server a 192.0.2.1:80 weight 0\n", [("notice", "weight-zero")]),
    ("backend b\n server a 192.0.2.1:80\n", [("notice", "unused-backend")]),
    ("frontend f\n bind :1\n acl TRUE src 192.0.2.1\n", [("notice", "shadowing-acl")]),
    ("listen a\n bind :1\n log 127.0.0.1 profile p local0\n", [("alert", "unknown-log-profile")]),
    ("log-profile p\n on error format %nope\n", [("alert", "bad-expression")]),
    ("listen a\n bind :1 ssl crt @web/x\ncrt-store web\n load crt y alias z\n", [("alert", "unknown-certificate")]),
    ("listen a\n guid x\n bind :1\n server s 192.0.2.1:1 guid x\n", [("alert", "duplicate-name")]),
    ("listen a\n bind :1 crt x\n", [("warning", "certificate-without-ssl")]),
    ("listen a\n bind :1 ssl\n", [("alert", "no-certificate")]),
]


@pytest.mark.parametrize(("text", "expected"), FOUND)
def test_finding(text: str, expected: list[tuple[str, str]]) -> None:
    assert slugs(text) == expected


def test_a_disabled_proxy_is_left_alone() -> None:
    assert slugs("frontend f\n disabled\n default_backend nope\n") == []


def test_every_finding_of_ours_is_a_notice() -> None:
    ours = (
        "same-address",
        "no-proxy-sender",
        "proxy-protocol-mismatch",
        "weight-zero",
        "unused-backend",
        "shadowing-acl",
        "one-sided-splice",
    )
    for text, expected in FOUND:
        for severity, slug in slugs(text):
            assert severity == "notice" or slug not in ours, expected


def test_loop_of_tracking_ends() -> None:
    found = slugs("backend b\n server a 192.0.2.1:1 track b\n server b 192.0.2.1:2 track a\n")
    assert [severity for severity, _ in found if severity == "alert"] == ["alert", "alert"]


def test_an_acl_of_responses_is_no_mistake_where_it_is_declared() -> None:
    """Which rules may ask it is said of the rules that do."""
    text = (
        "defaults\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n"
        "listen a\n bind :1\n acl bad status 500\n http-response deny if bad\n server s 192.0.2.1:1\n"
    )
    assert load([("t.cfg", text.encode())], {}, options=LoadOptions()).diagnostics == []
    wrong = text.replace("http-response deny if bad", "http-request deny if bad")
    found = load([("t.cfg", wrong.encode())], {}, options=LoadOptions()).diagnostics
    assert ["never matches" in one.message for one in found] == [True]
