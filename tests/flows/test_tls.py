"""TLS on both sides: which certificate a name gets, both modes behind it, resumption, and what broken handshakes do."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import threading

import pytest

from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.peers import Peer, connect_tls
from tests.flows.scenarios import Scenario, sections

_GET = """
        client << GET /x HTTP/1.1|Host: a||
        server >> GET /x HTTP/1.1|Host: a{fields}||
        server << HTTP/1.1 200 OK|Content-Length: 2||ok
        client >> HTTP/1.1 200 OK|Content-Length: 2||ok
"""
_CRT = "ssl crt <file:localhost.pem>"

SCENARIOS = [
    Scenario("http_behind_tls", _GET.format(fields="") + "log >> /s [0-9/]+ 200", bind=_CRT, tls=True),
    Scenario(
        "frontend_name_in_the_log_has_a_tilde_for_tls",
        _GET.format(fields="") + "log >> ^[0-9.:]+ [^ ]+ frontend_name_in_the_log_has_a_tilde_for_tls~ [a-z_]+/s ",
        bind=_CRT,
        tls=True,
    ),
    Scenario(
        "ssl_fc_is_true_behind_tls",
        _GET.format(fields="|X-Proto: https|X-Sni: localhost"),
        bind=_CRT,
        lines="http-request set-header X-Proto https if { ssl_fc }\n    http-request set-header X-Sni %[ssl_fc_sni]",
        tls=True,
    ),
    Scenario(
        "keep_alive_behind_tls",
        _GET.format(fields="") * 2,
        bind=_CRT,
        tls=True,
    ),
    Scenario(
        "request_byte_by_byte_behind_tls",
        _GET.format(fields="").replace("client << ", "client <<1 "),
        bind=_CRT,
        tls=True,
    ),
    Scenario("server_behind_tls_unverified", _GET.format(fields=""), servers="server s <server:server> ssl verify none", server_tls=True),
    Scenario(
        "server_behind_tls_verified",
        _GET.format(fields=""),
        servers="server s <server:server> ssl verify required ca-file <file:ca.pem> verifyhost localhost",
        server_tls=True,
    ),
    Scenario(
        "tls_on_both_sides",
        _GET.format(fields=""),
        bind=_CRT,
        tls=True,
        servers="server s <server:server> ssl verify none",
        server_tls=True,
    ),
    Scenario(
        "mode_tcp_behind_tls",
        """
        client << hello \\x00\\xff
        server >> bytes hello \\x00\\xff
        server << world
        client >> bytes world
        server << close
        client >> eof
        """,
        bind=_CRT,
        lines="mode tcp\n    option tcplog",
        tls=True,
    ),
    Scenario(
        "mode_tcp_with_tls_to_the_server",
        """
        client << hello
        server >> bytes hello
        server << world
        client >> bytes world
        client << close
        server >> end
        """,
        lines="mode tcp\n    option tcplog",
        servers="server s <server:server> ssl verify none",
        server_tls=True,
    ),
    Scenario(
        "upgrade_behind_tls",
        """
        client << GET /chat HTTP/1.1|Host: a|Connection: Upgrade|Upgrade: echo||
        server >> GET /chat HTTP/1.1|Host: a|Connection: ~(?i)upgrade|Upgrade: echo||
        server << HTTP/1.1 101 Switching Protocols|Connection: Upgrade|Upgrade: echo||
        client >> HTTP/1.1 101 Switching Protocols|Connection: ~(?i)upgrade|Upgrade: echo||
        client << ping
        server >> bytes ping
        server << pong
        client >> bytes pong
        """,
        bind=_CRT,
        tls=True,
    ),
]

_CHOICES = """
listen files
    bind <listen:files> ssl crt <file:localhost.pem> crt <file:a.pem> crt <file:b.pem> crt <file:wild.pem>
    http-request deny
listen folder
    bind <listen:folder> ssl crt <file:names>
    http-request deny
listen file_and_folder
    bind <listen:file_and_folder> ssl crt <file:localhost.pem> crt <file:names>
    http-request deny
listen strict
    bind <listen:strict> ssl crt <file:names> strict-sni
    http-request deny
listen rsa
    bind <listen:rsa> ssl crt <file:rsa.pem>
    http-request deny
listen only12
    bind <listen:only12> ssl crt <file:localhost.pem> ssl-max-ver TLSv1.2
    http-request deny
listen only13
    bind <listen:only13> ssl crt <file:localhost.pem> ssl-min-ver TLSv1.3
    http-request deny
listen alpn
    bind <listen:alpn> ssl crt <file:localhost.pem> alpn http/1.1
    http-request deny
listen broken
    no option dontlognull
    bind <listen:broken> name front ssl crt <file:localhost.pem>
    server s <server:broken>
listen volume
    bind <listen:volume> ssl crt <file:localhost.pem>
    server s <server:volume>
