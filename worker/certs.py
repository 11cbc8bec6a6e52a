"""The TLS sides of binds and servers: contexts that sessions are made from.

A bind has one *initial* context (worker/tickets.py: it holds the ticket key) and one context per certificate; the server name
in the ClientHello chooses which certificate's context takes over. From then on OpenSSL asks that one also for ALPN, authorities
and the session's scope, so all contexts of a bind are made alike. Names are matched exactly, then by wildcard (one label),
then the first certificate of the bind answers, unless `strict-sni`.

A server keeps the last session per name, so that later connections resume it. A session stands for a verified certificate, and
is never used for another name.

Source: HAProxy manual 5.1 "crt", "strict-sni", "alpn"; 5.2 "ssl", "sni", "verifyhost", "no-ssl-reuse"; RFC 6066 section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL

from common.errors import ConfigError
from common.model import Tls
from common.net.stream import Stream
from worker.certificate import Certificate, certificate_files, load_certificate
from worker.tls import TlsError, TlsStream, Verification
from worker.tls_policy import apply_policy, expect_name, verifies

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]
_UNRECOGNIZED_NAME, _INTERNAL_ERROR = 112, 80  # alerts, RFC 8446 section 6.2
_SERVED_PROTOCOLS = (b"http/1.1", b"http/1.0")
_SCOPE = b"usher"  # of session ids: OpenSSL insists on one where clients are verified
SESSIONS_MAX = 256
"""Names of one server for which a session is kept."""


class BindTls:
    """The TLS side of one bind."""

    __slots__ = (
        "_chooser",
        "_contexts",
        "_default",
        "_exact",
        "_verifies",
        "_wildcard",
        "certificates",
        "context",
        "settings",
    )

    def __init__(self, settings: Tls, context: SSL.Context) -> None:
        """context: the initial one. Raises ConfigError for certificates and settings that cannot be used."""
        self.settings = settings
        self.certificates = [load_certificate(file) for path in settings.certificates for file in certificate_files(path)]
        if not self.certificates:
            raise ConfigError("no SSL certificate specified for bind")
        self._default = self.certificates[0]
        self._exact: dict[bytes, Certificate] = {}
        self._wildcard: dict[bytes, Certificate] = {}
        for certificate in self.certificates:
            self._file(certificate)
        self._verifies = verifies(settings, server_side=True)
        self.context = context
        self._prepare(context, self._default)
        self._contexts = {self._default.path: context}
        self._chooser = _ffi.callback("int (*)(SSL *, int *, void *)", self._choose, error=_lib.SSL_TLSEXT_ERR_ALERT_FATAL)
        _lib.SSL_CTX_set_tlsext_servername_callback(context._context, self._chooser)

    def certificate_for(self, name: bytes | None) -> Certificate | None:
        """By SNI; None under strict-sni when no certificate has the name."""
        if name:
            name = name.lower().rstrip(b".")
            found = self._exact.get(name) or self._wildcard.get(name.partition(b".")[2])
            if found is not None:
                return found
        return None if self.settings.strict_sni else self._default

    def over(self, stream: Stream) -> TlsStream:
        """A client's TLS connection over its plain one."""
        verification = Verification() if self._verifies else None
        return TlsStream.over(stream, self.context, server_side=True, verification=verification)

    def _file(self, certificate: Certificate) -> None:
        """Note its names, and that OpenSSL takes it: its own context is made when a client first asks for it."""
        certificate.install(SSL.Context(SSL.TLS_SERVER_METHOD))
        for name in certificate.names:
            if name.startswith("*."):
                self._wildcard.setdefault(name[2:].encode(), certificate)
            else:
                self._exact.setdefault(name.encode(), certificate)

    def _prepare(self, context: SSL.Context, certificate: Certificate) -> None:
        apply_policy(context, self.settings, server_side=True)
        certificate.install(context)
        context.set_session_id(_SCOPE)
        if not self.settings.tickets:
            context.set_options(SSL.OP_NO_TICKET)
        if self.settings.alpn:
            context.set_alpn_select_callback(_alpn_chooser(self.settings.alpn))

    def _choose(self, ssl: Any, alert: Any, _argument: Any) -> int:
        """OpenSSL's question at each ClientHello."""
        name = _lib.SSL_get_servername(ssl, _lib.TLSEXT_NAMETYPE_host_name)
        certificate = self.certificate_for(_ffi.string(name) if name != _ffi.NULL else None)
        if certificate is None:
            alert[0] = _UNRECOGNIZED_NAME
            return int(_lib.SSL_TLSEXT_ERR_ALERT_FATAL)
        if certificate is not self._default:
            try:
                context = self._context_of(certificate)
            except ConfigError:  # a file that was read at the start is gone or broken now
                alert[0] = _INTERNAL_ERROR
                return int(_lib.SSL_TLSEXT_ERR_ALERT_FATAL)
            _lib.SSL_set_SSL_CTX(ssl, context._context)
        return int(_lib.SSL_TLSEXT_ERR_OK)

    def _context_of(self, certificate: Certificate) -> SSL.Context:
        context = self._contexts.get(certificate.path)
        if context is None:
            context = SSL.Context(SSL.TLS_SERVER_METHOD)
            self._prepare(context, certificate)
            self._contexts[certificate.path] = context
        return context


def _alpn_chooser(offered: tuple[str, ...]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    ours = [name.encode() for name in offered if name.encode() in _SERVED_PROTOCOLS]

    def choose(_connection: SSL.Connection, theirs: list[bytes]) -> Any:
        for name in ours:
            if name in theirs:
                return name
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return choose


class ServerTls:
    """The TLS side of one `server … ssl`."""

    __slots__ = ("_sessions", "_verifies", "context", "settings")

    def __init__(self, settings: Tls) -> None:
        """Raises ConfigError for certificates and settings that cannot be used."""
        self.settings = settings
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self._verifies = verifies(settings, server_side=False)
        self._sessions: dict[bytes | None, SSL.Session] = {}
        apply_policy(self.context, settings, server_side=False)
        for path in settings.certificates[:1]:
            load_certificate(path).install(self.context)
        if settings.alpn:
            self.context.set_alpn_protos([name.encode() for name in settings.alpn if name.encode() in _SERVED_PROTOCOLS] or [b"http/1.1"])

    async def connect(self, stream: Stream, server_name: bytes | None, deadline: float) -> TlsStream:
        """Handshake over a connected stream, for that name. Raises TlsError, DeadlinePassed; the stream is closed then."""
        tls = TlsStream.over(stream, self.context, server_side=False, verification=Verification() if self._verifies else None)
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


__all__ = ["BindTls", "ServerTls", "TlsError", "TlsStream"]
