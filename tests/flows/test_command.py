"""The command as an operator meets it: checks, versions, starts that cannot succeed, and the demo."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.flows.harness import defaults
from tests.flows.peers import eventually
from tests.flows.places import Places
from tests.flows.programs import PROGRAMS, USHER, Instance, Program, source_root


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Places]:
    places = Places(tmp_path)
    yield places
    places.close()


def check(program: Program, places: Places, text: str) -> subprocess.CompletedProcess[str]:
    config = places.path("checked.cfg")
    config.write_text(places.fill_in(text))
    command = [*program.command[:-1], "-c", "-f", str(config)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=source_root())


_VALID = defaults() + """
listen web
    bind <listen:web>
    server s <server:s>
"""

FAULTY = {
    "unknown_keyword": "listen web\n    bind <listen:web>\n    blance roundrobin\n",
    "unknown_section": "lisen web\n    bind <listen:web>\n",
    "bad_bind_address": "listen web\n    bind 127.0.0.1\n",
    "bad_server_port": "listen web\n    bind <listen:web>\n    server s 127.0.0.1:99999999\n",
    "unknown_server_word": "listen web\n    bind <listen:web>\n    server s <server:s> wieght 3\n",
    "unknown_bind_word": "listen web\n    bind <listen:web> acept-proxy\n",
    "unknown_backend": "frontend web\n    bind <listen:web>\n    default_backend nowhere\n",
    "unknown_acl": "frontend web\n    bind <listen:web>\n    http-request deny if nothing_like_it\n",
    "unknown_fetch": "frontend web\n    bind <listen:web>\n    acl x pathh /x\n",
    "bad_timeout": "listen web\n    bind <listen:web>\n    timeout client soon\n",
    "unknown_balance": "listen web\n    bind <listen:web>\n    balance luck\n",
    "same_server_twice": "listen web\n    bind <listen:web>\n    server s <server:s>\n    server s <server:s>\n",
    "same_proxy_twice": "listen web\n    bind <listen:web>\nlisten web\n    bind <listen:other>\n",
    "missing_certificate": "listen web\n    bind <listen:web> ssl crt /nowhere/at/all.pem\n",
    "bad_regex": "listen web\n    bind <listen:web>\n    http-request deny if { path_reg ( }\n",
    "bad_deny_status": "listen web\n    bind <listen:web>\n    http-request deny deny_status 999\n",
    "unclosed_quote": 'listen web\n    bind <listen:web>\n    http-request set-header X "abc\n',
}


def test_valid_file_is_said_to_be_valid(program: Program, places: Places) -> None:
    done = check(program, places, _VALID)
    assert done.returncode == 0, done.stderr
    assert "Configuration file is valid" in done.stdout


@pytest.mark.parametrize("name", FAULTY)
def test_faulty_file_is_refused_with_the_line(program: Program, places: Places, name: str) -> None:
    done = check(program, places, defaults() + FAULTY[name])
    assert done.returncode == 1, done.stdout + done.stderr
    assert "[ALERT]" in done.stderr
    assert "Traceback" not in done.stderr


ours = pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own reports")


@ours
def test_all_faults_are_told_at_once_with_place_caret_and_cure(places: Places) -> None:
    text = "defaults\n    mode http\nlisten web\n    bind <listen:web> acept-proxy\n    blance roundrobin\n    timeout client soon\n"
    done = check(USHER, places, text)
    assert done.returncode == 1
    for line in (4, 5, 6):
        assert re.search(rf"\[ALERT\] +\(\d+\) : config : parsing \[\S*checked\.cfg:{line}\] ?: ", done.stderr), done.stderr
    assert "accept-proxy" in done.stderr
    assert "balance" in done.stderr
    assert done.stderr.count("^") >= 3


@ours
@pytest.mark.parametrize("flag", ["-v", "-vv"])
def test_version_is_told(flag: str) -> None:
    done = subprocess.run([*USHER.command[:-1], flag], capture_output=True, text=True, timeout=30, cwd=source_root())
    assert done.returncode == 0
    assert done.stdout.startswith("Usher version ")


def test_address_in_use_ends_the_start_with_the_address(program: Program, places: Places) -> None:
    config = places.path("taken.cfg")
    config.write_text(places.fill_in(defaults() + "listen web\n    bind <server:taken>\n    server s <server:s>\n"))
    instance = Instance(program, config)
    assert instance.wait() == 1
    instance.kill()
    assert f"127.0.0.1:{places.server('taken').port}" in instance.output
    assert "Address already in use" in instance.output
    instance.check_output()
    assert not instance.processes()


def test_missing_file_ends_the_start(program: Program, places: Places) -> None:
    instance = Instance(program, places.path("nowhere.cfg"))
    assert instance.wait() == 1
    instance.kill()
    assert "nowhere.cfg" in instance.output
    instance.check_output()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Instance]:
    program = Program("usher demo", (sys.executable, "-m", "common.control.command", "demo"))
    instance = Instance(program, None)
    yield instance
    instance.stop(signal.SIGINT, codes=(0, 130))


@ours
def test_demo_prints_curl_lines_that_work(demo: Instance) -> None:
    need("curl")
    eventually(lambda: "curl" in demo.output and "https://" in demo.output and demo.output.endswith("\n"), "curl lines", deadline_s=20)
    lines = [line.strip().lstrip("$ ") for line in demo.output.splitlines() if line.strip().lstrip("$ ").startswith("curl ")]
    assert any("https://" in line for line in lines), demo.output
    for line in lines:
        done = subprocess.run([*shlex.split(line.partition("#")[0]), "-sS", "--max-time", "10"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, (line, done.stderr)
        assert done.stdout
