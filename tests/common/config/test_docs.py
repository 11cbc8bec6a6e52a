"""docs/configuration.md is what the tables make; `python -m common.config.docs > docs/configuration.md` renews it."""

from __future__ import annotations

from pathlib import Path

from common.config.docs import document
from common.config.keywords import Status
from common.config.table import EVERY_ROW

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text() == document()


def test_every_row_is_on_the_page() -> None:
    page = document()
    for row in EVERY_ROW:
        text = row.syntax if row.status is Status.SUPPORTED else row.name.removesuffix("()")
        assert f"| `{text.replace('|', chr(92) + '|')}`" in page, row.name
