from __future__ import annotations

import ssl

import pytest
from OpenSSL import SSL

from common.errors import ConfigError
from common.model import Tls
from tests.common.net.driving import Driver
from tests.worker.authority import Authority
from tests.worker.tls_peers import accept, bind_tls, client_context
from worker.tls import TlsError
from worker.tls_policy import apply_policy, faults, verifies


def apply(server_side: bool = True, **settings: object) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD if server_side else SSL.TLS_CLIENT_METHOD)
    apply_policy(context, Tls(**settings), server_side=server_side)  # type: ignore[arg-type]
    return context


@pytest.mark.parametrize(
    ("settings", "spoken", "refused"),
    [
        ({}, ("TLSv1_2", "TLSv1_3"), ()),
        ({"min_version": "TLSv1.3"}, ("TLSv1_3",), ("TLSv1_2",)),
        ({"max_version": "TLSv1.2"}, ("TLSv1_2",), ("TLSv1_3",)),
        ({"preset": "modern"}, ("TLSv1_3",), ("TLSv1_2",)),
        ({"preset": "modern", "min_version": "TLSv1.2"}, ("TLSv1_2", "TLSv1_3"), ()),
        ({"preset": "intermediate"}, ("TLSv1_2", "TLSv1_3"), ()),
    ],
)
def test_versions(
    driver: Driver, authority: Authority, settings: dict[str, object], spoken: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    bind = bind_tls(authority.pem("a.example"), **settings)
    for version in (*spoken, *refused):
        only = ssl.TLSVersion[version]
        _stream, peer, failure = accept(driver, bind, client_context(minimum_version=only, maximum_version=only))
        assert (failure is None) is (version in spoken), failure
        if failure is None:
            assert (peer.sock.version() or "").replace(".", "_") == version
        else:
            assert isinstance(failure, TlsError) and failure.slug == "tls_unsupported_protocol"


def agreed(driver: Driver, authority: Authority, theirs: str, **settings: object) -> str | None:
    """The TLS 1.2 cipher that both take; None where there is none."""
    context = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(theirs)
    _stream, peer, failure = accept(driver, bind_tls(authority.pem("a.example"), **settings), context)
    if failure is not None:
        assert isinstance(failure, TlsError) and failure.slug == "tls_no_shared_cipher"
        return None
    found = peer.sock.cipher()
    return found[0] if found else None


AES128, AES256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"


def test_ciphers(driver: Driver, authority: Authority) -> None:
    assert agreed(driver, authority, AES128, ciphers=AES128) == AES128
    assert agreed(driver, authority, AES256, ciphers=AES128) is None
    assert agreed(driver, authority, "ECDHE-ECDSA-AES128-SHA", preset="intermediate") is None
    assert agreed(driver, authority, AES256, preset="intermediate") == AES256


def test_whose_order_of_ciphers_counts(driver: Driver, authority: Authority) -> None:
    ours, theirs = f"{AES256}:{AES128}", f"{AES128}:{AES256}"
    assert agreed(driver, authority, theirs, ciphers=ours) == AES256
    assert agreed(driver, authority, theirs, ciphers=ours, prefer_client_ciphers=True) == AES128


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ciphers": "NO-SUCH-CIPHER"}, "unable to set SSL cipher list to 'NO-SUCH-CIPHER'"),
        ({"ciphersuites": "NO_SUCH_SUITE"}, "unable to set SSL cipher list to 'NO_SUCH_SUITE'"),
        ({"curves": "no-such-curve"}, "unable to set SSL curves list to 'no-such-curve'"),
        ({"ecdhe": "no-such-curve"}, "unable to set SSL curves list to 'no-such-curve'"),
        ({"sigalgs": "no+such"}, r"unable to set SSL signature algorithm list to 'no\+such'"),
        ({"ca_file": "/nonexistent/ca.pem"}, "CA file '/nonexistent/ca.pem'"),
        ({"ca_verify_file": "/nonexistent/ca.pem"}, "CA file '/nonexistent/ca.pem'"),
        ({"crl_file": "/nonexistent/crl.pem"}, "CRL file '/nonexistent/crl.pem'"),
        ({"crt_ignore_err": "X509_V_ERR_NO_SUCH"}, "X509_V_ERR_NO_SUCH"),
    ],
)
@pytest.mark.parametrize("server_side", [True, False])
def test_fault_is_named(settings: dict[str, object], message: str, server_side: bool) -> None:
    with pytest.raises(ConfigError, match=message):
        apply(server_side, **settings)


