"""Real clients and a real server: curl, wrk and Python's http.client in front, Debian's nginx behind, plain and TLS."""

from __future__ import annotations

import hashlib
import http.client
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import need
from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.nginx import Nginx

_SECTIONS = """
listen plain
    bind <listen:plain>
    option forwardfor
    server nginx <refused:nginx>
listen tls
    bind <listen:tls> ssl crt <file:localhost.pem>
    option forwardfor
    server nginx <refused:nginx>
listen load
    no log
    bind <listen:load-plain>
    bind <listen:load-tls> ssl crt <file:localhost.pem>
    server nginx <refused:nginx>
listen reusing
    no log
    bind <listen:reusing>
    http-reuse always
    server nginx <refused:short>
"""


def configuration(program: str) -> str:
    return defaults() + _SECTIONS


@pytest.fixture(scope="module")
def nginx(module_flow: Flow) -> Iterator[Nginx]:
    need("nginx-light")
    server = Nginx(module_flow.folder, module_flow.places.refused_port("nginx"))
    yield server
    server.stop()


def curl(flow: Flow, listen: str, path: str, *arguments: str, data: bytes | None = None) -> bytes:
    need("curl")
    scheme = "https" if listen == "tls" else "http"
    command = ["curl", "-sS", "--max-time", "20", "--cacert", str(flow.folder / "ca.pem"), *arguments]
    done = subprocess.run([*command, f"{scheme}://localhost:{flow.port(listen)}{path}"], input=data, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


both = pytest.mark.parametrize("listen", ["plain", "tls"])


@both
def test_curl_gets_the_page_and_the_server_the_right_client(module_flow: Flow, nginx: Nginx, listen: str) -> None:
    assert curl(module_flow, listen, "/hello") == b"hello\n"
    assert curl(module_flow, listen, "/who") == b"127.0.0.1\n"
    module_flow.log.expect(
        rf"^127\.0\.0\.1:\d+ \[\d+/\w+/\d+:\d+:\d+:\d+\.\d+\] {listen}~? {listen}/nginx \d+/\d+/\d+/\d+/\d+ 200 \d+ - - ---- "
        r'\d+/\d+/\d+/\d+/0 0/0 "GET /hello HTTP/1\.1"$'
    )


@both
@pytest.mark.parametrize("size", ["64k", "1m"])
def test_curl_downloads_unchanged(module_flow: Flow, nginx: Nginx, listen: str, size: str) -> None:
    assert hashlib.sha256(curl(module_flow, listen, f"/{size}")).digest() == hashlib.sha256(nginx.file(size)).digest()


@both
@pytest.mark.parametrize(
    "arguments",
    [["--data-binary", "@-"], ["--data-binary", "@-", "-H", "Expect: 100-continue"], ["--data-binary", "@-", "--http1.0"]],
    ids=["length", "expect", "http10"],
)
def test_curl_uploads(module_flow: Flow, nginx: Nginx, listen: str, arguments: list[str]) -> None:
    body = b"x" * 300_000
    assert curl(module_flow, listen, "/length", *arguments, data=body) == b"300000 POST\n"


@both
def test_curl_asks_for_a_head_and_for_several_pages_on_one_connection(module_flow: Flow, nginx: Nginx, listen: str) -> None:
    assert b"content-length: 6" in curl(module_flow, listen, "/hello", "-I").lower()
    scheme = "https" if listen == "tls" else "http"
    more = [f"{scheme}://localhost:{module_flow.port(listen)}/hello"] * 3
    connects = curl(module_flow, listen, "/hello", *more, "-w", "%{num_connects}\n")
    assert connects.split() == [b"hello", b"1", *[b"hello", b"0"] * 3]


@both
@pytest.mark.interop("wrk")
def test_wrk_sees_no_error(module_flow: Flow, nginx: Nginx, listen: str) -> None:
    scheme = "https" if listen == "tls" else "http"
    url = f"{scheme}://127.0.0.1:{module_flow.port(f'load-{listen}')}/hello"
    said = subprocess.run(["wrk", "-t1", "-c32", "-d1", url], capture_output=True, text=True, timeout=30).stdout
    assert not re.findall(r"Socket errors.*|Non-2xx.*", said), said
    requests = re.search(r"(\d+) requests in", said)
    assert requests and int(requests[1]) > 100, said


@pytest.mark.interop("wrk", "nginx-light")
def test_server_that_closes_every_tenth_request_is_no_error_for_clients(module_flow: Flow) -> None:
    server = Nginx(module_flow.folder / "short", module_flow.places.refused_port("short"), keepalive_requests=10)
    try:
        url = f"http://127.0.0.1:{module_flow.port('reusing')}/hello"
        said = subprocess.run(["wrk", "-t1", "-c8", "-d1", url], capture_output=True, text=True, timeout=30).stdout
        assert not re.findall(r"Socket errors.*|Non-2xx.*", said), said
    finally:
        server.stop()


@both
def test_http_client_of_python_keeps_its_connection(module_flow: Flow, nginx: Nginx, listen: str) -> None:
    port = module_flow.port(listen)
    if listen == "tls":
        context = certificates.client_context(module_flow.folder)
        client: http.client.HTTPConnection = http.client.HTTPSConnection("localhost", port, timeout=10, context=context)
    else:
        client = http.client.HTTPConnection("localhost", port, timeout=10)
    connected = None
    for path, status, body in [("/hello", 200, b"hello\n"), ("/none", 204, b""), ("/missing", 404, None), ("/64k", 200, nginx.file("64k"))]:
        client.request("GET", path)
        answer = client.getresponse()
        got = answer.read()
        assert answer.status == status
        assert body is None or got == body
        assert connected in (None, client.sock)
        connected = client.sock
    client.request("POST", "/length", body=iter([b"a" * 1000, b"b" * 1000]), encode_chunked=True, headers={"Transfer-Encoding": "chunked"})
    assert client.getresponse().read() == b"2000 POST\n"
    client.close()
