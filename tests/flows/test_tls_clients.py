"""Real clients of every version and option, scanners, and hellos of nobody: what is refused is refused soon, and harms nobody else."""

from __future__ import annotations

import importlib.util
import json
import os
import ssl
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.programs import USHER

_TEXT = """
listen plain
    bind <listen:plain> ssl crt <file:both.rsa> crt <file:both.ecdsa> alpn http/1.1
    http-request return status 200
listen modern
    bind <listen:modern> ssl crt <file:both.ecdsa> ssl-preset modern
    http-request return status 200
listen intermediate
    bind <listen:intermediate> ssl crt <file:both.ecdsa> crt <file:both.rsa> ssl-preset intermediate
    http-request return status 200
listen old
    bind <listen:old> ssl crt <file:both.rsa> ssl-min-ver TLSv1.0 ciphers ALL:@SECLEVEL=0
    http-request return status 200
listen named
    bind <listen:named> ssl crt <file:both.rsa> ciphers AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384 ssl-max-ver TLSv1.2
    http-request return status 200
listen suites
    bind <listen:suites> ssl crt <file:both.rsa> ciphersuites TLS_CHACHA20_POLY1305_SHA256 ssl-min-ver TLSv1.3
    http-request return status 200
listen curve
    bind <listen:curve> ssl crt <file:both.rsa> curves secp384r1
    http-request return status 200
listen ecdhe
    bind <listen:ecdhe> ssl crt <file:both.rsa> ecdhe secp521r1 ssl-max-ver TLSv1.2
    http-request return status 200
listen sigalgs
    bind <listen:sigalgs> ssl crt <file:both.rsa> sigalgs RSA-PSS+SHA512 ssl-min-ver TLSv1.3
    http-request return status 200
listen dhe
    bind <listen:dhe> ssl crt <file:both.rsa> ciphers DHE-RSA-AES128-GCM-SHA256 ssl-max-ver TLSv1.2
    http-request return status 200
listen theirs
    bind <listen:theirs> ssl crt <file:both.rsa> ciphers ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256 prefer-client-ciphers
    http-request return status 200
listen quick
    timeout client 700ms
    bind <listen:quick> ssl crt <file:both.rsa>
    http-request return status 200
"""
pytestmark = pytest.mark.interop("openssl")


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("clients")
    certificates.put_into(folder)
    authority = trustme.CA()
    for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA):
        leaf = authority.issue_cert("localhost", key_type=kind)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"both.{kind.name.lower()}"))
    with Flow(folder, (USHER, defaults(global_lines="workers 1") + _TEXT)) as started:
        yield started


def s_client(flow: Flow, listen: str, *arguments: str, sent: bytes = b"") -> str:
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{flow.port(listen)}", *arguments]
    done = subprocess.run(command, input=sent, capture_output=True, timeout=20)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


