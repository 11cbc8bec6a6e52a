"""The command line, in HAProxy's forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.control.arguments import Options, UsageError, parse

CASES: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    ("-f a", {"files": ["a"]}),
    ("-f a -f b -- c d", {"files": ["a", "b", "c", "d"]}),
    ("-c -f a -V", {"check": True, "files": ["a"], "verbose": True}),
    ("-q -c", {"check": True, "quiet": True}),
    ("-q -V", {"verbose": True}),
    ("-V -q", {"quiet": True}),
    ("-cc 1", {"condition": "1"}),
    ("-D -p /run/pid", {"daemon": True, "pidfile": "/run/pid"}),
    ("-W", {"master_worker": True}),
    ("-Ws -S /run/m,level,admin", {"master_worker": True, "master_socket": "/run/m,level,admin"}),
    ("-C /etc -L name", {"folder": "/etc", "peer_name": "name"}),
    ("-n 10 -N 5 -m 100", {"maxconn": 10, "maxconn_proxy": 5, "memory_megabytes": 100}),
    ("-sf 1 2 -st 3 -f a", {"finish": [1, 2], "terminate": [3], "files": ["a"]}),
    ("-f a -sf", {"files": ["a"]}),
    ("-sf -f a", {"files": ["a"]}),
    ("-x /run/s", {"old_socket": "/run/s"}),
    ("-d", {"debug": {""}}),
    ("-db -dS -dR -dV -dr -dI -dF -dZ -dG", {"debug": {"b", "S", "R", "V", "r", "I", "F", "Z", "G"}}),
    ("-dW -dD", {"zero_warning": True, "diagnostics": True}),
    ("-dKall", {"keyword_classes": "all"}),
    ("-dK", {"keyword_classes": ""}),
    ("-dL", {"libraries": True}),
    ("-v", {"version": True}),
    ("-vv", {"build": True}),
    ("--help", {"help": True}),
    ("--workers 4 --process 2 --json", {"workers": 4, "process": 2, "json": True}),
]


@pytest.mark.parametrize(("line", "expected"), CASES, ids=[line for line, _expected in CASES])
def test_options(line: str, expected: dict[str, Any]) -> None:
    assert parse(line.split()) == Options(**expected)


def test_pids_may_come_in_one_word_as_from_a_quoted_file() -> None:
    assert parse(["-sf", "12 34\n"]).finish == [12, 34]


@pytest.mark.parametrize("word", ["-dM", "-dM0", "-dMno-cache,tag", "-dt", "-dtall", "-de", "-dk", "-dp", "-dv", "-4"])
def test_options_about_what_usher_has_not_are_taken_with_a_remark(word: str) -> None:
    assert parse([word]).remarks == [f"option '{word}' concerns parts of HAProxy that Usher does not have: it has no effect"]


FAULTS = [
    ("-f", "option '-f' needs an argument"),
    ("-c -n", "option '-n' needs an argument"),
    ("-n abc", "option '-n' needs a number, got 'abc'"),
    ("-n -5", "option '-n' needs a number, got '-5'"),
    ("--workers ٣", "option '--workers' needs a number, got '٣'"),
    ("-st a", "option '-st' needs process numbers, got 'a'"),
    ("-sf 0", "option '-sf' needs process numbers, got '0'"),
    ("-zz", "unknown option '-zz'"),
    ("-dX", "unknown option '-dX'"),
    ("-", "unknown option '-'"),
    ("-c extra", "unexpected word 'extra'; files are named with -f"),
    ("-dCkey", "option '-dCkey': the anonymized dump of a configuration is not available"),
]


@pytest.mark.parametrize(("line", "expected"), FAULTS)
def test_faults_name_the_word(line: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(line.split())
    assert str(caught.value) == expected


@pytest.mark.parametrize(("line", "expected"), [("-db", True), ("-d", True), ("-dS", False), ("", False)])
def test_d_and_db_keep_it_in_the_foreground(line: str, expected: bool) -> None:
    assert parse(line.split()).foreground is expected


@given(st.lists(st.text(max_size=5) | st.sampled_from(["-f", "-sf", "-n", "--", "-c", "12"])))
def test_no_words_raise_anything_but_usage_errors(words: list[str]) -> None:
    try:
        parse(words)
    except UsageError:
        pass
