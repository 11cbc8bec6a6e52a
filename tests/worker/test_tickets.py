from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from math import inf

import pytest
from OpenSSL import SSL

from common.model import Tls
from common.net.pump import Pump
from common.net.stream import Stream
from tests.worker.authority import Authority
from tests.worker.tls_peers import client_context
from worker import tickets
from worker.certs import BindTls

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A ring of this test's own; contexts serve a process once."""
    monkeypatch.setattr(tickets, "_pool", [])
    monkeypatch.setattr(tickets, "POOL_SIZE", 2)
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
        stream = bind.over(Stream(pump, sock))
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
        Worker(lambda: BindTls(Tls(certificates=[first, second]), tickets.context_for(0)), 2),
        Worker(lambda: BindTls(Tls(certificates=list(reloaded)), tickets.context_for(0)), 2),
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
    workers = [Worker(lambda number=number: BindTls(Tls(certificates=[pem]), tickets.context_for(number)), 1) for number in (0, 1)]
    context = client_context(minimum_version=version, maximum_version=version)
    _, session = workers[0].connect(context, None)
    reused, _ = workers[1].connect(context, session)
    assert not reused
    for worker in workers:
        worker.end()


def test_bind_beyond_the_ring_has_a_context_all_the_same(ring: None) -> None:
    assert tickets.context_for(0) is tickets.context_for(0)
    assert tickets.context_for(0) is not tickets.context_for(1)
    assert isinstance(tickets.context_for(2), SSL.Context)
    assert tickets.context_for(2) is not tickets.context_for(2)


def test_ring_is_made_once(ring: None) -> None:
    made = tickets.context_for(0)
    tickets.make_ring()
    assert tickets.context_for(0) is made
