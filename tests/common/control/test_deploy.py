"""The units in deploy/systemd say what the commands understand."""

from __future__ import annotations

import configparser
import shlex
from pathlib import Path

import pytest

from common.control.arguments import parse
from tests.common.control.running import ROOT

UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def commands(path: Path) -> list[list[str]]:
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path)
    service = unit["Service"]
    assert service["Type"] == "notify"
    assert service["ExecReload"] == "/bin/kill -USR2 $MAINPID"
    return [shlex.split(service[name]) for name in ("ExecStartPre", "ExecStart") if name in service]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_every_unit_calls_its_command_with_options_that_exist(path: Path) -> None:
    for words in commands(path):
        program = path.stem.removesuffix("@")
        assert words[0] == f"/usr/bin/{program}"
        options = parse([word.replace("%i", "2") for word in words[1:]])
        assert options.files == ["/etc/usher"]
        assert options.master_worker or options.check


def test_there_are_units() -> None:
    assert [path.name for path in UNITS] == ["usher-dispatcher.service", "usher-worker@.service", "usher.service"]
