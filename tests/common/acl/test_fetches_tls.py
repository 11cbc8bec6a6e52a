from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from common.acl.environment import Where
from common.acl.expressions import compile_expression
from common.acl.facts_tls import TlsFacts
from common.acl.fetches import FETCHES
from common.errors import ExpressionError
from tests.common.acl.fakes import FakeExchange, environment, facts, sample
from tests.common.acl.test_certificates import EC
from tests.common.wire.test_client_hello import EVERYTHING

DER = EC.public_bytes(Encoding.DER)


class Tls:
    """A TLS session of which everything is known."""

    handshake_done = True
    sni = b"a.example"
    alpn = b"h2"
    npn = b""
    protocol = b"TLSv1.3"
    cipher = b"TLS_AES_128_GCM_SHA256"
    cipher_bits = 128
    cipher_algorithm_bits = 128
    curve = b"X25519"
    sigalg = b"ecdsa_secp256r1_sha256"
    is_resumed = False
    session_id = b"sid"
    session_key = b""
    unique_id = b"unique"
    client_random = b"c" * 32
    server_random = b"s" * 32
    has_early_data = True
    error = 0
    error_text = b""
    hello = EVERYTHING
    peer_certificate = DER
    peer_chain: Sequence[bytes] = (DER, b"issuer")
    peer_root = DER
    peer_certificate_sent = True
    own_certificate = DER
    verify_result = 19
    verify_error = 0
    verify_ca_error = 19
    verify_ca_error_depth = 1

    def __init__(self, **changed: Any) -> None:
        for name, value in changed.items():
            setattr(self, name, value)

    def secret(self, label: str) -> bytes:
        return b"ab01" if label == "CLIENT_TRAFFIC_SECRET_0" else b""


def _it_answers(tls: Tls) -> TlsFacts:
    return tls


def secured(**changed: Any) -> FakeExchange:
    return facts(bc_tls=Tls(**changed)).with_session(tls=Tls(**changed), has_tls=True)


@pytest.mark.parametrize(
    "suffix, result",
    [
        ("alg_keysize", 128),
        ("alpn", b"h2"),
        ("cipher", b"TLS_AES_128_GCM_SHA256"),
        ("client_random", b"c" * 32),
        ("curve", b"X25519"),
        ("err", 0),
        ("err_str", None),
        ("is_resumed", False),
        ("npn", None),
        ("protocol", b"TLSv1.3"),
        ("server_random", b"s" * 32),
        ("session_id", b"sid"),
        ("session_key", None),
        ("sni", b"a.example"),
        ("unique_id", b"unique"),
        ("use_keysize", 128),
        ("client_traffic_secret_0", b"ab01"),
        ("exporter_secret", None),
    ],
)
def test_both_sides(suffix: str, result: object) -> None:
    for prefix in ("fc", "bc"):
        assert sample(f"ssl_{prefix}_{suffix}", secured(), Where.LOG) == result
        plain = False if f"{prefix}_{suffix}" == "fc_is_resumed" else None
        assert sample(f"ssl_{prefix}_{suffix}", facts(), Where.LOG) is plain


