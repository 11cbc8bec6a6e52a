"""Certificate files, as far as they can be judged from their bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from common.config.build import load
from common.config.options import LoadOptions

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AUTHORITY = trustme.CA()
FORM = (Encoding.PEM, PrivateFormat.PKCS8)


def leaf(ends: datetime = NOW + timedelta(days=365)) -> trustme.LeafCert:
    return AUTHORITY.issue_cert("example.org", not_before=NOW - timedelta(days=1), not_after=ends)


GOOD = leaf()
CHAIN = b"".join(pem.bytes() for pem in GOOD.cert_chain_pems)
KEY = GOOD.private_key_pem.bytes()
OTHER_KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(*FORM, NoEncryption())
LOCKED_KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(*FORM, BestAvailableEncryption(b"secret"))


def slugs(files: dict[str, bytes], line: str = "ssl crt a.pem") -> list[str]:
    def read(path: str) -> bytes:
        if path.endswith("/"):
            raise IsADirectoryError(21, "Is a directory")
        try:
            return files[path]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory") from None

    text = f"frontend f\n bind :1 {line}\n timeout client 1s\n"
    options = LoadOptions(read_file=read, now=NOW.timestamp())
    return [found.slug for found in load([("t.cfg", text.encode())], {}, options=options).diagnostics]


CASES = [
    ({"a.pem": CHAIN + KEY}, []),
    ({"a.pem": KEY + CHAIN}, []),
    ({"a.pem": CHAIN, "a.pem.key": KEY}, []),
    ({}, ["no-certificate"]),
    ({"a.pem": b"nothing"}, ["bad-certificate"]),
    ({"a.pem": KEY}, ["bad-certificate"]),
    ({"a.pem": b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"}, ["bad-certificate"]),
    ({"a.pem": CHAIN}, ["no-key"]),
    ({"a.pem": CHAIN + OTHER_KEY}, ["key-mismatch"]),
    ({"a.pem": CHAIN + LOCKED_KEY}, ["encrypted-key"]),
    ({"a.pem": CHAIN + b"-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----\n"}, ["bad-key"]),
]


@pytest.mark.parametrize(("files", "expected"), CASES)
def test_file(files: dict[str, bytes], expected: list[str]) -> None:
    assert slugs(files) == expected


def with_key(certificate: trustme.LeafCert) -> dict[str, bytes]:
    return {"a.pem": b"".join(pem.bytes() for pem in certificate.cert_chain_pems) + certificate.private_key_pem.bytes()}


def test_expiry_is_noticed() -> None:
    assert slugs(with_key(leaf(NOW - timedelta(hours=1)))) == ["expired-certificate"]
    assert slugs(with_key(leaf(NOW + timedelta(days=3)))) == ["expiring-certificate"]


def test_directories_are_left_to_who_loads_them() -> None:
    assert slugs({}, "ssl crt certs/") == []


def test_nothing_is_read_twice_or_without_leave() -> None:
    assert load([("t", b"frontend f\n bind :1 ssl crt /nowhere\n timeout client 1s\n")], {}, options=LoadOptions()).diagnostics == []
