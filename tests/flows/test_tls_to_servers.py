"""What servers hear of a client's TLS, in PROXY headers; and TLS towards servers: names, verification, revocation, resumption.

With HAProxy beside us where it has the words.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
import trustme

from common.wire.proxy_protocol import ProxyHeader, decode
from common.wire.tlv import SslClient, TlvType
from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer
from tests.flows.programs import Program

_OPTIONS = {
    "bare": "send-proxy-v2",
    "tls": "send-proxy-v2-ssl",
    "cn": "send-proxy-v2-ssl-cn",
    "all": "send-proxy-v2 proxy-v2-options ssl,cert-cn,cert-key,cert-sig,ssl-cipher,authority,crc32c",
    "id": "send-proxy-v2 proxy-v2-options unique-id,authority",
}
_SECTION = """
listen {name}
    bind <listen:{name}> ssl crt <file:localhost.pem> alpn http/1.1 verify optional ca-file <file:ca.pem>
    bind <listen:{name}.plain>
    unique-id-format %[req.hdr(x-id)]
    server s <server:{name}> {words}
"""
_NEWER = """
listen formats
    bind <listen:formats>
    default-server set-proxy-v2-tlv-fmt(0xE1) %[req.hdr(x-tenant)]
    server s <server:formats> send-proxy-v2 set-proxy-v2-tlv-fmt(0xE2) %[src]-x
"""


@pytest.fixture(scope="module")
def flow(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("announced")
    certificates.put_into(folder)
    authority = trustme.CA()
    (folder / "ca.pem").unlink()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    client = authority.issue_cert("client.example", common_name="client.example")
    client.private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    text = defaults() + "".join(_SECTION.format(name=name, words=words) for name, words in _OPTIONS.items())
    with Flow(folder, (program, text + (_NEWER if program.name == "usher" else ""))) as started:
        yield started


def context(flow: Flow, *, certificate: bool = False) -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["http/1.1"])
    if certificate:
        made.load_cert_chain(str(flow.folder / "client.pem"))
    return made


def header_of(server: Peer) -> ProxyHeader:
    data = server.receive_until(b"GET ")
    found = decode(data[:-4])
    assert found is not None and found[1] == len(data) - 4
    return found[0]


def announced(flow: Flow, name: str, *, tls: bool = True, certificate: bool = False, more: bytes = b"") -> ProxyHeader:
    client = flow.connect_tls(name, context(flow, certificate=certificate)) if tls else flow.connect(f"{name}.plain")
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n" + more + b"\r\n")
    server = flow.server(name).accept()
    try:
        return header_of(server)
    finally:
        client.close()
        server.close()


def kinds(header: ProxyHeader) -> set[int]:
    return {kind for kind, _ in header.tlvs}


@pytest.mark.parametrize(("name", "tls", "expected"), [
    ("bare", False, set()),
    ("bare", True, {TlvType.ALPN}),
    ("tls", False, {TlvType.SSL}),
    ("tls", True, {TlvType.ALPN, TlvType.SSL}),
    ("all", True, {TlvType.ALPN, TlvType.AUTHORITY, TlvType.SSL, TlvType.CRC32C}),
    ("all", False, {TlvType.SSL, TlvType.CRC32C}),
])  # fmt: skip
def test_header_has_what_the_options_name(flow: Flow, name: str, tls: bool, expected: set[int]) -> None:
    assert kinds(announced(flow, name, tls=tls)) == expected


def test_what_is_told_of_a_client_with_a_certificate(flow: Flow) -> None:
    header = announced(flow, "all", certificate=True)
    assert header.authority == "localhost" and header.alpn == b"http/1.1"
    found = header.ssl
    assert found is not None and found.verified and found.client == SslClient.SSL | SslClient.CERT_CONN | SslClient.CERT_SESS
    assert (found.version, found.cn, found.key_alg, found.sig_alg) == ("TLSv1.3", "client.example", "EC256", "ecdsa-with-SHA256")
    assert found.cipher == "TLS_AES_256_GCM_SHA384"


@pytest.mark.parametrize(("name", "cn"), [("tls", None), ("cn", "client.example")])
def test_common_name_is_told_when_asked_for(flow: Flow, name: str, cn: str | None) -> None:
    found = announced(flow, name, certificate=True).ssl
    assert found is not None and found.cn == cn and found.version == "TLSv1.3"


@pytest.mark.parametrize(("name", "tls"), [("tls", False), ("tls", True)])
def test_client_without_a_certificate_is_told_as_such(flow: Flow, name: str, tls: bool) -> None:
    found = announced(flow, name, tls=tls).ssl
    assert found is not None and found.has_ssl is tls and not found.has_certificate and not found.verified and found.verify == 0


def test_each_unique_id_has_a_connection_of_its_own(flow: Flow) -> None:
    client = flow.connect_tls("id", context(flow))
    opened = []
    for number in (b"first", b"second"):
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Id: " + number + b"\r\n\r\n")
        server = flow.server("id").accept()
        assert header_of(server).unique_id == number
        server.receive_until(b"\r\n\r\n")
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        client.receive_until(b"\r\n\r\n")
        opened.append(server)
    client.close()
    for server in opened:
        server.close()


def test_formats_make_vectors_of_any_type(flow: Flow) -> None:
    if flow.instance.program.name == "haproxy":
        pytest.skip("HAProxy 2.6 has no set-proxy-v2-tlv-fmt")
    client = flow.connect("formats")
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Tenant: blue\r\n\r\n")
    server = flow.server("formats").accept()
    header = header_of(server)
    assert (header.tlv(0xE1), header.tlv(0xE2)) == (b"blue", b"127.0.0.1-x")
    client.close()
    server.close()
