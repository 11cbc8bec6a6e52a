"""Certificates, lists, authorities and staples changed while the service runs, with HAProxy beside us for what it answers."""

from __future__ import annotations

import base64
import datetime
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import Program

_TEXT = """
listen a
    bind <listen:a> ssl crt-list <file:list.txt>
    http-request return status 200
listen b
    bind <listen:b> ssl crt <file:b1.pem> ca-file <file:clients.pem> verify required
    http-request return status 200
"""
_REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class Made:
    """What the tests change: certificates of one authority, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.other = trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "trusted.pem"))
        self.authority.cert_pem.write_to_path(str(folder / "clients.pem"))
        self.a = self.issue("a.example")
        self.b = self.issue("b.example")
        (folder / "a1.pem").write_bytes(pem(self.a))
        (folder / "b1.pem").write_bytes(pem(self.b))
        (folder / "list.txt").write_text(f"{folder}/a1.pem\n{folder}/b1.pem [ssl-min-ver TLSv1.2] b.example !x.b.example\n")

    def issue(self, *names: str) -> trustme.LeafCert:
        return self.authority.issue_cert(*names, key_type=trustme.KeyType.ECDSA)


def pem(leaf: trustme.LeafCert) -> bytes:
    return leaf.private_key_pem.bytes() + leaf.cert_chain_pems[0].bytes()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


@pytest.fixture
def flow(program: Program, made: Made, tmp_path: Path) -> Iterator[Flow]:
    workers = "workers 2\n    " if program.name == "usher" else ""
    text = defaults(global_lines=f"{workers}stats socket <unix:operator> level admin\n    stats timeout 20s")
    with Flow(tmp_path, (program, text + _TEXT)) as started:
        yield started


def ask(flow: Flow, line: str, payload: bytes | None = None) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(flow.places.address("operator")))
        client.sendall(line.encode() + (b" <<\n" + payload.rstrip() + b"\n\n" if payload is not None else b"\n"))
        found = b""
        while data := client.recv(65536):
            found += data
    return found.decode().rstrip("\n")


def trusting(made: Made) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(made.folder / "trusted.pem"))
    context.check_hostname = False
    return context


def serial(flow: Flow, made: Made, name: str | None, listen: str = "a") -> int:
    """Of the certificate that a client meets."""
    peer = flow.connect_tls(listen, trusting(made), server_name=name)
    assert isinstance(peer.socket, ssl.SSLSocket)
    found = x509.load_der_x509_certificate(peer.socket.getpeercert(True) or b"").serial_number
    peer.send(_REQUEST)
    assert peer.receive_to_end().startswith(b"HTTP/1.1 200")
    peer.close()
    return found


def number_of(leaf: trustme.LeafCert) -> int:
    return x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()).serial_number


def everywhere(flow: Flow, made: Made, name: str | None) -> set[int]:
    """Over several connections, so that every worker is met."""
    return {serial(flow, made, name) for _ in range(6)}


def test_certificate_is_replaced_by_a_transaction(flow: Flow, made: Made) -> None:
    path = f"{made.folder}/a1.pem"
    renewed = made.issue("a.example")
    assert everywhere(flow, made, "a.example") == {number_of(made.a)}
    assert ask(flow, f"set ssl cert {path}", pem(renewed)) == f"Transaction created for certificate {path}!"
    assert everywhere(flow, made, "a.example") == {number_of(made.a)}, "not before the commit"
    assert f"*{path}" in ask(flow, "show ssl cert")
    assert re.fullmatch(rf"Committing {path}\.+\nSuccess!", ask(flow, f"commit ssl cert {path}"))
    assert everywhere(flow, made, "a.example") == {number_of(renewed)}
    assert everywhere(flow, made, "b.example") == {number_of(made.b)}
    assert f"Serial: {number_of(renewed):X}"[-20:] in ask(flow, f"show ssl cert {path}")
    assert "No ongoing transaction" in ask(flow, f"commit ssl cert {path}")


def test_half_and_mismatched_pairs_never_go_live(flow: Flow, made: Made) -> None:
    path = f"{made.folder}/a1.pem"
    one, two = made.issue("a.example"), made.issue("a.example")
    for bad in (pem(one)[:200], one.private_key_pem.bytes() + two.cert_chain_pems[0].bytes(), b"hello"):
        if "Transaction" in ask(flow, f"set ssl cert {path}", bad):  # HAProxy compares key and certificate at the commit
            assert flow.instance.program.name == "haproxy" and "Success!" not in ask(flow, f"commit ssl cert {path}")
            ask(flow, f"abort ssl cert {path}")
    assert "Can't update nowhere.pem!" in ask(flow, "set ssl cert nowhere.pem", pem(one))
    ask(flow, f"commit ssl cert {path}")
    assert everywhere(flow, made, "a.example") == {number_of(made.a)}
    assert "created" in ask(flow, f"set ssl cert {path}", pem(one))
    assert "ongoing transaction is about" in ask(flow, f"commit ssl cert {made.folder}/b1.pem")
    assert ask(flow, f"abort ssl cert {path}") == f"Transaction aborted for certificate '{path}'!"
    assert ask(flow, f"abort ssl cert {path}") == "No ongoing transaction!"
    assert everywhere(flow, made, "a.example") == {number_of(made.a)}


def test_new_certificate_joins_a_list_and_leaves_it(flow: Flow, made: Made) -> None:
    listed = f"{made.folder}/list.txt"
    fresh = made.issue("fresh.example")
    assert ask(flow, "new ssl cert fresh.pem") == "New empty certificate store 'fresh.pem'!"
    assert "already exists" in ask(flow, "new ssl cert fresh.pem")
    assert "Status: Empty" in ask(flow, "show ssl cert fresh.pem")
    assert ask(flow, f"add ssl crt-list {listed} fresh.pem") == "Can't edit the crt-list: certificate 'fresh.pem' is empty!"
    ask(flow, "set ssl cert fresh.pem", pem(fresh))
    assert ask(flow, "commit ssl cert fresh.pem") == "Committing fresh.pem\nSuccess!"
    assert "Status: Unused" in ask(flow, "show ssl cert fresh.pem")
    answer = ask(flow, f"add ssl crt-list {listed}", b"fresh.pem [ssl-min-ver TLSv1.2] fresh.example *.fresh.example")
    assert answer.startswith(f"Inserting certificate 'fresh.pem' in crt-list '{listed}'.") and answer.endswith("\nSuccess!")
    assert everywhere(flow, made, "fresh.example") == {number_of(fresh)}
    assert serial(flow, made, "x.fresh.example") == number_of(fresh)
    lines = ask(flow, f"show ssl crt-list -n {listed}").splitlines()
    assert lines[0] == f"# {listed}" and lines[1] == f"{made.folder}/a1.pem:1"
    assert lines[2].startswith(f"{made.folder}/b1.pem:2 [") and lines[2].endswith(" b.example !x.b.example")
    assert lines[3].startswith("fresh.pem:3 [") and lines[3].endswith(" fresh.example *.fresh.example")
    assert "in use" in ask(flow, "del ssl cert fresh.pem")
    assert ask(flow, f"del ssl crt-list {listed} fresh.pem") == f"Entry 'fresh.pem' deleted in crtlist '{listed}'!"
    assert ask(flow, "del ssl cert fresh.pem") == "Certificate 'fresh.pem' deleted!"
    assert everywhere(flow, made, "fresh.example") == {number_of(made.a)}
    assert "default certificate" in ask(flow, f"del ssl crt-list {listed} {made.folder}/a1.pem")
    assert "does not exist" in ask(flow, f"del ssl crt-list {listed} nowhere.pem")


def test_authorities_are_replaced(flow: Flow, made: Made) -> None:
    path = f"{made.folder}/clients.pem"
    stranger = made.other.issue_cert("client.example")
    stranger.private_key_and_cert_chain_pem.write_to_path(str(made.folder / "client.pem"))

    def is_let_in() -> bool:
        context = trusting(made)
        context.load_cert_chain(str(made.folder / "client.pem"))
        try:
            peer = flow.connect_tls("b", context)
            peer.send(_REQUEST)
            return peer.receive_to_end().startswith(b"HTTP/1.1 200")
        except (ssl.SSLError, ConnectionError):
            return False

    assert not any(is_let_in() for _ in range(4))
    assert ask(flow, f"set ssl ca-file {path}", made.other.cert_pem.bytes()) == f"transaction created for CA {path}!"
    assert "Status: Used" in ask(flow, f"show ssl ca-file {path}") and not is_let_in()
    assert re.fullmatch(rf"Committing {path}\.+\nSuccess!", ask(flow, f"commit ssl ca-file {path}"))
    assert all(is_let_in() for _ in range(4))
    assert ask(flow, "new ssl ca-file x.pem") == "New CA file created 'x.pem'!"
    assert ask(flow, "del ssl ca-file x.pem") == "CA file 'x.pem' deleted!"
    assert "in use" in ask(flow, f"del ssl ca-file {path}")


def test_worker_that_starts_later_has_what_was_changed(flow: Flow, made: Made) -> None:
    if flow.instance.program.name != "usher":
        pytest.skip("one process has no fellows")
    path = f"{made.folder}/a1.pem"
    for _ in range(2):
        renewed = made.issue("a.example")
        ask(flow, f"set ssl cert {path}", pem(renewed))
        assert "Success!" in ask(flow, f"commit ssl cert {path}")
    ask(flow, f"set ssl cert {path}", pem(made.issue("a.example")))  # begun, not committed
    before = flow.instance.by_role("worker")
    for pid in before:
        os.kill(pid, signal.SIGKILL)

    def both_again() -> bool:
        now = flow.instance.by_role("worker")
        return len(now) == 2 and not set(now) & set(before)

    eventually(both_again, "two other workers")
    eventually(lambda: "# filename" in ask(flow, "show ssl cert"), "they answer")
    assert everywhere(flow, made, "a.example") == {number_of(renewed)}


def test_certificate_swap_under_load_fails_nobody(flow: Flow, made: Made) -> None:
    path = f"{made.folder}/a1.pem"
    failures: list[BaseException] = []
    seen: set[int] = set()
    done = threading.Event()

    def client() -> None:
        while not done.is_set():
            try:
                seen.add(serial(flow, made, "a.example"))
            except BaseException as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    renewed = []
    for _ in range(12):
        renewed.append(made.issue("a.example"))
        ask(flow, f"set ssl cert {path}", pem(renewed[-1]))
        assert "Success!" in ask(flow, f"commit ssl cert {path}")
    eventually(lambda: bool(failures) or number_of(renewed[-1]) in seen, "the last certificate is met")
    done.set()
    for thread in threads:
        thread.join(20)
    assert not failures and len(seen) > 1


# --- staples ---------------------------------------------------------------------------------------------------------


def staple(made: Made, leaf: trustme.LeafCert) -> bytes:
    """What a responder would say of it."""
    now = datetime.datetime.now(datetime.UTC)
    issuer = x509.load_pem_x509_certificate(made.authority.cert_pem.bytes())
    key = serialization.load_pem_private_key(made.authority.private_key_pem.bytes(), None)
    builder = ocsp.OCSPResponseBuilder().add_response(
        cert=x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes()),
        issuer=issuer,
        algorithm=hashes.SHA1(),  # responders speak it
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=now - datetime.timedelta(hours=1),
        next_update=now + datetime.timedelta(days=1),
        revocation_time=None,
        revocation_reason=None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, issuer)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)  # type: ignore[arg-type]


def stapled(port: int, *arguments: str) -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "a.example", "-status", *arguments]
    return subprocess.run(command, input=b"", capture_output=True, timeout=20).stdout.decode("utf-8", "replace")


@pytest.mark.interop("openssl")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_staple_of_an_operator_is_sent(flow: Flow, made: Made, version: str) -> None:
    if flow.instance.program.name == "haproxy":
        pytest.skip("HAProxy wants the issuer beside the certificate")
    assert "OCSP response: no response sent" in stapled(flow.port("a"), version)
    assert ask(flow, "set ssl ocsp-response", base64.encodebytes(staple(made, made.a))) == "OCSP Response updated!"
    for _ in range(4):
        assert "OCSP Response Status: successful" in stapled(flow.port("a"), version)
    listed = ask(flow, "show ssl ocsp-response")
    found = re.search(r"Certificate ID key : ([0-9a-f]+)", listed)
    assert found and f"{number_of(made.a):X}" in ask(flow, f"show ssl ocsp-response {found[1]}")
    assert f"OCSP Response Key: {found[1]}" in ask(flow, f"show ssl cert {made.folder}/a1.pem")
    assert "does not match" in ask(flow, "set ssl ocsp-response", base64.encodebytes(staple(made, made.issue("z.example"))))
    assert ask(flow, "set ssl ocsp-response", b"Zm9v") == "Unable to parse OCSP response."
    assert "invalid base64" in ask(flow, "set ssl ocsp-response", b"!!!")


def test_names_are_shown(flow: Flow, made: Made) -> None:
    if flow.instance.program.name == "haproxy":
        pytest.skip("HAProxy 2.6 has no 'show ssl sni'")
    rows = [line.split("\t") for line in ask(flow, "show ssl sni -f a").splitlines()]
    assert rows[0] == ["# Frontend/Bind", "SNI", "Negative Filter", "Type", "Filename", "NotAfter", "NotBefore"]
    assert ["b.example", "!x.b.example", "ecdsa", f"{made.folder}/b1.pem"] in [row[1:5] for row in rows]


