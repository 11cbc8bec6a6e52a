from __future__ import annotations

import pytest

from common.control.operator_reason import main
from common.observe.reasons import SLUGS


def test_reasons_and_codes_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["connect_timeout", "SC--"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("connect_timeout: termination sC;")
    assert "\nSC: the server ended" in out


def test_what_is_unknown_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 1
    assert "nothing is known of 'nonsense'" in capsys.readouterr().err


def test_without_a_word_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()} == set(SLUGS)
