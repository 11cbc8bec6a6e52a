from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.observe.command_line import LINE_BYTES_MAX, PAYLOAD_BYTES_MAX, Command, CommandReader, TooLong, split_words


def read(data: bytes, *, step: int = 0) -> list[list[tuple[tuple[str, ...], str | None]]]:
    """The commands of each line, fed in pieces of `step` bytes (0: whole)."""
    reader = CommandReader()
    lines = []
    for start in range(0, len(data), step or max(len(data), 1)):
        reader.feed(data[start : start + step] if step else data)
        while (commands := reader.take()) is not None:
            if commands:
                lines.append([(command.words, command.payload) for command in commands])
    return lines


CASES = [
    (b"show info\n", [[(("show", "info"), None)]]),
    (b"  show \t info  \r\n", [[(("show", "info"), None)]]),
    (b"show info;show stat\n", [[(("show", "info"), None), (("show", "stat"), None)]]),
    (b";show info; ;\n", [[(("show", "info"), None)]]),
    (b"\n", [[((), None)]]),
    (b"   \n", [[((), None)]]),
    (b";\n", [[((), None)]]),
    (b"set var a\\ b\\;c\\\\d\n", [[(("set", "var", "a b;c\\d"), None)]]),
    (b"a\nb\n", [[(("a",), None)], [(("b",), None)]]),
    (b"set x <<\nline 1\nline;2\n\nshow info\n", [[(("set", "x"), "line 1\nline;2")], [(("show", "info"), None)]]),
    (b"a; set x <<\n\n", [[(("a",), None), (("set", "x"), "")]]),
    (b"set x <<END\na\n\nb\nEND\n", [[(("set", "x"), "a\n\nb")]]),
    (b"set x <<; show info\n", [[(("set", "x", "<<"), None), (("show", "info"), None)]]),
    (b"half a line", []),
    (b"x <<\nno end\n", []),
    (b"\xff\xfe\0\n", [[(("\udcff\udcfe\0",), None)]]),
    (b"end\\\n", [[(("end\\",), None)]]),
]


@pytest.mark.parametrize(("data", "expected"), CASES)
@pytest.mark.parametrize("step", [0, 1, 3])
def test_lines_are_read_whole_and_in_pieces(data: bytes, expected: object, step: int) -> None:
    assert read(data, step=step) == expected


def test_what_follows_stays_for_the_next_line() -> None:
    assert read(b"show info\nsho", step=1) == [[(("show", "info"), None)]]


def test_a_reader_says_that_it_waits_for_a_payload() -> None:
    reader = CommandReader()
    reader.feed(b"set x <<\nabc\n")
    assert (reader.in_payload, reader.take(), reader.in_payload) == (False, [], True)
    assert (reader.take(), reader.in_payload) == ([], True)
    reader.feed(b"\n")
    assert reader.take() == [Command(("set", "x"), "abc", "set x")]
    assert not reader.in_payload


def test_each_command_keeps_its_text_for_other_processes() -> None:
    reader = CommandReader()
    reader.feed(b"show sess ; get map a\\ b c\n")
    commands = reader.take()
    assert commands is not None
    assert [command.line for command in commands] == ["show sess", "get map a\\ b c"]
    assert split_words(commands[1].line) == ["get", "map", "a b", "c"]


def test_a_line_without_end_is_refused() -> None:
    reader = CommandReader()
    reader.feed(b"x" * LINE_BYTES_MAX)
    with pytest.raises(TooLong):
        reader.feed(b"x")


def test_a_payload_without_end_is_refused() -> None:
    reader = CommandReader()
    reader.feed(b"set x <<\n")
    with pytest.raises(TooLong):
        for _ in range(PAYLOAD_BYTES_MAX // 8000 + 2):
            reader.feed(b"y" * 7999 + b"\n")
            while reader.take() is not None:
                pass


@given(st.binary(max_size=200), st.integers(1, 7))
def test_any_bytes_are_read_alike_however_they_come(data: bytes, step: int) -> None:
    assert read(data, step=step) == read(data)


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=5))
def test_what_is_escaped_is_one_word(words: list[str]) -> None:
    if words[-1].startswith("<<"):
        return
    escaped = " ".join("".join("\\" + character if character in " \t;\\" else character for character in word) for word in words)
    assert read(escaped.encode() + b"\n") == [[(tuple(words), None)]]
