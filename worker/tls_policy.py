"""What a TLS context allows: versions, ciphers, groups, and whom it believes. From the words of a `bind` or `server` line.

Verification goes through a callback of our own, straight under OpenSSL: pyOpenSSL's own wrapper marks an ignored fault as
"no fault" in the session, and a client whose expired certificate was ignored once would come back, resumed, as a good one.

Source: HAProxy manual 5.1 "ca-file", "ca-verify-file", "no-ca-names", "crl-file", "verify", "ca-ignore-err", "crt-ignore-err", "ciphers",
"curves", "ecdhe", "sigalgs", "ssl-min-ver"; 5.2 "verify", "verifyhost"; Mozilla's server side TLS recommendations 5.7 (`ssl-preset`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from typing import Any

from cryptography import x509
from OpenSSL import SSL, crypto

from common.acl.x509_errors import NUMBERS
from common.errors import ConfigError
from common.model import Tls
from worker.tls import Verification, release_buffers, take_error

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]

_VERSIONS = {
    "SSLv3": SSL.SSL3_VERSION,
    "TLSv1.0": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
}
_VERIFY = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}
_MIN_VERSION_OF_PRESET = {"modern": "TLSv1.3", "intermediate": "TLSv1.2", "": "TLSv1.2"}
_INTERMEDIATE_CIPHERS = ":".join(
    f"{exchange}-{cipher}"
    for cipher in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
    for exchange in ("ECDHE-ECDSA", "ECDHE-RSA")
)
_PRESET_GROUPS = "X25519:prime256v1:secp384r1"
_SYSTEM_CA = "@system-ca"
_CA_ENDINGS = (".pem", ".crt", ".cer", ".crl")

Faults = Collection[int] | None
"""X509_V_ERR numbers; None stands for all."""


def apply_policy(context: SSL.Context, settings: Tls, *, server_side: bool) -> None:
    """Raises ConfigError on names that OpenSSL does not know and files that cannot be used."""
    release_buffers(context)
    context.set_min_proto_version(_VERSIONS[settings.min_version or _MIN_VERSION_OF_PRESET[settings.preset]])
    if settings.max_version:
        context.set_max_proto_version(_VERSIONS[settings.max_version])
    options = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION
    if server_side and not settings.prefer_client_ciphers:
        options |= SSL.OP_CIPHER_SERVER_PREFERENCE
    context.set_options(options)
    _set_ciphers(context, settings)
    _set_lists(context, settings)
    _set_verification(context, settings, server_side=server_side)


def verifies(settings: Tls, *, server_side: bool) -> bool:
    return _verify_word(settings, server_side=server_side) != "none"


def expect_name(connection: SSL.Connection, name: bytes) -> None:
    """The certificate of this peer must be for that name, or the handshake fails: a SAN, or where it has none its common name.

    A wildcard stands for one whole label.
    """
    parameters = _lib.SSL_get0_param(connection._ssl)
    _lib.X509_VERIFY_PARAM_set_hostflags(parameters, _lib.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS)
    if _lib.X509_VERIFY_PARAM_set1_host(parameters, name, len(name)) != 1:
        raise take_error()


# --- ciphers and their like --------------------------------------------------------------------------------------------


def _set_ciphers(context: SSL.Context, settings: Tls) -> None:
    ciphers = settings.ciphers or (_INTERMEDIATE_CIPHERS if settings.preset == "intermediate" else None)
    try:
        if ciphers:
            context.set_cipher_list(ciphers.encode())
        if settings.ciphersuites:
            context.set_tls13_ciphersuites(settings.ciphersuites.encode())
    except SSL.Error as error:
        raise ConfigError(f"unable to set SSL cipher list to '{settings.ciphersuites or ciphers}'") from error


def _set_lists(context: SSL.Context, settings: Tls) -> None:
    curves = settings.curves or settings.ecdhe or (_PRESET_GROUPS if settings.preset else None)
    lists = (
        ("curves", curves, "SSL_CTX_set1_curves_list"),
        ("signature algorithm", settings.sigalgs, "SSL_CTX_set1_sigalgs_list"),
        ("client signature algorithm", settings.client_sigalgs, "SSL_CTX_set1_client_sigalgs_list"),
    )
    for what, value, function in lists:
        if not value:
            continue
        if not hasattr(_lib, function):
            raise ConfigError(f"SSL {what}s cannot be set: the TLS library of this machine gives no access to them")
        if getattr(_lib, function)(context._context, value.encode()) != 1:
            take_error()
            raise ConfigError(f"unable to set SSL {what} list to '{value}'")


# --- verification ------------------------------------------------------------------------------------------------------


def _verify_word(settings: Tls, *, server_side: bool) -> str:
    return settings.verify or ("none" if server_side else "required")


def _set_verification(context: SSL.Context, settings: Tls, *, server_side: bool) -> None:
    word = _verify_word(settings, server_side=server_side)
    for path in filter(None, (settings.ca_file, settings.ca_verify_file)):
        _trust(context, path)
    if not server_side and word == "required" and not settings.ca_file:
        context.set_default_verify_paths()
    if server_side and settings.ca_file and settings.ca_file != _SYSTEM_CA and settings.ca_names:
        _name_authorities(context, settings.ca_file)
    if settings.crl_file:
        _revoke(context, settings.crl_file)
    callback = _callback(faults(settings.crt_ignore_err), faults(settings.ca_ignore_err))
    _lib.SSL_CTX_set_verify(context._context, _VERIFY[word], callback)
    context._verify_callback = callback  # it must live as long as the context and its connections, which copy this



def _callback(ignored: Faults, ignored_of_authorities: Faults) -> Any:
    """OpenSSL asks it about each certificate of a chain. It notes the first faults, and lets those pass that are ignored."""

    def judge(is_fine: int, store: Any) -> int:
        if is_fine:
            return 1
        error, depth = _lib.X509_STORE_CTX_get_error(store), _lib.X509_STORE_CTX_get_error_depth(store)
        ssl = _lib.X509_STORE_CTX_get_ex_data(store, _lib.SSL_get_ex_data_X509_STORE_CTX_idx())
        found = SSL.Connection._reverse_mapping[ssl].get_app_data()
        if isinstance(found, Verification):
            _note(found, error, depth)
        let_pass = ignored_of_authorities if depth else ignored
        if let_pass is None or error in let_pass:
            _lib.ERR_clear_error()
            return 1
        return 0

    return _ffi.callback("int (*)(int, X509_STORE_CTX *)", judge, error=0)


def _note(found: Verification, error: int, depth: int) -> None:
    if not depth:
        found.error = found.error or error
    elif not found.ca_error:
        found.ca_error, found.ca_depth = error, depth


def faults(text: str | None) -> Faults:
    """The argument of `crt-ignore-err` and `ca-ignore-err`: all, or names and numbers. Raises ConfigError."""
    if text == "all":
        return None
    found = set()
    for word in text.split(",") if text else ():
        number = int(word) if word.isdigit() else NUMBERS.get(word)
        if number is None:
            raise ConfigError(f"'{word}' is no verification error of the TLS library")
        found.add(number)
    return found


def _trust(context: SSL.Context, path: str) -> None:
    """Authorities of a file, of all files of a directory, or the system's."""
    if path == _SYSTEM_CA:
        context.set_default_verify_paths()
        return
    for file in _ca_files(path):
        try:
            context.load_verify_locations(file)
        except SSL.Error as error:
            raise ConfigError(f"unable to set CA file '{file}'") from error


def _ca_files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    for name in sorted(os.listdir(path)):
        if name.endswith(_CA_ENDINGS) and not name.startswith("."):
            yield os.path.join(path, name)


def _name_authorities(context: SSL.Context, path: str) -> None:
    """Tell clients whose certificates are welcome."""
    for file in _ca_files(path):
        with open(file, "rb") as opened:
            data = opened.read()
        if b"BEGIN CERTIFICATE" in data:
            for certificate in x509.load_pem_x509_certificates(data):
                context.add_client_ca(certificate)


def _revoke(context: SSL.Context, path: str) -> None:
    """Every certificate of a chain needs a list of its authority, as the manual has it."""
    store = context.get_cert_store()
    assert store is not None
    try:
        store.load_locations(path)
    except crypto.Error as error:
        raise ConfigError(f"unable to load CRL file '{path}'") from error
    store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)