@pytest.mark.parametrize(
    ("listen", "arguments", "says"),
    [
        ("plain", ("-tls1_3",), "New, TLSv1.3"),
        ("plain", ("-tls1_2",), "New, TLSv1.2"),
        ("plain", ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "New, (NONE)"),
        ("plain", ("-tls1", "-cipher", "ALL:@SECLEVEL=0"), "New, (NONE)"),
        ("plain", ("-alpn", "h2,http/1.1"), "ALPN protocol: http/1.1"),
        ("plain", ("-alpn", "h2"), "No ALPN negotiated"),
        ("plain", ("-tls1_2", "-cipher", "AES128-SHA"), "Cipher is AES128-SHA"),
        ("plain", ("-tls1_3", "-groups", "X25519"), "Server Temp Key: X25519"),
        ("plain", ("-tls1_3", "-groups", "P-521"), "Server Temp Key: ECDH, secp521r1"),
        ("plain", ("-tls1_2", "-no_ticket"), "New, TLSv1.2"),
        ("plain", ("-tls1_2", "-comp"), "Compression: NONE"),
        ("plain", ("-tls1_2",), "Secure Renegotiation IS supported"),
        ("plain", ("-noservername",), "New, TLSv1.3"),
        ("plain", ("-max_send_frag", "512"), "New, TLSv1.3"),
        ("plain", ("-maxfraglen", "512"), "New, TLSv1.3"),
        ("modern", ("-tls1_2",), "New, (NONE)"),
        ("modern", ("-tls1_3",), "New, TLSv1.3"),
        ("intermediate", ("-tls1_2",), "Cipher is ECDHE-ECDSA-AES"),
        ("intermediate", ("-tls1_2", "-cipher", "AES128-GCM-SHA256"), "New, (NONE)"),
        ("intermediate", ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), "Cipher is ECDHE-RSA-AES128-GCM-SHA256"),
        ("old", ("-tls1", "-cipher", "ALL:@SECLEVEL=0"), "New, TLSv1.0"),
        ("old", ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "Protocol  : TLSv1.1"),
        ("named", ("-tls1_2",), "Cipher is AES128-GCM-SHA256"),
        ("named", ("-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"), "New, (NONE)"),
        ("suites", (), "Cipher is TLS_CHACHA20_POLY1305_SHA256"),
        ("suites", ("-ciphersuites", "TLS_AES_128_GCM_SHA256"), "New, (NONE)"),
        ("curve", (), "Server Temp Key: ECDH, secp384r1"),
        ("curve", ("-groups", "X25519", "-tls1_3"), "New, (NONE)"),
        ("ecdhe", ("-groups", "P-521:P-256"), "Server Temp Key: ECDH, secp521r1"),
        ("sigalgs", (), "Peer signing digest: SHA512"),
        ("dhe", (), "Server Temp Key: DH, 2048 bits"),
        ("theirs", ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"), "ECDHE-RSA-AES128-GCM-SHA256"),
    ],
    ids=str,
)
def test_openssl_client(flow: Flow, listen: str, arguments: tuple[str, ...], says: str) -> None:
    assert says in s_client(flow, listen, *arguments), s_client(flow, listen, *arguments)


def test_renegotiation_of_a_client_is_refused(flow: Flow) -> None:
    said = s_client(flow, "plain", "-tls1_2", sent=b"R\n")
    assert "RENEGOTIATING" in said and "no renegotiation" in said.lower()


def test_curl(flow: Flow) -> None:
    if subprocess.run(["which", "curl"], capture_output=True).returncode:
        pytest.skip("curl is not installed")
    for option in ("--tlsv1.2", "--tlsv1.3"):
        done = subprocess.run(
            ["curl", "-sk", option, "-o", os.devnull, "-w", "%{http_code} %{ssl_verify_result}", f"https://127.0.0.1:{flow.port('plain')}/"],
            capture_output=True,
            timeout=20,
        )
        assert done.stdout.startswith(b"200 "), done.stderr


