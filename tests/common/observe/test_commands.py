from __future__ import annotations

import time

import pytest

from common.observe.commands import COMMANDS, HELP_WIDTH, Level, Merge, completions, find, help_text, level_needed, near, unknown
from common.observe.merging import Reply, merge


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("show info typed", "show info"),
        ("show servers state be", "show servers state"),
        ("show cli", None),
        ("set maxconn frontend fe 3", "set maxconn frontend"),
        ("set timeout", "set timeout"),
        ("set timeout foo", "set timeout"),
        ("help show", "help"),
        ("Show info", None),
        ("", None),
    ],
)
def test_a_line_means_the_longest_command_that_it_begins_with(line: str, name: str | None) -> None:
    found = find(tuple(line.split()))
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("show info", Level.USER),
        ("show sess", Level.OPERATOR),
        ("clear counters", Level.OPERATOR),
        ("clear counters all", Level.ADMIN),
        ("set server be/s state maint", Level.ADMIN),
        ("set map x y z", Level.OPERATOR),
    ],
)
def test_what_changes_things_needs_a_higher_level(line: str, level: Level) -> None:
    words = tuple(line.split())
    info = find(words)
    assert info is not None
    assert level_needed(info, words) is level


def test_no_command_is_there_twice_and_each_fits_its_column() -> None:
    assert len({info.words for info in COMMANDS}) == len(COMMANDS)
    assert all(len(info.usage) <= HELP_WIDTH + 2 for info in COMMANDS)


def test_help_lists_commands_in_columns_and_ends_with_those_of_every_session() -> None:
    lines = help_text().splitlines()
    assert lines[0] == "The following commands are valid at this level:"
    assert "  show version                            : show the version" in lines
    assert [line.split()[0] for line in lines[-3:]] == ["help", "prompt", "quit"]
    assert not any("expert-mode" in line for line in lines)


def test_help_on_some_words_lists_what_begins_with_them() -> None:
    assert [line.split(":")[0].strip() for line in help_text(("show", "cli")).splitlines()[1:-3]] == ["show cli level", "show cli sockets"]


@pytest.mark.parametrize(("line", "first"), [("show sta", "show stat"), ("shutdown sesion", "shutdown session"), ("set", "set map")])
def test_what_is_no_command_is_answered_with_those_that_come_near(line: str, first: str) -> None:
    assert near(tuple(line.split()))[0].name == first
    assert unknown(tuple(line.split())).startswith("Unknown command, but maybe one of the following ones is a better match:\n")


def test_an_empty_line_is_answered_with_all() -> None:
    text = unknown(())
    assert text.startswith("Unknown command. Please enter one of the following commands only:\n")
    assert "show stat" in text


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sh",), ["show", "shutdown"]),
        (("show", "se"), ["servers", "sess"]),
        (("show", "cli", ""), ["level", "sockets"]),
        (("nope", ""), []),
    ],
)
def test_a_client_can_complete_words(words: tuple[str, ...], expected: list[str]) -> None:
    assert completions(words) == expected


def replies(*texts: str) -> list[Reply]:
    return [Reply(f"worker {number}", text) for number, text in enumerate(texts, 1)]


@pytest.mark.parametrize(
    ("how", "texts", "expected"),
    [
        (Merge.FIRST, (), "No process answered.\n"),
        (Merge.FIRST, ("a\n", "a\n"), "a\n"),
        (Merge.FIRST, ("a\n", "b\n"), "# worker 1\na\n# worker 2\nb\n"),
        (Merge.JOIN, ("a\n", "", "b\n"), "a\nb\n"),
        (Merge.JOIN, ("Session not found.\n", "b\n"), "b\n"),
        (Merge.JOIN, ("Session not found.\n", "Session not found.\n"), "Session not found.\n"),
        (Merge.JOIN, ("Unknown command.\n", "Unknown command.\n"), "Unknown command.\n"),
        (Merge.TITLED, ("a\n", ""), "# worker 1\na\n"),
        (Merge.FOUND, ("No such session (use 'show sess').\n", ""), ""),
        (Merge.FOUND, ("No such session (use 'show sess').\n",), "No such session (use 'show sess').\n"),
        (Merge.ERRORS, ("Total events captured on [x] : 1\na\n", "Total events captured on [y] : 2\nb\nc\n"),
         "Total events captured on [x] : 3\na\nb\nc\n"),
        (Merge.ERRORS, ("No such proxy.\n", "No such proxy.\n"), "No such proxy.\n"),
        (Merge.NUMBERS, ("loops: 3\nversion: x\n", "loops: 4\nversion: x\n"), "loops: 7 [ 3 4 ]\nversion: x\n"),
    ],
)  # fmt: skip
def test_answers_of_several_processes_become_one(how: Merge, texts: tuple[str, ...], expected: str) -> None:
    assert merge(how, replies(*texts)) == expected


def test_thousands_of_words_are_answered_at_once() -> None:
    """Whoever types garbage must not keep the master busy."""
    started = time.process_time()
    assert "show" in unknown(("show",) * 10_000)
    assert unknown(("x" * 16_000,) * 3)
    assert time.process_time() - started < 1