@pytest.mark.parametrize(
    "text, result",
    [
        ("ssl_fc", True),
        ("ssl_bc", True),
        ("ssl_fc_has_sni", True),
        ("ssl_fc_has_early", False),
        ("ssl_fc_early_rcvd", True),
        ("ssl_fc_has_crt", True),
        ("ssl_c_used", True),
        ("ssl_c_verify", 19),
        ("ssl_c_err", 0),
        ("ssl_c_ca_err", 19),
        ("ssl_c_ca_err_depth", 1),
        ("ssl_c_der", DER),
        ("ssl_c_chain_der", DER + b"issuer"),
        ("ssl_c_sha1", EC.fingerprint(hashes.SHA1())),
        ("ssl_c_notbefore", b"261122205126Z"),
        ("ssl_c_notafter", b"261123205126Z"),
        ("ssl_c_sig_alg", b"ecdsa-with-SHA256"),
        ("ssl_c_key_alg", b"id-ecPublicKey"),
        ("ssl_c_serial,hex", b"0080"),
        ("ssl_c_version", 3),
        ("ssl_c_s_dn(CN)", b"client"),
        ("ssl_c_s_dn(OU)", b"one"),
        ("ssl_c_s_dn(OU,2)", b"two"),
        ("ssl_c_s_dn(OU,-1)", b"two"),
        ("ssl_c_s_dn(L)", None),
        ("ssl_c_i_dn", b"/CN=CA"),
        ("ssl_c_i_dn(,0,rfc2253)", b"CN=CA"),
        ("ssl_c_r_dn(CN)", b"client"),
        ("ssl_f_i_dn", b"/CN=CA"),
        ("ssl_f_serial,hex", b"0080"),
        ("ssl_s_s_dn(CN)", b"client"),
        ("ssl_s_chain_der", DER + b"issuer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # a name does not change from one run to the next
)
def test_certificates_and_verdicts(text: str, result: object) -> None:
    assert sample(text, secured(), Where.LOG) == result


@pytest.mark.parametrize(
    "text", ["ssl_c_s_dn", "ssl_c_der", "ssl_c_sha1", "ssl_c_serial", "ssl_c_chain_der", "ssl_f_s_dn", "ssl_s_s_dn", "ssl_c_r_dn"]
)
def test_without_a_certificate(text: str) -> None:
    bare = {"peer_certificate": b"", "peer_chain": (), "peer_root": b"", "own_certificate": b""}
    assert sample(text, secured(**bare), Where.LOG) is None
    assert sample(text, facts(), Where.LOG) is None


def test_what_is_no_certificate_is_not_found() -> None:
    assert sample("ssl_c_s_dn", secured(peer_certificate=b"junk")) is None


def test_early_data_counts_as_such_until_the_handshake_is_done() -> None:
    assert sample("ssl_fc_has_early", secured(handshake_done=False)) is True


def test_plain_connections() -> None:
    assert sample("ssl_fc", facts()) is False
    assert sample("ssl_bc", facts(), Where.LOG) is False
    assert sample("ssl_c_used", facts()) is None
    assert sample("ssl_c_used", secured(peer_certificate=b"")) is False


@pytest.mark.parametrize(
    "text, result",
    [
        ("ssl_fc_cipherlist_hex", b"3A3A1301C02B"),
        ("ssl_fc_cipherlist_hex(1)", b"1301C02B"),
        ("ssl_fc_cipherlist_bin(1)", b"\x13\1\xc0\x2b"),
        ("ssl_fc_cipherlist_str", b"UNKNOWN(3a3a),TLS_AES_128_GCM_SHA256,ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("ssl_fc_eclist_bin(1)", b"\0\x1d\0\x17"),
        ("ssl_fc_sigalgs_bin", b"\4\3\x08\4"),
        ("ssl_fc_supported_versions_bin(1)", b"\3\4\3\3"),
        ("ssl_fc_ecformats_bin", b"\0\1"),
        ("ssl_fc_protocol_hello_id", 0x0303),
        ("ssl_fc_extlist_bin(1),length", 22),
    ],
)
def test_the_captured_hello(text: str, result: object) -> None:
    assert sample(text, secured()) == result
    assert sample(text, secured(hello=b"")) is None
    assert sample(text, secured(hello=b"\x16\3\1junk")) is None


def test_hashes_of_cipher_lists_tell_them_apart() -> None:
    assert sample("ssl_fc_cipherlist_xxh", secured()) == sample("ssl_fc_cipherlist_bin,xxh64", secured())


@pytest.mark.parametrize("text", ["ssl_c_s_dn(CN,1,xml)", "ssl_fc_cipherlist_bin(2)"])
def test_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text, environment())


def test_every_tls_fetch_takes_a_plain_connection() -> None:
    exchange = facts()
    for name, row in FETCHES.rows.items():
        if name.startswith("ssl_") and not row.required:
            assert compile_expression(name, environment(Where.LOG)).get(exchange) in (None, False)
