"""Certificates and TLS contexts: from a bind's or a server's words to contexts that can be used.

A bind has one *initial* context (worker/tickets.py: it holds the ticket key and the policy) and one context per
certificate; the server name in the ClientHello chooses which certificate's context takes over. Names are matched exactly, then
by wildcard (one label), then the first certificate of the bind answers, unless `strict-sni`.

Source: HAProxy manual 5.1 "crt", "strict-sni", "verify"; 5.2 "ssl", "verify"; RFC 6066 section 3; RFC 6125 section 6.4.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from common.errors import ConfigError
from common.model import Tls
from worker.tls import TlsError, TlsStream, connect_tls, release_buffers, take_error

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_VERSIONS = {
    "SSLv3": SSL.SSL3_VERSION,
    "TLSv1.0": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
}
_VERIFY = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}
# HAProxy's own default list for TLS 1.2 is the library's; 1.3 likewise.
_SERVED_PROTOCOLS = (b"http/1.1", b"http/1.0")

__all__ = ["BindTls", "Certificate", "ServerTls", "TlsError", "TlsStream", "connect_tls", "load_certificate"]


@dataclass(slots=True)
class Certificate:
    """One certificate with its key. names: as in the certificate, lower case, wildcards as "*.example.com"."""

    path: str
    leaf: x509.Certificate
    chain: list[x509.Certificate]
    key: Any
    names: tuple[str, ...]
    _context: SSL.Context | None = field(default=None, repr=False)

    @property
    def context(self) -> SSL.Context:
        """Made when a client first asks for it."""
        if self._context is None:
            self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
            release_buffers(self._context)
            install(self._context, self)
        return self._context


def install(context: SSL.Context, certificate: Certificate) -> None:
    context.use_certificate(certificate.leaf)
    context.use_privatekey(certificate.key)
    for issuer in certificate.chain:
        context.add_extra_chain_cert(issuer)


def load_certificate(path: str) -> Certificate:
    """A PEM file with the certificate, its chain, and its key (or the key beside it in PATH.key). Raises ConfigError."""
    data = _read(path)
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise ConfigError(f"unable to load certificate from file '{path}': {_reason(error)}") from error
    if b"PRIVATE KEY-----" not in data:
        beside = path + ".key" if os.path.exists(path + ".key") else os.path.splitext(path)[0] + ".key"
        if not os.path.exists(beside):
            raise ConfigError(f"unable to load private key from file '{path}': no key in it, and no '{path}.key' beside it")
        data = _read(beside)
    try:
        key = load_pem_private_key(_key_block(data), None)
    except TypeError as error:
        raise ConfigError(f"the private key of '{path}' is encrypted: remove its passphrase, nobody types it at start") from error
    except ValueError as error:
        raise ConfigError(f"unable to load private key from file '{path}': {_reason(error)}") from error
    leaf = certificates[0]
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) and not hasattr(key, "public_key"):
        raise ConfigError(f"the private key of '{path}' is of a kind that TLS has no use for")
    if key.public_key() != leaf.public_key():
        raise ConfigError(f"inconsistencies between private key and certificate loaded from '{path}'")
    return Certificate(path, leaf, certificates[1:], key, _names(leaf))


def _key_block(data: bytes) -> bytes:
    """The PEM block of the private key alone; the reader of keys does not skip certificates."""
    begin = data.find(b"-----BEGIN ", max(0, data.find(b"PRIVATE KEY-----") - 40))
    end = data.find(b"-----END ", begin)
    return data[begin : data.find(b"\n", end) + 1 or len(data)] + b"\n"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"unable to open '{path}': {error.strerror}") from error


def _reason(error: Exception) -> str:
    return str(error).split(".")[0] or type(error).__name__


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names += extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        pass
    return tuple(dict.fromkeys(name.lower() for name in names))


def certificate_files(path: str) -> Iterator[str]:
    """The files that a `crt` word names: itself, or, for a directory, all in it in alphabetical order (manual 5.1)."""
    if not os.path.isdir(path):
        yield path
        return
    for name in sorted(os.listdir(path)):
        # Files that belong to a certificate of the same directory are not certificates.
        file = os.path.join(path, name)
        if not name.startswith(".") and not name.endswith((".issuer", ".ocsp", ".sctl", ".key")) and os.path.isfile(file):
            yield file


class BindTls:
    """The TLS side of one bind."""

    __slots__ = ("_default", "_exact", "_wildcard", "certificates", "context", "settings")

    def __init__(self, settings: Tls, context: SSL.Context) -> None:
        """Raises ConfigError for certificates and settings that cannot be used."""
        self.settings = settings
        self.certificates = [load_certificate(file) for path in settings.certificates for file in certificate_files(path)]
        if not self.certificates:
            raise ConfigError("no SSL certificate specified for bind")
        self._default = self.certificates[0]
        self._exact: dict[bytes, Certificate] = {}
        self._wildcard: dict[bytes, Certificate] = {}
        for certificate in self.certificates:
            for name in certificate.names:
                if name.startswith("*."):
                    self._wildcard.setdefault(name[2:].encode(), certificate)
                else:
                    self._exact.setdefault(name.encode(), certificate)
        self.context = context
        apply_policy(context, settings, server_side=True)
        install(context, self._default)
        context.set_tlsext_servername_callback(self._choose)
        context.set_session_id(b"usher")
        if not settings.tickets:
            context.set_options(SSL.OP_NO_TICKET)
        if settings.alpn:
            context.set_alpn_select_callback(_alpn_chooser(settings.alpn))

    def certificate_for(self, name: bytes | None) -> Certificate | None:
        """By SNI; None under strict-sni when no certificate has the name."""
        if name:
            name = name.lower().rstrip(b".")
            found = self._exact.get(name) or self._wildcard.get(name.partition(b".")[2])
            if found is not None:
                return found
        return None if self.settings.strict_sni else self._default

    def _choose(self, connection: SSL.Connection) -> None:
        certificate = self.certificate_for(connection.get_servername())
        if certificate is None:
            # Left with the default certificate, the handshake would succeed; without any it ends in an alert.
            connection.set_context(_no_certificate())
        elif certificate is not self._default:
            connection.set_context(certificate.context)

    def over(self, stream: Any) -> TlsStream:
        return TlsStream.over(stream, self.context, server_side=True)


_empty_context: list[SSL.Context] = []


def _no_certificate() -> SSL.Context:
    if not _empty_context:
        _empty_context.append(SSL.Context(SSL.TLS_SERVER_METHOD))
    return _empty_context[0]


def _alpn_chooser(offered: tuple[str, ...]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    ours = [name.encode() for name in offered if name.encode() in _SERVED_PROTOCOLS]

    def choose(_connection: SSL.Connection, theirs: list[bytes]) -> Any:
        for name in ours:
            if name in theirs:
                return name
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return choose


def apply_policy(context: SSL.Context, settings: Tls, *, server_side: bool) -> None:
    """Versions, ciphers, verification. Raises ConfigError on names that OpenSSL does not know."""
    release_buffers(context)
    context.set_min_proto_version(_VERSIONS[settings.min_version or "TLSv1.2"])
    if settings.max_version:
        context.set_max_proto_version(_VERSIONS[settings.max_version])
    options = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION
    if server_side and not settings.prefer_client_ciphers:
        options |= SSL.OP_CIPHER_SERVER_PREFERENCE
    context.set_options(options)
    try:
        if settings.ciphers:
            context.set_cipher_list(settings.ciphers.encode())
        if settings.ciphersuites:
            context.set_tls13_ciphersuites(settings.ciphersuites.encode())
    except SSL.Error as error:
        raise ConfigError(f"unable to set SSL cipher list to '{settings.ciphersuites or settings.ciphers}'") from error
    raw = context._context
    if settings.curves and _lib.SSL_CTX_set1_curves_list(raw, settings.curves.encode()) != 1:
        take_error()
        raise ConfigError(f"unable to set SSL curves list to '{settings.curves}'")
    if settings.sigalgs and _lib.SSL_CTX_set1_sigalgs_list(raw, settings.sigalgs.encode()) != 1:
        take_error()
        raise ConfigError(f"unable to set SSL signature algorithm list to '{settings.sigalgs}'")
    verify = settings.verify or ("none" if server_side else "required")
    if settings.ca_file:
        try:
            if settings.ca_file == "@system-ca":
                context.set_default_verify_paths()
            else:
                context.load_verify_locations(settings.ca_file)
        except SSL.Error as error:
            raise ConfigError(f"unable to set CA file '{settings.ca_file}'") from error
        if server_side and settings.ca_file != "@system-ca":
            context.load_client_ca(settings.ca_file.encode())
    context.set_verify(_VERIFY[verify])


class ServerTls:
    """The TLS side of one `server … ssl`. Keeps the last session, so that later connections resume it."""

    __slots__ = ("context", "session", "settings")

    def __init__(self, settings: Tls) -> None:
        self.settings = settings
        self.context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self.session: SSL.Session | None = None
        apply_policy(self.context, settings, server_side=False)
        if (settings.verify or "required") == "required" and not settings.ca_file:
            self.context.set_default_verify_paths()
        for path in settings.certificates[:1]:
            install(self.context, load_certificate(path))
        if settings.alpn:
            self.context.set_alpn_protos([name.encode() for name in settings.alpn if name.encode() in _SERVED_PROTOCOLS] or [b"http/1.1"])

    async def connect(self, stream: Any, server_name: bytes | None, deadline: float) -> TlsStream:
        """Handshake over a connected stream. Raises TlsError, DeadlinePassed; the stream is closed then."""
        tls = await connect_tls(stream, self.context, server_name, self.session, deadline)
        self.session = tls.connection.get_session() or self.session
        return tls
