"""Fetches of TLS connections, the client's (ssl_fc_*), the server's (ssl_bc_*), and of certificates: the client's (ssl_c_*), the one
we show (ssl_f_*), the server's (ssl_s_*). Sans-io.

Source: HAProxy configuration manual 7.3.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from common.acl import certificates
from common.acl.cipher_names import cipher_name
from common.acl.environment import CompileEnvironment, Needs
from common.acl.facts import Facts
from common.acl.facts_tls import TlsFacts
from common.acl.fetches_content import pack_numbers
from common.acl.table import FetchTable, Getter
from common.acl.types import SampleType, wrap
from common.acl.xxhash import xxh64
from common.errors import ExpressionError, WireError
from common.wire import client_hello
from common.wire.client_hello import ClientHello, is_grease

TABLE = FetchTable()

_LAYER5 = "7.3.4"
_B, _I, _S, _N = SampleType.BOOL, SampleType.INT, SampleType.STR, SampleType.BIN

Side = Callable[[Facts], TlsFacts | None]


def _client(facts: Facts) -> TlsFacts | None:
    return facts.session.tls


def _server(facts: Facts) -> TlsFacts | None:
    return facts.bc_tls


@TABLE.plain("ssl_fc", _B, Needs.CLIENT_TLS, _LAYER5, "The client's connection is TLS, ended here.")
def ssl_fc(facts: Facts) -> bool:
    return facts.session.has_tls


@TABLE.plain("ssl_bc", _B, Needs.SERVER_CONNECTION, _LAYER5, "The server's connection is TLS.")
def ssl_bc(facts: Facts) -> bool:
    return facts.bc_tls is not None


def _add(suffix: str, type: SampleType, doc: str, read: Callable[[TlsFacts], Any], sides: str = "fc bc") -> None:
    """ssl_fc_SUFFIX and ssl_bc_SUFFIX. Empty text is not found."""
    for prefix in sides.split():
        side, needs = (_client, Needs.CLIENT_TLS) if prefix == "fc" else (_server, Needs.SERVER_CONNECTION)
        whose = "client" if prefix == "fc" else "server"
        TABLE.plain(f"ssl_{prefix}_{suffix}", type, needs, _LAYER5, doc.replace("peer", whose))(_getter(side, read, type))


def _getter(side: Side, read: Callable[[TlsFacts], Any], type: SampleType) -> Getter:
    text = type in (_S, _N)

    def get(facts: Facts) -> Any:
        tls = side(facts)
        if tls is None:
            return None
        value = read(tls)
        return None if text and not value else value

    return get


_add("alg_keysize", _I, "Key bits of the cipher on the peer's connection.", lambda tls: tls.cipher_algorithm_bits)
_add("alpn", _S, "The protocol negotiated with the peer by ALPN.", lambda tls: tls.alpn)
_add("cipher", _S, "The cipher of the peer's connection, by OpenSSL's name.", lambda tls: tls.cipher)
_add("client_random", _N, "The client random of the peer's connection.", lambda tls: tls.client_random)
_add("curve", _S, "The group of the key exchange with the peer.", lambda tls: tls.curve)
_add("err", _I, "The number of the first TLS error of the peer's connection; 0 = none.", lambda tls: tls.error)
_add("err_str", _S, "The first TLS error of the peer's connection as text.", lambda tls: tls.error_text)
_add("is_resumed", _B, "The TLS session with the peer was resumed.", lambda tls: tls.is_resumed, sides="bc")
_add("npn", _S, "The protocol negotiated with the peer by NPN.", lambda tls: tls.npn)
_add("protocol", _S, "The TLS version of the peer's connection, such as TLSv1.3.", lambda tls: tls.protocol)
_add("server_random", _N, "The server random of the peer's connection.", lambda tls: tls.server_random)
_add("session_id", _N, "The id of the TLS session with the peer.", lambda tls: tls.session_id)
_add("session_key", _N, "The master secret of the TLS session with the peer, up to TLS 1.2.", lambda tls: tls.session_key)
_add("sni", _S, "The server name that the client asked for, or that we asked the server for.", lambda tls: tls.sni)
_add("unique_id", _N, "The TLS unique id (RFC 5929) of the peer's connection.", lambda tls: tls.unique_id)
_add("use_keysize", _I, "Secret key bits of the peer's connection.", lambda tls: tls.cipher_bits)


@TABLE.plain("ssl_fc_is_resumed", _B, Needs.CLIENT_TLS, _LAYER5, "The TLS session with the client was resumed; false on plain connections.")
def is_resumed(facts: Facts) -> bool:
    tls = facts.session.tls
    return tls is not None and tls.is_resumed


@TABLE.plain("ssl_fc_has_sni", _B, Needs.CLIENT_TLS, _LAYER5, "The client asked for a server name; false on plain connections.")
def has_sni(facts: Facts) -> bool:
    tls = facts.session.tls
    return tls is not None and bool(tls.sni)



_add("has_early", _B, "Early data came and the handshake is not done.", lambda t: t.has_early_data and not t.handshake_done, sides="fc")
_add("early_rcvd", _B, "Early data came, even if the handshake is done by now.", lambda tls: tls.has_early_data, sides="fc")
_add("has_crt", _B, "The client showed a certificate in this handshake.", lambda tls: tls.peer_certificate_sent, sides="fc")


def _secret(label: str) -> Callable[[TlsFacts], bytes]:
    return lambda tls: tls.secret(label)


for _label in (
    "client_early_traffic_secret",
    "client_handshake_traffic_secret",
    "client_traffic_secret_0",
    "server_handshake_traffic_secret",
    "server_traffic_secret_0",
    "exporter_secret",
    "early_exporter_secret",
):
    _add(_label, _S, f"{_label.upper()} of the peer's connection in hexadecimal, under tune.ssl.keylog.", _secret(_label.upper()))


def _verdict(name: str, doc: str, read: Callable[[TlsFacts], int]) -> None:
    TABLE.plain(f"ssl_c_{name}", _I, Needs.CLIENT_TLS, _LAYER5, doc)(_getter(_client, read, _I))


_verdict("verify", "The verdict on the client's certificate: an X509_V_ERR number, 0 = fine.", lambda tls: tls.verify_result)
_verdict("err", "The first error about the client's own certificate; 0 = none.", lambda tls: tls.verify_error)
_verdict("ca_err", "The first error about the issuers of the client's certificate; 0 = none.", lambda tls: tls.verify_ca_error)
_verdict("ca_err_depth", "At which depth that error was.", lambda tls: tls.verify_ca_error_depth)


@TABLE.plain("ssl_c_used", _B, Needs.CLIENT_TLS, _LAYER5, "The TLS session has a certificate of the client, even if resumed.")
def client_certificate_used(facts: Facts) -> bool | None:
    tls = facts.session.tls
    return None if tls is None else bool(tls.peer_certificate)


Der = Callable[[Facts], bytes]


def _client_der(facts: Facts) -> bytes:
    tls = facts.session.tls
    return b"" if tls is None else tls.peer_certificate


def _own_der(facts: Facts) -> bytes:
    tls = facts.session.tls
    return b"" if tls is None else tls.own_certificate


def _server_der(facts: Facts) -> bytes:
    tls = facts.bc_tls
    return b"" if tls is None else tls.peer_certificate


def _root_der(facts: Facts) -> bytes:
    tls = facts.session.tls
    return b"" if tls is None else tls.peer_root


def _certificate_getter(der: Der, read: Callable[[x509.Certificate], Any]) -> Getter:
    def get(facts: Facts) -> Any:
        found = der(facts)
        certificate = certificates.load(found) if found else None
        return None if certificate is None else read(certificate)

    return get


def _add_certificate(prefix: str, whose: str, needs: Needs, der: Der) -> None:
    def row(suffix: str, type: SampleType, doc: str, get: Getter) -> None:
        TABLE.plain(f"ssl_{prefix}_{suffix}", type, needs, _LAYER5, f"{doc} of {whose}.")(get)

    row("der", _N, "The certificate", lambda facts: der(facts) or None)
    row(
        "sha1",
        _N,
        "The certificate's SHA-1 fingerprint",
        _certificate_getter(der, lambda c: certificates.fingerprint(c.public_bytes(Encoding.DER))),
    )
    row(
        "notafter",
        _S,
        "The certificate's end, YYMMDDhhmmssZ,",
        _certificate_getter(der, lambda c: certificates.date(c.not_valid_after_utc)),
    )
    row(
        "notbefore",
        _S,
        "The certificate's start, YYMMDDhhmmssZ,",
        _certificate_getter(der, lambda c: certificates.date(c.not_valid_before_utc)),
    )
    row("sig_alg", _S, "The certificate's signature algorithm", _certificate_getter(der, certificates.signature_algorithm))
    row("key_alg", _S, "The certificate's key algorithm", _certificate_getter(der, certificates.key_algorithm))
    row("serial", _N, "The certificate's serial number", _certificate_getter(der, certificates.serial))
    row("version", _I, "The certificate's version", _certificate_getter(der, lambda c: c.version.value + 1))
    row("san", _S, "The certificate's alternative names", _certificate_getter(der, certificates.alternative_names))
    _add_name(f"ssl_{prefix}_s_dn", f"The subject of the certificate of {whose}", needs, der, lambda c: c.subject)
    _add_name(f"ssl_{prefix}_i_dn", f"The issuer of the certificate of {whose}", needs, der, lambda c: c.issuer)


def _add_name(keyword: str, doc: str, needs: Needs, der: Der, read: Callable[[x509.Certificate], x509.Name]) -> None:
    @TABLE.row(
        keyword, _S, needs, _LAYER5, f"{doc}: whole, or entry <entry> (CN, O …), number <occ>. <format>: rfc2253.",
        arguments="entry:string occ:integer format:string", required=0,
    )  # fmt: skip
    def make(environment: CompileEnvironment, entry: bytes | None, occurrence: int | None, form: bytes | None) -> Getter:
        if form not in (None, certificates.RFC2253):
            raise ExpressionError(f'{keyword}: the format is rfc2253, not "{form.decode("utf-8", "replace")}"')
        if entry is None:
            return _certificate_getter(der, lambda c: certificates.distinguished_name(read(c), form) or None)
        key = entry.decode("utf-8", "replace")
        return _certificate_getter(der, lambda c: certificates.entry(read(c), key, occurrence or 1))


_add_certificate("c", "the client", Needs.CLIENT_TLS, _client_der)
_add_certificate("f", "this side", Needs.CLIENT_TLS, _own_der)
_add_certificate("s", "the server", Needs.SERVER_CONNECTION, _server_der)
_add_name("ssl_c_r_dn", "The subject of the client's verified root", Needs.CLIENT_TLS, _root_der, lambda c: c.subject)


def _chain(side: Side) -> Getter:
    def get(facts: Facts) -> bytes | None:
        tls = side(facts)
        return None if tls is None else b"".join(tls.peer_chain) or None

    return get


TABLE.plain("ssl_c_chain_der", _N, Needs.CLIENT_TLS, _LAYER5, "All certificates that the client sent.")(_chain(_client))
TABLE.plain("ssl_s_chain_der", _N, Needs.SERVER_CONNECTION, _LAYER5, "All certificates that the server sent.")(_chain(_server))


def _captured_hello(facts: Facts) -> ClientHello | None:
    """The client's hello, if tune.ssl.capture-buffer-size kept it."""
    tls = facts.session.tls
    if tls is None or not tls.hello:
        return None
    try:
        return client_hello.parse(tls.hello)
    except WireError:
        return None


