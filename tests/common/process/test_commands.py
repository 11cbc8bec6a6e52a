"""Which function answers which line."""

from __future__ import annotations

import pytest

from common.process.commands import UNKNOWN, Asked, Commands

COMMANDS: Commands[str] = Commands()


@COMMANDS.answers("show map")
def show(asked: Asked[str]) -> str:
    return f"{asked.world} {asked.words[2:]} {asked.payload!r} {asked.word(9)!r}"


@COMMANDS.answers("show map all", "list maps")
def show_all(asked: Asked[str]) -> str:
    return " ".join(asked.words)


CASES = [
    ("show map", "w () None ''"),
    (r"show  map a\ b", "w ('a b',) None ''"),
    ("show map x\n", "w ('x',) '' ''"),
    ("show map x\nk v\nl w", "w ('x',) 'k v\\nl w' ''"),
    ("show map all 1", "show map all 1"),
    ("list maps", "list maps"),
    ("show", UNKNOWN),
    ("list", UNKNOWN),
    ("", UNKNOWN),
    ("\n", UNKNOWN),
]


@pytest.mark.parametrize(("line", "answer"), CASES)
def test_the_longest_beginning_answers(line: str, answer: str) -> None:
    assert COMMANDS.answer("w", line) == answer


def test_two_functions_for_one_command_are_a_mistake() -> None:
    with pytest.raises(AssertionError, match="list maps"):
        COMMANDS.answers("list maps")(show)
