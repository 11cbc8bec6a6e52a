"""`usher explain` beside the running program: the same file, the same requests, the same backend, head and answer."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.answering import AnsweringServer
from tests.flows.harness import Flow
from tests.flows.programs import PROGRAMS, USHER, source_root
from tests.worker.test_explain import SEED, TEXT, configuration, requests
from worker.explain import Explainer

REQUESTS = 300

pytestmark = pytest.mark.skipif("usher" not in PROGRAMS, reason="a command of Usher")


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    folder = tmp_path_factory.mktemp("explain")
    (folder / "map").write_text("/map/s static\n/map/o other\n")
    text = TEXT.replace("MAP", "<file:map>").replace("127.0.0.1:8080", "<listen:web>")
    text = re.sub(r"server (\w+) 127.0.0.1:\d", r"server \1 <server:\1>", text)
    with Flow(folder, (USHER, text)) as flow:
        yield flow


def test_the_program_does_what_was_explained(flow: Flow) -> None:
    names = ("s1", "a1", "a2", "a3", "o1")
    servers = {name: AnsweringServer(flow.server(name), prepared=b"HTTP/1.1 204 No Content\r\n\r\n") for name in names}
    config = configuration((flow.folder / "usher-0.cfg").read_text())
    chance = random.Random(SEED)
    served = 0
    try:
        with Explainer(config) as explainer:
            for request, source in requests(chance):
                if source != "127.0.0.1":
                    continue  # the program sees where we come from
                client = flow.connect("web")
                told = explainer.explain(
                    request, frontend="web", source=client.socket.getsockname(), destination=client.socket.getpeername()
                )
                client.send(request)
                client.half_close()
                received = client.receive_to_end()
                client.close()
                if told.verdict == "served":
                    got = servers[told.server].requests.pop()
                    assert got.startswith(told.forwarded), request
                else:
                    assert received == told.answer, request
                assert not any(server.requests for server in servers.values()), (request, told.verdict)
                served += 1
                if served == REQUESTS:
                    return
    finally:
        for server in servers.values():
            server.stop()


def command(flow: Flow, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "common.control.command", "explain", "-f", str(flow.folder / "usher-0.cfg"), *words],
        capture_output=True, text=True, cwd=source_root(), env=os.environ, input=given, timeout=30,
    )  # fmt: skip


def test_the_command_tells_it_as_text(flow: Flow) -> None:
    done = command(flow, f"http://a.example:{flow.port('web')}/static/x", "-H", "Host: a.example")
    assert done.returncode == 0, done.stderr
    assert re.search(r"(?m)^\+ \S+:\d+: web: use_backend static if is_static host_a$", done.stdout)
    assert 'is_static: path_beg /static /img: yes, "/static/x" matches as "/static"' in done.stdout
    assert re.search(r"(?m)^backend     static, by the rule at \S+:\d+$", done.stdout)
    assert "    + X-Src: 127.0.0.1" in done.stdout


def test_the_command_tells_it_as_json_for_a_line_of_curl(flow: Flow) -> None:
    done = command(flow, "--json", "--src", "10.9.9.9:77", "curl", "-s", "-X", "POST", "-d", "a=b", "http://c.test/x")
    told = json.loads(done.stdout)
    assert (told["verdict"], told["backend"], told["request"]) == ("served", "app", "POST /x HTTP/1.1")
    assert "X-Len: 3" in told["forwarded"]
    assert told["timeouts_s"]["client"] == 3


def test_the_command_reads_a_request_from_a_file(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "request").write_text("GET /deny/1 HTTP/1.1\nHost: c.test\n\n")
    for words, given in ((("--request", str(tmp_path / "request")), ""), (("--request", "-"), "GET /deny/1 HTTP/1.1\r\nHost: c\r\n\r\n")):
        done = command(flow, *words, given=given)
        assert done.returncode == 0 and "HTTP/1.1 429 Too Many Requests" in done.stdout


@pytest.mark.parametrize(
    "words, code, complaint",
    [
        ((), 1, "there is no request"),
        (("--frontend", "nobody", "http://a/"), 1, 'no frontend "nobody"'),
        (("--request", "/does/not/exist"), 1, "No such file"),
        (("--src", "nonsense", "http://a/"), 1, "nonsense"),
    ],
)
def test_mistakes_are_told(flow: Flow, words: tuple[str, ...], code: int, complaint: str) -> None:
    done = command(flow, *words)
    assert done.returncode == code and complaint in done.stderr, done
    assert "Traceback" not in done.stderr


def test_a_configuration_at_fault_is_told_as_the_check_tells_it(flow: Flow, tmp_path: Path) -> None:
    (tmp_path / "usher.cfg").write_text("frontend web\n    bind :1\n    http-request nonsense\n")
    done = command(flow, "-f", str(tmp_path / "usher.cfg"), "http://a/")
    assert done.returncode == 1 and "nonsense" in done.stderr and "Traceback" not in done.stderr
