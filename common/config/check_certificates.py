"""Certificate files of bind lines: that they can be read, hold a certificate and its key, and are valid today.

Reading is the caller's callable and the time comes in, so that nothing here touches a disk or a clock; without them nothing is checked.
Sans-io.
Source: HAProxy configuration manual 5.1 "crt", 3.1 "ssl-load-extra-files".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric import rsa

from common.config.certificate_file import CertificateError, CertificateFile, Lookup, bundle_of, companions_left_out, load, lookup_of
from common.config.draft import State
from common.model import Bind, Place, StoredCertificate

SOON_S = 14 * 86400.0
RSA_BITS_SLOW = 4096


def check_certificates(state: State) -> None:
    """Look once at every file that some bind line names."""
    if state.options.read_file is None:
        return
    lookup = _lookup(state)
    seen: set[str] = set()
    for proxy in state.config.proxies:
        for bind in proxy.binds:
            for place, word in named_by(bind):
                if word not in seen:
                    seen.add(word)
                    _word(state, place, word, lookup)


def named_by(bind: Bind) -> Iterator[tuple[Place, str]]:
    """Every `crt` word of a bind line and its lists, and where it stands."""
    tls = bind.tls
    if tls is None:
        return
    for path in (*tls.default_certificates, *tls.certificates):
        yield bind.place, path
    for one in tls.crt_lists:
        for line in one.lines:
            yield line.place, line.certificate


def stored(state: State, word: str) -> StoredCertificate | None:
    """What a crt-store says of `@STORE/NAME`, or of a file that the store without a name loads."""
    store, _, name = word[1:].partition("/") if word.startswith("@") else ("", "", word)
    return next((one for one in state.config.crt_stores.get(store, ()) if name in (one.alias, one.certificate)), None)


def _lookup(state: State) -> Lookup:
    folders = [line[0] for line in state.config.globals.extra.get("issuers-chain-path", ())]
    files: list[tuple[str, bytes]] = []
    for folder in folders if state.options.list_folder else ():
        place = state.global_given.get("issuers-chain-path", Place())
        try:
            files += [(path, state.read(path)) for path in _in(state, folder)]
        except OSError as error:
            state.alert_at(place, f"unable to open '{folder}' : {error.strerror or error}.", slug="bad-chains")
    try:
        return lookup_of(state.config.globals, files)
    except CertificateError as error:
        state.alert_at(state.global_given.get("issuers-chain-path", Place()), str(error), error.hint, "bad-chains")
    return lookup_of(state.config.globals)


def _in(state: State, folder: str) -> list[str]:
    assert state.options.list_folder is not None
    return [f"{folder.rstrip('/')}/{name}" for name in companions_left_out(state.options.list_folder(folder))]


def _word(state: State, place: Place, word: str, lookup: Lookup) -> None:
    """One `crt` word: a file, a directory, or a certificate of a crt-store."""
    known = stored(state, word)
    if known is not None:
        _file(state, place, word, lookup, known)
        return
    if word.startswith("@"):
        return  # check_references has said it
    held: dict[str, bytes] = {}

    def read(path: str) -> bytes:
        if path not in held:
            held[path] = state.read(path)
        return held[path]

    def exists(path: str) -> bool:
        try:
            read(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    try:
        read(word)
    except IsADirectoryError:
        if state.options.list_folder is not None:
            try:
                paths = _in(state, word)
            except OSError as error:
                state.alert_at(place, f"unable to scan directory '{word}' : {error.strerror or error}.", slug="no-certificate")
                return
            for path in paths:
                _file(state, place, path, lookup, None)
        return
    except OSError:
        pass
    for path in bundle_of(word, lookup, exists):
        _file(state, place, path, lookup, None, read)


def _file(
    state: State, place: Place, path: str, lookup: Lookup, known: StoredCertificate | None, read: Callable[[str], bytes] | None = None
) -> None:
    try:
        found = load(path, read or state.read, lookup, known)
    except CertificateError as error:
        state.alert_at(place, f"{error}.", error.hint, error.slug)
        return
    if isinstance(found.key, rsa.RSAPrivateKey) and found.key.key_size >= RSA_BITS_SLOW:
        state.note_at(
            place,
            f"'{path}' has an RSA key of {found.key.key_size} bits: each full handshake costs several times that of RSA 2048 or ECDSA",
            "Prefer an ECDSA P-256 certificate, at least beside it.",
            "slow-key",
        )
    _validity(state, place, found)


def _validity(state: State, place: Place, found: CertificateFile) -> None:
    now_s = state.options.now
    if now_s is None:
        return
    now = datetime.fromtimestamp(now_s, UTC)
    path, starts, ends = found.path, found.leaf.not_valid_before_utc, found.leaf.not_valid_after_utc
    if ends < now:
        state.note_at(
            place, f"the certificate in '{path}' expired on {ends:%Y-%m-%d}", "Renew it: clients refuse it.", "expired-certificate"
        )
    elif starts > now:
        state.note_at(place, f"the certificate in '{path}' is not valid before {starts:%Y-%m-%d}", slug="early-certificate")
    elif (ends - now).total_seconds() < SOON_S:
        state.note_at(place, f"the certificate in '{path}' expires on {ends:%Y-%m-%d}", "Renew it.", "expiring-certificate")
