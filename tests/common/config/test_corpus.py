"""Faulty files: the report is the expected one, word for word; and HAProxy refuses what we refuse.

Each NAME.cfg in corpus/ has its report in NAME.txt, as printed by `usher -c` with pid 1. To renew the reports after a deliberate
change, run this module as a program, and read the difference.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from common.config.build import load
from common.config.diagnostics import Severity, render
from common.config.options import LoadOptions

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(CORPUS.glob("*.cfg"))

# Where the verdicts may differ, and why.
DIFFERENT = {"traps": "option tcpsplice is a word of ours"}


def report(path: Path) -> tuple[str, bool]:
    """The report of one file, and whether it is refused."""
    result = load([(path.name, path.read_bytes())], {}, options=LoadOptions())
    lines = [render(found, 1) for found in result.diagnostics]
    return "\n".join([*lines, "valid" if result.config is not None else "refused", ""]), result.config is None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_report_is_word_for_word(path: Path) -> None:
    assert report(path)[0] == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_fault_says_where_and_what_to_do(path: Path) -> None:
    for found in load([(path.name, path.read_bytes())], {}, options=LoadOptions()).diagnostics:
        if found.severity is Severity.ALERT and found.slug != "message":
            assert found.place.line, found.message


@pytest.mark.interop("haproxy")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_verdict_is_haproxys(path: Path) -> None:
    status = subprocess.run(["haproxy", "-c", "-f", str(path)], capture_output=True, timeout=20).returncode
    refused = report(path)[1]
    assert refused is (status == 1) or path.stem in DIFFERENT


if __name__ == "__main__":
    for file in FILES:
        file.with_suffix(".txt").write_text(report(file)[0])
