"""What counts as another program, and what as one that does not understand us."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from common.process import program


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in program.CONTRACT:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(program.ROOT / name, tmp_path / name)
    return tmp_path


def test_the_same_files_have_the_same_fingerprint(copy: Path) -> None:
    assert program.fingerprint(copy) == program.fingerprint(copy)


def test_a_file_that_was_written_again_is_another_program(copy: Path) -> None:
    before = program.fingerprint(copy)
    os.utime(copy / program.CONTRACT[0], (1, 1))
    assert program.fingerprint(copy) != before


def test_a_new_file_is_another_program(copy: Path) -> None:
    before = program.fingerprint(copy)
    (copy / "common" / "new.py").write_text("")
    assert program.fingerprint(copy) != before


def test_comments_and_explanations_are_no_part_of_the_contract(copy: Path) -> None:
    before = program.contract(copy)
    file = copy / "common/model.py"
    file.write_text(file.read_text().replace('"""What', '"""Now what', 1) + "# the end\n")
    assert program.contract(copy) != before
    assert program.agree(before, program.contract(copy))


def test_another_field_is_another_contract(copy: Path) -> None:
    before = program.contract(copy)
    file = copy / "common/model.py"
    file.write_text(file.read_text().replace("    weight: int = 1\n", "    weight: int = 1\n    height: int = 1\n"))
    assert not program.agree(before, program.contract(copy))


def test_a_file_that_is_half_written_is_told(copy: Path) -> None:
    before = program.contract(copy)
    (copy / "common/model.py").write_text("def half(")
    with pytest.raises(SyntaxError):
        program.agree(before, program.contract(copy))
