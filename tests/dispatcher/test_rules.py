"""`tcp-request connection` in a section that only dispatches."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from common.acl.absent import AbsentWorld
from common.errors import ExpressionError
from common.model import Acl, Bind, Condition, Config, Place, Proxy, Rule
from common.observe import fields as f
from common.wire.proxy_protocol import encode_v1
from dispatcher.rules import ConnectionRules
from dispatcher.visitor import Visitor
from tests.dispatcher.harness import counters_of, dispatcher_listen, explicit, server, wait_until
from tests.dispatcher.test_introduction import HEADER
from tests.dispatcher.test_relay import accept, receive_all, relaying

PLACE = Place("usher.cfg", 7)
CLIENT = Visitor(b"\x0a\0\0\1", 1000, b"\x0a\0\0\2", 2000)


def rule(text: str) -> Rule:
    """A rule from its text after `tcp-request connection`."""
    words = text.split()
    for keyword in ("if", "unless"):
        if keyword in words:
            at = words.index(keyword)
            return Rule(PLACE, "tcp-request connection", tuple(words[:at]), Condition(keyword == "unless", tuple(words[at + 1 :])))
    return Rule(PLACE, "tcp-request connection", tuple(words))


def compiled(*texts: str, acls: tuple[Acl, ...] = ()) -> tuple[ConnectionRules, Proxy]:
    proxy = dispatcher_listen(server("a", "a"))
    proxy.rules = [rule(text) for text in texts]
    proxy.acls = list(acls)
    return ConnectionRules(proxy, Config(proxies=[proxy]), AbsentWorld()), proxy


@contextmanager
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        accepted, _ = listener.accept()
        with accepted:
            yield accepted, client


CASES = [
    (["accept"], True),
    (["reject"], False),
    (["silent-drop"], False),
    (["reject if { src 10.0.0.0/8 }"], False),
    (["reject unless { src 10.0.0.0/8 }"], True),
    (["accept if { src 10.0.0.1 }", "reject"], True),
    (["reject if { dst_port 2000 }"], False),
    (["reject if { dst_port 2001 } or { src_port 1000 }"], False),
    (["reject if bad"], False),
    (["reject if !bad"], True),
    (["set-var(sess.x) src", "reject if { var(sess.x) -m ip 10.0.0.1 }"], False),
    (["set-var-fmt(sess.x) %ci", "unset-var(sess.x)", "reject if { var(sess.x) -m found }"], True),
    (["set-src ipv4(192.0.2.1)", "reject if { src 10.0.0.1 }"], True),
]


@pytest.mark.parametrize(("texts", "is_in"), CASES, ids=lambda value: "; ".join(value) if isinstance(value, list) else "")
def test_first_verdict_decides(texts: list[str], is_in: bool) -> None:
    rules, proxy = compiled(*texts, acls=(Acl(PLACE, "bad", ("src", "10.0.0.1", "10.0.0.9")),))
    with connected() as (sock, _client):
        visitor = rules.admit(proxy.binds[0], sock, CLIENT)
        assert (visitor is not None) == is_in
        assert (sock.fileno() < 0) == (not is_in), "who is turned away is closed"


def test_rules_may_change_the_addresses_that_are_told_on() -> None:
    rules, proxy = compiled("set-src ipv4(192.0.2.1)", "set-src-port int(7)", "set-dst ipv6(2001:db8::1)", "set-dst-port int(70000)")
    with connected() as (sock, _client):
        visitor = rules.admit(proxy.binds[0], sock, CLIENT)
    assert visitor == Visitor(b"\xc0\0\2\1", 7, b"\x20\1\x0d\xb8" + b"\0" * 11 + b"\1", 70000 & 0xFFFF)


def test_expect_proxy_makes_some_clients_tell_a_header() -> None:
    rules, proxy = compiled("expect-proxy layer4 if { src 10.0.0.0/8 }")
    with connected() as (sock, _client):
        visitor = rules.admit(proxy.binds[0], sock, CLIENT)
        assert visitor is not None and visitor.expects_header
        other = rules.admit(proxy.binds[0], sock, Visitor(b"\x0b\0\0\1", 1, b"\x0a\0\0\2", 2))
        assert other is not None and not other.expects_header


def test_socket_options_are_set() -> None:
    rules, proxy = compiled("set-tos 32")
    with connected() as (sock, _client):
        rules.admit(proxy.binds[0], sock, CLIENT)
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 32


@pytest.mark.parametrize("text", ["silent-drop", "silent-drop rst-ttl 3"])
def test_silent_drop_closes(text: str) -> None:
    rules, proxy = compiled(text)
    with connected() as (sock, _client):
        assert rules.admit(proxy.binds[0], sock, CLIENT) is None


@pytest.mark.parametrize("text", ["track-sc0 src", "sc-inc-gpc0(0)", "blow-up"])
def test_what_cannot_run_here_names_the_line(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"usher\.cfg:7"):
        compiled(text)


@pytest.fixture
def denying() -> Rule:
    return rule("reject if { src 127.0.0.1 }")


def test_handed_over_listen_denies_and_counts(denying: Rule) -> None:
    with explicit(1, rules=[denying]) as (dispatcher, [worker], _):
        dispatcher.meet(worker)
        assert dispatcher.connect().recv(1) == b""
        counters = counters_of(dispatcher)
        frontend = counters.layout.frontends[0]
        wait_until(lambda: counters.total(frontend)[f.DCON] == 1, "it is counted")
        assert counters.total(frontend)[f.STOT] == 0
        assert worker.poll() is None


def test_relayed_listen_denies_and_counts(denying: Rule) -> None:
    with relaying(rules=[denying]) as (dispatcher, [_listener]):
        assert dispatcher.connect().recv(1) == b""
        counters = counters_of(dispatcher)
        wait_until(lambda: counters.total(counters.layout.frontends[0])[f.DCON] == 1, "it is counted")


def test_expected_header_counts_in_a_handed_over_listen() -> None:
    with explicit(1, rules=[rule("expect-proxy layer4")]) as (dispatcher, [worker], _):
        dispatcher.meet(worker)
        dispatcher.connect(data=encode_v1(HEADER) + b"x")
        number = worker.receive()
        assert worker.headers[number].source == "192.0.2.1"
        assert worker.read(number) == b"x"


def test_changed_address_is_told_by_relays() -> None:
    with relaying(rules=[rule("set-src ipv4(192.0.2.77)")]) as (dispatcher, [listener]):
        client = dispatcher.connect()
        client.shutdown(socket.SHUT_WR)
        with accept(listener) as accepted:
            assert receive_all(accepted).startswith(b"PROXY TCP4 192.0.2.77 127.0.0.1 ")


def test_bind_is_known_to_rules() -> None:
    rules, proxy = compiled("reject if { dst_port 2000 } { src 10.0.0.1 }")
    with connected() as (sock, _client):
        assert rules.admit(Bind(PLACE, proxy.binds[0].address), sock, CLIENT) is None
