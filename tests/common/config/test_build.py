"""Whole files: text in, model and findings out."""

from __future__ import annotations

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
