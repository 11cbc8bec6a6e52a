from __future__ import annotations

import os
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from math import inf

import pytest
from OpenSSL import SSL

from common.model import Tls
from common.net.pump import Pump
from common.net.stream import Stream
from tests.common.net.driving import Driver
from tests.worker.authority import Authority
from tests.worker.tls_peers import Peer, client_context, finish
from worker import tickets
from worker.certs import BindTls
from worker.tls_hello import look_at_hello

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A ring of this test's own; contexts serve a process once."""
    monkeypatch.setattr(tickets, "_pool", [])
    monkeypatch.setattr(tickets, "GROUPS", 2)
    tickets.make_ring()
    yield


class Worker:
    """A forked process that answers one TLS connection after the other with one byte."""

    def __init__(self, make: Callable[[], BindTls], connections: int) -> None:
        pairs = [socket.socketpair() for _ in range(connections)]
        self.pid = os.fork()
        if self.pid == 0:
            try:
                bind = make()
                for _ours, theirs in pairs:
                    _serve(bind, theirs)
            finally:
                os._exit(0)
        for _ours, theirs in pairs:
            theirs.close()
        self.clients = [ours for ours, _ in pairs]

    def connect(
        self, context: ssl.SSLContext, session: ssl.SSLSession | None, name: str | None = None
    ) -> tuple[bool, ssl.SSLSession | None]:
        """(resumed, the session to go on with)."""
        with context.wrap_socket(self.clients.pop(0), session=session, server_hostname=name) as client:
            client.settimeout(10)
            assert client.recv(1) == b"x"
            reused = bool(client.session_reused)
            found = client.session
            client.unwrap()
        return reused, found

    def end(self) -> None:
        os.waitpid(self.pid, 0)


def _serve(bind: BindTls, sock: socket.socket) -> None:
    """In the child."""
    sock.setblocking(False)
    pump = Pump(lambda _strand, _error: None)

    async def story() -> None:
        plain = Stream(pump, sock)
        stream = bind.over(plain, await look_at_hello(plain, inf) if bind.wants_hello(time.monotonic()) else None)
        await stream.handshake(inf)
        await stream.send(b"x")
        await stream.recv()
        stream.close()

    strand = pump.spawn(story(), "story")
    while not strand.done:
        pump.turn(0.1)


@VERSIONS
def test_ticket_of_one_worker_is_good_at_every_other_whatever_certificate_it_has(
    authority: Authority, ring: None, version: ssl.TLSVersion
) -> None:
    """Over restarts and reloads of certificates too, for clients with and without a name of a second certificate."""
    first, second = authority.pem("a.example"), authority.pem("b.example")
    reloaded = authority.pem("a.example"), authority.pem("b.example")
    workers = [
        Worker(lambda: BindTls(Tls(certificates=[first, second]), ring_of(0)), 2),
        Worker(lambda: BindTls(Tls(certificates=list(reloaded)), ring_of(0)), 2),
    ]
    context = client_context(minimum_version=version, maximum_version=version)
    for name in ("a.example", "b.example"):
        reused, session = workers[0].connect(context, None, name)
        assert not reused and session is not None
        reused, _ = workers[1].connect(context, session, name)
        assert reused
    for worker in workers:
        worker.end()


@VERSIONS
def test_ticket_of_one_bind_is_worth_nothing_at_another(authority: Authority, ring: None, version: ssl.TLSVersion) -> None:
    """They may want different things of their clients."""
    pem = authority.pem("a.example")
    workers = [Worker(lambda number=number: BindTls(Tls(certificates=[pem]), ring_of(number)), 1) for number in (0, 1)]
    context = client_context(minimum_version=version, maximum_version=version)
    _, session = workers[0].connect(context, None)
    reused, _ = workers[1].connect(context, session)
    assert not reused
    for worker in workers:
        worker.end()


def ring_of(number: int, rotation_s: float = 3600.0, lifetime_s: float = 300.0) -> tickets.Ring:
    """Of the first or second bind of a configuration."""
    names = sorted(("web", "shop"), key=lambda name: zlib.crc32(name.encode()) % tickets.GROUPS)
    return tickets.rings(names, rotation_s, lifetime_s)[names[number]]


def test_bind_beyond_the_ring_has_a_context_all_the_same(ring: None) -> None:
    made = tickets.rings(["a", "b", "c"], 3600.0, 300.0)
    assert len({id(one.context) for one in made.values()}) == 3


def test_ring_is_made_once(ring: None) -> None:
    made = ring_of(0).context
    tickets.make_ring()
    assert ring_of(0).context is made


def test_a_reload_that_adds_a_bind_leaves_the_others_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets, "_pool", [])
    monkeypatch.setattr(tickets, "DEPTH", 1)
    tickets.make_ring()
    names = [f"front 127.0.0.1:{port}" for port in range(8000, 8010)]
    before = tickets.rings(names, 3600.0, 300.0)
    after = tickets.rings([*names, "front 127.0.0.1:9"], 3600.0, 300.0)
    same = sum(before[name].context is after[name].context for name in names)
    assert same >= len(names) - 1, "at most the one that stood where the new one belongs"