"""


def configuration(program: str) -> str:
    return defaults() + sections(SCENARIOS, program) + _CHOICES


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_story(module_flow: Flow, scenario: Scenario) -> None:
    scenario.play(module_flow)


def names_shown(flow: Flow, listen: str, server_name: str | None) -> set[str]:
    peer = flow.connect_tls(listen, certificates.client_context(flow.folder), server_name=server_name)
    assert isinstance(peer.socket, ssl.SSLSocket)
    certificate = peer.socket.getpeercert()
    peer.close()
    assert certificate
    return {str(pair[1]) for pair in certificate["subjectAltName"]}


@pytest.mark.parametrize(
    ("listen", "server_name", "expected"),
    [
        ("files", "a.example", "a.example"),
        ("files", "www.a.example", "a.example"),
        ("files", "A.Example", "a.example"),
        ("files", "b.example", "b.example"),
        ("files", "x.wild.example", "*.wild.example"),
        ("files", "wild.example", "localhost"),
        ("files", "x.y.wild.example", "localhost"),
        ("files", "unknown.example", "localhost"),
        ("files", None, "localhost"),
        ("folder", "a.example", "a.example"),
        ("folder", "b.example", "b.example"),
        ("folder", "unknown.example", "a.example"),
        ("file_and_folder", "b.example", "b.example"),
        ("file_and_folder", None, "localhost"),
        ("strict", "b.example", "b.example"),
        ("rsa", None, "rsa.example"),
    ],
)
def test_certificate_is_chosen_by_name(module_flow: Flow, listen: str, server_name: str | None, expected: str) -> None:
    assert expected in names_shown(module_flow, listen, server_name)


@pytest.mark.parametrize("server_name", ["unknown.example", None])
def test_strict_sni_refuses_other_names(module_flow: Flow, server_name: str | None) -> None:
    with pytest.raises(ssl.SSLError):
        names_shown(module_flow, "strict", server_name)


@pytest.mark.parametrize(
    ("listen", "version", "works"),
    [
        ("only12", ssl.TLSVersion.TLSv1_2, True),
        ("only12", ssl.TLSVersion.TLSv1_3, False),
        ("only13", ssl.TLSVersion.TLSv1_2, False),
        ("only13", ssl.TLSVersion.TLSv1_3, True),
        ("files", ssl.TLSVersion.TLSv1_2, True),
        ("files", ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_versions_that_a_bind_allows(module_flow: Flow, listen: str, version: ssl.TLSVersion, works: bool) -> None:
    context = certificates.client_context(module_flow.folder)
    context.minimum_version = context.maximum_version = version
    if works:
        module_flow.connect_tls(listen, context).close()
    else:
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            module_flow.connect_tls(listen, context)


def test_alpn_is_agreed(module_flow: Flow) -> None:
    context = certificates.client_context(module_flow.folder)
    context.set_alpn_protocols(["h2", "http/1.1"])
    peer = module_flow.connect_tls("alpn", context)
    assert isinstance(peer.socket, ssl.SSLSocket)
    assert peer.socket.selected_alpn_protocol() == "http/1.1"
    peer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_sessions_are_resumed_by_whichever_process_gets_them(module_flow: Flow, version: ssl.TLSVersion) -> None:
    context = certificates.client_context(module_flow.folder)
    context.minimum_version = context.maximum_version = version
    address = module_flow.places.address("files")
    session = None
    for number in range(8):
        plain = socket.create_connection(address, 5)  # type: ignore[arg-type]
        wrapped = context.wrap_socket(plain, server_hostname="localhost", session=session)
        wrapped.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        peer = Peer(wrapped)
        assert peer.receive_to_end().startswith(b"HTTP/1.1 403")
        assert wrapped.session_reused is (number > 0), number
        session = wrapped.session
        peer.close()


@pytest.mark.parametrize(
    "first_bytes",
    [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\xff\xff" + b"x" * 300, b"\x00" * 64],
    ids=["http", "short-hello", "long-record", "zeros"],
)
def test_broken_handshake_is_refused_and_logged(module_flow: Flow, first_bytes: bytes) -> None:
    client = module_flow.connect("broken")
    client.send(first_bytes)
    client.half_close()
    client.receive_to_end()
    client.close()
    module_flow.log.expect(r"^127\.0\.0\.1:[0-9]+ \[[^]]+\] broken/front: (SSL handshake failure|Connection closed during SSL handshake)")
    assert names_shown(module_flow, "files", "a.example")


def test_client_that_leaves_within_the_handshake_harms_nobody(module_flow: Flow) -> None:
    client = module_flow.connect("broken")
    client.send(b"\x16\x03\x01\x02\x00\x01")
    client.close()
    module_flow.log.expect(r"broken/front: (Connection closed during SSL handshake|SSL handshake failure)")
    assert names_shown(module_flow, "files", "a.example")


def test_megabytes_pass_unchanged_behind_tls(module_flow: Flow) -> None:
    body = bytes(range(256)) * (16 << 10)
    client = connect_tls(module_flow.places.address("volume"), certificates.client_context(module_flow.folder))
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    server = module_flow.server("volume").accept()
    server.receive_until(b"\r\n\r\n")
    pourer = threading.Thread(target=server.send, args=(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body,))
    pourer.start()
    client.receive_until(b"\r\n\r\n")
    assert hashlib.sha256(client.receive_exactly(len(body))).digest() == hashlib.sha256(body).digest()
    pourer.join(5)
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
    pourer = threading.Thread(target=client.send, args=(body,))
    pourer.start()
    server.receive_until(b"\r\n\r\n")
    assert hashlib.sha256(server.receive_exactly(len(body))).digest() == hashlib.sha256(body).digest()
    pourer.join(5)
    client.close()
    server.close()


@pytest.mark.interop("openssl")
def test_openssl_s_client_verifies_us_and_gets_an_answer(module_flow: Flow) -> None:
    port = module_flow.port("files")
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "b.example", "-verify_hostname", "b.example",
         "-CAfile", str(module_flow.folder / "ca.pem"), "-verify_return_error", "-ign_eof", "-quiet"],
        input=b"GET / HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n",
        capture_output=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"HTTP/1.1 403 Forbidden\r\n")
