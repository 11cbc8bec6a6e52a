"""Texts are compared with what the openssl program prints of the same certificates (names, order, escaping)."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from common.acl import certificates

START = datetime.datetime(2026, 11, 22, 20, 51, 26, tzinfo=datetime.UTC)
SUBJECT = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "FR"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Été, Inc."),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "one"),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "two"),
        x509.NameAttribute(NameOID.COMMON_NAME, "client"),
        x509.NameAttribute(NameOID.EMAIL_ADDRESS, "c@example.com"),
        x509.NameAttribute(x509.ObjectIdentifier("1.2.3.4"), "odd"),
    ]
)
ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CA")])
NAMES = x509.SubjectAlternativeName(
    [
        x509.DNSName("a.example"),
        x509.RFC822Name("x@y"),
        x509.UniformResourceIdentifier("spiffe://a/b"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
        x509.DirectoryName(ISSUER),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    ]
)

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def certificate(key: Key, serial: int = 0x80, names: x509.SubjectAlternativeName | None = NAMES) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        issuer_name=ISSUER, subject_name=SUBJECT, public_key=key.public_key(), serial_number=serial,
        not_valid_before=START, not_valid_after=START + datetime.timedelta(days=1),
    )  # fmt: skip
    if names is not None:
        builder = builder.add_extension(names, False)
    return builder.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


EC = certificate(ec.generate_private_key(ec.SECP256R1()))


def test_reading() -> None:
    der = EC.public_bytes(Encoding.DER)
    assert certificates.load(der) == EC
    assert certificates.load(der[:-1]) is None
    assert certificates.load(b"junk") is None


def test_names_in_two_manners() -> None:
    assert (
        certificates.distinguished_name(SUBJECT, None)
        == "/C=FR/O=Été, Inc./OU=one/OU=two/CN=client/emailAddress=c@example.com/1.2.3.4=odd".encode()
    )
    assert certificates.distinguished_name(SUBJECT, certificates.RFC2253) == (
        b"1.2.3.4=odd,emailAddress=c@example.com,CN=client,OU=two,OU=one,O=\\C3\\89t\\C3\\A9\\, Inc.,C=FR"
    )


@pytest.mark.parametrize(
    "key, occurrence, value",
    [
        ("CN", 1, b"client"),
        ("cn", 0, b"client"),
        ("OU", 1, b"one"),
        ("OU", 2, b"two"),
        ("OU", -1, b"two"),
        ("OU", -2, b"one"),
        ("OU", 3, None),
        ("OU", -3, None),
        ("L", 1, None),
        ("1.2.3.4", 1, b"odd"),
    ],
)
def test_entries_of_names(key: str, occurrence: int, value: bytes | None) -> None:
    assert certificates.entry(SUBJECT, key, occurrence) == value


def test_dates() -> None:
    assert certificates.date(EC.not_valid_before_utc) == b"261122205126Z"


@pytest.mark.parametrize("number, text", [(1, b"\1"), (0x7F, b"\x7f"), (0x80, b"\0\x80"), (0x1234, b"\x12\x34")])
def test_serial_numbers_as_they_stand_in_the_certificate(number: int, text: bytes) -> None:
    assert certificates.serial(certificate(ec.generate_private_key(ec.SECP256R1()), serial=number)) == text


def test_algorithms() -> None:
    assert (certificates.signature_algorithm(EC), certificates.key_algorithm(EC)) == (b"ecdsa-with-SHA256", b"id-ecPublicKey")
    other = certificate(ed25519.Ed25519PrivateKey.generate())
    assert (certificates.signature_algorithm(other), certificates.key_algorithm(other)) == (b"ED25519", b"ED25519")
    old = certificate(rsa.generate_private_key(65537, 1024))
    assert (certificates.signature_algorithm(old), certificates.key_algorithm(old)) == (b"RSA-SHA256", b"rsaEncryption")


def test_alternative_names() -> None:
    assert certificates.alternative_names(EC) == (
        b"DNS:a.example, email:x@y, URI:spiffe://a/b, IP Address:192.0.2.1, DirName:/CN=CA, Registered ID:1.2.3"
    )
    assert certificates.alternative_names(certificate(ec.generate_private_key(ec.SECP256R1()), names=None)) is None


def test_fingerprints() -> None:
    assert certificates.fingerprint(EC.public_bytes(Encoding.DER)) == EC.fingerprint(hashes.SHA1())
