"""The parser of rows that need none: refused ones and those without effect, which are dealt with before a parser is asked."""

from __future__ import annotations

from common.config.draft import Scope
from common.config.statement import Statement


def unused(scope: Scope, statement: Statement) -> None:
    """Never called (build._apply answers by the row's status)."""
    raise AssertionError(f"{statement.keyword} is parsed by its status")
