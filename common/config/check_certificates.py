"""Certificate files of bind lines: that they can be read, hold a certificate and its key, and are valid today.

Reading is the caller's callable and the time comes in, so that nothing here touches a disk or a clock; without them nothing is
checked. Directories and crt-lists are left to the process that loads them.
Sans-io.
Source: HAProxy configuration manual 5.1 "crt", 3.1 "ssl-load-extra-files".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from common.config.draft import State
from common.model import Place

SOON_S = 14 * 86400.0
RSA_BITS_SLOW = 4096
_KEY_MARK = b"PRIVATE KEY-----"
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)  # the first is the site's own


def check_certificates(state: State) -> None:
    """Look once at every file that some bind line names."""
    if state.options.read_file is None:
        return
    seen: set[str] = set()
    for proxy in state.config.proxies:
        for bind in proxy.binds:
            for path in bind.tls.certificates if bind.tls else ():
                if path not in seen and not path.startswith("@"):
                    seen.add(path)
                    _file(state, bind.place, path)


def _file(state: State, place: Place, path: str) -> None:
    try:
        data = state.read(path)
    except IsADirectoryError:
        return
    except OSError as error:
        reason = error.strerror or str(error)
        state.alert_at(
            place,
            f"unable to stat SSL certificate from file '{path}' : {reason}.",
            "Is the path right, and readable for this user?",
            "no-certificate",
        )
        return
    block = _CERTIFICATE.search(data)
    if block is None:
        state.alert_at(place, f"unable to load certificate from file '{path}' : no PEM certificate in it.", slug="bad-certificate")
        return
    try:
        certificate = x509.load_pem_x509_certificate(block[0])
    except ValueError as error:
        state.alert_at(place, f"unable to load certificate from file '{path}' : {error}.", slug="bad-certificate")
        return
    _key(state, place, path, data, certificate)
    _validity(state, place, path, certificate)


def _key(state: State, place: Place, path: str, data: bytes, certificate: x509.Certificate) -> None:
    """The key: in the file itself, or in FILE.key."""
    key_path = path
    if _KEY_MARK not in data:
        key_path = f"{path}.key"
        try:
            data = state.read(key_path)
        except OSError:
            data = b""
    if _KEY_MARK not in data:
        state.alert_at(
            place,
            f"No Private Key found in '{path}' or '{path}.key'.",
            "Append the key to the certificate's file, or put it beside.",
            "no-key",
        )
        return
    try:
        key = load_pem_private_key(_key_block(data), None)
    except TypeError:
        state.alert_at(
            place, f"the private key in '{key_path}' is encrypted.", "Store it decrypted, readable by root only.", "encrypted-key"
        )
        return
    except ValueError as error:
        state.alert_at(place, f"unable to load private key from file '{key_path}' : {error}.", slug="bad-key")
        return
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != certificate.public_key().public_bytes(*form):
        state.alert_at(
            place,
            f"inconsistencies between private key and certificate loaded '{key_path}'.",
            "The key belongs to another certificate.",
            "key-mismatch",
        )
    elif isinstance(key, rsa.RSAPrivateKey) and key.key_size >= RSA_BITS_SLOW:
        state.note_at(
            place,
            f"'{path}' has an RSA key of {key.key_size} bits: each full handshake costs several times that of RSA 2048 or ECDSA",
            "Prefer an ECDSA P-256 certificate, at least beside it.",
            "slow-key",
        )


def _key_block(data: bytes) -> bytes:
    """The first private key of a file with several PEM blocks."""
    begin = data.rfind(b"-----BEGIN", 0, data.index(_KEY_MARK) + 1)
    end = data.find(_KEY_MARK, data.index(_KEY_MARK) + 1)
    return data[begin : end + len(_KEY_MARK)] + b"\n"


def _validity(state: State, place: Place, path: str, certificate: x509.Certificate) -> None:
    now_s = state.options.now
    if now_s is None:
        return
    now = datetime.fromtimestamp(now_s, UTC)
    starts, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends < now:
        state.note_at(
            place, f"the certificate in '{path}' expired on {ends:%Y-%m-%d}", "Renew it: clients refuse it.", "expired-certificate"
        )
    elif starts > now:
        state.note_at(place, f"the certificate in '{path}' is not valid before {starts:%Y-%m-%d}", slug="early-certificate")
    elif (ends - now).total_seconds() < SOON_S:
        state.note_at(place, f"the certificate in '{path}' expires on {ends:%Y-%m-%d}", "Renew it.", "expiring-certificate")
