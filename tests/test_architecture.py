"""The rules of the house, as tests: so one pytest line runs the linters, the type checker and the import contracts too."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("common", "dispatcher", "worker")
TOP_LEVEL = {"common", "dispatcher", "worker", "tests", "deploy", "docs", "pyproject.toml", "README.md", "LICENSE"}
LINES_AIM = 400
# Where a name ends that hides what the thing is.
VAGUE = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|stuff|process_data|do_it)(_|$)", re.IGNORECASE)


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def tracked() -> list[str]:
    """What the repository holds; what lies about beside it (a venv, caches) is nobody's rule."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [name for name in done.stdout.decode().split("\0") if name and (ROOT / name).exists()]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def run(*arguments: str) -> None:
    """Runs Python with these arguments at the root; fails with what it prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment
    )
    if done.returncode:
        pytest.fail(f"python {' '.join(arguments)}\n{done.stdout}{done.stderr}", pytrace=False)


def test_ruff_finds_nothing() -> None:
    run("-m", "ruff", "check", "--no-cache", ".")


@pytest.mark.timeout(600)
def test_mypy_finds_nothing_in_strict_mode() -> None:
    run("-m", "mypy")


@pytest.mark.timeout(600)
def test_mypy_finds_nothing_in_the_whole_program_tests_either() -> None:
    run("-m", "mypy", "--strict", "-p", "tests.flows", "-p", "tests.bench", "-m", "tests.conftest", "-m", "tests.test_architecture")


def test_import_contracts_are_kept() -> None:
    run("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache")


def test_nothing_stands_in_an_init_file() -> None:
    assert [relative(path) for path in sources(*PACKAGES, "tests") if path.name == "__init__.py" and path.read_text().strip()] == []


def test_every_module_says_what_it_is() -> None:
    modules = [path for path in sources(*PACKAGES, "tests/flows", "tests/bench") if path.name != "__init__.py"]
    assert [relative(path) for path in modules if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_no_name_hides_what_the_thing_is() -> None:
    vague = []
    for path in sources(*PACKAGES):
        tree = ast.parse(path.read_text())
        names = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
        vague += [f"{relative(path)}: {name}" for name in [path.stem, *names] if VAGUE.search(name)]
    assert vague == []


class LongModule(UserWarning):
    """A module above the aim: worth a look, not a fault."""


@pytest.mark.filterwarnings("default::tests.test_architecture.LongModule")
def test_modules_are_one_concept_each() -> None:
    """Only warns: the aim is a number, the rule is one concept."""
    for path in sources(*PACKAGES):
        lines = path.read_text().count("\n")
        if lines > LINES_AIM:
            warnings.warn(f"{relative(path)} has {lines} lines, the aim is {LINES_AIM}", LongModule, stacklevel=1)


def test_top_level_holds_only_the_rooms() -> None:
    found = {name.split("/")[0] for name in tracked()}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL


def test_every_package_room_is_in_the_architecture_page() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {path.parent.relative_to(ROOT) for path in sources(*PACKAGES)}
    assert [str(room) for room in sorted(rooms) if f"{room.name}/" not in page] == []


def test_every_test_module_mirrors_a_source() -> None:
    lost = []
    for path in sources(*(f"tests/{package}" for package in PACKAGES)):
        if not path.name.startswith("test_"):
            continue
        room = ROOT / path.parent.relative_to(ROOT / "tests")
        if not room.is_dir():
            lost.append(relative(path))
    assert lost == []


def test_documents_link_to_what_exists() -> None:
    broken = []
    for name in tracked():
        if not name.endswith(".md"):
            continue
        page = ROOT / name
        for target in re.findall(r"\]\(([^)#: ]+)(?:#[^)]*)?\)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{name}: {target}")
    assert broken == []


def test_life_of_a_connection_names_what_is_there() -> None:
    """Each name in backticks after a link to a module is defined in that module."""
    page = ROOT / "docs" / "life-of-a-connection.md"
    lost = []
    for target, names in re.findall(r"\]\((\.\./[\w/]+\.py)\):\s+((?:`[\w.]+`(?:,\s+)?)+)", page.read_text()):
        code = (page.parent / target).read_text()
        for name in re.findall(r"`([\w.]+)`", names):
            for part in name.split("."):
                if not re.search(rf"\b(?:def|class) {part}\b", code):
                    lost.append(f"{target}: {name}")
    assert lost == []


def test_nothing_names_the_machine_it_was_written_on() -> None:
    told = []
    for name in tracked():
        if name.endswith((".py", ".md", ".toml", ".cfg", ".sh")) or name == ".ci/run":
            text = (ROOT / name).read_text(errors="replace")
            told += [f"{name}: {match[0]}" for match in re.finditer(r"/(?:work|home|root)/[a-z.][\w.-]+", text)]
    assert told == []
