"""Signatures are made with cryptography's primitives; the first token is the one of RFC 7515, appendix A.1."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from common.acl import jwt
from common.errors import ExpressionError
from tests.common.acl.test_certificates import EC

RFC_TOKEN = (
    b"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    b".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)
RFC_KEY = base64.urlsafe_b64decode(b"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow==")


def coded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


SIGNED = coded(b'{"alg":"whatever it says"}') + b"." + coded(b'{"iss":"me"}')


def token(signature: bytes) -> bytes:
    return SIGNED + b"." + coded(signature)


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(bits: int) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key({256: ec.SECP256R1(), 384: ec.SECP384R1(), 512: ec.SECP521R1()}[bits])


HASHES: dict[int, hashes.HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}


def sign(family: str, bits: int) -> tuple[bytes, Any]:
    """(token, public key)."""
    function = HASHES[bits]
    if family == "ES":
        key = ec_key(bits)
        r, s = decode_dss_signature(key.sign(SIGNED, ec.ECDSA(function)))
        size = {256: 32, 384: 48, 512: 66}[bits]
        return token(r.to_bytes(size, "big") + s.to_bytes(size, "big")), key.public_key()
    how = padding.PKCS1v15() if family == "RS" else padding.PSS(padding.MGF1(function), function.digest_size)
    return token(rsa_key().sign(SIGNED, how, function)), rsa_key().public_key()


def test_the_token_of_the_rfc() -> None:
    assert jwt.verify(RFC_TOKEN, b"HS256", RFC_KEY, {}) == jwt.OK
    assert jwt.verify(RFC_TOKEN, b"HS256", RFC_KEY + b"x", {}) == jwt.FAILURE
    assert jwt.verify(RFC_TOKEN.replace(b"J9.e", b"J9.f"), b"HS256", RFC_KEY, {}) == jwt.FAILURE


@pytest.mark.parametrize("bits", [256, 384, 512])
def test_secrets(bits: int) -> None:
    made = token(hmac.digest(b"key", SIGNED, getattr(hashlib, f"sha{bits}")))
    assert jwt.verify(made, b"HS%d" % bits, b"key", {}) == jwt.OK
    assert jwt.verify(made, b"HS%d" % (384 if bits != 384 else 256), b"key", {}) == jwt.FAILURE


@pytest.mark.parametrize("family", ["RS", "PS", "ES"])
@pytest.mark.parametrize("bits", [256, 384, 512])
def test_public_keys(family: str, bits: int) -> None:
    made, key = sign(family, bits)
    algorithm = f"{family}{bits}".encode()
    assert jwt.verify(made, algorithm, b"k.pem", {b"k.pem": key}) == jwt.OK
    assert jwt.verify(made[:-6] + b"AAAAAA", algorithm, b"k.pem", {b"k.pem": key}) == jwt.FAILURE
    assert jwt.verify(made, algorithm, b"other.pem", {b"k.pem": key}) == jwt.UNKNOWN_CERTIFICATE


def test_a_key_of_another_kind_verifies_nothing() -> None:
    made, key = sign("RS", 256)
    for algorithm in (b"ES256", b"PS256", b"RS384"):
        assert jwt.verify(made, algorithm, b"k", {b"k": key}) == jwt.FAILURE
    elliptic, other = sign("ES", 256)
    assert jwt.verify(elliptic, b"RS256", b"k", {b"k": other}) == jwt.FAILURE


def test_a_public_key_is_no_secret() -> None:
    """The classic confusion: an HMAC keyed with the public key's text, presented where RS256 is asked for."""
    _, key = sign("RS", 256)
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forged = token(hmac.digest(pem, SIGNED, hashlib.sha256))
    assert jwt.verify(forged, b"RS256", b"k", {b"k": key}) == jwt.FAILURE


@pytest.mark.parametrize("algorithm", [b"none", b"", b"hs256", b"HS255", b"HS256x"])
def test_unknown_algorithms(algorithm: bytes) -> None:
    assert jwt.verify(RFC_TOKEN, algorithm, b"", {}) == jwt.UNKNOWN_ALGORITHM
    with pytest.raises(ExpressionError):
        jwt.check_algorithm(algorithm)


@pytest.mark.parametrize("broken", [b"", b"a", b"a.b", b"a.b.c.d", b"a.b.!", b"a b.c.d", b"a.b.c="])
def test_what_is_no_token(broken: bytes) -> None:
    assert jwt.verify(broken, b"HS256", b"k", {}) == jwt.INVALID_TOKEN


def test_keys_from_files() -> None:
    certificate = EC.public_bytes(Encoding.PEM)
    assert jwt.load_public_key(certificate) == EC.public_key()
    assert jwt.load_public_key(EC.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)) == EC.public_key()
    with pytest.raises(ValueError):
        jwt.load_public_key(b"junk")


def test_secrets_and_keys_are_told_apart() -> None:
    assert jwt.is_symmetric(b"HS256") and not jwt.is_symmetric(b"ES256")


@given(st.binary(max_size=60))
def test_no_token_raises(made: bytes) -> None:
    assert jwt.verify(made, b"HS256", b"k", {}) in (jwt.FAILURE, jwt.INVALID_TOKEN)
