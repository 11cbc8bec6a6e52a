"""Lines on stderr, in HAProxy's form."""

from __future__ import annotations

import os

import pytest

from common.control.console import Console, write


def said(console: Console, read_end: int) -> str:
    os.close(console.fd)
    with open(read_end) as pipe:
        return pipe.read()


def test_lines_carry_level_and_pid() -> None:
    read_end, write_end = os.pipe()
    console = Console(fd=write_end)
    console.alert("one\ntwo")
    console.warning("three")
    console.notice("four")
    pid = os.getpid()
    assert said(console, read_end).splitlines() == [
        f"[ALERT]    ({pid}) : one",
        f"[ALERT]    ({pid}) : two",
        f"[WARNING]  ({pid}) : three",
        f"[NOTICE]   ({pid}) : four",
    ]


def test_quiet_leaves_alerts_and_logs_get_everything() -> None:
    read_end, write_end = os.pipe()
    console = Console(quiet=True, fd=write_end)
    heard: list[tuple[int, str]] = []
    console.also = lambda level, text: heard.append((level, text))
    console.notice("a")
    console.warning("b")
    console.alert("c")
    assert said(console, read_end) == f"[ALERT]    ({os.getpid()}) : c\n"
    assert heard == [(5, "a"), (4, "b"), (1, "c")]


@pytest.mark.parametrize("text", ["plain", "\udcff surrogate", "x" * 200_000])
def test_writing_to_a_reader_that_is_gone_is_no_fault(text: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    write(write_end, text)
    os.close(write_end)
    write(write_end, text)
