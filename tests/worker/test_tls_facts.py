from __future__ import annotations

import ssl

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.common.net.driving import Driver
from tests.worker.authority import Authority
from tests.worker.tls_peers import accept, bind_tls, client_context
from worker.tls_facts import ConnectionFacts

VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


@VERSIONS
def test_facts_of_an_established_connection(driver: Driver, authority: Authority, version: ssl.TLSVersion) -> None:
    pem = authority.pem("a.example")
    bind = bind_tls(pem, alpn=("http/1.1",), verify="optional", ca_file=authority.ca_file)
    one = authority.issue("client.example")
    context = client_context(minimum_version=version, maximum_version=version)
    context.load_cert_chain(authority.file("facts-client.pem", one.key_pem, one.certificate_pem))
    context.set_alpn_protocols(["http/1.1"])
    stream, peer, failure = accept(driver, bind, context, name="a.example")
    assert failure is None
    facts = ConnectionFacts(stream)
    cipher = peer.sock.cipher()
    assert cipher is not None
    assert facts.handshake_done and not facts.is_resumed
    assert facts.sni == b"a.example" and facts.alpn == b"http/1.1" and facts.npn == b""
    assert facts.protocol.decode() == peer.sock.version()
    assert (facts.cipher.decode(), facts.cipher_bits) == (cipher[0], cipher[2])
    assert len(facts.client_random) == len(facts.server_random) == 32
    assert len(facts.session_key) == 48
    if version is ssl.TLSVersion.TLSv1_2:
        assert facts.unique_id == peer.sock.get_channel_binding("tls-unique")
    assert facts.peer_certificate == one.certificate.public_bytes(Encoding.DER)
    assert facts.peer_certificate_sent
    assert facts.peer_chain == [], "without its own certificate, as OpenSSL keeps it"
    assert facts.peer_root == authority.root.certificate.public_bytes(Encoding.DER)
    assert facts.own_certificate == peer.sock.getpeercert(binary_form=True)
    assert (facts.verify_result, facts.verify_error, facts.verify_ca_error, facts.verify_ca_error_depth) == (0, 0, 0, 0)
    assert facts.error == 0 and facts.error_text == b""


def test_facts_of_a_client_without_name_protocol_or_certificate(driver: Driver, authority: Authority) -> None:
    stream, _peer, _ = accept(driver, bind_tls(authority.pem("a.example")))
    facts = ConnectionFacts(stream)
    assert facts.sni == facts.alpn == facts.peer_certificate == facts.peer_root == b""
    assert facts.peer_chain == [] and not facts.peer_certificate_sent
    assert (facts.verify_error, facts.verify_ca_error, facts.verify_ca_error_depth) == (0, 0, 0)


def test_facts_of_a_handshake_that_failed(driver: Driver, authority: Authority) -> None:
    bind = bind_tls(authority.pem("a.example"), verify="required", ca_file=authority.ca_file)
    stream, _peer, failure = accept(driver, bind)
    assert failure is not None
    facts = ConnectionFacts(stream)
    assert not facts.handshake_done and facts.error and b"certificate" in facts.error_text
