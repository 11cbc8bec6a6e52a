"""Certificates as an operator sees them: the texts of `show ssl …`. Pure.

Source: HAProxy management guide 9.3 "show ssl cert", "show ssl ca-file", "show ssl ocsp-response".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from common.acl import certificates
from common.config.certificate_file import CertificateFile
from common.model import CertificateLine


def date(moment: datetime) -> str:
    """ "Jan  1 00:00:00 2000 GMT", as OpenSSL writes it."""
    return f"{moment:%b} {moment.day:2} {moment:%H:%M:%S %Y} GMT"


def about(certificate: x509.Certificate) -> Iterator[str]:
    """The lines about one certificate."""
    serial = f"{certificate.serial_number:X}"
    yield f"Serial: {serial.zfill(len(serial) + len(serial) % 2)}"
    yield f"notBefore: {date(certificate.not_valid_before_utc)}"
    yield f"notAfter: {date(certificate.not_valid_after_utc)}"
    yield f"Subject Alternative Name: {(certificates.alternative_names(certificate) or b'').decode('utf-8', 'replace')}"
    yield f"Algorithm: {certificates.key_with_bits(certificate) or certificates.key_algorithm(certificate).decode()}"
    yield f"SHA1 FingerPrint: {certificates.fingerprint(certificate.public_bytes(_DER)).hex().upper()}"
    yield f"Subject: {_dn(certificate.subject)}"
    yield f"Issuer: {_dn(certificate.issuer)}"


def certificate_page(name: str, status: str, found: CertificateFile | None) -> str:
    """`show ssl cert NAME`. found: None for one that is empty."""
    lines = [f"Filename: {name}", f"Status: {status}"]
    if found is not None:
        lines += about(found.leaf)
        for issuer in found.chain:
            lines += (f"Chain Subject: {_dn(issuer.subject)}", f"Chain Issuer: {_dn(issuer.issuer)}")
    lines.append(f"OCSP Response Key: {staple_id(found.staple) if found is not None and found.staple else ''}")
    return "\n".join(lines) + "\n"


def authorities_page(name: str, status: str, found: Sequence[x509.Certificate]) -> str:
    lines = [f"Filename: {name}", f"Status: {status}"]
    for number, certificate in enumerate(found, 1):
        lines += (" ", f"Certificate #{number}:", *about(certificate))
    return "\n".join(lines) + "\n"


def revocations_page(name: str, status: str, found: Sequence[x509.CertificateRevocationList]) -> str:
    lines = [f"Filename: {name}", f"Status: {status}"]
    for number, crl in enumerate(found, 1):
        lines += (" ", f"Certificate Revocation List #{number}:", f"Issuer: {_dn(crl.issuer)}", f"Last Update: {date(crl.last_update_utc)}")
        if crl.next_update_utc is not None:
            lines.append(f"Next Update: {date(crl.next_update_utc)}")
        lines.append("Revoked Certificates:" if len(crl) else "No Revoked Certificates.")
        lines += (f"    Serial Number: {one.serial_number:X}  Revocation Date: {date(one.revocation_date_utc)}" for one in crl)
    return "\n".join(lines) + "\n"


def list_line(line: CertificateLine, numbered: bool) -> str:
    """A line of a crt-list, as it could stand in the file."""
    words = [f"{line.certificate}:{line.place.line}" if numbered else line.certificate]
    if line.words:
        words.append(f"[{' '.join(line.words)}]")
    return " ".join([*words, *line.filters])


def staple_id(data: bytes) -> str:
    """The CertID of an OCSP response (RFC 6960 section 4.1.1), DER in hexadecimal: how commands name it."""
    response = ocsp.load_der_ocsp_response(data)
    number = response.serial_number
    algorithm = _ALGORITHMS.get(response.hash_algorithm.name, b"")
    parts = (
        _element(0x30, algorithm),
        _element(0x04, response.issuer_name_hash),
        _element(0x04, response.issuer_key_hash),
        _element(0x02, number.to_bytes(number.bit_length() // 8 + 1, "big")),
    )
    return _element(0x30, b"".join(parts)).hex()


def staple_page(data: bytes) -> str:
    """`show ssl ocsp-response ID`."""
    response = ocsp.load_der_ocsp_response(data)
    lines = ["OCSP Response Data:", f"    OCSP Response Status: {response.response_status.name.lower()} (0x0)"]
    lines += [f"    Produced At: {date(response.produced_at_utc)}", "    Responses:", "    Certificate ID:"]
    lines += [f"      Hash Algorithm: {response.hash_algorithm.name}", f"      Issuer Name Hash: {response.issuer_name_hash.hex().upper()}"]
    lines += [f"      Issuer Key Hash: {response.issuer_key_hash.hex().upper()}", f"      Serial Number: {response.serial_number:X}"]
    lines += [f"    Cert Status: {response.certificate_status.name.lower()}", f"    This Update: {date(response.this_update_utc)}"]
    if response.next_update_utc is not None:
        lines.append(f"    Next Update: {date(response.next_update_utc)}")
    return "\n".join(lines) + "\n"


_DER = Encoding.DER
_ALGORITHMS = {
    "sha1": bytes.fromhex("06052b0e03021a0500"),
    "sha256": bytes.fromhex("0609608648016503040201" + "0500"),
    "sha384": bytes.fromhex("0609608648016503040202" + "0500"),
    "sha512": bytes.fromhex("0609608648016503040203" + "0500"),
}


def _element(tag: int, content: bytes) -> bytes:
    """DER; contents here are shorter than 256 bytes."""
    head = [tag, len(content)] if len(content) < 0x80 else [tag, 0x81, len(content)]
    return bytes(head) + content


def _dn(name: x509.Name) -> str:
    return certificates.distinguished_name(name, None).decode("utf-8", "replace")
