"""Both corpora through the running program: every case of tests/corpus gives its verdict.

The corpora's own runners judge, as separate processes, each on a share of the cases with a listener and a port of its
own; so the waits of the cases run side by side. Then each case is a test. With HAProxy the verdict must be the one that
the corpus recorded for it: that shows that the run itself is right.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows import certificates
from tests.flows.harness import Flow, defaults
from tests.flows.programs import Program

CORPUS = Path(__file__).parents[1] / "corpus"
SHARES = 16

_SECTIONS = {
    "http-messages": """
listen http-messages-{share}
    bind <listen:http-messages-{share}>
    retries 0
    timeout http-request 1s
    timeout client 1s
    timeout server 1s
    server s <refused:http-messages-{share}>
""",
    "proxy-protocol": """
listen proxy-protocol-{share}
    bind <listen:proxy-protocol-{share}> accept-proxy
    retries 0
    timeout http-request 1s
    timeout client 1s
    option forwardfor
    http-request set-header X-Port %[src_port]
    server s <refused:proxy-protocol-{share}>
""",
}


def cases(corpus: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (CORPUS / f"{corpus}.jsonl").read_text().splitlines()]


def configuration() -> str:
    return defaults() + "".join(text.replace("{share}", str(share)) for text in _SECTIONS.values() for share in range(SHARES))


@pytest.fixture(scope="module")
def verdicts(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], dict[str, object]]]:
    """(corpus, case) -> what its runner reports."""
    folder = tmp_path_factory.mktemp(program.name)
    certificates.put_into(folder)
    found: dict[tuple[str, str], dict[str, object]] = {}
    with Flow(folder, (program, configuration())) as flow:
        for corpus in _SECTIONS:
            run(corpus, flow, found)
    yield found


def run(corpus: str, flow: Flow, found: dict[tuple[str, str], dict[str, object]]) -> None:
    runner = CORPUS / f"{corpus.replace('-', '_')}_run.py"
    lines = (CORPUS / f"{corpus}.jsonl").read_text().splitlines(keepends=True)
    running = []
    for share in range(SHARES):
        part = flow.places.path(f"{corpus}-{share}.jsonl")
        part.write_text("".join(lines[share::SHARES]))
        command = [sys.executable, str(runner), "--cases", str(part), "--out", f"{part}.out"]
        ports = ["--frontend", str(flow.port(f"{corpus}-{share}")), "--backend", str(flow.places.refused_port(f"{corpus}-{share}"))]
        running.append((f"{part}.out", subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)))
    for out, process in running:
        said, _ = process.communicate(timeout=90)
        assert process.returncode == 0, said
        for line in Path(out).read_text().splitlines():
            verdict = json.loads(line)
            found[corpus, verdict["name"]] = verdict


@pytest.mark.parametrize(
    ("corpus", "case"), [pytest.param(corpus, case, id=str(case["name"])) for corpus in _SECTIONS for case in cases(corpus)]
)
def test_case_gives_its_verdict(
    verdicts: dict[tuple[str, str], dict[str, object]], program: Program, corpus: str, case: dict[str, object]
) -> None:
    verdict = verdicts[corpus, str(case["name"])]
    if program.name == "haproxy":
        peers = case["peers"]
        assert isinstance(peers, dict)
        recorded = str(peers["haproxy-2.6.12"])
        if verdict["ok"] != recorded.startswith("ok"):
            pytest.skip(f"Debian's haproxy gives {verdict}, the corpus recorded {recorded!r}")
        return
    assert verdict["ok"], f"{case['reason']} ({case.get('source', '')}): {verdict}\n{str(case.get('raw', ''))[:600]!r}"
