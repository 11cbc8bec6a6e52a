"""`usher top` on a running service: one picture, and a live one in a terminal of tmux."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.flows.harness import Flow, defaults
from tests.flows.peers import eventually
from tests.flows.programs import PROGRAMS, USHER, source_root
from tests.flows.serving import ServingThread, web

pytestmark = [
    pytest.mark.skipif("usher" not in PROGRAMS, reason="Usher's own view"),
    pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="needs rich: pip install usher[views]"),
]

CONFIGURATION = defaults(global_lines="stats socket <unix:admin> level admin") + """
listen shop
    bind <listen:web>
    server first <server:app>
    server second <server:app> disabled
"""


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flow]:
    with Flow(tmp_path_factory.mktemp("top"), (USHER, CONFIGURATION)) as flow:
        thread = ServingThread(flow.server("app"), web("first"))
        yield flow
        thread.stop()


def command(flow: Flow, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "common.control.command", "top", "-s", str(flow.places.address("admin")), *arguments]


def test_one_picture_shows_proxies_servers_and_states(flow: Flow) -> None:
    words = command(flow, "--once", "--every", "0.1")
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=source_root(), check=True)
    for text in ("shop", "first", "second", "MAINT", "OPEN", "req/s", "CurrConns"):
        assert text in done.stdout


def test_nobody_there_is_said(flow: Flow, tmp_path: Path) -> None:
    words = [*command(flow)[:5], str(tmp_path / "nothing.sock")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=source_root())
    assert done.returncode == 2
    assert "cannot talk to" in done.stderr


def test_a_terminal_shows_it_live_and_obeys_keys(flow: Flow, tmp_path: Path) -> None:
    need("tmux")
    tmux = ["tmux", "-S", str(tmp_path / "tmux"), "-f", "/dev/null"]
    line = f"cd {shlex.quote(str(source_root()))} && {shlex.join(command(flow, '--every', '0.2'))}; sleep 60"
    subprocess.run([*tmux, "new-session", "-d", "-x", "140", "-y", "30", line], check=True, timeout=30)

    def screen() -> str:
        return subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, timeout=30, check=True).stdout

    try:
        eventually(lambda: "shop" in screen() and "sorted by file" in screen(), "the view is drawn", deadline_s=30)
        subprocess.run([*tmux, "send-keys", "s"], check=True)
        eventually(lambda: "sorted by sess " in screen(), "s sorts by the next column")
        subprocess.run([*tmux, "send-keys", "/", "second", "Enter"], check=True)
        eventually(lambda: "second" in screen() and "  first" not in screen(), "/ filters")
        subprocess.run([*tmux, "send-keys", "q"], check=True)
        eventually(lambda: "sorted by" not in screen(), "q ends it and gives the screen back")
    finally:
        subprocess.run([*tmux, "kill-server"], timeout=30)
