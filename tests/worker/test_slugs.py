"""Every reason that the programs name is one that is documented."""

from __future__ import annotations

import ast
from pathlib import Path

from common.observe.reasons import REASONS

ROOT = Path(__file__).parents[2]
TOLD = {"Cut", "ConnectFailed", "ServerGone", "_answer_unread", "_refuse", "count_reason", "refuse_unread"}


def slugs() -> dict[str, str]:
    """slug -> a place that names it."""
    found = {}
    for path in [*(ROOT / "worker").rglob("*.py"), *(ROOT / "dispatcher").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            told: list[ast.expr] = []
            if isinstance(node, ast.Call) and (getattr(node.func, "id", "") or getattr(node.func, "attr", "")) in TOLD:
                told = list(node.args)
            elif isinstance(node, ast.Assign) and any(getattr(target, "attr", "") == "slug" for target in node.targets):
                told = [node.value]
            for expression in told:
                for part in ast.walk(expression):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str) and "_" in part.value:
                        found[part.value] = f"{path.name}:{getattr(node, 'lineno', 0)}"
    return found


def test_every_reason_that_is_named_is_documented() -> None:
    found = slugs()
    assert len(found) > 20, "the search finds nothing any more"
    assert {slug: place for slug, place in found.items() if slug not in REASONS} == {}
