"""Certificates for tests: an authority that also issues what a good one would not."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)
_numbers = itertools.count(1)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Issued:
    """One certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def traditional_key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())

    def encrypted_key_pem(self, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
        return self.key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))


class Authority:
    """Issues certificates, writes them to files, revokes them."""

    def __init__(self, folder: Path, parent: Authority | None = None) -> None:
        self.folder = folder
        self.parent = parent
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Test authority {next(_numbers)}")
        self.name = name
        builder = _builder(name, parent.name if parent else name, key.public_key(), -1, 30)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        self.root = Issued(builder.sign(parent.root.key if parent else key, hashes.SHA256()), key)
        self.revoked: list[x509.Certificate] = []

    def issue(
        self,
        *names: str,
        common_name: str | None = None,
        days_from: float = -1,
        days_to: float = 30,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Issued:
        """names: subject alternative names; without any, none but the common name."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(common_name or (names[0] if names else "")), self.name, key.public_key(), days_from, days_to)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.root.key.public_key())
        return Issued(builder.add_extension(identifier, critical=False).sign(self.root.key, hashes.SHA256()), key)

    def file(self, name: str, *parts: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"".join(parts))
        return str(path)

    def pem(self, *names: str, file: str | None = None, chain: Sequence[Authority] = ()) -> str:
        """The path of a file with key, certificate and chain."""
        issued = self.issue(*names)
        parts = [issued.key_pem, issued.certificate_pem, *(one.root.certificate_pem for one in chain)]
        return self.file(file or f"{names[0].replace('*', 'wild')}-{next(_numbers)}.pem", *parts)

    @property
    def ca_file(self) -> str:
        return self.file(f"ca-{self.root.certificate.serial_number}.pem", self.root.certificate_pem)

    def crl(self, *revoked: Issued, days_to: float = 30) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        builder = builder.last_update(now() - 2 * _DAY).next_update(now() + days_to * _DAY)
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(now() - _DAY)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.root.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days_from: float, days_to: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() + days_from * _DAY)
        .not_valid_after(now() + days_to * _DAY)
    )
