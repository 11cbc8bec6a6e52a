"""Whom a TLS context believes: authorities and revocations, read once and shared by all contexts that want the same.

Every file is read at the start, while the process may, and kept: contexts are made later too, when a client first asks for a name. What an
operator sends takes the place of a file's content. Contexts share one store of OpenSSL's per set of files.
Source: HAProxy manual 5.1 "ca-file", "ca-verify-file", "no-ca-names", "crl-file"; management guide 9.3 "set ssl ca-file".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto

from common.errors import ConfigError
from common.model import Tls

_lib: Any = SSL._lib  # type: ignore[attr-defined]

SYSTEM = "@system-ca"
_ENDINGS = (".pem", ".crt", ".cer", ".crl")
_CERTIFICATE = re.compile(rb"-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----.*?-----END \1-----", re.DOTALL)
_CRL = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)

Key = tuple[str | None, str | None, str | None, bool]


@dataclass(frozen=True, slots=True)
class TrustFile:
    """What a ca-file or crl-file holds. what: "CA" or "CRL", as it is used."""

    what: str
    certificates: tuple[x509.Certificate, ...]
    crls: tuple[x509.CertificateRevocationList, ...]


class Authorities:
    """All ca-file, ca-verify-file and crl-file words of a process."""

    __slots__ = ("_stores", "held")

    def __init__(self) -> None:
        self.held: dict[str, TrustFile] = {}
        self._stores: dict[Key, SSL.Context] = {}

    def install(self, context: SSL.Context, settings: Tls, *, server_side: bool, verifies: bool, announces: bool = True) -> None:
        """Give a context its store, and, on our side of binds, the names of the authorities that clients hear. Raises ConfigError."""
        system = not server_side and verifies and not settings.ca_file
        key = (settings.ca_file, settings.ca_verify_file, settings.crl_file, system)
        if any(key):
            template = self._stores.get(key)
            if template is None:
                template = self._stores[key] = self._template(key)
            store = _lib.SSL_CTX_get_cert_store(template._context)
            _lib.X509_STORE_up_ref(store)
            _lib.SSL_CTX_set_cert_store(context._context, store)
        if announces and server_side and settings.ca_file and settings.ca_file != SYSTEM and settings.ca_names:
            for certificate in self.of(settings.ca_file).certificates:
                context.add_client_ca(certificate)

    def of(self, path: str, what: str = "CA") -> TrustFile:
        """Raises ConfigError."""
        found = self.held.get(path)
        if found is None:
            found = self.held[path] = parse(path, b"\n".join(_contents(path, what)), what)
        return found

    def replace(self, path: str, found: TrustFile | None) -> None:
        """What an operator sent; None: forgotten. Contexts made from now on use it."""
        if found is None:
            self.held.pop(path, None)
        else:
            self.held[path] = found
        for key in [key for key in self._stores if path in key]:
            del self._stores[key]

    def _template(self, key: Key) -> SSL.Context:
        ca_file, ca_verify_file, crl_file, system = key
        context = SSL.Context(SSL.TLS_METHOD)
        if system or SYSTEM in (ca_file, ca_verify_file):
            context.set_default_verify_paths()
        store = context.get_cert_store()
        assert store is not None
        for path in (ca_file, ca_verify_file):
            if path and path != SYSTEM:
                _believe(store, self.of(path))
        if crl_file:
            found = self.of(crl_file, "CRL")
            if not found.crls:
                raise ConfigError(f"unable to load CRL file '{crl_file}': no PEM list in it")
            for crl in found.crls:
                store.add_crl(crl)
            # Every certificate of a chain needs a list of its authority, as the manual has it.
            store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
        return context


def parse(path: str, data: bytes, what: str) -> TrustFile:
    """Authorities and lists in PEM text. Raises ConfigError when there is none, or one is damaged."""
    try:
        certificates = tuple(x509.load_pem_x509_certificate(match[0]) for match in _CERTIFICATE.finditer(data))
        crls = tuple(x509.load_pem_x509_crl(match[0]) for match in _CRL.finditer(data))
    except ValueError as error:
        raise ConfigError(f"unable to load '{path}': {str(error).split('.')[0]}") from error
    if not certificates and not crls:
        raise ConfigError(f"unable to set CA file '{path}': no PEM certificate in it")
    return TrustFile(what, certificates, crls)


def _believe(store: crypto.X509Store, found: TrustFile) -> None:
    for certificate in found.certificates:
        store.add_cert(crypto.X509.from_cryptography(certificate))
    for crl in found.crls:
        store.add_crl(crl)


def _contents(path: str, what: str) -> Iterator[bytes]:
    for file in _files(path):
        try:
            with open(file, "rb") as opened:
                yield opened.read()
        except OSError as error:
            raise ConfigError(f"unable to load {what} file '{file}': {error.strerror}") from error


def _files(path: str) -> Iterator[str]:
    """The file, or those of a directory that are called like certificates and lists."""
    if not os.path.isdir(path):
        yield path
        return
    for name in sorted(os.listdir(path)):
        if name.endswith(_ENDINGS) and not name.startswith("."):
            yield os.path.join(path, name)
