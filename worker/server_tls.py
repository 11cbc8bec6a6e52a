"""The TLS side of a `server … ssl`: the context that connections to it are made from, and the sessions that later ones resume.

A server keeps the last session per name. A session stands for a verified certificate, and is never used for another name.

Source: HAProxy manual 5.2 "ssl", "sni", "verifyhost", "no-ssl-reuse".
"""

from __future__ import annotations

from OpenSSL import SSL

from common.model import Tls
from common.net.stream import Stream
from worker.certificate import install, load_certificate
from worker.tls import TlsStream, Verification
from worker.tls_policy import SERVED_PROTOCOLS, apply_policy, expect_name, keep_secret, verifies
from worker.tls_tuning import Tuning
from worker.trust import Authorities

SESSIONS_MAX = 256
"""Names of one server for which a session is kept."""


class ServerTls:
    """The TLS side of one `server … ssl`."""

    __slots__ = ("_keeps_secrets", "_sessions", "_verifies", "context", "settings")

    def __init__(self, settings: Tls, tuning: Tuning = Tuning(), authorities: Authorities | None = None) -> None:  # noqa: B008
        """Raises ConfigError for certificates and settings that cannot be used."""
        self.settings = settings
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._verifies = verifies(settings, server_side=False)
        self._sessions: dict[bytes | None, SSL.Session] = {}
        apply_policy(self.context, settings, server_side=False, tuning=tuning, authorities=authorities)
        self._keeps_secrets = tuning.keeps_secrets
        if tuning.keeps_secrets:
            self.context.set_keylog_callback(keep_secret)
        for path in settings.certificates[:1]:
            install(self.context, [load_certificate(path)])
        if settings.alpn:
            self.context.set_alpn_protos([name.encode() for name in settings.alpn if name.encode() in SERVED_PROTOCOLS] or [b"http/1.1"])

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
        return Verification() if self._verifies or self._keeps_secrets else None

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
