"""`usher`'s command line from the outside: exit codes and texts."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from common.control import command
from tests.common.control.running import ROOT

GOOD = """
defaults
    mode http
    timeout client 1s
    timeout connect 1s
    timeout server 1s
frontend www
    bind :8080
"""
WARNING = "frontend www\n    mode http\n    bind :8080\n"
FAULTY = GOOD + "    nonsense\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of every kind, in which the command runs."""
    for name, text in (("good", GOOD), ("warning", WARNING), ("faulty", FAULTY), ("user", GOOD + "global\n    user no-such-user\n")):
        (tmp_path / f"{name}.cfg").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


VALID = "Configuration file is valid\n"
RUNS = [
    ("-c -f good.cfg", 0, VALID, ""),
    ("-f good.cfg -c", 0, VALID, ""),
    ("-c -q -f good.cfg", 0, "", ""),
    ("-c -f warning.cfg", 0, "Warnings were found.\n" + VALID, "missing timeouts"),
    ("-c -q -f warning.cfg", 0, "", ""),
    ("-c -dW -f warning.cfg", 1, "", "config : Some warnings were found and 'zero-warning' is set. Aborting.\n"),
    ("-c -dW -f good.cfg", 0, VALID, ""),
    ("-c -f faulty.cfg", 1, "", "config : Fatal errors found in configuration.\n"),
    ("-c -q -f faulty.cfg", 1, "", "config : Fatal errors found in configuration.\n"),
    ("-c -f user.cfg", 1, "", "cannot find user id for 'no-such-user'"),
    ("-c -f nowhere.cfg", 1, "", "Cannot open configuration file/directory nowhere.cfg : No such file or directory\n"),
    ("-c -C / -f good.cfg", 1, "", "Cannot open configuration file/directory good.cfg"),
    ("-c -C /nonexistent -f good.cfg", 1, "", "Could not change to directory /nonexistent : No such file or directory\n"),
    ("-c -dM -f good.cfg", 0, VALID, "option '-dM' concerns parts of HAProxy"),
    ("-c -dKhelp -q -f good.cfg", 0, "# List of supported keyword classes:", ""),
    ("-c -dKcfg -q -f good.cfg", 0, "# List of registered configuration keywords:", ""),
    ("-c -dL -q -f good.cfg", 0, "/", ""),
    ("-cc 1", 0, "", ""),
    ("-cc 0", 1, "", ""),
    ("-cc 200rrr", 2, "", "config : Failed to evaluate condition: "),
    ("-cc streq($HOME,x)", 1, "", ""),
    ("", 1, "", "Usage : usher "),
    ("-zz", 1, "", "usher: unknown option '-zz'\nUsage : usher "),
    ("-c", 1, "", "Usage : usher "),
    ("--help", 0, "Usage : usher ", ""),
    ("-v", 0, "Usher version 0.1.0 - answers as HAProxy version 3.5.0\n", ""),
    ("-vv", 0, "Usher version 0.1.0 - answers as HAProxy version 3.5.0\n", ""),
    ("-f good.cfg --process 1", 1, "", "'--process' is for usher-worker and usher-dispatcher"),
]