def _from_hello(name: str, type: SampleType, doc: str, read: Callable[[ClientHello], Any]) -> None:
    def get(facts: Facts) -> Any:
        hello = _captured_hello(facts)
        return None if hello is None else read(hello)

    TABLE.plain(name, type, Needs.CLIENT_TLS, _LAYER5, doc)(get)


def _list_from_hello(
    name: str, type: SampleType, doc: str, read: Callable[[ClientHello], tuple[int, ...]], show: Callable[[tuple[int, ...]], bytes]
) -> None:
    """Lists take <filter>: 1 leaves out GREASE."""

    @TABLE.row(name, type, Needs.CLIENT_TLS, _LAYER5, doc, arguments="filter:integer", required=0)
    def make(environment: CompileEnvironment, chosen: int | None) -> Getter:
        if chosen not in (None, 0, 1):
            raise ExpressionError(f"{name}: the filter is 0 (everything) or 1 (no GREASE), not {chosen}")

        def get(facts: Facts) -> bytes | None:
            hello = _captured_hello(facts)
            if hello is None:
                return None
            numbers = read(hello)
            return show(tuple(number for number in numbers if not is_grease(number)) if chosen else numbers)

        return get


def _hexadecimal(numbers: tuple[int, ...]) -> bytes:
    return pack_numbers(numbers).hex().upper().encode()


