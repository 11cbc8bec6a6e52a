"""Certificates as operators keep them: PEM files with certificate, chain and key, and the files that lie beside them.

`load` makes one `CertificateFile` of a file, for the check of a configuration and for the workers alike: whatever is wrong with one is said
at the start, in words that name the file, and no client ever meets it. Reading is the caller's callable.

The key of an RSA certificate is not put through the library's own long test of its primes (70 ms each, minutes for thousands of
certificates): that their product is the modulus, and that the modulus is the certificate's, is what a mix-up of files would break.

Sans-io.
Source: HAProxy manual 5.1 "crt"; 3.1 "ssl-load-extra-files", "ssl-load-extra-del-ext", "issuers-chain-path", "ssl-skip-self-issued-ca"; its
versions from 3.0 on 3.12 "crt-store"; RFC 7468 (PEM), RFC 6125 section 6.4 (names), RFC 6960 (OCSP).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID

from common.errors import ConfigError
from common.model import Global, StoredCertificate

COMPANIONS: Final = (".issuer", ".ocsp", ".sctl", ".key")  # files that belong to a certificate of the same directory
BUNDLE: Final = (".rsa", ".ecdsa", ".dsa")  # FILE.rsa and FILE.ecdsa stand for FILE
_ALL = ("bundle", "sctl", "ocsp", "issuer", "key")
_KEY_MARK = b"PRIVATE KEY-----"
_CERTIFICATE = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----.*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----", re.DOTALL)
_DH = re.compile(rb"-----BEGIN DH PARAMETERS-----.*?-----END DH PARAMETERS-----\n?", re.DOTALL)

Read = Callable[[str], bytes]


class CertificateError(ConfigError):
    """A certificate that cannot be used. hint: what to do. slug: a stable name of the kind of fault."""

    def __init__(self, message: str, hint: str = "", slug: str = "bad-certificate") -> None:
        super().__init__(message)
        self.hint = hint
        self.slug = slug


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is looked for beside a certificate, and what its chain becomes. chains: of issuers-chain-path, the nearest issuer first."""

    extras: frozenset[str] = frozenset(_ALL)
    removes_extension: bool = False
    skips_self_issued: bool = False
    chains: tuple[tuple[x509.Certificate, ...], ...] = ()

    def beside(self, path: str, extension: str) -> str:
        """The name of the file that belongs to a certificate's."""
        return (path.removesuffix(".crt") if self.removes_extension else path) + extension


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """One certificate with its key. names: as in the certificate, lower case, wildcards as "*.example.com".

    path: how the configuration calls it. staple: what an OCSP responder says of it, DER, b"" if nothing. dh: parameters, PEM.
    """

    path: str
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: Any
    names: tuple[str, ...]
    staple: bytes = b""
    dh: bytes = b""

    @property
    def kind(self) -> str:
        """Certificates of different kinds stand side by side for one name, and the client's abilities choose."""
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return "ECDSA"
        return "RSA" if isinstance(self.key, rsa.RSAPrivateKey) else type(self.key).__name__.removesuffix("PrivateKey").upper()


def lookup_of(settings: Global, chain_files: Iterable[tuple[str, bytes]] = ()) -> Lookup:
    """From section global. chain_files: (name, content) of the files of issuers-chain-path. Raises CertificateError."""
    words = [word for line in settings.extra.get("ssl-load-extra-files", ()) for word in line]
    extras = frozenset(_ALL) if not words or "all" in words else frozenset(words) - {"none"}
    return Lookup(
        extras,
        "ssl-load-extra-del-ext" in settings.extra,
        "ssl-skip-self-issued-ca" in settings.extra,
        tuple(tuple(_certificates(path, data)) for path, data in chain_files),
    )


def bundle_of(path: str, lookup: Lookup, exists: Callable[[str], bool]) -> Sequence[str]:
    """The files that a `crt` word names: the file itself, or those that differ in the kind of their keys."""
    if "bundle" not in lookup.extras or exists(path):
        return (path,)
    return [path + ending for ending in BUNDLE if exists(path + ending)] or (path,)


