"""Our answers beside those of a real HAProxy, byte for byte."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.http.answers import BUILT_IN, CLOSING, returned, unauthorized
from worker.http.head import Limits, parse_request
from worker.http.redirect import CODES, Redirect

pytestmark = pytest.mark.interop("haproxy")

WITHOUT_PAGE_THERE = {414, 431, 505}
DENIED = sorted(set(BUILT_IN) - WITHOUT_PAGE_THERE)
RETURNED = (200, 201, 204, 206, 299, 301, 304, 400, 404, 413, 418, 429, 502, 505, 511, 599)
REDIRECTS = {
    "location /x": (Redirect("location"), b"/x"),
    "prefix http://h drop-query append-slash set-cookie A=1": (
        Redirect("prefix", drop_query=True, append_slash=True, set_cookie=b"A=1"),
        b"http://h",
    ),
    "prefix http://h append-slash": (Redirect("prefix", append_slash=True), b"http://h"),
    "prefix / clear-cookie A=": (Redirect("prefix", clear_cookie=b"A="), b"/"),
    "scheme https": (Redirect("scheme"), b"https"),
    **{f"code {code} location /y": (Redirect("location", code), b"/y") for code in CODES},
}


def configuration(path: Path) -> str:
    lines = ["defaults", " mode http", " timeout client 5s", " timeout server 5s", " timeout connect 5s"]
    lines += ["frontend f", f" bind unix@{path}"]
    lines += [f" http-request deny deny_status {status} if {{ path /deny{status} }}" for status in DENIED]
    lines += [f" http-request return status {status} if {{ path /return{status} }}" for status in RETURNED]
    lines += [f" http-request redirect {words} if {{ path /redirect{index} }}" for index, words in enumerate(REDIRECTS)]
    lines += [" http-request return status 200 content-type text/plain string hello hdr X-A b if { path /string }"]
    lines += [" http-request auth realm Here if { path /auth }"]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def haproxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("haproxy")
    path, file = folder / "socket", folder / "haproxy.cfg"
    file.write_text(configuration(path))
    program = subprocess.Popen(["haproxy", "-db", "-f", str(file)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not path.exists() and program.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        assert program.poll() is None and path.exists()
        yield path
    finally:
        program.terminate()
        program.wait(10)


def ask(path: Path, target: bytes, version: bytes = b"1.1", fields: bytes = b"", method: bytes = b"GET") -> bytes:
    """What a client gets that half-closes after its request."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(method + b" " + target + b" HTTP/" + version + b"\r\nHost: a.example\r\n" + fields + b"\r\n")
        answer = b""
        while not complete(answer, method) and (data := client.recv(65536)):
            answer += data
    return answer


def complete(answer: bytes, method: bytes) -> bool:
    head, found, body = answer.partition(b"\r\n\r\n")
    length = next((int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"content-length: ")), 0)
    return bool(found) and (method == b"HEAD" or len(body) >= length)


@pytest.mark.parametrize("status", DENIED)
def test_built_in_answers_are_haproxys(haproxy: Path, status: int) -> None:
    target = b"/deny%d" % status
    keep = status not in CLOSING
    assert BUILT_IN[status].render(keep=keep) == ask(haproxy, target)
    assert BUILT_IN[status].render(keep=False) == ask(haproxy, target, fields=b"Connection: close\r\n")
    assert BUILT_IN[status].render(10, keep=False) == ask(haproxy, target, b"1.0")
    assert BUILT_IN[status].render(keep=keep, head_only=True) == ask(haproxy, target, method=b"HEAD")
    if keep:
        assert BUILT_IN[status].render(10) == ask(haproxy, target, b"1.0", b"Connection: keep-alive\r\n")


@pytest.mark.parametrize("status", RETURNED)
def test_returned_answers_are_haproxys(haproxy: Path, status: int) -> None:
    assert returned(status).render() == ask(haproxy, b"/return%d" % status)


def test_returned_payload_and_authentication_are_haproxys(haproxy: Path) -> None:
    assert returned(200, b"hello", b"text/plain", [(b"x-a", b"b")]).render() == ask(haproxy, b"/string")
    assert unauthorized(b"Here").render() == ask(haproxy, b"/auth")


@pytest.mark.parametrize("words", REDIRECTS)
@pytest.mark.parametrize("query", [b"", b"?q=1"])
def test_redirects_are_haproxys(haproxy: Path, words: str, query: bytes) -> None:
    target = b"/redirect%d" % list(REDIRECTS).index(words) + query
    found = parse_request(b"GET " + target + b" HTTP/1.1\r\nHost: a.example\r\n\r\n", 0, Limits())
    assert found is not None
    rule, text = REDIRECTS[words]
    answer = rule.answer(text, found[0])
    assert answer is not None and answer.render() == ask(haproxy, target)
