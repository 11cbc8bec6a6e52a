"""Verifying signatures of JSON Web Tokens (JWS, compact form). Sans-io.

Only the signature is looked at: dates, issuers and audiences are for rules to check with jwt_payload_query. The algorithm is the one
the configuration says, never the token's: a token cannot choose "none", or HMAC with a public key.

Source: HAProxy configuration manual 7.3.1 "jwt_verify" (result numbers); RFC 7515, RFC 7518 section 3.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from common.acl.converters_hashes import decode_base64url
from common.errors import ExpressionError

OK, FAILURE, UNKNOWN_ALGORITHM, UNMANAGED_ALGORITHM, INVALID_TOKEN, UNKNOWN_CERTIFICATE = 1, 0, -1, -2, -3, -5

_ALGORITHM = re.compile(rb"(HS|RS|ES|PS)(256|384|512)")
_HASHES: Mapping[bytes, hashes.HashAlgorithm] = {b"256": hashes.SHA256(), b"384": hashes.SHA384(), b"512": hashes.SHA512()}
_COORDINATE_BYTES = {b"256": 32, b"384": 48, b"512": 66}
_PART = re.compile(rb"[A-Za-z0-9_-]*")


def check_algorithm(name: bytes) -> None:
    """Raises ExpressionError for one that RFC 7518 does not have."""
    if not _ALGORITHM.fullmatch(name):
        raise ExpressionError(f'"{name.decode("utf-8", "replace")}" is not a JWS algorithm: HS256, RS256, ES256, PS256 and their like')


def is_symmetric(name: bytes) -> bool:
    return name.startswith(b"HS")


def load_public_key(pem: bytes) -> Any:
    """From a PEM certificate or public key. Raises ValueError."""
    if b"-----BEGIN CERTIFICATE-----" in pem:
        return x509.load_pem_x509_certificate(pem).public_key()
    return load_pem_public_key(pem)


def verify(token: bytes, algorithm: bytes, key: bytes, keys: Mapping[bytes, Any]) -> int:
    """OK, FAILURE, or an error below zero. key: the secret, or the name under which `keys` has a public key."""
    match = _ALGORITHM.fullmatch(algorithm)
    if match is None:
        return UNKNOWN_ALGORITHM
    parts = token.split(b".")
    if len(parts) != 3 or not all(_PART.fullmatch(part) for part in parts):
        return INVALID_TOKEN
    signature = decode_base64url(parts[2])
    if signature is None:
        return INVALID_TOKEN
    signed = parts[0] + b"." + parts[1]
    family, bits = match[1], match[2]
    if family == b"HS":
        expected = hmac.digest(key, signed, getattr(hashlib, "sha" + bits.decode()))
        return OK if hmac.compare_digest(expected, signature) else FAILURE
    public = keys.get(key)
    if public is None:
        return UNKNOWN_CERTIFICATE
    return _verify_public(public, family, bits, signed, signature)


def _verify_public(public: Any, family: bytes, bits: bytes, signed: bytes, signature: bytes) -> int:
    function = _HASHES[bits]
    try:
        if family == b"ES":
            size = _COORDINATE_BYTES[bits]
            if not isinstance(public, ec.EllipticCurvePublicKey) or len(signature) != 2 * size:
                return FAILURE
            pair = encode_dss_signature(int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))
            public.verify(pair, signed, ec.ECDSA(function))
        else:
            if not isinstance(public, rsa.RSAPublicKey):
                return FAILURE
            pss = padding.PSS(padding.MGF1(function), padding.PSS.DIGEST_LENGTH)
            public.verify(signature, signed, pss if family == b"PS" else padding.PKCS1v15(), function)
    except InvalidSignature:
        return FAILURE
    return OK