def load(path: str, read: Read, lookup: Lookup, stored: StoredCertificate | None = None) -> CertificateFile:
    """The certificate of a file, or of a `load` line. Raises CertificateError."""
    file = stored.certificate if stored is not None else path
    key_file = stored.key if stored is not None else None
    data = _read(file, read, "certificate")
    certificates = _certificates(file, data)
    leaf = certificates[0]
    where, key_text = _key_data(file, key_file, data, read, lookup)
    key = _key(where, key_text)
    _match(file, leaf, key)
    staple = _staple(file, stored.ocsp if stored is not None else None, leaf, read, lookup)
    dh = _DH.search(data)
    return CertificateFile(path, leaf, _chain(certificates, lookup), key, _names(leaf), staple, dh[0] if dh else b"")


def revised(
    name: str,
    held: CertificateFile | None,
    lookup: Lookup,
    *,
    pem: bytes | None = None,
    key: bytes | None = None,
    staple: bytes | None = None,
) -> CertificateFile:
    """A certificate with parts of it replaced by what an operator sent, PEM and DER. Raises CertificateError unless all of it fits."""
    if pem is not None:
        certificates = _certificates(name, pem)
        leaf, chain = certificates[0], _chain(certificates, lookup)
        key = pem if key is None and _KEY_MARK in pem else key
    elif held is not None:
        leaf, chain = held.leaf, held.chain
    else:
        raise CertificateError(f"unable to load certificate from file '{name}': no PEM certificate in it")
    if key is None and held is None:
        raise CertificateError(f"unable to load private key from file '{name}': no PEM key in it", slug="no-key")
    new_key = held.key if key is None and held is not None else _key(name, key or b"")
    _match(name, leaf, new_key)
    if staple is None:
        staple = held.staple if held is not None and held.leaf.serial_number == leaf.serial_number else b""
    elif staple_for(leaf, staple):
        raise CertificateError(f"unable to use the OCSP response for '{name}': {staple_for(leaf, staple)}", slug="bad-staple")
    dh = _DH.search(pem or b"")
    return CertificateFile(name, leaf, chain, new_key, _names(leaf), staple, dh[0] if dh else b"")


def staple_for(leaf: x509.Certificate, data: bytes) -> str:
    """Why an OCSP response, DER, cannot be stapled to that certificate; "" if it can."""
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
            return f"the responder answered '{response.response_status.name.lower()}'"
        if response.serial_number != leaf.serial_number:
            return "it is about another certificate"
    except ValueError as error:
        return f"it cannot be read: {words(error)}"
    return ""


def words(error: Exception) -> str:
    """What a library has to say, without its advertisement: pyOpenSSL's errors are lists of (library, function, reason)."""
    first = error.args[0] if error.args else ""
    if isinstance(first, list):
        return "; ".join(str(entry[-1]) for entry in first) or type(error).__name__
    return str(first).split(".")[0] or type(error).__name__


# --- what is in the files --------------------------------------------------------------------------------------------


def _certificates(path: str, data: bytes) -> list[x509.Certificate]:
    blocks = _CERTIFICATE.findall(data)
    if not blocks:
        raise CertificateError(f"unable to load certificate from file '{path}': no PEM certificate in it")
    try:
        return [x509.load_pem_x509_certificate(blocks[0]), *map(_issuer, blocks[1:])]
    except ValueError as error:
        raise CertificateError(f"unable to load certificate from file '{path}': {words(error)}") from error


@lru_cache(maxsize=256)
def _issuer(block: bytes) -> x509.Certificate:
    """Thousands of certificates have the same few issuers."""
    return x509.load_pem_x509_certificate(block)


def _key_data(path: str, key_file: str | None, data: bytes, read: Read, lookup: Lookup) -> tuple[str, bytes]:
    """(file, content) with the key: the one that is named, the certificate's own, or FILE.key."""
    if key_file is not None:
        return key_file, _read(key_file, read, "private key")
    if _KEY_MARK in data:
        return path, data
    beside = lookup.beside(path, ".key")
    if "key" in lookup.extras:
        try:
            return beside, read(beside)
        except OSError:
            pass
    where = f"no key in it, and no '{beside}' beside it" if "key" in lookup.extras else "no key in it"
    raise CertificateError(
        f"unable to load private key from file '{path}': {where}", "Append the key to the certificate's file, or put it beside.", "no-key"
    )


