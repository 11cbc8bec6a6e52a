"""Pid files, and the words to older processes. (Going to the background: test_processes.py.)"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.control import daemon


def test_the_pid_file_holds_our_number_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("12345678\n")
    daemon.write_pidfile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    assert os.listdir(tmp_path) == ["pid"]


def test_what_is_no_plain_file_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    daemon.write_pidfile(str(path))
    assert os.read(reader, 100) == b"%d\n" % os.getpid()
    os.close(reader)
    assert path.is_fifo()


def test_a_pid_file_that_cannot_be_written_is_an_error() -> None:
    with pytest.raises(OSError, match="No such file or directory"):
        daemon.write_pidfile("/nonexistent/pid")


def test_older_processes_are_asked_to_finish_or_to_end() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as finishing,
        subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as ending,
    ):
        daemon.release([finishing.pid], [ending.pid])
        assert finishing.wait(20) == -signal.SIGUSR1
        assert ending.wait(20) == -signal.SIGTERM


def test_older_processes_that_are_gone_are_no_fault() -> None:
    with subprocess.Popen(["true"]) as process:
        pass
    daemon.release([process.pid, 2**40], [])
