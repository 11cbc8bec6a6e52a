"""The canonical layout: what it looks like, that it is stable, and that it changes no word."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.fmt import formatted
from common.config.lexer import LexError, decode, split_line

CASES = [
    (b"", b""),
    (b"\n\n", b""),
    (b"global\nmaxconn  3\n", b"global\n    maxconn 3\n"),
    (b"global\n\tmaxconn\t3", b"global\n    maxconn 3\n"),
    (b"global#all\n maxconn 3#three\r\n", b"global  #all\n    maxconn 3  #three\n"),
    (
        b"global\n daemon\ndefaults\n mode http\n\n\n\nfrontend a\n bind :80\n",
        b"global\n    daemon\n\ndefaults\n    mode http\n\nfrontend a\n    bind :80\n",
    ),
    (b"# head\n\nglobal\n daemon\n# the web\n# site\nfrontend a\n", b"# head\n\nglobal\n    daemon\n\n# the web\n# site\nfrontend a\n"),
    (b"frontend a\n\n  # ports\n  bind :80\n\n  bind :81\n", b"frontend a\n\n    # ports\n    bind :80\n\n    bind :81\n"),
    (b"listen a\n log-format  \"%ci  %t\" 'x  y'\\ z\n", b"listen a\n    log-format \"%ci  %t\" 'x  y'\\ z\n"),
    (
        b"global\n.if feature(X)\nmaxconn 3\n.else\nmaxconn 4\n.endif\n",
        b"global\n    .if feature(X)\n        maxconn 3\n    .else\n        maxconn 4\n    .endif\n",
    ),
    (b".if 1\nglobal\n daemon\n.endif\n", b".if 1\n    global\n        daemon\n.endif\n"),
    (b'global\n setenv A "x\n daemon\n', b'global\n    setenv A "x\n    daemon\n'),
    (b"global\n setenv A \xff\xe4 # \xfc\n", b"global\n    setenv A \xff\xe4  # \xfc\n"),
    (b'listen a\n bind "${B[*]}"x  y\n', b'listen a\n    bind "${B[*]}"x y\n'),
]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_layout(before: bytes, after: bytes) -> None:
    assert formatted(before) == after


@pytest.mark.parametrize("after", [after for _, after in CASES])
def test_layout_is_stable(after: bytes) -> None:
    assert formatted(after) == after


_TEXT = st.lists(
    st.sampled_from(
        [
            "global",
            "frontend a",
            "bind :80",
            " ",
            "\t",
            "\n",
            "\n\n",
            "#",
            "'",
            '"',
            "\\",
            "x",
            "$A",
            "${A}",
            "${A[*]}",
            ".if 1",
            ".endif",
            ".else",
            "\r\n",
        ]
    ),
    max_size=30,
).map("".join)


def words(data: bytes) -> list[list[str]]:
    found = []
    for line in decode(data).split("\n"):
        try:
            texts = [word.text for word in split_line(line, {"A": "v w"}.get)]
        except LexError as error:
            texts = [error.message.split(" at position")[0]]
        if texts:
            found.append(texts)
    return found


@settings(max_examples=150, deadline=None)
@given(_TEXT)
def test_words_stay_the_same(text: str) -> None:
    assert words(formatted(text.encode())) == words(text.encode())


@settings(max_examples=150, deadline=None)
@given(_TEXT)
def test_formatting_twice_is_formatting_once(text: str) -> None:
    once = formatted(text.encode())
    assert formatted(once) == once