def _key(path: str, data: bytes) -> Any:
    if _KEY_MARK not in data:
        raise CertificateError(f"unable to load private key from file '{path}': no PEM key in it", slug="no-key")
    try:
        key = load_pem_private_key(_key_block(data), None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise CertificateError(
            f"the private key of '{path}' is encrypted: remove its passphrase, nobody types it at start",
            "Store it decrypted, readable by root only: openssl pkey -in FILE",
            "encrypted-key",
        ) from error
    except Exception as error:  # the library has several kinds, and documents two of them
        raise CertificateError(f"unable to load private key from file '{path}': {words(error)}", slug="bad-key") from error
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        if numbers.p * numbers.q != numbers.public_numbers.n:
            raise CertificateError(f"unable to load private key from file '{path}': its parts do not belong together", slug="bad-key")
    return key


def _key_block(data: bytes) -> bytes:
    """The PEM block of the private key alone; the reader of keys does not skip certificates."""
    begin = data.rfind(b"-----BEGIN ", 0, data.find(_KEY_MARK))
    end = data.find(b"-----END ", begin)
    return data[max(begin, 0) : data.find(b"\n", end) + 1 or len(data)] + b"\n"


def _match(path: str, leaf: x509.Certificate, key: Any) -> None:
    try:
        matches = key.public_key() == leaf.public_key()
    except ValueError as error:  # a kind of key that the library does not know
        raise CertificateError(f"unable to load certificate from file '{path}': {words(error)}") from error
    if not matches:
        raise CertificateError(
            f"inconsistencies between private key and certificate loaded from '{path}'",
            "The key belongs to another certificate.",
            "key-mismatch",
        )


def _chain(certificates: list[x509.Certificate], lookup: Lookup) -> tuple[x509.Certificate, ...]:
    """What stands behind the certificate; where nothing does, the chain of issuers-chain-path that begins with its issuer."""
    leaf, chain = certificates[0], tuple(certificates[1:])
    if not chain:
        chain = next((one for one in lookup.chains if one[0].subject == leaf.issuer and _signed(leaf, one[0])), ())
    if lookup.skips_self_issued:
        chain = tuple(one for one in chain if one.subject != one.issuer)
    return chain


def _signed(leaf: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        leaf.verify_directly_issued_by(issuer)
    except (ValueError, TypeError):
        return False
    except Exception:  # InvalidSignature of the library's own
        return False
    return True


def _staple(path: str, named: str | None, leaf: x509.Certificate, read: Read, lookup: Lookup) -> bytes:
    """The OCSP response of a `load` line or of FILE.ocsp. Raises CertificateError for one that says nothing of this certificate."""
    if named is None and "ocsp" not in lookup.extras:
        return b""
    file = named or lookup.beside(path, ".ocsp")
    try:
        data = read(file)
    except OSError as error:
        if named is None:
            return b""
        raise CertificateError(f"unable to open '{file}': {error.strerror}", slug="bad-staple") from error
    complaint = staple_for(leaf, data)
    if complaint:
        raise CertificateError(f"unable to use the OCSP response of '{file}': {complaint}", "Renew it, or remove the file.", "bad-staple")
    return data


def _read(path: str, read: Read, what: str) -> bytes:
    try:
        return read(path)
    except OSError as error:
        raise CertificateError(
            f"unable to open '{path}': {error.strerror or error}",
            f"Is the path of the {what} right, and readable for this user?",
            "no-certificate",
        ) from error


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    names = [str(name.value) for name in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names += extension.value.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        pass
    return tuple(dict.fromkeys(name.lower() for name in names))


def companions_left_out(names: Iterable[str]) -> Iterator[str]:
    """The names of a directory that are certificates, in their order."""
    for name in sorted(names):
        if not name.startswith(".") and not name.endswith(COMPANIONS):
            yield name
