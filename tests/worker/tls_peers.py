"""The other end of a TLS connection: Python's ssl on a socket that does not block, driven beside the pump."""

from __future__ import annotations

import socket
import ssl
from math import inf

from OpenSSL import SSL

from common.model import Tls
from tests.common.net.driving import Driver
from worker.certs import BindTls
from worker.server_tls import ServerTls
from worker.tickets import Ring
from worker.tls import TlsError, TlsStream


class Peer:
    """One TLS end. failure: what the handshake came to, if not to an end."""

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        name: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self.sock = context.wrap_socket(
            sock, server_side=server_side, server_hostname=name, do_handshake_on_connect=False, suppress_ragged_eofs=False, session=session
        )
        self.done = False
        self.failure: Exception | None = None

    def step(self) -> bool:
        """Go on with the handshake; whether it is over, one way or the other."""
        if not (self.done or self.failure):
            try:
                self.sock.do_handshake()
                self.done = True
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError as error:
                self.failure = error
        return self.done or self.failure is not None

    def receive(self, size: int = 65536) -> bytes | None:
        """None: nothing there yet. b"": the end, said by close_notify."""
        try:
            return self.sock.recv(size)
        except ssl.SSLWantReadError:
            return None

    def receive_all(self) -> bytes:
        found = b""
        while data := self.receive():
            found += data
        return found

    def close(self) -> None:
        self.sock.close()


def client_context(ca_file: str | None = None, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    if ca_file is None:
        context.verify_mode = ssl.CERT_NONE
    else:
        context.load_verify_locations(ca_file)
    for name, version in versions.items():
        setattr(context, name, version)
    return context


def server_context(pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


def bind_tls(*certificates: str, **settings: object) -> BindTls:
    return BindTls(Tls(certificates=list(certificates), **settings), Ring([SSL.Context(SSL.TLS_SERVER_METHOD)]))  # type: ignore[arg-type]


def accept(
    driver: Driver,
    bind: BindTls,
    context: ssl.SSLContext | None = None,
    *,
    name: str | None = None,
    session: ssl.SSLSession | None = None,
    tcp: bool = False,
) -> tuple[TlsStream, Peer, Exception | None]:
    """A client's handshake with a bind: (our stream, the client, how our side failed)."""
    plain, sock = driver.pair(tcp=tcp)
    peer = Peer(sock, context or client_context(), name=name, session=session)
    driver.own(peer.sock)
    stream = bind.over(plain)
    failure = finish(driver, stream, peer)
    return stream, peer, failure


def finish(driver: Driver, stream: TlsStream, peer: Peer) -> Exception | None:
    """Run a handshake that was begun on both ends; how ours failed."""
    over: list[Exception | None] = []

    async def story() -> None:
        try:
            await stream.handshake(driver.pump.now + 10)
        except TlsError as error:
            over.append(error)
            stream.close()
        else:
            over.append(None)

    driver.start("handshake", story())
    driver.until(lambda: peer.step() and over)
    driver.results.clear()
    return over[0]


def connect(
    driver: Driver, server: ServerTls, context: ssl.SSLContext, name: bytes | None = None, *, tcp: bool = False
) -> tuple[TlsStream | None, Peer, Exception | None]:
    """Our handshake with a server: (our stream, the server, how our side failed)."""
    plain, sock = driver.pair(tcp=tcp)
    peer = Peer(sock, context, server_side=True)
    driver.own(peer.sock)
    over: list[TlsStream | Exception] = []

    async def story() -> None:
        try:
            over.append(await server.connect(plain, name, inf))
        except TlsError as error:
            over.append(error)

    driver.start("connect", story())
    driver.until(lambda: peer.step() and over)
    driver.results.clear()
    [found] = over
    return (found, peer, None) if isinstance(found, TlsStream) else (None, peer, found)
