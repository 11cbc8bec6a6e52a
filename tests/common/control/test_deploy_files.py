"""Everything in deploy/ is what it says: units, container, manifests, manual pages, installation."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.config.build import load
from common.config.options import LoadOptions
from common.control.arguments import USAGE, parse
from tests.common.control.running import ROOT
from tests.conftest import need, want

DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
PAGES = sorted((DEPLOY / "man").glob("*.1"))


def check(text: str, name: str) -> None:
    """The configuration has no fault and no warning."""
    loaded = load([(name, text.encode())], {}, options=LoadOptions())
    assert loaded.config is not None, [found.message for found in loaded.diagnostics]
    assert [found.message for found in loaded.diagnostics if found.severity.name in ("ALERT", "WARNING")] == []


# --- systemd -------------------------------------------------------------------------------------------------------------


def test_systemd_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    """The units as they are, but for the programs, which are not installed here."""
    program = want("systemd-analyze", "systemd")
    names = []
    for path in sorted((DEPLOY / "systemd").iterdir()):
        text = re.sub(r"/usr/bin/usher[a-z-]*", "/bin/true", path.read_text())
        name = path.name.replace("@.", "@1.")
        (tmp_path / path.name).write_text(text)
        names.append(str(tmp_path / name))
    environment = os.environ | {"SYSTEMD_LOG_LEVEL": "warning"}
    command = [program, "--man=no", "verify", *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "usher" in line]
    assert complaints == []


def test_units_are_hardened() -> None:
    for path in (DEPLOY / "systemd").glob("*.service"):
        unit = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read(path)
        service = dict(unit["Service"])
        for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp"):
            assert service[name] == "yes", path.name
        assert service["ProtectSystem"] == "strict"
        assert int(service["WatchdogSec"]) > 0


# --- container -----------------------------------------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "container" / "Containerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_container_runs_a_command_that_exists() -> None:
    found = dict(instructions())
    assert set(found) <= {"FROM", "COPY", "RUN", "USER", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    words = [*_list(found["ENTRYPOINT"]), *_list(found["CMD"])]
    assert words[0] == "usher"
    options = parse(words[1:])
    assert options.master_worker
    assert options.files == ["/etc/usher/usher.cfg"]
    assert found["STOPSIGNAL"] == "SIGUSR1"
    assert found["USER"] != "root"
    check((DEPLOY / "container" / "usher.cfg").read_text(), "usher.cfg")


def _list(text: str) -> list[str]:
    assert text.startswith("[")
    return re.findall(r'"([^"]*)"', text)


# --- Kubernetes ----------------------------------------------------------------------------------------------------------


def documents(path: Path) -> list[Any]:
    return [read_yaml(text) for text in re.split(r"^---\n", path.read_text(), flags=re.MULTILINE)]


def read_yaml(text: str) -> Any:
    """The part of YAML that manifests are written in: blocks, lists on one line, texts after |."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    value, rest = _block(lines, 0)
    assert not [line for line in rest if line.strip()], rest[:1]
    return value


def _block(lines: list[str], indent: int) -> tuple[Any, list[str]]:
    while lines and not lines[0].strip():
        lines = lines[1:]
    if lines[0].lstrip().startswith("- "):
        return _sequence(lines, len(lines[0]) - len(lines[0].lstrip()))
    return _mapping(lines, indent)


def _sequence(lines: list[str], indent: int) -> tuple[list[Any], list[str]]:
    items = []
    while lines and lines[0].startswith(" " * indent + "- "):
        first = " " * (indent + 2) + lines[0][indent + 2 :]
        item, lines = _mapping([first, *lines[1:]], indent + 2)
        items.append(item)
    return items, lines


def _mapping(lines: list[str], indent: int) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    while lines:
        line = lines[0]
        if not line.strip():
            lines = lines[1:]
            continue
        depth = len(line) - len(line.lstrip())
        if depth != indent or line.lstrip().startswith("- "):
            break
        key, colon, value = line.strip().partition(":")
        assert colon, line
        assert key not in found, f"{key} stands twice"
        value, lines = value.strip(), lines[1:]
        if value == "|":
            body = []
            while lines and (not lines[0].strip() or lines[0].startswith(" " * (indent + 2))):
                body.append(lines[0][indent + 2 :])
                lines = lines[1:]
            found[key] = "\n".join(body) + "\n"
        elif value:
            found[key] = _list(value) if value.startswith("[") else value.strip('"')
        else:
            found[key], lines = _block(lines, indent + 2)
    return found, lines


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_have_the_shape_that_their_kind_wants(path: Path) -> None:
    for document in documents(path):
        assert set(document) == {"apiVersion", "kind", "metadata", "data" if document["kind"] == "ConfigMap" else "spec"}
        versions = {"Deployment": "apps/v1", "DaemonSet": "apps/v1", "Service": "v1", "ConfigMap": "v1", "PodDisruptionBudget": "policy/v1"}
        assert document["apiVersion"] == versions[document["kind"]]
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", document["metadata"]["name"])


