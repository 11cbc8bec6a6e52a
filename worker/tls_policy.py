"""What a TLS context allows: versions, ciphers, groups, and whom it believes. From the words of a `bind` or `server` line.

Verification goes through a callback of our own, straight under OpenSSL: pyOpenSSL's own wrapper marks an ignored fault as
"no fault" in the session, and a client whose expired certificate was ignored once would come back, resumed, as a good one.

Source: HAProxy manual 5.1 "ca-file", "ca-verify-file", "no-ca-names", "crl-file", "verify", "ca-ignore-err", "crt-ignore-err", "ciphers",
"curves", "ecdhe", "sigalgs", "ssl-min-ver"; 5.2 "verify", "verifyhost"; Mozilla's server side TLS recommendations 5.7 (`ssl-preset`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from OpenSSL import SSL

from common.acl.x509_errors import NUMBERS
from common.errors import ConfigError
from common.model import Tls
from worker.tls import Verification, release_buffers, take_error
from worker.tls_tuning import Tuning
from worker.trust import Authorities

_lib: Any = SSL._lib  # type: ignore[attr-defined]
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]

_VERSIONS = {
    "SSLv3": SSL.SSL3_VERSION,
    "TLSv1.0": SSL.TLS1_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.3": SSL.TLS1_3_VERSION,
}
_WITHOUT = {
    SSL.TLS1_VERSION: SSL.OP_NO_TLSv1,
    SSL.TLS1_1_VERSION: SSL.OP_NO_TLSv1_1,
    SSL.TLS1_2_VERSION: SSL.OP_NO_TLSv1_2,
    SSL.TLS1_3_VERSION: SSL.OP_NO_TLSv1_3,
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
SERVED_PROTOCOLS = (b"http/1.1", b"http/1.0")
_PRESET_GROUPS = "X25519:prime256v1:secp384r1"

Faults = Collection[int] | None
"""X509_V_ERR numbers; None stands for all."""


def apply_policy(
    context: SSL.Context,
    settings: Tls,
    *,
    server_side: bool,
    tuning: Tuning = Tuning(),  # noqa: B008  # a frozen value
    authorities: Authorities | None = None,
    kinds: int = 1,
    dh: bytes = b"",
) -> None:
    """kinds: how many certificates of different kinds it has. dh: parameters that came with one of them.

    Raises ConfigError on names that OpenSSL does not know and files that cannot be used.
    """
    release_buffers(context)
    context.set_min_proto_version(_VERSIONS[settings.min_version or _MIN_VERSION_OF_PRESET[settings.preset]])
    if settings.max_version:
        context.set_max_proto_version(_VERSIONS[settings.max_version])
    options = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION
    if server_side and not settings.prefer_client_ciphers:
        options |= SSL.OP_CIPHER_SERVER_PREFERENCE
    context.set_options(options)
    context.set_timeout(max(1, int(tuning.lifetime_s)))
    _set_ciphers(context, settings, tuning, kinds)
    _set_lists(context, settings)
    if server_side and settings.preset != "modern":
        _set_dh(context, dh or tuning.dh)
    _set_verification(context, settings, authorities or Authorities(), server_side=server_side)


def version_number(name: str, default: int) -> int:
    return _VERSIONS[name] if name else default


def version_options(settings: Tls) -> int:
    """Options of OpenSSL that forbid the versions outside the range: for a connection whose context allows more."""
    low, high = version_number(settings.min_version, 0), version_number(settings.max_version, 0xFFFF)
    return sum(option for version, option in _WITHOUT.items() if not low <= version <= high)


def keep_secret(connection: SSL.Connection, line: bytes) -> None:
    """tune.ssl.keylog: OpenSSL's line is a label, the client's random and a secret, in hexadecimal."""
    found = connection.get_app_data()
    words = line.split()
    if isinstance(found, Verification) and len(words) == 3:
        found.secrets[words[0].decode()] = words[2]


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


def _set_ciphers(context: SSL.Context, settings: Tls, tuning: Tuning, kinds: int) -> None:
    ciphers = settings.ciphers or (_INTERMEDIATE_CIPHERS if settings.preset == "intermediate" else "")
    # Of two certificates for one name the one with ECDSA is shown to whoever can do both: RSA goes behind, in its own order.
    more = [":+aRSA"] if kinds > 1 else []
    if tuning.security_level is not None:
        more.append(f":@SECLEVEL={tuning.security_level}")
    try:
        if ciphers or more:
            context.set_cipher_list(((ciphers or "DEFAULT") + "".join(more)).encode())
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


def _set_dh(context: SSL.Context, parameters: bytes) -> None:
    """Without parameters, DHE ciphers of TLS 1.2 are not offered."""
    if not parameters:
        return
    memory = _lib.BIO_new_mem_buf(parameters, len(parameters))
    found = _lib.PEM_read_bio_DHparams(memory, _ffi.NULL, _ffi.NULL, _ffi.NULL)
    _lib.BIO_free(memory)
    if found == _ffi.NULL:
        take_error()
        raise ConfigError("unable to load DH parameters: no PEM parameters that OpenSSL can read")
    done = _lib.SSL_CTX_set_tmp_dh(context._context, found)
    _lib.DH_free(found)
    if done != 1:
        raise ConfigError(f"unable to use the DH parameters: {take_error().detail}")


# --- verification ------------------------------------------------------------------------------------------------------


def _verify_word(settings: Tls, *, server_side: bool) -> str:
    return settings.verify or ("none" if server_side else "required")


def _set_verification(context: SSL.Context, settings: Tls, authorities: Authorities, *, server_side: bool) -> None:
    word = _verify_word(settings, server_side=server_side)
    authorities.install(context, settings, server_side=server_side, verifies=word != "none")
    callback = verify_callback(settings)
    _lib.SSL_CTX_set_verify(context._context, _VERIFY[word], callback)
    context._verify_callback = callback  # it must live as long as the context and its connections, which copy this


def set_verify(ssl: Any, settings: Tls, callback: Any) -> None:
    """What a line of a crt-list says of clients' certificates takes the place of what the bind says. callback: the bind's, which lives."""
    _lib.SSL_set_verify(ssl, _VERIFY[_verify_word(settings, server_side=True)], callback)


def verify_callback(settings: Tls) -> Any:
    return _callback(faults(settings.crt_ignore_err), faults(settings.ca_ignore_err))


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
