"""Certificates as operators keep them: PEM files with certificate, chain and key, alone or in a directory.

Whatever is wrong with one is said at the start, in words that name the file; no client ever meets it.
Source: HAProxy manual 5.1 "crt"; RFC 7468 (PEM), RFC 6125 section 6.4 (names).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from common.errors import ConfigError

_COMPANIONS = (".issuer", ".ocsp", ".sctl", ".key")  # files that belong to a certificate of the same directory


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate with its key. names: as in the certificate, lower case, wildcards as "*.example.com"."""

    path: str
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: Any
    names: tuple[str, ...]

    def install(self, context: SSL.Context) -> None:
        """Raises ConfigError for a certificate that OpenSSL refuses: a key that is too short, a digest that is too weak."""
        try:
            context.use_certificate(self.leaf)
            context.use_privatekey(self.key)
            for issuer in self.chain:
                context.add_extra_chain_cert(issuer)
        except (SSL.Error, TypeError, ValueError) as error:
            raise ConfigError(f"unable to use the certificate of file '{self.path}': {_words(error)}") from error


def load_certificate(path: str) -> Certificate:
    """A PEM file with the certificate, its chain, and its key (or the key beside it in PATH.key). Raises ConfigError."""
    data = _read(path)
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise ConfigError(f"unable to load certificate from file '{path}': {_words(error)}") from error
    leaf = certificates[0]
    key = _load_key(path, data)
    if key.public_key() != leaf.public_key():
        raise ConfigError(f"inconsistencies between private key and certificate loaded from '{path}'")
    return Certificate(path, leaf, tuple(certificates[1:]), key, _names(leaf))


def certificate_files(path: str) -> Iterator[str]:
    """The files that a `crt` word names: itself, or, for a directory, all in it in alphabetical order (manual 5.1)."""
    if not os.path.isdir(path):
        yield path
        return
    for name in sorted(os.listdir(path)):
        file = os.path.join(path, name)
        if not name.startswith(".") and not name.endswith(_COMPANIONS) and os.path.isfile(file):
            yield file


def _load_key(path: str, data: bytes) -> Any:
    if b"PRIVATE KEY-----" not in data:
        beside = path + ".key" if os.path.exists(path + ".key") else os.path.splitext(path)[0] + ".key"
        if not os.path.exists(beside):
            raise ConfigError(f"unable to load private key from file '{path}': no key in it, and no '{path}.key' beside it")
        path, data = beside, _read(beside)
    try:
        return load_pem_private_key(_key_block(data), None)
    except TypeError as error:
        raise ConfigError(f"the private key of '{path}' is encrypted: remove its passphrase, nobody types it at start") from error
    except Exception as error:  # the library has several kinds, and documents two of them
        raise ConfigError(f"unable to load private key from file '{path}': {_words(error)}") from error


def _key_block(data: bytes) -> bytes:
    """The PEM block of the private key alone; the reader of keys does not skip certificates."""
    begin = data.rfind(b"-----BEGIN ", 0, data.find(b"PRIVATE KEY-----"))
    end = data.find(b"-----END ", begin)
    return data[max(begin, 0) : data.find(b"\n", end) + 1 or len(data)] + b"\n"


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(f"unable to open '{path}': {error.strerror}") from error


def _words(error: Exception) -> str:
    """What a library has to say, without its advertisement: pyOpenSSL's errors are lists of (library, function, reason)."""
    first = error.args[0] if error.args else ""
    if isinstance(first, list):
        return "; ".join(str(entry[-1]) for entry in first) or type(error).__name__
    return str(first).split(".")[0] or type(error).__name__


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names += extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        pass
    return tuple(dict.fromkeys(name.lower() for name in names))