def pods() -> Iterator[tuple[str, Any]]:
    for path in MANIFESTS:
        for document in documents(path):
            if document["kind"] in ("Deployment", "DaemonSet"):
                spec, template = document["spec"], document["spec"]["template"]
                assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
                yield document["kind"], template["spec"]


def test_pods_start_probe_and_drain_with_what_there_is() -> None:
    seen = []
    configuration = next(document for path in MANIFESTS for document in documents(path) if document["kind"] == "ConfigMap")
    check(configuration["data"]["usher.cfg"], "usher.cfg")
    for kind, pod in pods():
        seen.append(kind)
        (container,) = pod["containers"]
        options = parse(container["args"])
        ((folder, file),) = [os.path.split(name) for name in options.files]
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert folder == mounts["configuration"]
        assert volumes["configuration"]["configMap"]["name"] == configuration["metadata"]["name"]
        assert file in configuration["data"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert container["readinessProbe"]["httpGet"]["port"] in ports
        assert f"monitor-uri {container['readinessProbe']['httpGet']['path']}" in configuration["data"][file]
        for number in ports.values():
            assert f"bind :{number}" in configuration["data"][file]
        assert container["livenessProbe"]["exec"]["command"][:2] == ["usher", "ctl"]
        grace, wait = int(pod["terminationGracePeriodSeconds"]), int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        stop = re.search(r"hard-stop-after (\d+)s", configuration["data"][file])
        assert stop
        assert grace > wait + int(stop[1])
    assert sorted(seen) == ["DaemonSet", "Deployment"]


# --- manual --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_manual_pages_are_set_without_a_warning(path: Path) -> None:
    need("man-db")
    done = subprocess.run(
        ["man", "--warnings=all", "-l", str(path)], capture_output=True, text=True, timeout=30, cwd=DEPLOY / "man",
        env=os.environ | {"MANROFFSEQ": "", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    if ".so " not in path.read_text():
        assert done.stderr == ""
        assert "NAME" in done.stdout


def test_the_manual_knows_every_option_that_the_usage_does() -> None:
    page = (DEPLOY / "man" / "usher.1").read_text().replace("\\-", "-")
    options = set(re.findall(r"(?<![\w-])--?[A-Za-z]+", USAGE))
    assert {option for option in options if option not in page} <= {"--json"}


# --- installation --------------------------------------------------------------------------------------------------------


def test_the_files_go_where_they_belong(tmp_path: Path) -> None:
    subprocess.run([str(DEPLOY / "install"), "--files-only"], env=os.environ | {"DESTDIR": str(tmp_path)}, check=True, timeout=60)
    for name in (
        "usr/lib/systemd/system/usher.service",
        "usr/lib/systemd/system/usher.socket",
        "usr/share/man/man1/usher.1",
        "usr/share/doc/usher/operations.md",
        "usr/share/doc/usher/examples/tls-offload.cfg",
        "etc/logrotate.d/usher",
    ):
        assert (tmp_path / name).is_file(), name
    for command in ("usher", "usher-dispatcher", "usher-worker"):
        assert os.readlink(tmp_path / "usr/bin" / command) == f"/usr/lib/usher/bin/{command}"


def test_shell_of_the_installation_is_right() -> None:
    shell = shutil.which("sh")
    assert shell
    subprocess.run([shell, "-n", str(DEPLOY / "install")], check=True)


def test_scripts_of_keepalived_call_commands_that_exist() -> None:
    text = (DEPLOY / "keepalived" / "keepalived.conf").read_text()
    script = re.search(r'script "([^"]+)"', text)
    assert script
    assert shlex.split(script[1])[:2] == ["/usr/bin/usher", "ctl"]
    for opening, closing in (("{", "}"),):
        for name in ("keepalived.conf", "bird.conf"):
            content = re.sub(r"#.*", "", (DEPLOY / "keepalived" / name).read_text())
            assert content.count(opening) == content.count(closing), name