def test_after_a_fault_openssl_is_clean(driver: Driver, authority: Authority) -> None:
    """What is left in its queue of errors would be taken for the fault of the next connection."""
    for settings in (
        {"ciphers": "NO"},
        {"curves": "no"},
        {"sigalgs": "no+such"},
        {"ca_file": "/nonexistent"},
        {"crl_file": "/nonexistent"},
    ):
        with pytest.raises(ConfigError):
            apply(**settings)
    assert not SSL._lib.ERR_peek_error()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("curve", "is_fine"), [("X25519", True), ("prime256v1", True), ("secp521r1", False)])
def test_curves(driver: Driver, authority: Authority, curve: str, is_fine: bool) -> None:
    context = client_context()
    if curve == "X25519":
        pytest.importorskip("ssl")  # Python 3.11 cannot name it: the default offer has it
    else:
        context.set_ecdh_curve(curve)
    bind = bind_tls(authority.pem("a.example"), curves="X25519:prime256v1")
    assert (accept(driver, bind, context)[2] is None) is is_fine


def test_verification_is_off_on_binds_and_on_towards_servers_unless_said() -> None:
    assert not verifies(Tls(), server_side=True) and verifies(Tls(), server_side=False)
    assert verifies(Tls(verify="optional"), server_side=True) and not verifies(Tls(verify="none"), server_side=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(None, set()), ("all", None), ("10", {10}), ("X509_V_ERR_CERT_HAS_EXPIRED,18", {10, 18})],
)
def test_lists_of_faults(text: str | None, expected: set[int] | None) -> None:
    assert faults(text) == expected


def client(authority: Authority, issuer: Authority | None = None) -> ssl.SSLContext:
    one = (issuer or authority).issue("client.example")
    context = client_context()
    context.load_cert_chain(authority.file("policy-client.pem", one.key_pem, one.certificate_pem))
    return context


@pytest.mark.parametrize("word", ["ca_file", "ca_verify_file"])
def test_authorities_may_be_a_directory(driver: Driver, authority: Authority, word: str) -> None:
    other = Authority(authority.folder)
    authority.file("authorities/one.pem", authority.root.certificate_pem)
    authority.file("authorities/two.crt", other.root.certificate_pem)
    authority.file("authorities/.hidden.pem", b"garbage")
    authority.file("authorities/README", b"garbage")
    bind = bind_tls(authority.pem("a.example"), verify="required", **{word: str(authority.folder / "authorities")})
    for issuer in (authority, other):
        assert accept(driver, bind, client(authority, issuer))[2] is None
    assert accept(driver, bind, client(authority, Authority(authority.folder)))[2] is not None


@pytest.mark.parametrize(
    ("settings", "named"), [({"ca_file": "x"}, True), ({"ca_file": "x", "ca_names": False}, False), ({"ca_verify_file": "x"}, False)]
)
def test_clients_are_told_whose_certificates_are_welcome_unless_it_is_said_not_to(
    authority: Authority, settings: dict[str, object], named: bool
) -> None:
    settings = {key: authority.ca_file if value == "x" else value for key, value in settings.items()}
    context = apply(verify="required", **settings)
    names = [name.CN for name in SSL.Connection(context).get_client_ca_list()]
    assert names == ([authority.name.rfc4514_string().removeprefix("CN=")] if named else [])


def test_revoked_certificate_is_refused_and_each_authority_needs_a_list(driver: Driver, authority: Authority) -> None:
    own = Authority(authority.folder)
    good, bad = own.issue("good.example"), own.issue("bad.example")
    contexts = {}
    for name, one in (("good", good), ("bad", bad)):
        contexts[name] = client_context()
        contexts[name].load_cert_chain(own.file(f"revocation-{name}.pem", one.key_pem, one.certificate_pem))
    crl = own.file("crl.pem", own.crl(bad))
    bind = bind_tls(own.pem("a.example"), own.pem("b.example"), verify="required", ca_file=own.ca_file, crl_file=crl)
    for name in (None, "b.example"):
        assert accept(driver, bind, contexts["good"], name=name)[2] is None
        failure = accept(driver, bind, contexts["bad"], name=name)[2]
        assert isinstance(failure, TlsError) and "X509_V_ERR_CERT_REVOKED" in failure.detail
    foreign = own.file("foreign.pem", authority.crl())
    bind = bind_tls(own.pem("a.example"), verify="required", ca_file=own.ca_file, crl_file=foreign)
    failure = accept(driver, bind, contexts["good"])[2]
    assert isinstance(failure, TlsError) and "X509_V_ERR_UNABLE_TO_GET_CRL" in failure.detail


def test_system_authorities_are_a_word_of_their_own() -> None:
    apply(False, ca_file="@system-ca")
    apply(False)
    apply(True, ca_file="@system-ca", verify="required")
