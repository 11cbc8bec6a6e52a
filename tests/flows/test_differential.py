"""Usher beside HAProxy: both run the same file, hear the same bytes, and must leave the same traces.

A case is a `listen` section, a request and a server's answer. Its outcome is what the client received, what the server
received and the log line, with what may differ taken out: ports, times, the case and order of field names. Where Usher
deliberately does otherwise the case says why, and then it must differ.

Without Usher among the programs HAProxy runs beside itself, which shows that nothing else varies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import need
from tests.flows import certificates
from tests.flows.answering import AnsweringServer
from tests.flows.blocks import block
from tests.flows.differential_cases import CASES, NONE, Case
from tests.flows.harness import Flow, defaults
from tests.flows.messages import parse_head, wire
from tests.flows.programs import BY_NAME, HAPROXY, PROGRAMS, Program
from tests.flows.rule_cases import RULE_CASES

OTHER = BY_NAME["usher" if "usher" in PROGRAMS else "haproxy"]


@dataclass(frozen=True, slots=True)
class Outcome:
    client: tuple[object, ...]
    server: tuple[object, ...]
    log: str


def configuration() -> str:
    users = block("users", "userlist people\n    group staff users user\n    user user insecure-password pass")
    other = block("other", "backend other\n    server s 127.0.0.1:1\nbackend a.example\n    server s 127.0.0.1:1")
    sections = "".join(case.section() for case in [*CASES, *RULE_CASES, Case("log_of_a_long_target")])
    return defaults(global_lines="expose-experimental-directives") + users + other + sections


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Flow, Flow]]:
    """HAProxy and the other program, each with its own places."""
    need("haproxy")
    with ExitStack() as stack:
        yield tuple(stack.enter_context(start(program, tmp_path_factory.mktemp(program.name))) for program in (HAPROXY, OTHER))  # type: ignore[misc]


def start(program: Program, folder: Path) -> Flow:
    certificates.put_into(folder)
    (folder / "page").write_bytes(b"HTTP/1.1 503 Our Own\r\nContent-Length: 4\r\nContent-Type: text/plain\r\n\r\nours")
    (folder / "map").write_text("a.example  first\nb.example  second\n")
    (folder / "backends").write_text("/path a.example\n/ nobody\n")
    (folder / "list").write_text("# names\na.example\nb.example\n")
    return Flow(folder, (program, configuration()))


@pytest.mark.parametrize("case", [*CASES, *RULE_CASES], ids=str)
def test_both_programs_leave_the_same_traces(both: tuple[Flow, Flow], case: Case) -> None:
    for flow in both:
        if case.name in flow.refused:
            pytest.fail(f"{flow.instance.program.name} does not read the section: {flow.refused[case.name]}", pytrace=False)
    ours, theirs = (run(flow, case) for flow in (both[1], both[0]))
    if case.unlike_haproxy and OTHER is not HAPROXY:
        assert ours != theirs, f"no difference any more: {case.unlike_haproxy}"
        return
    assert ours.client == theirs.client
    assert ours.server == theirs.server
    assert ours.log == theirs.log


def test_long_log_lines_are_cut_at_the_same_length(both: tuple[Flow, Flow]) -> None:
    """The lines themselves differ: the name of the program and its pid take room in them."""
    request = "GET /" + "x" * 2000 + " HTTP/1.1|Host: a|Connection: close||"
    case = Case("log_of_a_long_target", request=request)
    lengths = []
    for flow in both:
        server = AnsweringServer(flow.server(f"{case.name}.server"), prepared=wire(case.response))
        client = flow.connect(f"{case.name}.client")
        client.send(wire(request))
        client.receive_to_end()
        lengths.append(len(flow.log.expect("GET /x{100}").raw))
        client.close()
        server.stop()
    assert lengths[0] == lengths[1]


def run(flow: Flow, case: Case) -> Outcome:
    server = AnsweringServer(flow.server(f"{case.name}.server"), prepared=wire(case.response))
    try:
        received = converse(flow, case)
        log = "" if case.log == NONE else flow.log.expect(case.log or f"{case.name}[ ~/]").text
        return Outcome(normal(received, exact=case.exact), tuple(normal(request) for request in server.requests), normal_log(log))
    finally:
        server.stop()


def converse(flow: Flow, case: Case) -> bytes:
    """All that the client hears: nothing, if it is reset so early that connect() itself is told."""
    try:
        client = flow.connect(f"{case.name}.client")
    except ConnectionResetError:
        return b""
    client.send(wire(case.request))
    received = client.receive_to_end()
    client.close()
    return received


def normal(data: bytes, *, exact: bool = False) -> tuple[object, ...]:
    """A message for comparison: first line, fields, body. exact: the fields in their order, else sorted by name."""
    if b"\r\n\r\n" not in data:
        return (data,)
    head, _, body = data.partition(b"\r\n\r\n")
    start, fields = parse_head(head)
    # Python's sort is stable: several fields of one name keep their order.
    return start, fields if exact else tuple(sorted(fields, key=lambda pair: pair[0])), body


def normal_log(line: str) -> str:
    """A log line without what time and chance decide: the client's port, the date, and each timer that was reached.

    Nor does the number of bytes sent compare: the manual says bytes to the client, headers included, which is what Usher
    counts; HAProxy 2.6 counts them in its internal form of the message.
    """
    line = re.sub(r"(127\.0\.0\.1):\d+", r"\1:PORT", line)
    line = re.sub(r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d[^]]*\]", "[DATE]", line)
    line = re.sub(r'(\[DATE\] ".*" \d+) \d+ "" "" \d+ \d+( .*) \d+ \d+ \d+ \d+ \d+ (?=\S{4} )', r"\1 BYTES PORT MS\2 TIMERS ", line)
    match = re.fullmatch(r"(\S+ \[DATE\] \S+ \S+ )(\S+)( \d{3})? (\+?)\d+( .*)", line)
    if not match:
        return line
    timers = re.sub(r"(?<![-\d])\d+", "N", match[2])
    # The first of the counts is of the whole process: the case before may not have gone yet.
    rest = re.sub(r"( \S{2,4}) \d+(/\d+/\d+/\d+/)", r"\1 A\2", match[5], count=1)
    return f"{match[1]}{timers}{match[3] or ''} {match[4]}BYTES{rest}"
