"""Files to a configuration, with the command line's wishes over it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from common.control.arguments import Options, parse
from common.control.configuration import FILES_MAX, load_options, read, shown, sources_of
from common.errors import ConfigError
from common.model import Config

TEXT = """
defaults
    mode http
    timeout client 1s
    timeout connect 1s
    timeout server 1s
frontend www
    bind :8080
    default_backend app
backend app
    server s 127.0.0.1:1 ssl verify required ca-file /nonexistent
"""


def config(folder: Path, line: str = "", text: str = TEXT) -> Config:
    path = folder / "usher.cfg"
    path.write_text(text)
    reading = read(parse([*line.split(), "-f", str(path)]))
    assert reading.config, shown(reading.diagnostics, Options())
    return reading.config


def test_a_folder_gives_its_cfg_files_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    for name in ("b.cfg", "a.cfg", "Z.cfg", ".hidden.cfg", "c.txt", "é.cfg"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.cfg").mkdir()
    names = [os.path.basename(name) for name, _content in sources_of([str(tmp_path)])]
    assert names == ["Z.cfg", "a.cfg", "b.cfg", "é.cfg"]


def test_files_come_in_the_order_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A")
    (tmp_path / "b").write_text("B")
    names = [str(tmp_path / "b"), str(tmp_path / "a"), "/dev/null"]
    assert [content for _name, content in sources_of(names)] == [b"B", b"A", b""]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Cannot open configuration file/directory /nonexistent : No such file or directory"):
        sources_of(["/nonexistent"])


def test_an_endless_file_is_read_no_further_than_any_file_may_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.control.configuration.FILE_BYTES_MAX", 1000)
    assert [len(content) for _name, content in sources_of(["/dev/zero"])] == [1001]


def test_a_folder_with_too_many_files_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.control.configuration.FILES_MAX", 1)
    (tmp_path / "a.cfg").touch()
    (tmp_path / "b.cfg").touch()
    with pytest.raises(ConfigError, match="holds 2 files; at most 1 are read"):
        sources_of([str(tmp_path)])
    assert FILES_MAX > 1


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        ("-n 77", "maxconn", 77),
        ("-p /run/x", "pidfile", "/run/x"),
        ("-D", "daemon", True),
        ("-D -db", "daemon", False),
        ("--workers 3", "workers", 3),
        ("-dR", "extra", {"noreuseport": ((),)}),
    ],
)
def test_the_command_line_prevails(tmp_path: Path, line: str, field: str, expected: Any) -> None:
    assert getattr(config(tmp_path, line).globals, field) == expected


def test_n_gives_a_maxconn_to_proxies_that_set_none(tmp_path: Path) -> None:
    found = config(tmp_path, "-N 5", TEXT + "frontend other\n    bind :8081\n    maxconn 9\n")
    assert {proxy.name: proxy.maxconn for proxy in found.proxies} == {"www": 5, "app": 5, "other": 9}


def test_dv_verifies_no_server(tmp_path: Path) -> None:
    tls = config(tmp_path, "-dV").proxies[1].servers[0].tls
    assert tls and tls.verify == "none"


@pytest.mark.parametrize(
    ("setting", "line", "attribute", "expected"),
    [
        ("quiet", "", "quiet", True),
        ("quiet", "-V", "quiet", False),
        ("zero-warning", "", "zero_warning", True),
        ("master-worker", "", "master_worker", True),
    ],
)
def test_switches_of_section_global_are_options_too(tmp_path: Path, setting: str, line: str, attribute: str, expected: bool) -> None:
    path = tmp_path / "usher.cfg"
    path.write_text(f"global\n    {setting}\n{TEXT}")
    options = parse([*line.split(), "-f", str(path)])
    read(options)
    assert getattr(options, attribute) is expected


def test_variables_of_haproxy_and_of_a_service_manager_are_defined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_FDNAMES", "web:admin:more")
    path = tmp_path / "usher.cfg"
    path.write_text(TEXT)
    environment = read(parse(["-W", "-L", "me", "-f", str(path)])).environment
    assert environment["HAPROXY_LOCALPEER"] == "me"
    assert environment["HAPROXY_CFGFILES"] == str(path)
    assert environment["HAPROXY_MWORKER"] == "1"
    assert (environment["web"], environment["admin"]) == ("3", "4")
    assert "more" not in environment


@pytest.mark.parametrize(("pid", "count"), [("1", "1"), ("{pid}", "no"), ("{pid}", "")])
def test_sockets_for_someone_else_are_not_ours(pid: str, count: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", pid.replace("{pid}", str(os.getpid())))
    monkeypatch.setenv("LISTEN_FDS", count)
    monkeypatch.setenv("LISTEN_FDNAMES", "web")
    path = tmp_path / "usher.cfg"
    path.write_text(TEXT)
    assert "web" not in read(parse(["-f", str(path)])).environment


def test_warnings_are_what_haproxy_warns_about_and_findings_of_style_are_shown_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "usher.cfg"
    path.write_text("frontend www\n    mode http\n    bind :8080\n")
    reading = read(parse(["-f", str(path)]))
    assert reading.warnings
    assert "missing timeouts" in shown(reading.diagnostics, Options())


def test_the_tls_library_is_loaded_only_for_conditions_that_ask_for_it() -> None:
    assert load_options(Options(), [("a", b"frontend www")]).ssl_library == ""
    assert load_options(Options(condition="openssl_version_atleast(1.1)")).ssl_library.startswith("OpenSSL ")
    assert load_options(Options(), [("a", b".if ssllib_name_startswith(OpenSSL)")]).ssl_library.startswith("OpenSSL ")