def _names(numbers: tuple[int, ...]) -> bytes:
    return ",".join(cipher_name(number) for number in numbers).encode()


_list_from_hello("ssl_fc_cipherlist_bin", _N, "The hello's cipher suites, two bytes each.", lambda h: h.ciphers, pack_numbers)
_list_from_hello("ssl_fc_cipherlist_hex", _S, "The hello's cipher suites in hexadecimal.", lambda h: h.ciphers, _hexadecimal)
_list_from_hello("ssl_fc_cipherlist_str", _S, "The hello's cipher suites by name.", lambda h: h.ciphers, _names)
_list_from_hello("ssl_fc_eclist_bin", _N, "The hello's groups, two bytes each.", lambda h: h.groups, pack_numbers)
_list_from_hello("ssl_fc_extlist_bin", _N, "The hello's extensions, two bytes each.", lambda h: h.extensions, pack_numbers)
_list_from_hello(
    "ssl_fc_sigalgs_bin", _N, "The hello's signature algorithms, two bytes each.", lambda h: h.signature_algorithms, pack_numbers
)
_list_from_hello("ssl_fc_supported_versions_bin", _N, "The hello's versions, two bytes each.", lambda h: h.supported_versions, pack_numbers)
_from_hello("ssl_fc_ecformats_bin", _N, "The hello's point formats, a byte each.", lambda hello: hello.point_formats)
_from_hello("ssl_fc_protocol_hello_id", _I, "The hello's version number.", lambda hello: hello.legacy_version)
_from_hello(
    "ssl_fc_cipherlist_xxh", _I, "A hash (xxh64) of the hello's cipher suites.", lambda hello: wrap(xxh64(pack_numbers(hello.ciphers), 0))
)