# --- turns ------------------------------------------------------------------------------------------------------------


class Turned:
    """A bind whose ring turns by a clock of the test's own."""

    def __init__(self, driver: Driver, pem: str, now: float, **settings: object) -> None:
        self.driver = driver
        self.contexts = [SSL.Context(SSL.TLS_SERVER_METHOD) for _ in range(3)]
        self.ring = tickets.Ring(self.contexts, 100.0, 50.0, made_at=0.0)
        self._settings = Tls(certificates=[pem], **settings)  # type: ignore[arg-type]
        monotonic, time.monotonic = time.monotonic, lambda: now
        try:
            self.bind = BindTls(self._settings, self.ring)
        finally:
            time.monotonic = monotonic

    def connect(self, now: float, version: ssl.TLSVersion, session: ssl.SSLSession | None = None) -> tuple[bool, ssl.SSLSession]:
        """(resumed, the session to go on with)."""
        plain, sock = self.driver.pair(tcp=False)
        context = CLIENTS[version]
        peer = Peer(sock, context, session=session, name="a.example")
        self.driver.own(peer.sock)
        self.driver.until(lambda: peer.step() or True)
        seen = None
        if self.bind.wants_hello(now):
            seen = self.driver.run(look_at_hello(plain, inf))
            assert seen is not None
        stream = self.bind.over(plain, seen)
        assert finish(self.driver, stream, peer) is None
        stream.send_now(b"x")
        self.driver.until(lambda: peer.receive() == b"x")
        assert peer.sock.session is not None
        return bool(peer.sock.session_reused), peer.sock.session


CLIENTS = {
    version: client_context(minimum_version=version, maximum_version=version)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
}


@VERSIONS
def test_tickets_of_a_key_whose_turn_is_over_are_good_for_the_life_of_sessions(
    driver: Driver, authority: Authority, version: ssl.TLSVersion
) -> None:
    one = Turned(driver, authority.pem("a.example"), 10.0)
    _, old = one.connect(10.0, version)
    assert one.connect(99.0, version, old)[0]
    resumed, new = one.connect(101.0, version)
    assert not resumed and one.ring.context is one.contexts[1] and one.ring.old
    assert one.connect(120.0, version, new)[0], "of the key whose turn it is"
    assert one.connect(120.0, version, old)[0], "of the key before"
    assert not one.connect(151.0, version, old)[0], "its time is over"
    assert not one.ring.old and one.connect(151.0, version, new)[0]


@VERSIONS
def test_worker_that_starts_later_opens_tickets_of_the_key_before(authority: Authority, version: ssl.TLSVersion) -> None:
    pem, contexts = authority.pem("a.example"), [SSL.Context(SSL.TLS_SERVER_METHOD) for _ in range(3)]

    def begun(ago_s: float) -> Callable[[], BindTls]:
        return lambda: BindTls(Tls(certificates=[pem]), tickets.Ring(contexts, 1000.0, 500.0, time.monotonic() - ago_s))

    workers = [Worker(begun(ago_s), 1) for ago_s in (900.0, 1100.0, 1600.0)]
    context = client_context(minimum_version=version, maximum_version=version)
    _, session = workers[0].connect(context, None)
    assert workers[1].connect(context, session)[0]
    assert not workers[2].connect(context, session)[0]
    for worker in workers:
        worker.end()


def test_keys_come_again_when_the_ring_is_through(driver: Driver, authority: Authority) -> None:
    one = Turned(driver, authority.pem("a.example"), 10.0)
    for turn in range(7):
        one.connect(turn * 100.0 + 10.0, ssl.TLSVersion.TLSv1_3)
        assert one.ring.context is one.contexts[turn % 3]


@pytest.mark.parametrize(
    "settings",
    [
        {"strict_sni": True},
        {"min_version": "TLSv1.3"},
        {"max_version": "TLSv1.2"},
        {"preset": "modern"},
        {"preset": "intermediate"},
        {"ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305", "max_version": "TLSv1.2"},
        {"curves": "secp384r1"},
        {"alpn": ("http/1.1",)},
    ],
    ids=str,
)
def test_key_is_named_whatever_a_bind_wants_of_its_clients(driver: Driver, authority: Authority, settings: dict[str, object]) -> None:
    one = Turned(driver, authority.pem("a.example"), 10.0, **settings)
    one.bind.wants_hello(101.0)
    assert [len(name) for _context, name, _until in one.ring.old] == [tickets.KEY_NAME_BYTES]


def test_key_is_named_where_clients_need_certificates(driver: Driver, authority: Authority) -> None:
    one = Turned(driver, authority.pem("a.example"), 10.0, verify="required", ca_file=authority.ca_file)
    one.bind.wants_hello(101.0)
    assert len(one.ring.old) == 1


def test_without_tickets_no_key_is_asked_for(driver: Driver, authority: Authority) -> None:
    one = Turned(driver, authority.pem("a.example"), 10.0, tickets=False)
    one.bind.wants_hello(101.0)
    assert not one.ring.old
