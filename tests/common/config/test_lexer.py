"""Words of a line: the table was made with Debian's haproxy 2.6 (`.notice` prints its argument), see test_lexer_like_haproxy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.config.lexer import LexError, Word, decode, encode, split_line

VARIABLES = {"HOME": "/root", "EMPTY": "", "LIST": "x y  z", "QUOTES": "a'b\"c #d"}


def texts(line: str) -> list[str]:
    return [word.text for word in split_line(line, VARIABLES.get)]


CASES = [
    ("", []),
    ("   \t ", []),
    ("# comment", []),
    ("a b\tc", ["a", "b", "c"]),
    ("global#this is global", ["global"]),
    ("a # b", ["a"]),
    ("a \\# b", ["a", "#", "b"]),
    (r"a\ b\#c\\d\'e\"f", ["a b#c\\d'e\"f"]),
    (r"g\.h\dz", [r"g\.h\dz"]),
    (r"f\$g", [r"f\$g"]),
    (r'"a\ b\#c\\d\'e\"f\$g\.h\dz"', ["a b#c\\d'e\"f$g\\.h\\dz"]),
    (r"'a\ b\#c\\d\"f\$g\.h\d z'", [r"a\ b\#c\\d\"f\$g\.h\d z"]),
    ("ab\"cd\"'ef'gh", ["abcdefgh"]),
    (r"a\x41\x2eb\n|\t\r", ["aA.b\n|\t\r"]),
    ("foo\\", ["foo\\"]),
    ('""', [""]),
    ("''", [""]),
    ('a "" b', ["a", "", "b"]),
    ('"$HOME|${HOME}|${NOPE-def}|${NOPE}|$NOPE-x|${HOME-zz}"', ["/root|/root|def||-x|/root"]),
    ("$HOME", ["$HOME"]),
    ("'$HOME'", ["$HOME"]),
    ('"$HOME.x"', ["/root.x"]),
    ('"${EMPTY-x}|"', ["|"]),
    ('"${NOPE-}"', [""]),
    ('"${NOPE-a b[*]}"', ["a b[*]"]),
    ('"$QUOTES"', ["a'b\"c #d"]),
    ('"$LIST"', ["x y  z"]),
    ('"${LIST[*]}"', ["x", "y", "z"]),
    ('pre"${LIST[*]}"post', ["prex", "y", "zpost"]),
    ('"${EMPTY[*]}"', [""]),
    ("bind :80\r", ["bind", ":80"]),
    (r"\xc3\xa4", ["ä"]),
    (r"\xff", ["\udcff"]),
    ("ä 'ö'", ["ä", "ö"]),
]


@pytest.mark.parametrize(("line", "expected"), CASES)
def test_line_is_cut_into_words(line: str, expected: list[str]) -> None:
    assert texts(line) == expected


FAULTS = [
    ('"', 1, "unmatched quote at position 1"),
    ("bind 'a", 6, "unmatched quote at position 6"),
    ('"a\\', 1, "unmatched quote at position 1"),
    ('"a${HOME}b', 1, "unmatched quote at position 1"),
    (' bind "$FOO', 7, "unmatched quote at position 7"),
    ('"${A-b', 3, "unmatched brace in environment variable name at position 3"),
    ('"${A b}"', 3, "unmatched brace in environment variable name at position 3"),
    ('"${HOME.x}"', 3, "unmatched brace in environment variable name at position 3"),
    ('"$"', 3, "forbidden first char in environment variable name at position 3"),
    ('"$1"', 3, "forbidden first char in environment variable name at position 3"),
    ('"${}"', 4, "forbidden first char in environment variable name at position 4"),
    ('"${.FOO}"', 4, "forbidden first char in environment variable name at position 4"),
    ('"${A[*}"', 5, "truncated or invalid word expansion sequence at position 5"),
    ('"${A[x]}"', 5, "truncated or invalid word expansion sequence at position 5"),
    ('"\\x4"', 2, "truncated or invalid hexadecimal sequence at position 2"),
    ("\\xg0", 1, "truncated or invalid hexadecimal sequence at position 1"),
]


@pytest.mark.parametrize(("line", "column", "message"), FAULTS)
def test_faulty_line_names_the_place(line: str, column: int, message: str) -> None:
    with pytest.raises(LexError) as caught:
        split_line(line, VARIABLES.get)
    assert (caught.value.column, caught.value.message) == (column, message)


def test_words_know_their_columns() -> None:
    assert split_line('  a "b c"  d\\ e#x', VARIABLES.get) == [Word("a", 3, 4), Word("b c", 5, 10), Word("d e", 12, 16)]


def test_variable_cannot_make_a_line_endless() -> None:
    with pytest.raises(LexError):
        split_line('"$A$A$A"' * 4, {"A": "x" * 50_000}.get)


def test_words_are_counted() -> None:
    with pytest.raises(LexError, match="too many words"):
        split_line("a " * 5000, VARIABLES.get)


@given(st.text(max_size=200))
def test_no_text_raises_anything_but_lex_error(line: str) -> None:
    try:
        words = split_line(line, VARIABLES.get)
    except LexError as error:
        assert 1 <= error.column <= len(line) + 2
        return
    for word in words:
        assert 1 <= word.column < word.end <= len(line) + 1
        encode(word.text)


@given(st.binary(max_size=200))
def test_bytes_survive_decoding(data: bytes) -> None:
    assert encode(decode(data)) == data


@given(st.lists(st.text(st.characters(exclude_characters="'\r\n", exclude_categories=["Cs"]), min_size=0, max_size=10), max_size=8))
def test_single_quotes_keep_everything(words: list[str]) -> None:
    assert texts(" ".join(f"'{word}'" for word in words)) == words
