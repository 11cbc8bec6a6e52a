"""Commands of operators that dispatchers and workers answer: which function answers which words.

A program has one `Commands`; its modules register their functions with `answers`. A command comes as the text of its line and,
after a line feed, its payload, if it has one. Answers are made at once: a function that had to wait would keep the pump waiting.
What the master gives to whom says common/observe/commands.py.

Source: HAProxy management guide 9.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from common.observe.command_line import split_words

UNKNOWN: Final = "Unknown command.\n"

World = TypeVar("World")


@dataclass(frozen=True, slots=True)
class Asked(Generic[World]):
    """One command. words: all of its line. payload: what stood between `<<` and the empty line, None without it."""

    world: World
    words: tuple[str, ...]
    payload: str | None = None

    def word(self, index: int) -> str:
        """The word at a place, "" if there is none."""
        return self.words[index] if index < len(self.words) else ""


class Commands(Generic[World]):
    """The commands of one program."""

    __slots__ = ("_functions", "_longest")

    def __init__(self) -> None:
        self._functions: dict[tuple[str, ...], Callable[[Asked[World]], str]] = {}
        self._longest = 0

    def answers(self, *names: str) -> Callable[[Callable[[Asked[World]], str]], Callable[[Asked[World]], str]]:
        """Register a function for commands, by their words. Two functions for one command are a mistake of ours."""

        def register(function: Callable[[Asked[World]], str]) -> Callable[[Asked[World]], str]:
            for name in names:
                words = tuple(name.split())
                assert words not in self._functions, name
                self._functions[words] = function
                self._longest = max(self._longest, len(words))
            return function

        return register

    def answer(self, world: World, text: str) -> str:
        """The text for one command: of the function with the longest beginning in common."""
        line, feed, payload = text.partition("\n")
        words = tuple(split_words(line))
        for length in range(min(self._longest, len(words)), 0, -1):
            function = self._functions.get(words[:length])
            if function is not None:
                return function(Asked(world, words, payload if feed else None))
        return UNKNOWN
