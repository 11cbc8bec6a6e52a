"""Whole files: text in, model and findings out."""

from __future__ import annotations

import pytest

from common.config.build import Loaded, load
from common.config.diagnostics import Severity
from common.config.options import LoadOptions
from common.model import AddressKind, Config


def loaded(text: str, environment: dict[str, str] | None = None, options: LoadOptions | None = None) -> Loaded:
    return load([("t.cfg", text.encode())], environment or {}, options=options or LoadOptions())


def good(text: str) -> Config:
    result = loaded(text)
    assert result.config is not None, [diagnostic.message for diagnostic in result.diagnostics]
    return result.config


def alerts(text: str) -> list[tuple[int, int, str]]:
    return [
        (diagnostic.place.line, diagnostic.place.column, diagnostic.message)
        for diagnostic in loaded(text).diagnostics
        if diagnostic.severity is Severity.ALERT
    ]


def test_two_tiers_of_one_file() -> None:
    config = good(
        "global\n nbproc 3\nlisten dispatcher\n bind :1234 process 1\n balance leastconn\n server p2 abns@p2 send-proxy\n"
        "listen worker\n mode http\n bind abns@p2 process 2 accept-proxy ssl crt a.pem\n server web 127.0.0.1:80\n"
    )
    dispatcher, worker = config.proxies
    assert (dispatcher.name, dispatcher.mode, dispatcher.frontend, dispatcher.backend) == ("dispatcher", "tcp", True, True)
    assert dispatcher.binds[0].processes == {1}
    assert dispatcher.servers[0].send_proxy == 1
    assert dispatcher.servers[0].address.kind is AddressKind.ABNS
    assert worker.binds[0].accept_proxy
    assert worker.binds[0].tls is not None
    assert worker.binds[0].tls.certificates == ["a.pem"]
    assert [bind.id for proxy in config.proxies for bind in proxy.binds] == [0, 1]


def test_every_fault_is_told_in_one_go() -> None:
    assert alerts("global\n maxconn 10k\n foo\nfrontend f\n bind :80 sssl\n bind\n timeout foo 1s\n") == [
        (2, 10, "'maxconn' expects an integer argument, got '10k'."),
        (3, 2, "unknown keyword 'foo' in 'global' section"),
        (5, 11, "'bind :80' in section 'frontend' : unknown keyword 'sssl'; did you mean 'ssl' maybe ?"),
        (6, 6, "'bind' expects {<path>|[addr1]:port1[-end1]}{,[addr]:port[-end]}... as arguments."),
        (
            7,
            10,
            "'timeout' supports 'check', 'client', 'client-fin', 'client-hs', 'connect', 'http-keep-alive', 'http-request', 'queue', "
            "'request-total', 'server', 'server-fin', 'tarpit', 'tunnel' (got 'foo')",
        ),
    ]


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ('server s 1.1.1.1:80 check "${OPTIONS-}"', 4),
        ("server s 1.1.1.1:80 '' weight 3", 3),
        ('option forwardfor ""', 1),
        ('bind :80 "$NOT_SET"', 2),
        ('http-request set-header X ""', 3),
    ],
)
def test_an_empty_word_ends_the_line_with_a_warning(line: str, at: int) -> None:
    body = f"listen x\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\n bind :8080\n {line}\n"
    warned = [found.message for found in loaded(body).diagnostics if found.slug == "empty-argument"]
    position = line.index('"') if '"' in line else line.index("'")
    at = at + 1 if line.startswith("option") else at
    assert warned == [
        f"argument number {at} at position {position + 2} is empty and marks the end of the argument list; "
        "all subsequent arguments will be ignored."
    ]


def test_an_empty_word_takes_nothing_from_the_words_before_it() -> None:
    config = good('listen x\n mode http\n bind :8080\n server s 1.1.1.1:80 weight 7 "" weight 9\n')
    assert config.proxies[0].servers[0].weight == 7


def test_an_empty_pattern_is_a_pattern() -> None:
    config = good('frontend x\n mode http\n bind :80\n acl none req.hdr(x) -m str ""\n http-request deny if { req.hdr(y) "" }\n')
    assert config.proxies[0].acls[0].words[-1] == ""


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ("http-check set-var(check.x) nonsense", "nonsense"),
        ("http-check expect rstatus (", "invalid"),
        ("http-check expect hdr name -m reg ( value x", "invalid"),
        ("http-check expect hdr name x value-lf %[nonsense]", "nonsense"),
        ("http-check send hdr X %[nonsense]", "nonsense"),
        ("http-check send uri-lf %[nonsense]", "nonsense"),
        ("http-check connect port nonsense", "nonsense"),
        ("http-check connect addr 1.1.1.1:+1", "port offset not permitted here"),
        ("http-check expect status 200 status-code nonsense", "nonsense"),
        ("http-check expect status 200 on-error %[nonsense]", "nonsense"),
        ("tcp-check expect rstring [", "invalid"),
        ("tcp-check expect rbinary [", "invalid"),
        ("tcp-check send-lf %[nonsense]", "nonsense"),
        ("tcp-check set-var-fmt(check.x) %[nonsense]", "nonsense"),
        ("tcp-check set-var(check.x) int(1) extra", "unexpected argument 'extra'"),
    ],
)
def test_expressions_and_patterns_in_checks_are_read_with_the_file(step: str, complaint: str) -> None:
    """The master compiles them at the start: what it cannot compile must be told before."""
    found = alerts(f"backend x\n mode http\n option httpchk\n server s 1.1.1.1:80 check\n {step}\n")
    assert len(found) == 1
    assert found[0][0] == 5
    assert complaint in found[0][2]


def case_file(content: bytes) -> list[str]:
    def read(path: str) -> bytes:
        if path != "/names":
            raise FileNotFoundError(2, "No such file or directory")
        return content

    result = loaded("global\n h1-case-adjust-file /names\nlisten x\n bind :1\n", options=LoadOptions(read_file=read))
    if result.config is not None:
        return [f"{source} {target}" for source, target in result.config.globals.extra["h1-case-adjust-file"]]
    return [found.message for found in result.diagnostics if found.severity is Severity.ALERT]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"# names\n\n \t x-a X-A \t\ncontent-length Content-Length\n", ["x-a X-A", "content-length Content-Length"]),
        (b"", []),
        (b"x-a\n", ["h1-case-adjust-file '/names', line 1: 'x-a' is no such pair"]),
        (b"X-a x-A\n", ["h1-case-adjust-file '/names', line 1: 'X-a x-A' is no such pair"]),
        (b"x-a X-B\n", ["h1-case-adjust-file '/names', line 1: 'x-a X-B' is no such pair"]),
        (b"x-a X-A\nx-a x-A\n", ["h1-case-adjust-file '/names', line 2: 'x-a x-A' is no such pair"]),
        (b"x-a X-A more\n", ["h1-case-adjust-file '/names', line 1: 'x-a X-A more' is no such pair"]),
    ],
)
def test_pairs_of_names_are_read_from_a_file(content: bytes, expected: list[str]) -> None:
    assert case_file(content) == expected


def test_a_file_of_names_that_cannot_be_read_is_an_alert() -> None:
    def read(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    result = loaded("global\n h1-case-adjust-file /nowhere\nlisten x\n bind :1\n", options=LoadOptions(read_file=read))
    assert [found.message for found in result.diagnostics if found.severity is Severity.ALERT] == [
        "h1-case-adjust-file '/nowhere': failed to open file (No such file or directory)."
    ]
