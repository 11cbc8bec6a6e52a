"""What all tests of the dispatcher share."""

from __future__ import annotations

import pytest

from common.process import privileges


@pytest.fixture(autouse=True)
def keep_privileges(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests run the program inside the test's own process, whose privileges later tests need."""
    monkeypatch.setattr(privileges, "drop", lambda _wanted: None)