@pytest.mark.parametrize("listen", ["modern", "intermediate"])
def test_sslyze_finds_nothing_but_the_certificate_of_a_test(flow: Flow, tmp_path: Path, listen: str) -> None:
    python = os.environ.get("USHER_SSLYZE", sys.executable)  # a Python that has sslyze
    if python == sys.executable and importlib.util.find_spec("sslyze") is None:
        pytest.skip("NOT SCANNED: sslyze is not installed; name a Python that has it in USHER_SSLYZE")
    done = subprocess.run(
        [python, "-m", "sslyze", "--mozilla_config", listen, "--json_out", str(tmp_path / "found.json"), f"localhost:{flow.port(listen)}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    findings = [line.strip() for line in done.stdout.partition("COMPLIANCE AGAINST")[2].splitlines() if line.strip().startswith("* ")]
    of_certificates = ("* certificate_path_validation", "* maximum_certificate_lifespan")
    assert findings and not [one for one in findings if not one.startswith(of_certificates)], done.stdout
    [result] = json.loads((tmp_path / "found.json").read_text())["server_scan_results"]
    scan = result["scan_result"]
    assert scan["session_renegotiation"]["result"]["is_vulnerable_to_client_renegotiation_dos"] is False
    assert scan["heartbleed"]["result"]["is_vulnerable_to_heartbleed"] is False
    assert scan["robot"]["result"]["robot_result"].startswith("NOT_VULNERABLE")


# --- hellos of nobody --------------------------------------------------------------------------------------------------


def record(content: bytes, kind: int = 22, version: int = 0x0301) -> bytes:
    return struct.pack("!BHH", kind, version, len(content)) + content


def hello(
    body: bytes = b"", *, version: int = 0x0303, ciphers: bytes = b"\xc0\x2f\xc0\x30\x13\x01", extensions: bytes | None = None
) -> bytes:
    content = struct.pack("!H", version) + bytes(32) + b"\x00" + struct.pack("!H", len(ciphers)) + ciphers + b"\x01\x00"
    if extensions is not None:
        content += struct.pack("!H", len(extensions)) + extensions
    content += body
    return record(b"\x01" + len(content).to_bytes(3, "big") + content)


def extension(kind: int, content: bytes) -> bytes:
    return struct.pack("!HH", kind, len(content)) + content


HOSTILE = {
    "empty record": record(b""),
    "a thousand empty records": record(b"") * 1000,
    "empty hello": record(b"\x01\x00\x00\x00"),
    "hello cut in its record": hello()[:-3],
    "hello longer than its record says": record(b"\x01\x00\x40\x00" + bytes(60)),
    "hello of sixteen megabytes": record(b"\x01\xff\xff\xff" + bytes(16000)) + record(bytes(16000)) * 8,
    "record too long": struct.pack("!BHH", 22, 0x0301, 0xFFFF) + bytes(20000),
    "no ciphers": hello(ciphers=b""),
    "odd ciphers": hello(ciphers=b"\xc0\x2f\xc0"),
    "unknown ciphers": hello(ciphers=b"\xfe\xfe\xfd\xfd"),
    "trailing bytes": hello(b"\x00\x01\x02"),
    "version of the future": hello(version=0x7F7F),
    "version of the past": hello(version=0x0002),
    "record of another major version": record(hello()[5:], version=0x0901),
    "extensions cut": hello(extensions=b"\x00\x00\x00\xff\x00"),
    "extension twice": hello(extensions=extension(23, b"") * 2),
    "empty server name": hello(extensions=extension(0, b"\x00\x00")),
    "server name with a zero": hello(extensions=extension(0, b"\x00\x06\x00\x00\x03a\x00b")),
    "server name of 300": hello(extensions=extension(0, struct.pack("!HBH", 303, 0, 300) + b"a" * 300)),
    "server name of 64 KiB": hello(extensions=extension(0, struct.pack("!HBH", 14003, 0, 14000) + b"a" * 14000)),
    "empty protocols": hello(extensions=extension(16, b"\x00\x00")),
    "protocol of length zero": hello(extensions=extension(16, b"\x00\x01\x00")),
    "ticket of garbage": hello(extensions=extension(35, b"\x99" * 200)),
    "key share of nothing": hello(extensions=extension(43, b"\x02\x03\x04") + extension(51, b"\x00\x00")),
    "identity before the end": hello(extensions=extension(41, b"\x00" * 40) + extension(43, b"\x02\x03\x04")),
    "finished first": record(b"\x14\x00\x00\x0c" + bytes(12)),
    "server hello": record(b"\x02\x00\x00\x26" + bytes(38)),
    "change of cipher first": record(b"\x01", 20),
    "application data first": record(b"hello", 23),
    "alert: close": record(b"\x01\x00", 21),
    "alert: fatal": record(b"\x02\x28", 21),
    "a hundred warnings": record(b"\x01\x5a", 21) * 100,
    "heartbeat": record(b"\x01\x40\x00", 24),
    "type of nothing": record(b"xyz", 99),
    "hello of ssl 2": b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(40),
    "zeros": bytes(500),
    "ones": b"\xff" * 500,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_hello_is_refused_and_nobody_else_notices(flow: Flow, name: str) -> None:
    worker = flow.instance.by_role("worker")
    client = flow.connect("plain")
    try:
        client.send(HOSTILE[name])
        client.half_close()
        answer = client.receive_to_end()
    except ConnectionError:
        answer = b""
    client.close()
    assert answer == b"" or answer[0] in (21, 22), "an alert, a hello where the hello was fine after all, or nothing"
    assert flow.instance.by_role("worker") == worker
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    flow.connect_tls("plain", trusting).close()


def test_slow_hello_is_ended_at_its_deadline(flow: Flow) -> None:
    client = flow.connect("quick")
    client.send(hello()[:20])
    assert client.receive_to_end() == b""
    client.close()
    flow.log.expect("quick/1: Timeout during SSL handshake")
    silent = flow.connect("quick")
    assert silent.receive_to_end() == b""
    silent.close()


def test_connection_ends_with_close_notify(flow: Flow) -> None:
    """A client that wants to know whether something is missing is told that nothing is."""
    for version in ("-tls1_2", "-tls1_3"):
        sent = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        said = s_client(flow, "plain", version, "-ign_eof", "-msg", sent=sent)
        assert "close_notify" in said and "unexpected eof" not in said, said[-600:]