@pytest.mark.parametrize(("line", "code", "out", "err"), RUNS, ids=[run[0] for run in RUNS])
def test_runs(folder: Path, line: str, code: int, out: str, err: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(line.split()) == code
    found = capfd.readouterr()
    assert (found.out.startswith(out) and bool(found.out) == bool(out)), found.out
    assert err in found.err
    if not err:
        assert found.err == ""


def test_alerts_are_haproxys_lines(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command.main(["-c", "-f", "faulty.cfg"])
    lines = capfd.readouterr().err.splitlines()
    start = f"[ALERT]    ({os.getpid()}) : config : "
    assert lines[0].startswith(f"{start}parsing [faulty.cfg:9] : unknown keyword 'nonsense'")
    assert lines[-2:] == [f"{start}Error(s) found in configuration file : faulty.cfg", f"{start}Fatal errors found in configuration."]


def test_json_is_for_editors(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(["-c", "--json", "-f", "faulty.cfg"]) == 1
    found = capfd.readouterr()
    (fault,) = json.loads(found.out)
    assert (fault["severity"], fault["file"], fault["line"]) == ("alert", "faulty.cfg", 9)
    assert found.err == ""


def test_verbose_checks_print_every_limit_and_its_origin(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "limits.cfg").write_text("global\n    workers 3\n    maxconn 100\n" + GOOD + "    maxconn 50\n    timeout http-request 2s\n")
    assert command.main(["-c", "-V", "-f", "limits.cfg"]) == 0
    rows = [re.split(r"\s{2,}", line) for line in capfd.readouterr().out.splitlines() if "  " in line]
    table = {(scope, name): " ".join(rest) for scope, name, *rest in rows}
    assert table["global", "workers"] == "3 (workers)"
    assert table["global", "dispatchers"] == "1 (default)"
    assert table["global", "maxconn"] == "100 (maxconn)"
    assert table["global", "tune.bufsize"] == "16384 (default)"
    assert table["frontend www", "maxconn"] == "50 (maxconn)"
    assert table["frontend www", "timeout http-request"] == "2000 ms (timeout http-request)"
    assert table["frontend www", "timeout http-keep-alive"] == "2000 ms (timeout http-request)"


def test_verbose_checks_say_which_limit_holds_instead(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "above.cfg").write_text("global\n    maxconn 10\n" + GOOD + "    maxconn 50\n")
    assert command.main(["-c", "-V", "-dW", "-f", "above.cfg"]) == 0
    assert "maxconn 50 of 'www' is above the global maxconn 10, which holds" in capfd.readouterr().err


SERVER = "backend app\n    server s1 no-such-host.invalid:80"


@pytest.mark.parametrize(
    ("ways", "line", "code"),
    [
        ("", "-c", 1),
        ("init-addr last,libc", "-c", 1),
        ("init-addr none", "-c", 0),
        ("init-addr last,libc,none", "-c", 0),
        ("init-addr libc,192.0.2.1", "-c", 0),
        ("", "-c -dr", 0),
        ("", "-c --json", 1),
    ],
)
def test_names_of_servers_resolve_or_may_be_missing(
    folder: Path, ways: str, line: str, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "names.cfg").write_text(f"{GOOD}{SERVER} {ways}\n")
    assert command.main([*line.split(), "-f", "names.cfg"]) == code
    found = capfd.readouterr()
    if code:
        assert "'server app/s1' : could not resolve address 'no-such-host.invalid'." in found.out + found.err
        assert "init-addr last,libc,none" in found.out + found.err


def test_a_default_path_that_is_not_there_is_a_fault(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "path.cfg").write_text("global\n    default-path origin /nonexistent\n" + GOOD)
    assert command.main(["-c", "-f", "path.cfg"]) == 1
    assert "cannot change to directory '/nonexistent'" in capfd.readouterr().err


def test_build_options_name_what_it_runs_with(capfd: pytest.CaptureFixture[str]) -> None:
    command.main(["-vv"])
    found = capfd.readouterr().out
    for word in ("Python", "trio", "OpenSSL version : OpenSSL ", "+OPENSSL", "descriptor passing", "Total: 1 (1 usable), will use epoll."):
        assert word in found


@pytest.mark.parametrize("role", ["worker", "dispatcher"])
def test_a_tiers_own_command_has_its_own_name(role: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main_of_tier(role, ["-zz"]) == 1
    assert capfd.readouterr().err.startswith(f"usher-{role}: unknown option '-zz'\nUsage : usher-{role} ")


def test_closed_standard_streams_are_no_fault(folder: Path) -> None:
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from common.control.command import main; "
    script += 'sys.exit(main(["-c", "-f", "good.cfg"]))'
    shell = f'exec {shlex.quote(sys.executable)} -c "$0" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", shell, script], check=False).returncode == 0
