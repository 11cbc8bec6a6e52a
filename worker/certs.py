"""The TLS side of a bind: which certificate a client sees, and what is asked of it.

A bind has one *initial* context (worker/tickets.py: it holds the ticket key, and no certificate). When a ClientHello is read, the server
name in it chooses certificates (worker/names.py), and the context with these takes over: from then on OpenSSL asks that one for the chain,
ciphers, authorities, ALPN and staples. It is made when first needed, and the longest unused one is dropped when there are too many.

A line of a crt-list may have settings of its own. Most follow the context; that clients are verified, and which versions are spoken, is
copied when a connection begins, before anybody knows the name. The first can still be changed then; for the second the hello is looked at
before the connection begins (`wants_hello`), which costs one system call and only where such a line is, or a ticket key has changed.

Source: HAProxy manual 5.1 "crt", "crt-list", "default-crt", "strict-sni", "alpn"; RFC 6066 section 3.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from OpenSSL import SSL

from common.config.certificate_file import CertificateFile
from common.errors import ConfigError
from common.model import CertificateLine, Tls
from common.net.stream import Stream
from common.wire.client_hello import ClientHello
from worker.certificate import CertificateStore, install
from worker.names import Choice, Entry, Names
from worker.tickets import Ring, key_name_of
from worker.tls import TlsStream, Verification
from worker.tls_policy import (
    SERVED_PROTOCOLS,
    apply_policy,
    keep_secret,
    set_verify,
    verifies,
    verify_callback,
    version_number,
    version_options,
)
from worker.tls_tuning import Tuning
from worker.trust import Authorities

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]
_PROTOCOL_VERSION, _INTERNAL_ERROR, _UNRECOGNIZED_NAME = 70, 80, 112  # alerts, RFC 8446 section 6.2
_SCOPE = b"usher"  # of session ids: OpenSSL insists on one where clients are verified
CONTEXTS_MAX = 1024  # of one bind; one has about 25 KB


class BindTls:
    """The TLS side of one bind."""

    __slots__ = (
        "_authorities",
        "_chooser",
        "_contexts",
        "_learns",
        "_looks",
        "_names",
        "_store",
        "_verifies",
        "_verify",
        "entries",
        "ring",
        "settings",
        "tuning",
    )

    def __init__(
        self,
        settings: Tls,
        ring: Ring,
        store: CertificateStore | None = None,
        authorities: Authorities | None = None,
        tuning: Tuning = Tuning(),  # noqa: B008  # a frozen value
    ) -> None:
        """ring: of the initial contexts. Raises ConfigError for certificates and settings that cannot be used."""
        self.settings = settings
        self.tuning = tuning
        self._store = store or CertificateStore()
        self._authorities = authorities or Authorities()
        self._verify = verify_callback(settings)
        self.entries = list(self._entries())
        if not self.entries:
            raise ConfigError("no SSL certificate specified for bind")
        self._contexts: dict[tuple[int, ...], SSL.Context] = {}
        self._chooser = _ffi.callback("int (*)(SSL *, int *, void *)", self._choose, error=_lib.SSL_TLSEXT_ERR_ALERT_FATAL)
        self._learns = False
        self._index()
        self.ring = ring
        for line_settings in {id(entry.settings): entry.settings for entry in self.entries}.values():
            if line_settings is not settings:
                self._prepare(SSL.Context(SSL.TLS_SERVER_METHOD), line_settings, ())  # its words are right, or nothing starts
        self._context_of(self._names.default)
        ring.begin(time.monotonic(), self._prepare_initial, self._key_name)

    def certificates_for(self, name: bytes | None) -> Choice:
        """By SNI; () under strict-sni when no certificate has the name."""
        found = self._names.find(name.lower().rstrip(b".")) if name else ()
        return found or (() if self.settings.strict_sni else self._names.default)

    def over(self, stream: Stream, seen: tuple[bytes, ClientHello] | None = None) -> TlsStream:
        """A client's TLS connection over its plain one. seen: its hello, if that was looked at."""
        verification = Verification() if self._verifies or self.tuning.keeps_secrets else None
        ring = self.ring
        context = ring.context_for(seen[0]) if ring.old and seen is not None else ring.context
        tls = TlsStream.over(stream, context, server_side=True, verification=verification)
        if seen is not None:
            data, hello = seen
            if self.tuning.capture_bytes:
                tls.hello = data
            choice = self.certificates_for(hello.sni.encode() if hello.sni else None)
            if choice and choice[0].settings is not self.settings:
                _lib.SSL_set_options(tls.ssl, version_options(choice[0].settings))
        return tls

    def wants_hello(self, now: float) -> bool:
        """Whether a connection that begins now is to be looked at before."""
        ring = self.ring
        if now >= ring.until or ring.old:
            ring.turn(now)
        return self._looks or bool(ring.old)

    @property
    def names(self) -> Names:
        return self._names

    def rebuild(self) -> None:
        """Certificates or authorities have changed. Connections that have begun keep what they have."""
        self._contexts.clear()
        for entry in self.entries:
            entry.certificate = self._store.held[entry.certificate.path]
        self._index()

    def prove(self, entries: list[Entry]) -> None:
        """Raises ConfigError for certificates and settings that OpenSSL refuses."""
        for entry in entries:
            self._prepare(SSL.Context(SSL.TLS_SERVER_METHOD), entry.settings, (entry.certificate,))

    def trusts(self, path: str) -> bool:
        """Whether a ca-file or crl-file of that name is among its settings."""
        distinct = {id(entry.settings): entry.settings for entry in self.entries}.values()
        return any(path in (one.ca_file, one.ca_verify_file, one.crl_file) for one in (self.settings, *distinct))

    def retrust(self) -> None:
        """Authorities have changed: of the initial context too, whose store verifies clients that resume."""
        word = verifies(self.settings, server_side=True)
        for context in (self.ring.context, *(old for old, _name, _until in self.ring.old)):
            self._authorities.install(context, self.settings, server_side=True, verifies=word, announces=False)
        self.rebuild()

    # --- which certificates there are --------------------------------------------------------------------------------

    def _entries(self) -> Iterator[Entry]:
        settings = self.settings
        for word in settings.default_certificates:
            for path in self._store.named(word):
                yield Entry(self._store.held[path], settings, word, is_default=True)
        for position, word in enumerate((*settings.certificates, "")):
            for one in settings.crt_lists:
                if one.after == position:
                    self._store.lists.setdefault(one.path, list(one.lines))
                    for line in one.lines:
                        yield from self.of_line(line)
            paths = self._store.named(word) if word else ()
            lines = self._store.lists.get(word, ())
            for number, path in enumerate(paths):
                yield Entry(self._store.held[path], settings, word, line=lines[number] if lines else None)

    def of_line(self, line: CertificateLine) -> Iterator[Entry]:
        """What one line of a crt-list stands for. Raises ConfigError."""
        settings = line.settings or self.settings
        for path in self._store.named(line.certificate):
            yield Entry(self._store.held[path], settings, line.certificate, filters=line.filters, line=line)

    def _index(self) -> None:
        self._names = Names(self.entries)
        distinct = {id(entry.settings): entry.settings for entry in self.entries}.values()
        self._verifies = any(verifies(one, server_side=True) for one in distinct)
        bounds = (self.settings.min_version, self.settings.max_version)
        self._looks = self.tuning.capture_bytes > 0 or any((one.min_version, one.max_version) != bounds for one in distinct)

    # --- contexts ------------------------------------------------------------------------------------------------------

    def _prepare_initial(self, context: SSL.Context) -> None:
        self._prepare(context, self.settings, ())
        _lib.SSL_CTX_set_tlsext_servername_callback(context._context, self._chooser)

    def _key_name(self, context: SSL.Context) -> bytes:
        """Of its ticket key: a client that is nobody asks it."""
        if not self.settings.tickets:
            return b""
        self._learns = True
        try:
            return key_name_of(context, lambda server: set_verify(server._ssl, Tls(), self._verify))
        finally:
            self._learns = False

    def _prepare(self, context: SSL.Context, settings: Tls, certificates: tuple[CertificateFile, ...]) -> None:
        apply_policy(
            context,
            settings,
            server_side=True,
            tuning=self.tuning,
            authorities=self._authorities,
            kinds=len(certificates),
            dh=next((one.dh for one in certificates if one.dh), b""),
        )
        install(context, certificates)
        context.set_session_id(_SCOPE)
        if not settings.tickets:
            context.set_options(SSL.OP_NO_TICKET)
        if self.tuning.keeps_secrets:
            context.set_keylog_callback(keep_secret)
        if not self.tuning.keeps_sessions:
            context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        if settings.alpn:
            context.set_alpn_select_callback(_alpn_chooser(settings.alpn))
        if any(one.staple for one in certificates):
            context.set_ocsp_server_callback(_stapler(certificates))

    def _choose(self, ssl: Any, alert: Any, _argument: Any) -> int:
        """OpenSSL's question at each ClientHello."""
        name = _lib.SSL_get_servername(ssl, _lib.TLSEXT_NAMETYPE_host_name)
        choice = self._names.default if self._learns else self.certificates_for(_ffi.string(name) if name != _ffi.NULL else None)
        if not choice:
            return _refuse(alert, _UNRECOGNIZED_NAME)
        settings = choice[0].settings
        if settings is not self.settings and not self._learns:
            if not _speaks(settings, _lib.SSL_version(ssl)):
                return _refuse(alert, _PROTOCOL_VERSION)
            set_verify(ssl, settings, self._verify)
        try:
            context = self._context_of(choice)
        except ConfigError:  # it was proven at the start; what it needs is gone now
            return _refuse(alert, _INTERNAL_ERROR)
        _lib.SSL_set_SSL_CTX(ssl, context._context)
        return int(_lib.SSL_TLSEXT_ERR_OK)

    def _context_of(self, choice: Choice) -> SSL.Context:
        key = tuple(map(id, choice))
        context = self._contexts.pop(key, None)
        if context is None:
            if len(self._contexts) >= CONTEXTS_MAX:
                del self._contexts[next(iter(self._contexts))]
            context = SSL.Context(SSL.TLS_SERVER_METHOD)
            self._prepare(context, choice[0].settings, tuple(entry.certificate for entry in choice))
        self._contexts[key] = context  # at the end: it is the one that was used last
        return context


def _refuse(alert: Any, number: int) -> int:
    alert[0] = number
    return int(_lib.SSL_TLSEXT_ERR_ALERT_FATAL)


def _speaks(settings: Tls, version: int) -> bool:
    """Whether a line allows the version that was agreed on before its name was known."""
    return version_number(settings.min_version, 0) <= version <= version_number(settings.max_version, 0xFFFF)


def _alpn_chooser(offered: tuple[str, ...]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    ours = [name.encode() for name in offered if name.encode() in SERVED_PROTOCOLS]

    def choose(_connection: SSL.Connection, theirs: list[bytes]) -> Any:
        for name in ours:
            if name in theirs:
                return name
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return choose


def _stapler(certificates: tuple[CertificateFile, ...]) -> Callable[[SSL.Connection, Any], bytes]:
    by_leaf = {one.leaf: one.staple for one in certificates}

    def staple(connection: SSL.Connection, _data: Any) -> bytes:
        shown = connection.get_certificate(as_cryptography=True)
        return by_leaf.get(shown, b"") if shown is not None else b""

    return staple
