"""The same input to Debian's haproxy and to our parser: same words, same results of conditions, same verdicts.

haproxy_lines.txt holds lines of a listen section with the verdict of haproxy 2.6: + accepted, - refused; " / " separates lines that
belong together. haproxy_verdicts.txt holds many more, made by putting every good line into every section and by cutting, doubling and
spoiling it: `+` accepted, `w` accepted with a warning, `-` refused, then the place and the line. Where the two differ on purpose
is not in them but in docs/configuration.md.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from common.config.build import load
from common.config.conditions import evaluate_condition
from common.config.diagnostics import Severity
from common.config.lexer import LexError, split_line
from common.config.options import LoadOptions
from tests.common.config import test_conditions, test_lexer

LINES = [line.split(" ", 1) for line in (Path(__file__).parent / "haproxy_lines.txt").read_text().splitlines()]
VERDICTS = [line.split(" ", 2) for line in (Path(__file__).parent / "haproxy_verdicts.txt").read_text().splitlines()]
TIMES = " timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
REST = (
    "backend nowhere\n mode http\nbackend other\n mode http\n server t 192.0.2.1:80 check\n"
    "http-errors site\n errorfile 503 /dev/null\n errorfile 400 /dev/null\n"
)
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


def file_with(place: str, line: str) -> str:
    """A whole file around one line (or several: " / "). place: a section, or the settings of a line; perhaps with "/tcp"."""
    kind, _, mode = place.partition("/")
    body = "\n ".join(line.split(" / "))
    mode = f" mode {mode or 'http'}\n"
    first = f"defaults\n{TIMES}"
    if kind == "defaults":
        return f"{first}{mode} {body}\nfrontend f\n bind :8080\n default_backend z\nbackend z\n server s 192.0.2.1:80\n"
    if kind == "named-for-frontend":
        return f"defaults d\n{TIMES}{mode} {body}\nfrontend f from d\n bind :8080\n{first}{REST}"
    if kind == "named-for-backend":
        return f"defaults d\n{TIMES}{mode} {body}\nbackend b from d\n server s 192.0.2.1:80\n{first}{REST}"
    if kind == "bind":
        return f"{first}listen x\n{mode} bind {line}\n server s 192.0.2.1:80\n{REST}"
    if kind == "server":
        return f"{first}backend x\n{mode} server s {line}\n{REST}"
    if kind == "default-server":
        return f"{first}backend x\n{mode} default-server {line}\n server s 192.0.2.1:80\n{REST}"
    if kind in ("global", "userlist", "peers", "resolvers", "http-errors"):
        return f"{kind}{'' if kind == 'global' else ' x'}\n {body}\n{first}{REST}"
    bind = " bind :8080\n" if kind in ("frontend", "listen") else ""
    server = " server here 192.0.2.1:80\n" if kind in ("backend", "listen") else ""
    return f"{first}{kind} x\n{mode}{bind}{server} {body}\n{REST}"


def our_verdict(text: str) -> str:
    result = load([("t.cfg", text.encode())], {}, options=LoadOptions())
    if result.config is None:
        return "-"
    return "w" if any(found.severity is Severity.WARNING for found in result.diagnostics) else "+"


def test_verdicts_and_warnings_are_those_of_haproxy() -> None:
    different = [(verdict, place, line) for verdict, place, line in VERDICTS if our_verdict(file_with(place, line)) != verdict]
    assert different == []


@pytest.mark.interop("haproxy")
def test_noted_verdicts_and_warnings_are_true(tmp_path: Path) -> None:
    """Every fortieth each time."""
    different = []
    path = tmp_path / "t.cfg"
    for verdict, place, line in VERDICTS[::40]:
        path.write_text(file_with(place, line))
        status, printed = haproxy(["-c", "-f", str(path)])
        theirs = "-" if status == 1 else "w" if "[WARNING]" in printed else "+"
        if theirs != verdict:
            different.append((verdict, theirs, place, line))
    assert different == []


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
