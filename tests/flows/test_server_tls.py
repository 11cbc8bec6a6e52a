"""TLS towards servers: whom we believe, what we send, what we resume; with HAProxy beside us where it has the words."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.flows.harness import Flow, defaults, one_worker
from tests.flows.peers import Peer
from tests.flows.programs import Program


class Server:
    """Answers one request per connection over TLS, and notes what it was shown."""

    def __init__(self, pem: Path, ca: Path | None = None) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(str(pem))
        if ca is not None:
            self.context.load_verify_locations(str(ca))
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.names: list[str | None] = []
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), self.context.wrap_socket(plain, server_side=True) as client:
                client.settimeout(10)
                received = b""
                while b"\r\n\r\n" not in received and (data := client.recv(65536)):
                    received += data
                client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
                client.unwrap()

    def close(self) -> None:
        self.socket.close()


_SECTION = """
listen {name}
    bind <listen:{name}>
    retries 0
    http-response set-header x-resumed %[ssl_bc_is_resumed]
    http-response set-header x-cipher %[ssl_bc_cipher]
    http-response set-header x-protocol %[ssl_bc_protocol]
    http-response set-header x-server %[ssl_s_s_dn(cn)]
    {default}
    server s 127.0.0.1:{port} {words}
"""
_TRUST = "ssl ca-file <file:ca.pem>"
CASES = {
    "verified": f"{_TRUST} verify required sni str(app.example)",
    "default_is_required": f"{_TRUST} sni str(app.example)",
    "other_authority": "ssl ca-file <file:other.pem> verify required sni str(app.example)",
    "verifyhost_fits": f"{_TRUST} verify required verifyhost app.example",
    "verifyhost_other": f"{_TRUST} verify required verifyhost other.example",
    "sni_other": f"{_TRUST} verify required sni str(other.example)",
    "unverified": "ssl verify none",
    "revoked": f"{_TRUST} verify required sni str(app.example) crl-file <file:revoked.crl>",
    "not_revoked": f"{_TRUST} verify required sni str(app.example) crl-file <file:empty.crl>",
    "no_reuse": "ssl verify none no-ssl-reuse",
    "only12": "ssl verify none ssl-max-ver TLSv1.2 ciphers ECDHE-ECDSA-AES256-GCM-SHA384",
    "from_host": "ssl verify none sni req.hdr(host),field(1,:)",
}
_NEWER = {"auto": "ssl verify none", "auto_verified": f"{_TRUST} verify required", "not_auto": "ssl verify none no-sni-auto"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server, Server]]:
    """(files, a server, one that wants a client's certificate)."""
    folder = tmp_path_factory.mktemp("servers")
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    other.cert_pem.write_to_path(str(folder / "other.pem"))
    leaf = authority.issue_cert("app.example", common_name="app.example")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "app.pem"))
    authority.issue_cert("us.example").private_key_and_cert_chain_pem.write_to_path(str(folder / "us.pem"))
    (folder / "empty.crl").write_bytes(crl(authority, []))
    revoked = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number
    (folder / "revoked.crl").write_bytes(crl(authority, [revoked]))
    made = Server(folder / "app.pem"), Server(folder / "app.pem", folder / "ca.pem")
    yield folder, *made
    for one in made:
        one.close()


def crl(authority: trustme.CA, numbers: list[int]) -> bytes:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(now - day).next_update(now + day)
    for number in numbers:
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now - day).build())
    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def flow(program: Program, servers: tuple[Path, Server, Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder, plain, strict = servers
    own = tmp_path_factory.mktemp("server-tls")
    for entry in folder.iterdir():
        (own / entry.name).symlink_to(entry)
    usher = program.name == "usher"
    text = defaults(global_lines=one_worker(program.name))
    for name, words in (CASES | (_NEWER if usher else {})).items():
        text += _SECTION.format(name=name, port=plain.port, words=words, default="")
    text += _SECTION.format(name="inherits", port=plain.port, words="", default=f"default-server {CASES['verified']}")
    text += _SECTION.format(name="with_certificate", port=strict.port, words="ssl verify none crt <file:us.pem>", default="")
    text += _SECTION.format(name="without_certificate", port=strict.port, words="ssl verify none", default="")
    with Flow(own, (program, text)) as started:
        yield started


def ask(flow: Flow, name: str, host: bytes = b"app.example") -> tuple[bytes, dict[bytes, bytes]]:
    """(status, fields) of an answer."""
    client: Peer = flow.connect(name)
    client.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
    lines = client.receive_to_end().partition(b"\r\n\r\n")[0].split(b"\r\n")
    client.close()
    return lines[0].split(b" ")[1], {field: value for field, _, value in (line.partition(b": ") for line in lines[1:])}


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("verified", b"200"),
        ("default_is_required", b"200"),
        ("inherits", b"200"),
        ("other_authority", b"503"),
        ("verifyhost_fits", b"200"),
        ("verifyhost_other", b"503"),
        ("sni_other", b"503"),
        ("unverified", b"200"),
        ("revoked", b"503"),
        ("not_revoked", b"200"),
        ("with_certificate", b"200"),
    ],
)
def test_server_is_believed_or_not(flow: Flow, name: str, status: bytes) -> None:
    assert ask(flow, name)[0] == status


def test_server_that_wants_a_certificate_and_gets_none_answers_nothing(flow: Flow) -> None:
    assert ask(flow, "without_certificate")[0] in (b"502", b"503")


@pytest.mark.parametrize(("name", "second"), [("verified", b"1"), ("unverified", b"1"), ("no_reuse", b"0")])
def test_sessions_to_servers_are_resumed_unless_told_not_to(flow: Flow, name: str, second: bytes) -> None:
    ask(flow, name)
    assert ask(flow, name)[1][b"x-resumed"] == second


def test_versions_and_ciphers_are_ours_to_choose(flow: Flow) -> None:
    fields = ask(flow, "only12")[1]
    assert (fields[b"x-protocol"], fields[b"x-cipher"]) == (b"TLSv1.2", b"ECDHE-ECDSA-AES256-GCM-SHA384")
    assert fields[b"x-server"] == b"app.example"


def test_name_is_made_for_each_connection(flow: Flow, servers: tuple[Path, Server, Server]) -> None:
    for host in (b"one.example:8443", b"two.example"):
        ask(flow, "from_host", host)
        assert servers[1].names[-1] == host.partition(b":")[0].decode()


@pytest.mark.parametrize(
    ("name", "host", "sent", "status"),
    [
        ("auto", b"one.example", "one.example", b"200"),
        ("auto", b"one.example:8443", "one.example", b"200"),
        ("auto", b"192.0.2.1:80", None, b"200"),
        ("auto", b"[2001:db8::1]:80", None, b"200"),
        ("auto_verified", b"app.example:443", "app.example", b"200"),
        ("auto_verified", b"other.example", "other.example", b"503"),
        ("not_auto", b"one.example", None, b"200"),
    ],
)
def test_name_is_taken_from_the_host_by_itself(
    flow: Flow, servers: tuple[Path, Server, Server], name: str, host: bytes, sent: str | None, status: bytes
) -> None:
    if flow.instance.program.name == "haproxy":
        pytest.skip("HAProxy 2.6 sends no name unless told to")
    assert ask(flow, name, host)[0] == status
    assert servers[1].names[-1] == sent
