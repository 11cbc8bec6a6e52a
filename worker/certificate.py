"""Certificates in the hands of OpenSSL: put into contexts, and tried before they go live.

What a file holds is read by common/config/certificate_file.py. A context takes one certificate of each kind of key (ECDSA, RSA …), and
OpenSSL shows the one that the client can do. Chains: the library lets a context have one chain for all its certificates, or, read from a
file, one for each; where there are several certificates the chain comes from a file in memory.
Source: HAProxy manual 5.1 "crt"; memfd_create(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from common.config.certificate_file import (
    CertificateError,
    CertificateFile,
    Lookup,
    bundle_of,
    companions_left_out,
    load,
    lookup_of,
    words,
)
from common.model import CertificateLine, Config, Place, StoredCertificate

_lib: Any = SSL._lib  # type: ignore[attr-defined]


def install(context: SSL.Context, certificates: Sequence[CertificateFile]) -> None:
    """Put certificates of different kinds into a context that has none. Raises CertificateError for what OpenSSL refuses."""
    for certificate in certificates:
        try:
            if len(certificates) > 1 and certificate.chain and _use_chain_file(context, certificate):
                context.use_privatekey(certificate.key)
                continue
            context.use_certificate(certificate.leaf)
            context.use_privatekey(certificate.key)
            for issuer in certificate.chain:
                context.add_extra_chain_cert(issuer)
        except (SSL.Error, TypeError, ValueError) as error:
            raise CertificateError(f"unable to use the certificate of file '{certificate.path}': {words(error)}") from error


def _use_chain_file(context: SSL.Context, certificate: CertificateFile) -> bool:
    """The certificate with a chain of its own. False: there is no /proc to name the file by, as in a chroot."""
    fd = os.memfd_create("usher-chain")
    try:
        os.write(fd, b"".join(one.public_bytes(Encoding.PEM) for one in (certificate.leaf, *certificate.chain)))
        name = f"/proc/self/fd/{fd}"
        if not os.path.exists(name):
            return False
        context.use_certificate_chain_file(name)
        return True
    finally:
        os.close(fd)


class Scratch:
    """A context that certificates are tried on: a key that is too short, a digest that is too weak are known before any client comes."""

    __slots__ = ("_context", "_trusts_usual")

    def __init__(self, security_level: int | None = None) -> None:
        self._trusts_usual = security_level is None
        self._context = SSL.Context(SSL.TLS_SERVER_METHOD)
        if security_level is not None:
            self._context.set_cipher_list(f"DEFAULT:@SECLEVEL={security_level}".encode())

    def prove(self, certificate: CertificateFile) -> CertificateFile:
        """Raises CertificateError. Those of the usual kinds need no trial: it would be half of what thousands cost at the start."""
        if self._trusts_usual and _is_usual(certificate):
            return certificate
        try:
            self._context.use_certificate(certificate.leaf)
            self._context.use_privatekey(certificate.key)
        except (SSL.Error, TypeError, ValueError) as error:
            raise CertificateError(f"unable to use the certificate of file '{certificate.path}': {words(error)}") from error
        return certificate


def _is_usual(certificate: CertificateFile) -> bool:
    """A kind that OpenSSL takes at its own level of security (2: 112 bits)."""
    digest = certificate.leaf.signature_hash_algorithm
    if digest is None or digest.name not in ("sha256", "sha384", "sha512"):
        return False
    key = certificate.key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1 | ec.SECP521R1)
    return isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048


class CertificateStore:
    """All certificates of a process, by the name that the configuration has for them. Each file is read once, at the start.

    Files may be for root's eyes only, and root's rights are given up after the start: so nothing is read later, and what an operator
    changes comes with the command.
    """

    __slots__ = ("_scratch", "_stores", "_words", "empty", "held", "lists", "lookup")

    def __init__(self, config: Config | None = None) -> None:
        """Raises CertificateError."""
        self._stores = config.crt_stores if config is not None else {}
        self.lookup = _lookup(config) if config is not None else Lookup()
        levels = config.globals.extra.get("ssl-security-level", ()) if config is not None else ()
        self._scratch = Scratch(int(levels[-1][0]) if levels else None)
        self.held: dict[str, CertificateFile] = {}
        self.empty: set[str] = set()  # made by `new ssl cert`, without a certificate yet
        self.lists: dict[str, list[CertificateLine]] = {}  # crt-lists and directories, which operators may edit
        self._words: dict[str, tuple[str, ...]] = {}

    def named(self, word: str) -> tuple[str, ...]:
        """The names, in `held`, of what a `crt` word stands for: a file, all of a directory, a bundle, an entry of a crt-store.

        Raises CertificateError.
        """
        found = self._words.get(word)
        if found is None:
            if word in self.held:
                return (word,)
            known = self._stored(word)
            paths = [word] if known is not None else list(certificate_files(word, self.lookup))
            for path in paths:
                if path not in self.held:
                    self.held[path] = self._scratch.prove(load(path, read_file, self.lookup, known))
            found = self._words[word] = tuple(paths)
            if paths != [word] and os.path.isdir(word):
                self.lists[word] = [CertificateLine(Place(word, number), path) for number, path in enumerate(paths, 1)]
        return found

    def prove(self, certificate: CertificateFile) -> CertificateFile:
        """Raises CertificateError for what OpenSSL would refuse."""
        return self._scratch.prove(certificate)

    def _stored(self, word: str) -> StoredCertificate | None:
        store, _, name = word[1:].partition("/") if word.startswith("@") else ("", "", word)
        return next((one for one in self._stores.get(store, ()) if name in (one.alias, one.certificate)), None)


def load_certificate(path: str, lookup: Lookup | None = None) -> CertificateFile:
    """Raises CertificateError."""
    return load(path, read_file, lookup or Lookup())


def certificate_files(path: str, lookup: Lookup | None = None) -> Iterator[str]:
    """The files that a `crt` word names: itself, its bundle, or, for a directory, all in it in alphabetical order (manual 5.1)."""
    if not os.path.isdir(path):
        yield from bundle_of(path, lookup or Lookup(), os.path.exists)
        return
    for name in companions_left_out(os.listdir(path)):
        file = os.path.join(path, name)
        if os.path.isfile(file):
            yield file


def _lookup(config: Config) -> Lookup:
    return lookup_of(config.globals, _chain_files(line[0] for line in config.globals.extra.get("issuers-chain-path", ())))


def _chain_files(folders: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for folder in folders:
        try:
            for path in certificate_files(folder):
                yield path, read_file(path)
        except OSError as error:
            raise CertificateError(f"unable to open '{folder}': {error.strerror}") from error


def read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
