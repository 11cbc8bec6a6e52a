"""What sample fetches read from X.509 certificates. Sans-io.

Certificates come as DER. Reading one takes tens of microseconds and the same few are read over and over: the last ones are kept.
Names and dates are written as OpenSSL and HAProxy write them.

Source: HAProxy configuration manual 7.3.4 (ssl_c_s_dn, ssl_c_notafter …); RFC 5280; RFC 4514 for format rfc2253.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

CERTIFICATES_KEPT = 512

# OpenSSL's short names of what stands in distinguished names.
_SHORT_NAMES = {
    NameOID.COMMON_NAME: "CN",
    NameOID.COUNTRY_NAME: "C",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.STREET_ADDRESS: "street",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GN",
    NameOID.TITLE: "title",
    NameOID.INITIALS: "initials",
    NameOID.GENERATION_QUALIFIER: "generationQualifier",
    NameOID.DN_QUALIFIER: "dnQualifier",
    NameOID.PSEUDONYM: "pseudonym",
    NameOID.USER_ID: "UID",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.JURISDICTION_COUNTRY_NAME: "jurisdictionC",
    NameOID.JURISDICTION_LOCALITY_NAME: "jurisdictionL",
    NameOID.JURISDICTION_STATE_OR_PROVINCE_NAME: "jurisdictionST",
    NameOID.BUSINESS_CATEGORY: "businessCategory",
    NameOID.POSTAL_CODE: "postalCode",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
}

_SIGNATURES = {
    SignatureAlgorithmOID.RSA_WITH_MD5: b"RSA-MD5",
    SignatureAlgorithmOID.RSA_WITH_SHA1: b"RSA-SHA1",
    SignatureAlgorithmOID.RSA_WITH_SHA224: b"RSA-SHA224",
    SignatureAlgorithmOID.RSA_WITH_SHA256: b"RSA-SHA256",
    SignatureAlgorithmOID.RSA_WITH_SHA384: b"RSA-SHA384",
    SignatureAlgorithmOID.RSA_WITH_SHA512: b"RSA-SHA512",
    SignatureAlgorithmOID.RSASSA_PSS: b"RSASSA-PSS",
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: b"ecdsa-with-SHA1",
    SignatureAlgorithmOID.ECDSA_WITH_SHA224: b"ecdsa-with-SHA224",
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: b"ecdsa-with-SHA256",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: b"ecdsa-with-SHA384",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: b"ecdsa-with-SHA512",
    SignatureAlgorithmOID.DSA_WITH_SHA1: b"DSA-SHA1",
    SignatureAlgorithmOID.DSA_WITH_SHA256: b"dsa_with_SHA256",
    SignatureAlgorithmOID.ED25519: b"ED25519",
    SignatureAlgorithmOID.ED448: b"ED448",
}

_KEYS: tuple[tuple[type, bytes], ...] = (
    (rsa.RSAPublicKey, b"rsaEncryption"),
    (ec.EllipticCurvePublicKey, b"id-ecPublicKey"),
    (ed25519.Ed25519PublicKey, b"ED25519"),
    (ed448.Ed448PublicKey, b"ED448"),
    (x25519.X25519PublicKey, b"X25519"),
    (x448.X448PublicKey, b"X448"),
    (dsa.DSAPublicKey, b"dsaEncryption"),
)

RFC2253 = b"rfc2253"


@lru_cache(maxsize=CERTIFICATES_KEPT)
def load(der: bytes) -> x509.Certificate | None:
    """None for what is no certificate: a fetch then finds nothing."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def entries(name: x509.Name) -> Sequence[tuple[str, str]]:
    """(short name or dotted number, value) in the certificate's order."""
    return [
        (_SHORT_NAMES.get(attribute.oid, attribute.oid.dotted_string), _text(attribute.value))
        for relative in name.rdns
        for attribute in relative
    ]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def distinguished_name(name: x509.Name, form: bytes | None) -> bytes:
    """ "/C=FR/O=Example/CN=client", or "CN=client,O=Example,C=FR" as rfc2253."""
    if form == RFC2253:
        names = {oid: short for oid, short in _SHORT_NAMES.items() if short not in ("SN", "GN")}
        text = name.rfc4514_string(names).encode("utf-8", "surrogateescape")
        return text if text.isascii() else b"".join(bytes([octet]) if octet < 0x80 else b"\\%02X" % octet for octet in text)
    return "".join(f"/{key}={value}" for key, value in entries(name)).encode("utf-8", "surrogateescape")


def entry(name: x509.Name, key: str, occurrence: int) -> bytes | None:
    """One entry's value: number `occurrence` from the beginning, or from the end if negative; 0 is the first."""
    found = [value for short, value in entries(name) if short.lower() == key.lower()]
    index = occurrence - 1 if occurrence > 0 else occurrence
    try:
        return found[index].encode("utf-8", "surrogateescape")
    except IndexError:
        return None


def date(moment: datetime) -> bytes | None:
    """ "261122205126Z". None for what two digits cannot tell: HAProxy knows the years from 1950 to 2099."""
    return f"{moment:%y%m%d%H%M%S}Z".encode() if 1950 <= moment.year < 2100 else None


def serial(certificate: x509.Certificate) -> bytes:
    """As the certificate holds it: big-endian, with a zero byte before a high bit."""
    number = certificate.serial_number
    return number.to_bytes(number.bit_length() // 8 + 1, "big", signed=number < 0)


def signature_algorithm(certificate: x509.Certificate) -> bytes:
    oid = certificate.signature_algorithm_oid
    return _SIGNATURES.get(oid) or oid.dotted_string.encode()


def key_algorithm(certificate: x509.Certificate) -> bytes:
    try:
        key = certificate.public_key()
    except ValueError:
        return certificate.public_key_algorithm_oid.dotted_string.encode()
    return next((name for kind, name in _KEYS if isinstance(key, kind)), b"undefined")


def key_with_bits(certificate: x509.Certificate) -> str | None:
    """ "RSA2048", "EC256", "DSA1024": as PROXY headers have it; None for other kinds."""
    try:
        key = certificate.public_key()
    except ValueError:
        return None
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC{key.curve.key_size}"
    return f"DSA{key.key_size}" if isinstance(key, dsa.DSAPublicKey) else None


def fingerprint(der: bytes) -> bytes:
    return hashlib.sha1(der).digest()


def alternative_names(certificate: x509.Certificate) -> bytes | None:
    """The subject alternative names, joined by commas: "DNS:a.example, …" as OpenSSL prints them."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return None
    return ", ".join(_alternative_name(name) for name in names).encode("utf-8", "surrogateescape")


def _alternative_name(name: x509.GeneralName) -> str:
    if isinstance(name, x509.DNSName):
        return f"DNS:{name.value}"
    if isinstance(name, x509.RFC822Name):
        return f"email:{name.value}"
    if isinstance(name, x509.UniformResourceIdentifier):
        return f"URI:{name.value}"
    if isinstance(name, x509.IPAddress):
        return f"IP Address:{name.value}"
    if isinstance(name, x509.DirectoryName):
        return "DirName:" + distinguished_name(name.value, None).decode("utf-8", "surrogateescape")
    if isinstance(name, x509.RegisteredID):
        return f"Registered ID:{name.value.dotted_string}"
    return "othername:<unsupported>"
