"""The same input to Debian's haproxy and to our parser: same words, same results of conditions, same verdicts.

haproxy_lines.txt holds lines of a listen section with the verdict of haproxy 2.6: + accepted, - refused; " / " separates lines that
belong together. Where the two differ on purpose
is not in it but in docs/configuration.md.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from common.config.build import load
from common.config.conditions import evaluate_condition
from common.config.lexer import LexError, split_line
from common.config.options import LoadOptions
from tests.common.config import test_conditions, test_lexer

LINES = [line.split(" ", 1) for line in (Path(__file__).parent / "haproxy_lines.txt").read_text().splitlines()]
PREAMBLE = (
    "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n mode http\nlisten x\n bind :8081\n server s 1.1.1.1:80\n "
)
NEWER = ("strstr", "enabled", "fips_mode", "awslc", "feature(T", "3.5", "version_atleast(4", "3.0.1", "3.1.0", "feature(LINUX")


def haproxy(arguments: list[str], stdin: str | None = None, environment: dict[str, str] | None = None) -> tuple[int, str]:
    run = subprocess.run(
        ["haproxy", *arguments], input=stdin, env=environment, capture_output=True, text=True, errors="replace", timeout=30
    )
    return run.returncode, run.stderr


def file_of(line: str) -> str:
    return PREAMBLE + "\n ".join(line.split(" / ")) + "\n"


def test_verdicts_are_those_of_haproxy() -> None:
    different = []
    for verdict, line in LINES:
        result = load([("t.cfg", file_of(line).encode())], {}, options=LoadOptions())
        if (result.config is not None) is not (verdict == "+"):
            different.append((verdict, line))
    assert different == []


@pytest.mark.interop("haproxy")
def test_noted_verdicts_are_true(tmp_path: Path) -> None:
    """Every twelfth line each time: the whole file takes a minute."""
    different = []
    path = tmp_path / "t.cfg"
    for verdict, line in LINES[::12]:
        path.write_text(file_of(line))
        if (haproxy(["-c", "-f", str(path)])[0] != 1) is not (verdict == "+"):
            different.append((verdict, line))
    assert different == []


@pytest.mark.interop("haproxy")
def test_words_are_the_same(tmp_path: Path) -> None:
    lines = [
        line for line, words in test_lexer.CASES if len(words) == 1 and words[0].isprintable() and words[0].isascii() and "\r" not in line
    ]
    path = tmp_path / "words.cfg"
    path.write_text("".join(f".notice {line}\n" for line in lines))
    _, printed = haproxy(["-c", "-f", str(path)], environment={"PATH": "/usr/sbin:/usr/bin", **test_lexer.VARIABLES})
    theirs = {int(number): text for number, text in re.findall(r"words\.cfg:(\d+)\]: '(.*)'\.$", printed, re.MULTILINE)}
    ours = {}
    for number, line in enumerate(lines, 1):
        words = split_line(f".notice {line}", {"PATH": "/usr/sbin:/usr/bin", **test_lexer.VARIABLES}.get)
        ours[number] = words[1].text
    assert ours == theirs


@pytest.mark.interop("haproxy")
def test_faults_of_words_are_the_same(tmp_path: Path) -> None:
    lines = [line for line, _, _ in test_lexer.FAULTS]
    path = tmp_path / "faults.cfg"
    path.write_text("".join(f"{line}\n" for line in lines))
    _, printed = haproxy(["-c", "-f", str(path)], environment={"PATH": "/usr/sbin:/usr/bin", **test_lexer.VARIABLES})
    theirs = {int(number): text for number, text in re.findall(r"faults\.cfg:(\d+)\]: (.*):$", printed, re.MULTILINE)}
    ours = {}
    for number, line in enumerate(lines, 1):
        try:
            split_line(line, test_lexer.VARIABLES.get)
        except LexError as error:
            ours[number] = error.message
    assert ours == theirs


@pytest.mark.interop("haproxy")
def test_conditions_are_the_same() -> None:
    texts = [text for text, _ in test_conditions.CASES if not any(newer in text for newer in NEWER) and len(text) < 100]
    environment = {"PATH": "/usr/sbin:/usr/bin", **test_conditions.ENVIRONMENT}
    options = LoadOptions(version="2.6.12", ssl_library="OpenSSL 3.0.11 19 Sep 2023")
    different = [
        text
        for text in texts
        if haproxy(["-cc", text], environment=environment)[0] != evaluate_condition(text, test_conditions.ENVIRONMENT, options)[0]
    ]
    assert different == []
