"""The TLS side of a `server … ssl`: the context that connections to it are made from, and the sessions that later ones resume.

A server keeps the last session per name. A session stands for a verified certificate, and is never used for another name.

Source: HAProxy manual 5.2 "ssl", "sni", "verifyhost", "no-ssl-reuse".
"""

from __future__ import annotations

from OpenSSL import SSL

from common.model import Tls
from common.net.stream import Stream
from worker.certificate import CertificateStore, install
from worker.tls import TlsStream, Verification
from worker.tls_policy import SERVED_PROTOCOLS, apply_policy, expect_name, keep_secret, verifies
from worker.tls_tuning import Tuning
from worker.trust import Authorities

SESSIONS_MAX = 256
"""Names of one server for which a session is kept."""


class ServerTls:
    """The TLS side of one `server … ssl`."""

    __slots__ = ("_authorities", "_sessions", "_store", "_tuning", "_verifies", "certificates", "context", "settings")

    def __init__(
        self,
        settings: Tls,
        tuning: Tuning = Tuning(),  # noqa: B008  # a frozen value
        authorities: Authorities | None = None,
        store: CertificateStore | None = None,
    ) -> None:
        """Raises ConfigError for certificates and settings that cannot be used."""
        self.settings = settings
        self.certificates: tuple[str, ...] = ()
        self._tuning = tuning
        self._authorities = authorities or Authorities()
        self._store = store or CertificateStore()
        self._verifies = verifies(settings, server_side=False)
        self._sessions: dict[bytes | None, SSL.Session] = {}
        self.context = self._made()

    def rebuild(self) -> None:
        """Its certificate or its authorities have changed: later connections are made anew. Raises ConfigError."""
        self.context = self._made()
        self._sessions.clear()

    def trusts(self, path: str) -> bool:
        """Whether a ca-file or crl-file of that name is among its settings."""
        return path in (self.settings.ca_file, self.settings.crl_file)

    def _made(self) -> SSL.Context:
        settings = self.settings
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        apply_policy(context, settings, server_side=False, tuning=self._tuning, authorities=self._authorities)
        if self._tuning.keeps_secrets:
            context.set_keylog_callback(keep_secret)
        for word in settings.certificates[:1]:
            self.certificates = self._store.named(word)[:1]
            install(context, [self._store.held[path] for path in self.certificates])
        if settings.alpn:
            context.set_alpn_protos([name.encode() for name in settings.alpn if name.encode() in SERVED_PROTOCOLS] or [b"http/1.1"])
        return context

    async def connect(self, stream: Stream, server_name: bytes | None, deadline: float) -> TlsStream:
        """Handshake over a connected stream, for that name. Raises TlsError, DeadlinePassed; the stream is closed then."""
        tls = TlsStream.over(stream, self.context, server_side=False, verification=self._verification())
        connection = tls.connection
        try:
            if server_name:
                connection.set_tlsext_host_name(server_name)
            expected = self._expected(server_name)
            if expected and self._verifies:
                expect_name(connection, expected)
            session = self._sessions.get(server_name)
            if session is not None:
                connection.set_session(session)
            await tls.handshake(deadline)
        except BaseException:
            tls.close()
            raise
        return tls

    def _verification(self) -> Verification | None:
        return Verification() if self._verifies or self._tuning.keeps_secrets else None

    def _expected(self, server_name: bytes | None) -> bytes | None:
        """Whom the certificate must be for: the name that is sent; `verifyhost` where none is, or only what the client asked for."""
        settings = self.settings
        if settings.verifyhost and not (server_name and settings.sni):
            return settings.verifyhost.encode()
        return server_name

    def remember(self, server_name: bytes | None, tls: TlsStream) -> None:
        """Keep its session for later connections. To be called after something was read: in TLS 1.3 a session comes with the answer."""
        session = tls.connection.get_session() if self.settings.reuse and tls.handshake_done else None
        if session is not None:
            if server_name not in self._sessions and len(self._sessions) >= SESSIONS_MAX:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[server_name] = session
