"""The rule language beside HAProxy: hundreds of expressions, conditions and rules in one file, asked about many requests.

Each probe writes what it finds into a header field of its own; the server sees what both programs make of the same request.
What HAProxy 2.6 does not read is not compared here: tests/common has tables of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.conftest import need
from tests.flows.answering import AnsweringServer
from tests.flows.blocks import block
from tests.flows.harness import Flow
from tests.flows.language_cases import REQUESTS, UNLIKE, Probe, probes, unlike
from tests.flows.messages import parse_head, wire
from tests.flows.programs import BY_NAME, HAPROXY, PROGRAMS, Program

_CHUNK = 300
_HEAD = """
global
    maxconn 1000
    tune.bufsize 1048576
    tune.maxrewrite 524288
    tune.http.maxhdr 8000
    log <log> local0
    set-var proc.p str(process)
userlist people
    group staff users user
    user user insecure-password pass
defaults
    mode http
    timeout connect 1s
    timeout client 8s
    timeout server 7s
    timeout tunnel 9s
"""
_JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE"
    "2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)
_FRONTEND = """
frontend web
    bind <listen:web> name socket
    unique-id-format %{+X}o%[int(77)]
    capture request header Host len 20
    declare capture request len 6
    acl is_get method GET
    acl is_post method POST
    acl is_any method GET
    acl is_any method POST
    tcp-request session set-var(sess.s) str(session)
    http-request wait-for-body time 1s
    http-request set-var(txn.a) str(value)
    http-request set-var(txn.empty) str()
    http-request set-var(txn.num) int(6)
    http-request set-var(txn.one) int(1)
    http-request set-var(txn.zero) int(0)
    http-request set-var(txn.ip) ipv4(10.9.8.7)
    http-request set-var(txn.bool) bool(true)
    http-request set-var(txn.bin) bin(414243)
    http-request set-var(txn.meth) method
    http-request set-var(txn.key) str(a2V5)
    http-request set-var(txn.alg) str(HS256)
    http-request set-var(req.r) str(request)
    http-request set-var-fmt(txn.json) '{"i":12,"f":1.50,"t":true,"n":null,"s":"a\\"b","o":{"k":"v"},"arr":[1,"x"]}'
    http-request set-var(txn.jwt) str(<jwt>)
"""
_BACKEND = """
backend app
    balance roundrobin
    server s1 <server:app> weight 10
    server s2 <server:app> weight 20
"""


Answers = dict[str, dict[str, tuple[str, ...]]]
"""Request -> probe -> the values of its field."""

OTHER = BY_NAME["usher" if "usher" in PROGRAMS else "haproxy"]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answers, Answers]:
    """What the other program and HAProxy make of all requests."""
    need("haproxy")
    return tuple(_answers(program, tmp_path_factory.mktemp(program.name)) for program in (OTHER, HAPROXY))  # type: ignore[return-value]


def _answers(program: Program, folder: Path) -> Answers:
    files(folder)
    os.environ["LANGUAGE_TEST"] = "from env"
    with Flow(folder, (program, configuration())) as flow:
        assert not flow.refused, flow.refused
        return ask(flow)


@pytest.mark.parametrize("request_name", REQUESTS)
def test_every_expression_condition_and_rule_finds_what_haproxy_finds(answers: tuple[Answers, Answers], request_name: str) -> None:
    ours, theirs = (answer[request_name] for answer in answers)
    texts = {probe.name: probe.text for probe in probes()}
    assert {name: value for name, value in ours.items() if name not in texts} == {n: v for n, v in theirs.items() if n not in texts}
    wrong = [
        f"{text}: HAProxy {theirs.get(name)}, ours {ours.get(name)}"
        for name, text in texts.items()
        if ours.get(name) != theirs.get(name) and not unlike(text, request_name)
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_known_to_differ_does(answers: tuple[Answers, Answers]) -> None:
    if OTHER is HAPROXY:
        pytest.skip("HAProxy beside itself")
    ours, theirs = answers
    differs = {
        unlike(probe.text, request)
        for request in REQUESTS
        for probe in probes()
        if ours[request].get(probe.name) != theirs[request].get(probe.name)
    }
    stale = [known for known in UNLIKE if known not in differs and "thread" not in known.probes]
    assert not stale


def configuration() -> str:
    """A frontend for each few hundred probes: HAProxy cannot read thousands of them in one."""
    text = _HEAD
    for number, some in enumerate(_chunks()):
        frontend = (
            _FRONTEND.replace("<jwt>", _JWT)
            .replace("frontend web", f"frontend web{number}")
            .replace("<listen:web>", f"<listen:web{number}>")
        )
        text += block(f"frontend-{number}", frontend)
        text += "".join(block(probe.name, "    " + "\n    ".join(probe.lines)) for probe in some)
        text += block(f"end-{number}", "    default_backend app")
    return text + block("backend", _BACKEND)


def _chunks() -> list[list[Probe]]:
    every = probes()
    return [every[start : start + _CHUNK] for start in range(0, len(every), _CHUNK)]


def files(folder: Path) -> None:
    contents = {
        "map": "# hosts\na.example  first\nHello World two words\n/path/to/file.html page\nGET got\n/path beginning\n"
        "b.example:81 second one \nabc the-abc\n/abs/path\n",
        "regmap": "^/p(.*)h.*$ path=\\1\n^[aA]\\. host\n^(.)(.*)$ \\2\\1\n",
        "ipmap": "10.0.0.0/8 ten\n10.1.0.0/16 ten-one\n127.0.0.1 local\n2001:db8::/32 doc\n192.0.2.1 test\n::/0 six\n",
        "intmap": "42 answer\n0 zero\n7:9 some\n",
        "strint": "a.example 5\nHello 6\nb.example:81 -3\n/path 8\n",
        "strip": "a.example 10.0.0.1\nc 2001:db8::9\n",
        "regint": "^a 1\n^/ 2\n",
        "ipint": "10.0.0.0/8 10\n127.0.0.0/8 127\n",
        "intint": "42 24\n10:20 7\n",
        "ipip": "10.0.0.0/8 192.168.0.1\n2001:db8::/32 2001:db8::1\n",
        "list": "# names\na.example\n\n  b.example:81\nHello World\n/old\n.example\n",
        "list2": "F.example\nexample:8080\n",
        "regs": "^/p.*l$\n^/o\n",
        "ips": "10.0.0.0/8\n2001:db8::/48\n::ffff:192.0.2.1\n",
        "paths": "/path\n/old\n/\n",
        "dynamic": "",
        "dynacl": "",
    }
    for name, text in contents.items():
        (folder / name).write_text(text)


def ask(flow: Flow) -> Answers:
    server = AnsweringServer(flow.server("app"), prepared=b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    try:
        return {
            name: {
                probe: values for number in range(len(_chunks())) for probe, values in _ask_one(flow, server, f"web{number}", text).items()
            }
            for name, text in REQUESTS.items()
        }
    finally:
        server.stop()


def _ask_one(flow: Flow, server: AnsweringServer, frontend: str, request: str) -> dict[str, tuple[str, ...]]:
    client = flow.connect(frontend)
    client.send(wire(request))
    received = client.receive_until(b"\r\n\r\n")
    client.close()
    found: dict[str, tuple[str, ...]] = {f"{frontend} status": (received.partition(b"\r\n")[0].decode(),)}
    if received.startswith(b"HTTP/1.1 200"):
        _, fields = parse_head(server.requests[-1].partition(b"\r\n\r\n")[0])
        for field, value in fields:
            if re.fullmatch(r"x-p\d+", field):
                name = field.upper()
                found[name] = (*found.get(name, ()), value)
    return found
