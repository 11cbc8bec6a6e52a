"""One row per action: where it may stand, how it is written, what it means, and its parser. The docs are made from it. Sans-io.

Modules named parse_*.py fill an `ActionTable` each, with the row as a decorator right over the parser; parse.py joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.rules.actions import Action
from common.rules.rulesets import Ruleset
from common.rules.words import Words

Parse = Callable[[Words], Action]


@dataclass(frozen=True, slots=True)
class ActionRow:
    """syntax: what follows the name. ours: Usher's own, not HAProxy's. numbered: the name ends in a number (track-sc0)."""

    name: str
    rulesets: frozenset[Ruleset]
    syntax: str
    doc: str
    section: str
    parse: Parse
    ours: bool = False
    numbered: bool = False


class ActionTable:
    """Rows by name."""

    __slots__ = ("rows",)

    def __init__(self) -> None:
        self.rows: dict[str, ActionRow] = {}

    def row(
        self,
        names: str,
        rulesets: Iterable[Ruleset],
        syntax: str,
        doc: str,
        *,
        section: str = "4.2",
        ours: bool = False,
        numbered: bool = False,
    ) -> Callable[[Parse], Parse]:
        """Decorator over a parser. names: one or more actions that are written alike, separated by blanks."""

        def add(parse: Parse) -> Parse:
            for name in names.split():
                assert name not in self.rows, f"{name} has two rows"
                self.rows[name] = ActionRow(name, frozenset(rulesets), syntax, doc, section, parse, ours, numbered)
            return parse

        return add
