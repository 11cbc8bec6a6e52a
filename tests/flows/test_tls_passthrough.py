"""TLS that is routed without being decrypted: by name, protocol and kind of hello, whole or in pieces; and who speaks first elsewhere."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.flows.harness import Flow, defaults
from tests.flows.programs import Program
from tests.flows.test_server_tls import Server

_TEXT = """
frontend sorted
    mode tcp
    option tcplog
    bind <listen:sorted>
    tcp-request inspect-delay 3s
    tcp-request content reject if {{ req.ssl_sni -i refused.example }}
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
    tcp-request content accept if {{ req.len gt 0 }}
    use_backend one if {{ req.ssl_sni -i one.example }}
    use_backend two if {{ req.ssl_sni -m end .two.example }}
    use_backend two if {{ req.ssl_alpn acme-tls/1 }}
    use_backend other if !{{ req.ssl_hello_type 1 }}
    default_backend one
backend one
    mode tcp
    server s 127.0.0.1:{one}
backend two
    mode tcp
    server s 127.0.0.1:{two}
backend other
    mode tcp
    server s <server:other>
listen greeting
    mode tcp
    bind <listen:greeting>
    server s <server:greeting>
"""


@pytest.fixture(scope="module")
def flow(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder: Path = tmp_path_factory.mktemp("passthrough")
    authority = trustme.CA()
    for name in ("one", "two"):
        authority.issue_cert(f"{name}.example").private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    servers = {name: Server(folder / f"{name}.pem") for name in ("one", "two")}
    text = defaults() + _TEXT.format(one=servers["one"].port, two=servers["two"].port)
    with Flow(folder, (program, text)) as started:
        yield started
    for server in servers.values():
        server.close()


def reached(flow: Flow, name: str | None, *, protocols: list[str] | None = None, pieces: int = 0) -> str:
    """The name in the certificate of the server behind. pieces: bytes of the hello that are sent at a time, 0 = all at once."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with socket.create_connection(flow.places.address("sorted"), 10) as plain:  # type: ignore[arg-type]
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                client.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            data = outgoing.read()
            for start in range(0, len(data), pieces or max(len(data), 1)):
                plain.sendall(data[start : start + (pieces or len(data))])
            if done:
                break
            received = plain.recv(65536)
            if not received:
                raise ConnectionError("closed")
            incoming.write(received)
        found = client.getpeercert(True)
    assert found
    for one in ("one", "two"):
        if f"{one}.example".encode() in found:
            return one
    raise AssertionError(found)


@pytest.mark.parametrize("pieces", [0, 1, 100])
@pytest.mark.parametrize(
    ("name", "protocols", "server"),
    [
        ("one.example", None, "one"),
        ("ONE.example", None, "one"),
        ("x.two.example", None, "two"),
        ("nobody.example", None, "one"),
        (None, None, "one"),
        ("nobody.example", ["acme-tls/1"], "two"),
        ("nobody.example", ["h2", "http/1.1"], "one"),
    ],
)
def test_hello_is_routed_untouched(flow: Flow, name: str | None, protocols: list[str] | None, server: str, pieces: int) -> None:
    assert reached(flow, name, protocols=protocols, pieces=pieces) == server


def test_name_may_be_refused(flow: Flow) -> None:
    with pytest.raises(ConnectionError):
        reached(flow, "refused.example")


def test_what_is_no_tls_goes_elsewhere(flow: Flow) -> None:
    client = flow.connect("sorted")
    client.send(b"SSH-2.0-x\r\n")
    server = flow.server("other").accept()
    assert server.receive_until(b"\r\n") == b"SSH-2.0-x\r\n"
    client.close()
    server.close()


def test_server_that_speaks_first_is_heard_at_once(flow: Flow) -> None:
    client = flow.connect("greeting")
    server = flow.server("greeting").accept()
    server.send(b"220 hello\r\n")
    assert client.receive_until(b"\r\n") == b"220 hello\r\n"
    client.close()
    server.close()
